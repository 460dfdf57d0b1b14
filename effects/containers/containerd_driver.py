"""The driver of containers: runs as containerd containers and tasks, found again by their labels.

Order of a start: log files, snapshot, container, task, start. Each step tolerates that it was done already, so a start
that was cut anywhere is completed by the next one. Only `Tasks.Start` lets the program run; what containerd says of a
task whose start was cut is checked against runc's own files (birth.py).
"""

import contextlib
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage

from containerdapi import (
    containers_pb2,
    runcopts_pb2,
    task_pb2,
    taskevents_pb2,
    tasks_pb2,
)
from effects.containerd.connection import Connection, is_late, tolerated, translated
from effects.containerd.news import news
from effects.containerd.snapshots import directories_of
from effects.containers import log_files
from effects.containers.birth import Births
from effects.containers.bundles import Bundles, without_environment
from effects.containers.devices import machine_devices
from effects.containers.ending import SHIM_S, Ending
from effects.containers.fresh_network import Renew, renewed
from effects.containers.layers import Layers
from effects.containers.never_ran import never_ran
from effects.containers.new_volumes import settled
from effects.containers.own_files import OwnFiles
from effects.containers.records import Records
from effects.containers.spec import Host, Surroundings, runtime_spec
from effects.containers.start_errors import start_error
from effects.containers.suffering import Suffering
from effects.errors import DriverError, StartFailed, unwritten
from effects.host_paths import HostPaths
from effects.images.rootfs import RootFsSource
from effects.merging import merged
from effects.runs import cgroups, names
from effects.runs.copy_holds import CopyHolds
from effects.runs.process import stop_signal
from effects.runs.protocol import Resync, RunSpec
from effects.runs.users import resolve
from projections.observations import ObservedRun, RunStatus

CREATE_S = 60.0
"""For a task to be made, beside fifteen others on a slow disk. A deadline ends one whose path went after it was looked
at: it has one of few places, for which clean-ups and links wait."""
START_S = 10.0
"""For a gate to open. A deadline is all that ends a `runc start` that waits for a process which has long left."""
_NO_SUCH = grpc.StatusCode.NOT_FOUND
_EXISTS = grpc.StatusCode.ALREADY_EXISTS
_BORN = frozenset({task_pb2.RUNNING, task_pb2.PAUSED, task_pb2.PAUSING})
_NEVER_RAN = 1
"""What the runtime's own process exits with when it could not become the command."""


