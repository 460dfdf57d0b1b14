"""What the bridge's name server knows: workloads by name and by address. Pure but for its memory of what it rendered.

`web` and `web.capsule` are the address of workload web on the bridge (of one on the machine's network: the machine's
own there); addresses have their names back. The zone is the machine's: nobody else is asked for a name in it.
"""

import struct
from typing import Any

from journal.events import NetworkDetached, NetworkMoved, WorkloadApplied, WorkloadDeleteRequested, WorkloadRemoved
from projections.network import ZONE
from projections.state import Machine

PORT = 53
HEADER_BYTES = 12
"""Of every message. RFC 1035, 4.1.1."""

TTL_S = 5
"""Short: an address that is given to another workload must not be remembered for long."""

_ANSWERS_KEPT = 4_096
_KEPT_BYTES = 512
"""A question that is longer is padded, and answered anew each time: what is kept has a bound in bytes, too."""


NAMING = (WorkloadApplied, WorkloadDeleteRequested, WorkloadRemoved, NetworkDetached, NetworkMoved)
"""After these events `addresses_of` may say something else, and after no others."""


def addresses_of(machine: Machine, gateway: str) -> dict[str, str]:
    """Who answers to which name."""
    found = {}
    for name, workload in machine.workloads.items():
        if workload.spec.network == "host":
            found[name] = gateway
        elif workload.address and workload.desired != "deleting":
            found[name] = workload.address
    return found


def _pointer(address: str) -> str:
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


class Answers:
    """Answers to what is known, kept rendered until a name or an address changes."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._rendered: dict[bytes, bytes] = {}

    def know(self, addresses: dict[str, str], gateway: str) -> None:
        """From now on these names have these addresses; the machine's own, which several may share, has none back."""
        if addresses != self._addresses:
            self._addresses = addresses
            self._names = {_pointer(one): name for name, one in addresses.items() if one != gateway}
            self._rendered.clear()

    def to(self, question: bytes) -> bytes | None:
        """The answer to a question; None when it is to be asked elsewhere, or is no question at all."""
        kept = self._rendered.get(question[2:])
        if kept is None:
            answer = self._render(question)
            if answer is None:
                return None
            if len(question) > _KEPT_BYTES:
                return answer
            if len(self._rendered) >= _ANSWERS_KEPT:
                self._rendered.clear()
            kept = self._rendered[question[2:]] = answer[2:]
        return question[:2] + kept

    def _render(self, question: bytes) -> bytes | None:
        import dns.exception
        import dns.flags
        import dns.message
        import dns.opcode
        import dns.rcode
        import dns.rdataclass
        import dns.rdatatype
        import dns.rrset

        try:
            asked = dns.message.from_wire(question)
        except (dns.exception.DNSException, ValueError):
            return None
        if asked.flags & dns.flags.QR or asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
            return None
        (one,) = asked.question
        if one.rdclass != dns.rdataclass.IN:
            return None
        text = one.name.to_text(omit_final_dot=True).lower()
        answer: Any = dns.message.make_response(asked, recursion_available=True)
        answer.flags |= dns.flags.AA
        kind, data = "", ""
        if text in self._names:
            kind, data = "PTR", f"{self._names[text]}.{ZONE}."
        elif (label := text.removesuffix(f".{ZONE}")) in self._addresses:
            kind, data = "A", self._addresses[label]
        elif text == ZONE or text.endswith(f".{ZONE}"):
            if text != ZONE:
                answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            return None
        if kind and one.rdtype in (dns.rdatatype.from_text(kind), dns.rdatatype.ANY):
            answer.answer.append(dns.rrset.from_text(one.name, TTL_S, "IN", kind, data))
        wire: bytes = answer.to_wire()
        return wire


def unavailable(question: bytes) -> bytes:
    """The answer that says that nobody could be asked: the question again, marked as a response with SERVFAIL."""
    flags = (struct.unpack_from(">H", question, 2)[0] | 0x8080) & ~0x000F | 2
    return question[:2] + struct.pack(">H", flags) + question[4:]
