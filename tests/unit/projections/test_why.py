"""Why a workload is as it is: given these events, then this chain, this sentence and this advice."""

import pytest
from msgspec.structs import replace

from effects.goals import kind_of
from effects.planner import plan_workload
from journal.entry import EFFECT, Actor
from journal.events import (
    CallAccepted,
    CallRefused,
    EffectDone,
    EffectFailed,
    EffectStarted,
    VolumeApplied,
    VolumeLost,
    VolumeMade,
    WorkloadApplied,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadRemoved,
    WorkloadStarted,
    WorkloadStopRequested,
)
from journal.specs import HealthCheck, VolumeMount
from projections.advice import BY_DETAIL, BY_REASON, BY_REFUSAL, REFUSED
from projections.chain import LINKS, Past, chain
from projections.details import Detail
from projections.intents import (
    CreateVolume,
    Declared,
    DeclaredVolume,
    Delete,
    DeleteVolume,
    Restart,
    RestoreVolume,
    Start,
    Stop,
    TakeSnapshot,
)
from projections.why import WORDS, Why, why_gone, why_never, why_volume, why_workload
from tests.support.story import Story, declared

_OF_AN_EFFECT = (WorkloadStarted, EffectDone, EffectFailed, WorkloadRemoved, VolumeMade)


def past_of(story: Story) -> Past:
    """The story as the journal has it: what an effect led to names the effect's start."""
    past: Past = {}
    begun, what = 0, ""
    for header, event in story.entries:
        if isinstance(event, EffectStarted):
            begun, what = header.seq, event.effect
        led = isinstance(event, _OF_AN_EFFECT) or (isinstance(event, WorkloadExited) and what == "StopRun")
        past[header.seq] = (replace(header, cause=begun, actor=EFFECT) if led else header, event)
    return past


def why(story: Story, name: str = "web") -> Why:
    return why_workload(story.machine, story[name], past_of(story))


def test_an_image_that_is_given_up_is_why_whatever_else_fails_meanwhile() -> None:
    story = Story()
    story.apply(declared("web", network="bridge"))
    uid = story["web"].uid
    story.tell(EffectFailed("EnsureImage", "web", uid, "REGISTRY_DENIED", "who are you", permanent=True))
    refused = story.machine.seq
    story.tell(EffectFailed("EnsureNetwork", "web", uid, "NETWORK_FAILED", "no rules", retry_delay_ms=500))
    answer = why(story)
    assert (answer.conclusion, answer.retry_at) == ("web has failed: who are you", 0)
    assert answer.chain[-1].seq == refused


def texts(answer: Why) -> list[str]:
    return [link.text for link in answer.chain]


def test_what_runs_was_applied_and_started() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    answer = why(story)
    assert (answer.detail, answer.conclusion, answer.advice) == ("running", "web runs", "")
    assert texts(answer) == ["web created (docker.io/library/busybox:1)", "web run 1 started, pid 100"]


def test_ends_that_are_alike_are_told_once_and_counted() -> None:
    story = Story()
    story.apply(declared("web"))
    for code in (1, 3, 3, 3):
        story.run_starts("web")
        story.run_ends("web", code)
        story.cleaned("web")
        story.pass_time(120)
    answer = why(story)
    assert answer.detail == "crash-loop" and "the 4th end in a row" in answer.conclusion
    first, one, last = answer.chain
    assert first.text.startswith("web created")
    assert one.text.startswith("web run 1 exited with code 1") and one.alike == 0
    assert last.text.startswith("web run 4 exited with code 3") and last.alike == 2
    assert answer.retry_at == story["web"].hold_until_wall > 0
    assert "capsulectl logs web" in answer.advice


def test_of_a_chain_that_is_long_the_beginning_and_the_end_are_told() -> None:
    story = Story()
    story.apply(declared("web"))
    for code in range(1, 31):
        story.run_starts("web")
        story.run_ends("web", code)
        story.cleaned("web")
    links = why(story).chain
    assert len(links) == LINKS
    assert links[0].text.startswith("web created") and links[1].text.startswith("web run 1 ")
    assert [link.text.split()[2] for link in links[2:]] == [str(number) for number in range(21, 31)]


