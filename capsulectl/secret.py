"""`capsulectl secret …`. A value comes from standard input, a file or a prompt, never from the command line, which
every program of the machine can read.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import secret_pb2 as pb
from capsulectl import standard_input
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.field_names import nearest
from capsulectl.moments import At, as_of
from capsulectl.names import secret_names
from capsulectl.options import COMMON, Common, Output, Yes
from capsulectl.prompt import asks, confirm, unseen
from capsulectl.render import age, say, show_table, write_items
from projections.words import bytes_text

VALUE_BYTES_MAX = 512 << 10

Secret = Annotated[str, Parameter(help="The secret's name.", completer=secret_names)]
FromFile = Annotated[
    str,
    Parameter(
        name=["-f", "--from-file"],
        allow_leading_hyphen=True,
        help="Take the value from this file, byte for byte; - is standard input.",
    ),
]


def create(
    name: Annotated[str, Parameter(help="The new secret's name.")],
    /,
    *,
    from_file: FromFile = "",
    common: Common = COMMON,
) -> None:
    """Keep a value under a name. It is read from standard input, or asked for on a terminal, and sealed there.

    Example: head -c 24 /dev/urandom | base64 | tr -d '\\n' | capsulectl secret create db-password
    """
    connection = Connection(common.capsule)
    request = pb.SecretCreateRequest(name=name, value=_value(name, from_file, common))
    _tell(connection.call(connection.secrets.Create, request), "created")


def rotate(name: Secret, /, *, from_file: FromFile = "", common: Common = COMMON) -> None:
    """Give a secret another value. Files in running workloads have it at once, variables at the next start.

    Example: capsulectl secret rotate tls-key --from-file key.pem
    """
    connection = Connection(common.capsule)
    before = _find(connection, name)
    request = pb.SecretRotateRequest(name=name, value=_value(name, from_file, common))
    after = connection.call(connection.secrets.Rotate, request)
    _tell(after, "rotated" if after.version != before.version else "unchanged")


def _tell(secret: Any, word: str) -> None:
    print(f"secret/{secret.name} {word} (version {secret.version}, {bytes_text(secret.size_bytes)})")


def list_(*, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """List secrets, and who uses them. Values are never shown.

    Example: capsulectl secret list
    """
    connection = Connection(common.capsule)
    past = as_of(connection, at, common.quiet, "secrets") if at else None
    found = (past or connection.read(connection.secrets.List, pb.SecretListRequest())).secrets
    now_ns = None if past is None else past.at_unix_ns
    if not write_items(found, output, lambda one: one.name):
        rows = [
            (
                one.name,
                str(one.version),
                bytes_text(one.size_bytes),
                age(one.created_unix * 1_000_000_000, now_ns),
                age(one.rotated_unix * 1_000_000_000, now_ns),
                ", ".join(one.used_by),
            )
            for one in found
        ]
        show_table(("NAME", "VERSION", "SIZE", "AGE", "ROTATED", "USED BY"), rows, cut=output != "wide")


def reveal(name: Secret, /, *, common: Common = COMMON) -> None:
    """Print a secret's value as it is, byte for byte. Who asked, and when, stands in the history.

    Example: capsulectl secret reveal db-password
    """
    connection = Connection(common.capsule)
    value = connection.call(connection.secrets.Reveal, pb.SecretRevealRequest(name=name)).value
    out = sys.stdout.buffer
    out.write(value)
    if sys.stdout.isatty() and not value.endswith(b"\n"):
        out.write(b"\n")
    out.flush()


def remove(
    names: Annotated[list[str], Parameter(help="Secrets' names.", completer=secret_names, negative="")],
    /,
    *,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Destroy secrets and their values, for good. One that a workload uses is refused, and its users are named.

    Example: capsulectl secret rm db-password
    """
    connection = Connection(common.capsule)
    if asks(yes):
        for name in names:
            _find(connection, name)
    what = f"secret {names[0]}" if len(names) == 1 else f"{len(names)} secrets"
    confirm(f"Destroy {what}? Nothing brings a value back.", yes)
    for name in names:
        connection.call(connection.secrets.Remove, pb.SecretRemoveRequest(name=name))
        say(f"secret/{name} removed", common.quiet)


def _find(connection: Connection, name: str) -> Any:
    """The secret as it is now; a stranger is told of before a value is asked for."""
    found = connection.read(connection.secrets.List, pb.SecretListRequest()).secrets
    for one in found:
        if one.name == name:
            return one
    instead = nearest(name, [one.name for one in found]) or f": `capsulectl secret create {name}` makes one"
    raise Failure(f"there is no secret {name}{instead}")


def _value(name: str, from_file: str, common: Common) -> bytes:
    value = _read(name, from_file)
    if not value:
        raise Failure("the value is empty", USAGE)
    if len(value) > VALUE_BYTES_MAX:
        raise Failure(f"the value has more than {bytes_text(VALUE_BYTES_MAX)}: a volume takes larger files", USAGE)
    if value.endswith(b"\n") and value.count(b"\n") == 1:
        say("the value ends with a line break, which is kept: `printf %s` and `tr -d '\\n'` make none", common.quiet)
    return value


def _read(name: str, from_file: str) -> bytes:
    if from_file.startswith("-") and from_file != "-":
        raise Failure(f"unknown option {from_file}", USAGE)
    if from_file and from_file != "-":
        try:
            with Path(from_file).open("rb") as source:
                return source.read(VALUE_BYTES_MAX + 1)
        except OSError as error:
            raise Failure(f"{from_file} cannot be read: {error.strerror}", USAGE) from error
    if from_file == "-" or not sys.stdin.isatty():
        return standard_input.stream().read(VALUE_BYTES_MAX + 1)
    value = unseen(f"Value of {name}: ")
    if unseen("Once more: ") != value:
        raise Failure("the two differ: nothing was changed")
    return os.fsencode(value)
