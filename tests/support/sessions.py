"""Sessions of processes, to be ended."""

import subprocess


def leading(script: str, before: str = "") -> "subprocess.Popen[bytes]":
    """A process that leads a session, once it is what it should be, with `before` behind it."""
    made = subprocess.Popen(
        ["sh", "-c", f"{before}\necho ready; {script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert made.stdout is not None and made.stdout.readline() == b"ready\n"
    return made
