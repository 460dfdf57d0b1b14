"""What differs from what is wanted is listed with its label and the entry that says so; what does not, is not."""

import pytest
from msgspec.structs import replace

from effects.planner import plan
from journal.events import (
    DriftFound,
    DriftResolved,
    EffectFailed,
    ImageLost,
    ImagePulled,
    NetworkDrifted,
    PushedImage,
    VolumeDrifted,
    VolumeLost,
    VolumeMade,
    WorkloadHealthChanged,
)
from journal.specs import RestartMode, VolumeMount
from projections.drift import Label, drift, news, unknown
from projections.intents import (
    DeclaredVolume,
    Delete,
    DeleteSnapshot,
    DeleteVolume,
    Restart,
    RestoreVolume,
    Start,
    Stop,
    TakeSnapshot,
)
from projections.volumes import running_users_of
from tests.support.story import PIN, Story, declared, spec
from tests.unit.projections.drift_story import bridged, only, settled, shown, stored

# --- none --------------------------------------------------------------------------------------------------------


def test_a_machine_that_is_as_it_is_wanted_has_none() -> None:
    assert drift(Story().machine) == drift(bridged().machine) == drift(stored().machine) == ()


@pytest.mark.parametrize(("restart", "code"), [("never", 0), ("never", 3), ("on-failure", 0)])
def test_a_programs_own_end_that_its_policy_leaves_so_is_none(restart: RestartMode, code: int) -> None:
    story = settled(declared("job", restart=restart))
    story.run_ends("job", code)
    story.converge()
    assert drift(story.machine) == ()


def test_an_unhealthy_run_that_goes_on_is_none() -> None:
    story = settled(declared("web", restart="never"))
    story.tell(WorkloadHealthChanged("web", 1, 1, "unhealthy", failures=3, message="refused"))
    assert drift(story.machine) == ()


# --- intended ----------------------------------------------------------------------------------------------------


def test_what_was_just_applied_is_intended_and_names_the_apply() -> None:
    story = Story()
    story.apply(declared("web"))
    assert (only(story).label, only(story).seq, only(story).since) == (Label.INTENDED, 1, story.machine.at)
    assert only(story).what == "it has not run yet"


def test_a_stopped_workload_is_intended_and_names_the_stop() -> None:
    story = settled(declared("web"))
    story.call(Stop("web"))
    asked = story.machine.seq
    assert only(story).what == "it is stopping"
    story.converge()
    found = only(story)
    assert (found.label, found.what, found.seq) == (Label.INTENDED, "it is stopped", asked)
    assert found.then == "`capsulectl start web` lets it run"


def test_back_off_after_a_failing_program_is_intended_and_names_the_end() -> None:
    story = settled(declared("web"))
    story.run_ends("web", 3)
    found = only(story)
    assert (found.label, found.seq) == (Label.INTENDED, story.machine.seq)
    assert (found.message, found.then) == ("exited with code 3", "another run follows")
    assert found.next_at == story.machine.at + 1_000_000_000


def test_who_waits_for_another_is_intended_and_says_for_whom() -> None:
    story = settled(declared("db", desired="stopped"))
    story.apply(declared("web", depends_on=("db",)))
    found = drift(story.machine, frozenset({"web"}))[0]
    assert (found.label, found.message) == (Label.INTENDED, "it waits for db, which is stopped")


def test_who_lost_a_volume_to_its_deletion_begins_only_once_it_is_applied_again() -> None:
    story, web = Story(), declared("web")
    web = replace(web, spec=replace(web.spec, mounts=(VolumeMount("data", "/srv"),)))
    story.apply(web, volumes=(DeclaredVolume("data", 64 << 20),))
    story.converge()
    story.call(DeleteVolume("data", force=True))
    story.converge()
    (found,) = drift(story.machine, frozenset({"web"}))
    assert "does not exist any more" in found.message and found.then == "it begins once it is applied again"


def test_a_change_a_restart_and_a_deletion_are_intended() -> None:
    story = settled(declared("web"))
    story.apply(declared("web", "other"))
    assert (only(story).what, only(story).seq) == ("it is not as it is declared now", story.machine.seq)
    story.converge()
    story.call(Restart("web"))
    assert (only(story).label, only(story).seq) == (Label.INTENDED, story.machine.seq)
    assert only(story).what == "it is to begin anew"  # by the declaration that it ran by already
    story.converge()
    story.call(Delete("web"))
    assert (only(story).what, only(story).seq) == ("it is being deleted", story.machine.seq)
    story.converge()
    assert drift(story.machine) == ()


def test_volumes_and_snapshots_on_their_way_are_intended() -> None:
    story = Story()
    story.apply(volumes=(DeclaredVolume("data", 64 << 20),))
    assert (only(story).object, only(story).what) == ("volume/data", "it is being made")
    story.converge()
    story.call(TakeSnapshot("data", "one"))
    assert (only(story).what, only(story).seq) == ("snapshot one is being taken", story.machine.seq)


# --- effect failed -----------------------------------------------------------------------------------------------


