"""Health: what a look changes, what ends a run, and what is said of it."""

from msgspec.structs import replace

from journal.events import WorkloadExited, WorkloadHealthChanged
from journal.specs import HealthCheck, RestartPolicy
from projections.conditions import conditions_of
from projections.dependencies import waits
from projections.details import Detail
from projections.health import Failure, Finding, judge, looked_at, words
from projections.intents import Stop
from projections.status import Phase, status_of
from projections.views import state_hash
from tests.support.story import Story, declared, spec

CHECK = HealthCheck("exec", ("true",), retries=3, start_period_ms=0)
WELL, ILL = Finding(), Finding(Failure.EXITED, code=7)


class Looked:
    """A story with one workload that is looked at."""

    def __init__(self, check: HealthCheck = CHECK, policy: RestartPolicy | None = None) -> None:
        self.story = Story()
        self.failures = 0
        self.story.reboot("boot-1")
        wanted = replace(spec(), health=check, restart=policy or RestartPolicy())
        self.story.apply(replace(declared("web"), spec=wanted), declared("user", depends_on=("web",)))
        self.story.run_starts("web")

    def look(self, finding: Finding) -> tuple[WorkloadHealthChanged, ...]:
        run = self.story["web"].run
        assert run is not None
        self.failures, events = judge(
            self.story.machine, "web", self.story["web"].uid, run.number, finding, self.failures, self.story.boot,
            self.story.mono,
        )  # fmt: skip
        self.story.tell(*events)
        return events

    def detail(self) -> Detail:
        return status_of(self.story["web"]).detail


def test_health_is_told_on_a_change_only() -> None:
    looked = Looked()
    assert looked.detail() is Detail.CHECKING
    assert [len(looked.look(WELL)) for _ in range(3)] == [1, 0, 0]
    assert looked.detail() is Detail.HEALTHY
    assert [len(looked.look(ILL)) for _ in range(2)] == [0, 0]
    assert looked.look(WELL) == () and looked.detail() is Detail.HEALTHY
    told = [event for _ in range(5) for event in looked.look(ILL)]
    assert [(event.health, event.failures, event.message, event.restart) for event in told] == [
        ("unhealthy", 3, "exited with code 7", True)
    ]


def test_failures_in_the_start_period_do_not_count_before_the_first_success() -> None:
    looked = Looked(replace(CHECK, start_period_ms=30_000))
    assert [len(looked.look(ILL)) for _ in range(10)] == [0] * 10 and looked.detail() is Detail.CHECKING
    looked.story.pass_time(31)
    assert [len(looked.look(ILL)) for _ in range(3)] == [0, 0, 1]
    early = Looked(replace(CHECK, start_period_ms=30_000))
    early.look(WELL)
    assert [len(early.look(ILL)) for _ in range(3)] == [0, 0, 1], "it was well: from then on they count"


def test_an_unhealthy_run_ends_and_is_followed_by_the_policys_pause_whatever_its_exit_code() -> None:
    looked = Looked(policy=RestartPolicy("on-failure", backoff_first_ms=2_000))
    story = looked.story
    for _ in range(3):
        looked.look(ILL)
    status = status_of(story["web"])
    assert (status.phase, status.detail, status.message) == (
        Phase.PENDING,
        Detail.STOPPING,
        "unhealthy: its check exited with code 7",
    )
    assert story.next_goal("web") == "StopRun" and looked_at(story["web"]) is None
    story.run_ends("web", 0)
    _, event = story.entries[-1]
    assert isinstance(event, WorkloadExited) and (event.restart, event.restart_delay_ms, event.streak) == (
        True,
        2_000,
        1,
    )
    assert status_of(story["web"]).message == "ended as unhealthy: its check exited with code 7; it exited with code 0"
    story.cleaned("web")
    assert story.next_goal("web") == "StartRun"
    assert story.run_starts("web") == 2 and looked.detail() is Detail.CHECKING


def test_attempts_are_counted_over_unhealthy_runs_too() -> None:
    looked = Looked(policy=RestartPolicy("always", max_attempts=1))
    story = looked.story
    for code in (143, 0):
        looked.failures = 0
        for _ in range(3):
            looked.look(ILL)
        story.run_ends("web", code)
        story.cleaned("web")
        if story.next_goal("web") == "StartRun":
            story.run_starts("web")
    status = status_of(story["web"])
    assert (status.phase, status.detail) == (Phase.FAILED, Detail.GAVE_UP) and "unhealthy" in status.message
    assert "does not run" in waits(story.machine, story["user"]), "an end as unhealthy is no good end"


def test_with_never_it_is_only_told_and_may_recover() -> None:
    looked = Looked(policy=RestartPolicy("never"))
    told = [event for _ in range(4) for event in looked.look(ILL)]
    assert [event.restart for event in told] == [False]
    status = status_of(looked.story["web"])
    assert (status.phase, status.detail, status.message) == (
        Phase.RUNNING,
        Detail.UNHEALTHY,
        "its check exited with code 7",
    )
    assert looked.story.next_goal("web") is None
    (back,) = looked.look(WELL)
    assert back.health == "healthy" and looked.detail() is Detail.HEALTHY


def test_who_depends_on_it_waits_until_it_is_healthy() -> None:
    looked = Looked(policy=RestartPolicy("never"))
    story = looked.story
    assert waits(story.machine, story["user"]) == "it waits for web, which is not known to be healthy yet"
    for _ in range(3):
        looked.look(ILL)
    assert waits(story.machine, story["user"]) == "it waits for web, which is unhealthy"
    looked.look(WELL)
    assert story.next_goal("user") == "StartRun"


def test_the_condition_says_it_in_a_word() -> None:
    looked = Looked()
    healthy = {one.type: one for one in conditions_of(looked.story["web"])}["Healthy"]
    assert (healthy.met, healthy.reason) == (False, "checking")
    looked.look(WELL)
    assert {one.type: one for one in conditions_of(looked.story["web"])}["Healthy"].met
    assert "Healthy" not in {one.type for one in conditions_of(looked.story["user"])}


def test_nobody_looks_at_what_shall_end_and_a_late_finding_changes_nothing() -> None:
    looked = Looked()
    looked.story.call(Stop("web"))
    before = state_hash(looked.story.machine)
    assert looked_at(looked.story["web"]) is None
    assert looked.look(WELL) == () and state_hash(looked.story.machine) == before
    late = WorkloadHealthChanged("web", looked.story["web"].uid, 7, "unhealthy", restart=True)
    looked.story.tell(late)
    run = looked.story["web"].run
    assert run is not None and run.health is None and not run.ailing


def test_a_new_daemon_counts_anew_and_keeps_what_was_known() -> None:
    looked = Looked()
    looked.look(WELL)
    looked.look(ILL)
    looked.look(ILL)
    looked.failures = 0
    assert looked.look(ILL) == () and looked.detail() is Detail.HEALTHY


def test_each_way_to_fail_has_its_words() -> None:
    port = HealthCheck("http", port=8080, timeout_ms=1_500)
    assert {failure: words(Finding(failure, 7, 512, "ENTRYPOINT_MISSING"), port) for failure in Failure} == {
        Failure.EXITED: "exited with code 7, having written 512 bytes",
        Failure.NOT_STARTED: "its command could not be started (ENTRYPOINT_MISSING)",
        Failure.STATUS: "answered with status 7",
        Failure.NO_CONNECTION: "no connection to port 8080",
        Failure.NO_ANSWER: "port 8080 takes connections and gives no answer of HTTP",
        Failure.SLOW: "no answer within 1.5 s",
    }
    assert words(WELL, CHECK) == ""
