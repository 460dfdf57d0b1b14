"""What this machine's processor is called in images, and which variants of it it runs.

Source: the OCI image specification, after Go's GOARCH, GOAMD64 and GOARM; for amd64 the x86-64 psABI's levels, by the
flags that Linux names their instructions with.
"""

import platform
from functools import lru_cache
from pathlib import Path

from effects.images.oci import Architecture

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}
_VARIANTS = {"arm64": ("", "v8"), "arm": ("v7", "", "v6", "v5")}
_LEVELS = {
    "v2": "cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3",
    "v3": "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave",
    "v4": "avx512bw avx512cd avx512dq avx512f avx512vl",
}
"""What each level asks for beside the one before."""


@lru_cache(maxsize=1)
def architecture() -> Architecture:
    """This machine's."""
    name = ARCHITECTURES.get(platform.machine(), platform.machine())
    if name == "amd64":
        return Architecture(name, amd64_variants(_flags(Path("/proc/cpuinfo").read_text())))
    return Architecture(name, _VARIANTS.get(name, ("",)))


def amd64_variants(flags: frozenset[str]) -> tuple[str, ...]:
    """What a processor of these flags runs. What every one runs comes first: an image outlives the machine it is on."""
    variants = ["", "v1"]
    for level, needed in _LEVELS.items():
        if not flags.issuperset(needed.split()):
            break
        variants.append(level)
    return tuple(variants)


def _flags(cpuinfo: str) -> frozenset[str]:
    """Of the first processor in /proc/cpuinfo; all are alike."""
    line = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())
