"""The runtime spec of a run: what it may do, take and see, from what was declared and what the image says."""

from typing import Any

import pytest
from msgspec.structs import replace

from effects.containers.mounts import OwnFile
from effects.containers.seccomp import ALWAYS, WITH, profile
from effects.containers.spec import Host, Surroundings, runtime_spec
from effects.errors import EntrypointMissing
from effects.runs.limits import Controllers
from effects.runs.process import Identity, ImageConfig, arguments, stop_signal
from effects.runs.protocol import MountedVolume, RunSpec
from journal.specs import HostBind, Resources, Tmpfs, Ulimit
from projections.linux import CAPABILITIES

HOST = Host("/capsule", CAPABILITIES, nofile_hard=20_000)
RUN = RunSpec("web", 7, 7, 1, "sha256:1", command=("serve",))
FILES = {"/etc/hosts": OwnFile("/state/hosts"), "/etc/resolv.conf": OwnFile("/etc/resolv.conf", read_only=True)}


def spec_of(user: int = 0, host: Host = HOST, devices: tuple[dict[str, Any], ...] = (), **fields: Any) -> Any:
    run = replace(RUN, **fields)
    return runtime_spec(
        run, ImageConfig(), Identity(user, user), host, "web.7.1", Surroundings(FILES, devices, "capsule")
    )


