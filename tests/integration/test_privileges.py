"""What a process in a real container may do, asked from inside: system calls, capabilities, places, limits.

The machine's own Python is bound into the container, to make system calls that no program in the image makes.
"""

import asyncio
import json
import os
import platform
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from effects.runs.exec_protocol import ExecRequest
from effects.runs.protocol import RunSpec
from journal.specs import HostBind, Resources, Tmpfs, Ulimit
from projections.linux import CAPABILITIES, CONTAINER_CAPABILITIES
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        platform.machine() != "x86_64" or not Path("/usr/bin/python3").exists(),
        reason="the numbers of system calls here are x86_64's, and /usr/bin/python3 makes them",
    ),
]

ENOSYS, EPERM = 38, 1
# Number and arguments: each would fail in another way than with EPERM if it were let through, and do nothing.
CALLS = {
    "mount": (165, 0, 0, 0, 0, 0),
    "umount2": (166, 0, 0),
    "pivot_root": (155, 0, 0),
    "unshare": (272, 0x1000_0000),
    "clone": (56, 0x1000_0000 | 0x8000_0000, 0, 0, 0, 0),
    "clone3": (435, 0, 0),
    "setns": (308, -1, 0),
    "keyctl": (250, 0, 0),
    "add_key": (248, 0, 0, 0, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
    "kexec_load": (246, 0, 99_999, 0, 0),
    "init_module": (175, 0, 0, 0),
    "finit_module": (313, -1, 0, 0),
    "bpf": (321, 99, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "open_by_handle_at": (304, -1, 0, 0),
    "io_uring_setup": (425, 0, 0),
    "userfaultfd": (323, -1),
    "clock_settime": (227, 0, 0),
    "iopl": (172, 99),
    "swapon": (167, 0, 0),
    "quotactl": (179, 0, 0, 0, 0),
    "acct": (163, 1),
    "personality": (135, 0x40_0000),
    "vsock": (41, 40, 1, 0),
}
HARMLESS = {"getpid": (39,), "socket": (41, 2, 1, 0), "personality_asked": (135, 0xFFFF_FFFF), "ptrace": (101, 99, 0)}

ASK = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
answers = {}
for name, arguments in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(one) for one in arguments])
    answers[name] = ctypes.get_errno() if result == -1 else 0
