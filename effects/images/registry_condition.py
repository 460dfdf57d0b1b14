"""What an exchange with a registry means that failed: one condition, in an operator's words."""

import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx

from effects.errors import DriverError, RegistryUnreachable, RegistryUntrusted

_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL makes of an answer in plain HTTP, by its releases."""
_DATES = {9: "is not valid yet", 10: "has expired"}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h."""


class NoTls(RegistryUntrusted):
    """The other side does not speak TLS at all."""


def condition(host: str, error: Exception) -> DriverError:
    """What httpx's `error` means, of the registry `host` (as it stands in images' names)."""
    tls = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return _unverified(host, tls)
    if tls is not None and tls.reason in _PLAIN:
        return NoTls(
            f"{host} speaks no TLS: if that is meant, say so with `capsulectl image login {host} --plain-http`"
        )
    if isinstance(tls, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return RegistryUnreachable(f"{host} hangs up instead of answering: is it a registry?")
    if tls is not None and tls.reason:
        return RegistryUntrusted(f"{host} and this machine agree on no way to encrypt ({tls.reason})")
    if isinstance(error, httpx.PoolTimeout):
        return RegistryUnreachable(
            f"{host} was not asked: this machine has as many questions under way there as it may"
        )
    if isinstance(error, httpx.TimeoutException):
        return RegistryUnreachable(f"{host} does not answer in time")
    why = next(filter(None, map(_why, _causes(error))), "")
    said = why or str(error) or type(error).__name__
    return RegistryUnreachable(f"{host} cannot be reached: {said} (is that its name and port, and does it run?)")


def _unverified(host: str, tls: ssl.SSLCertVerificationError) -> DriverError:
    """Dates put themselves right, when the clock is set or the certificate renewed: then it is to be tried again."""
    if (what := _DATES.get(tls.verify_code)) is not None:
        return RegistryUnreachable(
            f"{host} shows a certificate that {what} by this machine's clock ({datetime.now(UTC):%Y-%m-%d %H:%M} UTC): "
            "if the clock is right, the registry needs a new one"
        )
    return RegistryUntrusted(
        f"{host} shows a certificate that this machine does not trust ({tls.verify_message}): if it is yours, "
        f"say who signed it with `capsulectl image login {host} --ca FILE`"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and the reasons for it, each the cause of the one before."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _why(error: BaseException) -> str:
    """The system's own words for an error of its; asyncio puts others in their place."""
    if not isinstance(error, OSError) or not error.errno:
        return ""
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
