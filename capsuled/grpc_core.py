"""What gRPC's C core reads from the environment, once, when it is first used: said before anything uses it."""

import os


def settle() -> None:
    """Call before this process makes its first channel or server.

    gRPC has no setting for the lowest version of TLS. It has one for the cipher suites of TLS 1.2 and older, which
    those of TLS 1.3 are not among: with suites that need an RSA key, which our certificate has not, only 1.3 is left.
    And every failed handshake is a line on standard error otherwise: whoever knocks could fill the machine's log.
    """
    os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES128-GCM-SHA256"
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
