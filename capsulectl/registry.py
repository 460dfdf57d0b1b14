"""`capsulectl image login`, `logout` and `logins`: how registries are reached."""

import sys
from typing import Annotated

from cyclopts import Parameter

from capsule.v1 import registry_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.files import file_text, input_text
from capsulectl.moments import At, as_of
from capsulectl.names import registry_hosts
from capsulectl.options import COMMON, Common, Output, Unasked
from capsulectl.prompt import unseen
from capsulectl.render import age, say, show_table, write_items

Host = Annotated[
    str,
    Parameter(
        help="The registry, as it stands in an image's name: a host, and a port if it has one.",
        completer=registry_hosts,
    ),
]


def login(
    host: Host,
    /,
    *,
    user: Annotated[str, Parameter(name=["-u", "--user"], help="Who to be; the password is asked for.")] = "",
    password_stdin: Annotated[
        bool, Parameter(name="--password-stdin", negative="", help="Read the password from standard input.")
    ] = False,
    ca: Annotated[str, Parameter(name="--ca", help="A file of certificates to trust beside the system's.")] = "",
    plain_http: Annotated[
        bool, Parameter(name="--plain-http", negative="", help="It speaks no TLS: everything can be read on the way.")
    ] = False,
    no_check: Annotated[bool, Parameter(name="--no-check", negative="", help="Do not try it first.")] = False,
    common: Common = COMMON,
) -> None:
    """Say how a registry is reached: as whom, by whose certificate. The password is kept sealed on the machine.

    Example: capsulectl image login registry.lan:5000 -u me --ca lan-ca.pem
    """
    if password_stdin and not user:
        raise Failure("--password-stdin needs --user", USAGE)
    request = pb.RegistryLoginRequest(
        host=host,
        username=user,
        password=_password(host, user, password_stdin) if user else "",
        ca_pem=file_text(ca) if ca else "",
        plain_http=plain_http,
        unchecked=no_check,
    )
    connection = Connection(common.capsule)
    connection.call(connection.registries.Login, request)
    say(f"{host} is known{f' to {user}' if user else ''}", common.quiet)


def _password(host: str, user: str, from_stdin: bool) -> str:
    if from_stdin:
        password = input_text().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = unseen(f"Password of {user} at {host}: ")
    else:
        raise Failure("standard input is no terminal: say `--password-stdin` to read the password from it", USAGE)
    if not password:
        raise Failure("the password is empty", USAGE)
    return password


def logout(host: Host, /, *, yes: Unasked = False, common: Common = COMMON) -> None:
    """Forget a registry: who to be there, its certificates. What was pulled stays.

    Example: capsulectl image logout registry.lan:5000
    """
    connection = Connection(common.capsule)
    connection.call(connection.registries.Logout, pb.RegistryLogoutRequest(host=host))
    say(f"{host} is forgotten", common.quiet)


def logins(*, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """List the registries that something is known of. Passwords are never shown.

    Example: capsulectl image logins
    """
    connection = Connection(common.capsule)
    past = as_of(connection, at, common.quiet, "registries") if at else None
    found = (past or connection.read(connection.registries.List, pb.RegistryListRequest())).registries
    if not write_items(found, output, lambda one: one.host):
        rows = [
            (
                one.host,
                one.username,
                "none" if one.plain_http else "own CA" if one.own_ca else "system",
                age(one.since_unix * 1_000_000_000, None if past is None else past.at_unix_ns),
            )
            for one in found
        ]
        show_table(("HOST", "USER", "TLS", "AGE"), rows, cut=output != "wide")
