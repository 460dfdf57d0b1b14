"""What a run boots from: its disks made ready, then opened as the devices of a machine.

With an image: the guest's own disk, the image's, the private layer, what the run is told (in memory), its volumes.
With a kernel of the operator's: that, and the root file system beside it, which the machine has to itself.
"""

import asyncio
import os
import stat
import time
from pathlib import Path

import msgspec

from effects import held
from effects.command import Command
from effects.errors import HostPathMissing, StartFailed, VolumeBusy, unwritten
from effects.host_paths import HostPaths
from effects.microvms.command_line import END, INITRD, KERNEL, STDERR, STDOUT, Disk, Machine
from effects.microvms.guest_run import Surroundings, run_disk, volume_serial
from effects.microvms.opening import Opened
from effects.microvms.places import Key, Places, RunRecord
from effects.microvms.protocol import GuestImage, GuestSource, Payload, PayloadSource
from effects.payloads.layer import ensure_layer
from effects.runs.process import Identity, stop_signal
from effects.runs.protocol import RunSpec
from effects.secrets.reading import contents
from effects.unbroken import to_its_end
from journal.specs import MicroVM

_RESOLV = Path("/etc/resolv.conf")
_CONSOLE = ("console=ttyS0", "panic=-1", "quiet")
"""A kernel that gives up does so at once, and says little before: what it writes costs time, and has a bound."""
_MIB = 1 << 20


class Boot(msgspec.Struct, frozen=True):
    """What is ready. `files` are for the monitor's root; without `guest` the kernel is the operator's; without `vsock`
    (a number, and the device that has it) the agent is behind a port."""

    vm: MicroVM
    record: RunRecord
    files: tuple[tuple[str, str], ...]
    guest: GuestImage | None = None
    payload: Payload | None = None
    identity: Identity = Identity()
    layer: Path | None = None
    vsock: tuple[int, int] | None = None


