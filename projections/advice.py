"""What to try next, by what stands in a workload's or a volume's way. Pure; every reason and every phase has its line.

`{name}` is the object's, `{image}` what its manifest calls the image. An empty line: nothing has to be done.
"""

from journal.specs import Fault
from projections.details import Detail

_AGAIN = "apply it again"
_AGAIN_OR_PULL = _AGAIN + "; an image mended under the same name: `capsulectl apply -f FILE --pull`"
"""A workload stays pinned to what its image's name meant, which may be what is broken."""

BY_REASON: dict[str, str] = {
    "RUNTIME_UNAVAILABLE": "containerd is started again by itself; if it stays away, `capsulectl capsule logs` tells",
    "IMAGE_MISSING": "`capsulectl image pull {image}` or `capsulectl image push ARCHIVE` brings the image",
    "IMAGE_UNREADABLE": "build or pull the image anew: what is in it cannot be used. Mended under the same name: "
    "`capsulectl apply -f FILE --pull`; under another: name that, then " + _AGAIN,
    "IMAGE_CORRUPT": "`capsulectl image pull {image}` or `capsulectl image push ARCHIVE` brings it anew: nothing was "
    "kept of what came damaged. They leave a copy that is here as it is: where that is damaged, "
    "`capsulectl delete {name}` and `capsulectl image rm {image}` come first, and then " + _AGAIN,
    "WRONG_ARCHITECTURE": "name an image that is built for this machine's processor (`capsulectl capsule info`)",
    "IMAGE_NOT_FOUND": "check name and tag of {image}, or bring it along with `capsulectl image push ARCHIVE`; then "
    + _AGAIN,
    "REGISTRY_UNREACHABLE": "it is tried again by itself; see whether the registry answers, or `capsulectl image push`",
    "REGISTRY_UNTRUSTED": "`capsulectl image login HOST --ca FILE` names who signed its certificate; then " + _AGAIN,
    "REGISTRY_DENIED": "`capsulectl image login HOST` with a name that may read {image}; then " + _AGAIN,
    "ENTRYPOINT_MISSING": "check `command` in the manifest, or what the image names as its entrypoint; then "
    + _AGAIN_OR_PULL,
    "NOT_EXECUTABLE": "the file is there and cannot be executed: check its mode and its first line; then "
    + _AGAIN_OR_PULL,
    "BAD_USER": "name a `user` that the image knows, or a number; then " + _AGAIN,
    "BAD_WORKING_DIR": "name a `workingDir` that the image has and its user may enter; then " + _AGAIN,
    "HOST_PATH_MISSING": "put back the path or what it lies on, or take it out of the manifest; it is tried again by "
    "itself",
    "MEMORY_TOO_LOW": "raise `resources.memory`: not even the start of its process fits; then " + _AGAIN,
    "NO_SPACE": "free space: `capsulectl image gc`, `capsulectl volume list`; it is tried again by itself",
    "DRIVER_LACKS": "leave out the field that the message names: this machine cannot honour it; then " + _AGAIN,
    "NETWORK_FOREIGN": "give capsuled another bridge or subnet (`--bridge`, `--subnet`; on the operating system, "
    "a subnet in `/perm/capsule/subnet`, then `capsulectl capsule reboot`): that one is somebody else's",
    "VOLUME_MISSING": "`capsulectl volume get` says since when; bring it back, or `capsulectl volume import` an export",
    "SNAPSHOT_MISSING": "`capsulectl volume snapshots {name}` lists those there are",
    "SNAPSHOT_DAMAGED": "`capsulectl volume restore {name} LABEL` takes another of `capsulectl volume snapshots "
    "{name}`",
    "VOLUME_DAMAGED": "its file system needs a person: copy the file first, then `fsck` it",
    "VOLUME_BUSY": "something still uses it (`fuser -vm` on the machine); it is tried again by itself",
    "VOLUME_TOO_LARGE": "declare it smaller, or add storage",
}
"""By the reason of an effect's failure."""

BY_REFUSAL: dict[str, str] = {
    "PORT_TAKEN": "choose another `hostPort`, or delete the workload that has it, which keeps it while it is stopped; "
    "then " + _AGAIN,
    "PORT_IN_USE": "choose another `hostPort`, or stop the program that has it (`ss -ltnup` on the machine); then "
    + _AGAIN,
    "PORT_TWICE": "leave out one of the two mappings; then " + _AGAIN,
    "NO_PORT": "name a `hostPort` outside of those that are chosen by themselves; then " + _AGAIN,
    "NO_ADDRESS": "delete a workload on the bridge, or say another `networkMode`; then " + _AGAIN,
    "NO_SUCH_ADDRESS": "leave out `hostAddress`, or name an address that the machine has; then " + _AGAIN,
    "HOST_PATH_MISSING": "make the path, or bring back what it lies on, or take it out of the manifest; then " + _AGAIN,
    "IMAGE_NOT_FOUND": "`capsulectl image pull` or `capsulectl image push` brings the image; then " + _AGAIN,
    "VOLUME_NOT_FOUND": "`capsulectl volume create`, or declare the volume beside it; then " + _AGAIN,
    "VOLUME_HELD": "stop the workload that mounts the volume (`capsulectl volume list`); then try it again",
    "VOLUME_EXISTS": "choose another name, or `capsulectl volume resize {name} SIZE`",
    "VOLUME_IN_USE": "stop the workload that has it mounted (`capsulectl volume list`); then try it again",
    "VOLUME_REFERENCED": "delete the workloads that mount it, or `capsulectl volume delete {name} --force`",
    "VOLUME_SHRINK": "make a smaller volume, and copy what is in this one",
    "SECRET_NOT_FOUND": "`capsulectl secret create` keeps a value under that name; then " + _AGAIN,
    "NO_SUCH_DEPENDENCY": "apply what it depends on first, or both in one call",
    "DEPENDENCY_CYCLE": "take one of them out of `dependsOn`; then " + _AGAIN,
    "KIND_FIXED": "delete it first, or choose another name; then " + _AGAIN,
    "DELETING": "wait until it is gone; then " + _AGAIN,
    "SEQUENCE_MISMATCH": "it was changed in between: read it again, then repeat the call",
    "STOPPED": "`capsulectl start {name}` lets it run again",
}
"""By the reason of a call's refusal, where the reason says what to do."""

