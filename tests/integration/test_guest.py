"""The guest, booted: what its payload finds, what it tells, what is done beside it, and how it ends."""

import base64
import io
import queue
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.guest.v1 import guest_pb2 as pb
from capsule.guest.v1.guest_pb2_grpc import GuestServiceStub
from effects.microvms.guest_clock import behind_ns
from effects.volumes.superblock import remembers_an_error
from guest.cgroups import PROCESS_BYTES
from guest.service.servicer import LONG_CALLS
from tests.support.guest_machine import BOOT_S, GuestMachine, ext4, guest_machine, payload_disk, squashed

pytestmark = [pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")]

SERVE = """
trap 'echo bye; echo last > /data/last; exit 3' TERM
echo hello; echo oops >&2; echo again > /dev/stdout; echo first > /data/first; cat /secrets/token
while :; do sleep 0.1; done
"""
SECRET = {
    "path": "/secrets/token",
    "mode": 0o440,
    "uid": 0,
    "gid": 1_000,
    "base64": base64.b64encode(b"one\n").decode(),
}


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return payload_disk(tmp_path_factory.mktemp("payload"))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ext4(tmp_path_factory.mktemp("volume") / "vol0", "16M")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, payload: Path, volume: Path) -> Iterator[GuestMachine]:
    with guest_machine(
        tmp_path_factory.mktemp("guest"),
        payload,
        (volume,),
        argv=["sh", "-c", SERVE],
        env=["PATH=/bin", "COLOUR=red"],
        mounts=[{"serial": "vol0", "path": "/data", "read_only": False}],
        network={"address": "10.88.0.7", "prefix": 24, "gateway": "10.88.0.1"},
        secrets=[SECRET],
        time_ns=1_900_000_000_000_000_000,
    ) as made:
        yield made


@pytest.fixture(scope="module")
def agent(machine: GuestMachine) -> Iterator[GuestServiceStub]:
    with machine.agent() as stub:
        yield stub


class Exec:
    """One exec, message by message."""

    def __init__(self, agent: GuestServiceStub, *argv: str, **fields: Any) -> None:
        self._messages: queue.SimpleQueue[pb.ExecClientMessage | None] = queue.SimpleQueue()
        self.call: Any = agent.Exec(iter(self._messages.get, None), timeout=120)
        self.say(start=pb.ExecStart(argv=argv, **fields))

    def say(self, **message: Any) -> None:
        self._messages.put(pb.ExecClientMessage(**message))

    def close(self) -> None:
        self._messages.put(None)

    def hears(self, text: bytes) -> None:
        heard = b""
        while text not in heard:
            heard += next(self.call).stdout

    def result(self) -> tuple[int, str, str]:
        """Its exit code, standard output and error."""
        out = err = b""
        for message in self.call:
            out, err = out + message.stdout, err + message.stderr
            match message.WhichOneof("message"):
                case "exit":
                    self.close()
                    code = message.exit
                case "refused":
                    self.close()
                    return -1, message.refused.reason, message.refused.message
        return code, out.decode(), err.decode()


def sh(agent: GuestServiceStub, script: str, **fields: Any) -> tuple[int, str, str]:
    return Exec(agent, "sh", "-c", script, **fields).result()


def test_a_payload_starts_without_anybody_asking(machine: GuestMachine) -> None:
    machine.until("end", "started")
    machine.until("stdout", "hello\nagain\none\n")
    machine.until("stderr", "oops\n")
    assert machine.record().keys() == {"started"}


def test_a_guest_says_who_it_is_and_which_versions_it_speaks(agent: GuestServiceStub) -> None:
    said = agent.Hello(pb.HelloRequest(version_min=7, version_max=9))
    assert (said.version, said.version_min, said.version_max) == (0, 1, 1)
    with pytest.raises(grpc.RpcError) as refused:
        agent.Status(pb.StatusRequest())
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    said = agent.Hello(pb.HelloRequest(version_min=1, version_max=9))
    assert (said.version, said.name, said.uid, said.run) == (1, "web", 7, 1)
    status = agent.Status(pb.StatusRequest())
    assert status.phase == pb.PHASE_RUNNING and status.oom_kills == 0
    assert status.time_ns > 1_900_000_000_000_000_000


