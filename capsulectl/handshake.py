"""A bare TLS handshake, closed at once: the one way to learn which certificate a machine shows. Nothing else is sent.

Needs nothing of this project's, and no gRPC: `adopt`, the check of a pin, and whoever looks for machines use it.
"""

import hashlib

HANDSHAKE_S = 5.0
DEFAULT_PORT = 50_000


def endpoint(address: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT, HOST, or [IPv6]:PORT. Raises ValueError with a sentence."""
    host, colon, port = address.rpartition(":")
    if not colon or "]" in port or (":" in host and not host.startswith("[")):
        host, port = address, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{address!r} is no HOST:PORT")
    return host, int(port)


def joined(host: str, port: int) -> str:
    """The address as contexts keep it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def presented(host: str, port: int, timeout_s: float = HANDSHAKE_S) -> bytes:
    """The DER of the certificate that the machine presents. Raises OSError; proves nothing about who it is."""
    import socket
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with socket.create_connection((host, port), timeout_s) as plain, context.wrap_socket(plain) as secure:
        der = secure.getpeercert(binary_form=True)
    if der is None:
        raise OSError("the machine presented no certificate")
    return der


def fingerprint_of(der: bytes) -> str:
    """What clients pin: the lower-case hex SHA-256 of a certificate's DER."""
    return hashlib.sha256(der).hexdigest()


def pem_of(der: bytes) -> bytes:
    """The same certificate as text."""
    import base64

    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
