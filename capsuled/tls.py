"""The machine's certificate: self-signed, made once and kept; clients pin its fingerprint and check nothing else.

Key and certificate lie in one file, so that a crash can never leave a pair that does not belong together. ECDSA P-256,
because gRPC clients do not offer Ed25519 for certificates. Dates are as wide as the format allows: a board without a
battery may think it is 1970, and a pin does not age.
"""

import datetime
import hashlib
from collections.abc import Callable
from pathlib import Path

import grpc
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from journal.durable import write_durably

FIRST_DAY = datetime.datetime(1970, 1, 1)
LAST_DAY = datetime.datetime(9999, 12, 31, 23, 59, 59)
_BEGIN = b"-----BEGIN CERTIFICATE-----"


class Certificate(msgspec.Struct, frozen=True):
    """Key and certificate as PEM. `fingerprint` is the lower-case hex SHA-256 of the certificate's DER."""

    key_pem: bytes
    certificate_pem: bytes
    fingerprint: str

    def __repr__(self) -> str:
        return f"Certificate({self.fingerprint})"


class BadCertificate(OSError):
    """Raised when the kept certificate cannot be read: it is never made anew by itself, for clients have pinned it."""


def load_or_make_certificate(path: Path, capsule_id: str) -> Certificate:
    """The certificate kept at `path`, made there if it is new. Raises OSError, BadCertificate."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = _made(capsule_id)
        write_durably(path, content)
    key_pem, begin, rest = content.partition(_BEGIN)
    try:
        certificate = x509.load_pem_x509_certificate(begin + rest)
    except ValueError as error:
        raise BadCertificate(
            0,
            "this is no certificate; put back the one that clients have pinned, or remove it to get another",
            str(path),
        ) from error
    fingerprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return Certificate(key_pem, begin + rest, fingerprint)


def _made(capsule_id: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "capsule")])
    names = [x509.DNSName(one) for one in ("capsule", "localhost", capsule_id)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FIRST_DAY)
        .not_valid_after(LAST_DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # It vouches for itself and for nobody else.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem + certificate.public_bytes(Encoding.PEM)


def server_credentials(certificate: Certificate, came: Callable[[], None]) -> grpc.ServerCredentials:
    """For a gRPC server that asks for no client certificate; see grpc_core.py for the version of TLS. `came` is called
    at each new connection, on a thread of gRPC's: it asks then whether the certificate is another by now, and None says
    that it is not."""
    configuration = grpc.ssl_server_certificate_configuration([(certificate.key_pem, certificate.certificate_pem)])
    return grpc.dynamic_ssl_server_credentials(configuration, came, False)  # type: ignore[arg-type]
