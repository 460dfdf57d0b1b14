"""What comes of a process's outputs behind its end: all that it wrote itself, and no child holds up its exit."""

import asyncio
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from containerdapi import tasks_pb2
from effects.containers import containerd_exec
from effects.containers.containerd_exec import ContainerdExec
from effects.runs.exec_protocol import ExecRequest

WAIT_S = 20.0
OWN_BYTES = 300_000
"""More than a pipe and what is read ahead of it hold."""


def started(script: str, out: str, err: str) -> "subprocess.Popen[bytes]":
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        return subprocess.Popen(["sh", "-c", script], stdout=stdout, stderr=stderr, start_new_session=True)


class Shells:
    """containerd, which starts a shell for each exec, and shovels nothing: the pipe is the shell's own."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._shell: subprocess.Popen[bytes]

    async def Exec(self, request: Any, metadata: Any, timeout: float) -> None:
        self._shell = started(self._script, request.stdout, request.stderr)

    async def Start(self, request: Any, metadata: Any, timeout: float) -> tasks_pb2.StartResponse:
        return tasks_pb2.StartResponse(pid=self._shell.pid)

    async def Wait(self, request: Any, metadata: Any, wait_for_ready: bool = False) -> tasks_pb2.WaitResponse:
        return tasks_pb2.WaitResponse(exit_status=await asyncio.to_thread(self._shell.wait))

    async def DeleteProcess(self, request: Any, metadata: Any, timeout: float) -> None:
        pass


def outcome(script: str, directory: Path, pause_s: float = 0) -> tuple[bytes, bytes, int]:
    """What it wrote on each output and its exit code, for a client that pauses before each piece that it takes."""

    async def told() -> tuple[bytes, bytes, int]:
        connection = SimpleNamespace(tasks=Shells(script), metadata=())
        made = ContainerdExec(cast(Any, connection), "web", "exec-1", directory / "exec")
        await made.start(ExecRequest("web", 7, 1, ("sh",), stdin=False), {"args": ["sh"]})
        written = {1: b"", 2: b""}
        try:
            async with asyncio.timeout(WAIT_S):
                async for number, data in made.output():
                    written[number] += data
                    await asyncio.sleep(pause_s)
                return written[1], written[2], await made.wait()
        finally:
            await made.close()

    return asyncio.run(told())


@pytest.mark.parametrize(
    "child", ["while :; do echo x; sleep 0.2; done", "yes x"], ids=["now and then", "all the time"]
)
@pytest.mark.parametrize("pause_s", [0, 0.02], ids=["taken at once", "taken slowly"])
def test_a_child_that_writes_on_holds_up_no_exit_and_costs_nothing_of_the_process(
    tmp_path: Path, child: str, pause_s: float
) -> None:
    script = f"head -c {OWN_BYTES} /dev/zero; echo bad >&2; {child} & exit 3"
    out, err, code = outcome(script, tmp_path, pause_s)
    assert out[:OWN_BYTES] == bytes(OWN_BYTES) and not out[OWN_BYTES:].strip(b"x\n")
    assert (err, code) == (b"bad\n", 3)


def test_a_client_that_takes_longer_than_is_waited_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containerd_exec, "FLUSH_S", 0.1)
    monkeypatch.setattr(containerd_exec, "LINGER_S", 0.2)
    out, _, code = outcome(f"head -c {OWN_BYTES} /dev/zero; yes x & exit 3", tmp_path, 0.1)
    assert out[:OWN_BYTES] == bytes(OWN_BYTES) and code == 3


def test_what_a_child_still_has_to_say_may_come_for_a_moment(tmp_path: Path) -> None:
    assert outcome("(sleep 0.1; echo late) & echo own; exit 3", tmp_path) == (b"own\nlate\n", b"", 3)
