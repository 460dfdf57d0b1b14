"""What an operator is told of a capsule that did not answer."""

import errno
import os
import socket
from pathlib import Path

import grpc
import pytest

from capsulectl import connection, secure
from capsulectl.connection import failure_of
from capsulectl.errors import NO_TIMES, NotLetIn
from capsulectl.handshake import sentence
from capsulectl.ui.live import RETRY_S


class Broken:
    """An error as gRPC itself raises it, for a connection if nothing else is said."""

    def __init__(
        self, details: str, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, notes: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self._details = details
        self._code = code
        self._notes = notes

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._notes


@pytest.mark.parametrize(("details", "may_be_done"), [("Socket closed", True), ("failed to connect to all", False)])
def test_a_call_that_broke_off_may_have_been_done(details: str, may_be_done: bool) -> None:
    told = failure_of(Broken(details), "unix:/nonexistent").message
    assert told.startswith("the capsule does not answer at unix:/nonexistent: ")
    assert ("`capsulectl history` tells" in told) is may_be_done


def test_a_read_that_broke_off_changed_nothing() -> None:
    told = failure_of(Broken("Socket closed"), "unix:/nonexistent", changes=False).message
    assert "the connection broke off; " in told and "history" not in told


def test_a_refusal_keeps_the_capsules_word_for_machines() -> None:
    refused = Broken("ask for a tail", grpc.StatusCode.INVALID_ARGUMENT, (("capsule-reason", "NO_TIMES"),))
    assert failure_of(refused, "unix:/x").reason == NO_TIMES
    assert failure_of(Broken("Socket closed"), "unix:/nonexistent").reason == ""


def _closed(path: Path) -> str:
    """What is said of a socket to which nobody listens."""
    return failure_of(Broken("failed to connect to all"), f"unix:{path}").message.partition(f"{path}: ")[2]


def test_who_is_to_start_it_is_told_by_whose_socket_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, none = tmp_path / "left.sock", tmp_path / "none.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    assert "systemctl" not in _closed(left) + _closed(none)
    assert _closed(left).endswith("`make up` starts one") and _closed(none).endswith("`make up` starts one")
    service = "does capsuled run? `systemctl status capsuled` tells, `systemctl start capsuled` starts it"
    monkeypatch.setattr(connection, "DEFAULT_SOCKET", left)
    assert _closed(left) == service
    monkeypatch.setattr(connection, "DEFAULT_SOCKET", none)
    assert _closed(none) == f"there is no such socket: {service}"


@pytest.mark.parametrize("shut", ["directory", "socket"])
def test_who_may_not_open_it_is_told_how_root_does(shut: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        if shut == "directory":
            raise PermissionError
        return False

    path = tmp_path / "a b.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    monkeypatch.setattr(os, "stat" if shut == "directory" else "access", refuse)
    assert _closed(path).startswith("you may not open it")
    assert _closed(path).endswith(f". `sudo capsulectl … --capsule 'unix:{path}'` asks as root")
    monkeypatch.setattr(connection, "DEFAULT_SOCKET", path)
    assert _closed(path).endswith(". `sudo capsulectl …` asks as root")


def test_a_channel_tries_again_no_later_than_the_page_that_waits_for_it() -> None:
    """gRPC's own pauses grow up to two minutes."""
    assert dict(connection._OPTIONS)["grpc.max_reconnect_backoff_ms"] <= RETRY_S[-1] * 1_000


@pytest.mark.parametrize("details", ["errors resolving nosuch.invalid:50000: [field:hostname]", "empty address list"])
def test_what_was_not_sent_changed_nothing(details: str) -> None:
    assert "broke off" not in failure_of(Broken(details), "unix:/nonexistent").message


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ("errors resolving box.local:50000: [field:hostname]", "its name was not found, and is found now"),
        ("failed to connect to all addresses", "it can be reached, but gives no answer"),
    ],
)
def test_a_name_that_was_not_found_is_told_as_one(details: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secure, "met", lambda host, port: (b"a certificate", True))
    told = failure_of(Broken(details), "box.local:50000").message
    assert told.startswith(f"the capsule does not answer at box.local:50000: {says}")


def test_a_capsule_that_hangs_may_do_it_yet() -> None:
    told = failure_of(Broken("Deadline Exceeded", grpc.StatusCode.DEADLINE_EXCEEDED), "unix:/x").message
    assert told == (
        "the capsule did not answer in time at unix:/x: it is slow, or hangs. What was to change may have changed, "
        "`capsulectl history` tells"
    )
    of_a_read = failure_of(Broken("", grpc.StatusCode.DEADLINE_EXCEEDED), "unix:/x", changes=False).message
    assert of_a_read == "the capsule did not answer in time at unix:/x: it is slow, or hangs"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TimeoutError("_ssl.c:975: The handshake operation timed out"), "nothing came back within 5 s: is the machine"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host: is the machine up, and does a network"),
        (ValueError("'a b' is no HOST:PORT"), "'a b' is no HOST:PORT"),
    ],
)
def test_why_nobody_was_met_is_said_in_no_librarys_words(error: Exception, says: str) -> None:
    assert sentence(error).startswith(says)


def test_a_capsule_of_an_older_release_is_told_as_such() -> None:
    told = failure_of(Broken("Method not found!", grpc.StatusCode.UNIMPLEMENTED), "unix:/nonexistent").message
    assert told.startswith("the capsule at unix:/nonexistent does not know this call: it runs an older release")


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("container.image", "container.image: no"),
        ("name", "no"),
        ("metadata.name", "no"),  # of a copy's first message, which no operator has written
    ],
)
def test_a_refusal_names_the_field_of_a_manifest_and_no_other(field: str, told: str) -> None:
    notes = (("capsule-reason", "BAD"), ("capsule-fields", field))
    assert failure_of(Broken("no", grpc.StatusCode.INVALID_ARGUMENT, notes), "unix:/nonexistent").message == told


@pytest.mark.parametrize(
    ("code", "reason", "waits"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "KEY_UNKNOWN", False),
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED", True),
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_FROM_THE_FUTURE", True),
        (grpc.StatusCode.PERMISSION_DENIED, "ROLE_LACKS", False),
        (grpc.StatusCode.UNAVAILABLE, "RESTORING", True),
        (grpc.StatusCode.UNAUTHENTICATED, "", True),
    ],
)
def test_who_is_not_let_in_need_not_ask_again(code: grpc.StatusCode, reason: str, waits: bool) -> None:
    notes = (("capsule-reason", reason),) if reason else ()
    told = failure_of(Broken("no", code, notes), "unix:/nonexistent")
    assert told.message == "no" and isinstance(told, NotLetIn) is not waits
