"""Secrets as files in memory: there before the run that needs them, as they are now, and gone with the last."""

import pytest
from msgspec.structs import replace

from capsuled.secret_watch import gone, unneeded
from effects.goals import EnsureImage, EnsureSecretFiles, kind_of
from effects.planner import plan, plan_workload
from effects.secrets.protocol import SeenFiles, place_of
from journal.events import EffectFailed, SecretFilesPlaced
from journal.specs import ImagePin, RestartPolicy, SecretFile, Tmpfs
from projections.admission import Admitted
from projections.intents import (
    Delete,
    Intent,
    RemoveSecret,
    Restart,
    Stop,
)
from projections.refusals import Refusal
from projections.status import status_of
from tests.support.story import Story, declared
from tests.unit.projections.moments import run_of
from tests.unit.projections.secret_story import create, refused, rotate, using

FAR = ImagePin("docker.io/library/other:1", "sha256:" + "5" * 64, "sha256:" + "6" * 64)


def kinds(story: Story) -> list[str]:
    """The goals that are reached until nothing is due."""
    found = []
    while goals := plan(story.machine):
        found.append(kind_of(goals[0]))
        story.reach(goals[0])
        assert len(found) < 20
    return found


def placed(story: Story, name: str = "web") -> list[tuple[str, int, str]]:
    return [(one.path, one.version, one.sealed) for one in story[name].secret_files]


def running_with_a_file() -> Story:
    story = Story()
    story.call(create())
    story.apply(using("web", file="db"))
    assert kinds(story) == ["EnsureSecretFiles", "StartRun"]
    return story


def test_files_are_there_before_the_run_that_needs_them() -> None:
    assert placed(running_with_a_file()) == [("/run/secrets/db", 1, "first")]


def test_a_rotation_reaches_what_runs_without_a_restart() -> None:
    story = running_with_a_file()
    story.call(rotate())
    assert kinds(story) == ["EnsureSecretFiles"] and placed(story) == [("/run/secrets/db", 2, "second")]
    assert run_of(story).number == 1 and status_of(story["web"]).message == ""


@pytest.mark.parametrize(
    ("call", "goals"),
    [
        (Stop("web"), ["StopRun", "RemoveSecretFiles"]),
        (Delete("web"), ["StopRun", "RemoveSecretFiles", "RemoveWorkload"]),
        (Restart("web"), ["StopRun", "StartRun"]),
    ],
)
def test_what_does_not_run_has_nothing_in_memory(call: Intent, goals: list[str]) -> None:
    story = running_with_a_file()
    story.call(call)
    assert kinds(story) == goals
    assert call == Delete("web") or bool(story["web"].secret_files) == isinstance(call, Restart)


def test_what_is_declared_without_them_has_none_any_more_and_with_another_has_that() -> None:
    story = running_with_a_file()
    story.apply(declared("web", "other"))
    assert kinds(story) == ["StopRun", "RemoveSecretFiles", "StartRun"] and placed(story) == []
    story.call(create("api", "third"))
    story.apply(using("web", file="api"))
    assert kinds(story) == ["StopRun", "EnsureSecretFiles", "StartRun"]
    assert placed(story) == [("/run/secrets/api", 1, "third")]


def test_what_a_try_may_have_left_in_memory_goes_when_it_is_not_wanted_any_more() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", file="db"))
    (goal,) = plan(story.machine)
    story.begin(goal)
    story.tell(EffectFailed("EnsureSecretFiles", "web", story["web"].uid, "MEMORY_FULL", "no room"))
    story.apply(declared("web", "other"))
    assert placed(story) == [] and kinds(story) == ["RemoveSecretFiles", "StartRun"]


def test_a_run_that_ended_for_good_keeps_nothing_in_memory_and_one_that_goes_on_does() -> None:
    story = running_with_a_file()
    story.run_ends("web", 0)
    assert placed(story) and kinds(story) == ["CleanRun", "StartRun"]
    once = Story()
    once.call(create())
    one = using("web", file="db")
    once.apply(replace(one, spec=replace(one.spec, restart=RestartPolicy("never"))))
    once.converge()
    once.run_ends("web", 0)
    assert kinds(once) == ["RemoveSecretFiles", "CleanRun"] and placed(once) == []


def test_with_the_power_goes_what_was_in_memory_and_it_is_made_again() -> None:
    story = running_with_a_file()
    story.reboot("boot-1")
    assert placed(story) != []
    story.reboot("boot-2")
    assert placed(story) == []
    assert kinds(story) == ["CleanRun", "EnsureSecretFiles", "StartRun"]


def test_what_runs_until_its_successor_can_begin_follows_its_secrets_meanwhile() -> None:
    story = running_with_a_file()
    story.call(create("api", "third"))
    story.apply(replace(using("web", file="api"), image_ref="docker.io/library/other:1", resolved=FAR))
    assert isinstance(plan_workload(story.machine, story["web"]), EnsureImage)
    story.call(rotate())
    goal = plan_workload(story.machine, story["web"])
    assert isinstance(goal, EnsureSecretFiles) and [one.sealed for one in goal.files] == ["second"]
    assert refused(story, RemoveSecret("db")).reason == "SECRET_IN_USE"
    assert kinds(story)[-2:] == ["EnsureSecretFiles", "StartRun"]
    assert placed(story) == [("/run/secrets/api", 1, "third")]
    assert isinstance(story.call(RemoveSecret("db")), Admitted)


