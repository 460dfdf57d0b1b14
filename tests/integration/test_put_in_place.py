"""An export in a damaged journal's place while workloads run on: what was started after it is not there twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_volumes import user, volume
from tests.support.daemon import Daemon, daemon

pytestmark = pytest.mark.real


@pytest.fixture
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.apply(f"{volume('data')}\n---\n{user('counter', 'data')}", "--wait")
        yield made


def restart(capsule: Daemon) -> None:
    run = capsule.status("counter")["run"]
    capsule.good("restart", "counter")
    capsule.until(lambda: _runs(capsule, run + 1), "another run is there")


def _runs(capsule: Daemon, least: int) -> bool:
    status = capsule.status("counter")
    return bool(status["phase"] == "WORKLOAD_PHASE_RUNNING" and status["run"] >= least)


def test_by_the_manuals_recipe_one_run_is_there_and_clients_are_warned_until_they_accept(
    capsule: Daemon, tmp_path: Path
) -> None:
    archive, journal = str(tmp_path / "memory"), capsule.state / "journal"
    capsule.good("journal", "export", archive)
    exported = capsule.status("counter")["run"]
    for _ in range(3):
        restart(capsule)
    lost = capsule.status("counter")
    capsule.stop()
    journal.rename(capsule.state / "journal.damaged")
    capsule.good("journal", "import", archive, "--dir", str(journal))
    assert Path(f"/proc/{lost['pid']}").exists(), "it runs on meanwhile"
    capsule.start()
    capsule.until(lambda: not Path(f"/proc/{lost['pid']}").exists(), "what the journal does not know is ended")
    capsule.until(lambda: _runs(capsule, exported + 1), "the next one is there")
    assert "run 4, which no workload owns" in capsule.output()
    assert "it was put back, or cut" in capsule.ctl("list").stderr
    capsule.good("journal", "accept", "--yes")
    assert "WARNING" not in capsule.ctl("list").stderr
    (restores,) = (capsule.scratch / "config" / "heads").glob("*.restored")
    assert restores.read_text().split() == [], "that it was never taken over is known, too"


def test_what_the_journal_of_before_called_so_is_no_snapshot_of_this_one(capsule: Daemon, tmp_path: Path) -> None:
    archive, journal, volumes = str(tmp_path / "memory"), capsule.state / "journal", capsule.state / "volumes"

    def holds() -> str:
        return capsule.good("exec", "counter", "--", "cat", "/data/note")

    def write(text: str) -> None:
        capsule.good("exec", "counter", "--", "sh", "-c", f"echo {text} > /data/note; sync")

    capsule.good("journal", "export", archive)
    write("of before")
    capsule.good("volume", "snapshot", "data", "before")
    capsule.stop()
    journal.rename(capsule.state / "journal.damaged")
    capsule.good("journal", "import", archive, "--dir", str(journal))
    capsule.start()
    capsule.good("journal", "accept", "--yes")
    assert "which no snapshot here is: it is left alone" in capsule.output()
    capsule.until(lambda: _runs(capsule, 1), "it runs again")
    write("of now")
    capsule.good("volume", "snapshot", "data", "one")
    (one,) = capsule.data("volume", "snapshots", "data")
    (before,) = (path for path in volumes.glob("data.*@*.img") if f"@{one['uid']}." not in path.name)
    # The number of the file that is left comes again when one more snapshot is asked for.
    last = int(capsule.data("journal", "stats")["lastSeq"])
    before.rename(before.with_name(f"{before.name.partition('@')[0]}@{last + 2}.img"))
    capsule.good("volume", "snapshot", "data", "two")
    two = next(one for one in capsule.data("volume", "snapshots", "data") if one["name"] == "two")
    assert int(two["uid"]) == last + 2
    write("of later")
    capsule.good("volume", "restore", "data", "two", "--yes")
    capsule.until(lambda: capsule.ctl("exec", "counter", "--", "true").returncode == 0, "it runs on what it had")
    assert holds() == "of now\n"
    (aside,) = volumes.glob("*.stranger-*")
    assert f"it is called {aside} now" in capsule.output()