def test_who_stopped_it_is_named_and_what_came_of_that() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    story.tell(CallAccepted("WorkloadService.Stop", ("web",), login="ada"))
    story.call(Stop("web"))
    story.converge()
    past = past_of(story)
    stop = next(seq for seq, (_, event) in past.items() if isinstance(event, WorkloadStopRequested))
    past[stop] = (replace(past[stop][0], call=stop - 1, cause=stop - 1), past[stop][1])
    answer = why_workload(story.machine, story["web"], past)
    assert answer.conclusion == "web is stopped: exited with code 143 (SIGTERM)"
    assert [(link.who, link.text) for link in answer.chain] == [
        ("local(ada)", "web shall stop"),
        ("effect", "web run 1 exited with code 143 (SIGTERM)"),
    ]
    assert answer.advice == "`capsulectl start web` lets it run again"


def test_a_stop_of_what_had_ended_before_is_all_there_is_to_tell() -> None:
    story = Story()
    story.apply(declared("web", restart="never"))
    story.run_starts("web")
    story.run_ends("web", 0)
    story.call(Stop("web"))
    assert texts(why(story)) == ["web shall stop"]


def test_a_restart_leads_to_the_run_that_follows() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    story.call(Restart("web"))
    assert texts(why(story))[-1] == "web shall begin a new run"
    story.converge()
    assert why(story).conclusion == "web runs"
    assert [text.split(" (")[0] for text in texts(why(story))] == [
        "web shall begin a new run",
        "web run 1 exited with code 143",
        "web run 2 started, pid 100",
    ]


@pytest.mark.parametrize(("permanent", "detail"), [(False, "retrying"), (True, "failed")])
def test_what_failed_is_told_with_what_to_do(permanent: bool, detail: str) -> None:
    story = Story()
    story.apply(declared("web"))
    for attempt in (1, 2):
        story.tell(
            EffectStarted("StartRun", "web", story["web"].uid, run=1, attempt=attempt),
            EffectFailed("StartRun", "web", story["web"].uid, "NO_SPACE", "the disk is full", run=1, attempt=attempt, retry_delay_ms=500, permanent=permanent),
        )  # fmt: skip
    answer = why(story)
    assert answer.detail == detail and answer.conclusion.endswith(": the disk is full")
    assert texts(answer)[0].startswith("web created") and "the disk is full" in texts(answer)[-1]
    assert answer.advice == BY_REASON["NO_SPACE"]


def test_a_kill_for_want_of_memory_has_its_own_advice() -> None:
    story = Story()
    story.apply(declared("web", restart="never"))
    story.run_starts("web")
    story.run_ends("web", 137)
    run = story["web"].run
    assert run is not None
    story.machine.workloads["web"] = replace(story["web"], run=replace(run, oom=True))
    assert "resources.memory" in why(story).advice


def test_what_is_ill_is_told_by_its_check() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    workload = story["web"]
    checked = replace(workload, spec=replace(workload.spec, health=HealthCheck("exec", ("true",))))
    story.machine.workloads["web"] = checked
    story.tell(WorkloadHealthChanged("web", checked.uid, 1, "unhealthy", 3, "exited with code 1"))
    answer = why(story)
    assert answer.detail == "unhealthy" and "exited with code 1" in answer.conclusion
    created, started, told = texts(answer)
    assert created.startswith("web created") and started == "web run 1 started, pid 100"
    assert "unhealthy" in told and "exited with code 1" in told


def test_what_waits_names_whom_it_waits_for() -> None:
    story = Story()
    story.apply(declared("db"), declared("web", depends_on=("db",)))
    answer = why(story)
    assert answer.detail == "waiting" and answer.others == (("workload", "db"),)
    assert texts(answer) == ["web created (docker.io/library/busybox:1)"]  # of the batch only what is web's


def mounting(name: str, volume: str) -> Declared:
    one = declared(name)
    return replace(one, spec=replace(one.spec, mounts=(VolumeMount(volume, "/srv"),)))


