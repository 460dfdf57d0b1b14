"""The time from the network: what is asked, what is believed."""

import asyncio
from pathlib import Path

import pytest

from capsuled.boot.ntp import DEFAULT_SERVERS, LATER_S, Bounds, asked, judged, parsed, request, servers_of
from tests.support.ntp import answer_to

NOW_S = 1_800_000_000.0
BOUNDS = Bounds(NOW_S - 1000, NOW_S + 1_000_000)


def test_the_offset_is_what_the_server_says_less_half_the_way() -> None:
    answer = parsed(answer_to(request(NOW_S), NOW_S + 100.25), NOW_S, NOW_S + 0.5)
    assert answer.offset_s == pytest.approx(100.0, abs=1e-6)
    assert answer.delay_s == pytest.approx(0.5, abs=1e-6)


def test_the_era_after_2036_is_understood() -> None:
    then_s = 2_300_000_000.0
    assert parsed(answer_to(request(then_s), then_s + 5), then_s, then_s).offset_s == pytest.approx(5, abs=1e-6)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"short", "short"),
        (answer_to(request(NOW_S + 1), NOW_S), "something else"),
        (answer_to(request(NOW_S), NOW_S, stratum=0), "does not know"),
        (answer_to(request(NOW_S), NOW_S, first=0xE4), "does not know"),
        (answer_to(request(NOW_S), NOW_S, first=0x23), "something else"),
    ],
)
def test_what_answers_something_else_is_not_believed(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parsed(data, NOW_S, NOW_S)


@pytest.mark.parametrize(
    ("offset_s", "first", "why"),
    [
        (999_999.0, True, ""),
        (-999.0, True, ""),
        (-1001.0, True, "before the journal's last entry"),
        (1_000_001.0, True, "ten years"),
        (LATER_S, False, ""),
        (LATER_S + 1, False, "set before"),
    ],
)
def test_the_clock_goes_only_so_far(offset_s: float, first: bool, why: str) -> None:
    said = judged(offset_s, NOW_S, first, BOUNDS)
    assert why in said and bool(said) == bool(why)


def test_a_server_is_asked_over_the_network() -> None:
    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.transport.sendto(answer_to(data, 2_000_000_000), addr)  # type: ignore[attr-defined]

    async def scene() -> float:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
        try:
            return (await asked("127.0.0.1", transport.get_extra_info("sockname")[1])).offset_s
        finally:
            transport.close()

    assert abs(asyncio.run(scene())) > 1000


def test_the_operators_servers_come_first_then_those_of_the_lease(tmp_path: Path) -> None:
    assert servers_of(tmp_path / "ntp", ()) == DEFAULT_SERVERS
    assert servers_of(tmp_path / "ntp", ("10.0.0.1",)) == ("10.0.0.1",)
    (tmp_path / "ntp").write_text("10.0.0.2\n10.0.0.3\n")
    assert servers_of(tmp_path / "ntp", ("10.0.0.1",)) == ("10.0.0.2", "10.0.0.3")
