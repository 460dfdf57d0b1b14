"""What a run's cgroup has counted, who is in it, and what a cut birth left of one."""

from pathlib import Path

from effects.runs.cgroups import Killed, below, killed, members, remove


def put(directory: Path, **files: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)
    return directory


def test_oom_kills_are_read_from_either_version_of_cgroups(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(
        old / "memory" / "c" / "one",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        memory__limit_in_bytes="67108864\n",
    )
    assert killed("/c/one", old) == Killed(2, 64 << 20)
    put(new, cgroup__controllers="memory\n")
    put(new / "c" / "one", memory__events="low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n", memory__max="max\n")
    assert killed("/c/one", new) == Killed(1, 0)


def test_what_a_cut_birth_left_of_a_group_is_removed_in_every_hierarchy_and_nothing_else_is(tmp_path: Path) -> None:
    for top in ("memory", "unified"):
        (tmp_path / top / "c" / "one" / "below").mkdir(parents=True)
        (tmp_path / top / "c" / "two").mkdir()
    put(tmp_path / "pids" / "c" / "one", used="a file stands for whoever is in it")
    remove("/c/one", tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/c/*"))
    assert left == ["memory/c/two", "pids/c/one", "unified/c/two"]
    new = tmp_path / "new"
    put(new, cgroup__controllers="memory\n")
    (new / "c" / "one").mkdir(parents=True)
    remove("/c/one", new)
    remove("/c/one", new)
    assert (new / "c").exists() and not (new / "c" / "one").exists()


def test_a_group_that_is_gone_or_does_not_count_says_nothing(tmp_path: Path) -> None:
    put(tmp_path / "memory" / "c", memory__oom_control="oom_kill_disable 0\n", memory__limit_in_bytes="0\n")
    assert killed("/c", tmp_path) == killed("/gone", tmp_path) == Killed()


def test_no_limit_is_zero_in_version_1_too(tmp_path: Path) -> None:
    put(
        tmp_path / "memory" / "c",
        memory__oom_control="oom_kill 1\n",
        memory__limit_in_bytes="9223372036854771712\n",
    )
    assert killed("/c", tmp_path) == Killed(1, 0)


def test_who_is_in_a_group_or_below_it_is_found_in_every_hierarchy(tmp_path: Path) -> None:
    put(tmp_path / "memory" / "c" / "one", cgroup__procs="0\n11\n12\n")
    put(tmp_path / "pids" / "c" / "one" / "below", cgroup__procs="13\n")
    put(tmp_path / "pids" / "c" / "two", cgroup__procs="14\n")
    assert members("/c/one", tmp_path) == {11, 12, 13}
    assert below("/c", tmp_path) == {"one", "two"}
    new = tmp_path / "new"
    put(new, cgroup__controllers="memory\n")
    put(new / "c" / "one", cgroup__procs="15\n")
    assert members("/c/one", new) == {15} and below("/c", new) == {"one"}
    assert not members("/gone", tmp_path) and not below("/gone", tmp_path)
