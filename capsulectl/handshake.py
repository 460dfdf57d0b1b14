"""A bare TLS handshake, closed at once: the one way to learn which certificate a machine shows. Nothing else is sent.

Needs nothing of this project's, and no gRPC: `adopt`, the check of a pin, and whoever looks for machines use it.
"""

import errno
import hashlib

HANDSHAKE_S = 5.0
DEFAULT_PORT = 50_000
_SPOKEN = "h2"
"""What gRPC goes on in, as TLS names it."""
_RIGHT_PORT = f"it the right port ({DEFAULT_PORT} if nobody chose another)"
_DISCOVER = "capsulectl discover"


def endpoint(address: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT, HOST, or [IPv6]:PORT. Raises ValueError with a sentence."""
    host, colon, port = address.rpartition(":")
    if not colon or "]" in port or (":" in host and not host.startswith("[")):
        host, port = address, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(one in "/[] " for one in host) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{address!r} is no HOST:PORT")
    return host, int(port)


def joined(host: str, port: int) -> str:
    """The address as contexts keep it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def presented(host: str, port: int, timeout_s: float = HANDSHAKE_S) -> bytes:
    """The DER of the certificate that the machine presents. Raises OSError; proves nothing about who it is."""
    return met(host, port, timeout_s)[0]


def met(host: str, port: int, timeout_s: float = HANDSHAKE_S) -> tuple[bytes, bool]:
    """The DER of the certificate that the machine presents, and whether it would go on as a capsule does, which a web
    server would not. Raises OSError (`sentence` tells it)."""
    import socket
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([_SPOKEN])
    with socket.create_connection((host, port), timeout_s) as plain, context.wrap_socket(plain) as secure:
        der = secure.getpeercert(binary_form=True)
        spoken = secure.selected_alpn_protocol()
    if der is None:
        raise OSError("the machine presented no certificate")
    return der, spoken == _SPOKEN


def sentence(error: Exception) -> str:
    """What it means that `met` met nobody, and what to look at; in no library's words."""
    import socket
    import ssl

    said = getattr(error, "strerror", None) or str(error)
    if isinstance(error, socket.gaierror):
        return f"{said}: is the name right? `{_DISCOVER}` finds capsules without one"
    if isinstance(error, TimeoutError):
        return f"nothing came back within {HANDSHAKE_S:.0f} s: is the machine up, and is {_RIGHT_PORT}?"
    if isinstance(error, ConnectionResetError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "whoever listens there hung up at once: it is no capsule, or has more connections than it takes"
    if isinstance(error, ssl.SSLError):
        return f"what listens there does not speak as a capsule does: is {_RIGHT_PORT}?"
    if isinstance(error, ConnectionRefusedError):
        return f"{said}: does capsuled run there, and is {_RIGHT_PORT}? `{_DISCOVER}` shows those on the LAN"
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f"{said}: is the machine up, and does a network lead there?"
    return said


def fingerprint_of(der: bytes) -> str:
    """What clients pin: the lower-case hex SHA-256 of a certificate's DER."""
    return hashlib.sha256(der).hexdigest()


def pem_of(der: bytes) -> bytes:
    """The same certificate as text."""
    import base64

    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
