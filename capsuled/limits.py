"""What a client may cost, in one place: gRPC's own limits, and how long the door listens to whom it sends away."""

import msgspec

Options = list[tuple[str, int]]


class Patience(msgspec.Struct, frozen=True):
    """How long and how much is read of a caller who gets no answer before he has said all.

    `first_s` is the time for the first message, `quiet_s` for each after it. Whoever sends and hears at once
    (`chat_s`) hears a refusal also while he sends, and a terminal never ends its input by itself: a short pause will
    do. `all_s` and `all_bytes` bound the whole.
    """

    first_s: float = 10.0
    quiet_s: float = 10.0
    chat_s: float = 0.25
    all_s: float = 300.0
    all_bytes: int = 1 << 30


class Limits(msgspec.Struct, frozen=True):
    """What the network may cost. `streams` are one connection's calls, `calls` everybody's. Of all `connections`,
    `connections_each` may be from one address.

    Whose calls last shall leave room for others, from however many connections they come: one key has `streams_each`
    streams open, `silent_each` calls of which no message has come yet, and `calls_each` of one message under way: those
    may wait for half a minute, or watch a machine for as long.

    Where others wait for what a client sends, it says something at least every `quiet_s`: in that time 1 MiB comes over
    any line that is one.

    A client that says nothing goes after `handshake_ms`, which TLS and HTTP/2's first settings share. A connection
    without a call is closed after `idle_ms`; clients open another without anybody noticing. One whose machine is gone
    holds its streams no longer than `ping_ms` and `ping_timeout_ms` together. Of callers who have proven no key,
    `strangers` at a time are waited for, `strangers_each` of them from one address.
    """

    metadata_bytes: int = 16 << 10
    streams: int = 128
    connections: int = 256
    connections_each: int = 128
    calls: int = 1_024
    streams_each: int = 256
    silent_each: int = 128
    calls_each: int = 256
    quiet_s: float = 120.0
    handshake_ms: int = 10_000
    idle_ms: int = 15 * 60_000
    ping_ms: int = 60_000
    ping_timeout_ms: int = 20_000
    strangers: int = 32
    strangers_each: int = 4
    known: Patience = Patience()
    unknown: Patience = Patience(all_s=30.0, all_bytes=64 << 20)

    def pings(self) -> Options:
        """For either door: a client that is there answers, also one that has nothing to say."""
        return [
            ("grpc.keepalive_time_ms", self.ping_ms),
            ("grpc.keepalive_timeout_ms", self.ping_timeout_ms),
        ]

    def options(self) -> Options:
        """For gRPC's core, of the network. Of two options of one name it takes the first, in silence."""
        return [
            ("grpc.max_metadata_size", self.metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.metadata_bytes),
            ("grpc.max_concurrent_streams", self.streams),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.server_handshake_timeout_ms", self.handshake_ms),
            ("grpc.max_connection_idle_ms", self.idle_ms),
            *self.pings(),
            # Two daemons on one port would each get half of the connections.
            ("grpc.so_reuseport", 0),
        ]