def test_a_clock_that_is_years_ahead_is_the_machines_after_the_next_beat(agent: GuestServiceStub) -> None:
    asked_ns = time.monotonic_ns()
    said_ns = agent.Status(pb.StatusRequest()).time_ns
    behind = behind_ns(time.time_ns(), time.monotonic_ns() - asked_ns, said_ns)
    assert behind < -(10**9)
    began_ns = time.time_ns()
    status = agent.Status(pb.StatusRequest(clock_behind_ns=behind))
    assert began_ns - BOOT_S * 10**9 < status.time_ns < time.time_ns() + BOOT_S * 10**9
    told = int(sh(agent, "date +%s")[1])
    assert abs(told - time.time()) < BOOT_S, "and the payload's"
    fast = agent.Status(pb.StatusRequest(clock_behind_ns=500_000_000)).time_ns
    assert abs(fast - time.time_ns()) < BOOT_S * 10**9, "the kernel takes what is little, too"


def test_nothing_of_the_agents_is_within_reach(agent: GuestServiceStub) -> None:
    code, out, _ = sh(
        agent, "ls /proc | grep -c '^[0-9]'; ls /dev; ls /sys/firmware /proc/acpi | grep -v :; ls /run; true"
    )
    assert code == 0
    count, *names = out.split()
    assert int(count) <= 6, "the payload, its sleep, and what asks"
    assert {"null", "ptmx", "pts", "shm"} <= set(names)
    assert not [name for name in names if name.startswith(("vd", "vport", "console"))]
    assert "files" not in names and "layer" not in names
    code, _, err = sh(agent, "for n in 0 1 2 3 4; do mknod /tmp/vd$n b 254 $((n * 16)) && cat /tmp/vd$n; done")
    assert code and err.count("not permitted") == 5
    assert sh(agent, "mount -t tmpfs none /mnt || mount -t tmpfs none /tmp")[0]
    assert sh(agent, "echo b > /proc/sysrq-trigger")[0]


def test_a_process_beside_the_payload_has_its_place_and_its_rights(agent: GuestServiceStub) -> None:
    code, out, err = sh(
        agent,
        "id -u; echo $COLOUR $MORE; pwd; hostname; cat /etc/hostname; head -1 /proc/1/comm; exit 7",
        env={"MORE": "blue"},
    )
    assert (code, out.split(), err) == (7, ["0", "red", "blue", "/", "web", "web", "sh"], "")
    code, out, _ = sh(agent, "id; echo $HOME; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status", user="web")
    assert (
        "uid=1000(web) gid=1000(web) groups=7(extra)" in out
        or "uid=1000(web) gid=1000(web) groups=1000(web),7(extra)" in out
    )
    assert "/home/web" in out and "CapEff:\t0000000000000000" in out and "NoNewPrivs:\t1" in out
    assert "CapBnd:\t00000000a80425fb" in out
    assert sh(agent, "cat /secrets/token && echo no > /dev/stdout", user="web")[:2] == (0, "one\nno\n")


@pytest.mark.parametrize(
    ("argv", "fields", "reason"),
    [
        (["missing"], {}, "ENTRYPOINT_MISSING"),
        (["/etc/notes"], {}, "NOT_EXECUTABLE"),
        (["sh"], {"user": "nobody-here"}, "BAD_USER"),
        (["sh"], {"working_dir": "/nowhere"}, "BAD_WORKING_DIR"),
        ([], {}, "ENTRYPOINT_MISSING"),
    ],
)
def test_what_cannot_be_executed_says_why(agent: GuestServiceStub, argv: list[str], fields: Any, reason: str) -> None:
    assert Exec(agent, *argv, **fields).result()[:2] == (-1, reason)


def test_who_is_not_root_may_be_put_where_only_root_may_go_and_listen_on_any_port(agent: GuestServiceStub) -> None:
    script = "readlink /proc/self/cwd; ls; httpd -p 127.0.0.1:80 -h /tmp && echo listens"
    code, out, err = sh(agent, script, user="web", working_dir="/root")
    assert (code, out) == (0, "/root\nlistens\n") and "Permission denied" in err, err


