"""In Turkish the capital of `i` is no `I`, to the C library as well: what we print and read has the same names there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("localedef")
TURKISH = "tr_TR.UTF-8"
SOURCES = Path("/usr/share/i18n")
CAPITAL = "import ctypes; print(chr(ctypes.CDLL(None).towupper(ord('i'))))"
NAMES = "from capsule.v1 import workload_pb2; print(workload_pb2.ContainerSpec.DESCRIPTOR.fields_by_name['host_ipc'].json_name)"


@pytest.fixture(scope="module")
def turkish(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody there, whatever this machine has installed of languages."""
    if not (SOURCES / "locales" / "tr_TR").exists():
        pytest.skip("this machine lacks the sources of locales")
    place = tmp_path_factory.mktemp("locales")
    subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", place / TURKISH], check=True)
    return os.environ | {"LOCPATH": str(place), "LC_ALL": TURKISH}


def said(environment: dict[str, str], *argv: str) -> str:
    return subprocess.run([sys.executable, *argv], env=environment, check=True, capture_output=True, text=True).stdout


def test_the_locale_is_turkish_to_who_does_not_decide_otherwise(turkish: dict[str, str]) -> None:
    assert said(turkish, "-c", CAPITAL) == "İ\n"


def test_fields_have_their_names_whatever_the_machines_language(turkish: dict[str, str]) -> None:
    assert said(turkish, "-c", NAMES) == "hostIpc\n"


@pytest.mark.parametrize("words", [("explain", "Container"), ("schema",)], ids=" ".join)
def test_the_command_line_prints_the_same_there(turkish: dict[str, str], words: tuple[str, ...]) -> None:
    here = said(os.environ | {"LC_ALL": "C.UTF-8"}, "-m", "capsulectl", *words)
    assert "hostIpc" in here
    assert said(turkish, "-m", "capsulectl", *words) == here
