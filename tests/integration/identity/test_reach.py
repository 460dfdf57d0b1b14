"""How far a role reaches over the network: into what runs as root, into what it opened before, into what it asks."""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    machine_pb2,
    machine_pb2_grpc,
    workload_pb2,
    workload_pb2_grpc,
)
from effects.images.twin_image import TwinImage
from tests.conformance.client import Client, Key
from tests.support.house import Standing, standing
from tests.support.until import wait_until

DENIED = grpc.StatusCode.PERMISSION_DENIED
ELSEWHERE = "evil.example/slow:1"


class Shell:
    """An exec that stays open and gives back what it is sent."""

    def __init__(self, machine: "Machine", key: Key, name: str) -> None:
        self._messages: queue.Queue[Any] = queue.Queue()
        config = workload_pb2.WorkloadExecConfig(name=name, command=["cat"])
        self._messages.put(workload_pb2.WorkloadExecClientMessage(config=config))
        self._call = machine.workloads.Exec(iter(self._messages.get, None), metadata=machine.proof(key), timeout=30)

    def says(self, text: bytes) -> bytes:
        self._messages.put(workload_pb2.WorkloadExecClientMessage(stdin=text))
        return next(iter(self._call)).stdout  # type: ignore[no-any-return]

    def ending(self) -> tuple[grpc.StatusCode, str]:
        """How it ended, without another word from here."""
        with pytest.raises(grpc.RpcError) as caught:
            next(iter(self._call))
        return caught.value.code(), caught.value.details() or ""

    def close(self) -> None:
        self._messages.put(None)
        self._call.cancel()


class Machine:
    """A house with an admin and an operator. `root` is what an admin declared and what runs: privileged."""

    def __init__(self, house: Standing) -> None:
        self.house = house
        self.client = Client(house.address)
        self.admin = Key()
        self.client.adopt(self.admin)
        self.workloads = workload_pb2_grpc.WorkloadServiceStub(self.client.channel)
        self.identities = identity_pb2_grpc.IdentityServiceStub(self.client.channel)
        self.operator = self.add(2)

    def proof(self, key: Key) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {key.token(self.client.capsule_id)}"),)

    def add(self, role: int) -> Key:
        key = Key()
        request = identity_pb2.KeyAddRequest(pubkey=key.public, name="more", role=role)  # type: ignore[arg-type]
        self.identities.KeyAdd(request, metadata=self.proof(self.admin))
        return key

    def lower(self, key: Key, role: int) -> None:
        request = identity_pb2.SetRoleRequest(kid=key.kid, role=role)  # type: ignore[arg-type]
        operators = identity_pb2_grpc.OperatorServiceStub(self.client.channel)
        operators.SetRole(request, metadata=self.proof(self.admin))

    def silent(self, key: Key, method: str) -> Callable[[bytes], tuple[grpc.StatusCode, str]]:
        """A call that is let in and has not said yet what it wants: what is returned says it, and hears the answer."""
        said: queue.Queue[bytes | None] = queue.Queue()
        call = self.client.channel.stream_stream(f"/capsule.v1.{method}", bytes, bytes)
        answers = call(iter(said.get, None), metadata=self.proof(key), timeout=30)
        wait_until(lambda: key.kid in self.house.doorway.guard._keys, "its token is noted at the door")

        def say(message: bytes) -> tuple[grpc.StatusCode, str]:
            said.put(message)
            said.put(None)
            with pytest.raises(grpc.RpcError) as caught:
                list(answers)
            return caught.value.code(), caught.value.details() or ""

        return say

    def apply(self, key: Key, name: str, image: str = "demo:1", dry: bool = False, **fields: Any) -> Any:
        request = workload_pb2.WorkloadApplyRequest(workload=_declared(name, image, fields), dry_run=dry)
        return self.workloads.Apply(request, metadata=self.proof(key))

    def diff(self, key: Key, name: str, **fields: Any) -> Any:
        request = machine_pb2.DiffRequest(workloads=[_declared(name, "demo:1", fields)])
        return machine_pb2_grpc.MachineServiceStub(self.client.channel).Diff(request, metadata=self.proof(key))


def _declared(name: str, image: str, fields: dict[str, Any]) -> workload_pb2.Workload:
    container = workload_pb2.ContainerSpec(image=image, command=["sh"], **fields)
    return workload_pb2.Workload(name=name, container=container)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with standing(tmp_path / "state") as house:
        made = Machine(house)
        yield made
        made.client.close()