def test_an_effect_that_failed_stands_with_its_entry_and_its_message() -> None:
    story = Story()
    story.apply(declared("web"))
    story.tell(EffectFailed("StartRun", "web", 1, "NO_SPACE", "the disk\nis full", attempt=2, retry_delay_ms=4_000))
    found = only(story)
    assert (found.label, found.what, found.message) == (Label.EFFECT_FAILED, "StartRun failed", "the disk is full")
    assert (found.seq, found.then) == (story.machine.seq, "it is tried again")
    assert found.next_at == story.machine.at + 4_000_000_000
    story.tell(EffectFailed("StartRun", "web", 1, "BAD_USER", "no such user", permanent=True))
    assert not only(story).repair and only(story).then.startswith("nothing is tried again")


def test_a_volumes_failed_effect_is_the_volumes() -> None:
    story = Story()
    story.apply(volumes=(DeclaredVolume("data", 64 << 20),))
    story.tell(EffectFailed("EnsureVolume", "data", 1, "NO_SPACE", "full", retry_delay_ms=500, size_bytes=64 << 20))
    assert shown(story) == (("volume/data", "EnsureVolume", Label.EFFECT_FAILED),)


# --- foreign -----------------------------------------------------------------------------------------------------


def test_a_run_that_another_hand_killed_is_foreign_until_the_next_runs() -> None:
    story = settled(declared("web"))
    story.run_ends("web", 137)
    found = only(story)
    assert (found.object, found.aspect, found.label, found.seq) == (
        "workload/web", "run", Label.FOREIGN, story.machine.seq,
    )  # fmt: skip
    assert (found.message, found.then) == ("run 1 was killed by another hand", "another run follows")
    story.converge()
    assert drift(story.machine) == ()


def test_a_run_that_another_hand_removed_is_foreign() -> None:
    story = settled(declared("web"))
    story.run_vanishes("web")
    assert (only(story).label, only(story).message) == (Label.FOREIGN, "run 1 was removed by another hand")


def test_a_killed_run_that_is_never_restarted_stays_listed_until_it_is_started() -> None:
    story = settled(declared("job", restart="never"))
    story.run_ends("job", 137)
    story.converge()
    assert only(story).then == "nothing follows (restart: never): `capsulectl start job` begins another run"
    story.call(Start("job"))
    assert only(story).label is Label.INTENDED
    story.converge()
    assert drift(story.machine) == ()


def test_a_killed_run_that_was_to_end_anyway_is_not_foreign() -> None:
    story = settled(declared("web"))
    story.call(Stop("web"))
    story.run_ends("web", 137)
    assert only(story).label is Label.INTENDED


def test_a_link_that_another_hand_took_is_foreign_until_it_is_made_again() -> None:
    story = bridged()
    story.tell(NetworkDrifted("its link to the bridge is gone", "web", 1))
    found = only(story)
    assert (found.aspect, found.label, found.seq) == ("link", Label.FOREIGN, story.machine.seq)
    assert found.then == "the link is made again"
    story.converge()
    assert drift(story.machine) == ()


def test_rules_that_another_hand_flushed_are_foreign_and_the_networks() -> None:
    story = bridged()
    story.tell(NetworkDrifted("bridge or rules are not as they were made"))
    assert (only(story).object, only(story).aspect, only(story).label) == ("network", "rules", Label.FOREIGN)
    assert only(story).repair
    story.converge()
    assert drift(story.machine) == ()


def test_a_volume_that_another_hand_unmounted_is_foreign_and_still_held() -> None:
    story = stored()
    story.tell(VolumeDrifted("data", 1, "unmounted"))
    assert shown(story) == (("volume/data", "mount", Label.FOREIGN),)
    assert story.machine.volumes["data"].holder == "web" and running_users_of(story.machine, "data") == ("web",)
    story.converge()
    assert drift(story.machine) == ()


def test_a_broken_file_system_waits_for_a_restart() -> None:
    story = stored()
    story.tell(VolumeDrifted("data", 1, "read-only"))
    assert plan(story.machine) == () and only(story).then.startswith("`capsulectl restart web`")
    story.call(Restart("web"))
    story.converge()
    assert drift(story.machine) == ()


def test_a_volume_that_the_storage_lost_is_foreign_until_it_is_back() -> None:
    story = stored()
    story.tell(VolumeLost("data", 1, mounted=True))
    assert shown(story)[-1] == ("volume/data", "storage", Label.FOREIGN)
    story.tell(VolumeMade("data", 1, 64 << 20))
    assert drift(story.machine) == ()


def test_an_image_that_another_hand_took_is_foreign_while_a_workload_needs_it() -> None:
    story = settled(declared("web"))
    story.tell(ImageLost((PIN.ref,), (PIN.index_digest,)))
    assert shown(story) == ((f"image/{PIN.ref}", "image", Label.FOREIGN),)
    story.tell(ImagePulled((PushedImage(PIN),)))
    assert drift(story.machine) == ()
    story.tell(ImageLost((), (PIN.index_digest,)))
    story.call(Delete("web"))
    story.converge()
    assert drift(story.machine) == () and not story.machine.workloads


