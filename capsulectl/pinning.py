"""A machine is met for the first time: which certificate it shows, whether that is the right one, and the context that
pins it from then on."""

import getpass
import socket

from capsulectl.contexts import changing, chosen_within, config_dir, load_local, load_shared, save_shared
from capsulectl.errors import TIMED_OUT, USAGE, Failure
from capsulectl.handshake import endpoint, joined, presented, sentence
from capsulectl.prompt import confirm
from capsulectl.render import say


def met(address: str) -> tuple[str, bytes]:
    """The address as contexts keep it, and the certificate that is shown there. Raises Failure."""
    try:
        host, port = endpoint(address)
    except ValueError as error:
        raise Failure(str(error), USAGE) from error
    address = joined(host, port)
    try:
        return address, presented(host, port)
    except OSError as error:
        code = TIMED_OUT if isinstance(error, TimeoutError) else 1
        raise Failure(f"no capsule answers at {address}: {sentence(error)}", code) from error


def confirm_fingerprint(address: str, shown: str, expected: str, yes: bool) -> None:
    """Return when the operator says that the machine prints the same, or said it beforehand. Raises Failure."""
    expected = expected.lower().replace(":", "")
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


def login() -> str:
    """Who asks, where no name was given."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()


def free_name(capsule_id: str, again: str) -> str:
    """The short id. Raises Failure where another capsule has that name here; `again` is the command that would do."""
    short = f"capsule-{capsule_id[:4]}"
    other = load_shared()["contexts"].get(short)
    taken = short in load_local()["contexts"] or (other is not None and other.get("capsule_id") != capsule_id)
    if taken:
        raise Failure(f"the context {short} is another capsule's: say `{again} --name NAME`", USAGE)
    return short


def pinned(fingerprint: str) -> tuple[str, str]:
    """The context that pins this certificate, and the path of its key; of one that nobody has met, no name and the key
    that is every other machine's."""
    for name, one in load_shared()["contexts"].items():
        if one.get("tls_fingerprint_sha256") == fingerprint and one.get("key_path"):
            return name, str(one["key_path"])
    return "", str(config_dir() / "operator.ed25519")


def remember(name: str, address: str, capsule_id: str, fingerprint: str, key_path: str) -> None:
    """Make it a context, and the current one. Raises Failure where another capsule has that name here."""
    with changing():
        shared = load_shared()
        before = shared["contexts"].get(name, {})
        if name in load_local()["contexts"] or (before and before.get("capsule_id") != capsule_id):
            instead = f"say another --name, or `capsulectl context rm {name}`"
            raise Failure(f"the context {name} is another capsule's: {instead}")
        shared["contexts"][name] = before | {
            "addr": address,
            "capsule_id": capsule_id,
            "tls_fingerprint_sha256": fingerprint,
            "key_path": key_path,
        }
        save_shared(shared)
        chosen_within(name)
