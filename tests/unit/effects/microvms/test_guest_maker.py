"""What microVMs boot, where nobody has made it: on the first need, once, and what is told of it meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from effects.errors import DriverLacks, GuestImageFailed
from effects.microvms import guest_maker
from effects.microvms.guest_image import GuestFiles
from effects.microvms.guest_maker import GuestMaker
from tests.support.until import until


class Builder:
    """In place of the process: it goes on when it is told to, and ends with `code`."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.asked = 0
        self.given_up = False
        self.go = asyncio.Event()
        self.says: tuple[str, ...] = ("linux-image 6.1", "the kernel")

    async def __call__(self, *argv: str, told: Callable[[str], None]) -> int:
        self.asked += 1
        for line in self.says:
            told(line)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if not self.code:
            (Path(argv[-1]) / "manifest").write_text("{}")
        return self.code


def sources(directory: Path, stubs: str = "gen/capsule/guest") -> Path:
    for part in ("guest", "channel", "copies", "sandbox", stubs):
        (directory / part).mkdir(parents=True)
        (directory / part / "one.py").write_text("")
    return directory


def live(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await story()

    asyncio.run(main())


def test_a_house_that_pip_installed_has_its_sources_too(tmp_path: Path) -> None:
    lacks = [
        GuestMaker(tmp_path / "state", Builder(), house, str).lacks()
        for house in (sources(tmp_path / "one", "capsule/guest"), sources(tmp_path / "other", "elsewhere"))
    ]
    assert lacks == ["", f"its sources are not in {tmp_path / 'other'}"]


def test_all_who_need_it_wait_for_one_making_and_the_next_find_it(tmp_path: Path) -> None:
    async def story() -> None:
        builder = Builder()
        house, state = sources(tmp_path / "house"), tmp_path / "guest"
        (state / "of-another-release").mkdir(parents=True)
        maker = GuestMaker(state, builder, house, str)
        files = GuestFiles((), maker)
        assert files.waits and files.lacks() == ""
        asking = [asyncio.ensure_future(files.find()) for _ in range(3)]
        await until(lambda: maker.step == "the kernel")
        builder.go.set()
        found = {(await one).kernel.parent for one in asking}
        assert found == {maker.place} and builder.asked == 1 and maker.step == "" and not files.waits
        assert [one.name for one in state.iterdir()] == [maker.place.name], "nothing of another release's is left"
        assert (await GuestFiles((), GuestMaker(state, builder, house, str)).find()).kernel.parent == maker.place
        (house / "guest" / "one.py").write_text("changed = True\n")
        assert GuestFiles((), GuestMaker(state, builder, house, str)).waits, (
            "an agent of today's for a daemon of today's"
        )

    live(story)


def test_whoever_waits_too_long_hears_how_far_it_is_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_maker, "PATIENCE_S", 0.05)

    async def story() -> None:
        builder = Builder()
        maker = GuestMaker(tmp_path / "guest", builder, sources(tmp_path), str)
        with pytest.raises(GuestImageFailed, match="is still being made, once for all: the kernel"):
            await maker.made()
        assert not builder.given_up
        monkeypatch.setattr(guest_maker, "PATIENCE_S", 30.0)
        builder.go.set()
        assert await maker.made() == maker.place and builder.asked == 1

    live(story)


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (("looking", "E: Unable to locate package libc6", "`apt-get` ended with 100"), "E: Unable to locate package"),
        (("the kernel is not packed by lz4",), "the kernel is not packed by lz4"),
        ((), "it ended with 1, and said nothing"),
    ],
)
def test_a_making_that_fails_says_why_and_is_tried_again(tmp_path: Path, says: tuple[str, ...], why: str) -> None:
    async def story() -> None:
        builder = Builder(1)
        builder.says = says
        builder.go.set()
        maker = GuestMaker(tmp_path / "guest", builder, sources(tmp_path), str)
        with pytest.raises(GuestImageFailed, match=f"cannot be made: {why}"):
            await maker.made()
        builder.code = 0
        assert await maker.made() == maker.place

    live(story)


def test_a_daemon_that_ends_gives_it_up(tmp_path: Path) -> None:
    async def story() -> None:
        builder = Builder()
        maker = GuestMaker(tmp_path / "guest", builder, sources(tmp_path), str)
        asking = asyncio.ensure_future(maker.made())
        await until(lambda: maker.step == "the kernel")
        asking.cancel()
        await asyncio.wait((asking,))
        assert not builder.given_up, "who waits may go, and it goes on"
        await maker.close()
        assert builder.given_up and maker.step == ""

    live(story)


def test_where_a_program_is_missing_its_package_is_named_before_anything_is_tried(tmp_path: Path) -> None:
    def found(name: str) -> str | None:
        return None if name in ("mksquashfs", "lz4") else name

    maker = GuestMaker(tmp_path / "guest", Builder(), sources(tmp_path), found)
    files = GuestFiles((tmp_path / "none",), maker)
    assert "`mksquashfs`, `lz4` are not installed: `apt-get install squashfs-tools lz4`" in files.lacks()
    with pytest.raises(DriverLacks, match="squashfs-tools lz4"):
        asyncio.run(files.find())
    assert "its sources are not in" in GuestMaker(tmp_path / "guest", Builder(), tmp_path / "none", str).lacks()
    with pytest.raises(DriverLacks, match="nobody makes it"):
        asyncio.run(GuestFiles((tmp_path / "none",)).find())
