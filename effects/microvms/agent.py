"""The way to the agent in one microVM: over the VM's channel, made anew whenever that was, with a first word on each.

Nobody but the agent can say that a guest is well as a machine, so it is asked every BEAT_S. One question may go lost in
a daemon that was held up, or on a machine that has too much to do, and a guest killed for that loses what it was doing;
one that hangs has already lost it. So it takes MISSES questions in a row, a minute, before its silence is reported. One
that could not be put, as this machine lacked what the way takes, is no miss.
The same questions keep its clock. What it says is bounded before it is read, and its words are made fit to be shown.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from capsule.guest.v1 import guest_pb2 as pb
from capsule.guest.v1 import guest_pb2_grpc
from effects.errors import DriverError, DriverLacks, GuestFailed, NotRunning, RuntimeUnavailable
from effects.microvms.guest_clock import behind_ns
from effects.microvms.places import Key
from effects.microvms.relay import Relay
from effects.microvms.seemly import seemly
from journal.release import RELEASE

log = logging.getLogger(__name__)

T = TypeVar("T")

VERSIONS = (1, 1)
"""Of the contract (guest.proto), that this release speaks."""

BEAT_S = 10.0
BEAT_WAIT_S = 20.0
"""For an answer, the way to it included. On a machine without hardware virtualisation one takes up to seconds."""
MISSES = 3
FIRST_MISSES = 9
"""Before the first answer: an agent begins once the payload has, and both wait for a kernel that boots."""
AGAIN_S = 0.5

ASK_S = 10.0
"""For whoever asks without saying how long he can wait."""
LOOK_S = 2.0
"""For whoever looks at all there is: the slowest guest holds nobody up for longer."""
WAY_S = 30.0
"""For an operator's own call to find its way: he may be quicker than an agent that begins."""
MESSAGE_BYTES = 1 << 20

_GONE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAUTHENTICATED,
)
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
_OPTIONS = (
    ("grpc.default_authority", "guest"),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.absolute_max_metadata_size", 32 << 10),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # The channel begins anew by itself, and with it this: a try of gRPC's own would be one without a first word.
    ("grpc.initial_reconnect_backoff_ms", 60_000),
    ("grpc.min_reconnect_backoff_ms", 60_000),
)


