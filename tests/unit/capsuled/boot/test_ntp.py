"""The time from the network: what is asked, what is believed."""

import asyncio
from pathlib import Path

import pytest

from capsuled.boot import ntp
from capsuled.boot.agreement import APART_S, ROUNDS, Agreement
from capsuled.boot.ntp import (
    DEFAULT_SERVERS,
    LATER_S,
    Answer,
    Bounds,
    NetworkTime,
    asked,
    bounds_of,
    judged,
    parsed,
    request,
    servers_of,
)
from tests.support.ntp import answer_to

NOW_S = 1_800_000_000.0
HOUR_S = 3600.0
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
    assert servers_of(tmp_path / "ntp", ("10.0.0.1",)) == ("10.0.0.1", *DEFAULT_SERVERS)
    assert servers_of(tmp_path / "ntp", DEFAULT_SERVERS[2:]) == (*DEFAULT_SERVERS[2:], *DEFAULT_SERVERS[:2])
    (tmp_path / "ntp").write_text("10.0.0.2\n10.0.0.3\n")
    assert servers_of(tmp_path / "ntp", ("10.0.0.1",)) == ("10.0.0.2", "10.0.0.3")


def test_whom_the_operator_named_stands_alone(tmp_path: Path) -> None:
    assert servers_of(tmp_path / "ntp", (), ("10.0.0.4",)) == ("10.0.0.4",)
    (tmp_path / "ntp").write_text("10.0.0.2\n")
    assert servers_of(tmp_path / "ntp", ("10.0.0.1",), ("10.0.0.4",)) == ("10.0.0.2",)


def test_what_bounds_the_time_is_the_release_too() -> None:
    bounds = bounds_of(NOW_S - 5000)
    assert judged(-5001, NOW_S, True, bounds) == "it is before this release was built"
    assert judged(-4999, NOW_S, True, bounds) == ""
    assert "ten years" in judged(12 * 365 * 86_400, NOW_S, True, bounds)
    unknown = bounds_of(float("inf"), NOW_S)
    assert judged(0, NOW_S, True, unknown) == judged(1e9, NOW_S, True, unknown) == ""
    assert "before the journal's last entry" in judged(-1, NOW_S, True, unknown)


