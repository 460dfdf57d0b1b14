"""Bytes by chance on the TCP port: before TLS, in its handshake, and behind it where HTTP/2 is spoken."""

import contextlib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from random import Random

from tests.fuzz.cases import varint

AT_A_TIME = 16
LINGER_S = 0.05
"""So long is waited for an answer: long enough for the bytes to be read."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAMES = 10
"""Types of HTTP/2's frames, and a few that there are none of."""


def strike(address: str, seed: int, count: int) -> int:
    """Make `count` connections; how many of them got as far as TLS. Raises OSError when nobody listens any more."""
    host, _, port = address.rpartition(":")
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        strikes = [threads.submit(_connection, (host, int(port)), Random(f"{seed} {one}")) for one in range(count)]
        return sum(one.result() for one in strikes)


def _connection(endpoint: tuple[str, int], random: Random) -> bool:
    kind = random.random()
    with socket.create_connection(endpoint, 30) as plain:
        plain.settimeout(30)
        if kind < 0.5:
            return _behind_tls(plain, random)
        sent = random.randbytes(random.randrange(2_000)) if kind < 0.65 else _hello(random)
        with contextlib.suppress(OSError):  # it need not take what it does not understand
            plain.sendall(sent)
            _listen(plain)
        return False


def _hello(random: Random) -> bytes:
    """The first bytes of a real handshake, changed; sometimes not at all, and then silence."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _context(random).wrap_bio(incoming, outgoing, server_hostname="capsule")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = bytearray(outgoing.read())
    for _ in range(random.randrange(6)):
        at = random.randrange(len(hello))
        match random.randrange(4):
            case 0:
                hello[at] = random.randrange(256)
            case 1:
                del hello[at:]
                hello += b"\x16"
            case 2:
                hello[at:at] = random.randbytes(random.randrange(64))
            case _:
                hello += b"\x16\x03\x03" + random.randrange(1 << 16).to_bytes(2, "big") + random.randbytes(100)
    return bytes(hello)


def _context(random: Random) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if random.random() < 0.9:
        context.set_alpn_protocols(["h2"])
    return context


def _behind_tls(plain: socket.socket, random: Random) -> bool:
    try:
        with _context(random).wrap_socket(plain, server_hostname="capsule") as secure:
            secure.sendall(PREFACE if random.random() < 0.8 else random.randbytes(100))
            for _ in range(random.randrange(8)):
                secure.sendall(_frame(random))
            _listen(secure)
    except OSError:
        pass  # refused in the middle of it
    return True


def _frame(random: Random) -> bytes:
    """A frame that begins as one; its length may lie."""
    payload = random.randbytes(int(random.expovariate(1 / 40)))
    if random.random() < 0.3:
        payload = b"\x82\x86\x84" + varint(random.getrandbits(30)) + payload  # a few headers of the static table
    length = len(payload) if random.random() < 0.9 else random.randrange(1 << 24)
    head = length.to_bytes(3, "big") + bytes([random.randrange(_FRAMES + 3), random.randrange(256)])
    return head + random.choice((0, 1, 3, random.getrandbits(32))).to_bytes(4, "big") + payload


def _listen(connection: socket.socket) -> None:
    connection.settimeout(LINGER_S)
    with contextlib.suppress(TimeoutError):
        while connection.recv(4_096):
            pass
