"""The daemon's loop: names that nobody answers for hold up other names, and nothing else."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from capsuled import loop
from capsuled.boot import ntp
from capsuled.loop import NAMES_AT_ONCE, THREADS, Leavable
from capsuled.resolve import RESOLVES_AT_ONCE
from effects.errors import RegistryUnreachable
from effects.images.registry import Access
from effects.images.registry_http import HttpRegistry
from tests.support.until import until


class SilentDns:
    """Answers nobody until it is `heard` again; then no name is known."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard = threading.Event()
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._asked)

    def _asked(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        self.heard.wait()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentDns]:
    silent = SilentDns(monkeypatch)
    yield silent
    silent.heard.set()


async def resolved(registry: HttpRegistry, number: int) -> str:
    try:
        return str(await registry.resolve(f"registry{number}.test/web:1"))
    except RegistryUnreachable as error:
        return str(error)


def test_what_waits_for_names_keeps_no_thread_from_others(dns: SilentDns) -> None:
    async def main() -> list[str]:
        registry = HttpRegistry(Access)
        resolving = asyncio.gather(*(resolved(registry, number) for number in range(RESOLVES_AT_ONCE)))
        await until(lambda: len(dns.asked) == RESOLVES_AT_ONCE)
        assert await asyncio.to_thread(lambda: "done") == "done" and not resolving.done()
        dns.heard.set()
        try:
            return await resolving
        finally:
            await registry.close()

    assert all("cannot be reached" in said for said in loop.run(main()))


def test_more_names_than_threads_wait_and_still_keep_none_from_others(dns: SilentDns) -> None:
    async def main() -> None:
        asking = [
            asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo(f"host{number}.test", 443))
            for number in range(2 * NAMES_AT_ONCE)
        ]
        await until(lambda: len(dns.asked) == NAMES_AT_ONCE)
        assert await asyncio.to_thread(lambda: "done") == "done"
        for one in asking[NAMES_AT_ONCE:]:
            one.cancel()
        await asyncio.sleep(0)
        dns.heard.set()
        await asyncio.wait(asking)
        assert len(dns.asked) == NAMES_AT_ONCE, "who gave up before its turn is not looked up"

    loop.run(main())


def test_a_loop_that_ends_waits_for_no_name(dns: SilentDns) -> None:
    async def main() -> None:
        asking = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo("host.test", 443))
        await until(lambda: dns.asked)
        asking.cancel()

    loop.run(main())
    assert not dns.heard.is_set()


def test_a_process_that_ends_waits_for_no_name() -> None:
    lookup_s = 600
    script = f"""
import asyncio, socket, sys, threading, time
from capsuled import loop
asked = threading.Event()
def silent(*arguments, **named):
    asked.set()
    time.sleep({lookup_s})
socket.getaddrinfo = silent
async def main():
    lookup = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo("registry.test", 443))
    while not asked.is_set():
        await asyncio.sleep(0.01)
    lookup.cancel()
loop.run(main())
sys.exit(3)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=lookup_s / 10, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_thread_for_names_is_made_only_where_all_are_at_work_and_outlives_a_name_that_fails() -> None:
    def fails() -> None:
        raise ValueError("no such host")

    def hold() -> bool:
        begun.release()
        return held.wait(60)

    names, begun, held = Leavable(2, "names"), threading.Semaphore(0), threading.Event()
    try:
        with pytest.raises(ValueError, match="no such host"):
            names.submit(fails).result(30)
        assert names._threads == 1
        holding = names.submit(hold)
        assert names.submit(lambda: "done").result(30) == "done"
        both = names.submit(hold)
        assert begun.acquire(timeout=30) and begun.acquire(timeout=30)
        waiting = names.submit(lambda: "done")
        names.shutdown()
        assert waiting.cancelled() and names._threads == 2
    finally:
        held.set()
    assert holding.result(30) and both.result(30)


def test_as_much_may_block_at_a_time_as_is_said() -> None:
    together = threading.Barrier(THREADS)

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(together.wait, 60) for _ in range(THREADS)))

    loop.run(main())


def test_a_server_of_the_time_whose_name_nobody_knows_is_given_up(
    dns: SilentDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ntp, "NAME_S", 0.01)
    with pytest.raises(TimeoutError, match="no DNS server says what address that is"):
        loop.run(ntp.asked("time.test"))


def test_an_address_is_nobodys_name_to_ask_for(dns: SilentDns) -> None:
    async def main() -> None:
        found = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", 9)
        )
        found[0].close()

    loop.run(main())
    assert dns.asked == []