def test_who_lost_a_volume_to_its_deletion_is_told_so_and_that_no_waiting_helps() -> None:
    story = Story()
    story.apply(mounting("web", "data"), volumes=(DeclaredVolume("data", 64 << 20),))
    story.converge()
    story.call(Restart("web"))
    story.converge()
    story.call(DeleteVolume("data", force=True))
    for again in (False, True):
        story.converge()
        answer = why(story)
        assert answer.detail == "waiting" and "volume data does not exist any more" in answer.conclusion
        assert texts(answer) == ["web shall begin a new run", "volume data shall be gone, taken from web"]
        assert "then apply web again" in answer.advice and "below" not in answer.advice
        if not again:
            story.call(CreateVolume("data", 64 << 20))  # another one: it mounts the one that is gone
    story.apply(mounting("web", "data"))
    story.converge()
    assert why(story).detail == "running"


def test_what_another_set_going_is_told_with_its_own_wish() -> None:
    story = Story()
    story.apply(declared("db"), declared("web", depends_on=("db",)))
    story.run_starts("db")
    ready = story.machine.seq - 1  # its process is there
    story.run_starts("web")
    past = past_of(story)
    start = next(seq for seq, (_, event) in past.items() if seq > ready and isinstance(event, EffectStarted))
    past[start] = (replace(past[start][0], cause=ready), past[start][1])
    answer = why_workload(story.machine, story["web"], past)
    assert [text.split(" (")[0] for text in texts(answer)] == [
        "web created",
        "db run 1 started, pid 100",
        "web run 1 started, pid 100",
    ]


def test_a_daemon_that_was_restarted_in_between_breaks_no_chain() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    story.run_ends("web", 3)
    story.reboot("boot-1")
    story.pass_time(60)
    story.run_starts("web")
    assert [text.split(" ")[1:3] for text in texts(why(story))] == [["created", "(docker.io/library/busybox:1)"], ["run", "1"], ["run", "2"]]  # fmt: skip


def test_what_is_gone_is_told_by_who_removed_it() -> None:
    story = Story()
    story.apply(declared("web"))
    story.call(Delete("web"))
    story.converge()
    gone = why_gone("web", past_of(story))
    assert gone is not None and gone.conclusion == "there is no workload web any more"
    assert texts(gone)[-1] == "web is gone"
    assert why_gone("nobody", {}) is None
    past = past_of(story)
    removed, created = max(past), next(seq for seq, (_, event) in past.items() if isinstance(event, WorkloadApplied))
    header, event = past[removed]
    woken = past | {removed: (replace(header, cause=created), event)}
    gone = why_gone("web", woken)
    assert gone is not None and "web shall be gone" in texts(gone), "also where its lane was woken by something else"


def test_a_volume_has_its_reasons_too() -> None:
    story = Story()
    story.tell(VolumeApplied("data", 1 << 30, created=True))
    assert why_volume(story.machine.volumes["data"], past_of(story)).detail == "making"
    story.tell(EffectStarted("EnsureVolume", "data", 1), VolumeMade("data", 1, 1 << 30))
    assert why_volume(story.machine.volumes["data"], past_of(story)).detail == "free"
    story.tell(VolumeLost("data", 1))
    lost = why_volume(story.machine.volumes["data"], past_of(story))
    assert lost.detail == "lost" and "not in the storage" in lost.conclusion and lost.advice
    assert [link.text.split(",")[0] for link in lost.chain] == [
        "volume data created",
        "volume data is not in the storage any more",
    ]


def test_a_snapshot_explains_no_loss() -> None:
    story = Story()
    story.tell(VolumeApplied("data", 1 << 30, created=True))
    story.tell(EffectStarted("EnsureVolume", "data", 1), VolumeMade("data", 1, 1 << 30))
    story.call(TakeSnapshot("data", "one"))
    story.tell(VolumeLost("data", 1))
    lost = why_volume(story.machine.volumes["data"], past_of(story))
    assert [link.text.split(",")[0] for link in lost.chain] == [
        "volume data created",
        "volume data is not in the storage any more",
    ]


