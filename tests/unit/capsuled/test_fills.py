"""How full volumes are: asked all at once, and what is not known keeps nothing else from being told."""

import asyncio

from capsuled.fills import fills_of
from effects.errors import RuntimeUnavailable
from effects.volumes.twin import Storage, TwinVolumes
from projections.state import Volume
from projections.storage import Fill

MIB = 1 << 20


class Slow(TwinVolumes):
    """Answers once `all_ask`; of some volumes no guest says how full they are, and some are in no guest that could."""

    def __init__(self, asked: int) -> None:
        super().__init__(Storage(), _no_step)
        self.all_ask = asyncio.Barrier(asked)

    async def usage(self, name: str, uid: int) -> Fill | None:
        await self.all_ask.wait()
        if name.startswith("silent"):
            raise RuntimeUnavailable(f"{name} does not answer")
        return None if name.startswith("boots") else Fill(uid, 1)


async def _no_step(point: str) -> None:
    pass


def _volume(name: str, uid: int, holder: str = "web") -> Volume:
    return Volume(name, uid, MIB, 0, uid, MIB, holder=holder, holder_uid=1 if holder else 0)


def test_all_are_asked_at_once_and_each_answer_is_its_own_volumes() -> None:
    async def test() -> None:
        names = ("silent-1", "a", "boots", "silent-2", "b")
        held = [_volume(name, number) for number, name in enumerate(names, 10)]
        async with asyncio.timeout(5):
            found = await fills_of(Slow(len(held)), [*held, _volume("nobody's", 9, holder="")])
        assert found.known == {"a": Fill(11, 1), "b": Fill(14, 1)}
        assert list(found.missing) == ["silent-1", "silent-2"]
        assert found.lacking() == "volume silent-1: silent-1 does not answer; volume silent-2: silent-2 does not answer"

    asyncio.run(test())


def test_where_nothing_is_missing_nothing_is_said() -> None:
    async def test() -> None:
        assert await fills_of(Slow(1), [_volume("a", 1)]) == ({"a": Fill(1, 1)}, {})
        assert (await fills_of(Slow(1), [])).lacking() == ""

    asyncio.run(test())
