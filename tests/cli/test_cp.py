"""`capsulectl cp` as an operator uses it: both directions, tars on streams, and words for what is wrong."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.trees import facts, tar

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def box(capsule: Daemon) -> Iterator[Daemon]:
    capsule.apply(manifest("box", SERVE), "--wait")
    yield capsule
    capsule.good("delete", "box", "--yes")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    (root / "index").write_text("hello")
    os.symlink("../index", root / "sub" / "link")
    os.chmod(root / "index", 0o640)
    os.chown(root / "index", 1234, 567)
    return root


def test_there_and_back_again(box: Daemon, tree: Path, tmp_path: Path) -> None:
    done = box.ctl("cp", str(tree), "box:/there")
    assert (done.returncode, done.stdout) == (0, "") and done.stderr.endswith("copied to box:/there\n")
    assert box.ctl("cp", "-q", "box:/there", str(tmp_path / "back")).stderr == ""
    assert facts(tmp_path / "back", owners=True, times=True) == facts(tree, owners=True, times=True)
    box.good("workload", "cp", f"{tree}/.", "box:/contents")
    assert box.good("exec", "box", "--", "ls", "/contents").split() == ["index", "sub"]
    box.good("cp", "box:/contents/.", str(tmp_path / "flat"))
    assert facts(tmp_path / "flat") == facts(tree)


def test_a_copy_right_after_a_stop_or_a_start_waits_for_that(box: Daemon, tree: Path, tmp_path: Path) -> None:
    for verb in ("stop", "start"):
        box.good(verb, "box")  # not waited for
        box.good("cp", f"{tree}/index", f"box:/{verb}.ped")
        box.good("cp", f"box:/{verb}.ped", str(tmp_path / verb))
        assert (tmp_path / verb).read_text() == "hello"


def test_owners_of_the_operators_choice(box: Daemon, tree: Path) -> None:
    box.good("cp", "--chown", "101:102", str(tree), "box:/owned")
    assert box.good("exec", "box", "--", "stat", "-c", "%u:%g", "/owned", "/owned/index").split() == ["101:102"] * 2


def test_a_tar_goes_in_and_comes_out_on_streams(box: Daemon, tree: Path) -> None:
    made = subprocess.run(["tar", "c", "-C", tree, "."], check=True, capture_output=True).stdout
    command = [CTL, "cp", "-q", "-", "box:/streamed"]
    assert subprocess.run(command, input=made, env=box.environment, check=True, capture_output=True).stderr == b""
    command = [CTL, "cp", "box:/streamed", "-"]
    out = subprocess.run(command, env=box.environment, check=True, capture_output=True).stdout
    names = subprocess.run(["tar", "t"], input=out, check=True, capture_output=True).stdout.decode().split()
    assert sorted(names) == ["streamed", "streamed/index", "streamed/sub", "streamed/sub/link"]


WRONG = {
    ("a", "b"): "neither a nor b is in a workload: write NAME:PATH",
    ("box:/a", "box:/b"): "both ends are in workloads: `capsulectl cp box:/a - | capsulectl cp - box:/b` does that",
    ("box:", "."): "box: is not NAME:PATH (a file of that name here is ./box:)",
    ("", "box:/x"): "an end of the copy is empty",
    ("--wat", "box:/x"): "unknown option --wat",
    ("--chown", "web", ".", "box:/x"): "--chown web is not UID[:GID], in numbers",
    ("--chown", "1", "box:/etc", "."): "--chown is for copies into a workload",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_makes_no_sense_is_said_so(box: Daemon, line: tuple[str, ...]) -> None:
    done = box.ctl("cp", *line)
    assert (done.returncode, done.stdout) == (2, "") and WRONG[line] in done.stderr


def test_what_fails_says_what_and_leaves_nothing_here(box: Daemon, tmp_path: Path) -> None:
    (tmp_path / "there" / "etc").mkdir(parents=True)
    (tmp_path / "there" / "etc" / "passwd").mkdir()
    before = facts(tmp_path)
    cases = {
        ("box:/none", str(tmp_path)): "/none in box: there is no such path",
        ("none:/etc", str(tmp_path)): "there is no workload none",
        ("box:/etc", str(tmp_path / "there")): "passwd is a directory there, and none in what is copied",
    }
    for line, words in cases.items():
        done = box.ctl("cp", *line)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert facts(tmp_path) == before


@pytest.mark.parametrize("name", ["no", "no/", "no/such", "file/"])
def test_what_is_not_here_is_a_mistake_of_which_the_capsule_hears_nothing(
    box: Daemon, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    before = len(box.history("--type", "stream.opened"))
    done = box.ctl("cp", f"{tmp_path}/{name}", "box:/x")
    assert done.returncode == 2 and done.stderr.startswith(f"capsulectl: {tmp_path}/{name} cannot be read: ")
    assert len(box.history("--type", "stream.opened")) == before


def test_a_tar_without_its_end_leaves_nothing(box: Daemon) -> None:
    command = [CTL, "cp", "-", "box:/cut/"]
    done = subprocess.run(command, input=tar()[:512], env=box.environment, check=False, capture_output=True)
    assert done.returncode == 1 and b"ended before its end-of-archive marker" in done.stderr
    assert box.ctl("exec", "box", "--", "ls", "/cut").returncode == 1
