"""`capsulectl cp`: what is copied, and to where."""

import re
from typing import Annotated

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.copying import STREAM, Inside, copy_into, copy_out, refuse_terminal
from capsulectl.errors import USAGE, Failure
from capsulectl.names import copy_ends
from capsulectl.options import COMMON, Common
from copies.errors import shown
from copies.packing import Owner

_OWNER = re.compile(r"(\d{1,9})(?::(\d{1,9}))?")


def cp(
    source: Annotated[
        str,
        Parameter(
            help="PATH, NAME:PATH in a workload, or - for a tar.", allow_leading_hyphen=True, completer=copy_ends
        ),
    ],
    destination: Annotated[
        str,
        Parameter(help="The same; one of the two is in a workload.", allow_leading_hyphen=True, completer=copy_ends),
    ],
    /,
    *,
    owner: Annotated[
        str, Parameter(name="--chown", help="UID[:GID] of everything in the workload, instead of the files' own.")
    ] = "",
    whole: Annotated[
        bool, Parameter(name=["-r", "-R", "-a", "--recursive", "--archive"], negative="", show=False)
    ] = False,  # as it is anyway
    common: Common = COMMON,
) -> None:
    """Copy files, directories and links into a workload, or out of it.

    A destination that ends in / or is a directory takes them beneath it; any other is their new name. A source that
    ends in /. is the contents of that directory. With - the other end is a tar, on standard input or output.

    Example: capsulectl cp ./site/. web:/var/www/
    """
    match _end(source), _end(destination):
        case Inside() as there, str() as here:
            if owner:
                raise Failure("--chown is for copies into a workload", USAGE)
            if here == STREAM:
                refuse_terminal()
            copy_out(Connection(common.capsule), there, here, common.quiet)
        case str() as here, Inside() as there:
            if owner and here == STREAM:
                raise Failure("--chown is for files: what is in a tar has its owners there", USAGE)
            copy_into(Connection(common.capsule), here, there, _owner(owner), common.quiet)
        case str(), str():
            raise Failure(f"neither {source} nor {destination} is in a workload: write NAME:PATH", USAGE)
        case _:
            pipe = f"capsulectl cp {source} - | capsulectl cp - {destination}"
            raise Failure(f"both ends are in workloads: `{pipe}` does that", USAGE)


def _end(text: str) -> Inside | str:
    """NAME:PATH is in a workload; what begins like a path is one, colons and all."""
    name, colon, path = text.partition(":")
    if text.startswith("-") and text != STREAM:
        raise Failure(f"unknown option {text}", USAGE)
    if not text:
        raise Failure("an end of the copy is empty: write PATH, NAME:PATH or -", USAGE)
    if not colon or text.startswith((".", "~")) or "/" in name:
        return text
    if not name or not path:
        raise Failure(f"{text} is not NAME:PATH (a file of that name here is ./{text})", USAGE)
    if any("\udc80" <= sign <= "\udcff" for sign in text):  # how Python carries bytes that are no text
        raise Failure(f"{shown(text)} is not UTF-8, as the path of a call is: copy the directory that it is in", USAGE)
    return Inside(name, path)


def _owner(text: str) -> Owner | None:
    if not text:
        return None
    found = _OWNER.fullmatch(text)
    if found is None:
        raise Failure(f"--chown {text} is not UID[:GID], in numbers", USAGE)
    return Owner(int(found[1]), int(found[2] or found[1]))
