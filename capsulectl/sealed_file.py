"""Sealed values in a file that only a passphrase opens: what a machine's secrets travel in.

    "capsule-secrets 1\\n" | JSON line (journal, salt, nonce, scrypt's figures) | AES-256-GCM of JSON (naming_key,
    values)

The first two lines are authenticated with the rest. Source of the figures: RFC 7914 for scrypt; N = 2^17, r = 8 is
128 MiB and about half a second for each passphrase that somebody tries.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from capsulectl.errors import USAGE, Failure
from capsulectl.files import file_bytes, file_text

MAGIC = b"capsule-secrets 1\n"
LOG_N, R, P = 17, 8, 1
LOG_N_MOST = 20
"""A file that asks for more than a gigabyte is not ours; for that, r and p must be what we write, too."""
SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32
NAME_CHARS = 32
"""In hex."""
FILE_BYTES_MOST = 256 << 20


class Sealed(NamedTuple):
    """What such a file holds: values, and the key by which the journal's names for them come from them."""

    journal_id: str
    naming_key: bytes
    values: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        """What the journal calls them: HMAC-SHA256 of each, under the key, as the machine's vault names them."""
        return frozenset(
            hmac.new(self.naming_key, value.encode(), hashlib.sha256).hexdigest()[:NAME_CHARS] for value in self.values
        )


def sealed(content: Sealed, passphrase: str) -> bytes:
    """The file."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    title = {
        "journal": content.journal_id, "salt": salt.hex(), "nonce": nonce.hex(), "log_n": LOG_N, "r": R, "p": P,
    }  # fmt: skip
    head = MAGIC + json.dumps(title).encode() + b"\n"
    body = json.dumps({"naming_key": content.naming_key.hex(), "values": content.values}).encode()
    return head + AESGCM(_key(passphrase, salt, LOG_N)).encrypt(nonce, body, head)


def unsealed(file: str, passphrase: Callable[[], str]) -> Sealed:
    """What a file holds; the passphrase is asked for once it is one. Raises Failure when it is none, or the passphrase
    is another's."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    content = file_bytes(file, FILE_BYTES_MOST)
    end = content.find(b"\n", len(MAGIC)) + 1
    if not content.startswith(MAGIC) or not end:
        raise Failure(f"{file} is no file of sealed secrets: its first line is not `capsule-secrets 1`", USAGE)
    try:
        title = json.loads(content[len(MAGIC) : end])
        salt, nonce = bytes.fromhex(title["salt"]), bytes.fromhex(title["nonce"])
        log_n = _small(title["log_n"])
        if (title["r"], title["p"]) != (R, P):
            raise ValueError("no figures of scrypt's that are ours")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(f"the title of {file} cannot be read: it is cut or altered", USAGE) from error
    try:
        body = json.loads(AESGCM(_key(passphrase(), salt, log_n)).decrypt(nonce, content[end:], content[:end]))
    except (InvalidTag, ValueError) as error:
        raise Failure(f"{file} cannot be opened: the passphrase is another, or the file is cut or altered") from error
    return Sealed(str(title.get("journal", "")), bytes.fromhex(body["naming_key"]), tuple(body["values"]))


def _small(number: Any) -> int:
    if type(number) is not int or not 0 < number <= LOG_N_MOST:
        raise ValueError("no figure of scrypt's that is ours")
    return number


def _key(passphrase: str, salt: bytes, log_n: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=KEY_BYTES, n=1 << log_n, r=R, p=P).derive(passphrase.encode())


def check_wanted(passphrase_file: str, secrets: str) -> None:
    """Raises Failure for a passphrase that seals and opens nothing: who gives it believes that something is sealed."""
    if passphrase_file and not secrets:
        raise Failure("--passphrase-file is for the sealed values: name their file, too, --secrets", USAGE)


def passphrase_of(file: str, *, twice: bool) -> str:
    """What seals or opens, from a file's first line or asked for; `twice`, where a slip would lock it for ever."""
    if file:
        found = file_text(file).partition("\n")[0]
    else:
        import sys

        from capsulectl.prompt import unseen

        if not sys.stdin.isatty():
            raise Failure("nobody is there to ask for the passphrase: name a file with it, --passphrase-file", USAGE)
        found = unseen("Passphrase: ")
        if twice and unseen("Once more: ") != found:
            raise Failure("the two differ: nothing was written")
    if not found:
        raise Failure("the passphrase is empty", USAGE)
    return found
