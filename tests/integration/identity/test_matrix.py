"""Every method against every kind of caller: the expected code for each, and the event for each denial."""

import secrets
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf import descriptor_pool

from capsule.v1 import install_pb2  # noqa: F401 - the test of what is not served needs its descriptors
from capsuled.roles import METHODS
from journal.events import CallDenied, StreamClosed
from projections.rights import RANK
from tests.conformance.client import Client, Key
from tests.support.house import Standing, standing
from tests.support.refusals import reason_of

UNREGISTERED = ("InstallService/Status", "InstallService/Install")
SERVED = [name for name in METHODS if name not in UNREGISTERED]


class People:
    """A machine and everybody who knocks."""

    def __init__(self, house: Standing) -> None:
        self.house = house
        self.client = Client(house.address)
        self.admin, self.operator, self.reader, self.removed, self.stranger = (Key() for _ in range(5))
        self.client.adopt(self.admin, "admin")
        self.audience = self.client.capsule_id
        for key, role in ((self.operator, 2), (self.reader, 3), (self.removed, 1)):
            request = self.client.message("KeyAddRequest", pubkey=key.public, name=f"role {role}")
            request.MergeFromString(b"\xa0\x06" + bytes([role]))  # role = 100, which the contract's table does not have
            self.client.signed(self.admin, "IdentityService/KeyAdd", request)
        self.client.signed(
            self.admin, "IdentityService/KeyRemove", self.client.message("KeyRemoveRequest", kid=self.removed.kid)
        )

    def used(self) -> str:
        """A token that was good, once."""
        token = self.admin.token(self.audience)
        self.client.call("IdentityService/WhoAmI", self.client.message("WhoAmIRequest"), f"Bearer {token}")
        return token

    def forged(self) -> str:
        """The admin's claims with a stranger's signature."""
        head, claims, _ = self.admin.token(self.audience).split(".")
        return f"{head}.{claims}.{self.stranger.token(self.audience).rpartition('.')[2]}"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    with standing(tmp_path_factory.mktemp("matrix")) as house:
        made = People(house)
        yield made
        made.client.close()


NOBODY: dict[str, tuple[str, Callable[[People], str | None]]] = {
    "no token": ("NO_TOKEN", lambda people: None),
    "garbage": ("BAD_TOKEN", lambda people: f"Bearer {secrets.token_urlsafe(40)}"),
    "another scheme": ("BAD_TOKEN", lambda people: "Basic dXNlcjpwYXNz"),
    "wrong key": ("KEY_UNKNOWN", lambda people: f"Bearer {people.stranger.token(people.audience)}"),
    "forged": ("BAD_SIGNATURE", lambda people: f"Bearer {people.forged()}"),
    "wrong audience": ("WRONG_AUDIENCE", lambda people: f"Bearer {people.admin.token('another')}"),
    "expired": ("TOKEN_EXPIRED", lambda people: f"Bearer {people.admin.token(people.audience, time.time() - 400)}"),
    "future": ("TOKEN_FROM_THE_FUTURE", lambda people: f"Bearer {people.admin.token(people.audience, time.time() + 400)}"),
    "replayed": ("TOKEN_REPLAYED", lambda people: f"Bearer {people.used()}"),
    "no jti": ("BAD_TOKEN", lambda people: f"Bearer {people.admin.token(people.audience, jti='')}"),
    "removed key": ("KEY_UNKNOWN", lambda people: f"Bearer {people.removed.token(people.audience)}"),
}  # fmt: skip


def call(people: People, method: str, authorization: str | None) -> tuple[grpc.StatusCode, str]:
    """The status and the reason of an empty request, for any shape of method; of an endless stream, its first item."""
    service, _, name = method.rpartition("/")
    full = service if "." in service else f"capsule.v1.{service}"
    described = descriptor_pool.Default().FindServiceByName(full).methods_by_name[name]
    streams = described.client_streaming, described.server_streaming
    shape = f"{'stream' if streams[0] else 'unary'}_{'stream' if streams[1] else 'unary'}"
    stub = getattr(people.client.channel, shape)(f"/{full}/{name}", bytes, bytes)
    metadata = () if authorization is None else (("authorization", authorization),)
    try:
        answer = stub(iter([b""]) if streams[0] else b"", metadata=metadata, timeout=10)
        if streams[1]:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error.code(), reason_of(error)
    return grpc.StatusCode.OK, ""


