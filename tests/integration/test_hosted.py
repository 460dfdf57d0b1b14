"""`make up` and `make down`: which process is the daemon, and two who start it at once."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.hosted import BIN, ROOT, daemon_pid, lives

pytestmark = pytest.mark.real


@pytest.fixture
def state() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="capsule-hosted-"))
    yield place / "state"
    if (place / "state").exists():
        hosted("down", place / "state").wait()
    shutil.rmtree(place)


def hosted(verb: str, state: Path) -> "subprocess.Popen[str]":
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    environment = os.environ | {"CAPSULE_CONFIG_DIR": str(state.parent / "config"), "PATH": path}
    return subprocess.Popen(
        [sys.executable, "-m", "tools.hosted", verb, state], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_two_who_start_it_at_once_meet_one_daemon_and_down_ends_it(state: Path) -> None:
    started = [hosted("up", state) for _ in range(2)]
    told = [one.communicate(timeout=90)[0] for one in started]
    assert [one.returncode for one in started] == [0, 0], told
    pid = daemon_pid(state)
    assert pid and all(f"process {pid}; its state is in {state}\n" in text for text in told), told
    again = hosted("up", state)
    assert again.communicate(timeout=60)[0] == (
        f"up already, process {pid}; its state is in {state}\n"
        "capsulectl has the context `hosted`, selected, for it. Next:\n"
        '  export PATH="$PWD/.venv/bin:$PATH"\n'
        "  capsulectl list\n"
    )
    down = hosted("down", state)
    assert "down; the state stays" in down.communicate(timeout=60)[0] and down.returncode == 0
    assert daemon_pid(state) == 0 and not lives(pid)


def test_a_new_machine_where_another_was_is_not_one_that_lost_its_journal(state: Path) -> None:
    def made() -> str:
        up = hosted("up", state)
        said = up.communicate(timeout=90)[0]
        assert up.returncode == 0, said
        environment = os.environ | {"CAPSULE_CONFIG_DIR": str(state.parent / "config")}
        asked = subprocess.run(
            [BIN / "capsulectl", "list"], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        hosted("down", state).communicate(timeout=60)
        shutil.rmtree(state)
        return said + asked.stderr

    for _ in range(2):
        assert "journal" not in made()


@pytest.mark.parametrize("tool", ["hosted", "demo", "pictures"])
def test_another_user_than_root_is_told_so(tool: str) -> None:
    program = f"import os, sys; os.geteuid = lambda: 1000; sys.argv = ['', 'up']; from tools.{tool} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "this takes root\n")


def test_a_pid_that_went_to_another_process_is_not_the_daemon(state: Path) -> None:
    (state / "journal").mkdir(parents=True)
    (state / "journal" / "owner.lock").touch()
    other = subprocess.Popen(["/x/capsuled", "60"], executable="/usr/bin/sleep")
    try:
        (state / "capsuled.pid").write_text(f"{other.pid}\n")
        assert daemon_pid(state) == 0
        down = hosted("down", state)
        assert down.communicate(timeout=60)[0] == "nothing is up\n"
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
