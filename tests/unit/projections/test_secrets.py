"""Secrets in the state: a reference and a version for each, and who needs it."""

import pytest
from msgspec.structs import replace

from capsuled.sealing import SealBroken
from effects.goals import EnsureSecretFiles, StartRun, StopRun
from effects.planner import plan, plan_workload
from journal.events import EffectFailed, SecretRemoved, SecretRevealed, SecretRotated, WorkloadEnvRevealed
from journal.specs import SealedEnv, SecretEnv
from projections.admission import Admitted
from projections.conditions import conditions_of
from projections.dependencies import waits
from projections.desired import desired_hash
from projections.intents import (
    Intent,
    RemoveSecret,
    Restart,
    RevealEnv,
    RevealSecret,
    Stop,
)
from projections.refusals import Refusal
from projections.secrets import SEAL_BROKEN, files_for, users_of
from projections.status import status_of
from tests.support.story import Story, declared
from tests.unit.projections.moments import run_of
from tests.unit.projections.secret_story import create, refused, rotate, using, with_env


def test_a_secret_has_a_version_more_with_each_other_value_and_none_with_the_same() -> None:
    story = Story()
    story.call(create())
    first = story.machine.secrets["db"]
    assert (first.uid, first.version, first.sealed, first.size_bytes) == (1, 1, "first", 5)
    assert story.call(rotate("first")) == Admitted(())
    assert story.call(rotate()) == Admitted((SecretRotated("db", 1, 2, "second", 6, text=True),))
    now = story.machine.secrets["db"]
    assert (now.uid, now.version, now.sealed, now.size_bytes, now.created_at) == (1, 2, "second", 6, first.created_at)


def test_it_counts_for_whoever_guards_the_whole_machine() -> None:
    story = Story()
    for call in (create(), rotate(), RemoveSecret("db")):
        story.call(call)
        assert story.machine.desired_seq == story.machine.seq


def test_to_be_shown_changes_nothing_and_is_told() -> None:
    story = Story()
    story.call(create())
    before = story.machine.secrets["db"]
    assert story.call(RevealSecret("db")) == Admitted((SecretRevealed("db", 1, 1),))
    assert story.machine.secrets == {"db": before}


def test_that_an_environment_is_shown_changes_nothing_and_is_told() -> None:
    story = Story()
    story.apply(with_env("web", USER="hash one", MODE="hash two"), declared("bare"))
    before = story.machine.workloads["web"]
    shown = WorkloadEnvRevealed("web", before.uid, before.revision, ("USER", "MODE"))
    assert story.call(RevealEnv("web")) == Admitted((shown,))
    assert story.machine.workloads["web"] == before
    assert story.call(RevealEnv("bare")) == Admitted(())
    verdict = refused(story, RevealEnv("wbe"))
    assert (verdict.code, verdict.reason) == ("NOT_FOUND", "WORKLOAD_NOT_FOUND") and "web" in verdict.message


def test_another_of_the_same_name_is_another() -> None:
    story = Story()
    story.call(create())
    assert story.call(RemoveSecret("db")) == Admitted((SecretRemoved("db", 1),))
    assert not story.machine.secrets
    story.call(create(sealed="anew"))
    story.tell(SecretRotated("db", 1, 2, "late"), SecretRemoved("db", 1))
    assert (story.machine.secrets["db"].uid, story.machine.secrets["db"].sealed) == (3, "anew")


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        (create("Db"), "INVALID_ARGUMENT", "BAD_NAME"),
        (create("a/b"), "INVALID_ARGUMENT", "BAD_NAME"),
        (create("new", size_bytes=0), "INVALID_ARGUMENT", "BAD_VALUE"),
        (create("new", size_bytes=(512 << 10) + 1), "INVALID_ARGUMENT", "BAD_VALUE"),
        (rotate(size_bytes=0), "INVALID_ARGUMENT", "BAD_VALUE"),
        (create(sealed="other"), "ALREADY_EXISTS", "SECRET_EXISTS"),
        (rotate(name="bd"), "NOT_FOUND", "SECRET_NOT_FOUND"),
        (RevealSecret("bd"), "NOT_FOUND", "SECRET_NOT_FOUND"),
        (RemoveSecret("bd"), "NOT_FOUND", "SECRET_NOT_FOUND"),
    ],
)
def test_what_cannot_be_is_refused(call: Intent, code: str, reason: str) -> None:
    story = Story()
    story.call(create())
    verdict = refused(story, call)
    assert (verdict.code, verdict.reason) == (code, reason)


