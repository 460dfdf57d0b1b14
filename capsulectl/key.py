"""`capsulectl key …`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsule.v1 import identity_pb2 as pb
from capsulectl.adopt import ROLES
from capsulectl.connection import Connection
from capsulectl.errors import Failure
from capsulectl.field_names import nearest
from capsulectl.files import file_text, input_text
from capsulectl.moments import At, as_of
from capsulectl.names import key_names
from capsulectl.options import COMMON, Common, Output, Yes
from capsulectl.prompt import confirm
from capsulectl.render import age, plain, say, show_table, write, write_items

RoleName = Literal["admin", "operator", "reader"]
_NUMBERS: dict[str, Any] = {name: number for number, name in ROLES.items() if name}

Which = Annotated[
    str,
    Parameter(
        help="A key's id, its beginning, or the operator's name.", allow_leading_hyphen=True, completer=key_names
    ),
]


def list_(*, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """List the keys that may drive the capsule.

    Example: capsulectl key list
    """
    connection = Connection(common.capsule)
    past = as_of(connection, at, common.quiet, "keys") if at else None
    keys = (past or connection.read(connection.identity.KeyList, pb.KeyListRequest())).keys
    if not write_items(keys, output, lambda key: key.kid, _plain):
        names = {key.kid: key.name for key in keys}
        rows = [
            (
                key.kid if output == "wide" else key.kid[:12],
                key.name,
                ROLES.get(key.role, "?"),
                names.get(key.added_by_kid, key.added_by_kid[:12]),
                age(key.added_at_unix * 1_000_000_000, None if past is None else past.at_unix_ns),
            )
            for key in keys
        ]
        show_table(("KEY", "NAME", "ROLE", "ADDED BY", "AGE"), rows, cut=output != "wide")


def add(
    key: Annotated[
        str,
        Parameter(
            help="What `capsulectl key show` prints, an `ssh-ed25519 …` line, or a file with one; - is standard input.",
            allow_leading_hyphen=True,
        ),
    ],
    /,
    *,
    name: Annotated[str, Parameter(name="--name", help="Whose key it is.")],
    role: Annotated[
        RoleName,
        Parameter(name="--role", help="admin: everything; operator: workloads, images, updates; reader: looks only."),
    ] = "operator",
    common: Common = COMMON,
) -> None:
    """Let a further key drive the capsule. It takes an admin.

    Example: capsulectl key add 4Yv3…u0Q --name anna --role operator
    """
    from capsulectl.operator_key import public_key

    public = public_key(_text(key))
    connection = Connection(common.capsule)
    request = pb.KeyAddRequest(pubkey=public, name=name, role=_NUMBERS[role])
    answer = connection.call(connection.identity.KeyAdd, request)
    say(f"{name} is {role} from now: `capsulectl adopt` on their side makes the context", common.quiet)
    print(answer.key.kid)


def _text(key: str) -> str:
    if key == "-":
        return input_text()
    return file_text(key) if os.path.isfile(key) else key


def remove(key: Which, /, *, yes: Yes = False, common: Common = COMMON) -> None:
    """Let a key open nothing any more; its open streams are cut. It takes an admin.

    Example: capsulectl key rm anna
    """
    connection = Connection(common.capsule)
    found = _find(connection, key)
    confirm(f"Remove {found.name or found.kid} ({ROLES.get(found.role, '?')}, key {found.kid})?", yes)
    connection.call(connection.identity.KeyRemove, pb.KeyRemoveRequest(kid=found.kid))
    say(f"{found.name or found.kid} opens nothing any more", common.quiet)


def role(key: Which, role: Annotated[RoleName, Parameter(help="The new role.")], /, *, common: Common = COMMON) -> None:
    """Give a key another role. It takes an admin.

    Example: capsulectl key role anna reader
    """
    connection = Connection(common.capsule)
    found = _find(connection, key)
    connection.call(connection.operators.SetRole, pb.SetRoleRequest(kid=found.kid, role=_NUMBERS[role]))
    say(f"{found.name or found.kid} is {role} from now", common.quiet)


def show(*, output: Output = "table", common: Common = COMMON) -> None:
    """Show your own public key: what an admin needs for `capsulectl key add`. Talks to nobody.

    Example: capsulectl key show -o name
    """
    from capsulectl.contexts import config_dir, target
    from capsulectl.operator_key import load_or_make, text_of

    path = config_dir() / "operator.ed25519"
    if common.capsule:
        path = Path(target(common.capsule).key_path or path)
    own = load_or_make(path)
    if output in ("json", "yaml"):
        write({"publicKey": text_of(own.public), "kid": own.kid, "path": str(path)}, output)
    elif output == "name":
        print(text_of(own.public))
    else:
        print(f"Public key: {text_of(own.public)}\nKey id:     {own.kid}\nFile:       {path}")


def _find(connection: Connection, wanted: str) -> Any:
    keys = connection.read(connection.identity.KeyList, pb.KeyListRequest()).keys
    found = [key for key in keys if key.kid == wanted]
    found = found or [key for key in keys if key.name == wanted]
    found = found or [key for key in keys if len(wanted) >= 4 and key.kid.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    how = "no key" if not found else f"{len(found)} keys"
    near = "" if found else nearest(wanted, [key.name for key in keys])
    raise Failure(f"{how} by {wanted}{near or ': `capsulectl key list -o wide` shows those there are'}")


def _plain(key: Any) -> dict[str, Any]:
    return plain(key) | {"role": ROLES.get(key.role, "")}
