"""What the programs of a storm have inside: secrets in files and in their environment, and what was copied to them.

Read from outside, in the processes' own root and environment.
"""

import hashlib
from pathlib import Path

COPIED = "var/copied"
"""The directory that copies go to, and come from."""
FILE = "data"
VARIABLE = "SECRET"
MISSING = ""


def digest_of(content: bytes) -> str:
    """By what contents are told apart."""
    return hashlib.sha256(content).hexdigest()


def copied(pid: int) -> str:
    """The digest of what was copied to a program, or MISSING; a word for what no copy leaves."""
    directory = Path(f"/proc/{pid}/root/{COPIED}")
    try:
        names = sorted(one.name for one in directory.iterdir())
        if names not in ([], [FILE]):
            return f"leftovers: {names}"
        return digest_of((directory / FILE).read_bytes())
    except FileNotFoundError:
        return MISSING


def secret_file(pid: int, secret: str) -> str | None:
    """The value in a secret's file; None when there is none."""
    try:
        return Path(f"/proc/{pid}/root/run/secrets/{secret}").read_text()
    except FileNotFoundError:
        return None


def secret_variable(pid: int) -> str | None:
    """The value that the program was begun with; None when it was given none."""
    given = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return next((one.partition("=")[2] for one in given if one.startswith(f"{VARIABLE}=")), None)