def test_who_was_probably_meant_is_named() -> None:
    story = Story()
    story.call(create("database"))
    assert "do you mean database?" in refused(story, RevealSecret("databse")).message
    assert "`capsulectl secret create web`" in refused(story, RevealSecret("web")).message


def test_one_that_is_just_being_replaced_is_no_reason_to_delete_anybody() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", env="db"))
    story.run_starts("web")
    story.apply(using("web"))
    verdict = refused(story, RemoveSecret("db"))
    assert verdict.reason == "SECRET_IN_USE" and "what runs of web with secret db is just ending" in verdict.message
    story.run_ends("web", 0)
    assert isinstance(story.call(RemoveSecret("db")), Admitted)


def test_one_that_is_used_is_not_removed_and_its_users_are_named() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", env="db"), using("app", file="db"), using("other"))
    assert users_of(story.machine, "db") == ("app", "web")
    verdict = refused(story, RemoveSecret("db"))
    assert (verdict.code, verdict.reason) == ("FAILED_PRECONDITION", "SECRET_IN_USE")
    assert "used by app, web: delete app and web, or apply them without" in verdict.message
    story.apply(using("app"))
    story.call(Stop("web"))
    assert "used by web: delete web" in refused(story, RemoveSecret("db")).message
    story.apply(using("web"))
    assert isinstance(story.call(RemoveSecret("db")), Admitted)


def test_what_still_runs_as_it_was_before_uses_it_until_it_has_ended() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", file="db"))
    story.run_starts("web")
    story.apply(using("web"))
    assert users_of(story.machine, "db") == ("web",)
    story.run_ends("web", 0)
    assert users_of(story.machine, "db") == ()


def test_what_is_no_text_cannot_take_the_place_of_a_variable() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", file="db"))
    assert isinstance(story.call(rotate(text=False)), Admitted)
    story.call(rotate("third"))
    story.apply(using("web", env="db"))
    verdict = refused(story, rotate("fourth", text=False))
    assert (verdict.code, verdict.reason) == ("FAILED_PRECONDITION", "NO_VARIABLE")
    assert "web has secret db as an environment variable" in verdict.message


# --- in the environment ------------------------------------------------------------------------------------------


def env_of(story: Story, name: str) -> list[tuple[str, str]]:
    """What the start that is due would put into the environment, by the names of sealed values."""
    goal = plan_workload(story.machine, story[name])
    assert isinstance(goal, StartRun), goal
    return [(one.name, one.sealed) for one in goal.secret_env]


@pytest.mark.parametrize("how", [{"env": "db"}, {"file": "db"}])
def test_nothing_begins_without_a_secret_that_is_not_there(how: dict[str, str]) -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", **how))
    story.tell(
        SecretRemoved("db", story.machine.secrets["db"].uid)
    )  # admission refuses it; a fold takes what it is told
    assert plan(story.machine) == ()
    assert waits(story.machine, story["web"]).startswith("secret db does not exist")


def test_a_run_begins_with_what_its_secrets_are_then() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", env="db"))
    assert env_of(story, "web") == [("TOKEN", "first")]
    story.call(rotate())
    assert env_of(story, "web") == [("TOKEN", "second")]


def test_what_runs_goes_on_with_the_former_value_and_says_so_until_its_next_start() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", env="db"), using("app", file="db"))
    story.converge()
    story.call(rotate())
    assert plan_workload(story.machine, story["web"]) is None and run_of(story).outdated == ("db",)
    assert "run 1 has a former value of secret db" in status_of(story["web"]).message
    (condition,) = [one for one in conditions_of(story["web"]) if one.type == "SecretsCurrent"]
    assert not condition.met and condition.reason == "rotated"
    assert run_of(story, "app").outdated == () and status_of(story["app"]).message == ""
    story.call(Restart("web"))
    story.converge()
    assert run_of(story).number == 2 and run_of(story).outdated == ()
    (condition,) = [one for one in conditions_of(story["web"]) if one.type == "SecretsCurrent"]
    assert condition.met and status_of(story["web"]).message == ""


def test_a_start_in_the_middle_of_which_a_secret_changes_is_made_anew() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", env="db"), using("app"))
    first = plan_workload(story.machine, story["web"])
    assert isinstance(first, StartRun)
    story.begin(first)
    story.call(rotate())
    assert isinstance(plan_workload(story.machine, story["web"]), StopRun)
    story.converge()
    assert run_of(story).number == 2 and run_of(story).phase == "running"
    assert run_of(story, "app").number == 1


