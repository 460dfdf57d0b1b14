"""The health gate: what was well before must be well again, and nothing else is the new system's fault."""

from collections.abc import Sequence

from msgspec.structs import replace

from journal.events import (
    BootStarted,
    UpdateArmed,
    UpdateArming,
    UpdateHealthChanged,
    UpdateStaged,
    WorkloadHealthChanged,
    WorkloadStopRequested,
)
from journal.specs import HealthCheck
from projections.intents import Start
from projections.state import Update
from projections.update_health import Facts, failing, overdue, soaked, well
from projections.update_intents import BeginUpdate
from tests.support.story import SECOND, Story, declared
from tests.unit.projections.test_update_calls import LEVEL, NEW, OLD, on_trial, standing, uid

GOOD = Facts(answers=True, state="", uplink=True)
CHECK = HealthCheck("exec", ("true",))


def tried(once: Sequence[str] = (), **more: object) -> Story:
    """Two workloads run, and those that are to run `once`; one does not. Then the new system boots."""
    story = standing()
    for name in once:
        story.apply(declared(name, "serve", restart="never"))
        story.run_starts(name)
    for name in ("web", "db"):
        wanted = declared(name, "serve")
        story.apply(replace(wanted, spec=replace(wanted.spec, health=CHECK)) if name == "db" else wanted)
        story.run_starts(name)
    story.tell(WorkloadHealthChanged("db", story["db"].uid, 1, "healthy"))
    story.apply(declared("ill", "serve"))
    story.call(BeginUpdate(NEW, OLD, 1, "", LEVEL, LEVEL, LEVEL, 900, **more))  # type: ignore[arg-type]
    number = uid(story)
    story.tell(UpdateStaged(number, "b", "r", 1, 2), UpdateArming(number, True, well(story.machine)))
    story.tell(UpdateArmed(number))
    story.reboot("boot-2")
    story.tell(BootStarted("slot_b", "slot_a", "2", tentative=True, uid=number, deadline_mono_ns=900 * SECOND))
    return story


def the(story: Story) -> Update:
    return story.machine.updates[uid(story)]


def names(story: Story, facts: Facts = GOOD) -> list[str]:
    return [one.name for one in failing(story.machine, the(story), facts)]


def test_what_ran_and_was_well_has_to_be_so_again_and_what_did_not_has_not() -> None:
    story = tried()
    assert the(story).running == ("db", "web")
    assert names(story) == ["workload/db", "workload/web"]
    story.run_starts("web")
    story.run_starts("db")
    assert names(story) == ["workload/db"]
    story.tell(WorkloadHealthChanged("db", story["db"].uid, 2, "healthy"))
    assert names(story) == []
    story.tell(WorkloadHealthChanged("db", story["db"].uid, 2, "unhealthy", 3, "connection refused"))
    (check,) = failing(story.machine, the(story), GOOD)
    assert "connection refused" in check.message
    story.tell(WorkloadStopRequested("db", story["db"].uid))
    assert names(story) == []


def test_what_is_to_run_once_need_not_run_again_behind_a_boot() -> None:
    story = tried(("job",))
    assert "job" not in the(story).running and story["job"].run is not None
    assert "workload/job" not in names(story)
    by_an_older_release = replace(the(story), running=("job", *the(story).running))
    assert "workload/job" not in [one.name for one in failing(story.machine, by_an_older_release, GOOD)]


def test_who_needs_what_is_to_run_once_waits_for_a_word_behind_a_boot() -> None:
    story = tried(("job",))
    story.apply(replace(declared("web", "serve"), depends_on=("job",)))
    assert names(story) == ["workload/db"]
    story.call(Start("job"))
    story.run_starts("job")
    assert names(story) == ["workload/db", "workload/web"]


def test_what_has_done_its_work_in_the_trial_is_well() -> None:
    story = tried()
    story.apply(declared("web", "serve", restart="on-failure"))
    story.run_starts("web")
    story.run_ends("web", 0)
    assert names(story) == ["workload/db"]


def test_the_machine_itself_has_to_be_well_too() -> None:
    story = on_trial()
    assert names(story, Facts(answers=False, state="/perm is not mounted", uplink=False)) == ["api", "state"]
    assert names(tried(), Facts(answers=True, state="", uplink=False))[0] == "uplink"


def test_it_is_confirmed_by_itself_only_where_that_was_asked_for_and_after_the_whole_time() -> None:
    story = tried(confirm_when="healthy", soak_s=30)
    number = uid(story)
    assert not soaked(the(story), "boot-2", story.mono)
    story.tell(UpdateHealthChanged(number))
    since = story.mono
    assert not soaked(the(story), "boot-2", since + 30 * SECOND - 1)
    assert soaked(the(story), "boot-2", since + 30 * SECOND)
    assert not soaked(the(story), "boot-3", since + 30 * SECOND)
    story = tried()
    story.tell(UpdateHealthChanged(uid(story)))
    assert not soaked(the(story), "boot-2", story.mono + 9_999 * SECOND)


def test_its_time_is_over_at_its_moment_and_in_any_other_boot() -> None:
    update = the(tried())
    assert not overdue(update, "boot-2", 900 * SECOND - 1) and overdue(update, "boot-2", 900 * SECOND)
    assert overdue(update, "boot-3", 0)
