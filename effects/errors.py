"""What can go wrong in the outside world, by condition. A driver raises nothing else.

A driver's failure is an observation, not an RPC error: `reason` goes into the event for machines, `message` for people
(what happened, why, what to do next), and `permanent` says that another try without a change would fail the same way.
"""

import errno


class DriverError(Exception):
    """Base: something the driver could not do."""

    reason = "DRIVER_FAILED"
    permanent = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RuntimeUnavailable(DriverError):
    """Raised when containerd does not answer; it is supervised and comes back."""

    reason = "RUNTIME_UNAVAILABLE"


class SenderQuiet(DriverError):
    """Raised when whoever sends something has fallen silent in the middle of it, for longer than others who want the
    same are to wait. What came is kept where another try continues it."""

    reason = "SENDER_QUIET"


class ImageMissing(DriverError):
    """Raised when the pinned image is not in the image cache. It may be fetched."""

    reason = "IMAGE_MISSING"


class ImageUnreadable(DriverError):
    """Raised when an image's manifest, config or layer cannot be used as it is."""

    reason = "IMAGE_UNREADABLE"
    permanent = True


class ImageCorrupt(DriverError):
    """Raised when a blob is not what its digest says."""

    reason = "IMAGE_CORRUPT"
    permanent = True


class WrongArchitecture(DriverError):
    """Raised when an image has nothing for this machine's processor."""

    reason = "WRONG_ARCHITECTURE"
    permanent = True


class ImageUnknown(DriverError):
    """Raised when a registry does not have what it is asked for."""

    reason = "IMAGE_NOT_FOUND"
    permanent = True


class RegistryUnreachable(DriverError):
    """Raised when a registry does not answer, answers that it cannot just now, or breaks off; also when its
    certificate's dates do not fit the clock: time mends either. `retry_after_s` is its own wish."""

    reason = "REGISTRY_UNREACHABLE"

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RegistryUntrusted(DriverError):
    """Raised when a registry's certificate is signed by nobody this machine knows, or is another host's."""

    reason = "REGISTRY_UNTRUSTED"
    permanent = True


class RegistryDenied(DriverError):
    """Raised when a registry wants credentials, or other ones."""

    reason = "REGISTRY_DENIED"
    permanent = True


class EntrypointMissing(DriverError):
    """Raised when there is no command to execute: it is not there, or none was given."""

    reason = "ENTRYPOINT_MISSING"
    permanent = True


class NotExecutable(EntrypointMissing):
    """Raised when the command is there and cannot be executed."""

    reason = "NOT_EXECUTABLE"


class BadUser(DriverError):
    """Raised when the user or group does not exist in the image."""

    reason = "BAD_USER"
    permanent = True


class BadWorkingDir(DriverError):
    """Raised when the working directory cannot be entered: it is missing, a file, or the user may not."""

    reason = "BAD_WORKING_DIR"
    permanent = True


class HostPathMissing(DriverError):
    """Raised when a path of the machine that a run binds is not there, or gives no answer. It may come back, as a disk
    does."""

    reason = "HOST_PATH_MISSING"


class MemoryTooLow(DriverError):
    """Raised when a memory limit is too low for the process even to be started."""

    reason = "MEMORY_TOO_LOW"


class NoSpace(DriverError):
    """Raised when a disk is full."""

    reason = "NO_SPACE"


class NotRunning(DriverError):
    """Raised when something is asked of a run that is not alive."""

    reason = "NOT_RUNNING"


class DriverLacks(DriverError):
    """Raised when this machine's driver cannot honour a field."""

    reason = "DRIVER_LACKS"
    permanent = True


class StartFailed(DriverError):
    """Raised when the runtime refused to start a process for a reason of its own."""

    reason = "START_FAILED"


class GuestFailed(DriverError):
    """Raised when the agent in a microVM could not do what it was asked, for a reason of its own."""

    reason = "GUEST_FAILED"


class GuestBusy(DriverError):
    """Raised when the agent in a microVM has as many execs and copies as it carries at once."""

    reason = "GUEST_BUSY"


class GuestImageFailed(DriverError):
    """Raised when what every microVM boots is not there: making it failed, or is not done yet."""

    reason = "GUEST_IMAGE"


class NetworkForeign(DriverError):
    """Raised when the bridge's name or subnet is somebody else's: nothing of it is touched."""

    reason = "NETWORK_FOREIGN"


class NetworkMissing(DriverError):
    """Raised when a link is asked for while the bridge is not there: it is made again first."""

    reason = "NETWORK_MISSING"


class NetworkFailed(DriverError):
    """Raised when the kernel or nft refused for a reason of its own."""

    reason = "NETWORK_FAILED"


class CopyFailed(DriverError):
    """Raised when a copy into or out of a workload cannot be made; `reason` is the condition's own."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def refused_copy(reason: str, message: str) -> DriverError:
    """The condition that the other end of a copy says it was refused for."""
    match reason:
        case NoSpace.reason:
            return NoSpace(message)
        case NotRunning.reason:
            return NotRunning(message)
        case GuestBusy.reason:
            return GuestBusy(message)
    return CopyFailed(reason, message)


def unwritten(what: str, error: OSError) -> DriverError:
    """The condition behind a file that could not be written; `what` names it, as the subject of a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"the disk is full: {what} cannot be written. Free space under the state directory")
    return StartFailed(f"{what} cannot be written: {error.strerror}")


class MemoryFull(DriverError):
    """Raised when the file system in memory for what must not lie on a disk takes no more."""

    reason = "MEMORY_FULL"


class VolumeMissing(DriverError):
    """Raised when a volume that must exist is not in the storage."""

    reason = "VOLUME_MISSING"


class SnapshotMissing(DriverError):
    """Raised when a snapshot that must exist is not in the storage."""

    reason = "SNAPSHOT_MISSING"


class SnapshotDamaged(DriverError):
    """Raised when what a snapshot holds cannot be had back: the volume itself is as it was."""

    reason = "SNAPSHOT_DAMAGED"


class VolumeDamaged(DriverError):
    """Raised when a file system cannot be used as it is, and not be mended without a person."""

    reason = "VOLUME_DAMAGED"


class VolumeBusy(DriverError):
    """Raised when a file system cannot be unmounted because something uses it."""

    reason = "VOLUME_BUSY"


class NotDetached(DriverError):
    """Raised when something is asked that needs the volume unmounted."""

    reason = "NOT_DETACHED"


class VolumeFailed(DriverError):
    """Raised when the storage refused for a reason of its own."""

    reason = "VOLUME_FAILED"


class VolumeTooLarge(DriverError):
    """Raised when the storage can never hold a volume of this size."""

    reason = "VOLUME_TOO_LARGE"


class PayloadFailed(DriverError):
    """Raised when no disk could be made of an image for a reason of the tool's own."""

    reason = "PAYLOAD_FAILED"


class LayerDamaged(DriverError):
    """Raised when a microVM's private layer cannot be used as it is, and not be mended without a person."""

    reason = "LAYER_DAMAGED"


class GuestSilent(DriverError):
    """Raised when something needs the guest of a microVM, and it does not answer in time."""

    reason = "GUEST_SILENT"
