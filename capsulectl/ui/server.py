"""The page's server: on loopback, GET alone, and of that what stands in `ANSWERS`, `STREAMS` and `PAGES`.

One thread a request. The page is sent with a policy that lets it load what is its own, run no text as code, be framed
by nobody and send nothing anywhere.
"""

import contextlib
import io
import json
import secrets
import socket
import sys
from collections.abc import Callable, Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from capsulectl.errors import USAGE, Failure, fault
from capsulectl.render import say
from capsulectl.ui.door import Door, Refusal
from capsulectl.ui.live import Told, live, log
from capsulectl.ui.pages import PAGES
from capsulectl.ui.reads import Reads
from capsulectl.ui.room import Heads, Room

WORD_BYTES = 24
CONNECTIONS = 64
"""At a time. A page needs three."""
PATIENCE_S = 10.0
"""For a request to be said, and for a page to take what it is sent."""
LOG_LINES = 500
FIELDS = 8
SEQ_MOST = (1 << 63) - 1

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Query(NamedTuple):
    """What stands behind the question mark. Raises Failure, a mistake of who asks."""

    values: Mapping[str, list[str]]

    def text(self, name: str) -> str:
        """A word that has to be there."""
        found = self.values.get(name, [""])[0]
        if not found:
            raise Failure(f"{name} is missing", USAGE)
        return found

    def number(self, name: str) -> int:
        """A number that is not negative; 0 where it is not there."""
        found = self.values.get(name, ["0"])[0]
        if not (found.isascii() and found.isdigit() and int(found[:20]) <= SEQ_MOST):
            raise Failure(f"{name} is no number", USAGE)
        return int(found[:20])


Answer = Callable[[Reads, Query], Any]

ANSWERS: dict[str, Answer] = {
    "read/machine": lambda reads, query: reads.machine(query.text("at")),
    "read/entries": lambda reads, query: reads.entries(query.number("upto")),
    "read/entry": lambda reads, query: reads.entry(query.number("seq")),
    "read/changes": lambda reads, query: reads.changes(query.number("before"), query.number("after")),
    "read/why": lambda reads, query: reads.why(query.text("name"), query.number("at")),
}
"""Each is asked and answered, as JSON."""

STREAMS: dict[str, Callable[[Reads, Query], Generator[Told, None, None]]] = {
    "follow/live": lambda reads, query: live(reads),
    "follow/log": lambda reads, query: log(
        reads.logs(query.text("name"), LOG_LINES, query.number("run"), query.number("until"))
    ),
}
"""Each goes on, as server-sent events."""


class Server(ThreadingHTTPServer):
    """Listens on loopback once it is made. `address` is the page's, with the word in it."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = CONNECTIONS  # of the library's 5, a sixth waits a second for its turn

    def __init__(self, reads: Reads, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        word = secrets.token_urlsafe(WORD_BYTES)
        self.reads = reads
        self.door = Door(self.server_port, word)
        self.address = f"http://127.0.0.1:{self.server_port}/{word}/"
        self.room = Room(CONNECTIONS)

    def server_bind(self) -> None:
        """Without asking anybody for this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """One too many is closed at once; a stranger's place is given to whoever comes."""
        if self.room.enter(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Its place is free again, however it ended."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.leave(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away in the middle is no news; anything else is a fault of ours."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            say(f"capsulectl: {fault(error)}")


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S

    def setup(self) -> None:
        super().setup()
        self._heads = Heads(self.connection, PATIENCE_S)
        self.rfile = io.BufferedReader(self._heads)

    def handle_one_request(self) -> None:
        self._heads.begin()
        super().handle_one_request()

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, told = self.path.partition("?")
        asked = self.server.door.judge(path, headers)
        if isinstance(asked, Refusal):
            self._refuse(asked.status, asked.why)
            return
        self.server.room.know(self.connection)
        try:
            query = Query(parse_qs(told, max_num_fields=FIELDS))
        except ValueError:
            self._refuse(400, f"a read has at most {FIELDS} words behind its question mark")
            return
        name = unquote(asked)
        if name in PAGES:
            self._send(200, *PAGES[name])
        elif name in ANSWERS:
            self._answer(ANSWERS[name], query)
        elif name in STREAMS:
            self._stream(STREAMS[name], query)
        else:
            self._refuse(404, "there is nothing of this name")

    def _answer(self, answer: Answer, query: Query) -> None:
        try:
            data = answer(self.server.reads, query)
        except Failure as failure:
            self._refuse(400 if failure.code == USAGE else 502, failure.message)
            return
        self._send(200, "application/json", json.dumps(data, ensure_ascii=False).encode(errors="replace"))

    def _stream(self, opened: Callable[[Reads, Query], Generator[Told, None, None]], query: Query) -> None:
        self.close_connection = True
        try:
            source = opened(self.server.reads, query)
        except Failure as failure:
            self._refuse(400 if failure.code == USAGE else 502, failure.message)
            return
        with contextlib.closing(source):
            self._head(200, "text/event-stream")
            for told in source:
                self.wfile.write(_event(told))

    def _refuse(self, status: int, why: str) -> None:
        self._send(status, "application/json", json.dumps({"why": why}, ensure_ascii=False).encode(errors="replace"))

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self._head(status, kind, len(content))
        self.wfile.write(content)

    def _head(self, status: int, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind if kind.startswith("image/") else f"{kind}; charset=utf-8")
        if length is not None:
            self.send_header("Content-Length", str(length))
        if length is None or self.close_connection:
            self.send_header("Connection", "close")
        if status == 405:
            self.send_header("Allow", "GET")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses by itself: a method that is not GET, a request that is none."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            only_reads = code == 501
            self._refuse(405 if only_reads else code, "this server only reads: GET" if only_reads else "bad request")

    def version_string(self) -> str:
        """Nothing that helps to choose an attack."""
        return "capsulectl"

    def log_message(self, format: str, *arguments: Any) -> None:
        """The address holds the word: it is written nowhere."""


def _event(told: Told) -> bytes:
    kind, data = told
    if not kind:
        return b": still here\n\n"
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode(errors="replace")
