"""`capsulectl adopt` and `capsulectl whoami`."""

import getpass
import socket
from typing import Annotated, Any

from cyclopts import Parameter

from capsulectl.contexts import choose, config_dir, load_local, load_shared, new_name, save_shared
from capsulectl.errors import TIMED_OUT, USAGE, Failure
from capsulectl.handshake import endpoint, fingerprint_of, joined, presented
from capsulectl.options import COMMON, Common, Output, Yes
from capsulectl.prompt import confirm
from capsulectl.render import plain, say, write

ADOPT_S = 30.0
ROLES = {0: "", 1: "admin", 2: "operator", 3: "reader"}


def adopt(
    address: Annotated[str, Parameter(help="HOST:PORT; the port is 50000 when left out.")],
    /,
    *,
    fingerprint: Annotated[
        str, Parameter(name="--fingerprint", help="The certificate's fingerprint, as the machine prints it: not asked.")
    ] = "",
    name: Annotated[
        str | None, Parameter(name="--name", help="The context's name (default: the capsule's short id).")
    ] = None,
    operator: Annotated[
        str, Parameter(name="--operator", help="Your name, as the capsule remembers it (default: login@host).")
    ] = "",
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Enrol your key on a capsule and pin its certificate.

    A capsule without a key takes the first that comes, for 30 minutes after it booted; later keys are added by an
    admin with `capsulectl key add`, and `adopt` then pins the certificate and makes the context.

    Example: capsulectl adopt 192.168.1.20:50000
    """
    try:
        host, port = endpoint(address)
    except ValueError as error:
        raise Failure(str(error), USAGE) from error
    address = joined(host, port)
    wanted = None if name is None else new_name(name)
    try:
        der = presented(host, port)
    except OSError as error:
        code = TIMED_OUT if isinstance(error, TimeoutError) else 1
        why = error.strerror or str(error)
        raise Failure(f"no capsule answers at {address}: {why}", code) from error
    shown = fingerprint_of(der)
    _confirm(address, shown, fingerprint.lower().replace(":", ""), yes)
    answer, key_path = _adopted(address, der, operator or _login())
    if answer.tls_fingerprint_sha256 != shown:
        raise Failure(
            f"REFUSED: the capsule says that its certificate is {answer.tls_fingerprint_sha256}, and the one shown was "
            f"{shown}: somebody stands in between. No context was made. If this capsule was not adopted before, it "
            "now knows your key; have a look at `capsulectl key list` on the machine itself"
        )
    name = wanted or _free_name(answer.capsule_id, address)
    _remember(name, address, answer.capsule_id, shown, key_path)
    say(f"adopted {answer.capsule_id} as {name}; you are {ROLES.get(answer.role) or 'enrolled'} there", common.quiet)
    print(name)


def _confirm(address: str, shown: str, expected: str, yes: bool) -> None:
    if expected:
        if expected != shown:
            raise Failure(
                f"REFUSED: the certificate at {address} has the fingerprint\n  {shown}\nand not\n  {expected}\n"
                "Nothing was sent: this is not the machine you mean, or somebody stands in between"
            )
        return
    for name, one in load_shared()["contexts"].items():
        if one.get("addr") == address and one.get("tls_fingerprint_sha256") != shown:
            say(f"NOTE: {address} was adopted before, as {name}, and showed another certificate then")
    say(f"The certificate at {address} has the fingerprint\n  {shown}")
    confirm(
        "Does the machine print the same (console, start-up log, `capsule info`)?",
        yes,
        instead="pass --fingerprint, or --yes to trust it as it is",
    )


def _adopted(address: str, der: bytes, operator: str) -> tuple[Any, str]:
    import grpc

    from capsule.v1 import identity_pb2 as pb
    from capsule.v1.identity_pb2_grpc import IdentityServiceStub
    from capsulectl.connection import failure_of
    from capsulectl.operator_key import load_or_make
    from capsulectl.secure import keep, unproven_channel

    path = config_dir() / "operator.ed25519"
    key = load_or_make(path)
    with unproven_channel(address, der) as channel:
        try:
            answer = IdentityServiceStub(channel).Adopt(
                pb.AdoptRequest(pubkey=key.public, name=operator), timeout=ADOPT_S
            )
        except grpc.RpcError as error:
            raise failure_of(error, address) from error
    if answer.kid != key.kid:
        raise Failure("the capsule answered for another key than ours: it is none, or a broken one")
    keep(der)
    return answer, str(path)


def _login() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()


def _free_name(capsule_id: str, address: str) -> str:
    """The short id, unless another capsule has that name here."""
    short = f"capsule-{capsule_id[:4]}"
    other = load_shared()["contexts"].get(short)
    taken = short in load_local()["contexts"] or (other is not None and other.get("capsule_id") != capsule_id)
    if taken:
        raise Failure(f"the context {short} is another capsule's: say `capsulectl adopt {address} --name NAME`", USAGE)
    return short


def _remember(name: str, address: str, capsule_id: str, fingerprint: str, key_path: str) -> None:
    shared = load_shared()
    before = shared["contexts"].get(name, {})
    if name in load_local()["contexts"] or (before and before.get("capsule_id") != capsule_id):
        raise Failure(f"the context {name} is another capsule's: say another --name, or `capsulectl context rm {name}`")
    shared["contexts"][name] = before | {
        "addr": address,
        "capsule_id": capsule_id,
        "tls_fingerprint_sha256": fingerprint,
        "key_path": key_path,
    }
    save_shared(shared)
    choose(name)


def whoami(*, output: Output = "table", common: Common = COMMON) -> None:
    """Show who you are to the capsule, and with which role.

    Example: capsulectl whoami
    """
    from capsule.v1 import identity_pb2 as pb
    from capsulectl.connection import Connection

    connection = Connection(common.capsule)
    answer = connection.call(connection.identity.WhoAmI, pb.WhoAmIRequest())
    role = ROLES.get(answer.role, "")
    if output in ("json", "yaml"):
        write(plain(answer) | {"role": role}, output)
    elif output == "name":
        print(answer.name)
    else:
        lines = [
            ("Capsule", f"capsule-{answer.capsule_id[:4]} ({answer.capsule_id})"),
            ("Name", answer.name),
            ("Role", role),
            ("Key", answer.kid or "none: the machine's own socket"),
        ]
        print("\n".join(f"{label + ':':<9}{value}" for label, value in lines))
