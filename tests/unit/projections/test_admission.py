"""Given this state, when this call, then these events or this refusal."""

from typing import Any

import pytest
from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsuled.wire import workload_message
from journal.events import (
    AppliedWorkload,
    DiskGrowthRequested,
    Event,
    MachineEndRequested,
    WorkloadApplied,
    WorkloadDeleteRequested,
)
from journal.specs import HealthCheck, PortMapping, SealedEnv
from projections.admission import Admitted
from projections.intents import Declared, Delete, EndMachine, GrowDisk, MachineIntent, Restart, Start, Stop
from projections.refusals import Refusal
from projections.rules import DECLARED_BYTES_MAX, ENV_CALL_MOST, ENV_MOST, _told_bytes
from tests.support.story import OTHER_PIN, Story, declared, spec

WEB = (PortMapping(80, 8080),)


def reason(verdict: Admitted | Refusal) -> str:
    assert isinstance(verdict, Refusal), verdict
    return verdict.reason


def test_an_apply_creates_with_the_entry_as_uid() -> None:
    story = Story()
    created = AppliedWorkload("web", "container", spec("sleep", "9"), created=True)
    assert story.apply(declared("web", "sleep", "9")) == Admitted((WorkloadApplied((created,)),))
    assert story["web"].uid == story["web"].revision == 1


def test_the_same_spec_on_what_runs_is_no_event() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    assert story.apply(declared("web")) == Admitted(())


def test_the_same_spec_starts_what_is_stopped() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    story.call(Stop("web"))
    verdict = story.apply(declared("web"))
    assert isinstance(verdict, Admitted) and len(verdict.events) == 1
    assert story["web"].desired == "running"


def test_a_change_is_a_new_revision_of_the_same_incarnation() -> None:
    story = Story()
    story.apply(declared("web", "one"))
    story.apply(declared("web", "two"))
    assert (story["web"].uid, story["web"].revision) == (1, 2)


def test_a_pin_stays_while_the_string_stays() -> None:
    story = Story()
    story.apply(declared("web"))
    assert story.apply(declared("web", pin=OTHER_PIN)) == Admitted(())
    story.apply(declared("web", pin=OTHER_PIN), pull=True)
    assert story["web"].spec.image == OTHER_PIN


def test_a_pinned_workload_needs_no_image_to_resolve() -> None:
    story = Story()
    story.apply(declared("web"))
    assert story.apply(declared("web", pin=None)) == Admitted(())
    assert reason(story.apply(declared("new", pin=None))) == "IMAGE_NOT_FOUND"


def test_of_two_calls_that_want_a_port_exactly_one_wins() -> None:
    story = Story()
    first = story.apply(declared("a", ports=WEB, network="bridge"))
    second = story.apply(declared("b", ports=WEB, network="bridge"))
    assert isinstance(first, Admitted)
    assert reason(second) == "PORT_TAKEN"
    assert list(story.machine.workloads) == ["a"]


def test_a_batch_with_one_bad_workload_changes_nothing() -> None:
    story = Story()
    verdict = story.apply(declared("a", ports=WEB, network="bridge"), declared("b", ports=WEB, network="bridge"))
    assert reason(verdict) == "PORT_TAKEN"
    assert not story.machine.workloads and story.machine.seq == 0


def test_a_port_may_move_from_one_workload_to_another_within_a_batch() -> None:
    story = Story()
    story.apply(declared("a", ports=WEB, network="bridge"))
    verdict = story.apply(declared("b", ports=WEB, network="bridge"), declared("a", network="bridge"))
    assert isinstance(verdict, Admitted)


@pytest.mark.parametrize("name", ["", "Web", "-a", "a-", "a" * 64, "a.b", "a/b", "ä"])
def test_a_bad_name_is_refused(name: str) -> None:
    verdict = Story().apply(declared("good"), declared(name))
    assert isinstance(verdict, Refusal) and verdict.reason == "BAD_NAME"
    assert verdict.message.endswith(f"and {name!r} is none"), "of several it says which"


def test_expect_seq_guards_one_object_and_the_machine() -> None:
    story = Story()
    assert reason(story.apply(declared("web"), expect_seq=5)) == "SEQUENCE_MISMATCH"
    assert isinstance(story.apply(declared("web"), expect_seq=0), Admitted)
    assert isinstance(story.apply(declared("web", "x"), expect_seq=1), Admitted)
    assert reason(story.apply(declared("a"), declared("b"), expect_seq=1)) == "SEQUENCE_MISMATCH"
    assert isinstance(story.apply(declared("a"), declared("b"), expect_seq=2), Admitted)


def test_an_observation_does_not_move_expect_seq() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    assert isinstance(story.apply(declared("web", "x"), expect_seq=1), Admitted)


def test_deleting_what_is_not_there_succeeds_and_says_nothing() -> None:
    assert Story().call(Delete("web")) == Admitted(())


def test_an_apply_during_a_delete_is_aborted() -> None:
    story = Story()
    story.apply(declared("web"))
    assert story.call(Delete("web")) == Admitted((WorkloadDeleteRequested("web", 1),))
    verdict = story.apply(declared("web"))
    assert isinstance(verdict, Refusal) and (verdict.code, verdict.reason) == ("ABORTED", "DELETING")


@pytest.mark.parametrize("intent", [Stop("no"), Start("no"), Restart("no")])
def test_switching_what_is_not_there_is_not_found(intent: Stop | Start | Restart) -> None:
    verdict = Story().call(intent)
    assert isinstance(verdict, Refusal) and verdict.code == "NOT_FOUND"


