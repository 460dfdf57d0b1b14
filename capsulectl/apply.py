"""`capsulectl apply` and `capsulectl diff`: what help, completion and the parser's errors know of them.

A plain apply never comes here (see apply_line.py).
"""

from typing import Annotated

from cyclopts import Parameter

from capsulectl.apply_line import ApplyLine
from capsulectl.errors import USAGE, Failure
from capsulectl.options import COMMON, Common, DryRun, ExpectSeq, Output, Timeout, not_empty

_FILES = Parameter(
    name=["-f", "--filename"],
    help="Manifests: a file, a directory (its .yaml, .yml, .json), or - for standard input. Can be repeated.",
    allow_leading_hyphen=True,
    negative="",
)
Files = Annotated[list[str], _FILES]
Recursive = Annotated[
    bool,
    Parameter(name=["-R", "--recursive"], negative="", help="Read subdirectories, too, but not hidden ones."),
]
Pull = Annotated[bool, Parameter(name="--pull", negative="", help="Resolve image names again, off their pins.")]


def apply(
    *,
    filename: Files,
    recursive: Recursive = False,
    dry_run: DryRun = False,
    pull: Pull = False,
    expect_seq: ExpectSeq = None,
    wait: Annotated[bool, Parameter(name="--wait", negative="", help="Wait until everything runs.")] = False,
    timeout: Timeout = 60,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Declare what the manifests describe: all of it or, if anything is wrong, nothing.

    Example: capsulectl apply -f web.yaml --wait
    """
    from capsulectl.applying import declare

    line = ApplyLine(
        tuple(filename), recursive, dry_run, pull, expect_seq, wait, timeout, output, common.capsule
    )  # fmt: skip
    declare(line)


def diff(
    moments: Annotated[
        tuple[str, ...],
        Parameter(help="Two moments (1234, `2h ago`, boot:-1, now), then perhaps one object.", converter=not_empty),
    ] = (),
    /,
    *,
    filename: Annotated[tuple[str, ...], _FILES] = (),
    recursive: Recursive = False,
    pull: Pull = False,
    output: Output = "table",
    common: Common = COMMON,
) -> int:
    """Show what applying the manifests would change, or what changed between two moments. Exits 0 when nothing,
    1 when something, 2 on an error.

    Example: capsulectl diff -f web.yaml
    Example: capsulectl diff '2h ago' now web
    """
    if not filename:
        from capsulectl.comparing import between

        return between(moments, output, common)
    if moments:
        raise Failure("compare manifests (-f) or moments of the past, not both", USAGE)
    from capsulectl.applying import differences

    return differences(filename, recursive, pull, output, common.capsule)
