"""The journal as clients see it: entries as messages, filtered lists, followed tails, and cause trees."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from heapq import merge
from typing import Any

import msgspec
from msgspec.structs import replace

from capsule.v1 import history_pb2 as pb
from capsuled.aside import Aside
from capsuled.engine import Engine
from capsuled.event_types import is_of, unknown_type
from capsuled.shortening import cut, cut_json
from effects.merging import merged
from journal.codec import BadBody, UnknownMust, decode, plain
from journal.entry import Actor, Stored
from journal.reader import Reader, objects_of
from projections.describe import describe
from projections.failures import MAY_FAIL, failed
from projections.refusals import Refusal

KEY_SHOWN = 12
"""So much of a key stands for it in a line."""
TREE_ENTRIES = 500
"""A tree stops here: a workload that crashes for years has a cause with a million consequences."""
BODY_BYTES = 1 << 20
"""Of an entry's content as it is told, in JSON, where a byte may take six: a message has 4 MiB, and others a share."""
SUMMARY_CHARS = 4_096
"""Of its one line."""
TREE_BYTES = 5 << 19
"""Of a tree, beside the entry that it is shown with. Its entries share half of that for their content."""


class Filter(msgspec.Struct, frozen=True):
    """Which entries a client asked for. `type` may be a prefix that ends in a dot, and so may any of `types`."""

    name: str = ""
    type: str = ""
    actor: str = ""
    since_ns: int = 0
    types: tuple[str, ...] = ()
    until_ns: int = 0
    failed: bool = False
    boot: str = ""

    def matches(self, stored: Stored) -> bool:
        """Whether the entry is one of them."""
        header = stored.header
        return (
            header.at >= self.since_ns
            and (not self.type or is_of(header.type, self.type))
            and (not self.types or any(is_of(header.type, one) for one in self.types))
            and (not self.actor or _is_by(stored, self.actor))
            and (not self.until_ns or header.at <= self.until_ns)
            and (not self.boot or header.boot == self.boot)
            and (not self.name or self.name in objects_of(plain(stored)))
            and (not self.failed or _failed(stored))
        )

    def among(self, page: list[Stored]) -> list[Stored]:
        """Those of them."""
        return [stored for stored in page if self.matches(stored)]


def _is_by(stored: Stored, who: str) -> bool:
    """By kind, key or name; or as it is printed: a key without a name by its beginning, whoever comes by the socket
    with the login that the call gave."""
    actor = stored.header.actor
    if who in (actor.kind, actor.id, actor.id[:KEY_SHOWN], actor.name):
        return True
    # Few are asked for like this, and only the body knows.
    return who.startswith(f"{actor.kind}(") and who == f"{actor.kind}({plain(stored).get('login', '')})"


def _failed(stored: Stored) -> bool:
    """What cannot be read here may tell of a failure or not: it is not counted as one."""
    if stored.header.type not in MAY_FAIL:
        return False
    try:
        event = decode(stored)
    except (UnknownMust, BadBody):
        return False
    return event is not None and failed(stored.header, event)


ReadAfter = Callable[[int], Awaitable[int]]
"""The newest read that is kept, once one stands behind that one."""
_Placed = tuple[Stored, str]
"""An entry and the stream that it stands in."""


class _Span(msgspec.Struct, frozen=True):
    """Entries `first` to `last` of a stream."""

    stream: str
    first: int
    last: int


def _at(placed: _Placed) -> int:
    return placed[0].header.at


def _places(page: list[_Placed], wanted: Filter) -> list[tuple[int, str]]:
    """Where the wanted ones of a page stand."""
    return [(stored.header.seq, stream) for stored, stream in page if wanted.matches(stored)]