def test_a_chain_ends_although_a_cause_points_nowhere() -> None:
    story = Story()
    story.apply(declared("web"))
    header, event = story.entries[0]
    past: Past = {1: (replace(header, cause=7), event)}
    assert len(chain("web", past, past, 1)) == 1
    assert chain("web", {}, {}, 99) == ()


def test_an_operator_is_named() -> None:
    story = Story()
    story.apply(declared("web"))
    header, event = story.entries[0]
    ada = Actor("operator", "kid", "ada", "admin")
    past: Past = {1: (replace(header, actor=ada), event)}
    assert chain("web", past, past, 1)[0].who == "ada"


def test_every_phase_has_its_words_and_its_line() -> None:
    assert set(WORDS) == set(Detail) == set(BY_DETAIL)


def test_start_after_a_stop_is_the_newest_wish() -> None:
    story = Story()
    story.apply(declared("web"))
    story.call(Stop("web"))
    story.call(Start("web"))
    assert why(story).detail == "pending" and texts(why(story)) == ["web shall run"]


def test_what_came_to_nothing_in_the_same_way_is_told_once() -> None:
    story = Story()
    story.apply(declared("web"))
    for number in range(1, 5):
        story.run_starts("web")
        story.tell(
            WorkloadLost("web", story["web"].uid, number, "vanished" if number > 1 else "power lost", restart=True)
        )
    lost = [link for link in why(story).chain if isinstance(story.entries[link.seq - 1][1], WorkloadLost)]
    assert [link.alike for link in lost] == [0, 2] and "vanished" in lost[-1].text


def test_a_try_that_fails_as_the_one_before_is_counted_with_it() -> None:
    story = Story()
    story.apply(declared("web"))
    for reason in ("BAD_USER", "NO_SPACE", "NO_SPACE"):
        goal = plan_workload(story.machine, story["web"])
        assert goal is not None
        story.begin(goal)
        story.tell(EffectFailed(kind_of(goal), "web", goal.uid, reason, "so", run=1, retry_delay_ms=1))
        story.pass_time(1)
    past = past_of(story)
    for seq, (header, event) in past.items():
        if isinstance(event, EffectStarted):  # the runner was woken by what failed, or by the apply
            past[seq] = (replace(header, cause=seq - 1), event)
    created, other, last = why_workload(story.machine, story["web"], past).chain
    assert (created.seq, other.seq, last.seq) == (1, 3, 7) and (other.alike, last.alike) == (0, 1)


def test_a_volume_says_what_is_done_to_it_and_for_whom() -> None:
    story = Story()
    one = declared("web")
    one = replace(one, spec=replace(one.spec, mounts=(VolumeMount("data", "/data"),)))
    story.apply(one, volumes=(DeclaredVolume("data", 64 << 20),))
    story.converge()

    def answer() -> Why:
        return why_volume(story.machine.volumes["data"], past_of(story))

    assert (answer().detail, answer().conclusion) == ("mounted", "volume data is mounted for web")
    story.call(TakeSnapshot("data", "one"))
    story.converge()
    story.call(RestoreVolume("data", "one"))
    assert (answer().detail, answer().chain[-1].seq) == ("restoring", story.machine.seq)
    story.call(DeleteVolume("data", force=True))
    assert (answer().detail, answer().chain[-1].seq) == ("deleting", story.machine.seq)


def test_what_is_to_end_because_it_is_ill_is_told_by_its_check() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    story.tell(WorkloadHealthChanged("web", story["web"].uid, 1, "unhealthy", 3, "refused", restart=True))
    answer = why(story)
    assert answer.detail == "stopping" and answer.chain[-1].seq == story.machine.seq


def turned_down(name: str = "web", method: str = "MachineService.ApplyAll", reason: str = "PORT_TAKEN") -> CallRefused:
    field = "container.ports.hostPort" if reason.startswith("PORT_") else ""
    return CallRefused(method, reason, "FAILED_PRECONDITION", (name,), (field,) if field else ())


