"""Where the operating system serves figures: at the address that the operator wrote into `/perm/capsule/metrics`, and
without that file nowhere.

Nobody stands before such a machine, so what is wrong with the address ends no start: it is told. One that cannot be had
is tried again, for the uplink has its own only after the daemon serves.
"""

import asyncio
import logging
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from capsuled.addresses import DEFAULT_METRICS, is_address
from capsuled.listening import CannotListen

if TYPE_CHECKING:
    from capsuled.metrics.serving import Endpoint

log = logging.getLogger(__name__)

AGAIN_S = 10.0


def wanted(file: Path) -> str:
    """The address in the file; empty where there is none. Raises ValueError with a sentence."""
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"it cannot be read: {error}") from error
    if text and not (is_address(text) and _is_numeric(text)):
        raise ValueError(
            f"{text[:80]!r} is no ADDRESS:PORT: write {DEFAULT_METRICS} or 0.0.0.0:50001, and nothing else"
        )
    return text


def _is_numeric(address: str) -> bool:
    """A name would have to be asked for, when nothing that answers is reached yet."""
    try:
        ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return True


class MetricsByHand:
    """`made` makes the endpoint, which is loaded only where there is an address."""

    def __init__(self, file: Path, made: "Callable[[], Endpoint]") -> None:
        self._file = file
        self._made = made
        self._problem = ""

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of now."""
        return (self._problem,) if self._problem else ()

    async def run(self) -> None:
        """Serve until cancelled; returns at once where nothing is to be served."""
        try:
            address = wanted(self._file)
        except ValueError as error:
            self._tell(f"{self._file} is not used, no figures are served: {error}")
            return
        if not address:
            return
        endpoint = self._made()
        try:
            await self._start(endpoint, address)
            await asyncio.Event().wait()
        finally:
            await endpoint.stop()

    async def _start(self, endpoint: "Endpoint", address: str) -> None:
        while True:
            try:
                await endpoint.start(address, chosen=f"in {self._file}")
            except CannotListen as error:
                self._tell(f"{error.filename} {error.strerror}. It is tried again by itself")
                await asyncio.sleep(AGAIN_S)
            else:
                self._problem = ""
                return

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("%s", problem)
        self._problem = problem
