"""LVM's thin pool under volumes: what is in the group, by lvm2's own JSON reports, and the few changes that are made.

One command at a time: LVM would make them wait for each other anyway, and what was looked at stays so until it is acted
on. Whoever is told of a failure is told what LVM said.
"""

import asyncio

import msgspec

from effects.command import Command, how_it_ended
from effects.errors import DriverError, NoSpace, VolumeBusy, VolumeFailed
from projections.storage import Fill

MAKING = "capsule.making"
"""A tag of what is not whole yet."""

_SIZE = "capsule.size="
_ASKED = "capsule.asked="
_FIELDS = "lv_name,lv_size,lv_tags,data_percent,metadata_percent,lv_active"
_FULL_PERCENT = 99.0


class Logical(msgspec.Struct, frozen=True):
    """A logical volume. `size_bytes` is what was asked for, `used_bytes` what it takes in the pool, about."""

    name: str
    size_bytes: int
    used_bytes: int
    tags: frozenset[str]
    active: bool

    @property
    def whole(self) -> bool:
        """Whether it was finished."""
        return MAKING not in self.tags

    def is_of(self, asked_at: int) -> bool:
        """Whether it is what was asked for then, in nanoseconds; see asked.py."""
        noted = next((tag for tag in self.tags if tag.startswith(_ASKED)), f"{_ASKED}0")
        return noted == f"{_ASKED}{asked_at}"


class _Row(msgspec.Struct, frozen=True):
    lv_name: str
    lv_size: str
    lv_tags: str = ""
    data_percent: str = ""
    metadata_percent: str = ""
    lv_active: str = ""


class _Rows(msgspec.Struct, frozen=True):
    lv: tuple[_Row, ...] = ()


class _Report(msgspec.Struct, frozen=True):
    report: tuple[_Rows, ...] = ()


def parsed(said: str) -> dict[str, Logical]:
    """A report as it was printed, warnings before and behind it. Raises VolumeFailed."""
    return {row.lv_name: _logical(row) for row in _rows(said)}


def pool_fill(said: str, pool: str) -> Fill:
    """How full the pool is: in data or in metadata, whichever is fuller. Raises VolumeFailed."""
    for row in _rows(said):
        if row.lv_name == pool:
            percent = max(_number(row.data_percent), _number(row.metadata_percent))
            return Fill(int(row.lv_size), int(int(row.lv_size) * percent / 100))
    raise VolumeFailed(f"there is no pool {pool}")


def _rows(said: str) -> tuple[_Row, ...]:
    try:
        report = msgspec.json.decode(said[said.index("{") : said.rindex("}") + 1], type=_Report)
    except (ValueError, msgspec.MsgspecError) as error:
        raise VolumeFailed(f"LVM's report cannot be read: {said.strip()[-300:]}") from error
    return tuple(row for rows in report.report for row in rows.lv)


def _logical(row: _Row) -> Logical:
    tags = frozenset(row.lv_tags.split(",")) - {""}
    extents = int(row.lv_size)
    asked = next((int(tag.removeprefix(_SIZE)) for tag in tags if tag.startswith(_SIZE)), extents)
    used = int(extents * _number(row.data_percent) / 100)
    return Logical(row.lv_name, asked, used, tags, row.lv_active == "active")


def _number(text: str) -> float:
    return float(text) if text else 0.0