def test_input_reaches_a_process_and_ends(agent: GuestServiceStub) -> None:
    made = Exec(agent, "cat", stdin=True)
    data = bytes(range(256)) * 4_096
    for start in range(0, len(data), 65_536):
        made.say(stdin=data[start : start + 65_536])
    made.say(end_of_input=True)
    said = list(_until_exit(made))
    assert b"".join(message.stdout for message in said) == data
    assert sum(message.taken for message in said) == len(data)


def _until_exit(made: Exec) -> Iterator[Any]:
    for message in made.call:
        yield message
        if message.WhichOneof("message") == "exit":
            made.close()


def test_a_terminal_is_the_payloads_own_and_follows_its_window(agent: GuestServiceStub) -> None:
    made = Exec(
        agent,
        "sh",
        "-c",
        "tty; stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.1; done",
        tty=True,
        window=pb.Window(cols=100, rows=30),
    )
    made.hears(b"ready")
    made.say(resize=pb.Window(cols=90, rows=20))
    code, out, _ = made.result()
    assert (code, out.split()) == (5, ["20", "90"])


def test_a_process_is_signalled_and_hung_up_on(agent: GuestServiceStub) -> None:
    made = Exec(agent, "sleep", "1000")
    made.say(signal=15)
    assert made.result()[0] == 143
    made = Exec(
        agent,
        "sh",
        "-c",
        "trap 'echo hung > /data/hung; exit' HUP; sleep 4321 & echo ready; while :; do sleep 0.1; done",
    )
    made.hears(b"ready")
    made.close()
    list(made.call)
    assert sh(agent, "cat /data/hung; ps | grep -c '[s]leep 4321'")[1] == "hung\n0\n", "nothing of its session is left"
    made = Exec(agent, "sh", "-c", "trap '' HUP TERM; echo ready; while :; do sleep 0.1; done")
    made.hears(b"ready")
    made.call.cancel()
    while agent.Status(pb.StatusRequest()).executions:
        pass


@pytest.mark.parametrize(
    "child", ["while :; do echo x; sleep 0.05; done", "yes x"], ids=["now and then", "all the time"]
)
def test_a_child_that_writes_on_does_not_hold_up_the_exit(agent: GuestServiceStub, child: str) -> None:
    code, out, _ = sh(agent, f"head -c 300000 /dev/zero; {child} & exit 4")
    assert code == 4 and out[:300_000] == "\0" * 300_000 and not out[300_000:].strip("x\n")


def test_as_many_execs_as_a_guest_carries_leave_it_a_hand_for_the_daemon(agent: GuestServiceStub) -> None:
    made = [Exec(agent, "sleep", "1000") for _ in range(LONG_CALLS)]
    for one in made:
        assert next(one.call).HasField("started")
    assert sh(agent, "true")[1] == "GUEST_BUSY"
    assert agent.Status(pb.StatusRequest(), timeout=60).executions == LONG_CALLS
    for one in made:
        one.call.cancel()  # each is quiet just now
    while agent.Status(pb.StatusRequest()).executions:
        pass
    assert sh(agent, "echo again") == (0, "again\n", "")


def test_files_go_in_and_come_out(agent: GuestServiceStub) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("kept")
        entry.size, entry.uid, entry.mode = 200_000, 1_000, 0o640
        tar.addfile(entry, io.BytesIO(b"k" * 200_000))
    data = archive.getvalue()
    pieces = [pb.CopyInClientMessage(data=data[at : at + 65_536]) for at in range(0, len(data), 65_536)]
    start = pb.CopyInClientMessage(start=pb.CopyStart(path="/data/"))
    said = list(agent.CopyIn(iter([start, *pieces, pb.CopyInClientMessage(commit=True)]), timeout=120))
    assert [one.WhichOneof("message") for one in said] == ["ready", "done"] and said[-1].done.entries == 1
    said = list(agent.CopyOut(pb.CopyStart(path="/data/kept"), timeout=120))
    assert said[0].HasField("ready") and said[-1].HasField("done")
    with tarfile.open(fileobj=io.BytesIO(b"".join(one.data for one in said))) as tar:
        assert [(one.name, one.size, one.uid) for one in tar] == [("kept", 200_000, 1_000)]
    (refused,) = agent.CopyOut(pb.CopyStart(path="/nowhere"), timeout=120)
    assert refused.refused.reason == "PATH_MISSING"
    said = list(agent.CopyIn(iter([start, *pieces]), timeout=120))
    assert said[-1].refused.reason == "CALLED_OFF", "what was not meant is not kept"
    assert sh(agent, "ls -a /data | grep -c capsule-cp")[1] == "0\n"


