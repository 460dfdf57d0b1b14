"""The wait for a machine that takes over an archive: for its next life, and not for what does not come."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capsulectl import restore
from capsulectl.contexts import Target
from capsulectl.errors import Failure, NotLetIn
from capsulectl.heads import Seen, load

UNKNOWN = "this key is not enrolled on this capsule"
ANSWER = SimpleNamespace(journal_id="archive", head_seq=9, head_hash="ab", desired_hash="cd")


class Machine:
    """What it says to one question after the other."""

    def __init__(self, *said: object) -> None:
        self._said = list(said)
        self.open = self.asked = 0

    def __call__(self, capsule: Target) -> "Machine":
        self.open += 1
        return self

    def close(self) -> None:
        self.open -= 1

    @property
    def heads(self) -> Any:
        return SimpleNamespace(rest=lambda: None)

    @property
    def history(self) -> Any:
        return SimpleNamespace(Stats=None)

    def read(self, method: Any, request: Any) -> Any:
        self.asked += 1
        said = self._said.pop(0)
        if isinstance(said, Failure):
            raise said
        return SimpleNamespace(journal_id=said, desired_hash="cd")


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setattr(restore, "LOOK_S", 0.0)


def test_it_ends_with_the_next_life_and_leaves_no_channel_open(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("blank", Failure("the capsule does not answer"), "archive")
    monkeypatch.setattr(restore, "Connection", machine)
    restore._wait(Target("new"), ANSWER, 10)
    assert (machine.asked, machine.open) == (3, 0)
    assert load("new") == Seen("archive", 9, "ab")


def test_whose_key_is_not_in_the_archive_is_told_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine("blank", NotLetIn(UNKNOWN), *["archive"] * 9)
    monkeypatch.setattr(restore, "Connection", machine)
    with pytest.raises(Failure, match="operators in there in place of its own") as told:
        restore._wait(Target("new"), ANSWER, 10)
    assert all(word in told.value.message for word in (UNKNOWN, "`capsulectl key add`", "RESET_AUTH", "another system"))
    assert (machine.asked, machine.open) == (2, 0)


def test_two_hashes_are_not_both_the_archives() -> None:
    assert restore._like("2c91", "2c91") == "2c91, as in the archive"
    but_for = "as in the archive (2c91) but for your key, which is an admin's now: e61b"
    assert restore._like("2c91", "e61b") == but_for


def test_of_a_machine_that_is_not_blank_it_is_said_how_much_it_has() -> None:
    assert restore._inhabited({"workload": [], "volume": ["mine"], "secret": []}) == "1 volume (mine)"
    many = {"workload": ["counter", "web"], "volume": ["data", "more"], "secret": ["password"]}
    assert restore._inhabited(many) == "2 workloads, 2 volumes, 1 secret (counter, web, data and 2 more)"