print(json.dumps(answers))
"""

Inside = Callable[..., Awaitable[str]]


@asynccontextmanager
async def containers() -> AsyncIterator[Inside]:
    """A function that runs a command in a container of its own, to its end, and returns what it said."""
    async with runtime() as made:
        (image,) = await made.images.import_archive(chunks(archive("demo:1")))
        number = 0

        async def inside(*command: str, **fields: Any) -> str:
            nonlocal number
            number += 1
            run = RunSpec("web", 7, 7, number, image.platform_digest, command=command, **fields)
            ends = aiter(made.containers.exits())
            seen = await made.containers.ensure_running(run)
            while seen.status != "stopped":
                report = await anext(ends)
                seen = next(one for one in await made.containers.observe() if one.run == number) if report else seen
            stdout, stderr = made.containers.log_files("web", 7, number)
            assert seen.exit_code == 0, f"{command}: {seen} {stdout.read_text()} {stderr.read_text()}"
            await made.containers.remove_run("web", 7, number)
            return stdout.read_text()

        yield inside


async def errnos(inside: Inside, calls: dict[str, Any], **fields: Any) -> dict[str, int]:
    python = tuple(HostBind(path, path, True) for path in ("/usr", "/lib", "/lib64") if os.path.exists(path))
    binds = (*python, *fields.pop("host_binds", ()))
    out = await inside("/usr/bin/python3", "-c", ASK, json.dumps(calls), host_binds=binds, **fields)
    found: dict[str, int] = json.loads(out)
    return found


async def status(inside: Inside, **fields: Any) -> dict[str, str]:
    out = await inside("cat", "/proc/self/status", **fields)
    return dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)


def names(mask: str) -> set[str]:
    return {name for number, name in enumerate(CAPABILITIES) if int(mask, 16) >> number & 1}


def test_what_a_container_may_not_do_is_refused_and_privileged_lifts_it() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            refused = await errnos(inside, CALLS)
            assert refused.pop("clone3") == ENOSYS
            assert {name for name, errno in refused.items() if errno != EPERM} == set()
            assert EPERM not in (await errnos(inside, HARMLESS)).values()
            rest = {name: call for name, call in CALLS.items() if name != "clone"}
            lifted = await errnos(inside, rest, privileged=True)
            # What this machine does not let its own root do, nobody can give.
            machine = json.loads(
                subprocess.run(
                    ["/usr/bin/python3", "-c", ASK, json.dumps(rest)], check=True, capture_output=True
                ).stdout
            )
            assert [name for name in rest if (lifted[name] == EPERM) != (machine[name] == EPERM)] == []

    asyncio.run(main())


def test_capabilities_open_their_own_system_calls_and_unconfined_those_that_need_none() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            some = {name: CALLS[name] for name in ("mount", "unshare", "clone3", "keyctl", "clock_settime")}
            admin = await errnos(inside, some, cap_add=("SYS_ADMIN",))
            assert {name for name, errno in admin.items() if errno == EPERM} == {"keyctl", "clock_settime"}
            assert admin["clone3"] != ENOSYS
            unconfined = await errnos(inside, some, seccomp="unconfined")
            assert EPERM not in (unconfined["keyctl"], unconfined["mount"])

    asyncio.run(main())


def test_capabilities_and_the_ways_to_more_are_as_declared() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            plain = await status(inside)
            assert names(plain["CapEff"]) == names(plain["CapBnd"]) == set(CONTAINER_CAPABILITIES)
            assert (plain["NoNewPrivs"], plain["Seccomp"]) == ("1", "2")
            least = await status(inside, cap_drop=("ALL",), cap_add=("CHOWN",), new_privileges=True)
            assert names(least["CapEff"]) == {"CHOWN"} and least["NoNewPrivs"] == "0"
            user = await status(inside, user="web", cap_add=("NET_BIND_SERVICE",))
            assert names(user["CapEff"]) == names(user["CapAmb"]) == {"NET_BIND_SERVICE"}
            assert names((await status(inside, user="web"))["CapEff"]) == set()
            all_of_it = await status(inside, privileged=True)
            bounding = Path("/proc/self/status").read_text().split("CapBnd:\t")[1].split()[0]
            assert names(all_of_it["CapEff"]) == names(bounding) and all_of_it["Seccomp"] == "0"

    asyncio.run(main())


def test_a_command_run_beside_a_container_is_held_as_it_is() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            for run, privileged in enumerate((False, True), start=1):
                command = ("sleep", "60")
                sleeper = RunSpec("web", 7, 7, run, image.platform_digest, command=command, privileged=privileged)
                await made.containers.ensure_running(sleeper)
                look = ("cat", "/proc/self/status", "/proc/self/oom_score_adj", "/proc/1/oom_score_adj")
                session = await made.executor.open(ExecRequest("web", 7, run, look))
                told = b"".join([data async for _, data in session.output()]).decode()
                assert await session.wait() == 0
                await session.close()
                assert ("Seccomp:\t0" in told, "NoNewPrivs:\t0" in told) == (privileged, privileged)
                assert told.splitlines()[-2:] == ["0", "0"], "neither is spared where memory runs out, as their shim is"

    asyncio.run(main())


def test_the_machine_is_masked_and_read_only_unless_privileged() -> None:
    look = "head -c 1 /proc/kcore | wc -c; echo x > /proc/sys/kernel/hostname; echo $?; ls /dev | wc -l; echo > /sys/x; echo $?"

    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            kcore, sysctl, devices, _ = (await inside("sh", "-c", f"{look} 2>/dev/null")).split()
            assert (kcore, sysctl) == ("0", "1")
            told = (await inside("sh", "-c", look, privileged=True)).split()
            assert told[1] == "0" and int(told[2]) > int(devices)

    asyncio.run(main())


def test_a_container_has_its_own_name_files_and_scratch_places() -> None:
    look = """
        hostname; cat /etc/hostname; grep -c '' /etc/resolv.conf; cat /etc/hosts
        touch /root/x 2>/dev/null; echo root $?
        touch /tmp/x /run/x /var/tmp/x; echo scratch $?
        df -k /scratch /dev/shm | awk 'NR > 1 {print $6, $2}'
        stat -c %a /scratch
        ulimit -n; ulimit -Hn
    """
    fields = {
        "hostname": "fred",
        "extra_hosts": (("db", "10.1.1.1"),),
        "read_only_root": True,
        "tmpfs": (Tmpfs("/scratch", 1 << 20),),
        "shm_bytes": 2 << 20,
        "ulimits": (Ulimit("nofile", 100, 200),),
    }

    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            lines = (await inside("sh", "-c", look, **fields)).splitlines()
            assert lines[:3] == ["fred", "fred", "0"]
            assert "127.0.1.1\tfred" in lines and "10.1.1.1\tdb" in lines
            assert "root 1" in lines and "scratch 0" in lines
            assert "/scratch 1024" in lines and "/dev/shm 2048" in lines and "1777" in lines
            assert lines[-2:] == ["100", "200"]

    asyncio.run(main())


def test_limits_are_the_kernels() -> None:
    look = "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max 2>/dev/null || cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max"
    wanted = Resources(cpu_millis=500, memory_bytes=32 << 20, pids=20)

    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            told = (await inside("sh", "-c", look, resources=wanted)).split()
            assert told in (["33554432", "50000", "20"], ["33554432", "50000", "100000", "20"])

    asyncio.run(main())


def test_the_machines_files_and_mounts_are_where_they_were_asked_for(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("the machine's\n")
    look = f"cat /data/there /host{tmp_path}/there {tmp_path}/there; touch /data/x 2>/dev/null; echo $?; touch {tmp_path}/y; echo $?"

    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            out = await inside(
                "sh",
                "-c",
                look,
                host_mount=True,
                host_bind_paths=(str(tmp_path),),
                host_binds=(HostBind(str(tmp_path), "/data", True),),
            )
            assert out == "the machine's\n" * 3 + "1\n0\n"

    asyncio.run(main())


def test_what_a_client_in_the_field_asks_for_debugging_works() -> None:
    paths = tuple(path for path in ("/perm", "/sys", "/dev", "/sbin", "/usr/sbin", "/usr/bin") if os.path.exists(path))
    fields: dict[str, Any] = {"network": "host", "privileged": True, "host_pid": True, "host_bind_paths": paths}

    async def main() -> None:
        async with asyncio.timeout(60), containers() as inside:
            out = await inside(
                "sh", "-c", "cat /proc/1/comm; hostname; test -c /dev/kmsg; ls /usr/sbin | wc -l", **fields
            )
            comm, hostname, programs = out.split()
            assert comm == Path("/proc/1/comm").read_text().strip() and hostname == platform.node()
            assert int(programs) == len(os.listdir("/usr/sbin"))

    asyncio.run(main())