class ContainerdDriver:
    """Containers of one capsule. `logs` is the directory of the workloads' logs, `files` of the files that each has
    for itself, `runc_root` runc's own state, `bundles` has what their processes are given; `holds` are the copies that
    give way to what is done here, `paths` looks at what is bound; `renew`: see fresh_network.
    """

    def __init__(
        self,
        connection: Connection,
        images: RootFsSource,
        host: Host,
        logs: Path,
        files: Path,
        runc_root: Path,
        bundles: Bundles,
        holds: CopyHolds | None = None,
        paths: HostPaths | None = None,
        renew: Renew | None = None,
    ) -> None:
        self._connection = connection
        self._images = images
        self._host = host
        self._logs = logs
        self._files = OwnFiles(files)
        self._bundles = bundles
        self._options = AnyMessage(
            type_url="containerd.runc.v1.Options",
            value=runcopts_pb2.Options(root=str(runc_root), binary_name=str(bundles.program)).SerializeToString(),
        )
        self._metadata = connection.metadata
        self._records = Records(connection, self._options)
        self._layers = Layers(connection, images)
        self._births = Births(runc_root)
        self._ending = Ending(connection, host.cgroup_of, runc_root)
        self._holds = holds or CopyHolds()
        self._paths = paths or HostPaths()
        self._renew = renew
        self._suffering: Suffering[ObservedRun | Resync] = Suffering(self._kills, self._sufferer)
        self._removed: set[str] = set()

    # --- looking -------------------------------------------------------------------------------------------------

    async def observe(self) -> tuple[ObservedRun, ...]:
        """Every container with our labels, joined with its task."""
        containers = await self._records.all()
        with tolerated():
            tasks = (await self._connection.tasks.List(tasks_pb2.ListTasksRequest(), metadata=self._metadata)).tasks
        # Tasks.List names the container in `id`, Tasks.Get in `container_id`.
        by_id = {task.container_id or task.id: task for task in tasks}
        return tuple(
            self._observed(dict(container.labels), container.id, by_id.get(container.id)) for container in containers
        )

    def _observed(self, labels: dict[str, str], cid: str, process: Any) -> ObservedRun:
        identity: dict[str, Any] = {
            "name": labels[names.NAME],
            "uid": int(labels[names.UID]),
            "revision": int(labels[names.REVISION]),
            "run": int(labels[names.RUN]),
        }
        status = self._status(cid, process)
        if status == "created":
            return ObservedRun(**identity, status=status)
        stopped = status == "stopped"
        memory = cgroups.killed(self._host.cgroup_of(cid))
        found = ObservedRun(
            **identity,
            status=status,
            pid=0 if stopped else process.pid,
            exit_code=int(process.exit_status) if stopped else None,
            exited_at_ns=process.exited_at.ToNanoseconds() if stopped else 0,
            oom_kills=memory.kills,
            memory_limit_bytes=memory.limit_bytes,
        )
        if found.exit_code != _NEVER_RAN:
            return found
        _, stderr = self.log_files(found.name, found.uid, found.run)
        return msgspec.structs.replace(found, unexecutable=never_ran(stderr, self._host.architecture))

    def _status(self, cid: str, process: Any | None) -> RunStatus:
        """What a task is worth: one whose process waits for its start, or died waiting, is only created."""
        if process is None:
            return "created"
        if process.status not in _BORN:
            if self._births.held(cid):
                return "created"
            if process.status == task_pb2.STOPPED:
                return self._end_status(cid, process)
            self._births.complete(cid)
        return "running"

    def _end_status(self, cid: str, process: Any) -> RunStatus:
        """A task is called stopped, too, while its shim has seen no end (its time is Go's zero, out of all range):
        runc has no such container, as its making was cut, or the end is just about to be told."""
        if process.exited_at.seconds > 0:
            return "stopped"
        return "running" if self._births.known(cid) else "created"

    async def _process(self, cid: str) -> Any | None:
        try:
            answer = await self._connection.tasks.Get(tasks_pb2.GetRequest(container_id=cid), metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() == _NO_SUCH:
                return None
            raise translated(error) from error
        return answer.process

    # --- starting ------------------------------------------------------------------------------------------------

    async def ensure_running(self, run: RunSpec) -> ObservedRun:
        """See the protocol."""
        cid = names.container_id(run.name, run.uid, run.run)
        process = await self._process(cid)
        if self._status(cid, process) == "created":
            if process is not None:
                # Its making was cut: it may be dead, or its pipes closed, so that its output would be lost.
                await self._delete_task(cid)
            await self._ending.clear(cid)
            async with self._holds.barred(run.name, run.uid):
                await self._make(run, cid)
            process = await self._start(cid)
        return self._observed(names.labels_of(run), cid, process)

    async def _make(self, run: RunSpec, cid: str) -> None:
        """Everything up to a created task."""
        async with renewed(self._renew, run):
            request, spec = await self._prepared(run, cid)
        await self._create_task(request, spec)

    async def _prepared(self, run: RunSpec, cid: str) -> tuple[Any, dict[str, Any]]:
        await self._paths.check(_host_paths(run), f"it is bound into {run.name}")
        rootfs = await self._images.rootfs(run.image)
        key = names.snapshot_key(run.name, run.uid, run.revision)
        mounts = await self._layers.ensure(run, key, rootfs)
        directories = directories_of(mounts)
        identity = resolve(run.user or rootfs.config.user, directories)
        await settled(run, directories, identity)
        devices = tuple(machine_devices()) if run.privileged else ()
        around = Surroundings(self._files.write(run), devices, socket.gethostname())
        spec = runtime_spec(run, rootfs.config, identity, self._host, cid, around)
        stdout, stderr = self.log_files(run.name, run.uid, run.run)
        await self._records.write(run, cid, key, without_environment(spec), stop_signal(run, rootfs.config))
        self._bundles.write(cid, spec)
        request = tasks_pb2.CreateTaskRequest(
            container_id=cid, rootfs=mounts, stdout=str(stdout), stderr=str(stderr), options=self._options
        )
        try:
            log_files.touch(stdout, stderr)
        except OSError as error:
            raise unwritten(f"the log file {stdout}", error) from error
        return request, spec

    async def _create_task(self, request: Any, spec: dict[str, Any], again: bool = False) -> None:
        try:
            await self._connection.tasks.Create(request, metadata=self._metadata, timeout=CREATE_S)
        except grpc.aio.AioRpcError as error:
            if is_late(error):
                # What there is of it may hang with its shim: a later try finds that gone, or sweeps it.
                with contextlib.suppress(DriverError):
                    await self._delete_task(request.container_id)
            if error.code() != _EXISTS or again:
                raise start_error(error, spec) from error
            # A `create` that was cut, of which no task is seen: its shim is there, and nothing in it.
            await self._delete_task(request.container_id)
            await self._create_task(request, spec, again=True)

    async def _start(self, cid: str) -> Any:
        request = tasks_pb2.StartRequest(container_id=cid)
        try:
            await self._connection.tasks.Start(request, metadata=self._metadata, timeout=START_S)
        except grpc.aio.AioRpcError as error:
            process = await self._process(cid)
            if self._status(cid, process) != "created":
                return process
            with contextlib.suppress(DriverError):
                await self._delete_task(cid)
            raise start_error(error, {}) from error
        process = await self._process(cid)
        if process is None:
            raise StartFailed("the task was gone right after its start")
        return process

    # --- stopping and removing -----------------------------------------------------------------------------------

    async def stop(self, name: str, uid: int, run: int, grace_ms: int) -> ObservedRun | None:
        """See the protocol."""
        cid = names.container_id(name, uid, run)
        with tolerated(_NO_SUCH):
            request = containers_pb2.GetContainerRequest(id=cid)
            container = (await self._connection.containers.Get(request, metadata=self._metadata)).container
            process = await self._process(cid)
            status = self._status(cid, process)
            if status == "created":
                await self.remove_run(name, uid, run)
                return None
            if process is not None and status == "running":
                # The runtime's own process would take the signal, and as the first of its namespace, which it does not
                # kill, exit with 2. There is no program yet to be given time.
                grace_ms = 0 if self._births.unborn(process.pid) else grace_ms
                asking = int(container.labels.get(names.STOP_SIGNAL, signal.SIGTERM))
                await self._ending.end(cid, process.pid, grace_ms, asking)
                process = await self._process(cid)
            return None if process is None else self._observed(dict(container.labels), cid, process)
        return None

    async def _delete_task(self, cid: str) -> None:
        request = tasks_pb2.DeleteTaskRequest(container_id=cid)
        with tolerated(_NO_SUCH):
            await self._connection.tasks.Delete(request, metadata=self._metadata, timeout=SHIM_S)

    async def remove_run(self, name: str, uid: int, run: int) -> None:
        """See the protocol."""
        cid = names.container_id(name, uid, run)
        process = await self._process(cid) or await self._forsaken(cid)
        if process is not None and process.status != task_pb2.STOPPED:
            await self._ending.end(cid, process.pid, 0)
        async with self._holds.barred(name, uid):
            await self._delete_task(cid)  # also where no task is seen: a `create` that was cut leaves its shim
        await self._ending.clear(cid)
        self._removed.add(cid)
        if not await self._records.remove(cid):
            self._removed.discard(cid)  # it will not be told of
        cgroups.remove(self._host.cgroup_of(cid))
        self._bundles.remove(cid)
        self._suffering.forget(cid)

    async def _forsaken(self, cid: str) -> Any | None:
        """A process whose record another hand deleted: without one the runtime neither ends nor forgets it, and with
        the next run it would be there twice. It gets a record again, to be removed by."""
        with tolerated():
            tasks = (await self._connection.tasks.List(tasks_pb2.ListTasksRequest(), metadata=self._metadata)).tasks
        if cid not in {task.container_id or task.id for task in tasks}:
            return None
        await self._records.write_empty(cid)
        return await self._process(cid)

    async def remove_workload(self, name: str, uid: int) -> None:
        """See the protocol."""
        for one in await self._records.of(name, uid):
            await self.remove_run(name, uid, int(one.labels[names.RUN]))
        async with self._holds.barred(name, uid):
            await self._layers.drop(name, uid)
        log_files.remove(self._logs / name, uid)
        self._files.remove(name, uid)

    def log_files(self, name: str, uid: int, run: int) -> tuple[Path, Path]:
        """The run's standard output and standard error."""
        stem = self._logs / name / f"{uid}.{run}"
        return stem.with_name(stem.name + ".out"), stem.with_name(stem.name + ".err")

    # --- ends ----------------------------------------------------------------------------------------------------

    async def exits(self) -> AsyncIterator[ObservedRun | Resync]:
        """See the protocol. The subscription ends with containerd and is made again with its successor."""
        reports: AsyncGenerator[ObservedRun | Resync, None] = merged(self._ends(), self._suffering.reports())
        async with contextlib.aclosing(reports):
            async for report in reports:
                yield report

    async def _ends(self) -> AsyncGenerator[ObservedRun | Resync, None]:
        topics = ('topic=="/tasks/exit"', 'topic=="/tasks/oom"', 'topic=="/containers/delete"')
        async for envelope in news(self._connection, *topics):
            if envelope is None:
                self._removed.clear()
            seen = Resync() if envelope is None else await self._report(envelope)
            if seen is not None:
                yield seen

    async def _report(self, envelope: Any) -> ObservedRun | Resync | None:
        if envelope.topic == "/tasks/oom":
            self._suffering.announced(taskevents_pb2.TaskOOM.FromString(envelope.event.value).container_id)
            return None
        if envelope.topic == "/containers/delete":
            return self._deleted(taskevents_pb2.ContainerDelete.FromString(envelope.event.value).id)
        end = taskevents_pb2.TaskExit.FromString(envelope.event.value)
        if end.id != end.container_id:
            return None  # an exec's process
        try:
            labels = await self._records.labels(end.container_id)
        except grpc.aio.AioRpcError as error:
            return None if error.code() == _NO_SUCH else Resync()
        if not end.pid or not self._births.known(end.container_id) or self._ending.lives_on(end.container_id):
            # Not the shim's word but containerd's about a shim that died: its 137 or 255 is not the program's, which
            # lives on where runc could not be asked to end it.
            return Resync()
        process = task_pb2.Process(status=task_pb2.STOPPED, exit_status=end.exit_status, exited_at=end.exited_at)
        return self._observed(labels, end.container_id, process) if names.is_ours(labels) else None

    def _deleted(self, cid: str) -> Resync | None:
        """A record is gone: by this driver, or by another hand, which says nothing of the run that had it."""
        ours = cid in self._removed
        self._removed.discard(cid)
        self._suffering.forget(cid)
        return None if ours or not names.may_be_ours(cid) else Resync()

    def _kills(self, cid: str) -> int:
        return cgroups.killed(self._host.cgroup_of(cid)).kills

    async def _sufferer(self, cid: str) -> ObservedRun | Resync | None:
        """A run in which a process was killed for want of memory; it may go on, or end with it."""
        try:
            labels, process = await self._records.labels(cid), await self._process(cid)
        except grpc.aio.AioRpcError as error:
            return None if error.code() == _NO_SUCH else Resync()
        except DriverError:
            return Resync()
        return self._observed(labels, cid, process) if process is not None and names.is_ours(labels) else None


def _host_paths(run: RunSpec) -> tuple[str, ...]:
    return (*run.host_bind_paths, *(bind.source for bind in run.host_binds))
