"""An event in one line, for people. Pure; unknown and excised entries are described too."""

from typing import Any

from journal.entry import Header
from journal.events import (
    BootCompleted,
    CallAccepted,
    CallDenied,
    CallRead,
    CallRefused,
    ClockStepped,
    DaemonCrashed,
    DaemonStarted,
    DaemonStopped,
    DiskGrown,
    DiskGrowthFailed,
    DiskGrowthRequested,
    DriftFound,
    DriftResolved,
    EffectAbandoned,
    EffectDone,
    EffectFailed,
    EffectStarted,
    EmergencyRecovered,
    Event,
    ImageFound,
    ImageLost,
    ImagePulled,
    ImagePushed,
    ImageRemovalRequested,
    ImageRemoved,
    JournalCheckpointed,
    JournalExcised,
    JournalRestored,
    MachineEndRequested,
    MachineHalted,
    MachineInstalled,
    NetworkAttached,
    NetworkDetached,
    NetworkDrifted,
    NetworkEnsured,
    NetworkMoved,
    OperatorEnrolled,
    OperatorRemoved,
    OperatorRoleChanged,
    OperatorsReset,
    RegistryConfigured,
    RegistryForgotten,
    RollbackRequested,
    SecretCreated,
    SecretFilesPlaced,
    SecretFilesRemoved,
    SecretRemoved,
    SecretRevealed,
    SecretRotated,
    SnapshotDeleteRequested,
    SnapshotRemoved,
    SnapshotRequested,
    SnapshotTaken,
    StreamClosed,
    StreamOpened,
    UplinkChanged,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeDrifted,
    VolumeFilling,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeRemoved,
    VolumeRestored,
    VolumeRestoreRequested,
    VolumeUnmounted,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadEnvRevealed,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLogDropped,
    WorkloadLost,
    WorkloadOomKilled,
    WorkloadRemoved,
    WorkloadRestartRequested,
    WorkloadStable,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from projections.effect_words import failed_text
from projections.update_words import UpdateEvent, update_text
from projections.words import bytes_text, check_text, end_text, memory_text, span_text

_KEY_CHARS = 43


def describe(header: Header, event: Event | None, excised: bool = False) -> str:
    """What happened."""
    if excised:
        return "(its content was removed)"
    match event:
        case None:
            return "(written by a newer release)"
        case CallAccepted():
            return _call(event.method, event.objects)
        case CallRefused():
            return f"{_call(event.method, event.objects)} refused: {event.reason}{_fields(event.fields)}"
        case CallDenied():
            many = f", {event.count} times" if event.count > 1 else ""
            who = f" with key {_short(event.claimed)}" if event.claimed else ""
            where = f" from {event.peer}" if event.peer else ""
            return f"{_call(event.method, event.objects)} denied{where}{who}: {event.reason}{many}"
        case CallRead():
            return _call(event.method, (event.object,) if event.object else ())
        case StreamOpened():
            command = f": {' '.join(event.argv) or event.path}" if event.argv or event.path else ""
            return f"{_call(event.method, (event.object,) if event.object else ())}{command}"
        case StreamClosed():
            code = "" if event.exit_code is None else f", exit code {event.exit_code}"
            why = f" ({event.reason})" if event.reason else ""
            moved = f"{event.bytes_in} B in, {event.bytes_out} B out"
            return f"stream {event.opened}{_stream(event)} {event.outcome}{why}{code}, {moved}"
        case WorkloadApplied():
            return ", ".join(f"{item.name} {_applied(item)}" for item in event.items)
        case WorkloadStopRequested():
            return f"{event.name} shall stop"
        case WorkloadStartRequested():
            return f"{event.name} shall run"
        case WorkloadRestartRequested():
            return f"{event.name} shall begin a new run"
        case WorkloadDeleteRequested():
            return f"{event.name} shall be gone"
        case RollbackRequested():
            why = f": {event.reason}" if event.reason else ""
            if event.snapshot:
                return f"volume {', '.join(event.objects)} shall be as in snapshot {event.snapshot}{why}"
            left = f"; {', '.join(name for name, _ in event.left)} cannot" if event.left else ""
            return f"{', '.join(event.objects)} shall be as after entry {event.to_seq}{left}{why}"
        case OperatorEnrolled():
            who = event.operator or "somebody"
            return f"{who} may drive this capsule as {event.role} ({event.how}, key {_short(event.kid)})"
        case OperatorRemoved():
            return f"key {_short(event.kid)} opens nothing any more"
        case OperatorRoleChanged():
            return f"key {_short(event.kid)} is {event.role}'s now"
        case OperatorsReset():
            return f"all keys were taken off: {event.reason}"
        case EffectStarted():
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return f"{event.name}: {event.effect}{_run(event.run)}{again}"
        case EffectDone():
            return f"{event.name}: {event.effect}{_run(event.run)} done"
        case EffectAbandoned():
            return f"{event.name}: {event.effect}{_run(event.run)} given up: something else is wanted by now"
        case EffectFailed():
            then = "not tried again" if event.permanent else f"next try in {span_text(event.retry_delay_ms)}"
            return f"{failed_text(event)}: {event.message}; {then}"
        case WorkloadStarted():
            how = "found running" if event.adopted else "started"
            with_ = f", with {event.accelerator.upper()}" if event.accelerator else ""
            pid = f", pid {event.pid}" if event.pid else ""  # it had ended before anybody saw it run
            return f"{event.name} run {event.run} {how}{pid}{with_}"
        case WorkloadExited():
            return f"{event.name} run {event.run} {_exited(event)}"
        case WorkloadLost():
            who = ", by another hand" if event.foreign else ""
            if event.unborn:
                return f"{event.name} run {event.run} never came to life: {event.reason}"
            return f"{event.name} run {event.run} lost: {event.reason}{who}{_next(event)}"
        case WorkloadOomKilled():
            return f"{event.name} run {event.run}: a process was killed, {memory_text(event.memory_limit_bytes)}"
        case WorkloadStable():
            return f"{event.name} run {event.run} is stable: the ends in a row before it count no more"
        case WorkloadHealthChanged():
            then = "; it is to end for it" if event.restart else ""
            last = check_text(event.message)
            why = f": {event.failures} failures in a row, the last: {last}" if event.failures else ""
            return f"{event.name} run {event.run} is {event.health}{why}{then}"
        case WorkloadLogDropped():
            return (
                f"{event.name} run {event.run} lost up to {event.dropped_bytes} B of {event.stream}: the disk was full"
            )
        case WorkloadRemoved():
            return f"{event.name} is gone"
        case VolumeApplied():
            what = "created" if event.created else "as it is" if event.same_size else "to grow"
            if event.staged:
                what = "imported" if event.created else "given back what was imported"
            told = event.drift is not None and not (event.created and event.drift == "repair")
            policy = f" (drift: {event.drift})" if told else ""
            return f"volume {event.name} {what}, {bytes_text(event.size_bytes)}{policy}"
        case VolumeDeleteRequested():
            taken = f", taken from {', '.join(event.detached)}" if event.detached else ""
            return f"volume {event.name} shall be gone{taken}"
        case VolumeMade():
            return f"volume {event.name} is there, {bytes_text(event.size_bytes)}"
        case VolumeMounted():
            return f"volume {event.name} is mounted for {event.workload}"
        case VolumeUnmounted():
            return f"volume {event.name} is unmounted{': ' + event.reason if event.reason else ''}"
        case VolumeRemoved():
            return f"volume {event.name} is gone"
        case VolumeLost():
            return f"volume {event.name} is not in the storage any more, and nobody here removed it"
        case VolumeDrifted():
            how = "is unmounted" if event.how == "unmounted" else "takes no writes any more"
            return f"another hand was there: volume {event.name} {how}, and its workload has it open"
        case VolumeFilling():
            where = f"volume {event.name}" if event.name else "the storage under the volumes"
            return f"{where} is {event.used_bytes * 100 // max(1, event.total_bytes)} % full"
        case SnapshotRequested():
            why = " before a restore" if event.safety else ""
            return f"snapshot {event.label} of volume {event.name} shall be taken{why}"
        case SnapshotTaken():
            return f"snapshot {event.snapshot} of volume {event.name} is taken ({event.method})"
        case SnapshotDeleteRequested():
            return f"snapshot {event.snapshot} of volume {event.name} shall be gone"
        case SnapshotRemoved():
            return f"snapshot {event.snapshot} of volume {event.name} is gone"
        case VolumeRestoreRequested():
            return f"volume {event.name} shall be as in snapshot {event.snapshot}"
        case VolumeRestored():
            return f"volume {event.name} is as in snapshot {event.snapshot}"
        case NetworkEnsured():
            return f"the bridge and {event.mappings} port mapping{'' if event.mappings == 1 else 's'} are there"
        case NetworkAttached():
            anew = ", by a new link: what runs is started anew to have it" if event.anew else ""
            return f"{event.name} has {event.address} on the bridge{anew}"
        case NetworkDetached():
            return f"{event.name} has no link to the bridge any more"
        case NetworkMoved():
            addresses = ", ".join(f"{one.name} has {one.address}" for one in event.items)
            return f"the bridge has the subnet {event.subnet}{f': {addresses} from now' if addresses else ''}"
        case NetworkDrifted():
            return f"another hand was there: {event.name + ': ' if event.name else ''}{event.what}"
        case ImagePushed():
            return ", ".join(f"{image.pin.ref} is {image.pin.platform_digest[:19]}" for image in event.images)
        case ImagePulled():
            names = ", ".join(image.pin.ref or image.pin.index_digest[:19] for image in event.images)
            return f"{names} pulled, {event.bytes_received} B received"
        case RegistryConfigured():
            ways = [f"as {event.username}" if event.username else "", "with its own CA" if event.ca else ""]
            how = ", ".join(filter(None, [*ways, "without TLS" if event.plain_http else ""]))
            return f"registry {event.host} is to be reached {how or 'as any other'}"
        case RegistryForgotten():
            return f"nothing is known of the registry {event.host} any more"
        case SecretCreated():
            return f"secret {event.name} has a value of {bytes_text(event.size_bytes)}"
        case SecretRotated(again=True):
            return f"version {event.version} of secret {event.name} was given again, for it could not be opened"
        case SecretRotated():
            return f"secret {event.name} has another value, version {event.version}, {bytes_text(event.size_bytes)}"
        case SecretRevealed():
            return f"version {event.version} of secret {event.name} was shown"
        case WorkloadEnvRevealed():
            return f"{event.name}'s environment was shown: {', '.join(event.variables)}"
        case SecretFilesPlaced():
            files = ", ".join(f"{one.path} (version {one.version})" for one in event.files)
            return f"{event.name} has in memory {files}"
        case SecretFilesRemoved():
            return f"{event.name} has no secrets in memory{f': {event.reason}' if event.reason else ' any more'}"
        case SecretRemoved():
            return f"secret {event.name} is gone"
        case ImageRemovalRequested():
            return f"{_images(event.refs, event.digests, event.partial)} shall leave the image cache"
        case ImageRemoved():
            return f"{_images(event.refs, event.digests, event.partial)} left, {event.freed_bytes} B freed"
        case ImageFound():
            found = ", ".join(image.pin.ref or image.pin.index_digest[:19] for image in event.images)
            return f"{found} found in the image cache"
        case ImageLost():
            return f"{_images(event.refs, event.digests)} vanished from the image cache"
        case DriftFound():
            then = "to be repaired" if event.repair else "left as it is"
            return f"{_object(event)} ({event.aspect}) is not as it is wanted: {event.what}; {then}"
        case DriftResolved():
            how = "is as it is wanted again" if event.how == "repaired" else "is not wanted any more"
            return f"{_object(event)} ({event.aspect}) {how}"
        case DaemonStarted():
            return f"capsuled {header.release} started ({event.mode}, before: {event.previous})"
        case DaemonCrashed():
            where = f" in {event.trace[-1]}" if event.trace else ""
            kind = f", {event.error}" if event.error else ""
            how = "did not answer any more and was ended" if event.how == "hung" else f"ended with {event.how}"
            return f"capsuled {how} after {event.lived_ms / 1000:.1f} s{kind}{where}"
        case BootCompleted():
            bad = sum(1 for one in event.stages if one.problem)
            problems = f", {bad} of {len(event.stages)} stages had a problem" if bad else ""
            return f"the machine is up: the API answered {event.ready_ms / 1000:.1f} s after the kernel began{problems}"
        case MachineEndRequested():
            what = "started anew" if event.order == "reboot" else "switched off"
            return f"the machine shall be {what}{f' ({event.by})' if event.by else ''}"
        case MachineInstalled():
            whose = "for an operator" if event.sealed else "for whoever adopts it first"
            return f"the machine was installed on {event.disk} by {event.by_release}, {whose}"
        case DiskGrowthRequested():
            return "what the disk has and nobody uses shall be taken"
        case DiskGrown():
            sizes = ", ".join(f"{one.name} to {bytes_text(one.after_bytes)}" for one in event.parts)
            return f"{event.disk} is used further: {sizes}"
        case DiskGrowthFailed():
            return f"{event.disk} could not be used further: {event.problem}"
        case ClockStepped():
            return f"the clock was set by {event.by_ms / 1000:+.3f} s, as {event.server} says"
        case UplinkChanged():
            return f"on the LAN by {event.interface} with {event.address} ({event.how})"
        case DaemonStopped():
            return f"capsuled stopped ({event.reason})"
        case EmergencyRecovered():
            return f"emergency {event.action} of {event.name}, taken while the journal could not write"
        case MachineHalted():
            return "everything that ran was ended (--halt); what is wanted stays as it is"
        case JournalRestored():
            values = f", with {event.values} sealed values" if event.values else ""
            return f"this machine took over the memory in an archive that ends at entry {event.upto}{values}"
        case JournalExcised():
            which = f"entry {event.seqs[0]}" if len(event.seqs) == 1 else f"{len(event.seqs)} entries"
            return f"the content of {which} was removed{f': {event.reason}' if event.reason else ''}"
        case JournalCheckpointed():
            if not event.exported_to:
                return f"the fold begins with the state after entry {event.upto} from now on"
            return f"history up to entry {event.upto} is cut; it was exported to {event.exported_to}"
        case _ if isinstance(event, UpdateEvent):
            return update_text(event)
        case _:
            return header.type


def _call(method: str, objects: tuple[str, ...]) -> str:
    return f"{method}({', '.join(_short(one) for one in objects)})"


def _stream(event: StreamClosed) -> str:
    """What it was of: a release before named no method, and one before that no object."""
    objects = (event.object,) if event.object else ()
    what = _call(event.method, objects) if event.method else event.object
    return f" of {what}" if what else ""


def _object(event: DriftFound | DriftResolved) -> str:
    return f"{event.kind} {event.name}".rstrip()


def _short(name: str) -> str:
    """Key ids are long, and told apart by their beginning; no workload's name is so long."""
    return name if len(name) < _KEY_CHARS else f"{name[:12]}…"


def _images(refs: tuple[str, ...], digests: tuple[str, ...], partial: bool = False) -> str:
    rest = ("what was left half-way",) if partial else ()
    return ", ".join((*refs, *(digest[:19] for digest in digests), *rest))


def _fields(fields: tuple[str, ...]) -> str:
    return f" at {', '.join(fields)}" if fields else ""


def _run(number: int) -> str:
    return f" run {number}" if number else ""


def _applied(item: Any) -> str:
    word = "created" if item.created else "changed" if item.changed else "started again"
    if item.changed or item.created:
        pass
    elif item.relabelled or item.reordered or item.policed:
        word = "labelled" if item.relabelled else "reordered" if item.reordered else f"to {item.drift} drift"
    elif item.repaired:
        word = "to be repaired"
    if item.desired == "stopped":
        word += ", stopped"
    return f"{word} ({item.container.source})"


def _exited(event: WorkloadExited) -> str:
    return end_text(event) + (", killed by another hand" if event.foreign else "") + _next(event)


def _next(event: WorkloadExited | WorkloadLost) -> str:
    if event.gave_up:
        return f"; given up: that was end {event.streak} in a row"
    return f"; next run in {span_text(event.restart_delay_ms)}" if event.restart else ""