class History:
    """Reads the journal for clients, beside the writer."""

    def __init__(self, reader: Reader, engine: Engine, aside: Aside, read_after: ReadAfter | None = None) -> None:
        """`read_after` tells of reads, where any are kept."""
        self._reader = reader
        self._engine = engine
        self._aside = aside
        self._read_after = read_after

    async def entries(
        self, wanted: Filter, limit: int, follow: bool, audit: bool, last: int = 0
    ) -> AsyncGenerator[pb.HistoryEntry, None]:
        """Entries in order, the newest `limit` of them (0: all), up to `last` (0: to the end), then with `follow` each
        new one once it is durable. With `audit` reads, too, which are kept a moment later."""
        upto = await self._end()
        upto = min(last or upto, upto)
        read = await self._aside.run(self._last_read) if audit else 0
        async for message in self._past(wanted, limit, upto, read):
            yield message
        if not follow:
            return
        grown = [self._facts_after(upto)]
        if audit and self._read_after is not None:
            grown.append(self._reads_after(read, self._read_after))
        async with aclosing(merged(*grown)) as spans:
            async for span in spans:
                source = self._reader.entries(span.first, span.last, span.stream)
                async for some in self._aside.pages(source, wanted.among):
                    for stored in some:
                        yield message_of(stored, span.stream)

    async def _facts_after(self, upto: int) -> AsyncGenerator[_Span, None]:
        async for machine in self._engine.changes():
            seq = machine.seq
            await self._engine.durable(seq)
            yield _Span("facts", upto + 1, seq)
            upto = seq

    async def _reads_after(self, upto: int, read_after: ReadAfter) -> AsyncGenerator[_Span, None]:
        while True:
            seq = await read_after(upto)
            yield _Span("audit", upto + 1, seq)
            upto = seq

    def _last_read(self) -> int:
        last = self._reader.last("audit")
        return 0 if last is None else last.header.seq

    async def lacks(self, wanted: str) -> Refusal | None:
        """Why there can be nothing of this type. What a newer release wrote is there, whether this one knows it or
        not."""
        refusal = unknown_type(wanted) if wanted else None
        if refusal is not None and await self._aside.run(lambda: next(self._reader.of_type(wanted), None)) is not None:
            return None
        return refusal

    async def _end(self) -> int:
        """The newest entry on the disk, with everything that the head state knows. A frozen daemon's state ends
        before it."""
        await self._engine.durable()
        last = self._reader.last()
        return 0 if last is None else last.header.seq

    async def _past(self, wanted: Filter, limit: int, upto: int, read: int) -> AsyncIterator[pb.HistoryEntry]:
        """However many there are, only a page of them is ever held. `read`: up to this one, 0 without reads."""
        spans: tuple[_Span, ...] = (_Span("facts", 1, upto), *((_Span("audit", 1, read),) if read else ()))
        if limit:
            spans = await self._newest(wanted, limit, spans)
        source = merge(*(self._forwards(wanted, span) for span in spans), key=_at)
        shown = self._aside.pages(source, lambda page: [message_of(*one) for one in page if wanted.matches(one[0])])
        async for messages in shown:
            for message in messages:
                yield message

    async def _newest(self, wanted: Filter, limit: int, spans: Sequence[_Span]) -> tuple[_Span, ...]:
        """What is left of each stream for the newest `limit` of them all: from the end backwards, until enough were
        found. Times are no end: before what a clock wrote that was behind there may be others of the asked span."""
        firsts = {span.stream: span.last + 1 for span in spans}
        # Of two at the same moment, the one that is shown last is found first.
        source = merge(*(self._backwards(wanted, span) for span in reversed(spans)), key=_at, reverse=True)
        async for some in self._aside.pages(source, lambda page: _places(page, wanted)):
            for seq, stream in some[:limit]:
                firsts[stream] = seq
            limit -= len(some)
            if limit <= 0:
                break
        return tuple(replace(span, first=firsts[span.stream]) for span in spans)

    def _forwards(self, wanted: Filter, span: _Span) -> Iterator[_Placed]:
        """Where an index leads to the wanted entries, it is followed; all that is found has to be looked at."""
        return ((stored, span.stream) for stored in self._in_order(wanted, span))

    def _in_order(self, wanted: Filter, span: _Span) -> Iterator[Stored]:
        if span.stream == "facts" and wanted.name:
            return self._reader.of_object(wanted.name, span.first, span.last)
        if span.stream == "facts" and wanted.type and not wanted.type.endswith("."):
            return self._reader.of_type(wanted.type, span.first, span.last)
        return self._reader.entries(span.first, span.last, span.stream)

    def _backwards(self, wanted: Filter, span: _Span) -> Iterator[_Placed]:
        """The same, the newest first."""
        return ((stored, span.stream) for stored in self._newest_first(wanted, span))

    def _newest_first(self, wanted: Filter, span: _Span) -> Iterator[Stored]:
        if span.stream == "facts" and wanted.name:
            return self._reader.newest_of_object(wanted.name, span.last)
        if span.stream == "facts" and wanted.type and not wanted.type.endswith("."):
            return self._reader.newest_of_type(wanted.type, span.last)
        return self._reader.entries_back(span.last, span.stream)

    async def show(self, seq: int) -> pb.HistoryShowResponse | None:
        """An entry and its tree; None when there is no such entry."""
        if seq <= 0:
            return None
        await self._end()
        return await self._aside.run(lambda: self._shown(seq))

    def _shown(self, seq: int) -> pb.HistoryShowResponse | None:
        stored = self._reader.get(seq)
        if stored is None:
            return None
        return pb.HistoryShowResponse(entry=message_of(stored), tree=self._tree(stored))

    def _tree(self, stored: Stored) -> list[pb.HistoryNode]:
        """From the first cause of `stored` down through everything that came of it."""
        root = stored
        while root.header.cause and (above := self._reader.get(root.header.cause)) is not None:
            root = above
        children: dict[int, list[Stored]] = {}
        for one in self._related(root):
            children.setdefault(one.header.cause, []).append(one)
        placed: list[tuple[int, Stored]] = []
        stack = [(0, root)]
        while stack and len(placed) < TREE_ENTRIES:
            depth, one = stack.pop()
            placed.append((depth, one))
            below = children.get(one.header.seq, ())
            stack.extend((depth + 1, child) for child in reversed(below))
        return _nodes(placed)

    def _related(self, root: Stored) -> list[Stored]:
        """Entries behind `root` that speak of its objects: what it led to is among them."""
        names = objects_of(plain(root))
        found: dict[int, Stored] = {one.header.seq: one for one in self._reader.of_call(root.header.seq)}
        for name in names:
            for one in self._reader.of_object(name, first=root.header.seq + 1):
                found[one.header.seq] = one
                if len(found) >= TREE_ENTRIES * 20:
                    break
        if not names:
            found.update(
                (one.header.seq, one) for one in self._reader.entries(root.header.seq + 1, root.header.seq + 500)
            )
        found.pop(root.header.seq, None)
        return [found[seq] for seq in sorted(found)]