class Booting:
    """Makes boots. `prefix` is the bridge's, `paths` touches what an operator's machine boots from."""

    def __init__(
        self,
        places: Places,
        images: PayloadSource,
        guest: GuestSource,
        command: Command,
        prefix: int,
        paths: HostPaths | None = None,
    ) -> None:
        self._places = places
        self._images = images
        self._guest = guest
        self._command = command
        self._prefix = prefix
        self._paths = paths or HostPaths()

    async def prepare(self, run: RunSpec) -> Boot:
        """Everything that may take its time. Raises DriverError."""
        vm = run.vm
        assert vm is not None, "a microVM's run says which machine it is"
        return await (self._of_operator(run, vm) if vm.kernel_path else self._of_image(run, vm))

    async def _of_image(self, run: RunSpec, vm: MicroVM) -> Boot:
        guest = await self._guest.find()
        payload = await self._images.payload(run.image)
        identity = await self._images.identity(run.image, run.user or payload.config.user)
        layer = self._places.layer(run.name, run.uid, run.revision)
        await ensure_layer(self._command, layer)
        if run.revision != run.uid:
            # Also where this revision's was there: the try that made it may have been cut before it came to this.
            self._places.drop_layers(run.name, run.uid, but=layer)
        memory = run.resources.memory_bytes or vm.memory_mib * _MIB
        record = RunRecord(run.revision, stop_signal(run, payload.config), memory, volumes=len(run.volumes))
        files = ((str(guest.kernel), KERNEL), (str(guest.initrd), INITRD))
        return Boot(vm, record, files, guest, payload, identity, layer)

    async def _of_operator(self, run: RunSpec, vm: MicroVM) -> Boot:
        modes = await self._paths.check((vm.kernel_path, vm.rootfs_path), _use(run))
        if not modes[vm.kernel_path] & stat.S_IROTH:
            raise StartFailed(
                f"{vm.kernel_path} can be read by its owner only, and a microVM's monitor runs as a user of its own: "
                f"`chmod o+r {vm.kernel_path}`"
            )
        record = RunRecord(run.revision, memory_bytes=vm.memory_mib * _MIB, agent=False)
        return Boot(vm, record, ((vm.kernel_path, KERNEL),))

    async def open(self, run: RunSpec, boot: Boot, opened: Opened, arguments: tuple[str, ...]) -> Machine:
        """The machine, with everything behind it open. `arguments` are the kernel's, of this machine. Raises
        DriverError."""
        try:
            root = None if boot.guest is not None else await self._root(run, boot.vm, opened)
            # To its end: what is opened behind the back of who has closed the rest stays open, and its disk held.
            return await to_its_end(asyncio.to_thread(self._open, run, boot, opened, arguments, root))
        except BlockingIOError as error:
            raise VolumeBusy(f"{error.filename} is another microVM's disk just now") from error
        except FileNotFoundError as error:
            raise HostPathMissing(f"{error.filename} is not there, and {run.name} needs it") from error
        except OSError as error:
            raise unwritten(error.filename or "a descriptor of a microVM", error) from error

    async def _root(self, run: RunSpec, vm: MicroVM, opened: Opened) -> Disk:
        """The root file system of an operator's machine: its place may be away, which the other disks' is not."""
        root = await self._paths.opened(
            vm.rootfs_path,
            lambda: _root_disk(vm.rootfs_path),
            lambda disk: os.close(disk.fd),
            _use(run),
        )
        opened.keep(root.fd)
        return root

    def _open(self, run: RunSpec, boot: Boot, opened: Opened, arguments: tuple[str, ...], root: Disk | None) -> Machine:
        files, vm = self._places.of(Key(run.name, run.uid, run.run)), boot.vm
        for path in (files.out, files.err):  # also where there is no agent to write them: they say that it ran
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        volumes = tuple(
            _disk(volume_serial(number), opened.disk(Path(one.source), read_only=one.read_only), one.read_only)
            for number, one in enumerate(run.volumes)
        )
        machine = Machine(
            title=f"{run.name}.{run.uid}.{run.run}",
            vcpus=vm.vcpus,
            memory_mib=vm.memory_mib,
            kernel_arguments=(*_CONSOLE, *arguments, *_extra(vm)),
            disks=volumes,
            serial=opened.appended(files.serial),
            tap=opened.tap(run.namespace) if run.network == "bridge" else None,
            address=run.address,
        )
        if root is not None:
            power = opened.listening(files.power)
            return msgspec.structs.replace(machine, disks=(root, *volumes), initrd=False, power=power)
        return self._with_agent(run, boot, opened, machine)

    def _with_agent(self, run: RunSpec, boot: Boot, opened: Opened, machine: Machine) -> Machine:
        files = self._places.of(Key(run.name, run.uid, run.run))
        assert boot.guest is not None and boot.payload is not None and boot.layer is not None
        around = Surroundings(_text(_RESOLV), self._prefix, contents(run.secrets), time.time_ns())
        told = run_disk(run, boot.payload.config, boot.identity, around)
        disks = (
            Disk("guest", opened.disk(boot.guest.root, read_only=True), read_only=True),
            Disk("payload", opened.disk(boot.payload.disk, read_only=True), read_only=True),
            Disk("layer", opened.disk(boot.layer, read_only=False)),
            Disk("run", opened.memory("run", told), read_only=True),
        )
        ports = ((STDOUT, files.out), (STDERR, files.err), (END, files.end))
        return msgspec.structs.replace(
            machine,
            disks=(*disks, *machine.disks),
            ports=tuple((port, opened.appended(path)) for port, path in ports),
            agent=opened.listening(files.agent) if boot.vsock is None else None,
            vsock=boot.vsock,
        )


def _use(run: RunSpec) -> str:
    return f"{run.name} boots from it"


def _disk(serial: str, fd: int, read_only: bool) -> Disk:
    """Somebody's own, a volume's say: it may be a device."""
    return Disk(serial, fd, read_only, device=stat.S_ISBLK(os.fstat(fd).st_mode))


def _root_disk(path: str) -> Disk:
    fd = held.opened(Path(path), shared=False)
    try:
        return _disk("root", fd, False)
    except BaseException:
        os.close(fd)
        raise


def _extra(vm: MicroVM) -> tuple[str, ...]:
    root = ("root=/dev/vda", "rw") if vm.kernel_path else ()
    return (*root, *vm.cmdline_extra.split())


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
