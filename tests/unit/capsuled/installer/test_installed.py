"""What an installer leaves for the first start on a disk, and what becomes of it there."""

from pathlib import Path

import pytest

from capsuled.identity import Identity, load_or_make
from capsuled.installed import BadSeal, Installed, clear, laid_down, lay_down
from capsuled.layout import Layout
from capsuled.tls import load_or_make_certificate
from journal.events import DaemonStarted, MachineInstalled, OperatorEnrolled
from projections.state import Machine
from tests.support.story import Story

SEALED = Installed("0.0.1", "/dev/vda", "kid", "70" * 32, "anna")


def test_the_first_start_is_who_the_installer_was(tmp_path: Path) -> None:
    me = Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32)
    shown = load_or_make_certificate(tmp_path / "installers.pem", me.capsule_id)
    state = tmp_path / "perm"
    state.mkdir()
    lay_down(state, me, shown, SEALED)
    layout = Layout(state, state)
    found = load_or_make(layout.identity)
    assert found.capsule_id == me.capsule_id and found.machine_key != me.machine_key
    assert load_or_make_certificate(layout.certificate, found.capsule_id).fingerprint == shown.fingerprint
    assert laid_down(layout) == SEALED
    clear(layout)
    assert laid_down(layout) is None


def test_its_history_begins_with_that_and_with_its_operator() -> None:
    assert SEALED.events(Machine()) == (
        MachineInstalled("0.0.1", "/dev/vda", sealed=True),
        OperatorEnrolled("kid", "70" * 32, "anna", role="admin", how="installed"),
    )
    assert Installed("0.0.1", "/dev/vda").events(Machine()) == (MachineInstalled("0.0.1", "/dev/vda"),)


def test_a_history_that_has_begun_is_told_of_it_no_second_time() -> None:
    story = Story()
    story.tell(DaemonStarted(mode="os", previous="first", pid=1))
    assert SEALED.events(story.machine) == ()


def test_what_cannot_be_read_makes_nobody_its_owner(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path)
    layout.identity.mkdir()
    layout.installed.write_bytes(b'{"release": "0.')
    with pytest.raises(BadSeal, match="cannot be read"):
        laid_down(layout)