ROOT: dict[str, dict[str, Any]] = {
    "privileged": {"privileged": True},
    "a path that is there": {"host_bind_paths": ["/etc"]},
    "a path that is not there": {"host_bind_paths": ["/nowhere/at/all"]},
    "a path that is not there, elsewhere inside": {
        "host_binds": [workload_pb2.HostBind(source="/nowhere/at/all", mount_path="/x")]
    },
}


def denial(call: Callable[[], Any]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is DENIED, caught.value
    return caught.value.details() or ""


def test_a_harmless_spec_over_what_runs_as_root_opens_no_way_into_it(machine: Machine) -> None:
    machine.apply(machine.admin, "web", privileged=True)
    machine.house.runs("web")
    assert "root on the machine" in Shell(machine, machine.operator, "web").ending()[1]
    machine.house.registries.offer(ELSEWHERE, TwinImage((ELSEWHERE,), "sha256:" + "2" * 64, "sha256:" + "2" * 64))
    machine.apply(machine.operator, "web", image=ELSEWHERE)
    code, words = Shell(machine, machine.operator, "web").ending()
    assert code is DENIED and "still runs of web" in words
    shell = Shell(machine, machine.admin, "web")
    assert shell.says(b"inside") == b"inside"
    shell.close()


def test_lowering_a_role_ends_the_shell_that_it_opened_as_an_admin(machine: Machine) -> None:
    machine.apply(machine.admin, "root", privileged=True)
    machine.house.runs("root")
    second = machine.add(1)
    shell = Shell(machine, second, "root")
    assert shell.says(b"inside") == b"inside"
    machine.lower(second, 2)
    code, words = shell.ending()
    assert code is DENIED and "lowered from admin to operator" in words
    assert "root on the machine" in Shell(machine, second, "root").ending()[1]


def test_lowering_a_role_ends_what_waits_to_say_what_it_wants(machine: Machine) -> None:
    machine.apply(machine.admin, "root", privileged=True)
    machine.house.runs("root")
    second, third = machine.add(1), machine.add(1)
    sent = [machine.silent(second, "WorkloadService/Exec"), machine.silent(third, "IdentityService/KeyAdd")]
    machine.lower(second, 2)
    machine.identities.KeyRemove(identity_pb2.KeyRemoveRequest(kid=third.kid), metadata=machine.proof(machine.admin))
    config = workload_pb2.WorkloadExecConfig(name="root", command=["cat"])
    message = workload_pb2.WorkloadExecClientMessage(config=config).SerializeToString()
    code, words = sent[0](message)
    assert code is DENIED and "lowered from admin to operator" in words
    code, words = sent[1](identity_pb2.KeyAddRequest(pubkey=Key().public, name="back").SerializeToString())
    assert code is grpc.StatusCode.UNAUTHENTICATED and "removed" in words
    assert not [one for one in machine.house.house.engine.machine.operators.values() if one.name == "back"]


@pytest.mark.parametrize("fields", ROOT.values(), ids=ROOT)
def test_a_dry_run_and_a_diff_are_denied_what_the_call_is_and_tell_nothing_of_the_machine(
    machine: Machine, fields: dict[str, Any]
) -> None:
    asked = [
        lambda: machine.apply(machine.operator, "web", **fields),
        lambda: machine.apply(machine.operator, "web", dry=True, **fields),
        lambda: machine.diff(machine.operator, "web", **fields),
    ]
    said = {denial(call) for call in asked}
    assert len(said) == 1 and "root on the machine" in said.pop()
    assert machine.apply(machine.admin, "web", dry=True, privileged=True).plan


def test_what_is_denied_is_looked_for_nowhere(machine: Machine) -> None:
    asked: list[str] = []
    registry = machine.house.house.registry
    machine.house.do(lambda: _listening(registry, asked))
    denial(lambda: machine.apply(machine.operator, "web", image="evil.example/other:1", privileged=True))
    assert asked == []
    with pytest.raises(grpc.RpcError):
        machine.apply(machine.operator, "web", image="evil.example/other:1")
    assert "resolve" in asked


async def _listening(registry: Any, asked: list[str]) -> None:
    async def step(point: str) -> None:
        asked.append(point)

    registry._step = step
