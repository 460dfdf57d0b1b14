"""The contracts of an executor and a copier, on a real guest: one machine for all of it, a new channel for each test."""

import asyncio
import io
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from capsule.guest.v1 import guest_pb2 as pb
from effects.errors import BadUser, BadWorkingDir
from effects.microvms.agents import Agents
from effects.microvms.copier import MicroVMCopier
from effects.microvms.executor import MicroVMExecutor
from effects.microvms.places import Key
from effects.microvms.relay import chardev
from effects.runs.exec_protocol import ExecRequest
from effects.runs.protocol import RunSpec
from tests.contract import copy_subjects, test_copies, test_exec
from tests.contract.exec_subjects import Programs, Subject, everything
from tests.support.guest_machine import BOOT_S, guest_machine

pytestmark = [pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")]

KEY = Key("web", 7, 1)
APPLETS = (
    "cat",
    "echo",
    "env",
    "grep",
    "id",
    "ls",
    "mkdir",
    "printf",
    "pwd",
    "rm",
    "sh",
    "sleep",
    "stty",
    "test",
    "true",
)
CLEAN = "rm -rf /srv /data; mkdir /srv /data; printf hello > /srv/motd"
USERS = b"root:x:0:0::/:/bin/sh\nweb:x:101:102::/:/bin/sh\n"


def files() -> bytes:
    """What the contract of copies begins with, and beside it what that of execs runs."""
    found = io.BytesIO(copy_subjects.bare())
    with tarfile.open(fileobj=found, mode="a") as out:
        for name in APPLETS:
            applet = tarfile.TarInfo(f"bin/{name}")
            applet.type, applet.linkname = tarfile.SYMTYPE, "/sleep"
            out.addfile(applet)
        users = tarfile.TarInfo("etc/passwd")
        users.size = len(USERS)
        out.addfile(users, io.BytesIO(USERS))
    return found.getvalue()


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket to its agent, which answers by now: the payload does not wait for it."""
    directory = tmp_path_factory.mktemp("vm")
    with tarfile.open(fileobj=io.BytesIO(files())) as packed:
        packed.extractall(directory / "tree")
    for place in ("tree", "tree/bin", "tree/etc"):
        (directory / place).chmod(0o755)  # which the archive leaves to the umask, and users of the guest's enter
    payload = directory / "payload.erofs"
    subprocess.run(["mkfs.erofs", "--quiet", payload, directory / "tree"], check=True, capture_output=True)
    with guest_machine(directory / "machine", payload, argv=["/sleep", "1000000"]) as made:
        made.until("end", "started")
        asyncio.run(_answering(directory / "machine/agent"))
        yield directory / "machine/agent"


async def _answering(vm: Path) -> None:
    async with agents(vm) as made:
        await made.of(*KEY).call("Status", pb.StatusRequest(), BOOT_S)


@asynccontextmanager
async def agents(vm: Path) -> AsyncIterator[Agents]:
    """A daemon's life, as far as the guest knows."""
    silent: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        made = Agents(Path(scratch) / "agents", lambda key, why: silent.append(why))
        made.add(KEY, chardev(vm))
        try:
            yield made
        finally:
            await made.close()
    assert not silent


async def told(made: Agents, script: str, **fields: Any) -> str:
    request = ExecRequest(*KEY, ("sh", "-c", script), **fields)
    return (await everything(await MicroVMExecutor(made).open(request)))[0].decode().strip()


# --- execs ----------------------------------------------------------------------------------------------------------


class NextLife(MicroVMExecutor):
    """The channel of the life before ends, and the guest ends what was open by that."""

    def __init__(self, made: Agents, vm: Path) -> None:
        super().__init__(made)
        self._made = made
        self._vm = vm

    async def sweep(self) -> None:
        self._made.remove(KEY)
        self._made.add(KEY, chardev(self._vm))
        while True:
            if not await alive(self._made):
                return


async def alive(made: Agents) -> int:
    """How many processes there are that are neither the payload's nor the one's that counts. A payload that waits for
    nobody keeps the dead."""
    own, *lines = (await told(made, "echo $$; cat /proc/[0-9]*/stat 2>/dev/null", stdin=False)).splitlines()
    found = [line.rpartition(") ")[2].split() for line in lines]
    return sum(state != "Z" and session not in ("1", own) for state, _, _, session, *_ in found)


def executing(vm: Path) -> Any:
    @asynccontextmanager
    async def subject() -> AsyncIterator[Subject]:
        async with agents(vm) as made:
            containers: Any = None  # the machine is every test's: none of them ends it
            yield Subject(
                Programs(MicroVMExecutor(made)), containers, lambda: alive(made), lambda: NextLife(made, vm), 2
            )

    return subject


@pytest.mark.parametrize(
    "contract",
    [
        test_exec.test_output_and_exit_code_are_the_processs_own,
        test_exec.test_input_arrives_whole_and_its_end_is_seen,
        test_exec.test_input_that_ends_at_once_does_not_end_the_process,
        test_exec.test_without_input_its_end_is_there_from_the_beginning,
        test_exec.test_a_terminal_has_its_size_from_the_first_moment_and_hears_of_every_other,
        test_exec.test_without_a_terminal_a_size_means_nothing,
        test_exec.test_keys_of_a_terminal_reach_the_process_as_signals_and_ends,
        test_exec.test_signals_reach_the_process_and_an_ended_one_minds_none,
        test_exec.test_a_session_that_is_closed_leaves_nothing_however_stubborn,
        test_exec.test_what_cannot_be_executed_is_named_and_leaves_nothing,
        test_exec.test_the_next_life_of_the_daemon_ends_what_this_one_left_open,
    ],
    ids=lambda contract: contract.__name__.removeprefix("test_"),
)
def test_execs(vm: Path, contract: Callable[[Any], None]) -> None:
    contract(executing(vm))


def test_user_directory_and_environment_of_an_exec_are_its_own(vm: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), agents(vm) as made:
            assert await told(made, "id -u; pwd") == "0\n/"
            assert await told(made, "id -u; id -g; pwd", user="web", working_dir="/srv") == "101\n102\n/srv"
            assert await told(made, "grep CapEff /proc/self/status", user="1234:5") == "CapEff:\t0000000000000000"
            assert await told(made, "echo $A $TERM", env=(("A", "1"),)) == "1"
            assert await told(made, "echo $TERM", tty=True) == "xterm"
            assert await told(made, "echo $TERM", tty=True, env=(("TERM", "vt100"),)) == "vt100"
            assert await told(made, "test -t 0 && test -t 1 && test -t 2 && echo all", tty=True) == "all"
            with pytest.raises(BadUser):
                await told(made, "true", user="nobody-here")
            with pytest.raises(BadWorkingDir):
                await told(made, "true", working_dir="/no/such")

    asyncio.run(main())


def test_one_that_reads_nothing_is_signalled_all_the_same(vm: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), agents(vm) as made:
            session = await MicroVMExecutor(made).open(ExecRequest(*KEY, ("/sleep", "4711")))
            writing = asyncio.ensure_future(session.write(bytes(3 << 20)))
            await asyncio.wait((writing,), timeout=1)
            assert not writing.done(), "what is on its way has a bound"
            await session.signal(15)
            assert await session.wait() == 143
            await writing
            await session.close()

    asyncio.run(main())


# --- copies ---------------------------------------------------------------------------------------------------------


def copying(vm: Path) -> Any:
    @asynccontextmanager
    async def subject() -> AsyncIterator[copy_subjects.Subject]:
        async with agents(vm) as made:
            await told(made, CLEAN)
            containers: Any = None
            yield copy_subjects.Subject(MicroVMCopier(made), containers, RunSpec("web", 7, 7, 1, ""), Path("/none"))

    return subject


@pytest.mark.parametrize(
    "contract",
    [
        test_copies.test_what_goes_in_comes_out_with_owner_mode_and_time,
        test_copies.test_the_whole_of_it_has_the_workloads_name_and_nothing_the_kernel_makes_up,
        test_copies.test_links_lead_where_they_lead_for_the_workload,
        test_copies.test_one_that_is_given_up_leaves_nothing,
    ],
    ids=lambda contract: contract.__name__.removeprefix("test_"),
)
def test_copies_of(vm: Path, contract: Callable[[Any], None]) -> None:
    contract(copying(vm))


def test_what_cannot_be_copied_is_refused_by_name(vm: Path) -> None:
    async def suite(made: copy_subjects.Subject) -> None:
        await copy_subjects.refused(made.get("/srv/nothing"), "PATH_MISSING")
        await copy_subjects.refused(made.put(test_copies.FILE, "/proc/"), "NOT_COPYABLE")
        await copy_subjects.refused(made.get("/srv", running=False), "NOT_RUNNING", "only its own guest reads")

    copy_subjects.run_suite(copying(vm), suite)