def mounted(spec: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {one["destination"]: (one["source"], tuple(one["options"])) for one in spec["mounts"]}


def allowed(capabilities: tuple[str, ...]) -> set[str]:
    """The system calls that are let through whatever their arguments are."""
    found = profile(capabilities, "x86_64")
    assert found is not None
    rules = [rule for rule in found["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule]
    return {name for rule in rules for name in rule["names"]}


# --- command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "args", "entrypoint", "cmd", "argv"),
    [
        ((), (), ("/entry",), ("default",), ("/entry", "default")),
        ((), ("mine",), ("/entry",), ("default",), ("/entry", "mine")),
        (("/other",), (), ("/entry",), ("default",), ("/other",)),
        (("/other",), ("mine",), ("/entry",), ("default",), ("/other", "mine")),
        ((), (), (), ("sh",), ("sh",)),
        ((), ("ls",), (), ("sh",), ("ls",)),
    ],
)
def test_a_command_replaces_both_and_arguments_replace_the_images_command(
    command: tuple[str, ...], args: tuple[str, ...], entrypoint: tuple[str, ...], cmd: tuple[str, ...],
    argv: tuple[str, ...],
) -> None:  # fmt: skip
    run = replace(RUN, command=command, args=args)
    assert arguments(run, ImageConfig(entrypoint, cmd)) == argv


def test_nothing_to_run_says_what_to_do() -> None:
    with pytest.raises(EntrypointMissing, match="Say `command:`"):
        arguments(replace(RUN, command=()), ImageConfig())


@pytest.mark.parametrize(
    ("declared", "image", "number"), [("SIGINT", "SIGQUIT", 2), ("", "SIGQUIT", 3), ("", "", 15), ("", "NONSENSE", 15)]
)
def test_the_stop_signal_is_the_manifests_else_the_images_else_term(declared: str, image: str, number: int) -> None:
    assert stop_signal(replace(RUN, stop_signal=declared), ImageConfig(stop_signal=image)) == number


# --- privileges --------------------------------------------------------------------------------------------------


def test_a_container_has_the_usual_capabilities_and_no_way_to_more() -> None:
    process = spec_of()["process"]
    sets = process["capabilities"]
    assert len(sets["bounding"]) == 14 and "CAP_SYS_ADMIN" not in sets["bounding"]
    assert sets["effective"] == sets["permitted"] == sets["bounding"] and "ambient" not in sets
    assert process["noNewPrivileges"] and not spec_of(new_privileges=True)["process"]["noNewPrivileges"]


def test_where_memory_runs_out_it_is_a_container_that_goes() -> None:
    """Its shim is spared, and what it starts would be."""
    assert spec_of()["process"]["oomScoreAdj"] == spec_of(privileged=True)["process"]["oomScoreAdj"] == 0


def test_capabilities_are_added_and_dropped_in_that_order() -> None:
    def bounding(**fields: Any) -> set[str]:
        return set(spec_of(**fields)["process"]["capabilities"]["bounding"])

    assert bounding(cap_drop=("ALL",)) == set()
    assert bounding(cap_drop=("ALL",), cap_add=("CHOWN",)) == {"CAP_CHOWN"}
    assert bounding() - bounding(cap_drop=("MKNOD",)) == {"CAP_MKNOD"}
    assert bounding(cap_add=("ALL",), cap_drop=("SYS_BOOT",)) == {
        f"CAP_{name}" for name in CAPABILITIES if name != "SYS_BOOT"
    }
    assert len(bounding(privileged=True)) == len(CAPABILITIES)
    assert bounding(cap_add=("ALL",), host=replace(HOST, capabilities=("CHOWN",))) == {"CAP_CHOWN"}


def test_who_is_not_root_begins_with_what_was_asked_for_by_name() -> None:
    plain = spec_of(user=101)["process"]["capabilities"]
    assert (plain["effective"], plain["permitted"]) == ([], []) and "ambient" not in plain
    raised = spec_of(user=101, cap_add=("NET_BIND_SERVICE",))["process"]["capabilities"]
    assert raised["ambient"] == raised["inheritable"] == raised["effective"] == ["CAP_NET_BIND_SERVICE"]


def test_privileged_lifts_every_veil() -> None:
    nodes = ({"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232},)
    plain, privileged = spec_of(devices=nodes)["linux"], spec_of(privileged=True, devices=nodes)["linux"]
    assert "/proc/kcore" in plain["maskedPaths"] and "/proc/sys" in plain["readonlyPaths"] and "seccomp" in plain
    assert not {"maskedPaths", "readonlyPaths", "seccomp"} & privileged.keys()
    assert privileged["devices"] == list(nodes) and "devices" not in plain
    assert privileged["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_filters_are_left_out_where_they_are_not_wanted_or_cannot_be() -> None:
    assert "seccomp" not in spec_of(seccomp="unconfined")["linux"]
    assert "seccomp" not in spec_of(host=replace(HOST, seccomp=False))["linux"]
    assert "seccomp" not in spec_of(host=replace(HOST, architecture="riscv64"))["linux"]


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "unshare",
        "setns",
        "keyctl",
        "add_key",
        "reboot",
        "kexec_load",
        "init_module",
        "bpf",
        "io_uring_setup",
        "userfaultfd",
    ],
)
def test_what_is_not_for_containers_stands_in_no_list(name: str) -> None:
    assert name not in allowed(())


def test_a_capability_brings_its_own_system_calls() -> None:
    for capability, names in WITH.items():
        assert set(names.split()) <= allowed((capability,))
        assert not set(names.split()) & set(" ".join(ALWAYS).split())
    assert {"read", "openat", "execve", "futex", "ptrace"} <= allowed(())


def test_new_namespaces_need_a_capability_and_clone3_is_as_if_it_were_not_there() -> None:
    def rules(capabilities: tuple[str, ...], name: str) -> list[Any]:
        found = profile(capabilities, "x86_64")
        assert found is not None
        return [rule for rule in found["syscalls"] if name in rule["names"]]

    (clone,) = rules((), "clone")
    flags = (0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000)
    assert clone["args"] == [{"index": 0, "value": sum(flags), "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    (clone3,) = rules((), "clone3")
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert [rule["action"] for rule in rules(("SYS_ADMIN",), "clone3")] == ["SCMP_ACT_ALLOW"]


# --- limits ------------------------------------------------------------------------------------------------------


def test_limits_are_written_as_the_runtime_counts_them() -> None:
    wanted = Resources(cpu_millis=500, cpu_shares=512, memory_bytes=64 << 20, swap_bytes=1 << 20, pids=10)
    found = spec_of(resources=wanted)["linux"]["resources"]
    assert found["cpu"] == {"quota": 50_000, "period": 100_000, "shares": 512}
    assert found["memory"] == {"limit": 64 << 20, "swap": 65 << 20}
    assert found["pids"] == {"limit": 10}


def test_what_is_not_declared_is_not_limited_but_for_the_number_of_processes() -> None:
    found = spec_of()["linux"]["resources"]
    assert found.keys() == {"devices", "pids"} and found["pids"] == {"limit": 4_096}
    assert "pids" not in spec_of(resources=Resources(pids=0))["linux"]["resources"]
    bare = replace(HOST, controllers=Controllers(frozenset({"memory"}), swap=False))
    assert spec_of(host=bare, resources=Resources(memory_bytes=1 << 30))["linux"]["resources"]["memory"] == {
        "limit": 1 << 30
    }
    assert "pids" not in spec_of(host=bare)["linux"]["resources"]


def test_files_are_limited_by_the_machine_and_everything_by_the_manifest() -> None:
    assert spec_of()["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 20_000}]
    limits = spec_of(ulimits=(Ulimit("nofile", 5, 6), Ulimit("memlock", -1, -1)))["process"]["rlimits"]
    assert limits == [
        {"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6},
        {"type": "RLIMIT_MEMLOCK", "soft": (1 << 64) - 1, "hard": (1 << 64) - 1},
    ]


# --- places ------------------------------------------------------------------------------------------------------


def test_a_container_has_its_own_name_and_files_and_sees_its_own_limits() -> None:
    spec = spec_of()
    found = mounted(spec)
    assert found["/etc/hosts"] == ("/state/hosts", ("rbind", "rprivate", "rw"))
    assert found["/etc/resolv.conf"] == ("/etc/resolv.conf", ("rbind", "rprivate", "ro"))
    assert spec["hostname"] == "web" and "HOSTNAME=web" in spec["process"]["env"]
    assert "ro" in found["/sys/fs/cgroup"][1] and {"type": "cgroup"} in spec["linux"]["namespaces"]
    assert spec_of(hostname="other")["hostname"] == "other"


def test_in_a_network_of_its_own_everybody_may_listen_on_any_port_and_send_pings() -> None:
    wanted = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    for network in ("bridge", "none"):
        assert spec_of(network=network)["linux"]["sysctl"] == wanted
    assert "sysctl" not in spec_of(network="host")["linux"], "those are the machine's"
    older = replace(HOST, network_settings=("net.ipv4.ip_unprivileged_port_start",))
    assert list(spec_of(host=older, network="bridge")["linux"]["sysctl"]) == ["net.ipv4.ip_unprivileged_port_start"]


def test_on_network_host_the_machines_name_and_network_are_its_own() -> None:
    spec = spec_of(network="host")
    assert "hostname" not in spec and mounted(spec)["/sys"][0] == "/sys"
    assert "HOSTNAME=capsule" in spec["process"]["env"]
    assert not {"network", "uts"} & {one["type"] for one in spec["linux"]["namespaces"]}


def test_what_is_declared_comes_last_and_hides_what_the_runtime_would_put_there() -> None:
    spec = spec_of(host_bind_paths=("/dev", "/sys"), host_binds=(HostBind("/srv", "/etc", True),))
    found = mounted(spec)
    assert found["/dev"] == ("/dev", ("rbind", "rprivate", "rw")) and found["/etc"][1][-1] == "ro"
    assert not {"/dev/pts", "/dev/shm", "/sys/fs/cgroup", "/etc/hosts"} & found.keys()
    assert [one["destination"] for one in spec["mounts"]][-3:] == ["/dev", "/sys", "/etc"]


def test_what_is_read_only_is_so_in_all_that_is_mounted_below_it_or_that_is_not_seen() -> None:
    binds = (HostBind("/", "/all", True),)
    found = mounted(spec_of(network="host", host_binds=binds))
    assert found["/all"][1] == ("rbind", "rro", "rprivate", "ro")
    assert found["/sys"][1] == ("rbind", "rro", "nosuid", "noexec", "nodev", "ro")
    assert mounted(spec_of(network="host", privileged=True))["/sys"][1] == ("rbind", "nosuid", "noexec", "nodev", "rw")
    older = mounted(spec_of(host=replace(HOST, deep_read_only=False), network="host", host_binds=binds))
    assert older["/all"][1] == ("bind", "rprivate", "ro")
    assert older["/sys"][1] == ("bind", "nosuid", "noexec", "nodev", "ro")


def test_the_outer_of_two_places_is_mounted_before_the_inner_of_whatever_kind_they_are() -> None:
    spec = spec_of(
        host_binds=(HostBind("/srv", "/data/media"), HostBind("/", "/all")),
        volumes=(MountedVolume("/vol/a", "/data/media/new"), MountedVolume("/vol/b", "/data")),
        tmpfs=(Tmpfs("/all/tmp"),),
    )
    declared = [one["destination"] for one in spec["mounts"]][-5:]
    assert declared == ["/all", "/data", "/data/media", "/all/tmp", "/data/media/new"]


def test_a_read_only_root_leaves_scratch_places_writable() -> None:
    spec = spec_of(read_only_root=True, tmpfs=(Tmpfs("/tmp", 1 << 20),))
    found = mounted(spec)
    assert spec["root"]["readonly"] and {"/run", "/var/tmp"} <= found.keys()
    assert found["/tmp"][1][-1] == f"size={1 << 20}" and mounted(spec_of()).keys().isdisjoint({"/run", "/tmp"})


def test_host_mount_is_the_machines_root_as_its_mounts_come_and_go() -> None:
    assert mounted(spec_of(host_mount=True))["/host"] == ("/", ("rbind", "rslave", "rw"))


def test_shared_memory_has_its_size_or_is_the_machines() -> None:
    assert mounted(spec_of(shm_bytes=1 << 20))["/dev/shm"][1][-1] == f"size={1 << 20}"
    spec = spec_of(host_ipc=True)
    assert mounted(spec)["/dev/shm"][0] == "/dev/shm" and {"type": "ipc"} not in spec["linux"]["namespaces"]
