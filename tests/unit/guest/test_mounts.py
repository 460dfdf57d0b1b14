"""What a payload sees beside its image."""

from guest.kernel import NODEV, NOEXEC, NOSUID, RDONLY
from guest.mounts import mounts, secret_directories
from guest.run import Run
from tests.support.runs_in_guests import described


def test_what_is_declared_comes_after_all_else() -> None:
    run = Run(described(mounts=[{"serial": "vol0", "path": "/data", "read_only": True}]))
    found = mounts(run)
    assert [one.target for one in found[:2]] == ["/proc", "/dev"]
    assert (found[-1].source, found[-1].target) == ("/run/volumes/vol0", "/data")
    assert found[-1].flags == RDONLY | NOSUID | NODEV


def test_the_outer_of_two_places_is_mounted_before_the_inner() -> None:
    volumes = [{"serial": "vol0", "path": "/srv/data", "read_only": False}]
    found = mounts(Run(described(mounts=volumes, tmpfs=[{"path": "/srv", "size_bytes": 0}])))
    assert [one.target for one in found[-2:]] == ["/srv", "/srv/data"]


def test_what_is_declared_covers_what_is_at_or_below_its_place() -> None:
    run = Run(described(tmpfs=[{"path": "/dev", "size_bytes": 0}, {"path": "/etc", "size_bytes": 4_096}]))
    targets = [one.target for one in mounts(run)]
    assert targets.count("/dev") == 1
    assert not [target for target in targets if target.startswith(("/dev/", "/etc/"))]


def test_a_root_that_may_only_be_read_has_places_to_write() -> None:
    found = {one.target: one for one in mounts(Run(described(read_only_root=True)))}
    assert {"/run", "/tmp", "/var/tmp"} <= set(found)
    assert "/tmp" not in {one.target for one in mounts(Run(described()))}


def test_secrets_are_mounted_by_their_directories() -> None:
    secrets = [{"path": path, "mode": 0o400, "uid": 0, "gid": 0, "base64": ""} for path in ("/s/a", "/s/b", "/key")]
    run = Run(described(secrets=secrets))
    assert secret_directories(run) == ["/s", "/"]
    assert mounts(run)[-2].flags == RDONLY | NOSUID | NODEV | NOEXEC
