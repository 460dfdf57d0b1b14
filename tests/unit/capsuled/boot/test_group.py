"""The volume group in its first boots, whose power goes at any step: the last one finds or makes all of it, and what was
whole once is not touched."""

import asyncio
import itertools

import pytest

from capsuled.boot import group, remnants
from capsuled.boot.errors import StorageFailed
from capsuled.processes import CommandFailed

PARTITION = "/dev/vda6"
STEPS = ("before", "half-way", "behind")


class Cut(Exception):
    """The power went."""


class Volume:
    def __init__(self, kind: str, words: tuple[str, ...]) -> None:
        self.kind = kind
        self.tags = {words[at + 1] for at, word in enumerate(words) if word == "--addtag"}
        self.fails_when_full = False
        self.active = True
        self.formats = 0


class Lvm:
    """A disk, and what LVM and mke2fs make of it. `cut`: the power goes at that change, and where in it."""

    def __init__(self, cut: tuple[int, str] | None) -> None:
        self.cut = cut
        self.changes = 0
        self.kind = ""
        self.there: dict[str, Volume] | None = None
        self.has_named = False
        self.pool_is_whole = True

    def beginning(self, partition: str) -> bytes:
        """What its first MiB holds: each change of the group leaves the text before it where it lies."""
        return b"capsule {\n" + b"logical_volumes {\n" * self.has_named

    async def outcome(self, *argv: str) -> tuple[int, str]:
        verb = argv[1]
        if verb == "pvs":
            return 0, "  \n" if self.there is None else f"  {group.GROUP}\n"
        assert verb == "lvs", argv
        if self.there is None:
            return 5, '  Volume group "capsule" not found'
        rows = (f"  {name}|{','.join(one.tags)}|{one.kind}\n" for name, one in self.there.items())
        return 0, "".join(rows)

    async def run(self, *argv: str) -> bytes:
        if argv[1] == "vgs":
            return b"  17179869184\n"
        where = self.cut[1] if self.cut is not None and self.cut[0] == self.changes else ""
        self.changes += 1
        if where == "before":
            raise Cut
        self._do(argv, where == "half-way")
        if where:
            raise Cut
        return b""

    def _do(self, argv: tuple[str, ...], half: bool) -> None:
        match argv:
            case ["lvm", "vgcreate", *_, made, partition]:
                assert (made, partition, self.there) == (group.GROUP, PARTITION, None)
                self.kind, self.there = group.KIND, None if half else {}
            case ["lvm", verb, *words]:
                assert self.there is not None
                self._change(self.there, verb, tuple(words), half)
            case ["mke2fs", *_, device]:
                assert self.there is not None
                one = self.there[device.removeprefix(f"/dev/{group.GROUP}/")]
                assert one.active, f"{device} is not there"
                one.formats += not half

    def _change(self, there: dict[str, Volume], verb: str, words: tuple[str, ...], half: bool) -> None:
        names = [word.removeprefix(f"{group.GROUP}/") for word in words if word.startswith(f"{group.GROUP}/")]
        match verb:
            case "lvcreate":
                name = words[words.index("--name") + 1]
                if name in there:
                    raise CommandFailed(f"{name} already exists in volume group")
                assert "--errorwhenfull" not in words, "LVM refuses that with a pool that is made"
                self.has_named = True
                there[name] = Volume("thin-pool" if "thin-pool" in words and not half else "linear", words)
            case "lvremove" if not half:
                for name in names:
                    del there[name]
            case "vgchange":
                for one in there.values():
                    one.active = one.active or one.kind == "linear" or self.pool_is_whole
                if not self.pool_is_whole:
                    raise CommandFailed("`lvm vgchange`: exit 5: Check of pool capsule/pool failed (status:1).")
            case "lvchange" if "--activate" in words:
                for name in names[:1] if half else names:
                    there[name].active = True
            case "lvchange" if "--errorwhenfull" in words:
                assert there[names[0]].kind == "thin-pool"
                there[names[0]].fails_when_full = not half
            case "lvchange":
                for name in names[:1] if half else names:
                    there[name].tags.discard(words[words.index("--deltag") + 1])

    def switch_on(self) -> None:
        for one in (self.there or {}).values():
            one.active = False


def booted(monkeypatch: pytest.MonkeyPatch, disk: Lvm) -> tuple[str, ...]:
    """Switched on until no cut comes any more; returns what an operator is told."""
    monkeypatch.setattr(group, "run", disk.run)
    monkeypatch.setattr(group, "outcome", disk.outcome)
    monkeypatch.setattr(remnants, "beginning_of", disk.beginning)
    while True:
        disk.switch_on()
        try:
            return asyncio.run(group.ensure(PARTITION, disk.kind))
        except Cut:
            pass


def judge(disk: Lvm) -> None:
    assert disk.there is not None and disk.there.keys() == {"perm", "journal", "pool"}
    assert all(one.active and not one.tags for one in disk.there.values())
    assert disk.there["pool"].kind == "thin-pool" and disk.there["pool"].fails_when_full
    assert disk.there["perm"].formats and disk.there["journal"].formats


def whole(monkeypatch: pytest.MonkeyPatch) -> Lvm:
    disk = Lvm(None)
    booted(monkeypatch, disk)
    judge(disk)
    return disk


def test_wherever_the_power_goes_in_a_first_boot_the_next_one_has_all_of_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = whole(monkeypatch).changes
    for at, where in itertools.product(range(changes), STEPS):
        disk = Lvm((at, where))
        booted(monkeypatch, disk)
        judge(disk)
        assert disk.changes > at + 1 or (at, where) == (changes - 1, "behind"), "the power did not go"


def test_what_is_whole_is_found_and_nothing_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = whole(monkeypatch)
    changes = disk.changes
    booted(monkeypatch, disk)
    judge(disk)
    assert disk.changes == changes + 2, "more than its being switched on, first what is needed, then the rest"
    assert disk.there is not None and {one.formats for one in disk.there.values()} == {0, 1}


def test_a_pool_that_does_not_become_active_costs_its_volumes_and_not_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = whole(monkeypatch)
    disk.pool_is_whole = False
    (note,) = booted(monkeypatch, disk)
    assert disk.there is not None
    assert {name: one.active for name, one in disk.there.items()} == {"perm": True, "journal": True, "pool": False}
    assert "Check of pool capsule/pool failed" in note and "lvm lvconvert --repair capsule/pool" in note


def test_a_tool_that_was_killed_tells_nothing_of_the_disk_and_the_disk_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def killed(*argv: str) -> tuple[int, str]:
        return -9, ""

    monkeypatch.setattr(group, "outcome", killed)
    for asked in (group.content_of(PARTITION), group.ensure(PARTITION, group.KIND)):
        with pytest.raises(StorageFailed, match="cannot be read: killed by SIGKILL"):
            asyncio.run(asked)


@pytest.mark.parametrize("kind", ["", group.KIND])
def test_a_group_that_had_volumes_is_not_made_anew_where_no_tool_sees_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = whole(monkeypatch)
    changes = disk.changes
    disk.kind, disk.there = kind, None
    with pytest.raises(StorageFailed, match="its metadata is there"):
        booted(monkeypatch, disk)
    assert disk.changes == changes


def test_what_is_somebody_elses_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Lvm(None)
    disk.kind = "ext4"
    with pytest.raises(StorageFailed, match="which is not a capsule's"):
        booted(monkeypatch, disk)
    assert not disk.changes
