"""Whether microVMs can run here, and with what: what `capsule info` shows, and why admission refuses one."""

import msgspec


class MicroVMs(msgspec.Struct, frozen=True):
    """`backend` runs them, with its version, and `accelerator` their processors (kvm or tcg); or `lacks` says why none
    can run, and what to do about it."""

    backend: str = ""
    accelerator: str = ""
    lacks: str = ""


NONE = MicroVMs(lacks="this capsuled was built without a driver for them")
