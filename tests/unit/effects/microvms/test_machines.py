"""A microVM's machine in words: the monitor's command line, its limits, what the guest is told."""

import json
from pathlib import Path

from msgspec import structs

from effects.microvms.acceleration import clock_arguments
from effects.microvms.cgroup import make
from effects.microvms.command_line import Disk, Machine, command_line, descriptors, mac_of
from effects.microvms.confinement import share_of, user_of
from effects.microvms.guest_run import Surroundings, run_disk
from effects.microvms.share import Share, limits_v1, limits_v2
from effects.runs.process import Identity, ImageConfig
from effects.runs.protocol import MountedVolume, RunSpec
from effects.secrets.protocol import SecretContent
from journal.specs import MicroVM, Resources, Ulimit

RUN = RunSpec("web", 7, 7, 1, "sha256:1", vm=MicroVM(vcpus=2, memory_mib=256))
MACHINE = Machine(
    "web.7.1", 2, 256, ("console=ttyS0",), (Disk("layer", 11), Disk("run", 12, read_only=True)), 10,
    ports=(("capsule.end", 13),), agent=14, tap=15, address="172.20.254.9",
)  # fmt: skip


def test_every_descriptor_that_the_command_line_speaks_of_is_kept_open() -> None:
    assert sorted(descriptors(MACHINE)) == [10, 11, 12, 13, 14, 15]
    words = " ".join(command_line("/qemu", "tcg", MACHINE))
    assert all(f"fd={fd}" in words or f"/dev/fdset/{fd}" in words for fd in descriptors(MACHINE))


def test_a_volume_of_a_pool_is_a_device_to_the_monitor_and_no_file() -> None:
    words = command_line(
        "/qemu", "tcg", structs.replace(MACHINE, disks=(Disk("layer", 11), Disk("volume", 12, device=True)))
    )
    backed = [word.partition("file.driver=")[2].split(",")[0] for word in words if "file.driver=" in word]
    assert backed == ["file", "host_device"]


def test_where_the_machine_has_vsock_the_agent_has_a_number_there_and_no_port() -> None:
    machine = structs.replace(MACHINE, agent=None, vsock=(4711, 16))
    assert sorted(descriptors(machine)) == [10, 11, 12, 13, 15, 16]
    words = command_line("/qemu", "kvm", machine)
    assert "vhost-vsock-device,guest-cid=4711,vhostfd=16" in words
    assert not [word for word in words if "capsule.agent" in word]


def test_a_monitor_is_sandboxed_whatever_accelerates_it() -> None:
    for accelerator in ("kvm", "tcg"):
        words = command_line("/qemu", accelerator, MACHINE)
        assert words[words.index("-sandbox") + 1] == (
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
        )
        assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(words)


def test_a_link_has_a_hardware_address_of_its_own() -> None:
    assert mac_of("172.20.254.9") == "02:ca:ac:14:fe:09"


def test_what_a_monitor_may_take_is_its_guests_memory_and_a_part_of_its_own() -> None:
    assert share_of("kvm", RUN).memory_bytes == (256 + 96) << 20
    assert share_of("tcg", RUN).cpu_millis == 2_500
    declared = RunSpec("web", 7, 7, 1, "", vm=MicroVM(), resources=Resources(cpu_millis=300, cpu_shares=2_048))
    assert (share_of("kvm", declared).cpu_millis, share_of("kvm", declared).cpu_shares) == (300, 2_048)


def test_each_microvm_is_a_user_of_its_own() -> None:
    assert user_of("web", 7) != user_of("db", 7) != user_of("db", 8) and user_of("web", 7) > 0x6FFF_FFFF


