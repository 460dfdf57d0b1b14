"""In which order the machine's name servers are asked: as they are written, and those that are silent last for a while."""

import asyncio
from pathlib import Path

import pytest

from capsuled import name_upstreams
from capsuled.name_upstreams import Upstreams, upstreams
from capsuled.names import unavailable

FIRST, SECOND, OWN = "192.0.2.1", "192.0.2.2", "172.20.254.1"
QUESTION = b"\x00\x01\x01\x00" + bytes(8)
GOOD, REFUSED = (b"\x00\x01\x81" + bytes([0x80 | code]) + bytes(8) for code in (0, 5))


class Servers:
    """What each answers, and who was asked; None is silence."""

    def __init__(self, **answers: bytes | None) -> None:
        self.answers = {FIRST: answers.get("first", GOOD), SECOND: answers.get("second", GOOD)}
        self.asked: list[str] = []

    async def __call__(self, question: bytes, server: str) -> bytes:
        self.asked.append(server)
        answer = self.answers[server]
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return answer

    def since(self) -> list[str]:
        """Who was asked since this was called last."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_upstreams, "UPSTREAM_S", 0.05)
    monkeypatch.setattr(name_upstreams, "upstreams", lambda: (FIRST, OWN, SECOND))


def test_the_first_that_knows_is_heard_and_the_machine_itself_never_asked() -> None:
    servers = Servers(first=REFUSED)

    async def main() -> None:
        asking = Upstreams(OWN)
        assert await asking.ask(QUESTION, servers) == GOOD and servers.since() == [FIRST, SECOND]
        servers.answers[SECOND] = REFUSED
        assert await asking.ask(QUESTION, servers) == REFUSED
        servers.answers = {FIRST: None, SECOND: None}
        assert await asking.ask(QUESTION, servers) == unavailable(QUESTION)

    asyncio.run(main())


def test_a_silent_server_comes_last_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(first=None)

    async def main() -> None:
        monkeypatch.setattr(name_upstreams, "SILENT_S", 0.3)
        asking = Upstreams(OWN)
        assert await asking.ask(QUESTION, servers) == GOOD and servers.since() == [FIRST, SECOND]
        assert await asking.ask(QUESTION, servers) == GOOD and servers.since() == [SECOND]
        servers.answers[SECOND] = REFUSED
        assert await asking.ask(QUESTION, servers) == REFUSED and servers.since() == [SECOND, FIRST], (
            "it is not left out"
        )
        servers.answers = {FIRST: GOOD, SECOND: GOOD}
        await asyncio.sleep(0.35)
        assert await asking.ask(QUESTION, servers) == GOOD and servers.since() == [FIRST]

    asyncio.run(main())


def test_one_question_finds_out_whether_a_silent_server_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(first=None)

    async def main() -> None:
        monkeypatch.setattr(name_upstreams, "SILENT_S", 0.2)
        asking = Upstreams(OWN)
        await asking.ask(QUESTION, servers)
        await asyncio.sleep(0.25)
        servers.since()
        await asyncio.gather(*(asking.ask(QUESTION, servers) for _ in range(20)))
        assert servers.since().count(FIRST) == 1

    asyncio.run(main())


def test_the_machines_servers_are_read_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(
        "# nameserver 9.9.9.9\nsearch lan\nnameserver 192.0.2.1\nnameserver fd00::1\nnameserver fe80::1%eth0\n"
        "nameserver router.lan\nnameserver 192.0.2.256\n"
    )
    assert upstreams(tmp_path / "resolv.conf") == ("192.0.2.1", "fd00::1", "fe80::1%eth0")
    assert upstreams(tmp_path / "nothing") == ()
