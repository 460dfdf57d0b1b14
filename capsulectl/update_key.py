"""`capsulectl update key …`: whose signature makes a bundle an update."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from capsule.v1 import update_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.files import file_bytes
from capsulectl.moments import At
from capsulectl.names import update_key_ids
from capsulectl.options import COMMON, Common, Output, Yes, not_empty
from capsulectl.prompt import confirm
from capsulectl.render import moment, say, show_table, write_items
from capsulectl.update import updates_then

KEY_BYTES = 64 << 10


def list_(*, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """List the keys that sign updates. While there is none, a bundle needs no signature.

    Example: capsulectl update key list
    """
    connection = Connection(common.capsule)
    if at:
        keys = updates_then(connection, at, common.quiet, "update_keys").update_keys
    else:
        keys = connection.read(connection.updates.KeyList, pb.UpdateKeyListRequest()).keys
    if write_items(keys, output, lambda one: one.kid):
        return
    show_table(("KEY", "NAME", "ADDED"), [(one.kid, one.name, moment(one.added_at_unix_ns)) for one in keys])
    if not keys:
        said = "was enrolled: the machine took" if at else "is enrolled: the machine takes"
        say(f"no key {said} bundles that nobody signed", common.quiet)


def add(
    file: Annotated[Path, Parameter(help="A PEM file with the Ed25519 key, public or private.")],
    /,
    *,
    name: Annotated[str, Parameter(name="--name", help="Whose it is.")] = "",
    common: Common = COMMON,
) -> None:
    """Take only updates that an enrolled key signed: this one from now on, too. Of a private key's file only the public
    half leaves this machine. Prints the key's id.

    Example: capsulectl update key add update.pem --name builder
    """
    public = _public(file)
    connection = Connection(common.capsule)
    key = connection.call(connection.updates.KeyAdd, pb.UpdateKeyAddRequest(public_key=public, name=name))
    print(key.kid)


def remove(
    kid: Annotated[str, Parameter(help="The key's id.", converter=not_empty, completer=update_key_ids)],
    /,
    *,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Take no update any more for this key's signature.

    Example: capsulectl update key remove 4Cj1Xo --yes
    """
    connection = Connection(common.capsule)
    keys = connection.read(connection.updates.KeyList, pb.UpdateKeyListRequest()).keys
    found = [one.kid for one in keys if one.kid.startswith(kid)]
    if len(found) != 1:
        raise Failure(f"{len(found)} keys begin with {kid}: `capsulectl update key list` shows them", USAGE)
    if len(keys) == 1:
        confirm("This is the last one: the machine then takes bundles that nobody signed. Go on?", yes)
    connection.call(connection.updates.KeyRemove, pb.UpdateKeyRemoveRequest(kid=found[0]))
    print(found[0])


def _public(file: Path) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    data = file_bytes(str(file), KEY_BYTES)
    try:
        key = load_pem_public_key(data) if b"PUBLIC" in data else load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        words = f"{file} holds no key in PEM that can be read without a password"
        raise Failure(f"{words}: `openssl genpkey -algorithm ed25519` makes one", USAGE) from error
    if isinstance(key, Ed25519PrivateKey):
        key = key.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise Failure(f"{file} holds no Ed25519 key: `openssl genpkey -algorithm ed25519` makes one", USAGE)
    return key.public_bytes_raw()
