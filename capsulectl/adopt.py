"""`capsulectl adopt` and `capsulectl whoami`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from capsulectl.contexts import new_name
from capsulectl.errors import Failure
from capsulectl.handshake import fingerprint_of
from capsulectl.options import COMMON, Common, Output, Yes
from capsulectl.pinning import confirm_fingerprint, free_name, login, met, pinned, remember
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
    admin with `capsulectl key add`, and `adopt` then pins the certificate and makes the context. One that you know
    already, and that has another address now, is met with the key of its context, which follows it there.

    Example: capsulectl adopt 192.168.1.20:50000
    """
    wanted = None if name is None else new_name(name)
    address, der = met(address)
    shown = fingerprint_of(der)
    confirm_fingerprint(address, shown, fingerprint, yes)
    known, key_path = pinned(shown)
    answer = _adopted(address, der, operator or login(), key_path)
    if answer.tls_fingerprint_sha256 != shown:
        raise Failure(
            f"REFUSED: the capsule says that its certificate is {answer.tls_fingerprint_sha256}, and the one shown was "
            f"{shown}: somebody stands in between. No context was made. If this capsule was not adopted before, it "
            "now knows your key; have a look at `capsulectl key list` on the machine itself"
        )
    name = wanted or known or free_name(answer.capsule_id, f"capsulectl adopt {address}")
    remember(name, address, answer.capsule_id, shown, key_path)
    say(f"adopted {answer.capsule_id} as {name}; you are {ROLES.get(answer.role) or 'enrolled'} there", common.quiet)
    print(name)


def _adopted(address: str, der: bytes, operator: str, key_path: str) -> Any:
    import grpc

    from capsule.v1 import identity_pb2 as pb
    from capsule.v1.identity_pb2_grpc import IdentityServiceStub
    from capsulectl.connection import failure_of
    from capsulectl.operator_key import load_or_make
    from capsulectl.secure import keep, unproven_channel

    key = load_or_make(Path(key_path))
    with unproven_channel(address, der) as channel:
        try:
            answer = IdentityServiceStub(channel).Adopt(
                pb.AdoptRequest(pubkey=key.public, name=operator), timeout=ADOPT_S
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise Failure(f"what answers at {address} is an installer: `capsulectl install {address}`") from error
            raise failure_of(error, address) from error
    if answer.kid != key.kid:
        raise Failure("the capsule answered for another key than ours: it is none, or a broken one")
    keep(der)
    return answer


def whoami(*, output: Output = "table", common: Common = COMMON) -> None:
    """Show who you are to the capsule, and with which role.

    Example: capsulectl whoami
    """
    from capsule.v1 import identity_pb2 as pb
    from capsulectl.connection import Connection

    connection = Connection(common.capsule)
    answer = connection.read(connection.identity.WhoAmI, pb.WhoAmIRequest())
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
