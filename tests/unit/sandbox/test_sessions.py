"""What ends with a session: all who stayed in it, and never whoever has its number by then."""

import subprocess

from sandbox.sessions import kill
from tests.support.sessions import leading


def test_a_session_ends_with_all_who_stayed_in_it() -> None:
    script = "sleep 1000 & sleep 1000 & echo ready; wait"
    made = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert made.stdout is not None and made.stdout.readline() == b"ready\n"
    kill(made.pid, reaped=False)
    assert made.wait() == -9
    assert made.stdout.read() == b"", "nobody holds the pipe any more"
    made.stdout.close()
    kill(made.pid, reaped=True)


def test_a_leader_that_was_reaped_has_its_number_as_long_as_anybody_is_in_its_session() -> None:
    with leading("sleep 1000 & exec cat") as leader:
        kill(leader.pid, reaped=True)
        assert leader.poll() is None, "that is a stranger"
        assert leader.stdin is not None and leader.stdout is not None
        leader.stdin.close()
        leader.wait()
        kill(leader.pid, reaped=True)
        assert leader.stdout.read() == b"", "nobody holds the pipe any more"
