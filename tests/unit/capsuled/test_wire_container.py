"""A container's runs between the wire and the journal: defaults are filled in, and what is shown can be applied again."""

from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsuled.wire import Parsed, parse_workload, workload_message
from capsuled.wire_container import machine_message, tell_runs, with_machine, with_runs
from journal.specs import LOG_MAX_BYTES, ContainerSpec, HostBind, Resources, RestartPolicy, Tmpfs, Ulimit
from projections.refusals import Refusal
from tests.support.story import PIN, Story

PLAIN = ContainerSpec(PIN)
FULL = replace(
    PLAIN,
    restart=RestartPolicy("on-failure", 500, 60_000, 120_000, 7),
    stop_signal="SIGINT",
    resources=Resources(500, 512, 64 << 20, 32 << 20, 0),
    cap_add=("NET_ADMIN", "SYS_TIME"),
    cap_drop=("ALL",),
    read_only_root=True,
    new_privileges=True,
    seccomp="unconfined",
    tmpfs=(Tmpfs("/tmp", 1 << 20), Tmpfs("/cache")),
    shm_bytes=128 << 20,
    hostname="other",
    extra_hosts=(("db", "10.0.0.5"), ("v6", "fd00::1")),
    ulimits=(Ulimit("nofile", 10, 20), Ulimit("core", -1, -1)),
    host_binds=(HostBind("/srv", "/data", True),),
)


def read(message: pb.ContainerSpec) -> ContainerSpec:
    runs = with_runs(PLAIN, message)
    assert isinstance(runs, ContainerSpec), runs
    found = with_machine(runs, message)
    assert isinstance(found, ContainerSpec), found
    return found


def shown(spec: ContainerSpec) -> pb.ContainerSpec:
    message = machine_message(spec)
    tell_runs(message, spec)
    return message


def test_what_an_old_manifest_says_means_what_it_meant() -> None:
    assert read(pb.ContainerSpec()) == PLAIN
    assert read(pb.ContainerSpec(restart=pb.RESTART_MODE_NEVER)) == replace(PLAIN, restart=RestartPolicy("never"))


def test_what_is_shown_can_be_applied_again_and_changes_nothing() -> None:
    for spec in (PLAIN, FULL, replace(PLAIN, resources=Resources(pids=0)), replace(PLAIN, shm_bytes=0)):
        assert read(shown(spec)) == spec


def test_defaults_are_not_shown_but_the_mode_is() -> None:
    assert [field.name for field, _ in shown(PLAIN).ListFields()] == ["restart"]


def test_names_are_written_one_way() -> None:
    message = pb.ContainerSpec(stop_signal="2", cap_add=["cap_net_admin", "NET_ADMIN"], cap_drop=["all"])
    message.ulimits.add(name="RLIMIT_NOFILE", soft=5)
    message.host_binds.add(source="/srv")
    found = read(message)
    assert (found.stop_signal, found.cap_add, found.cap_drop) == ("SIGINT", ("NET_ADMIN",), ("ALL",))
    assert (found.ulimits, found.host_binds) == ((Ulimit("nofile", 5, 5),), (HostBind("/srv", "/srv"),))


def test_a_cap_below_a_longer_first_back_off_rises_with_it() -> None:
    message = pb.ContainerSpec()
    message.restart_policy.backoff_first_ms = 600_000
    assert read(message).restart.backoff_cap_ms == 600_000


def test_what_is_no_number_of_processors_is_refused() -> None:
    for cpus in (float("nan"), float("inf"), -1.0):
        refused = with_runs(PLAIN, pb.ContainerSpec(resources=pb.Resources(cpus=cpus)))
        assert isinstance(refused, Refusal) and refused.fields == ("container.resources.cpus",)
    assert read(pb.ContainerSpec(resources=pb.Resources(cpus=0.0001))).resources.cpu_millis == 1
    assert read(pb.ContainerSpec(resources=pb.Resources(cpus=0.1))).resources.cpu_millis == 100


def test_a_bound_of_logs_is_shown_only_where_it_is_not_the_usual_one() -> None:
    for size_bytes, shown in ((0, False), (LOG_MAX_BYTES, False), (1 << 20, True)):
        container = pb.ContainerSpec(image="demo:1", logs=pb.LogSpec(max_size_bytes=size_bytes))
        parsed = parse_workload(pb.Workload(name="web", container=container))
        assert isinstance(parsed, Parsed)
        assert parsed.declared.spec.log_max_bytes == (size_bytes or LOG_MAX_BYTES)
        story = Story()
        story.apply(replace(parsed.declared, resolved=PIN))
        message = workload_message(story.machine, story["web"])
        assert message.container.HasField("logs") is shown
        assert message.container.logs.max_size_bytes == (size_bytes if shown else 0)
