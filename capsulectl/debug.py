"""`capsulectl capsule debug`: a shell that is root on the machine, for as long as it is open."""

from typing import Annotated

from cyclopts import Parameter

from capsulectl.names import image_names
from capsulectl.options import COMMON, Common, Timeout


def debug(
    *command: Annotated[str, Parameter(help="What to run instead of a shell, behind a `--`.")],
    image: Annotated[
        str,
        Parameter(
            name=["-i", "--image"],
            help="The image to look around with, which has a /bin/sh (default: one that the capsule builds from "
            "its own programs).",
            completer=image_names,
        ),
    ] = "",
    keep: Annotated[
        bool, Parameter(name="--keep", negative="", help="Leave the container, to go into it again by exec.")
    ] = False,
    timeout: Timeout = 60,
    common: Common = COMMON,
) -> int:
    """Open a shell on the machine itself: a privileged container, `capsule-debug`, in the machine's own namespaces,
    with its files under /host. It is removed when the shell ends, or when the capsule loses sight of us.

    Exits with the shell's or the command's own code; with 125 when it could not be tried. Takes the role admin.

    Example: capsulectl capsule debug -- chroot /host journalctl -n 20
    """
    from capsulectl.debugging import Debugging, Wish

    return Debugging(Wish(image, keep, command, timeout), common).run()
