"""The simulated twin of the copier: the same archives and the same rules, on a directory for each workload's files.

Its other end is a thread instead of a process. What it cannot do is mount anything, and so be somewhere else than in
its own directory.
"""

import asyncio
import os
import socket
import threading
from pathlib import Path

from copies.errors import CopyError
from copies.inside import UNREAD, Control, send_out, take_in
from copies.inside import Request as Asked
from copies.opening import Guarded
from copies.place import Place
from effects.errors import NotRunning
from effects.runs.copy_holds import CopyHolds
from effects.runs.copy_protocol import CopyPlace
from effects.runs.copy_session import CopySession
from effects.runs.twin import Step, World


class TwinCopier:
    """A copier on a world, whose workloads have their files below `directory`. See the protocol."""

    def __init__(self, world: World, step: Step, directory: Path, holds: CopyHolds | None = None) -> None:
        self._world = world
        self._step = step
        self._directory = directory
        self._holds = holds or CopyHolds()

    def root(self, name: str, uid: int, revision: int) -> Path:
        """The files of a workload's revision."""
        return self._directory / f"{name}.{uid}.{revision}"

    async def into(self, place: CopyPlace) -> CopySession:
        """See the protocol."""
        return await self._opened("to", place)

    async def out_of(self, place: CopyPlace) -> CopySession:
        """See the protocol."""
        return await self._opened("from", place)

    async def _opened(self, way: str, place: CopyPlace) -> CopySession:
        await self._step("copy")
        container = self._world.containers.get((place.name, place.uid, place.run))
        if place.run and (container is None or container.status != "running"):
            raise NotRunning(f"{place.name} has just ended")
        if not place.run:
            self._check_ended(place)
        root = self.root(place.name, place.uid, place.revision)
        root.mkdir(parents=True, exist_ok=True)
        session = self._holds.enter(place.name, place.uid)
        mounted = None if place.run else place.mounted

        async def launch(control: int, stdin: int | None, stdout: int | None) -> "_Thread":
            ends = (os.dup(control), os.dup(stdin if stdin is not None else stdout or 0))
            return _Thread(root, mounted, *ends)

        try:
            await session.begin(Asked(way, place.name, place.path), launch)
        except BaseException:
            await asyncio.shield(session.close())
            raise
        return session

    def _check_ended(self, place: CopyPlace) -> None:
        if any(key[:2] == (place.name, place.uid) for key in self._world.containers):
            raise NotRunning(f"{place.name} is just starting or ending")
        if (place.name, place.uid, place.revision) not in self._world.layers:
            raise NotRunning(f"{place.name} does not run, and has no files of its own yet")


class _Thread:
    """See copy_session.Peer."""

    def __init__(self, root: Path, mounted: tuple[str, ...] | None, control: int, pipe: int) -> None:
        self._root = root
        self._mounted = mounted
        self._control = socket.socket(fileno=control)
        self._pipe = pipe
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    async def wait(self) -> object:
        """See Peer."""
        return await asyncio.to_thread(self._thread.join)

    def kill(self) -> None:
        """See Peer: whoever is read from or written to by a thread has closed that."""

    def _run(self) -> None:
        control = Control(os.dup(self._control.fileno()))
        fds = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (self._root, "/proc/self/fd")]
        try:
            self._copy(control, fds[0], Guarded(fds[1]))
        except CopyError as error:
            control.refused(error.reason, str(error))
        except BrokenPipeError:
            control.refused(*UNREAD)
        except (OSError, SystemExit):
            pass  # whoever asked has gone
        finally:
            for fd in (*fds, self._pipe):
                os.close(fd)
            control.close()
            self._control.close()

    def _copy(self, control: Control, root: int, opening: Guarded) -> None:
        asked = control.request()
        place = Place(root, asked.name, asked.path, self._mounted)
        if asked.way == "to":
            take_in(control, place, opening, self._pipe)
        else:
            pipe, self._pipe = self._pipe, os.open(os.devnull, os.O_RDONLY)
            send_out(control, place, opening, pipe)
