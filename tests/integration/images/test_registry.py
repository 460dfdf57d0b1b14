"""Pulls from a real registry: TLS, passwords, tokens, indexes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from effects.errors import RegistryDenied, RegistryUnreachable, RegistryUntrusted, WrongArchitecture
from effects.images.building import digest
from effects.images.registry import Access
from effects.images.registry_http import HttpRegistry
from tests.support.certificates import authority
from tests.support.images import INDEX, Sample, blobs
from tests.support.registry import PASSWORD, USER, RunningRegistry, registry
from tests.support.runtime import runtime

pytestmark = [pytest.mark.real, pytest.mark.needs("docker-registry")]

ONE = Sample()


def client(suite: Callable[[HttpRegistry], Awaitable[None]], *accesses: Access) -> None:
    async def main() -> None:
        known = {access.host: access for access in accesses}
        made = HttpRegistry(lambda host: known.get(host, Access(host)))
        try:
            async with asyncio.timeout(60):
                await suite(made)
        finally:
            await made.close()

    asyncio.run(main())


def pulled(running: RunningRegistry, ref: str, access: Access) -> None:
    """Pull with this access; what it takes to run it is there."""

    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            made.access[running.host] = access
            pin = await made.registry.resolve(ref)
            await made.images.pull(pin, moves=True)
            assert (await made.images.unpacker.rootfs(pin.platform_digest)).config.command == ("/bin/sh",)

    asyncio.run(main())


def test_a_registry_with_an_authority_of_its_own_is_trusted_once_it_is_said_and_not_before(tmp_path: Path) -> None:
    with registry(tls=True) as running:
        ref = running.push(ONE, "web:1")
        assert running.ca is not None
        other = authority(tmp_path, "another")

        async def untrusted(made: HttpRegistry) -> None:
            with pytest.raises(RegistryUntrusted, match=rf"image login {running.host} --ca"):
                await made.resolve(ref)

        client(untrusted)
        client(untrusted, Access(running.host, ca_pem=other.pem))
        pulled(running, ref, Access(running.host, ca_pem=running.ca.pem))


def test_a_password_opens_a_registry_and_another_does_not() -> None:
    with registry(auth="basic") as running:
        ref = running.push(ONE, "web:1")

        async def denied(made: HttpRegistry) -> None:
            with pytest.raises(RegistryDenied, match=rf"image login {running.host}"):
                await made.resolve(ref)

        client(denied)
        client(denied, Access(running.host, USER, "wrong"))
        pulled(running, ref, Access(running.host, USER, PASSWORD))


def test_tokens_are_fetched_for_what_is_asked_and_by_whom() -> None:
    with registry(tls=True, auth="token") as running:
        assert running.ca is not None and running.tokens is not None
        tokens = running.tokens
        secret, public, never = (running.push(ONE, name) for name in ("secret/a:1", "public/a:1", "forbidden/a:1"))
        anybody = Access(running.host, ca_pem=running.ca.pem)
        reader = Access(running.host, USER, PASSWORD, running.ca.pem)
        wrong = Access(running.host, USER, "wrong", running.ca.pem)

        async def as_anybody(made: HttpRegistry) -> None:
            assert (await made.resolve(public)).ref == public
            with pytest.raises(RegistryDenied, match="without credentials"):
                await made.resolve(secret)

        async def as_wrong(made: HttpRegistry) -> None:
            with pytest.raises(RegistryDenied, match="incorrect username or password"):
                await made.resolve(secret)

        async def as_reader(made: HttpRegistry) -> None:
            with pytest.raises(RegistryDenied, match="does not let reader"):
                await made.resolve(never)

        client(as_anybody, anybody)
        client(as_wrong, wrong)
        client(as_reader, reader)
        assert ("", "repository:public/a:pull") in tokens.asked
        tokens.asked.clear()
        pulled(running, secret, reader)
        assert tokens.asked == [(USER, "repository:secret/a:pull")]


def test_of_an_index_this_machines_image_is_pulled_under_the_indexs_digest() -> None:
    other = Sample(architecture="s390x", seed=9)
    with registry() as running:
        running.push(ONE, "multi:amd64")
        running.push(other, "multi:s390x")
        manifests = [
            blobs(one).manifest | {"platform": {"os": "linux", "architecture": one.architecture}}
            for one in (other, ONE)
        ]
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
        running.push_document("multi", "1", INDEX, content)
        lone = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests[:1]}).encode()
        running.push_document("multi", "lone", INDEX, lone)

        async def main() -> None:
            async with asyncio.timeout(60), runtime() as made:
                pin = await made.registry.resolve(f"{running.host}/multi:1")
                assert pin.index_digest == digest(content)
                assert pin.platform_digest == blobs(ONE).manifest["digest"]
                await made.images.pull(pin, moves=True)
                found = await made.images.resolve(f"{running.host}/multi@{digest(content)}")
                assert found is not None and found.platform_digest == pin.platform_digest
                # What lies in the index means the image, too: `image list -o json` has both.
                assert await made.images.resolve(f"{running.host}/multi@{pin.platform_digest}") == found
                assert await made.images.resolve(f"{running.host}/multi@{blobs(other).manifest['digest']}") is None
                assert found.size_bytes == sum(map(len, blobs(ONE).content.values())) + len(content)
                with pytest.raises(WrongArchitecture, match="only for linux/s390x"):
                    await made.registry.resolve(f"{running.host}/multi:lone")

        asyncio.run(main())


def test_a_registry_that_goes_down_in_the_middle_is_waited_for_and_the_pull_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            with registry(storage=tmp_path) as first:
                ref = first.push(ONE, "web:1")
                pin = await made.registry.resolve(ref)
            with pytest.raises(RegistryUnreachable, match="Connection refused"):
                await made.images.pull(pin, moves=True)
            with registry(storage=tmp_path) as second:
                await made.images.pull(await made.registry.resolve(ref.replace(first.host, second.host)), moves=True)

    asyncio.run(main())