def test_power_that_was_lost_is_nobodys_hand() -> None:
    story = bridged()
    story.reboot("boot-1")
    story.tell(NetworkDrifted("its link to the bridge is gone", "web", 1), NetworkDrifted("rules"))
    story.reboot("boot-2")
    assert {label for _, _, label in shown(story)} == {Label.INTENDED}


# --- telling -----------------------------------------------------------------------------------------------------


def test_what_another_hand_did_is_told_once_and_taken_back_once() -> None:
    story = bridged()
    assert news(story.machine) == ()
    story.tell(NetworkDrifted("its link to the bridge is gone", "web", 1))
    observed = story.machine.seq
    found = DriftFound("workload", "web", "link", observed, "its link to the bridge is gone", repair=True)
    assert news(story.machine) == (found,)
    story.tell(*news(story.machine))
    assert news(story.machine) == ()
    story.converge()
    assert news(story.machine) == (DriftResolved("workload", "web", "link", observed, "repaired"),)
    story.tell(*news(story.machine))
    assert news(story.machine) == () and story.machine.drifts == {}


def test_what_nobody_wants_any_more_is_dropped_not_repaired() -> None:
    story = settled(declared("web", drift="report"))
    story.run_ends("web", 137)
    story.tell(*news(story.machine))
    story.call(Delete("web"))
    (told,) = news(story.machine)
    assert isinstance(told, DriftResolved) and told.how == "dropped"


def test_the_same_again_after_it_was_told_is_another() -> None:
    story = settled(declared("web"))
    story.run_ends("web", 137)
    story.tell(*news(story.machine))
    story.converge()
    story.run_ends("web", 137)
    assert [type(event) for event in news(story.machine)] == [DriftResolved, DriftFound]


# --- names -------------------------------------------------------------------------------------------------------


def test_names_select_by_what_stands_behind_the_slash_or_in_full() -> None:
    story = settled(declared("db"), declared("web"))
    story.call(Stop("db"))
    story.call(Stop("web"))
    assert {one.object for one in drift(story.machine)} == {"workload/db", "workload/web"}
    for name in ("web", "workload/web"):
        assert [one.object for one in drift(story.machine, frozenset({name}))] == ["workload/web"]
    assert unknown(story.machine, frozenset({"web", "network", "nobody", "volume/web"})) == ("nobody", "volume/web")


def test_a_spec_of_the_same_words_has_the_policy_outside() -> None:
    assert spec() == declared("web", drift="report").spec


def test_all_that_other_hands_can_do_is_told_and_taken_back() -> None:
    story = stored()
    story.apply(declared("app", network="bridge"))
    story.converge()
    story.tell(
        VolumeDrifted("data", 1, "unmounted"),
        NetworkDrifted("rules"),
        ImageLost((PIN.ref,), (PIN.index_digest,)),
    )
    told = news(story.machine)
    assert all(isinstance(one, DriftFound) for one in told)
    assert [(one.kind, one.aspect) for one in told] == [("volume", "mount"), ("network", "rules"), ("image", "image")]
    story.tell(*told, ImagePulled((PushedImage(PIN),)))
    story.converge()
    told = news(story.machine)
    assert {(one.kind, one.how) for one in told if isinstance(one, DriftResolved)} == {
        ("volume", "repaired"),
        ("network", "repaired"),
        ("image", "repaired"),
    }
    assert len(told) == 3


def test_an_object_that_goes_takes_what_differed_along() -> None:
    story = stored()
    story.tell(VolumeLost("data", 1))
    story.tell(*news(story.machine))
    story.call(DeleteVolume("data", force=True))
    assert DriftResolved("volume", "data", "storage", story.machine.seq - 2, "dropped") in news(story.machine)


def test_what_a_run_goes_through_is_intended_and_said() -> None:
    story = Story()
    story.apply(declared("web"))
    goal = plan(story.machine)[0]
    story.begin(goal)
    assert (only(story).what, only(story).then) == ("it is starting", "it runs")
    story.reach(goal)
    story.tell(WorkloadHealthChanged("web", 1, 1, "unhealthy", failures=3, message="refused", restart=True))
    assert (only(story).what, only(story).then) == ("it is unhealthy and is to end", "another run follows")


def test_what_is_asked_of_a_volume_is_intended_until_it_is_so() -> None:
    story = Story()
    story.apply(volumes=(DeclaredVolume("data", 64 << 20),))
    story.converge()
    story.call(TakeSnapshot("data", "one"))
    story.converge()
    story.call(RestoreVolume("data", "one"))
    assert (only(story).what, only(story).then) == ("it is being restored", "its content is the snapshot's")
    story.converge()
    story.call(DeleteSnapshot("data", "one"))
    assert (only(story).what, only(story).then) == ("snapshots of it are being deleted", "they are gone")
    story.converge()
    story.call(DeleteVolume("data"))
    assert (only(story).what, only(story).then) == ("it is being deleted", "nothing of it is left")
