"""What operators of other tools type first, and what it is called here: by verb, or by noun and verb. And which verbs
are never offered to one who mistyped."""

from collections.abc import Sequence

_LIST = "`capsulectl list`; what is done with one stands at the top, as in `capsulectl logs NAME`"
_APPLY = "declare it in a file and say `capsulectl apply -f FILE`"
_POWEROFF = "`capsulectl capsule poweroff` switches the machine off"
_INFO = "`capsulectl capsule info`"
_UPDATE = "`capsulectl update push BUNDLE`"
_NOT_RENAMED = (
    "nothing is renamed: `capsulectl get NAME -o yaml`, write another name, `capsulectl apply -f FILE`, "
    "and `capsulectl delete NAME`"
)
_NOT_PAUSED = "nothing is paused: `capsulectl stop NAME` ends its run, `capsulectl start NAME` begins another"
_NOT_BUILT = "nothing is built here: `capsulectl image push ARCHIVE` and `capsulectl image pull NAME` bring images"
_BACKUP = "`capsulectl journal export FILE` for the memory, `capsulectl volume export NAME FILE` for a volume's data"
_ROTATE = "`capsulectl secret rotate NAME`"
_REVEAL = "`capsulectl secret reveal NAME` prints the value; `capsulectl secret list` shows what else is known of it"

HABITS = {
    "run": f"{_APPLY}; `capsulectl explain Container` lists its fields",
    "create": _APPLY,
    "up": "`capsulectl apply -f FILE` declares what shall run",
    "down": "`capsulectl stop NAME` stops, `capsulectl delete NAME` removes, `capsulectl delete -f FILE` all of a file",
    "kill": "`capsulectl stop NAME` asks first and kills after the grace",
    "inspect": "`capsulectl get NAME -o json`",
    "attach": "`capsulectl logs -f NAME` shows what it writes, `capsulectl exec -it NAME sh` goes inside",
    "edit": "`capsulectl get NAME -o yaml`, change it, and `capsulectl apply -f FILE`",
    "rename": _NOT_RENAMED,
    "pause": _NOT_PAUSED,
    "unpause": _NOT_PAUSED,
    "status": f"{_LIST}; {_INFO} tells of the machine",
    "container": _LIST,
    "containers": _LIST,
    "pod": _LIST,
    "pods": _LIST,
    "service": _LIST,
    "services": _LIST,
    "rmi": "`capsulectl image rm NAME`",
    "images": "`capsulectl image list`",
    "pull": "`capsulectl image pull NAME`",
    "push": "`capsulectl image push ARCHIVE`",
    "load": "`capsulectl image push ARCHIVE`",
    "prune": "`capsulectl image gc` takes out images that nothing needs; all else stays until it is named",
    "volumes": "`capsulectl volume list`",
    "secrets": "`capsulectl secret list`",
    "snapshot": "`capsulectl volume snapshot NAME`",
    "backup": _BACKUP,
    "export": _BACKUP,
    "info": _INFO,
    "df": "`capsulectl capsule info` for the machine, `capsulectl volume list`, and `capsulectl image list -o wide`",
    "version": "`capsulectl --version`; the capsule's own is in `capsulectl capsule info`",
    "cluster-info": _INFO,
    "config": "`capsulectl context list`",
    "use": "`capsulectl context use NAME`",
    "tail": "`capsulectl logs -f NAME`",
    "dmesg": "`capsulectl capsule logs` is the daemon's; the kernel's is read in `capsulectl capsule debug`",
    "undo": "`capsulectl rollback NAME --to previous`; `capsulectl history` shows what was done",
    "shell": "`capsulectl exec -it NAME sh`",
    "ssh": "`capsulectl exec -it NAME sh`",
    "debug": "`capsulectl capsule debug`, on the machine itself; `capsulectl exec -it NAME sh`, in a workload",
    "login": "`capsulectl image login HOST`",
    "build": _NOT_BUILT,
    "reboot": "`capsulectl capsule reboot`",
    "poweroff": _POWEROFF,
    "shutdown": _POWEROFF,
    "halt": _POWEROFF,
    "upgrade": _UPDATE,
    "verify": "`capsulectl journal verify`",
    "image load": "`capsulectl image push ARCHIVE`",
    "image import": "`capsulectl image push ARCHIVE`",
    "image prune": "`capsulectl image gc`",
    "image inspect": "`capsulectl image list -o json`",
    "image show": "`capsulectl image list -o json`",
    "image build": _NOT_BUILT,
    "volume inspect": "`capsulectl volume get NAME`",
    "volume show": "`capsulectl volume get NAME`",
    "volume rename": "nothing is renamed: `capsulectl volume export NAME FILE` and `capsulectl volume import NEW FILE`",
    "volume backup": "`capsulectl volume export NAME FILE`",
    "volume prune": "no volume goes by itself: `capsulectl volume delete NAME`",
    "volume snapshot-rm": "`capsulectl volume snapshot-delete NAME LABEL`",
    "volume snapshot-remove": "`capsulectl volume snapshot-delete NAME LABEL`",
    "secret get": _REVEAL,
    "secret show": _REVEAL,
    "secret inspect": _REVEAL,
    "secret set": f"{_ROTATE}; `capsulectl secret create NAME` makes one",
    "secret update": _ROTATE,
    "capsule status": _INFO,
    "capsule shutdown": _POWEROFF,
    "capsule halt": _POWEROFF,
    "capsule restart": "`capsulectl capsule reboot` starts the machine anew",
    "update apply": _UPDATE,
    "update install": _UPDATE,
    "context current": "`capsulectl context show`",
}
"""Each text names verbs that there are: a test reads them."""

IRREVOCABLE = frozenset(
    {
        "accept",
        "delete",
        "excise",
        "gc",
        "grow-disk",
        "import",
        "install",
        "poweroff",
        "reboot",
        "remove",
        "restore",
        "rm",
        "rollback",
        "rotate",
        "snapshot-delete",
        "truncate",
    }
)
"""What destroys or overwrites something, or takes the machine down: who means it types it."""

_SAME = {("workload",): (), ("capsule", "update"): ("update",)}
"""Nouns whose verbs are another's, too."""


def meant(path: Sequence[str], word: str) -> str:
    """What a verb is called here that stands behind `path`, in a sentence; empty when nobody knows."""
    return HABITS.get(" ".join((*_SAME.get(tuple(path), path), word)), "")
