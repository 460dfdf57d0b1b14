"""`capsulectl discover`: which capsules the LAN knows of, and what each of them shows to whoever dials.

Multicast DNS is anybody's word. It only says where to look; the fingerprint comes from a handshake with that address,
as `adopt` and every later dial would meet it.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

from cyclopts import Parameter

from capsulectl.contexts import load_shared
from capsulectl.errors import FAILED, Failure
from capsulectl.handshake import fingerprint_of, joined, presented
from capsulectl.options import COMMON, DURATION, Common, Output
from capsulectl.quantities import seconds_text
from capsulectl.render import printable, say, show_table, write

SERVICE = "_capsule._tcp.local."
ASK_S = 3.0
MOST = 256
"""No LAN has so many capsules; of one that seems to, no more are looked at, and that is said."""

MOST_ADDRESSES = 4
AT_A_TIME = 16


def positive(type_: object, value: float) -> None:
    """A validator for durations."""
    if value <= 0:
        raise ValueError("It must be more than 0.")


@dataclass
class Found:
    """One that announced itself. All but `address` and `fingerprint` is what it says; those are where one that answered
    was dialled, and what it showed. `problem`: why there is no fingerprint."""

    name: str
    addresses: list[str]
    port: int
    said: dict[str, str] = field(default_factory=dict)
    address: str = ""
    fingerprint: str = ""
    problem: str = ""

    @property
    def adopted(self) -> bool:
        """By anybody, as it says."""
        return self.said.get("adopted") == "true"

    @property
    def whose(self) -> str:
        """What stands under ADOPTED: of an installer, that it is one."""
        return "installer" if self.said.get("mode") == "installer" else "yes" if self.adopted else "no"


def discover(
    *,
    timeout: Annotated[
        float,
        DURATION,
        Parameter(name="--timeout", validator=positive, help="How long to listen for answers (3 or 3s)."),
    ] = 3.0,
    unadopted: Annotated[
        bool, Parameter(name="--unadopted", negative="", help="Only those that say that nobody has adopted them.")
    ] = False,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Find capsules on the LAN.

    Names, versions and whether they are adopted are what they say of themselves. The fingerprint is what the machine
    at that address shows in a handshake; CONTEXT names the context of yours that pins it. An installer is a machine
    that booted from a removable disk: `capsulectl install` makes it a capsule.

    Example: capsulectl discover --unadopted
    """
    try:
        found, whole = asyncio.run(_search(timeout))
    except OSError as error:
        raise Failure(
            f"multicast DNS does not work here: {error.strerror or error}. `capsulectl adopt HOST:PORT` needs none",
            FAILED,
        ) from error
    if not whole:
        say(f"more than {MOST} names were announced: these are of the first {MOST}, and somebody floods this network")
    contexts = load_shared()["contexts"]
    found = sorted((one for one in found if not (unadopted and one.adopted)), key=lambda one: (one.name, one.address))
    for one in found:
        _warn(one, contexts, common.quiet)
    if output in ("json", "yaml"):
        write([_plain(one, contexts) for one in found], output)
        return
    if not found:
        kind = "capsule that is not adopted" if unadopted else "capsule"
        say(
            f"no {kind} answered within {seconds_text(timeout)}: one that listens on 127.0.0.1 only is not announced",
            common.quiet,
        )
        return
    if output == "name":
        print("\n".join(one.address for one in found if one.address))
        return
    _table(found, contexts, wide=output == "wide")


def _table(found: list[Found], contexts: dict[str, Any], wide: bool) -> None:
    rows = []
    for one in found:
        address = one.address or joined(one.addresses[0], one.port)
        shown = one.fingerprint if wide else one.fingerprint[:16]
        row = (one.name, address, one.whose, one.said.get("version", ""))
        rows.append((*row, shown or "-", context_of(one, contexts) or "-"))
    show_table(("NAME", "ADDRESS", "ADOPTED", "VERSION", "FINGERPRINT", "CONTEXT"), rows, cut=not wide)


