"""A registry that fails on purpose, in memory and in plain HTTP on loopback: what no real one does when it is asked to."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from tests.support.images import Sample, blobs


@dataclass(frozen=True)
class Fault:
    """What happens to one request. `status`: this answer instead (with `headers` and `said`); `cut`: the body breaks off
    after so many bytes; `short`: it ends there as if that were all; `wrong`: its last byte is another; `whole`: a range is not heeded; `refuse`: no answer at all; `hang`: the body stops
    coming after its first half, for ever; `more`: so many spaces come behind the body; `gate`: the answer waits for it."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    said: str = ""
    cut: int = -1
    short: int = -1
    wrong: bool = False
    whole: bool = False
    refuse: bool = False
    hang: bool = False
    more: int = 0
    gate: asyncio.Event | None = None


@dataclass
class FaultyRegistry:
    """`host` is what stands in image names. `asked` has (path, Range) of each request, `sent` the bytes of bodies,
    `knocks` how often somebody tried TLS. While it is `gone`, nobody is answered."""

    host: str = ""
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    knocks: int = 0
    gone: bool = False
    _faults: list[tuple[str, Fault]] = field(default_factory=list)

    def hold(self, sample: Sample, name: str) -> str:
        """Have the sample as `repository:tag`; the reference by which it is pulled."""
        repository, _, tag = name.partition(":")
        made = blobs(sample)
        target, kind = str(made.manifest["digest"]), str(made.manifest["mediaType"])
        for which in (tag, target):
            self.documents[f"/v2/{repository}/manifests/{which}"] = kind, made.content[target]
        for digest, content in made.content.items():
            self.documents[f"/v2/{repository}/blobs/{digest}"] = "application/octet-stream", content
        return f"{self.host}/{repository}:{tag}"

    def fail(self, part: str, fault: Fault, times: int = 1) -> None:
        """The next requests whose path has `part` in it meet this fault."""
        self._faults += [(part, fault)] * times

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            first = await reader.readexactly(1)
            if first == b"\x16":  # a client that tries TLS first
                self.knocks += 1
                writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                return
            while (head := first + await reader.readuntil(b"\r\n\r\n")).startswith(b"GET "):
                lines = head.decode().split("\r\n")
                pairs = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                first = b""
                if not await self._answer(lines[0].split()[1], headers, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        path = path.partition("?")[0]
        self.asked.append((path, headers.get("range", "")))
        self.headers.append(headers)
        if self.gone:
            return False
        fault = self._fault(path)
        if fault.refuse:
            return False
        if fault.gate is not None:
            await fault.gate.wait()
        kind, content = self.documents.get(path, ("", b""))
        status = fault.status or (200 if kind or path == "/v2/" else 404)
        extra = dict(fault.headers)
        if fault.status or not kind:
            content = json.dumps({"errors": [{"message": fault.said or "as it was told"}]}).encode()
        elif (begins := headers.get("range", "")) and not fault.whole:
            offset = int(begins.removeprefix("bytes=").rstrip("-"))
            extra["Content-Range"] = f"bytes {offset}-{len(content) - 1}/{len(content)}"
            status, content = 206, content[offset:]
        if fault.short >= 0:
            content = content[: fault.short]
        if fault.wrong:
            content = content[:-1] + bytes([content[-1] ^ 1])
        extra |= {"Content-Length": str(len(content) + fault.more), "Content-Type": kind or "application/json"}
        lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in extra.items())]
        writer.write("\r\n".join((*lines, "", "")).encode())
        if fault.hang:
            writer.write(content[: len(content) // 2])
            await writer.drain()
            await asyncio.Event().wait()
        if fault.cut >= 0:
            content = content[: fault.cut]
        writer.write(content)
        self.sent += len(content)
        await writer.drain()
        for _ in range(fault.more >> 20):
            writer.write(b" " * (1 << 20))
            await writer.drain()
            self.sent += 1 << 20
        return fault.cut < 0

    def _fault(self, path: str) -> Fault:
        for number, (part, fault) in enumerate(self._faults):
            if part in path:
                del self._faults[number]
                return fault
        return Fault()


@asynccontextmanager
async def faulty() -> AsyncIterator[FaultyRegistry]:
    """One that serves."""
    made = FaultyRegistry()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


@contextmanager
def faulty_beside() -> Iterator[FaultyRegistry]:
    """One that serves in a thread of its own, for tests that do not run a loop."""
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[FaultyRegistry] = []

    async def main() -> None:
        async with faulty() as made:
            found.append(made)
            ready.set()
            await ended.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
