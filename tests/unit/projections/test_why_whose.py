"""A workload and a volume of one name: of each is told what is its own, and of the other only what set it going."""

import pytest
from msgspec.structs import replace

from journal.events import EffectFailed, EffectStarted, VolumeLost, VolumeMade, WorkloadEnvRevealed, WorkloadStarted
from journal.specs import VolumeMount
from projections.advice import BY_REASON
from projections.intents import DeclaredVolume, Delete, DeleteVolume, Intent, ResizeVolume, Start, Stop
from projections.state import Volume
from projections.why import Why, why_gone, why_never, why_volume, why_workload
from tests.support.story import Story, declared
from tests.unit.projections.test_why import past_of, texts, turned_down, why

SIZE = 64 << 20


@pytest.fixture
def story() -> Story:
    """Workload web with volume web, both declared by one apply."""
    made, web = Story(), declared("web")
    web = replace(web, spec=replace(web.spec, mounts=(VolumeMount("web", "/srv"),)))
    made.apply(web, volumes=(DeclaredVolume("web", SIZE),))
    return made


def volume(story: Story) -> Volume:
    return story.machine.volumes["web"]


def of_volume(story: Story) -> Why:
    return why_volume(volume(story), past_of(story))


def told(answer: Why) -> list[str]:
    return [text.split(" (")[0].split(",")[0] for text in texts(answer)]


def could_not_start(story: Story) -> None:
    uid, why_not = story["web"].uid, ("ENTRYPOINT_MISSING", "no such file")
    begun = EffectStarted("StartRun", "web", uid, run=1)
    story.tell(begun, EffectFailed("StartRun", "web", uid, *why_not, run=1, permanent=True))


def could_not_be_made(story: Story) -> None:
    one, why_not = volume(story), ("NO_SPACE", "the pool is full")
    full = EffectFailed("EnsureVolume", "web", one.uid, *why_not, retry_delay_ms=500, size_bytes=one.size_bytes)
    story.tell(EffectStarted("EnsureVolume", "web", one.uid), full)


@pytest.mark.parametrize("last", ["volume", "workload"])
def test_each_failed_for_a_reason_of_its_own_whichever_did_last(story: Story, last: str) -> None:
    fail = {"workload": could_not_start, "volume": could_not_be_made}
    for kind in sorted(fail, key=lambda one: one == last):
        fail[kind](story)
    of_workload, of_its_volume = why(story), of_volume(story)
    assert of_workload.conclusion == "web has failed: no such file"
    assert told(of_workload) == ["web created", "web run 1 could not be started: no such file; not tried again"]
    assert of_workload.advice == BY_REASON["ENTRYPOINT_MISSING"].format(name="web", image="")
    assert of_its_volume.conclusion == "volume web is not there in its full size yet: the pool is full"
    assert told(of_its_volume) == ["volume web created", "volume web could not be made"]
    assert "the pool is full" in texts(of_its_volume)[-1]


@pytest.mark.parametrize("ran", [False, True])
def test_who_stopped_the_workload_is_told_also_once_its_volume_was_asked_to_grow(story: Story, ran: bool) -> None:
    if ran:
        story.converge()
    story.call(Stop("web"))
    story.converge()
    story.call(ResizeVolume("web", 2 * SIZE))
    answer = why(story)
    assert answer.conclusion.startswith("web is stopped")
    assert told(answer) == ["web shall stop", *(["web run 1 exited with code 143"] if ran else [])]
    story.converge()
    assert why(story) == answer


def test_who_asked_the_volume_to_grow_is_told_also_once_the_workload_was_asked_to_stop(story: Story) -> None:
    story.call(Stop("web"))
    story.converge()
    story.call(ResizeVolume("web", 2 * SIZE))
    story.call(Start("web"))
    assert told(of_volume(story)) == ["volume web to grow"]


def test_a_loss_of_the_volume_has_nothing_to_do_with_a_stop(story: Story) -> None:
    story.converge()
    story.call(Stop("web"))
    story.converge()
    story.tell(VolumeLost("web", volume(story).uid))
    assert told(of_volume(story)) == ["volume web created", "volume web is not in the storage any more"]