def test_a_stop_twice_is_one_event() -> None:
    story = Story()
    story.apply(declared("web"))
    story.call(Stop("web"))
    assert story.call(Stop("web")) == Admitted(())
    assert reason(story.call(Restart("web"))) == "STOPPED"


def test_a_call_declares_so_many_variables_and_no_more() -> None:
    def having(name: str, count: int) -> Declared:
        env = tuple(SealedEnv(f"A{number}", "x") for number in range(count))
        one = declared(name)
        return replace(one, spec=replace(one.spec, env=env))

    most = [having(f"web-{number}", ENV_MOST) for number in range(ENV_CALL_MOST // ENV_MOST)]
    assert isinstance(Story().apply(*most), Admitted)
    assert Story().apply(*most, having("more", 1)) == Refusal(
        "INVALID_ARGUMENT",
        "TOO_MANY_VARIABLES",
        f"a call declares at most {ENV_CALL_MOST} environment variables: apply the manifests in several calls",
        ("workloads.container.env",),
    )


def test_all_that_is_declared_has_room_in_one_list() -> None:
    def long(name: str, count: int) -> Declared:
        return declared(name, *("x" * (120 << 10) for _ in range(count)))

    story = Story()
    for name in ("a", "b", "c"):
        assert isinstance(story.apply(long(name, 8)), Admitted)
    refusal = story.apply(long("d", 2))
    assert isinstance(refusal, Refusal) and (refusal.code, refusal.reason, refusal.fields) == (
        "RESOURCE_EXHAUSTED",
        "TOO_MUCH_DECLARED",
        ("workloads",),
    )
    assert isinstance(story.apply(long("a", 5), long("d", 2)), Admitted), "as much is declared less"
    assert reason(story.apply(long("a", 8))) == "TOO_MUCH_DECLARED"
    message = pb.WorkloadListResponse(
        workloads=[workload_message(story.machine, one) for one in story.machine.workloads.values()]
    )
    assert DECLARED_BYTES_MAX * 0.8 < message.ByteSize() < DECLARED_BYTES_MAX


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"args": ("",) * 20_000},
        {"health": HealthCheck("exec", ("x",) * 20_000), "host_bind_paths": tuple(f"/{n}" for n in range(10_000))},
        {"extra_hosts": tuple((f"h{number}", "::1") for number in range(10_000)), "cap_add": ("ALL",) * 10_000},
        {"env": tuple(SealedEnv(f"A{number}", "0" * 64) for number in range(1_024))},
        {"network": "bridge", "ports": tuple(PortMapping(port, port, "udp") for port in range(1, 10_001))},
    ],
)
def test_what_is_reckoned_for_a_workload_is_no_less_than_a_list_takes(fields: dict[str, Any]) -> None:
    story = Story()
    one = declared("web")
    labels = tuple((f"a{number}", "x") for number in range(10_000))
    story.apply(replace(one, spec=replace(one.spec, **fields), labels=labels))
    story.run_starts("web")
    story.run_ends("web", 1)
    assert workload_message(story.machine, story["web"]).ByteSize() < _told_bytes(story["web"])


@pytest.mark.parametrize("count", [1, 3, 64])
def test_what_one_waits_for_is_reckoned_too(count: int) -> None:
    story = Story()
    names = tuple(f"{number:02}{'x' * 61}" for number in range(count))
    one = declared("web", depends_on=names)
    checked = replace(one, spec=replace(one.spec, health=HealthCheck("exec", ("x",))))
    story.apply(*(declared(name) for name in names), checked)
    message = workload_message(story.machine, story["web"])
    assert message.status.phase_detail == "waiting"
    assert message.ByteSize() < _told_bytes(story["web"])


def test_what_an_earlier_release_admitted_may_shrink_and_go_on() -> None:
    story = Story()
    long = spec(*("x" * (120 << 10) for _ in range(40)))
    story.tell(WorkloadApplied((AppliedWorkload("old", "container", long, created=True),)))
    assert reason(story.apply(declared("new"))) == "TOO_MUCH_DECLARED"
    assert isinstance(story.apply(replace(declared("old"), spec=long)), Admitted)
    assert isinstance(story.call(Restart("old")), Admitted)
    assert isinstance(story.apply(declared("old")), Admitted)
    assert isinstance(story.apply(declared("new")), Admitted)


def test_why_nobody_knew_an_image_is_the_answer() -> None:
    why = Refusal("UNAVAILABLE", "REGISTRY_DOWN", "the registry does not answer", ())
    story = Story()
    assert story.apply(replace(declared("web", pin=None), unresolved=why)) == why
    story.apply(declared("web"))
    assert isinstance(story.apply(replace(declared("web", pin=None), unresolved=why)), Admitted), "its pin stays"


def test_what_is_declared_stopped_and_is_stopped_is_no_event() -> None:
    story = Story()
    story.apply(declared("web", desired="stopped"))
    assert story.apply(declared("web", desired="stopped")) == Admitted(())
    story.call(Start("web"))
    story.converge()
    story.call(Stop("web"))
    story.converge()
    assert story["web"].run is not None and story.apply(declared("web", desired="stopped")) == Admitted(())


@pytest.mark.parametrize(
    ("intent", "event"),
    [
        (EndMachine("reboot"), MachineEndRequested("reboot")),
        (EndMachine("poweroff"), MachineEndRequested("poweroff")),
        (GrowDisk(), DiskGrowthRequested()),
    ],
)
def test_what_is_asked_of_the_machine_itself_is_one_event(intent: MachineIntent, event: Event) -> None:
    assert Story().call(intent) == Admitted((event,))