def context_of(one: Found, contexts: dict[str, Any]) -> str:
    """The name of the context that pins what this machine shows; empty when none does."""
    names = (name for name, known in contexts.items() if known.get("tls_fingerprint_sha256") == one.fingerprint)
    return next(names, "") if one.fingerprint else ""


def _warn(one: Found, contexts: dict[str, Any], quiet: bool) -> None:
    name, address = printable(one.name), one.address or joined(one.addresses[0], one.port)
    if one.problem:
        say(f"{name} at {address} does not answer: {one.problem}", quiet)
        return
    said = one.said.get("capsule_id", "")
    for known, context in contexts.items():
        if said and context.get("capsule_id") == said and context.get("tls_fingerprint_sha256") != one.fingerprint:
            # Never quiet: somebody may be about to adopt it.
            say(f"WARNING: {name} at {address} says that it is {known}, but shows another certificate: it is not")


def _plain(one: Found, contexts: dict[str, Any]) -> dict[str, Any]:
    said = one.said
    return {
        "name": one.name,
        "capsuleId": said.get("capsule_id", ""),
        "shortId": said.get("short_id", ""),
        "hostname": said.get("hostname", ""),
        "version": said.get("version", ""),
        "mode": said.get("mode", ""),
        "adopted": one.adopted,
        "address": one.address,
        "addresses": [joined(address, one.port) for address in one.addresses],
        "fingerprint": one.fingerprint,
        "context": context_of(one, contexts),
        "problem": one.problem,
    }


# --- the search ------------------------------------------------------------------------------------------------------


async def _search(timeout_s: float) -> tuple[list[Found], bool]:
    """What answered in time, and whether that is all of it. Raises OSError where there is no multicast."""
    from zeroconf import IPVersion, ServiceStateChange
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    names: set[str] = set()
    dials = asyncio.Semaphore(AT_A_TIME)
    tasks: list[asyncio.Task[Found | None]] = []
    zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)

    def heard(zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        if state_change is ServiceStateChange.Removed or name in names or len(names) > MOST:
            return
        names.add(name)
        if len(names) <= MOST:
            tasks.append(asyncio.ensure_future(_look(zeroconf, name, dials)))

    try:
        await zeroconf.zeroconf.async_wait_for_start()
        browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[heard])
        await asyncio.sleep(timeout_s)
        await browser.async_cancel()
        answers = await asyncio.gather(*tasks)
    finally:
        await zeroconf.async_close()
    return [one for one in answers if one is not None], len(names) <= MOST


async def _look(zeroconf: Any, name: str, dials: asyncio.Semaphore) -> Found | None:
    """Where it says that it is, and what is there; None if it does not say, or has a name that is no capsule's: what a
    neighbour announces must not keep the others from being found."""
    from zeroconf import Error, IPVersion
    from zeroconf.asyncio import AsyncServiceInfo

    try:
        info = AsyncServiceInfo(SERVICE, name)
        if not await info.async_request(zeroconf, int(ASK_S * 1_000)):
            return None
    except Error:
        return None
    addresses = info.parsed_scoped_addresses(IPVersion.V4Only) + info.parsed_scoped_addresses(IPVersion.V6Only)
    if not addresses or not info.port:
        return None
    said = {key: value or "" for key, value in info.decoded_properties.items()}
    found = Found(name.removesuffix(f".{SERVICE}"), addresses, info.port, said)
    async with dials:
        await asyncio.to_thread(_dial, found)
    return found


def _dial(found: Found) -> None:
    """The first of its addresses that shows a certificate."""
    for address in found.addresses[:MOST_ADDRESSES]:
        try:
            found.fingerprint = fingerprint_of(presented(address, found.port))
        except OSError as error:
            found.problem = found.problem or str(error)
        else:
            found.address, found.problem = joined(address, found.port), ""
            return
