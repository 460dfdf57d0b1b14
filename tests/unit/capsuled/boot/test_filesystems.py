"""A file system is mounted where a check came to its end and left nothing wrong, and nowhere else."""

import asyncio
from pathlib import Path

import pytest

from capsuled.boot import filesystems
from capsuled.boot.errors import StorageFailed
from journal.environment import hold

CLEAN, MENDED, LEFT, KILLED = 0, 1, 4, -9


class Machine:
    """What e2fsck's runs end with, one after the other, and what was done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *codes: int) -> None:
        self.codes = list(codes)
        self.done: list[str] = []
        monkeypatch.setattr(filesystems, "outcome", self.outcome)
        monkeypatch.setattr(filesystems, "run", self.run)

    async def outcome(self, *argv: str) -> tuple[int, str]:
        self.done.append(" ".join(argv[:-1]))
        return self.codes.pop(0), ""

    async def run(self, *argv: str) -> bytes:
        self.done.append(argv[0])
        return b""

    def mounts(self, place: Path, name: str = "perm") -> tuple[str, ...]:
        return asyncio.run(filesystems.mount(name, place))


@pytest.mark.parametrize("code", [CLEAN, MENDED])
def test_what_is_sound_is_mounted_and_nobody_need_know(
    code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Machine(monkeypatch, code)
    assert machine.mounts(tmp_path / "perm") == () and machine.done == ["e2fsck -p", "mount"]


@pytest.mark.parametrize(("code", "said"), [(LEFT, "had to be repaired"), (KILLED, "was killed by SIGKILL, and made")])
def test_what_the_first_check_left_is_checked_again_and_told(
    code: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Machine(monkeypatch, code, MENDED)
    (note,) = machine.mounts(tmp_path / "perm")
    assert said in note and machine.done == ["e2fsck -p", "e2fsck -f -y", "mount"]


@pytest.mark.parametrize(("code", "said"), [(LEFT, "beyond e2fsck's repair"), (KILLED, "was killed by SIGKILL")])
@pytest.mark.parametrize("first", [LEFT, KILLED])
def test_what_the_second_check_left_is_not_mounted(
    first: int, code: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Machine(monkeypatch, first, code)
    with pytest.raises(StorageFailed, match=said):
        machine.mounts(tmp_path / "perm")
    assert "mount" not in machine.done


def test_what_the_check_found_stays_beside_the_journal_which_can_be_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = tmp_path / "lost+found"
    found.mkdir()
    Machine(monkeypatch, CLEAN).mounts(tmp_path, "journal")
    assert not found.exists(), "a journal's directory is the journal's, where nothing was found"
    found.mkdir()
    (found / "#13").write_text("the lock, or the journal")
    Machine(monkeypatch, MENDED).mounts(tmp_path, "journal")
    with hold(tmp_path):
        assert (found / "#13").exists()
