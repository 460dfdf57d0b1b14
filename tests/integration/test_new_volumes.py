"""A new volume is its user's: a container and a microVM whose program is not root write into it at once."""

import io
import itertools
import json
import tarfile
from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, daemon
from tests.support.microvms import build_guest_image
from tests.support.site import site
from tools.demo_image import archive, layer

pytestmark = pytest.mark.real

BOOT_S = 180
_numbers = itertools.count(1)
KINDS = pytest.mark.parametrize(
    "kind", ["Container", pytest.param("MicroVM", marks=pytest.mark.needs("qemu-system-x86_64"))]
)
LOOK = "echo $(id -u) $(stat -c '%u:%g %a' /srv/db) $(ls -A /srv/db); echo mine > /srv/db/written; cat /srv/db/written"


def database() -> bytes:
    """An image as databases have them: a directory that is its user's alone."""
    out = io.BytesIO(layer())
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name, uid, gid, mode in (("srv", 0, 0, 0o755), ("srv/db", 70, 71, 0o700)):
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.gid, member.mode = tarfile.DIRTYPE, uid, gid, mode
            tar.addfile(member)
    return archive("db:1", tree=out.getvalue(), config={"User": "70:71"})


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    build_guest_image()
    with site() as place, daemon(inside=place.inside) as made:
        made.push_image()
        image = made.scratch / "db.tar"
        image.write_bytes(database())
        made.good("image", "push", str(image))
        yield made


def says(capsule: Daemon, kind: str, image: str, script: str = LOOK, **fields: object) -> list[str]:
    """What a run says that mounts the volume, and ends."""
    name, mounts = f"user-{next(_numbers)}", [{"volumeName": "fresh", "mountPath": "/srv/db"}]
    payload = {"image": image, "command": ["sh", "-c", script], "mounts": mounts, "restart": "never", **fields}
    workload = {"name": name, "kind": kind, kind[0].lower() + kind[1:].replace("VM", "Vm"): payload}
    capsule.apply(json.dumps(workload))
    capsule.until(lambda: capsule.history(name, "--type", "workload.exited"), "it ends", BOOT_S)
    said = capsule.good("logs", name).splitlines()
    capsule.good("delete", name, "--yes")
    return said


@pytest.fixture
def fresh(capsule: Daemon) -> Iterator[None]:
    capsule.good("volume", "create", "fresh", "32MiB")
    yield
    capsule.good("volume", "delete", "fresh", "--force", "--yes")


@KINDS
@pytest.mark.usefixtures("fresh")
def test_it_is_as_the_images_directory_is_and_stays_as_it_was_changed(capsule: Daemon, kind: str) -> None:
    assert says(capsule, kind, "db:1") == ["70 70:71 700", "mine"]
    change = "rm /srv/db/written; chown 5:6 /srv/db; stat -c %u:%g /srv/db"
    assert says(capsule, "Container", "db:1", change, user="root") == ["5:6"]
    assert says(capsule, "Container", "db:1", "stat -c '%u:%g %a' /srv/db") == ["5:6 700"]


@KINDS
@pytest.mark.usefixtures("fresh")
def test_it_is_the_users_where_the_image_has_no_such_directory(capsule: Daemon, kind: str) -> None:
    assert says(capsule, kind, "demo:1", user="1000:1001") == ["1000 1000:1001 755", "mine"]


@pytest.mark.usefixtures("fresh")
def test_one_that_is_mounted_read_only_stays_as_it_is(capsule: Daemon) -> None:
    mounts = [{"volumeName": "fresh", "mountPath": "/srv/db", "readOnly": True}]
    look = "stat -c '%u:%g %a' /srv/db"
    assert says(capsule, "Container", "db:1", look, user="root", mounts=mounts) == ["0:0 755"]
    assert says(capsule, "Container", "db:1") == ["70 70:71 700", "mine"]
