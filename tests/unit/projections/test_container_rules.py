"""What a container must be to be admitted, by itself and on a machine; each refusal with the field at fault."""

from typing import Any

import pytest
from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsulectl.field_names import is_quantity, names_of, short_name
from journal.specs import HealthCheck, HostBind, Resources, RestartPolicy, SealedEnv, Tmpfs, Ulimit, VolumeMount
from projections.abilities import Abilities
from projections.admission import Admitted
from projections.intents import Apply
from projections.linux import ARGUMENT_BYTES_MAX, ENV_BYTES_MAX, PROCESS_BYTES_MAX, STRING_COSTS_BYTES
from projections.refusals import Refusal
from tests.support.story import Story, declared, spec

MACHINE = Abilities(
    cpus=2,
    memory_bytes=8 << 30,
    pids=32_768,
    controllers=frozenset({"cpu", "memory", "pids"}),
    capabilities=frozenset({"NET_ADMIN", "CHOWN"}),
    ulimits=(("nofile", 20_000),),
)

LONG = "x" * ARGUMENT_BYTES_MAX


def applied(machine: Abilities = MACHINE, **fields: Any) -> Admitted | Refusal:
    one = replace(declared("web"), spec=replace(spec(), **fields))
    return Story().call(Apply((one,), abilities=machine))


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"restart": RestartPolicy("never", max_attempts=1)}, "restartPolicy.maxAttempts", "no attempts to count"),
        ({"restart": RestartPolicy(backoff_first_ms=1)}, "restartPolicy.backoffFirst", "100 ms"),
        ({"restart": RestartPolicy(backoff_cap_ms=500)}, "restartPolicy.backoffCap", "below its beginning"),
        ({"log_max_bytes": 1 << 10}, "logs.maxSize", "64KiB"),
        ({"log_max_bytes": 1 << 41}, "logs.maxSize", "1TiB"),
        ({"env": (SealedEnv("A", "s", ENV_BYTES_MAX - 1),)}, "env.A", "the 96 KiB of a variable"),
        ({"env": (SealedEnv("A" * ENV_BYTES_MAX, "s"),)}, f"env.{'A' * 64}", "the 96 KiB of a variable"),
        ({"command": ("sh", "x" * (ARGUMENT_BYTES_MAX + 1))}, "command", "less than 128 KiB in one argument"),
        ({"args": ("ü" * (64 << 10),)}, "args", "less than 128 KiB in one argument"),
        ({"health": HealthCheck("exec", ("x" * (128 << 10),))}, "health.exec", "less than 128 KiB in one argument"),
        ({"args": (LONG,) * 8}, "args", "the 1 MiB that a process is given"),
        ({"command": (LONG,) * 6, "args": (LONG,) * 2}, "command", "the 1 MiB that a process is given"),
        ({"args": ("",) * (PROCESS_BYTES_MAX // STRING_COSTS_BYTES + 1)}, "args", "the 1 MiB that a process is given"),
        ({"env": tuple(SealedEnv(f"A{number}", "s", 90 << 10) for number in range(12))}, "env", "the 1 MiB that a"),
        ({"health": HealthCheck("exec", (LONG,) * 8)}, "health.exec", "the 1 MiB that a process is given"),
        ({"stop_signal": "NOPE"}, "stopSignal", "no such signal"),
        ({"resources": Resources(cpu_millis=9)}, "resources.cpus", "0.01"),
        ({"resources": Resources(cpu_millis=2_001)}, "resources.cpus", "2 processors"),
        ({"resources": Resources(cpu_shares=1)}, "resources.cpuShares", "from 2 to 262144"),
        ({"resources": Resources(memory_bytes=1 << 20)}, "resources.memory", "6 MiB"),
        ({"resources": Resources(memory_bytes=9 << 30)}, "resources.memory", "8 GiB"),
        ({"resources": Resources(swap_bytes=1 << 20)}, "resources.swap", "beyond a memory limit"),
        ({"resources": Resources(pids=40_000)}, "resources.pids", "32768"),
        ({"cap_add": ("NOPE",)}, "capAdd", "NOPE is no capability of Linux"),
        ({"cap_add": ("SYS_ADMIN",)}, "capAdd", "cannot give SYS_ADMIN"),
        ({"cap_add": ("CHOWN",), "cap_drop": ("CHOWN",)}, "capDrop", "added and dropped"),
        ({"hostname": "-no-"}, "hostname", "host name"),
        ({"hostname": "own", "network": "host"}, "hostname", "machine's own name"),
        ({"extra_hosts": (("db", "nowhere"),)}, "extraHosts.db", "IPv4 or IPv6"),
        ({"extra_hosts": (("a b", "10.0.0.1"),)}, "extraHosts", "no host name"),
        ({"ulimits": (Ulimit("files", 1, 1),)}, "ulimits[0].name", "nofile"),
        ({"ulimits": (Ulimit("core", 0, 0), Ulimit("core", 1, 1))}, "ulimits[1].name", "twice"),
        ({"ulimits": (Ulimit("nofile", 63, 64),)}, "ulimits[0].soft", "64 open files"),
        ({"ulimits": (Ulimit("core", 2, 1),)}, "ulimits[0].soft", "above the hard one"),
        ({"ulimits": (Ulimit("core", -2, 1),)}, "ulimits[0]", "-1 for none"),
        ({"ulimits": (Ulimit("nofile", 64, -1),)}, "ulimits[0].hard", "up to 20000"),
        ({"host_bind_paths": ("srv",)}, "hostBindPaths[0]", "absolute"),
        ({"host_bind_paths": ("/",)}, "hostBindPaths[0]", "whole file system"),
        ({"host_binds": (HostBind("/a/../b", "/b"),)}, "hostBinds[0].source", "absolute"),
        ({"host_binds": (HostBind("/a", "b"),)}, "hostBinds[0].mountPath", "absolute"),
        ({"tmpfs": (Tmpfs("/proc"),)}, "tmpfs[0].mountPath", "runtime"),
        ({"tmpfs": (Tmpfs("/a"), Tmpfs("/a/"))}, "tmpfs[1].mountPath", "same path"),
        ({"tmpfs": (Tmpfs("/a"),), "host_bind_paths": ("/a",)}, "tmpfs[0].mountPath", "same path"),
        ({"health": HealthCheck("exec", ("a",), interval_ms=1)}, "health.interval", "100 ms and a day"),
        ({"health": HealthCheck("exec", ("a",), timeout_ms=1)}, "health.timeout", "100 ms and a day"),
        ({"health": HealthCheck("exec", ("a",), start_period_ms=1 << 40)}, "health.startPeriod", "a day at most"),
        ({"health": HealthCheck("exec", ("a",), retries=0)}, "health.retries", "from 1 to 1000"),
        ({"health": HealthCheck("exec", ())}, "health.exec", "needs a program"),
        ({"health": HealthCheck("exec", ("",))}, "health.exec", "needs a program"),
        ({"health": HealthCheck("http", port=80)}, "health.http", "nobody reaches a port"),
        ({"health": HealthCheck("http", port=80, path="no"), "network": "host"}, "health.http.path", "begins with /"),
        ({"health": HealthCheck("tcp", port=0), "network": "host"}, "health.tcp.port", "1 to 65535"),
    ],
)
def test_what_cannot_work_is_refused_with_its_field_as_a_manifest_has_it(
    fields: dict[str, Any], field: str, words: str
) -> None:
    refusal = applied(**fields)
    assert isinstance(refusal, Refusal)
    assert refusal.fields == (f"container.{field}",) and words in refusal.message
    known = pb.ContainerSpec.DESCRIPTOR
    for name in field.split("."):
        if known.GetOptions().map_entry:
            break
        one = names_of(known)[name.partition("[")[0]]
        assert not is_quantity(one) or short_name(one) == name, "as one writes it with its unit"
        known = one.message_type or known


@pytest.mark.parametrize(
    "fields",
    [
        {"resources": Resources(cpu_millis=2_000, cpu_shares=2, memory_bytes=6 << 20, swap_bytes=1, pids=0)},
        {"cap_add": ("ALL",), "cap_drop": ("CHOWN",)},
        {"cap_add": ("NET_ADMIN",), "cap_drop": ("ALL",)},
        {"ulimits": (Ulimit("nofile", 20_000, 20_000), Ulimit("memlock", -1, -1))},
        {"hostname": "db.example", "extra_hosts": (("v6.local", "fd00::1"),)},
        {"host_binds": (HostBind("/", "/machine", True),), "host_bind_paths": ("/etc/ssl",), "tmpfs": (Tmpfs("/tmp"),)},
        {"env": (SealedEnv("A", "s", ENV_BYTES_MAX - 2),), "command": ("x" * ARGUMENT_BYTES_MAX,)},
        {"args": (LONG,) * 7, "health": HealthCheck("exec", (LONG,) * 7)},
        {"restart": RestartPolicy("on-failure", 100, 100, 1, 1), "stop_signal": "SIGRTMIN+3"},
    ],
)
def test_what_can_work_is_admitted(fields: dict[str, Any]) -> None:
    assert isinstance(applied(**fields), Admitted)


def test_what_the_kernel_cannot_limit_is_refused_by_name() -> None:
    bare = replace(MACHINE, controllers=frozenset({"pids"}), swap=False)
    for limits, reason in (
        (Resources(memory_bytes=1 << 30), "NO_CONTROLLER"),
        (Resources(cpu_millis=500), "NO_CONTROLLER"),
        (Resources(memory_bytes=1 << 30, swap_bytes=1), "NO_SWAP_LIMITS"),
    ):
        refusal = applied(bare, resources=limits)
        assert isinstance(refusal, Refusal) and (refusal.code, refusal.reason) == ("UNIMPLEMENTED", reason)
    assert isinstance(applied(bare), Admitted)


def test_a_path_of_the_machine_that_is_not_there_is_named_with_its_field() -> None:
    one = replace(declared("web"), absent_paths=(("/srv/data", "container.hostBinds[0].source"),))
    refusal = Story().call(Apply((one,)))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "HOST_PATH_MISSING")
    assert refusal.fields == ("container.hostBinds[0].source",) and "/srv/data" in refusal.message


