"""Between protobuf and the house's words: defaults, refusals, and that what is shown can be applied again."""

import asyncio
from stat import S_IFREG
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule.v1 import workload_pb2 as pb
from capsuled.resolve import Resolver
from capsuled.wire import (
    Parsed,
    args_hash,
    field_changes,
    parse_workload,
    plan_messages,
    status_message,
    workload_message,
)
from effects.host_paths import HostPaths
from effects.images.registry_twin import NOWHERE
from effects.images.twin import CacheWorld, TwinImages
from effects.planner import plan
from journal.events import EffectFailed, EffectStarted
from projections.admission import Admitted
from projections.intents import DEFAULT_SUBNET, Apply, Stop
from projections.observations import ObservedRun, observe_run
from projections.refusals import Refusal
from tests.support.story import Story, declared
from tests.support.vault import OpenVault


def resolved(story: Story, *messages: pb.Workload) -> Apply | Refusal:
    cache = CacheWorld()
    cache.bring("docker.io/library/app:1", "sha256:" + "1" * 64)
    resolver = Resolver(TwinImages(cache), NOWHERE, OpenVault(), DEFAULT_SUBNET, paths=HostPaths(lambda path: S_IFREG))
    found = asyncio.run(resolver.apply(story.machine, messages, role="admin", expect_seq=None, pull=False))
    return found if isinstance(found, Refusal) else found.intent


def applied(story: Story, message: pb.Workload) -> Admitted | Refusal:
    intent = resolved(story, message)
    return intent if isinstance(intent, Refusal) else story.call(intent)


def container(**fields: Any) -> pb.Workload:
    return pb.Workload(name="web", container=pb.ContainerSpec(**{"image": "app:1", **fields}))