def test_an_image_that_is_given_up_stays_so_when_the_files_of_the_former_run_fail() -> None:
    story = running_with_a_file()
    story.call(create("api", "third"))
    story.apply(replace(using("web", file="api"), image_ref="docker.io/library/other:1", resolved=FAR))
    uid = story["web"].uid
    story.tell(EffectFailed("EnsureImage", "web", uid, "REGISTRY_DENIED", "who are you", permanent=True))
    story.call(rotate())
    for tries in (1, 2):
        story.tell(
            EffectFailed("EnsureSecretFiles", "web", uid, "NO_MEMORY", "full", attempt=tries, retry_delay_ms=500)
        )
        (goal,) = plan(story.machine)
        assert isinstance(goal, EnsureSecretFiles)
        assert (goal.attempt, goal.not_before) == (tries + 1, story["web"].hold) and goal.not_before is not None
        assert status_of(story["web"]).message == "who are you"
    story.reach(goal)
    assert plan(story.machine) == ()


def test_files_that_cannot_be_made_leave_the_image_of_the_successor_its_turn() -> None:
    story = running_with_a_file()
    story.call(rotate())
    story.apply(replace(using("web", file="db"), image_ref="docker.io/library/other:1", resolved=FAR))
    turns = []
    for _ in range(5):
        (goal,) = plan(story.machine)
        assert goal.not_before == story["web"].retry
        turns.append(kind_of(goal))
        story.begin(goal)
        reason = "SEAL_BROKEN" if isinstance(goal, EnsureSecretFiles) else "REGISTRY_DOWN"
        story.tell(EffectFailed(kind_of(goal), "web", goal.uid, reason, "no", attempt=goal.attempt, retry_delay_ms=500))
    assert turns == ["EnsureSecretFiles", "EnsureImage"] * 2 + ["EnsureSecretFiles"]
    assert kinds(story) == ["EnsureImage", "StopRun", "EnsureSecretFiles", "StartRun"]


def test_what_another_hand_took_is_made_again() -> None:
    story = running_with_a_file()
    seen = SeenFiles("web", story["web"].uid, frozenset())
    whole = SeenFiles("web", story["web"].uid, frozenset({place_of("/run/secrets/db")}))
    assert gone(story.machine, (whole,)) == () and unneeded(story.machine, (whole,)) == ()
    (told,) = gone(story.machine, (seen,))
    assert gone(story.machine, ()) == (told,)
    story.tell(told)
    # What runs sees the place that it was begun with, and no other: that stays.
    assert unneeded(story.machine, (whole, SeenFiles("old", 3, frozenset()))) == (("old", 3),)
    assert kinds(story) == ["EnsureSecretFiles"]
    story.call(Stop("web"))
    story.converge()
    assert unneeded(story.machine, (whole,)) == (("web", whole.uid),)


def test_what_is_left_of_several_is_known() -> None:
    story = Story()
    story.call(create())
    one = declared("web")
    files = (SecretFile("db", "/srv/keys/a"), SecretFile("db", "/srv/keys/b"))
    story.apply(replace(one, spec=replace(one.spec, secrets=files)))
    story.converge()
    (told,) = gone(story.machine, (SeenFiles("web", story["web"].uid, frozenset({place_of("/srv/keys/b")})),))
    assert isinstance(told, SecretFilesPlaced) and [one.path for one in told.files] == ["/srv/keys/b"]
    story.tell(told)
    assert kinds(story) == ["EnsureSecretFiles"]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (("secrets/db",), "is absolute, names a file"),
        (("/srv/../db",), "is absolute, names a file"),
        (("/srv//keys/db",), "is absolute, names a file"),
        (("/srv/keys/",), "is absolute, names a file"),
        (("/db",), "/ would hold secrets only"),
        (("/etc/db",), "like /etc/secrets/db"),
        (("/dev/shm/db",), "would hold secrets only"),
        (("/srv/keys/db", "/srv/keys/db"), "two secrets cannot be at the same path"),
        (("/srv/keys/db", "/srv/keys/db/other"), "/srv/keys/db is a file and a directory"),
        (("/data/db",), "something else is at /data inside"),
        (tuple(f"/srv/keys/{number}" for number in range(257)), "at most 256 secrets"),
    ],
)
def test_a_path_that_cannot_be_is_refused(paths: tuple[str, ...], words: str) -> None:
    story = Story()
    story.call(create())
    one = declared("web")
    files = tuple(SecretFile("db", path) for path in paths)
    verdict = story.apply(replace(one, spec=replace(one.spec, secrets=files, tmpfs=(Tmpfs("/data"),))))
    assert isinstance(verdict, Refusal) and words in verdict.message, verdict
    assert verdict.fields[0].startswith("container.secrets")


def test_a_file_of_a_secret_that_is_not_there_is_refused() -> None:
    story = Story()
    verdict = story.apply(using("web", file="db"))
    assert isinstance(verdict, Refusal)
    assert (verdict.code, verdict.reason) == ("FAILED_PRECONDITION", "SECRET_NOT_FOUND")
    assert verdict.fields == ("container.secrets[0].secret",)