def test_limits_are_written_for_the_version_of_cgroups_that_there_is(tmp_path: Path) -> None:
    share = Share(1 << 30, 1_500, 97, cpu_shares=1_024)
    assert dict(limits_v1(share))["cpu.cfs_quota_us"] == "150000"
    assert dict(limits_v2(share)) == {
        "cpu.weight": "39", "memory.max": str(1 << 30), "memory.swap.max": "0", "cpu.max": "150000 100000",
        "pids.max": "97",
    }  # fmt: skip
    for name in ("cgroup.controllers", "cgroup.subtree_control"):
        (tmp_path / name).touch()
    group = tmp_path / "capsule/web.7.1"
    group.mkdir(parents=True)
    (group / "memory.max").touch()
    assert make("/capsule/web.7.1", share, tmp_path) == (str(group / "cgroup.procs"),)
    assert (group / "memory.max").read_text() == str(1 << 30)


def test_the_clock_is_told_as_rated_else_as_measured() -> None:
    assert clock_arguments("model name\t: Some CPU @ 2.60GHz\ncpu MHz\t\t: 1200.1\n") == ("tsc_early_khz=2600000",)
    assert clock_arguments("model name\t: Some CPU\ncpu MHz\t\t: 2300.000\n") == ("tsc_early_khz=2300000",)
    assert clock_arguments("") == ()


def told(run: RunSpec, image: ImageConfig = ImageConfig(command=("sh",)), uid: int = 0) -> dict[str, object]:
    around = Surroundings("options ndots:1\n", 24, (SecretContent("/run/secrets/key", b"\0x", 0o400, 5, 6),), 99)
    disk = run_disk(run, image, Identity(uid), around)
    assert len(disk) % 512 == 0
    found: dict[str, object] = json.loads(disk.rstrip(b"\0"))
    return found


def test_a_guest_is_told_all_of_its_run_in_whole_sectors() -> None:
    run = RunSpec(
        "web", 7, 7, 1, "", args=("-v",), env=(("A", "b"),), address="172.20.254.9", nameserver="172.20.254.1",
        network="bridge", volumes=(MountedVolume("/x", "/data"), MountedVolume("/y", "/more", read_only=True)),
        ulimits=(Ulimit("core", 0, 0),), cap_add=("NET_ADMIN",), stop_signal="SIGUSR1", vm=MicroVM(),
    )  # fmt: skip
    said = told(run, ImageConfig(entrypoint=("serve",), working_dir="/srv"), uid=1_000)
    assert said["argv"] == ["serve", "-v"] and "A=b" in said["env"] and said["cwd"] == "/srv"  # type: ignore[operator]
    assert said["network"] == {"address": "172.20.254.9", "prefix": 24, "gateway": "172.20.254.1"}
    assert said["mounts"] == [
        {"serial": "vol0", "path": "/data", "read_only": False},
        {"serial": "vol1", "path": "/more", "read_only": True},
    ]
    assert said["rlimits"] == {"nofile": [1_024, 65_536], "core": [0, 0]}
    assert said["raised"] == [12] and said["stop_signal"] == 10 and said["no_new_privileges"] is True
    assert said["secrets"] == [{"path": "/run/secrets/key", "mode": 0o400, "uid": 5, "gid": 6, "base64": "AHg="}]


def test_a_guest_without_a_network_asks_nobody() -> None:
    said = told(RUN)
    assert said["network"] is None
    assert said["files"]["/etc/resolv.conf"] == "" and "127.0.1.1\tweb" in said["files"]["/etc/hosts"]  # type: ignore[index]


def test_a_machine_has_nothing_that_it_was_not_given() -> None:
    bare = Machine("web.7.1", 2, 256, ("console=ttyS0",), (), 10, initrd=False)
    words = " ".join(command_line("/qemu", "tcg", bare))
    assert not [one for one in ("-initrd", "virtio-serial", "-netdev", "-mon ", "vsock", "-blockdev") if one in words]
    whole = command_line("/qemu", "tcg", structs.replace(bare, initrd=True, power=12))
    assert "-initrd" in whole and "chardev=power,mode=control" in whole
    assert "socket,id=power,fd=12,server=on,wait=off" in whole and sorted(
        descriptors(structs.replace(bare, power=12))
    ) == [10, 12]
