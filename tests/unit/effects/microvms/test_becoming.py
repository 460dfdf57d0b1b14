"""The process that becomes a monitor, before it has anything to become."""

import os
import subprocess
import sys

BECOMES = "from effects.microvms.launcher.becoming import main; main()"


def test_what_cannot_be_done_is_told_in_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", BECOMES], input=b"no order\n", capture_output=True, check=False)
    assert done.returncode == 1 and done.stdout.startswith(b'{"error": "the order cannot be read: ')
    assert done.stderr == b""


def test_where_the_daemon_has_died_meanwhile_it_ends_without_a_word() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", BECOMES], input=b"no order\n", stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