def refusal(message: pb.Workload) -> Refusal:
    found = parse_workload(message)
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize(
    ("message", "reason", "field"),
    [
        (pb.Workload(name="a"), "NO_SPEC", "container"),
        (pb.Workload(name="a", kind=pb.WORKLOAD_KIND_MICRO_VM), "NO_SPEC", "microVm"),
        (pb.Workload(name="a", micro_vm=pb.MicroVMSpec()), "BAD_IMAGE", "microVm.image"),
        (pb.Workload(name="a", container=pb.ContainerSpec(image="a"), micro_vm=pb.MicroVMSpec()), "TWO_SPECS", "microVm"),
        (pb.Workload(name="a", kind=77, container=pb.ContainerSpec(image="a")), "BAD_KIND", "kind"),  # type: ignore[arg-type]
        (container(image="Not An Image"), "BAD_IMAGE", "container.image"),
        (container(image=""), "BAD_IMAGE", "container.image"),
        (container(image="a", args=["fine", "x\0y"]), "BAD_TEXT", "container.args[1]"),
        (container(image="a", env={"A": "x\0y"}), "BAD_TEXT", "container.env"),
        (container(image="a", user="x\0"), "BAD_TEXT", "container.user"),
        (container(env={"A\0": "x"}), "BAD_TEXT", "container.env"),
        (container(extra_hosts={"db": "\0"}), "BAD_TEXT", "container.extraHosts"),
        (container(health=pb.HealthCheck(exec=["a", "b\0"])), "BAD_TEXT", "container.health.exec[1]"),
        (container(health=pb.HealthCheck(http=pb.HealthHttp(port=1, path="/\0"))), "BAD_TEXT", "container.health.http.path"),
        (container(host_binds=[pb.HostBind(source="/a"), pb.HostBind(source="/b", mount_path="/\0")]), "BAD_TEXT", "container.hostBinds[1].mountPath"),
        (container(ports=[pb.PortMapping(container_port=1, protocol="t\0")]), "BAD_TEXT", "container.ports[0].protocol"),
        (pb.Workload(name="a", labels={"a": "\0"}, container=pb.ContainerSpec(image="a")), "BAD_TEXT", "labels"),
        (pb.Workload(name="a", depends_on=["b", "\0"], container=pb.ContainerSpec(image="a")), "BAD_TEXT", "dependsOn[1]"),
        (container(network_mode=77), "BAD_NETWORK", "container.networkMode"),
        (container(restart=77), "BAD_RESTART", "container.restart"),
        (container(stop_grace_seconds=3_601), "BAD_GRACE", "container.stopGraceSeconds"),
        (pb.Workload(name="a", desired_state=pb.DESIRED_STATE_DELETING, container=pb.ContainerSpec(image="a")), "BAD_DESIRED_STATE", "desiredState"),
        (pb.Workload(name="a", desired_state=77, container=pb.ContainerSpec(image="a")), "BAD_DESIRED_STATE", "desiredState"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_this_release_cannot_read_is_refused_by_its_field(message: pb.Workload, reason: str, field: str) -> None:
    found = refusal(message)
    assert (found.reason, found.fields) == (reason, (field,))


def with_field(content: bytes, number: int) -> bytes:
    """The message with a varint field more."""
    key = number << 3
    encoded = b""
    while key > 0x7F:
        encoded, key = encoded + bytes([key & 0x7F | 0x80]), key >> 7
    return content + encoded + bytes([key, 1])


@pytest.mark.parametrize("where", ["", "container", "container.ports[0]"])
def test_a_field_of_a_newer_client_is_refused_and_never_dropped(where: str) -> None:
    message = container(ports=[pb.PortMapping(container_port=80, host_port=80)])
    inner = {"": message, "container": message.container, "container.ports[0]": message.container.ports[0]}[where]
    inner.MergeFromString(with_field(b"", 3_333))
    found = refusal(message)
    assert (found.code, found.reason, found.fields) == ("UNIMPLEMENTED", "UNKNOWN_FIELD", (where or "3333",))
    assert f"{where}.3333".lstrip(".") in found.message


def test_a_status_that_comes_in_is_read_over_whatever_is_in_it() -> None:
    message = container()
    message.status.phase = pb.WORKLOAD_PHASE_FAILED
    message.status.MergeFromString(with_field(b"", 3_333))
    assert not isinstance(parse_workload(message), Refusal)


def test_zero_values_mean_what_the_contract_says() -> None:
    parsed = parse_workload(container())
    assert not isinstance(parsed, Refusal)
    one = parsed.declared
    assert (one.kind, one.desired, one.spec.network, one.spec.stop_grace_ms) == ("container", "running", "none", 10_000)
    assert one.spec.restart.mode == "always" and one.image_ref == "docker.io/library/app:1"
    parsed = parse_workload(container(ports=[pb.PortMapping(container_port=1, host_port=2)], stop_grace_seconds=0))
    assert not isinstance(parsed, Refusal)
    assert parsed.declared.spec.ports[0].protocol == "tcp" and parsed.declared.spec.stop_grace_ms == 0


def test_a_protocol_may_be_written_in_capitals() -> None:
    parsed = parse_workload(container(ports=[pb.PortMapping(container_port=53, host_port=53, protocol="UDP")]))
    assert not isinstance(parsed, Refusal)
    assert parsed.declared.spec.ports[0].protocol == "udp"


_TEXT = st.text(alphabet="ab/-_ =", max_size=6)
_SPECS = st.builds(
    pb.ContainerSpec,
    image=st.sampled_from(("app:1", "docker.io/library/app:1")),
    command=st.lists(_TEXT, max_size=2),
    args=st.lists(_TEXT, max_size=2),
    env=st.dictionaries(st.sampled_from("AB"), _TEXT, max_size=2),
    network_mode=st.sampled_from((0, 1, 2)),
    privileged=st.booleans(),
    host_pid=st.booleans(),
    host_ipc=st.booleans(),
    host_mount=st.booleans(),
    host_bind_paths=st.sampled_from(([], ["/dev"])),
    working_dir=st.sampled_from(("", "/srv")),
    user=_TEXT,
    stop_grace_seconds=st.sampled_from((None, 0, 5)),
    restart=st.sampled_from((0, 1, 2, 3)),
)


@settings(max_examples=80)
@given(_SPECS, st.dictionaries(st.sampled_from(("app", "tier")), _TEXT, max_size=2), st.sampled_from((0, 1, 2)))
def test_what_is_shown_of_a_workload_changes_nothing_when_it_is_applied_again(
    spec: pb.ContainerSpec, labels: dict[str, str], desired: Any
) -> None:
    story = Story()
    verdict = applied(story, pb.Workload(name="web", container=spec, labels=labels, desired_state=desired))
    if isinstance(verdict, Refusal):
        return
    shown = workload_message(story.machine, story["web"])
    assert not any(value and not value.startswith("sealed:") for value in shown.container.env.values())
    assert applied(story, shown) == Admitted(())
    assert field_changes(story["web"], story["web"]) == []


def test_two_calls_are_the_same_when_their_arguments_are_in_whatever_order() -> None:
    one, other = pb.Workload(), pb.Workload()
    for message, names in ((one, "abc"), (other, "cba")):
        for name in names:
            message.container.env[name] = name
    assert args_hash(one) == args_hash(other) != args_hash(pb.Workload())


def test_a_sealed_value_is_kept_by_its_name_and_by_no_other_workload() -> None:
    story = Story()
    applied(story, container(env={"A": "secret"}))
    (sealed,) = story["web"].spec.env
    shown = workload_message(story.machine, story["web"]).container.env["A"]
    assert shown == f"sealed:{sealed.sealed}" and "secret" not in shown.replace("hash-of-secret", "")
    assert applied(story, container(env={"A": shown})) == Admitted(())
    assert applied(story, container(env={"B": shown})) != Admitted(())
    assert story["web"].spec.env[0].sealed == sealed.sealed, "the name may change, the value stays"
    other = container(env={"A": shown})
    other.name = "other"
    found = applied(story, other)
    assert isinstance(found, Refusal)
    assert (found.reason, found.fields) == ("UNKNOWN_SEALED_VALUE", ("container.env.A",))
    assert shown not in found.message


def test_a_difference_names_field_old_and_new_without_a_secret() -> None:
    story = Story()
    applied(story, container(env={"A": "secret"}, user="web"))
    before = story["web"]
    applied(story, container(env={"A": "other"}, network_mode=1))
    changes = {path: (op, old, new) for op, path, old, new in field_changes(before, story["web"])}
    assert changes["container.user"] == ("remove", '"web"', "")
    assert changes["container.networkMode"] == ("change", '"NONE"', '"HOST"')
    assert changes["container.env.A"][0] == "change" and set(changes) == {
        "container.user",
        "container.networkMode",
        "container.env.A",
    }
    assert all(op == "add" for op, *_ in field_changes(None, before))
    assert all(op == "remove" for op, *_ in field_changes(before, None))
    assert field_changes(None, None) == []


def test_a_status_says_what_became_of_the_run() -> None:
    story = Story()
    story.apply(declared("web"))
    status = status_message(story["web"], "")
    assert (status.phase, status.run, status.HasField("exit_code")) == (pb.WORKLOAD_PHASE_PENDING, 0, False)
    story.run_starts("web", pid=9)
    status = status_message(story["web"], "")
    assert (status.phase, status.pid, status.run) == (pb.WORKLOAD_PHASE_RUNNING, 9, 1)
    assert status.started_at_unix_ns == story["web"].run.started_at  # type: ignore[union-attr]
    story.run_ends("web", 0)
    status = status_message(story["web"], "")
    assert status.HasField("exit_code") and status.exit_code == 0 and status.restart_count == 1
    assert status.next_retry_unix_ns == story["web"].hold_until_wall > 0
    story.tell(EffectFailed("CleanRun", "web", 1, "X", "two\nlines", permanent=True))
    assert status_message(story["web"], "").message == "two lines"
    story.call(Stop("web"))
    assert status_message(story["web"], "").phase == pb.WORKLOAD_PHASE_STOPPED


def test_a_run_that_ended_before_anybody_saw_it_does_not_begin_after_its_end() -> None:
    story = Story()
    story.apply(declared("web"))
    story.tell(EffectStarted("StartRun", "web", story["web"].uid, run=1, revision=story["web"].revision))
    ended_ns = story.machine.at
    story.pass_time(0.002)
    seen = ObservedRun("web", story["web"].uid, 1, 1, "stopped", exit_code=3, exited_at_ns=ended_ns)
    story.tell(*observe_run(story.machine, seen, story.boot, story.mono))
    status = status_message(story["web"], "")
    assert status.started_at_unix_ns == status.finished_at_unix_ns == ended_ns


def test_a_plan_is_shown_effect_by_effect() -> None:
    story = Story()
    story.apply(declared("web"), declared("db"))
    shown = plan_messages(plan(story.machine))
    assert [(one.effect, one.object) for one in shown] == [("StartRun", "db"), ("StartRun", "web")]
    assert all(one.detail for one in shown)


def test_all_addresses_of_the_machine_have_one_name() -> None:
    container = pb.ContainerSpec(image="busybox:1", ports=[pb.PortMapping(container_port=80, host_address="0.0.0.0")])
    parsed = parse_workload(pb.Workload(name="web", container=container))
    assert isinstance(parsed, Parsed) and parsed.declared.spec.ports[0].host_address == ""