@pytest.mark.parametrize("last", ["volume", "workload"])
def test_what_is_gone_is_told_by_its_kind_whichever_went_last(story: Story, last: str) -> None:
    story.converge()
    story.call(Stop("web"))
    story.converge()
    goes: dict[str, Intent] = {"workload": Delete("web"), "volume": DeleteVolume("web", force=True)}
    for kind in sorted(goes, key=lambda one: one == last):
        story.call(goes[kind])
        story.converge()
    assert not story.machine.workloads and not story.machine.volumes
    past = past_of(story)
    of_workload, of_its_volume, of_either = (why_gone("web", past, kind) for kind in ("workload", "volume", ""))
    assert of_workload is not None and of_its_volume is not None
    assert of_workload.conclusion == "there is no workload web any more"
    assert told(of_workload) == ["web shall be gone", "web is gone"]
    assert of_its_volume.conclusion == "there is no volume web any more"
    assert told(of_its_volume) == ["volume web shall be gone", "volume web is gone"]
    assert of_either == (of_workload if last == "workload" else of_its_volume), "what was there last"


def test_what_went_with_it_is_not_taken_for_it(story: Story) -> None:
    story.apply(declared("db"))
    story.converge()
    story.call(Delete("db"))
    story.converge()
    assert why_gone("web", past_of(story)) is None


def test_one_that_came_again_knows_nothing_of_the_one_before(story: Story) -> None:
    story.converge()
    story.call(Delete("web"))
    story.call(Delete("web"))
    story.converge()
    before = story.machine.seq
    story.apply(declared("web"))
    answer = why(story)
    assert told(answer) == ["web created"] and answer.chain[0].seq > before


def test_the_volume_that_it_waited_for_still_explains_the_workload(story: Story) -> None:
    story.tell(EffectStarted("EnsureVolume", "web", volume(story).uid), VolumeMade("web", volume(story).uid, SIZE))
    made = story.machine.seq
    story.run_starts("web")
    past = past_of(story)
    start = next(seq for seq, (_, event) in past.items() if isinstance(event, WorkloadStarted)) - 1
    past[start] = (replace(past[start][0], cause=made), past[start][1])
    answer = why_workload(story.machine, story["web"], past)
    assert told(answer) == ["web created", "volume web is there", "web run 1 started"]


def test_the_volume_that_it_waits_for_is_explained_beside_it(story: Story) -> None:
    could_not_be_made(story)
    answer = why(story)
    assert answer.detail == "waiting" and answer.others == (("volume", "web"),)
    assert told(answer) == ["web created"], "of it is told below"


def test_what_another_apply_set_going_is_told_with_what_it_declared() -> None:
    story = Story()
    story.apply(declared("web"))
    story.apply(declared("db"))
    story.run_starts("web")
    past = past_of(story)
    start = next(seq for seq, (_, event) in past.items() if isinstance(event, EffectStarted))
    past[start] = (replace(past[start][0], cause=start - 1), past[start][1])
    answer = why_workload(story.machine, story["web"], past)
    assert told(answer) == ["web created", "db created", "web run 1 started"]


def test_a_secret_that_was_shown_explains_nothing(story: Story) -> None:
    story.converge()
    before = why(story), of_volume(story)
    story.tell(WorkloadEnvRevealed("web", story["web"].uid, story["web"].revision, ("TOKEN",)))
    assert (why(story), of_volume(story)) == before


def test_a_refusal_after_which_the_other_kind_was_declared_is_told_still(story: Story) -> None:
    machine = Story()
    machine.tell(turned_down(method="VolumeService.Create", reason="BAD_SIZE"))
    machine.apply(declared("web"))
    found = why_never("web", past_of(machine), "volume")
    assert found is not None and found[0].text == "its creation was refused: BAD_SIZE"
    story.tell(turned_down())
    story.call(ResizeVolume("web", 2 * SIZE))
    assert told(why(story))[-1].startswith("an apply was refused")
