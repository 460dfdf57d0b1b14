"""The run's secrets as files, followed while it goes on: each is put in its place whole, and the rest is removed."""

import os
import threading

from capsule.guest.v1 import guest_pb2 as pb
from guest.boot import put
from guest.mounts import SECRETS, directory_of
from guest.service.refusals import Refusal

_ONE_AT_A_TIME = threading.Lock()
"""Of two rotations at once neither takes away what the other has put, or writes into it."""


def place(files: list[pb.SecretFile], directories: list[str]) -> None:
    """Just these files, in `directories` as the run has them. Raises Refusal and OSError."""
    with _ONE_AT_A_TIME:
        _place(files, directories)


def _place(files: list[pb.SecretFile], directories: list[str]) -> None:
    wanted: dict[int, dict[str, pb.SecretFile]] = {number: {} for number in range(len(directories))}
    for file in files:
        directory, name = directory_of(file.path), file.path.rpartition("/")[2]
        if directory not in directories or not name or name in (".", ".."):
            raise Refusal(
                "FAILED_PRECONDITION", f"the run has no secrets in {directory}: restart it to have them there"
            )
        wanted[directories.index(directory)][name] = file
    for number, found in wanted.items():
        for name, file in found.items():
            put(SECRETS, f"{number}/{name}", file.content, file.mode, file.uid, file.gid)
        for name in os.listdir(f"{SECRETS}/{number}"):
            if name not in found:
                os.unlink(f"{SECRETS}/{number}/{name}")