def test_a_full_disk_is_the_payloads_matter(agent: GuestServiceStub) -> None:
    code, _, err = sh(agent, "dd if=/dev/zero of=/fill bs=1M")
    assert code and "No space left" in err
    assert agent.Stats(pb.StatsRequest()).layer_bytes > 20 << 20
    assert sh(agent, "rm /fill; echo there > /there; cat /there")[1] == "there\n"


def test_what_is_used_is_counted(agent: GuestServiceStub) -> None:
    found = agent.Stats(pb.StatsRequest())
    assert found.cpu_ns and found.pids >= 1 and found.pids_limit == found.memory_limit_bytes // PROCESS_BYTES
    assert 0 < found.memory_working_set_bytes < found.memory_limit_bytes < 192 << 20
    assert found.written_bytes and found.agent_memory_bytes
    (fill,) = found.volumes
    assert fill.path == "/data" and 0 < fill.used_bytes < fill.total_bytes < 16 << 20


def test_secrets_follow(agent: GuestServiceStub) -> None:
    large = [
        pb.SecretFile(path=f"/secrets/large{number}", mode=0o400, content=bytes(512 << 10)) for number in range(10)
    ]
    agent.PlaceSecrets(pb.PlaceSecretsRequest(files=large))
    assert sh(agent, "cat /secrets/* | wc -c")[1] == f"{10 * (512 << 10)}\n", "more than one message of gRPC's own size"
    agent.PlaceSecrets(
        pb.PlaceSecretsRequest(files=[pb.SecretFile(path="/secrets/other", mode=0o400, content=b"two\n")])
    )
    assert sh(agent, "ls /secrets; cat /secrets/other; echo x > /secrets/other")[1:] == (
        "other\ntwo\n",
        "sh: can't create /secrets/other: Read-only file system\n",
    )
    with pytest.raises(grpc.RpcError) as refused:
        agent.PlaceSecrets(pb.PlaceSecretsRequest(files=[pb.SecretFile(path="/elsewhere/x")]))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_volume_that_is_frozen_waits_for_its_thaw(agent: GuestServiceStub) -> None:
    for _ in range(2):  # the second is of somebody who does not know of the first
        agent.Freeze(pb.FreezeRequest(path="/data", timeout_ms=60_000))
    made = Exec(agent, "sh", "-c", "echo begun; echo more > /data/more; echo done")
    made.hears(b"begun")
    assert not agent.Thaw(pb.ThawRequest(path="/data")).late
    assert made.result()[:2] == (0, "done\n")
    assert agent.Thaw(pb.ThawRequest(path="/data")).late
    with pytest.raises(grpc.RpcError) as refused:
        agent.Freeze(pb.FreezeRequest(path="/nowhere"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_out_of_memory_ends_what_takes_it_and_the_agent_counts(agent: GuestServiceStub) -> None:
    assert Exec(agent, "tail", "/dev/zero").result()[0] == 137
    assert agent.Status(pb.StatusRequest()).oom_kills == 1


def test_a_payload_that_is_stopped_leaves_whole_volumes(
    agent: GuestServiceStub, machine: GuestMachine, volume: Path
) -> None:
    agent.Stop(pb.StopRequest(grace_ms=60_000))
    machine.off()
    assert machine.record() == {"exit": 3, "oom": 1}
    assert machine.said("stdout").endswith("bye\n")
    assert "fault" not in machine.said("serial")
    assert subprocess.run(["e2fsck", "-fn", volume], capture_output=True).returncode == 0
    listed = subprocess.run(["debugfs", "-R", "cat /last", volume], capture_output=True, text=True)
    assert listed.stdout == "last\n"
    state = subprocess.run(["dumpe2fs", "-h", volume], capture_output=True, text=True).stdout
    assert "needs_recovery" not in state, "it was unmounted, not left behind"


@pytest.mark.parametrize(
    ("argv", "record"),
    [
        (["tail", "/dev/zero"], {"signal": 9, "oom": 1}),
        (
            ["/etc/notes"],
            {"unexecutable": "the command `/etc/notes` is not executable in the image", "reason": "NOT_EXECUTABLE"},
        ),
    ],
)
def test_a_payload_that_ends_by_itself_says_how(tmp_path: Path, argv: list[str], record: Any) -> None:
    with guest_machine(
        tmp_path / "guest", squashed(tmp_path), argv=argv, env=["PATH=/bin"], memory_bytes=32 << 20
    ) as made:
        made.off()
        assert made.record() == record


def test_a_program_begins_with_the_machines_time_however_long_the_boot_took(tmp_path: Path, payload: Path) -> None:
    began_s = int(time.time())
    told_ns = (began_s - 86_400) * 10**9
    with guest_machine(tmp_path, payload, argv=["date", "+%s"], env=["PATH=/bin"], time_ns=told_ns) as made:
        made.off()
        assert began_s <= int(made.said("stdout")) <= time.time()


def test_one_that_only_forks_does_not_silence_its_guest(tmp_path: Path, payload: Path) -> None:
    # The first process forks nothing more: what it could not have would be its end, and the machine's.
    script = "until [ -e /go ]; do sleep 0.2; done; f() { f | f & }; f; exec sleep 100000"
    with guest_machine(tmp_path, payload, argv=["sh", "-c", script], env=["PATH=/bin"]) as made:
        made.until("end", "started")
        with made.agent() as agent:
            assert sh(agent, "touch /go")[0] == 0
            most = 0
            for _ in range(10):
                # How soon is a matter of the machine beneath: an emulated processor has others beside it.
                found = agent.Stats(pb.StatsRequest(), timeout=BOOT_S, wait_for_ready=True)
                most = max(most, found.pids)
                time.sleep(1)
            assert most == found.pids_limit


def test_a_volume_with_an_error_takes_no_writes_and_its_disk_says_so(tmp_path: Path, payload: Path) -> None:
    volume = ext4(tmp_path / "vol0", "64M")
    said = subprocess.run(["dumpe2fs", volume], check=True, capture_output=True, text=True).stdout
    block = int(said.split("Block bitmap at ")[1].split()[0]) * int(said.split("Block size:")[1].split()[0])
    with volume.open("r+b") as file:
        file.seek(block)
        file.write(bytes(512))  # not what its checksum is of, which is found when there is something to be written
    mounts = [{"serial": "vol0", "path": "/data", "read_only": False}]
    script = (
        "grep ' /data ' /proc/mounts; echo 1 > /data/a; sync; while echo 2 > /data/b; do sleep 0.2; done; "
        "echo refused; sleep 1000"
    )
    with guest_machine(
        tmp_path, payload, (volume,), argv=["sh", "-c", script], env=["PATH=/bin"], mounts=mounts
    ) as made:
        made.until("stdout", "refused")
        assert "/data ext4 rw,nosuid,nodev,noatime,discard,errors=remount-ro" in made.said("stdout")
        assert remembers_an_error(volume)
    assert subprocess.run(["e2fsck", "-p", volume], capture_output=True).returncode == 1
    assert not remembers_an_error(volume), "once it is checked"


def test_a_fault_is_a_line_on_the_serial_console_and_a_clean_end(tmp_path: Path, payload: Path) -> None:
    volume = ext4(tmp_path / "vol0", "16M")
    mounts = [{"serial": "vol0", "path": "/data", "read_only": False}]
    script = "echo first > /data/first; while :; do sleep 1; done"
    with guest_machine(
        tmp_path, payload, (volume,), lacks="guest", argv=["/bin/sh", "-c", script], mounts=mounts
    ) as made:
        made.off()
        assert "capsule-guest: fault: OSError: the machine has no disk with the serial `guest`" in made.said("serial")
        assert "`guest`" in made.record()["fault"]
    assert "needs_recovery" not in subprocess.run(["dumpe2fs", "-h", volume], capture_output=True, text=True).stdout
