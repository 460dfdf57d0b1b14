"""An image's files as the kernel merges its layers, for a program that reads them: in a mount namespace of that
program's own, which goes with it. So nothing is ever mounted on the machine, and a crash leaves nothing mounted.

The program ends with the daemon, too: what it writes then is half made, and swept away in the next life.
"""

import os
from collections.abc import Sequence
from typing import Any

from effects.errors import ImageUnreadable

_SCRIPT = """
cd "$1"
mount -t tmpfs -o mode=0700,size=1m payload "$2"
mkdir "$2/none" "$2/tree"
mount -t overlay -o "ro,lowerdir=$3:$2/none" payload "$2/tree"
shift 3
exec "$@"
"""
"""Where the layers are, a directory to mount in, the layers as they are called there, and the program. An overlay wants
two layers at least: the one that is empty makes it so, and an image of one layer is read as any other. The tree is at
`tree` in the directory."""


def command(mounts: Sequence[Any], directory: str, *program: str) -> tuple[str, ...]:
    """What runs the program on the tree, which is at `place(directory)`. `mounts` are of a view, as containerd says.

    A page has no room for the paths of many layers: they are named from where they all are, as containerd does it.
    """
    layers = _layers(mounts)
    base = os.path.commonpath([os.path.dirname(one) for one in layers])
    names = ":".join(os.path.relpath(one, base) for one in layers)
    apart = ("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation", "private", "--")
    return (*apart, "sh", "-euc", _SCRIPT, "payload", base, directory, names, *program)


def place(directory: str) -> str:
    """Where the program finds the tree."""
    return f"{directory}/tree"


def _layers(mounts: Sequence[Any]) -> list[str]:
    """The layers' directories, topmost first. One alone is bound, several are an overlay."""
    if len(mounts) == 1 and mounts[0].type == "bind":
        return [mounts[0].source]
    for mount in mounts[:1] if mounts and mounts[0].type == "overlay" else ():
        for option in mount.options:
            key, _, value = option.partition("=")
            if key == "lowerdir":
                return [str(one) for one in value.split(":")]
    kinds = ", ".join(mount.type for mount in mounts) or "nothing"
    raise ImageUnreadable(f"containerd shows the image's layers in a way that no disk can be made of: {kinds}")
