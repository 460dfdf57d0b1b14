"""What the network may cost: sizes, silence, connections and their time."""

import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    machine_pb2,
    machine_pb2_grpc,
    stats_pb2,
    stats_pb2_grpc,
)
from capsuled.limits import Limits, Patience
from tests.conformance.client import Client, outcome
from tests.support.adopted import Adopted, endpoint
from tests.support.house import Standing, standing
from tests.support.refusals import reason_of
from tests.support.until import wait_until

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


def test_what_is_too_large_is_refused_and_others_are_served(adopted: Adopted) -> None:
    call = adopted.channel().unary_unary("/capsule.v1.WorkloadService/Get", bytes, bytes)
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    large = b"\x0a" + b"\x80\x80\x80\x04" + b"x" * (8 << 20)
    assert outcome(lambda: call(large, metadata=adopted.metadata()), False)[0] is exhausted
    heavy = (*adopted.metadata(), ("padding", "x" * (64 << 10)))
    assert outcome(lambda: call(b"", metadata=heavy), False)[0] is exhausted
    adopted.client.signed(adopted.key, "IdentityService/WhoAmI", adopted.client.message("WhoAmIRequest"))


def test_silent_clients_hold_nobody_up_and_leave_room(tmp_path: Path) -> None:
    """More of them than there is room for calls; of those that show no token and stream, too."""
    with standing(tmp_path / "state", limits=Limits(calls=20, unknown=Patience(first_s=3_600, all_s=3_600))) as house:
        adopted = Adopted(house)
        silent = [socket.create_connection(endpoint(house), 10) for _ in range(64)]
        adopt = adopted.channel().stream_unary("/capsule.v1.IdentityService/Adopt", bytes, bytes)
        push = adopted.channel().stream_unary("/capsule.v1.ImageService/Push", bytes, bytes)
        hold = threading.Event()

        def nothing() -> Iterator[bytes]:
            hold.wait(60)
            yield from ()

        waiting: list[Any] = []
        gone = threading.Semaphore(0)
        for call in (adopt,) * 30 + (push,) * 30:
            waiting.append(call.future(nothing()))
            waiting[-1].add_done_callback(lambda _: gone.release())
            if len(waiting) > Limits().strangers_each:
                assert gone.acquire(timeout=30), "who was silent for longest makes room for it"
        fresh = Client(house.address)
        fresh.capsule_id = adopted.client.capsule_id
        for _ in range(20):
            fresh.adopt(adopted.key)  # whoever has something to say is heard, also without a token
            fresh.signed(adopted.key, "IdentityService/WhoAmI", fresh.message("WhoAmIRequest"))
        fresh.close()
        hold.set()
        answers = [call.exception().code() for call in waiting]
        assert answers == [grpc.StatusCode.INVALID_ARGUMENT] * 30 + [UNAUTHENTICATED] * 30
        for one in silent:
            one.close()
        adopted.client.close()


def test_connections_are_bounded_on_the_network_and_the_socket_stays_free(tmp_path: Path) -> None:
    with standing(tmp_path / "state", limits=Limits(connections=4)) as house:
        held = [socket.create_connection(endpoint(house), 5) for _ in range(4)]
        with socket.create_connection(endpoint(house), 5) as one_more:
            assert one_more.recv(1) == b""  # well before the time for a handshake is up
        with grpc.insecure_channel(f"unix:{house.layout.socket}") as channel:
            identity_pb2_grpc.IdentityServiceStub(channel).WhoAmI(identity_pb2.WhoAmIRequest(), timeout=10)
        for one in held:
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.recv(1)
            one.close()


def test_one_address_keeps_out_itself_and_nobody_else(tmp_path: Path) -> None:
    with standing(tmp_path / "state", limits=Limits(connections=8, connections_each=5, handshake_ms=600_000)) as house:
        held = [socket.create_connection(endpoint(house), 5) for _ in range(5)]
        for one in held:
            assert not gone(one)
        more = [socket.create_connection(endpoint(house), 5) for _ in range(3)]
        assert [one.recv(1) for one in more] == [b""] * 3, "the newest beyond its share are closed"
        with socket.create_connection(endpoint(house), 5) as one_more:
            assert one_more.recv(1) == b""
        other = [kept(house, "127.0.0.2") for _ in range(3)]
        assert not [one for one in held + other if gone(one)]
        for one in (*held, *more, *other):
            one.close()


def kept(house: Standing, host: str) -> socket.socket:
    """A connection from there that is let in, as soon as the server has let go of those that were closed before."""
    for _ in range(50):
        one = socket.create_connection(endpoint(house), 5, (host, 0))
        if not gone(one):
            return one
        one.close()
    raise AssertionError("it is never let in")