def test_a_path_of_the_machine_that_does_not_answer_is_refused_as_one_that_is_not_there() -> None:
    one = replace(declared("web"), silent_paths=(("/mnt/nas", "container.hostBindPaths[0]"),))
    refusal = Story().call(Apply((one,)))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "HOST_PATH_MISSING")
    assert refusal.fields == ("container.hostBindPaths[0]",) and "/mnt/nas does not answer" in refusal.message


def test_what_was_admitted_once_is_not_judged_again_while_it_stays() -> None:
    story = Story()
    old = replace(declared("web"), spec=replace(spec(), host_bind_paths=("/srv",)))
    story.apply(old)
    gone = replace(old, absent_paths=(("/srv", "container.hostBindPaths[0]"),))
    assert story.call(Apply((gone,), abilities=MACHINE)) == Admitted(())
    changed = replace(gone, spec=replace(gone.spec, user="web"))
    assert isinstance(story.call(Apply((changed,), abilities=MACHINE)), Refusal)


def test_a_volume_and_a_tmpfs_cannot_be_at_one_path() -> None:
    one = replace(declared("web"), spec=replace(spec(), tmpfs=(Tmpfs("/data"),), mounts=(VolumeMount("v", "/data"),)))
    from projections.container_rules import check_container

    refusal = check_container(one.spec, MACHINE)
    assert refusal is not None and refusal.reason == "PATH_TAKEN"


def test_in_a_batch_a_refusal_says_whose_it_is() -> None:
    bad = replace(declared("db"), spec=replace(spec(), stop_signal="NOPE"))
    alone, both = Story().call(Apply((bad,))), Story().call(Apply((declared("web"), bad)))
    assert isinstance(alone, Refusal) and alone.message.startswith("there is no such signal")
    assert isinstance(both, Refusal) and both.message == f"db: {alone.message}" and both.fields == alone.fields
