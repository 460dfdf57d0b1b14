"""The registries' client against a registry that fails on purpose."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from effects.errors import (
    DriverError,
    ImageCorrupt,
    ImageUnknown,
    ImageUnreadable,
    RegistryDenied,
    RegistryUnreachable,
    RegistryUntrusted,
    WrongArchitecture,
)
from effects.images.registry import Access
from effects.images.registry_host import BLOBS_AT_ONCE, RegistryHost
from effects.images.registry_http import HttpRegistry
from effects.images.retries import CAP_DELAY_S, retried
from tests.support.certificates import authority, server
from tests.support.faulty import Fault, FaultyRegistry, faulty
from tests.support.images import Sample, blobs

ONE = Sample()
BLOB = blobs(ONE).layers[0]
CONTENT = blobs(ONE).content[BLOB]
TARGET = str(blobs(ONE).manifest["digest"])


def against(suite: Callable[[FaultyRegistry, HttpRegistry, str], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), faulty() as server:
            registry = HttpRegistry(Access)
            try:
                await suite(server, registry, server.hold(ONE, "web:1"))
            finally:
                await registry.close()

    asyncio.run(main())


async def blob(registry: HttpRegistry, ref: str, offset: int = 0) -> bytes:
    async with aclosing(registry.blob(ref, BLOB, len(CONTENT), offset)) as pieces:
        return b"".join([piece async for piece in pieces])


def test_a_tag_and_a_digest_mean_the_same_image() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        pin = await registry.resolve(ref)
        assert (pin.ref, pin.index_digest, pin.platform_digest) == (ref, TARGET, TARGET)
        by_digest = f"{server.host}/web@{TARGET}"
        assert (await registry.resolve(by_digest)).index_digest == TARGET
        assert await registry.manifest(ref, TARGET) == blobs(ONE).content[TARGET]

    against(suite)


def test_a_blob_comes_whole_or_from_where_it_broke_off() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        assert await blob(registry, ref) == CONTENT
        assert await blob(registry, ref, 1000) == CONTENT[1000:]
        assert server.asked[-1] == (f"/v2/web/blobs/{BLOB}", "bytes=1000-")
        server.fail(BLOB, Fault(whole=True))
        assert await blob(registry, ref, 300_000) == CONTENT[300_000:]
        before = len(server.asked)
        assert await blob(registry, ref, len(CONTENT)) == b"" and len(server.asked) == before

    against(suite)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault(404, said="no such thing"), ImageUnknown, f"does not have web@{TARGET} \\(no such thing\\): look at"),
        (Fault(403, said="not you"), RegistryDenied, "not you"),
        (Fault(401), RegistryDenied, "without credentials"),
        (Fault(500, said="oh no"), RegistryUnreachable, "answers 500: oh no"),
        (Fault(429, (("Retry-After", "7"),), "slow down"), RegistryUnreachable, "slow down"),
        (Fault(408), RegistryUnreachable, "answers 408"),
        (Fault(425, (("Retry-After", "7"),)), RegistryUnreachable, "answers 425"),
        (Fault(400), ImageUnreadable, "answers 400"),
        (Fault(refuse=True), RegistryUnreachable, "cannot be reached"),
        (Fault(cut=20), RegistryUnreachable, "cannot be reached"),
        (Fault(wrong=True), ImageCorrupt, "its copy of the image is damaged"),
        (Fault(302, (("Location", "/v2/web/manifests/" + TARGET),)), None, ""),
        (Fault(302, (("Location", "http://127.0.0.1:1/"),)), RegistryUnreachable, "cannot be reached"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_named_by_its_condition(fault: Fault, error: type[DriverError] | None, words: str) -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        await registry.resolve(ref)
        server.fail("/manifests/", fault)
        if error is None:
            assert await registry.manifest(ref, TARGET)
            return
        with pytest.raises(error, match=words) as raised:
            await registry.manifest(ref, TARGET)
        assert getattr(raised.value, "retry_after_s", 7.0) in (0.0, 7.0)

    against(suite)


def test_what_a_registry_lacks_is_named_as_it_was_asked_for() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        await registry.resolve(ref)
        server.fail("/manifests/", Fault(302, (("Location", "/elsewhere/x"),)))
        server.fail("/elsewhere/", Fault(404, said="gone"))
        with pytest.raises(ImageUnknown, match=rf"{server.host} does not have web:1 \(gone\): look at its name"):
            await registry.resolve(ref)
        server.fail(BLOB, Fault(404))
        with pytest.raises(ImageUnknown, match=f"does not have {BLOB} of web .*: look at its name"):
            await blob(registry, ref)

    against(suite)


@pytest.mark.parametrize(
    ("offset", "fault", "comes"),
    [(0, Fault(short=100_000), 100_000), (1000, Fault(short=5000), 5000), (1000, Fault(short=5000, whole=True), 4000)],
    ids=["whole", "range", "no range"],
)
def test_a_blob_that_ends_before_its_end_is_one_that_broke_off(offset: int, fault: Fault, comes: int) -> None:
    """Whatever stands between may end an answer as if that were all of it."""

    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        server.fail(BLOB, fault)
        came = bytearray()
        with pytest.raises(RegistryUnreachable, match=f"{len(CONTENT) - offset - comes} bytes before its end"):
            async with aclosing(registry.blob(ref, BLOB, len(CONTENT), offset)) as pieces:
                async for piece in pieces:
                    came += piece
        assert came == CONTENT[offset : offset + comes]

    against(suite)


def test_a_blob_refused_for_the_moment_is_worth_another_try_and_one_refused_for_who_asks_is_not() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        server.fail(BLOB, Fault(403, said="not you"))
        with pytest.raises(RegistryDenied, match="not you"):
            await blob(registry, ref)
        await registry.resolve(ref)
        server.fail(BLOB, Fault(403, said="too many"))
        with pytest.raises(
            RegistryUnreachable, match=f"gave us the manifest, and answers 403 for {BLOB} of web: too m"
        ):
            await blob(registry, ref)
        for code, said in ((403, "run out"), (404, "not here yet")):
            server.fail(BLOB, Fault(302, (("Location", "/elsewhere/x"),)))
            server.fail("/elsewhere/", Fault(code, said=said))
            with pytest.raises(RegistryUnreachable, match=f"sends us on to 127.0.0.1 for .* answers {code}: {said}"):
                await blob(registry, ref)
        assert await blob(registry, ref) == CONTENT

    against(suite)


def test_several_may_ask_a_registry_that_was_never_spoken_to_before() -> None:
    """Whether it speaks TLS is known to none of them, and found out once."""

    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        server.hold(Sample(seed=2), "other:1")
        pins = await asyncio.gather(*(registry.resolve(f"{server.host}/{name}:1") for name in ("web", "other", "web")))
        assert [pin.index_digest == TARGET for pin in pins] == [True, False, True]
        assert server.knocks == 1

    against(suite)


def test_connections_of_an_old_password_end_with_what_is_under_way_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, closed, close = ["old"], list[str](), RegistryHost.close

    async def ended(host: RegistryHost) -> None:
        closed.append(host.access.password)
        await close(host)

    monkeypatch.setattr(RegistryHost, "close", ended)

    async def suite(server: FaultyRegistry, _: HttpRegistry, ref: str) -> None:
        registry = HttpRegistry(lambda domain: Access(domain, username="alice", password=passwords[-1]))
        async with aclosing(registry.blob(ref, BLOB, len(CONTENT), 0)) as pieces:
            first = await anext(pieces)
            passwords.append("new")
            await registry.resolve(ref)
            assert closed == []
            assert first + b"".join([piece async for piece in pieces]) == CONTENT
        assert closed == ["old"]
        passwords.append("newer")
        await registry.resolve(ref)
        assert closed == ["old", "new"]
        await registry.close()
        assert closed == ["old", "new", "newer"]

    against(suite)


def test_a_question_is_answered_beside_as_many_blobs_as_come_and_those_that_wait_are_not_in_vain() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        many, opened = 2 * BLOBS_AT_ONCE, asyncio.Event()
        await registry.resolve(ref)
        server.fail(BLOB, Fault(gate=opened), times=many)
        coming = [asyncio.create_task(blob(registry, ref)) for _ in range(many)]
        await asyncio.sleep(0.5)
        assert [path for path, _ in server.asked].count(f"/v2/web/blobs/{BLOB}") == BLOBS_AT_ONCE
        async with asyncio.timeout(5):
            await registry.resolve(ref)
        opened.set()
        assert await asyncio.gather(*coming) == [CONTENT] * many

    against(suite)


def test_a_redirect_that_never_ends_does() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        server.fail("/", Fault(302, (("Location", "/v2/web/manifests/1"),)), times=20)
        with pytest.raises(RegistryUnreachable, match="in circles"):
            await registry.resolve(ref)

    against(suite)


def test_more_bytes_than_a_blob_has_are_not_taken() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        with pytest.raises(ImageCorrupt):
            async with aclosing(registry.blob(ref, BLOB, 1000, 0)) as pieces:
                async for _ in pieces:
                    pass

    against(suite)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        endless, odd = 64 << 20, json.loads(blobs(ONE).content[TARGET])
        odd["config"]["size"] = 1 << 40
        kind, bearer = odd["mediaType"], f'Bearer realm="http://{server.host}/token"'
        server.documents["/token"] = "application/json", b'{"token": "t"}'
        server.documents["/v2/odd/manifests/1"] = kind, json.dumps(odd).encode()
        server.documents["/v2/odd/blobs/" + odd["config"]["digest"]] = "application/json", b"{"
        for path, fault, error, words in (
            ("/manifests/", Fault(500, said="oh no", more=endless), RegistryUnreachable, "answers 500"),
            ("/manifests/", Fault(more=endless), ImageUnreadable, "a manifest that is too large"),
            ("/blobs/", Fault(more=endless), ImageUnreadable, "a config that is too large"),
            ("/token", Fault(more=endless), RegistryUnreachable, "answers without end"),
        ):
            if path == "/token":
                server.fail("/manifests/", Fault(401, (("WWW-Authenticate", bearer),)))
            server.fail(path, fault)
            before = server.sent
            with pytest.raises(error, match=words):
                await registry.resolve(f"{server.host}/odd:1" if path == "/blobs/" else ref)
            assert server.sent - before < endless // 2

    against(suite)


def test_what_is_not_for_this_machine_is_known_before_anything_is_done() -> None:
    async def suite(server: FaultyRegistry, registry: HttpRegistry, ref: str) -> None:
        other = server.hold(Sample(architecture="s390x", seed=5), "other:1")
        with pytest.raises(WrongArchitecture, match="s390x"):
            await registry.resolve(other)
        server.documents["/v2/old/manifests/1"] = "application/vnd.docker.distribution.manifest.v1+json", b"{}"
        server.documents["/v2/odd/manifests/1"] = "application/json", b'{"mediaType": "application/x-helm"}'
        for name, words in (("old", "cannot be read"), ("odd", "application/x-helm")):
            with pytest.raises(ImageUnreadable, match=words):
                await registry.resolve(f"{server.host}/{name}:1")

    against(suite)


def test_a_registry_that_is_not_there_is_named() -> None:
    async def main() -> None:
        registry = HttpRegistry(Access)
        with pytest.raises(RegistryUnreachable, match=r"127\.0\.0\.1:1 cannot be reached: Connection refused"):
            await registry.resolve("127.0.0.1:1/web:1")
        with pytest.raises(RegistryUnreachable, match=r"registry\.invalid cannot be reached"):
            await registry.resolve("registry.invalid/web:1")
        await registry.close()

    asyncio.run(main())


def test_what_hangs_up_is_told_as_that_whenever_it_does() -> None:
    """Before a word, or in the middle of the handshake. OpenSSL's numbers for it are no errors of the system's."""

    async def main(words: int) -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(words)
            writer.close()

        registry = HttpRegistry(Access)
        async with await asyncio.start_server(hang_up, "127.0.0.1") as server:
            host, port = server.sockets[0].getsockname()
            with pytest.raises(RegistryUnreachable) as caught:
                await registry.resolve(f"{host}:{port}/web:1")
        await registry.close()
        assert str(caught.value) in (
            f"{host}:{port} hangs up instead of answering: is it a registry?",
            f"{host}:{port} cannot be reached: Connection reset by peer",
        )

    for words in (0, 65_536):
        asyncio.run(main(words))


def test_certificates_that_are_none_are_named() -> None:
    async def main() -> None:
        registry = HttpRegistry(lambda host: Access(host, ca_pem="no certificate"))
        with pytest.raises(RegistryUntrusted, match="cannot be read"):
            await registry.resolve("127.0.0.1:1/web:1")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("starts", "ends", "words"),
    [(2, 90, "is not valid yet by this machine's clock"), (-90, -1, "has expired by this machine's clock")],
    ids=["not yet", "no more"],
)
def test_a_certificate_out_of_its_time_is_told_apart_from_one_of_a_stranger(
    tmp_path: Path, starts: int, ends: int, words: str
) -> None:
    """A clock is set and a certificate renewed while the machine waits: it tries again."""
    ca = authority(tmp_path)
    shown = server(tmp_path, ca, valid_days=(starts, ends))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.certificate_file, shown.key_file)

    async def main() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        registry = HttpRegistry(lambda host: Access(host, ca_pem=ca.pem))
        async with await asyncio.start_server(hang_up, "127.0.0.1", ssl=context) as listening:
            host, port = listening.sockets[0].getsockname()
            with pytest.raises(RegistryUnreachable, match=words):
                await registry.resolve(f"{host}:{port}/web:1")
        await registry.close()

    asyncio.run(main())


def test_what_a_network_spoils_is_tried_again_while_something_comes_through() -> None:
    async def main() -> None:
        slept: list[float] = []
        moved, tries = 0, 0

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        async def action() -> str:
            nonlocal moved, tries
            tries += 1
            if tries < 12:
                moved += tries % 2
                raise RegistryUnreachable("gone", retry_after_s=20.0 if tries == 4 else 0.0)
            return "done"

        assert await retried(action, 3, lambda: moved, sleep) == "done"
        assert max(slept) == 20.0 and min(slept) == 0.5

        async def never() -> Any:
            raise RegistryUnreachable("gone")

        slept.clear()
        with pytest.raises(RegistryUnreachable):
            await retried(never, 8, sleep=sleep)
        assert slept == [0.5, 1.0, 2.0, 4.0, CAP_DELAY_S, CAP_DELAY_S, CAP_DELAY_S]

    asyncio.run(main())
