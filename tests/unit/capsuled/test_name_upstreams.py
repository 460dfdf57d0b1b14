"""In which order the machine's name servers are asked: as they are written, and those that are silent last for a while."""

import asyncio
from pathlib import Path

import pytest

from capsuled import name_upstreams
from capsuled.name_upstreams import SIGN_OF_LIFE, Upstreams, upstreams
from capsuled.names import unavailable

FIRST, SECOND, OWN = "192.0.2.1", "192.0.2.2", "172.20.254.1"
QUESTION = b"\x00\x01\x01\x00" + bytes(8)
SLOW = QUESTION + b"its own server is down"
GOOD, REFUSED = (b"\x00\x01\x81" + bytes([0x80 | code]) + bytes(8) for code in (0, 5))


class Servers:
    """What each answers, and who was asked for a name; None is silence, and the first never answers to SLOW."""

    def __init__(self, **answers: bytes | None) -> None:
        self.answers = {FIRST: answers.get("first", GOOD), SECOND: answers.get("second", GOOD)}
        self.asked: list[str] = []

    async def __call__(self, question: bytes, server: str) -> bytes:
        if question != SIGN_OF_LIFE:
            self.asked.append(server)
        answer = None if (question, server) == (SLOW, FIRST) else self.answers[server]
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
    monkeypatch.setattr(name_upstreams, "SIGN_S", 0.05)
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


def test_a_name_that_a_server_finds_no_answer_to_leaves_it_in_its_place() -> None:
    servers = Servers()

    async def main() -> None:
        asking = Upstreams(OWN)
        await asyncio.gather(*(asking.ask(SLOW, servers) for _ in range(4)))
        assert servers.since() == [FIRST] * 4 + [SECOND] * 4
        assert await asking.ask(QUESTION, servers) == GOOD and servers.since() == [FIRST]

    asyncio.run(main())


def test_such_a_name_does_not_keep_a_server_last_that_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(first=None)

    async def main() -> None:
        monkeypatch.setattr(name_upstreams, "SILENT_S", 0.2)
        asking = Upstreams(OWN)
        await asking.ask(QUESTION, servers)
        servers.answers[FIRST] = GOOD
        await asyncio.sleep(0.25)
        await asking.ask(SLOW, servers)
        servers.since()
        assert await asking.ask(QUESTION, servers) == GOOD and servers.since() == [FIRST]

    asyncio.run(main())


def test_a_server_that_answers_others_meanwhile_is_asked_for_no_sign_of_life() -> None:
    servers, signs = Servers(), list[str]()

    async def way(question: bytes, server: str) -> bytes:
        signs.extend([server] if question == SIGN_OF_LIFE else [])
        return await servers(question, server)

    async def main() -> None:
        asking = Upstreams(OWN)
        slow = asyncio.create_task(asking.ask(SLOW, way))
        await asyncio.sleep(0.01)
        await asking.ask(QUESTION, way)
        await slow
        assert not signs
        await asking.ask(SLOW, way)
        assert signs == [FIRST]

    asyncio.run(main())


def test_the_machines_servers_are_read_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(
        "# nameserver 9.9.9.9\nsearch lan\nnameserver 192.0.2.1\nnameserver fd00::1\nnameserver fe80::1%eth0\n"
        "nameserver router.lan\nnameserver 192.0.2.256\n"
    )
    assert upstreams(tmp_path / "resolv.conf") == ("192.0.2.1", "fd00::1", "fe80::1%eth0")
    assert upstreams(tmp_path / "nothing") == ()