def _nodes(placed: Sequence[tuple[int, Stored]]) -> list[pb.HistoryNode]:
    """A tree's entries by (depth, entry), as many as one answer has room for."""
    share_bytes, left_bytes = min(BODY_BYTES, TREE_BYTES // 2 // len(placed)), TREE_BYTES
    nodes: list[pb.HistoryNode] = []
    for depth, one in placed:
        node = pb.HistoryNode(depth=depth, entry=message_of(one, body_bytes=share_bytes))
        left_bytes -= node.ByteSize()
        if left_bytes < 0:
            break
        nodes.append(node)
    return nodes


def message_of(stored: Stored, stream: str = "facts", body_bytes: int = BODY_BYTES) -> pb.HistoryEntry:
    """An entry for clients, with so much of its content. What this release cannot read is shown as plain data."""
    header = stored.header
    body = plain(stored)
    try:
        summary = describe(header, decode(stored), stored.excised)
    except (UnknownMust, BadBody) as error:
        summary = str(error)
    return pb.HistoryEntry(
        seq=header.seq,
        at_unix_ns=header.at,
        boot=header.boot,
        mono_ns=header.mono,
        release=header.release,
        slot=header.slot,
        actor=_actor(header.actor),
        actor_name=header.actor.name or body.get("login", ""),
        actor_role=header.actor.role,
        cause=header.cause,
        call=header.call,
        type=header.type,
        version=header.version,
        effect_on_state=header.effect_on_state,
        summary=cut(" ".join(summary.split()), SUMMARY_CHARS),
        body_json=cut_json(_as_json(body), body_bytes),
        stream=stream,
        hash=stored.hash.hex(),
        objects=objects_of(body),
        excised=stored.excised,
    )


def _as_json(body: dict[str, Any]) -> str:
    """Whatever a body holds, also one of a newer release: bytes as base64, what JSON has no word for as text."""
    try:
        return msgspec.json.encode(body, enc_hook=repr).decode()
    except (TypeError, ValueError):
        return "{}"


def _actor(actor: Actor) -> str:
    return actor.id or actor.kind