def test_whoever_could_not_start_may_at_once_with_another_value() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", env="db"))
    goal = plan_workload(story.machine, story["web"])
    assert isinstance(goal, StartRun)
    story.begin(goal)
    broken = EffectFailed(
        "StartRun", "web", story["web"].uid, run=1, reason="SEAL_BROKEN", message="gone", attempt=1, permanent=True
    )
    story.tell(broken)
    assert plan_workload(story.machine, story["web"]) is None
    story.call(rotate())
    story.converge()
    assert run_of(story).phase == "running" and story["web"].trouble is None


@pytest.mark.parametrize("how", [{"env": "db"}, {"file": "db"}])
def test_whoever_could_not_start_for_a_value_that_did_not_open_may_at_once_when_it_is_given_again(
    how: dict[str, str],
) -> None:
    story = Story()
    story.call(create())
    story.apply(using("app", env="db"))
    story.converge()
    story.apply(using("web", **how))
    goal = plan_workload(story.machine, story["web"])
    assert isinstance(goal, StartRun | EnsureSecretFiles)
    story.begin(goal)
    effect = type(goal).__name__
    assert SealBroken.reason == SEAL_BROKEN
    story.tell(
        EffectFailed(
            effect, "web", story["web"].uid, run=1, reason=SEAL_BROKEN, message="no", attempt=1, permanent=True
        )
    )
    assert plan_workload(story.machine, story["web"]) is None
    desired, app = desired_hash(story.machine), story["app"]
    assert story.call(rotate("first", size_bytes=5)) == Admitted(
        (SecretRotated("db", 1, 1, "first", 5, text=True, again=True),)
    )
    assert type(plan_workload(story.machine, story["web"])) is type(goal), "it is tried again"
    assert desired_hash(story.machine) == desired and story["app"] == app, "nobody's value is another one"
    story.converge()
    assert run_of(story).phase == "running" and run_of(story).outdated == ()
    assert story.call(rotate("first")) == Admitted(()), "nobody waits for it any more"


def test_who_waits_for_something_else_is_not_woken_by_a_value_that_it_has() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", env="db"))
    goal = plan_workload(story.machine, story["web"])
    assert isinstance(goal, StartRun)
    story.begin(goal)
    story.tell(EffectFailed("StartRun", "web", story["web"].uid, run=1, reason="BAD_COMMAND", message="no", attempt=1))
    assert story.call(rotate("first")) == Admitted(())


@pytest.mark.parametrize(
    ("env", "secret_env", "reason"),
    [
        ((), (SecretEnv("TOKEN", "bd"),), "SECRET_NOT_FOUND"),
        ((), (SecretEnv("TOKEN", "raw"),), "NO_VARIABLE"),
        ((), (SecretEnv("A=B", "db"),), "BAD_ENV_NAME"),
        ((SealedEnv("TOKEN", "x"),), (SecretEnv("TOKEN", "db"),), "VARIABLE_TWICE"),
        ((), tuple(SecretEnv(f"A{number}", "db") for number in range(1_025)), "TOO_MANY_VARIABLES"),
    ],
)
def test_a_variable_that_cannot_be_had_is_refused(
    env: tuple[SealedEnv, ...], secret_env: tuple[SecretEnv, ...], reason: str
) -> None:
    story = Story()
    story.call(create())
    story.call(create("raw", "bytes", text=False))
    one = declared("web")
    verdict = story.apply(replace(one, spec=replace(one.spec, env=env, secret_env=secret_env)))
    assert isinstance(verdict, Refusal) and verdict.reason == reason
    assert verdict.code == (
        "INVALID_ARGUMENT"
        if reason in ("BAD_ENV_NAME", "VARIABLE_TWICE", "TOO_MANY_VARIABLES")
        else "FAILED_PRECONDITION"
    )
    assert all(field.startswith("container.") for field in verdict.fields)


def test_no_file_is_due_while_one_of_its_secrets_is_not_there() -> None:
    story = Story()
    story.call(create())
    story.apply(using("web", file="db"))
    spec = story["web"].spec
    assert len(files_for(story.machine, spec)) == 1
    del story.machine.secrets["db"]
    assert files_for(story.machine, spec) == ()