class ThinGroup:
    """A volume group with a thin pool."""

    def __init__(self, command: Command, group: str, pool: str) -> None:
        self._command = command
        self._group = group
        self._pool = pool
        self._lock = asyncio.Lock()

    def device(self, name: str) -> str:
        """Where an active logical volume is."""
        return f"/dev/{self._group}/{name}"

    async def look(self) -> dict[str, Logical]:
        """Everything in the group, by name."""
        return parsed(await self._reported())

    async def fill(self) -> Fill:
        """How full the pool is."""
        return pool_fill(await self._reported(), self._pool)

    async def create(self, name: str, size_bytes: int, asked_at: int = 0) -> None:
        """A new one that is not whole yet, and active. Raises NoSpace."""
        tags = _tagged(size_bytes, asked_at)
        size = ("--virtualsize", f"{size_bytes}b", "--thinpool", self._pool)
        await self._do("lvcreate", "--yes", "--wipesignatures", "n", *size, *tags, "--name", name, self._group)

    async def snapshot(self, origin: str, name: str, size_bytes: int, asked_at: int = 0) -> None:
        """A thin copy of this moment, of a mounted file system too, that is not whole yet."""
        tags = _tagged(size_bytes, asked_at)
        await self._do("lvcreate", "--yes", "--snapshot", *tags, "--name", name, f"{self._group}/{origin}")

    async def become_volume(self, name: str) -> None:
        """A copy that is active from now on, as volumes are."""
        await self._do("lvchange", "--setactivationskip", "n", "--activate", "y", f"{self._group}/{name}")

    async def finish(self, name: str) -> None:
        """It is whole."""
        await self._do("lvchange", "--deltag", MAKING, f"{self._group}/{name}")

    async def note(self, one: Logical, asked_at: int) -> None:
        """It is what was asked for then, in nanoseconds."""
        if not one.is_of(asked_at):
            old = (word for tag in one.tags if tag.startswith(_ASKED) for word in ("--deltag", tag))
            await self._do("lvchange", "--addtag", f"{_ASKED}{asked_at}", *old, f"{self._group}/{one.name}")

    async def extend(self, one: Logical, size_bytes: int) -> None:
        """At least so large."""
        code, said = await self._run("lvextend", "--size", f"{size_bytes}b", f"{self._group}/{one.name}")
        if code and "matches existing size" not in said and "not larger than existing size" not in said:
            raise _failure(f"lvextend {one.name}", code, said)
        if one.size_bytes != size_bytes:
            old, new = f"{_SIZE}{one.size_bytes}", f"{_SIZE}{size_bytes}"
            await self._do("lvchange", "--addtag", new, "--deltag", old, f"{self._group}/{one.name}")

    async def activate(self, name: str) -> None:
        """Its device is there."""
        await self._do("lvchange", "--activate", "y", "--ignoreactivationskip", f"{self._group}/{name}")

    async def rename(self, name: str, new: str) -> None:
        """It is called so."""
        await self._do("lvrename", self._group, name, new)

    async def remove(self, *names: str) -> None:
        """They are not there. Raises VolumeBusy."""
        if names:
            await self._do("lvremove", "--yes", *(f"{self._group}/{name}" for name in names))

    async def resume(self) -> None:
        """Whatever a crash left suspended goes on."""
        code, said = await self._command(
            "dmsetup", "info", "--columns", "--noheadings", "--separator", "|", "--options", "name,suspended"
        )
        if code:
            raise VolumeFailed(f"`dmsetup info`: {how_it_ended(code)}: {said.strip()[-300:]}")
        for line in said.splitlines():
            name, _, state = line.strip().partition("|")
            if state == "Suspended" and name.startswith(f"{self._group}-"):
                await self._command("dmsetup", "resume", name)

    async def _reported(self) -> str:
        units = ("--reportformat", "json", "--units", "b", "--nosuffix")
        code, said = await self._run("lvs", *units, "--options", _FIELDS, self._group)
        if code:
            raise _failure("lvs", code, said)
        return said

    async def _do(self, verb: str, *options: str) -> None:
        code, said = await self._run(verb, *options)
        if code:
            raise _failure(f"{verb} {' '.join(options)}", code, said)

    async def _run(self, verb: str, *options: str) -> tuple[int, str]:
        async with self._lock:
            return await self._command("lvm", verb, *options)


def _tagged(size_bytes: int, asked_at: int) -> tuple[str, ...]:
    return "--addtag", MAKING, "--addtag", f"{_SIZE}{size_bytes}", "--addtag", f"{_ASKED}{asked_at}"


def _failure(what: str, code: int, said: str) -> DriverError:
    said = said.strip()[-300:]
    if "in use" in said or "is used by another device" in said:
        return VolumeBusy(f"something still uses it: {said}")
    if "insufficient free space" in said or "out of data space" in said or "over the threshold" in said:
        return full(said)
    return VolumeFailed(f"`lvm {what}`: {how_it_ended(code)}: {said}")


def full(said: str = "") -> NoSpace:
    """There is no room for more in the pool, as LVM `said` or not."""
    return NoSpace(f"the pool under the volumes is full: delete volumes or snapshots{f' ({said})' if said else ''}")


def is_full(fill: Fill) -> bool:
    """Whether writes into it fail."""
    return fill.used_bytes * 100 >= fill.total_bytes * _FULL_PERCENT
