"""A process that says how far it is."""

import asyncio
from pathlib import Path

import pytest

from capsuled.processes import CommandFailed, narrated, run
from tests.support.until import until


def test_lines_are_told_as_they_come_and_its_end_is_returned() -> None:
    said: list[str] = []
    script = "echo one; echo two >&2; head -c 200000 /dev/zero | tr '\\0' x; echo; echo three; exit 7"
    assert asyncio.run(narrated("sh", "-c", script, told=said.append)) == 7
    assert said[:2] == ["one", "two"] and said[-1] == "three"


def test_given_up_it_ends_with_all_that_it_runs(tmp_path: Path) -> None:
    async def main() -> None:
        said: list[str] = []
        working = asyncio.ensure_future(narrated("sh", "-c", "sleep 1000 & echo $!; wait", told=said.append))
        await until(lambda: said)
        working.cancel()
        await asyncio.wait((working,))
        stat = Path(f"/proc/{said[0]}/stat")
        await until(lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z")

    asyncio.run(asyncio.wait_for(main(), 30))


def test_who_waits_for_all_of_its_output_hears_whenever_some_of_it_comes() -> None:
    heard: list[None] = []

    async def main() -> None:
        assert await run("sh", "-c", "echo one; sleep 0.2; echo two", heard=lambda: heard.append(None)) == b"one\ntwo\n"
        assert len(heard) == 2
        assert await run("sh", "-c", "head -c 1000000 /dev/zero >&2", heard=lambda: None) == b""
        with pytest.raises(CommandFailed, match="exit 3: why") as failed:
            await run("sh", "-c", "echo some; echo why >&2; exit 3", heard=lambda: None)
        assert failed.value.out == b"some\n"
        working = asyncio.ensure_future(run("sleep", "1000", heard=lambda: None))
        await asyncio.sleep(0.1)
        working.cancel()
        await asyncio.wait((working,))

    asyncio.run(asyncio.wait_for(main(), 30))
