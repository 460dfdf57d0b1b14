"""Who an image's user is, where its accounts are not plain files of one layer: for containers, execs and microVMs."""

import asyncio
import io
import tarfile
from typing import Any

import pytest

from effects.errors import BadUser
from effects.images.leases import Leases
from effects.microvms.images import PayloadImages
from effects.runs.exec_protocol import ExecRequest
from effects.runs.process import Identity
from effects.runs.protocol import RunSpec
from tests.contract.exec_subjects import everything
from tests.support.images import archive_of, chunks, tree
from tests.support.runtime import Runtime, runtime
from tools.demo_image import layer

pytestmark = pytest.mark.real

STORE = "nix/store/0c9j-fake-nss/etc"
ACCOUNTS = {
    f"{STORE}/passwd": b"root:x:0:0::/root:/bin/sh\nweb:x:101:102::/:/bin/sh\n",
    f"{STORE}/group": b"web:x:102:\nwatchers:x:200:web\n",
}


def linked() -> bytes:
    """As nix's dockerTools make an image's accounts."""
    out = io.BytesIO(tree(ACCOUNTS))
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name in ("passwd", "group"):
            link = tarfile.TarInfo(f"etc/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, f"/{STORE}/{name}"
            tar.addfile(link)
    return out.getvalue()


async def imported(made: Runtime, *trees: bytes) -> str:
    content, _ = archive_of("docker.io/library/accounts:1", *trees)
    (image,) = await made.images.import_archive(chunks(content))
    return image.platform_digest


def virtual(made: Runtime) -> PayloadImages:
    """Images as microVMs have them; here none is booted, and no disk is made."""
    disks: Any = None
    return PayloadImages(made.connection, made.images.unpacker, Leases(made.connection), disks)


def test_accounts_that_are_links_into_the_image_are_its_accounts() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            digest = await imported(made, layer({}), linked())
            command = ("sh", "-c", "test \"$(id -u):$(id -g):$(id -G)\" = '101:102:102 200' && sleep 1000")
            run = RunSpec("web", 7, 7, 1, digest, command=command, user="web")
            assert (await made.containers.ensure_running(run)).status == "running"
            asked = ExecRequest("web", 7, 1, ("sh", "-c", "id -u; id -g; id -G"), user="101")
            assert (await everything(await made.executor.open(asked)))[0] == b"101\n102\n102 200\n"
            assert [one.status for one in await made.containers.observe()] == ["running"]
            for user in ("web", "101"):
                assert await virtual(made).identity(digest, user) == Identity(101, 102, (200,))

    asyncio.run(main())


def test_accounts_that_an_upper_layer_deletes_are_not_there() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            plain = {"etc/passwd": ACCOUNTS[f"{STORE}/passwd"]}
            digest = await imported(made, layer(plain), tree({"etc/.wh.passwd": b""}))
            with pytest.raises(BadUser):
                await made.containers.ensure_running(RunSpec("web", 7, 7, 1, digest, command=("true",), user="web"))
            with pytest.raises(BadUser):
                await virtual(made).identity(digest, "web")
            emptied = await imported(made, layer(plain), tree({"etc/.wh..wh..opq": b""}))
            with pytest.raises(BadUser):
                await virtual(made).identity(emptied, "web")

    asyncio.run(main())
