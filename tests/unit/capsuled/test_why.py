"""Why, asked of a journal in which a workload and a volume have one name: of each its own, however much there is."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from capsule.v1 import history_pb2 as pb
from capsuled.why import explained
from journal.events import DaemonStarted, JournalRestored, MachineHalted, VolumeLost
from journal.specs import VolumeMount
from projections.intents import DeclaredVolume, Delete, DeleteVolume
from tests.support.entries import Ledger, indexed
from tests.support.story import Story, declared
from tests.unit.projections.test_why import past_of


@pytest.fixture
def story() -> Story:
    """Workload web runs, with volume web."""
    made, web = Story(), declared("web")
    web = replace(web, spec=replace(web.spec, mounts=(VolumeMount("web", "/srv"),)))
    made.apply(web, volumes=(DeclaredVolume("web", 64 << 20),))
    made.converge()
    return made


def asked(directory: Path, story: Story, *what: str) -> list[pb.WhyResponse | None]:
    ledger = Ledger()
    for header, event in story.entries:
        ledger.boot = header.boot
        ledger.add(event, actor=header.actor, cause=header.cause, call=header.call)
    with indexed(directory, ledger) as reader:
        return [explained(reader, story.machine, one) for one in what]


def test_of_both_that_are_gone_each_is_told(story: Story, tmp_path: Path) -> None:
    story.call(Delete("web"))
    story.converge()
    story.call(DeleteVolume("web"))
    story.converge()
    workload, volume, last = asked(tmp_path / "journal", story, "workload/web", "volume/web", "web")
    assert workload is not None and volume is not None and last == volume
    assert (workload.kind, [one.text for one in workload.chain]) == ("workload", ["web shall be gone", "web is gone"])
    assert (volume.kind, volume.chain[-1].text) == ("volume", "volume web is gone")


def test_of_one_that_is_gone_nothing_is_told_of_the_other(story: Story, tmp_path: Path) -> None:
    story.call(Delete("web"))
    story.converge()
    workload, volume, bare = asked(tmp_path / "journal", story, "workload/web", "volume/web", "web")
    assert workload is not None and workload.conclusion == "there is no workload web any more"
    assert volume is not None and volume.conclusion == "volume web is there, and nobody has it mounted"
    assert bare == volume


def test_what_ends_again_and_again_leaves_its_volume_in_sight(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsuled.why.KEPT", 20)
    story.tell(VolumeLost("web", story.machine.volumes["web"].uid, mounted=True))
    lost = story.machine.seq
    for _ in range(10):
        story.run_ends("web", 3)
        story.cleaned("web")
        story.run_starts("web")
    workload, volume = asked(tmp_path / "journal", story, "workload/web", "volume/web")
    assert workload is not None and workload.chain[-1].text == "web run 11 started, pid 100"
    assert volume is not None and volume.chain[-1].seq == lost


def test_the_deletion_of_a_volume_is_found_by_who_waits_for_it(tmp_path: Path) -> None:
    story, counter = Story(), declared("counter")
    counter = replace(counter, spec=replace(counter.spec, mounts=(VolumeMount("data", "/srv"),)))
    story.apply(counter, volumes=(DeclaredVolume("data", 64 << 20),))
    story.converge()
    story.call(DeleteVolume("data", force=True))
    story.converge()
    (answer,) = asked(tmp_path / "journal", story, "counter")
    assert answer is not None and answer.chain[-1].text == "volume data shall be gone, taken from counter"


@pytest.mark.parametrize(
    ("halted", "how"), [(True, "which was halted"), (False, "which lost its power")], ids=["a halt", "power"]
)
def test_an_end_of_the_machine_is_found_although_it_names_nobody(tmp_path: Path, halted: bool, how: str) -> None:
    story = Story()
    story.tell(DaemonStarted("os", "first"))
    story.apply(declared("web"))
    story.converge()
    end = story.machine.seq + 1
    if halted:
        story.tell(MachineHalted(at=7, boot="boot-1"))
    story.reboot("boot-2")
    story.converge()
    story.tell(DaemonStarted("os", "crash"))
    story.entries = list(past_of(story).values())
    (web,) = asked(tmp_path / "journal", story, "web")
    assert web is not None
    _, taken, started = web.chain
    assert (taken.seq, taken.text) == (end, f"web run 1 ended with the machine, {how}")
    assert started.text == "web run 2 started, pid 100"


def test_a_restore_is_found_although_it_names_nobody(story: Story, tmp_path: Path) -> None:
    story.tell(JournalRestored(story.machine.seq, "ab"))
    restored = story.machine.seq
    story.tell(VolumeLost("web", story.machine.volumes["web"].uid))
    (volume,) = asked(tmp_path / "journal", story, "volume/web")
    assert volume is not None and volume.conclusion.startswith("volume web is not in the storage: its content stayed")
    assert volume.chain[-2].seq == restored and "took over the memory" in volume.chain[-2].text
