"""Of several variants of an architecture, the one that this machine runs."""

import pytest

from effects.errors import WrongArchitecture
from effects.images.oci import Architecture, Descriptor, Platform, choose
from effects.images.platform import amd64_variants, architecture
from tests.support.images import MANIFEST

OLD = frozenset({"fpu", "sse2", "pni", "cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"})
NEW = OLD | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}


def index(architecture: str, *variants: str) -> tuple[Descriptor, ...]:
    return tuple(Descriptor(MANIFEST, one, 1, Platform(architecture, "linux", one)) for one in variants)


@pytest.mark.parametrize(
    ("flags", "variants"),
    [
        (frozenset[str](), ("", "v1")),
        (OLD, ("", "v1", "v2")),
        (NEW, ("", "v1", "v2", "v3")),
        (NEW - {"popcnt"}, ("", "v1")),
        (NEW | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}, ("", "v1", "v2", "v3", "v4")),
    ],
    ids=["first", "v2", "v3", "none above a gap", "v4"],
)
def test_a_processor_runs_the_levels_whose_instructions_it_has(
    flags: frozenset[str], variants: tuple[str, ...]
) -> None:
    assert amd64_variants(flags) == variants


@pytest.mark.parametrize(
    ("machine", "listed", "taken"),
    [
        (Architecture("amd64", amd64_variants(OLD)), index("amd64", "v3", "", "v2"), ""),
        (Architecture("amd64", amd64_variants(OLD)), index("amd64", "v3", "v2"), "v2"),
        (Architecture("amd64", amd64_variants(NEW)), index("amd64", "v3", "v1"), "v1"),
        (Architecture("amd64", amd64_variants(NEW)), index("amd64", "v4", "v3"), "v3"),
        (Architecture("arm", ("v7", "", "v6", "v5")), index("arm", "v5", "v6", "v8"), "v6"),
        (Architecture("arm64", ("", "v8")), index("arm64", "v9", "v8"), "v8"),
    ],
)
def test_the_order_of_an_index_does_not_say_which_variant_is_taken(
    machine: Architecture, listed: tuple[Descriptor, ...], taken: str
) -> None:
    assert choose(listed, machine).digest == choose(listed[::-1], machine).digest == taken


def test_an_image_for_newer_processors_alone_says_so() -> None:
    with pytest.raises(
        WrongArchitecture, match="nothing for linux/amd64 as this processor is, only for linux/amd64/v3"
    ):
        choose(index("amd64", "v3"), Architecture("amd64", amd64_variants(OLD)))


def test_this_machine_runs_what_names_no_variant() -> None:
    assert "" in architecture().variants