def gone(one: socket.socket) -> bool:
    one.settimeout(0.3)
    try:
        return one.recv(1) == b""
    except TimeoutError:
        return False


def let_in(house: Standing) -> bool:
    with socket.create_connection(endpoint(house), 5) as one:
        one.settimeout(0.3)
        try:
            return one.recv(1) != b""
        except TimeoutError:
            return True


def test_a_handshake_that_takes_too_long_makes_room(tmp_path: Path) -> None:
    with standing(tmp_path / "state", limits=Limits(connections=1, handshake_ms=1_000)) as house:
        with socket.create_connection(endpoint(house), 30) as silent:
            assert not let_in(house)
            assert silent.recv(1) == b""
        wait_until(lambda: let_in(house), "the place is free, a moment after the connection is closed")


def test_a_connection_without_a_call_is_closed_and_the_next_call_opens_another(tmp_path: Path) -> None:
    with standing(tmp_path / "state", limits=Limits(idle_ms=1_500)) as house:
        adopted = Adopted(house)
        busy = Client(house.address)
        watch = machine_pb2_grpc.MachineServiceStub(busy.channel).Watch(
            machine_pb2.WatchRequest(), metadata=adopted.metadata()
        )
        assert next(watch).synced
        closed = threading.Event()
        adopted.channel().subscribe(lambda state: closed.set() if state is grpc.ChannelConnectivity.IDLE else None)
        closed.clear()
        who = adopted.client.message("WhoAmIRequest")
        adopted.client.signed(adopted.key, "IdentityService/WhoAmI", who)
        assert closed.wait(30)
        assert adopted.client.signed(adopted.key, "IdentityService/WhoAmI", who).kid == adopted.key.kid
        assert watch.is_active()
        watch.cancel()
        for client in (busy, adopted.client):
            client.close()


def test_a_keys_streams_are_bounded_over_all_its_connections_and_the_admin_is_heard(tmp_path: Path) -> None:
    """With more of them than there is room for calls, no matter whether they say what they want."""
    few = Limits(calls=40, streams=16, streams_each=8, silent_each=8)
    with standing(tmp_path / "state", limits=few) as house:
        adopted = Adopted(house)
        reader, hold = adopted.add(3), threading.Event()
        clients = [Client(house.address) for _ in range(4)]

        def nothing() -> Iterator[bytes]:
            hold.wait(60)
            yield from ()

        watching: list[Any] = []
        told: list[tuple[grpc.StatusCode, str]] = []
        for number in range(16):
            watch = clients[number % 4].channel.unary_stream("/capsule.v1.DriftService/Watch", bytes, bytes)
            watching.append(watch(b"", metadata=adopted.metadata(reader)))
            try:
                next(watching[-1])
            except grpc.RpcError as error:
                told.append((watching[-1].code(), reason_of(error)))
        assert told == [(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")] * 8
        for path in ("WorkloadService/Get", "DriftService/Watch", "ImageService/Push"):
            for number in range(16):
                silent = clients[number % 4].channel.stream_stream(f"/capsule.v1.{path}", bytes, bytes)
                watching.append(silent(nothing(), metadata=adopted.metadata(reader)))
        for _ in range(5):
            adopted.client.signed(adopted.key, "IdentityService/WhoAmI", adopted.client.message("WhoAmIRequest"))
            time.sleep(0.2)
        removal = adopted.client.message("KeyRemoveRequest", kid=reader.kid)
        adopted.client.signed(adopted.key, "IdentityService/KeyRemove", removal)
        hold.set()
        for client in clients:
            client.close()
        adopted.client.close()


def test_a_keys_calls_that_last_are_bounded_and_the_admin_is_heard(tmp_path: Path) -> None:
    """Each watches the machine for a while before it is answered."""
    with standing(tmp_path / "state", limits=Limits(calls=40, calls_each=8)) as house:
        adopted = Adopted(house)
        reader = adopted.add(3)
        sample = stats_pb2_grpc.StatsServiceStub(adopted.channel()).Sample
        told: queue.Queue[Any] = queue.Queue()
        lasting = []
        for _ in range(30):
            request = stats_pb2.StatsSampleRequest(window_ms=5_000)
            lasting.append(sample.future(request, metadata=adopted.metadata(reader), timeout=60))
            lasting[-1].add_done_callback(told.put)
        for _ in range(22):
            refused = told.get(timeout=30).exception()
            assert (refused.code(), reason_of(refused)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        for _ in range(3):
            adopted.client.signed(adopted.key, "IdentityService/WhoAmI", adopted.client.message("WhoAmIRequest"))
        for one in lasting:
            one.cancel()
        adopted.client.close()