def test_a_wish_that_was_refused_is_told_after_what_explains_the_phase() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    before = why(story)
    story.tell(turned_down())
    answer = why(story)
    assert (answer.conclusion, answer.detail) == (before.conclusion, before.detail)
    assert answer.chain[:-1] == before.chain
    assert answer.chain[-1].text == (
        "an apply was refused: another workload has the host port (PORT_TAKEN, container.ports.hostPort)"
    )
    assert answer.chain[-1].seq == story.machine.seq and answer.advice == BY_REFUSAL["PORT_TAKEN"]
    story.tell(
        turned_down(method="WorkloadService.Exec"), turned_down("db"), turned_down(method="VolumeService.Create")
    )
    assert why(story) == answer  # none of these is a wish about the workload
    story.tell(CallAccepted("MachineService.ApplyAll", ("web",)))
    assert why(story) == before  # what was asked for after it was admitted, and was so already


def test_what_was_refused_before_the_last_wish_is_over() -> None:
    story = Story()
    story.apply(declared("web"))
    story.tell(turned_down())
    story.apply(declared("web", "two"))
    assert "refused" not in str(texts(why(story)))


def test_advice_for_the_phase_stays_beside_that_for_the_refusal() -> None:
    story = Story()
    story.apply(declared("web"))
    story.call(Stop("web"))
    advice = why(story).advice
    story.tell(turned_down(reason="BAD_PATH"))
    answer = why(story)
    assert answer.advice.startswith(
        f"{advice}; and for what was refused: `capsulectl history show {story.machine.seq}`"
    )
    assert answer.chain[-1].text == "an apply was refused: BAD_PATH"


def test_of_what_never_was_the_refusal_is_told() -> None:
    story = Story()
    assert why_never("web", past_of(story)) is None
    story.tell(turned_down(reason="PORT_IN_USE"), turned_down(method="WorkloadService.Exec", reason="NO_WORKLOAD"))
    found = why_never("web", past_of(story), "workload")
    assert found is not None
    link, advice = found
    assert link.text.startswith("an apply was refused: a program of the machine itself has the host port")
    assert advice == BY_REFUSAL["PORT_IN_USE"]
    story.tell(turned_down("data", "VolumeService.Create", "BAD_SIZE"))
    assert why_never("data", past_of(story), "workload") is None
    told = why_never("data", past_of(story), "volume")
    assert told is not None and told[0].text == "its creation was refused: BAD_SIZE"


def test_a_call_about_a_name_that_nothing_has_explains_nothing() -> None:
    story = Story()
    stop = turned_down(method="WorkloadService.Stop", reason="WORKLOAD_NOT_FOUND")
    story.tell(replace(stop, code="NOT_FOUND", fields=("name",)))
    assert why_never("web", past_of(story)) is None


def test_what_is_gone_and_was_refused_to_come_again_says_both() -> None:
    story = Story()
    story.apply(declared("web"))
    story.call(Delete("web"))
    story.tell(turned_down(method="WorkloadService.Restart", reason="DELETING"))
    story.converge()
    gone = why_gone("web", past_of(story))
    assert gone is not None and "refused" not in str(gone.chain)
    story.tell(turned_down())
    again = why_gone("web", past_of(story))
    assert again is not None and again.conclusion == gone.conclusion and again.chain[:-1] == gone.chain
    assert again.chain[-1].text.startswith("an apply was refused") and again.advice == BY_REFUSAL["PORT_TAKEN"]


def test_who_was_refused_is_named_by_the_login() -> None:
    story = Story()
    story.tell(replace(turned_down(), login="ada"))
    past = past_of(story)
    seq = story.machine.seq
    past[seq] = (replace(past[seq][0], call=seq), past[seq][1])
    found = why_never("web", past)
    assert found is not None and found[0].who == "local(ada)"


def test_every_refusal_with_advice_has_its_words() -> None:
    assert set(REFUSED) == set(BY_REFUSAL)


@pytest.mark.parametrize("reason", ["IMAGE_UNREADABLE", "ENTRYPOINT_MISSING", "NOT_EXECUTABLE"])
def test_what_may_lie_in_the_image_says_how_a_mended_one_is_taken(reason: str) -> None:
    """What is only applied again stays pinned to the one that is broken."""
    assert "mended under the same name: `capsulectl apply -f FILE --pull`" in BY_REASON[reason].replace(
        "Mended", "mended"
    )