class Lan:
    """A machine on a network of servers, each with an answer; None is silent. Its clock is set in here alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, float | None]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.set_by: list[float] = []
        self.slewed_by: list[float] = []
        self.kept = 0
        self.stepped: list[tuple[float, str]] = []
        monkeypatch.setattr(ntp, "asked", self._asked)
        monkeypatch.setattr(ntp, "set_by", self.set_by.append)
        monkeypatch.setattr(ntp, "keep_time", self._kept)
        monkeypatch.setattr(ntp, "_slew", self.slewed_by.append)
        self.clock = NetworkTime(lambda: tuple(self.answers), Bounds(0, float("inf")), self._stepped)

    async def _asked(self, server: str) -> Answer:
        self.asked.append(server)
        offset_s = self.answers[server]
        if offset_s is None:
            raise TimeoutError
        return Answer(offset_s, 0.01)

    async def _kept(self) -> None:
        self.kept += 1

    def _stepped(self, by_s: float, server: str) -> None:
        self.stepped.append((by_s, server))

    def tells(self, ahead_s: float | None, *servers: str) -> None:
        """From now on only these, and all of them the same."""
        self.answers = dict.fromkeys(servers, ahead_s)

    async def ask(self) -> tuple[str, ...]:
        await self.clock._ask()
        return await self.clock.warnings()


def test_the_first_answer_is_told_also_when_the_clock_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = Lan(monkeypatch, {"router": 0.003})
    assert asyncio.run(lan.ask()) == () and lan.stepped == [(0.003, "router")] and lan.kept == 1
    assert asyncio.run(lan.ask()) == () and lan.slewed_by == [0.003] and len(lan.stepped) == 1


def test_behind_a_router_that_is_silent_others_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = Lan(monkeypatch, {"router": None, "pool": -36_000.0})
    assert asyncio.run(lan.ask()) == ()
    assert lan.asked == ["router", "pool"] and lan.set_by == [-36_000.0] and lan.stepped == [(-36_000.0, "pool")]


def test_that_nobody_tells_the_time_is_told_until_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = Lan(monkeypatch, {"router": None, "pool": None, "liar": -1e12})
    assert asyncio.run(lan.clock.warnings()) == (), "nobody was asked yet"
    (said,) = asyncio.run(lan.ask())
    assert "the time is not known" in said and "router, pool: no answer" in said
    assert "liar: what it tells is not taken, it is before" in said and "/perm/capsule/ntp" in said
    lan.answers = {"pool": 1.0}
    assert asyncio.run(lan.ask()) == ()
    lan.answers = {"pool": None}
    assert asyncio.run(lan.ask()) == (), "it was set since the start"


def stood_still(monkeypatch: pytest.MonkeyPatch, *servers: str) -> Lan:
    """A machine whose clock was right, and is an hour behind since."""
    lan = Lan(monkeypatch, {"router": 0.0})
    assert asyncio.run(lan.ask()) == ()
    lan.tells(HOUR_S, *servers)
    return lan


def test_a_clock_that_stood_still_is_set_once_two_servers_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = stood_still(monkeypatch, "router", "pool")
    assert asyncio.run(lan.ask()) == ()
    assert lan.stepped[1:] == [(HOUR_S, "router")] and lan.set_by[1:] == [HOUR_S] and lan.kept == 2


def test_one_server_alone_is_believed_once_it_has_told_the_same_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = stood_still(monkeypatch, "router")
    for _ in range(ROUNDS - 1):
        (said,) = asyncio.run(lan.ask())
        assert "the time may be wrong" in said and "router: what it tells is not taken, it differs by 3600 s" in said
        lan.answers["router"] = None
        assert asyncio.run(lan.ask()) == (said,), "nobody has agreed since"
        lan.answers["router"] = HOUR_S
    assert len(lan.stepped) == 1
    assert asyncio.run(lan.ask()) == () and lan.stepped[1:] == [(HOUR_S, "router")]


def test_a_server_that_is_wrong_is_not_believed_while_another_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = stood_still(monkeypatch, "router", "wrong as well")
    lan.answers["pool"] = 0.003
    for _ in range(2 * ROUNDS):
        assert asyncio.run(lan.ask()) == ()
    assert len(lan.stepped) == 1


def test_an_agreement_between_begins_the_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = stood_still(monkeypatch, "router")
    for ahead_s in [HOUR_S] * (ROUNDS - 1) + [0.0] + [HOUR_S] * (ROUNDS - 1):
        lan.tells(ahead_s, "router")
        said = asyncio.run(lan.ask())
    assert len(lan.stepped) == 1 and "the time may be wrong" in said[0]


def test_the_clock_is_not_set_to_before_a_server_agreed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has passed: a machine that stands still is behind."""
    lan = stood_still(monkeypatch)
    lan.tells(-HOUR_S, "router", "pool")
    for _ in range(2 * ROUNDS):
        (said,) = asyncio.run(lan.ask())
        assert "the time may be wrong" in said
    assert len(lan.stepped) == 1


def test_a_clock_that_somebody_set_ahead_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [NOW_S]
    monkeypatch.setattr("time.time", lambda: now_s[0])
    lan = stood_still(monkeypatch)
    now_s[0] += HOUR_S + 1800
    lan.tells(-HOUR_S, "router", "pool")
    assert asyncio.run(lan.ask()) == () and lan.stepped[1:] == [(-HOUR_S, "router")]


def test_what_is_out_of_bounds_has_no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    lan = stood_still(monkeypatch)
    lan.tells(-1e12, "liar", "another")
    for _ in range(2 * ROUNDS):
        assert asyncio.run(lan.ask()) == ()
    assert len(lan.stepped) == 1


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        ({}, ""),
        ({"one": HOUR_S}, ""),
        ({"one": HOUR_S, "other": HOUR_S + APART_S}, "one"),
        ({"one": HOUR_S, "other": HOUR_S + APART_S + 1}, ""),
        ({"wrong": -HOUR_S, "one": HOUR_S, "other": HOUR_S + 1}, "one"),
        ({"one": HOUR_S, "other": HOUR_S, "third": -HOUR_S, "fourth": -HOUR_S}, ""),
    ],
)
def test_whom_most_servers_agree_with_is_believed(told: dict[str, float], believed: str) -> None:
    assert Agreement().heard(told) == believed


def test_one_alone_that_tells_another_time_each_round_is_never_believed() -> None:
    agreement = Agreement()
    assert {agreement.heard({"router": HOUR_S + number * 100}) for number in range(3 * ROUNDS)} == {""}