REFUSED: dict[str, str] = {
    "PORT_TAKEN": "another workload has the host port",
    "PORT_IN_USE": "a program of the machine itself has the host port",
    "PORT_TWICE": "it declares a host port more than once",
    "NO_PORT": "no host port was left to choose",
    "NO_ADDRESS": "no address on the bridge was left",
    "NO_SUCH_ADDRESS": "the machine does not have the address",
    "HOST_PATH_MISSING": "the path does not exist on the machine, or does not answer",
    "IMAGE_NOT_FOUND": "the image was not to be had",
    "VOLUME_NOT_FOUND": "there is no such volume",
    "VOLUME_HELD": "another workload mounts the volume",
    "VOLUME_EXISTS": "the volume exists already",
    "VOLUME_IN_USE": "the volume is in use",
    "VOLUME_REFERENCED": "workloads mount the volume",
    "VOLUME_SHRINK": "a volume cannot shrink",
    "SECRET_NOT_FOUND": "there is no such secret",
    "NO_SUCH_DEPENDENCY": "there is no such workload to depend on",
    "DEPENDENCY_CYCLE": "it would wait for itself",
    "KIND_FIXED": "a workload cannot become one of another kind",
    "DELETING": "it is being deleted",
    "SEQUENCE_MISMATCH": "it had been changed since it was read",
    "STOPPED": "it is stopped",
}
"""The same reasons in words, as the end of a sentence."""

OTHER_REFUSAL = "`capsulectl history show {seq}` names the fields at fault, if any are: mend them; then " + _AGAIN
"""For all other refusals."""

BY_DETAIL: dict[Detail, str] = {
    Detail.PENDING: "",
    Detail.PULLING: "`capsulectl get {name}` shows how far it is",
    Detail.WAITING: "see to what it waits for, below; it then starts by itself",
    Detail.STARTING: "",
    Detail.RUNNING: "",
    Detail.CHECKING: "`capsulectl wait {name} --for healthy`",
    Detail.HEALTHY: "",
    Detail.UNHEALTHY: "`capsulectl logs {name} -n 50`; `capsulectl exec {name} -- …` to try the check by hand",
    Detail.REPLACING: "",
    Detail.STOPPING: "",
    Detail.STOPPED: "`capsulectl start {name}` lets it run again",
    Detail.COMPLETED: "`capsulectl start {name}` lets it run once more",
    Detail.RESTARTING: "",
    Detail.BACKOFF: "`capsulectl logs {name} -n 50` shows what it wrote before it ended",
    Detail.CRASH_LOOP: "`capsulectl logs {name} -n 50` shows what it wrote before it ended; what is applied anew "
    "is tried at once",
    Detail.GAVE_UP: "`capsulectl logs {name} -n 50` shows what it wrote; mend it, then `capsulectl start {name}`",
    Detail.RETRYING: "it is tried again by itself",
    Detail.FAILED: "`capsulectl logs {name} -n 50` shows what it wrote; mend it, then `capsulectl start {name}`",
    Detail.DELETING: "",
}
"""By the phase, where nothing failed."""

BY_FAULT: dict[Fault, str] = {
    "panic": "`capsulectl logs {name} --serial -n 50` shows what the kernel wrote; did it have too little `memoryMib`?",
    "killed": "nothing in it is to blame: see who on the machine ends its monitor; `capsulectl start {name}` lets it "
    "run again, where it does not by itself",
    "starved": "the machine has less memory than its workloads use: lower `memoryMib` of some, or stop one",
    "crashed": "`capsulectl logs {name} --serial -n 50`, and `capsulectl capsule logs` has what the monitor said",
    "silent": "`capsulectl logs {name} --serial -n 50` shows what it wrote last; has it enough `vcpus` for its work?",
    "agent": "`capsulectl logs {name} --serial -n 50` shows what failed in the guest",
}
"""By what ended the machine around it."""

ILL_AGAIN = (
    "see whether `health` fits what it does: the right `port` and `path`, or command, and a `startPeriod` that is long "
    "enough; `capsulectl logs {name} -n 50` shows what it wrote; `capsulectl rollback {name} --to healthy` goes back "
    "to what was well, if anything was"
)
"""After several runs in a row that ended because they were unhealthy, until one is well."""

VOLUME_GONE = (
    "`capsulectl volume create {volume} SIZE`, if there is none of that name (it will be empty), then apply {name} "
    "again; by itself it does not start"
)
"""Where a volume that it mounts was deleted: it names that one, whatever else has its name by then."""

OUT_OF_MEMORY = "raise `resources.memory` in the manifest, or find what needs so much: `capsulectl logs {name} -n 50`"
"""After a kill for want of memory, whatever the phase."""

GUEST_OUT_OF_MEMORY = "raise `memoryMib` in the manifest, or find what needs so much: `capsulectl logs {name} -n 50`"
"""The same in a microVM."""