def denials(house: Standing, since: int) -> list[CallDenied]:
    return [event for header, event in house.entries() if header.seq > since and isinstance(event, CallDenied)]


def head(house: Standing) -> int:
    return house.entries()[-1][0].seq


@pytest.mark.parametrize("kind", NOBODY)
def test_who_proves_nothing_is_unauthenticated_everywhere_and_each_denial_is_an_event(
    people: People, kind: str
) -> None:
    reason, make = NOBODY[kind]
    since, expected = head(people.house), []
    for method in SERVED:
        authorization = make(people)
        code, found = call(people, method, authorization)
        if METHODS[method].role == "open":
            assert code is not grpc.StatusCode.UNAUTHENTICATED, method
        else:
            assert (code, found) == (grpc.StatusCode.UNAUTHENTICATED, reason), method
            expected.append((method.replace("/", "."), reason))
    told = [event for event in denials(people.house, since) if event.code == "UNAUTHENTICATED"]
    assert [(event.method, event.reason) for event in told] == expected
    assert all(event.peer.startswith("127.0.0.1:") for event in told)
    claimed = {event.claimed for event in told}
    whom = {"wrong key": people.stranger.kid, "removed key": people.removed.kid}
    unclaimed = kind in ("no token", "garbage", "another scheme")
    assert claimed == {"" if unclaimed else whom.get(kind, people.admin.kid)}


@pytest.mark.parametrize("role", RANK)
def test_a_role_opens_what_the_table_says_and_each_denial_is_an_event(people: People, role: str) -> None:
    key: Key = getattr(people, role)
    since, expected = head(people.house), []
    for method in SERVED:
        code, reason = call(people, method, f"Bearer {key.token(people.audience)}")
        needed = METHODS[method].role
        if needed != "open" and RANK[role] < RANK[needed]:
            assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_LACKS"), method
            expected.append(method.replace("/", "."))
        else:
            assert code not in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED), method
            assert code is not grpc.StatusCode.INTERNAL, method
    entries = [(header, event) for header, event in people.house.entries() if header.seq > since]
    told = [
        (header.actor, event)
        for header, event in entries
        if isinstance(event, CallDenied) and event.code == "PERMISSION_DENIED"
    ]
    assert [event.method for _, event in told] == expected
    assert all((actor.kind, actor.id, actor.role) == ("operator", key.kid, role) for actor, _ in told)
    assert all(event.jti and event.token_exp for _, event in told)


def test_the_installers_service_is_not_there(people: People) -> None:
    for method in UNREGISTERED:
        assert call(people, method, None)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_a_mutating_call_that_ends_badly_is_an_event_too_whoever_ended_it(people: People) -> None:
    since = head(people.house)
    acting = [name for name in SERVED if METHODS[name].acts and METHODS[name].role != "open"]
    failed = []
    for method in acting:
        code, _ = call(people, method, f"Bearer {people.admin.token(people.audience)}")
        if code is not grpc.StatusCode.OK:
            failed.append(method.replace("/", "."))
    entries = {header.seq: event for header, event in people.house.entries() if header.seq > since}
    streams = [event for event in entries.values() if isinstance(event, StreamClosed) and event.outcome != "ok"]
    told = [event for event in entries.values() if event in streams or hasattr(event, "code")]
    assert [event.method for event in told] == failed and len(failed) > 10  # type: ignore[union-attr]
    asked = [entries[one.opened] if isinstance(one, StreamClosed) else one for one in told]
    assert all(event.jti and event.peer for event in asked)  # type: ignore[union-attr]
    assert all(event.took_us for event in told if event not in streams)  # type: ignore[union-attr]
    assert [event.method for event in streams] == ["DebugService.Open"], "it had begun: nothing can be built here"
