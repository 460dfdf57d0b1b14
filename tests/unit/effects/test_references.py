"""Image references: what people write, and the one full form that it means."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effects.images.reference import BadReference, normalise

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox:latest"),
        ("me/app:1", "docker.io/me/app:1"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/me/app", "docker.io/me/app:latest"),
        ("Index.Docker.io/me/app", "Index.Docker.io/me/app:latest"),
        ("Registry.LAN:5000/web:A", "Registry.LAN:5000/web:A"),
        ("LOCALHOST/app", "LOCALHOST/app:latest"),
        ("NAS/app:1", "NAS/app:1"),
        ("[::A]:5000/app", "[::A]:5000/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("registry.example/a/b/c:v1", "registry.example/a/b/c:v1"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}"),
        (f"host.example/app@{DIGEST}", f"host.example/app@{DIGEST}"),
        ("a__b/c-d.e:T_1.x-y", "docker.io/a__b/c-d.e:T_1.x-y"),
    ],
)
def test_a_short_form_means_what_it_means_everywhere(text: str, full: str) -> None:
    assert normalise(text) == full
    assert normalise(full) == full, "the full form means itself"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ":", "@", "/", "busybox:", "busybox@", "Busybox", "a//b", "/a", "a/", "-a", "a b", "a:b:c", "a:" + "t" * 129,
        "busybox@sha256:short", "busybox@sha256:" + "G" * 64, "busybox@md5:" + "0" * 32, "a..b", "ä",
        "host.example/App", "a\n", "busybox:1\n",
    ],
)  # fmt: skip
def test_what_can_name_no_image_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadReference, match="is no image reference"):
        normalise(text)


@settings(max_examples=300)
@given(st.text(alphabet="aB1.-_:/@[] \n", max_size=20))
def test_any_text_is_a_reference_or_is_refused_and_the_full_form_stands(text: str) -> None:
    try:
        full = normalise(text)
    except BadReference:
        return
    assert normalise(full) == full