class _Quiet:
    """gRPC's channel, on which bytes that are no message are None. By itself gRPC gives that, too, but logs each with a
    trace, and a guest could fill the log."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def __getattr__(self, kind: str) -> Any:
        """How a call of a kind (unary_unary …) is made."""
        make = getattr(self._channel, kind)

        def made(method: str, *, response_deserializer: Callable[[bytes], Any], **options: Any) -> Any:
            return make(method, response_deserializer=partial(_parsed, response_deserializer), **options)

        return made


def _parsed(parse: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return parse(data)
    except DecodeError:
        return None


class Agent:
    """One VM's. `silent` is told, once, that it does not answer any more, and why that is believed."""

    def __init__(self, key: Key, relay: Relay, path: Path, silent: Callable[[Key, str], None]) -> None:
        self.key = key
        self._relay = relay
        self._path = path
        self._silent = silent
        self._channel: grpc.aio.Channel | None = None
        self._cut: asyncio.Future[None] | None = None
        self._stub: Any = None
        self._version = 0
        self._told = False
        self._behind_ns = 0
        self._connecting = asyncio.Lock()

    @property
    def faults(self) -> int:
        """How often its guest did not keep to the channel."""
        return self._relay.faults

    async def run(self) -> None:
        """Keep the way, until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._relay.run())
                group.create_task(self._watch())
        finally:
            await self._close()

    # --- asking --------------------------------------------------------------------------------------------------

    async def call(self, method: str, request: Any, timeout_s: float = ASK_S, anyway: bool = False) -> Any:
        """The answer to one question. `anyway`: also to a guest that speaks no version of ours. Raises DriverError."""
        async with self._in_time(timeout_s):
            stub = await self.reached(anyway)
            self._relay.asked()
            return self._read_as_one(await getattr(stub, method)(request))

    async def stream(self, method: str, *requests: Any) -> Any:
        """A call with a stream, begun; it ends with the channel that it was begun on. Raises DriverError."""
        async with self._in_time(WAY_S):
            stub = await self.reached()
        call = getattr(stub, method)(*requests)
        self._relay.talking(1)
        call.add_done_callback(lambda _: self._relay.talking(-1))
        return call

    async def read(self, call: Any, timeout_s: float | None = None) -> Any:
        """The next message of a stream; None at its end. Raises DriverError."""
        message = await self.within(call.read(), timeout_s)
        return None if message is _EOF else self._read_as_one(message)

    async def within(self, waiting: Awaitable[T], timeout_s: float | None = ASK_S) -> T:
        """What comes of it, in time. Raises DriverError, for what gRPC raises too."""
        async with self._in_time(timeout_s):
            return await waiting

    def _read_as_one(self, message: Any) -> Any:
        """A message; see _Quiet. Raises GuestFailed."""
        if message is None:
            raise GuestFailed(f"the guest of {self.key[0]} answers in bytes that are no message")
        return message

    def translated(self, error: grpc.aio.AioRpcError) -> DriverError:
        """gRPC's error, or the guest's, as a condition of ours."""
        details = seemly(error.details() or "") or error.code().name
        match error.code():
            case code if code in _GONE:
                return self._unreached()
            case grpc.StatusCode.UNIMPLEMENTED:
                return DriverLacks(f"the guest of {self.key[0]} cannot do this: {details}")
            case grpc.StatusCode.FAILED_PRECONDITION:
                return NotRunning(f"{self.key[0]}: {details}")
        return GuestFailed(f"the guest of {self.key[0]} failed to do this: {details}")

    def _unreached(self) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"the agent in {self.key[0]} does not answer; if it goes on so, the microVM is ended, and begun again as "
            "its restart policy says"
        )

    @contextlib.asynccontextmanager
    async def _in_time(self, timeout_s: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError as error:
            raise self._unreached() from error
        except grpc.aio.AioRpcError as error:
            raise self.translated(error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise self._unreached() from error  # the call was, with the channel that it was on

    # --- the way -------------------------------------------------------------------------------------------------

    async def reached(self, anyway: bool = False) -> Any:
        """The services of an agent that has said its first word, waited for. Raises DriverError."""
        async with self._connecting:
            while self._cut is None or self._cut.done():
                await self._connect()
        if not self._version and not anyway:
            raise DriverLacks(
                f"the guest of {self.key[0]} is of a release that this one cannot talk to: it runs on; `capsulectl "
                f"restart {self.key[0]}` gives it one of today's"
            )
        return self._stub

    async def _connect(self) -> None:
        await self._close()
        try:
            cut = await self._relay.up()
        except ConnectionError:
            raise NotRunning(f"{self.key[0]} has ended") from None
        self._channel = grpc.aio.insecure_channel(f"unix:{self._path}", options=_OPTIONS)
        self._stub = guest_pb2_grpc.GuestServiceStub(_Quiet(self._channel))
        request = pb.HelloRequest(version_min=VERSIONS[0], version_max=VERSIONS[1], release=RELEASE)
        try:
            self._heard(self._read_as_one(await self._stub.Hello(request)))
        except grpc.aio.AioRpcError as error:
            raise self.translated(error) from error
        self._cut = cut

    def _heard(self, hello: pb.HelloResponse) -> None:
        if (hello.name, hello.uid, hello.run) != self.key:
            raise GuestFailed(f"the guest of {self.key[0]} says that it is another's")
        spoken = VERSIONS[0] <= hello.version <= VERSIONS[1]
        self._version = hello.version if spoken else 0
        if not spoken and not self._told:
            self._told = True
            log.warning(
                "the guest of %s (release %s) speaks versions %d to %d, this release %d to %d: it runs on, without "
                "exec, copies and stats, until somebody restarts it",
                self.key[0],
                seemly(hello.release),
                hello.version_min,
                hello.version_max,
                *VERSIONS,
            )

    async def _close(self) -> None:
        self._cut = None
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close(grace=None)

    # --- its silence ---------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Returns once it is silent, and that was reported."""
        misses, limit = 0, FIRST_MISSES
        while misses < limit:
            lacks = self._relay.lacks
            try:
                async with asyncio.timeout(BEAT_WAIT_S):
                    await self._beat()
            except TimeoutError:
                if self._relay.lacks == lacks and not self._relay.unused:
                    misses += 1
                continue
            misses, limit = 0, MISSES
            await asyncio.sleep(BEAT_S)
        self._silent(
            self.key,
            f"its agent has not answered for {limit * BEAT_WAIT_S:.0f} s: the guest hangs, or has lost its agent",
        )

    async def _beat(self) -> None:
        """Until it has answered."""
        while True:
            try:
                await self._ask_status()
                return
            except DriverLacks:
                return  # its first word was an answer, and there is nothing else that it could be asked
            except DriverError as error:
                log.debug("no answer from the agent in %s: %s", self.key[0], error)
            await asyncio.sleep(AGAIN_S)

    async def _ask_status(self) -> None:
        # Told once: a guest that may have heard it, and has not answered, is looked at anew first.
        request = pb.StatusRequest(clock_behind_ns=self._behind_ns)
        self._behind_ns = 0
        asked_ns = time.monotonic_ns()
        status = await self.call("Status", request, BEAT_WAIT_S)
        now_ns = time.time_ns()  # read first: whatever holds this up from here on counts as the answer's way
        self._behind_ns = behind_ns(now_ns, time.monotonic_ns() - asked_ns, status.time_ns)
