"""CI's share of the fuzzing; `make fuzz` does a hundred thousand calls by another seed."""

import ssl
from pathlib import Path

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from capsuled.entered import TELLS_RELEASE
from tests.conformance.client import Client, Key, outcome
from tests.fuzz.calls import SERVED, growth, house, run
from tests.fuzz.cases import Chance, described, varint
from tests.fuzz.port import strike
from tests.fuzz.verdict import problems, told
from tests.support.daemon import daemon
from tests.support.house import standing

SEED = 20_260_101
CALLS = 4_000
CONNECTIONS = 400


def test_bytes_by_chance_break_no_method(tmp_path: Path) -> None:
    found = run(tmp_path / "calls", SEED, CALLS)
    assert not problems(found), told(found) + "\n" + "\n".join(problems(found))


def test_bytes_by_chance_on_the_port_hold_nobody_up(tmp_path: Path) -> None:
    with house(tmp_path / "port") as made:
        strike(made.address, SEED, CONNECTIONS // 4)
        before = made.settled()
        assert strike(made.address, SEED + 1, CONNECTIONS) > CONNECTIONS // 4, "hardly any got behind TLS"
        client, key = Client(made.address), Key()
        client.adopt(key)
        assert client.signed(key, "IdentityService/WhoAmI", client.message("WhoAmIRequest")).kid == key.kid
        client.close()
        assert not growth(before, made.settled(), CONNECTIONS)


@pytest.mark.real
def test_whoever_knocks_with_nonsense_leaves_nothing_in_the_daemons_log() -> None:
    with daemon(start=False) as made:
        made.start("--listen", "127.0.0.1:0")
        (address,) = made.data("capsule", "info")["addresses"]
        before = made.output()
        strike(address, SEED, 100)
        assert made.data("capsule", "info")["condition"] == "ok" and made.output() == before


@pytest.mark.parametrize("seed", range(3))
def test_fields_that_nobody_knows_survive_a_message(seed: int) -> None:
    chance = Chance(seed, SERVED)
    for method in (described(name) for name in SERVED):
        for kind in (method.input_type, method.output_type):
            whole, unknown = chance.message(kind), chance.unknown()
            read = GetMessageClass(kind).FromString(whole.SerializeToString() + unknown)
            assert read.SerializeToString().endswith(unknown), kind.full_name
            read.DiscardUnknownFields()
            assert read.SerializeToString(deterministic=True) == whole.SerializeToString(deterministic=True)


def test_fields_that_nobody_knows_are_refused_by_their_number_in_reads_and_declarations(tmp_path: Path) -> None:
    strange = varint(54_321 << 3) + b"\x01"
    with standing(tmp_path) as made:
        client, key = Client(made.address), Key()
        client.adopt(key)
        credentials = grpc.ssl_channel_credentials(ssl.DER_cert_to_PEM_cert(client.der).encode())
        with grpc.secure_channel(made.address, credentials, [("grpc.ssl_target_name_override", "capsule")]) as channel:

            def ask(method: str, request: bytes) -> tuple[grpc.StatusCode, str]:
                call = channel.unary_unary(f"/capsule.v1.{method}", bytes, bytes)
                metadata = (("authorization", f"Bearer {key.token(client.capsule_id)}"),)
                return outcome(lambda: call(request, metadata=metadata), streams=False)

            reads = [
                name
                for name in SERVED
                if not (one := described(name)).client_streaming
                and not one.server_streaming
                and "." not in name
                and one.name in ("List", "Get", "GetInfo", "WhoAmI", "KeyList", "Stats")
            ]
            assert len(reads) > 8
            assert ask(TELLS_RELEASE, strange)[0] is ask(TELLS_RELEASE, b"")[0] is grpc.StatusCode.OK
            for name in set(reads) - {TELLS_RELEASE}:
                code, message = ask(name, strange)
                assert code is grpc.StatusCode.UNIMPLEMENTED and "54321" in message, name
            workload = client.message("Workload", name="web", kind=1, container={"image": "demo:1"})
            whole = workload.SerializeToString() + strange
            code, message = ask("WorkloadService/Apply", varint(1 << 3 | 2) + varint(len(whole)) + whole)
            assert code is grpc.StatusCode.UNIMPLEMENTED and "54321" in message
        client.close()
