"""Generates the gRPC stubs in gen/ from proto/; `--check` says whether they are fresh, and changes nothing."""

import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "capsule/v1": "stubs of the public API",
    "capsule/guest/v1": "stubs of what the daemon and a microVM's agent say to each other",
    "containerdapi": "stubs of the part of containerd's API in use",
}
PARENTS = ("capsule/guest",)
PLAIN = '"""Generated stubs: see proto/ and tools/stubs.py."""\n'
FIRST = '''\
"""Generated stubs: see proto/ and tools/stubs.py.

Whoever loads them has the rules for letters of no language first: protobuf names a field in JSON with the C library's
`toupper` when its description is loaded, and in Turkish that leaves an `i` as it is: `host_ipc` would be `hostipc`.
"""

import _locale

try:
    _locale.setlocale(_locale.LC_CTYPE, "C.UTF-8")
except _locale.Error:
    pass  # a C library without it: its rules stay as they are
'''
"""Of the package that all others of ours are in: it is imported before any description is loaded, whatever the program.
`locale` itself would be one more module at each start of the command line."""


def generate(target: Path) -> None:
    """Write every stub below `target`."""
    for package in PACKAGES:
        (target / package).mkdir(parents=True, exist_ok=True)
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    arguments = [
        "protoc",
        f"--proto_path={ROOT / 'proto'}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        *protos,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    for stub in target.rglob("*_pb2_grpc.py"):
        # A file without a service still gets a stub module, with a version check and nothing else in it.
        if "class " not in stub.read_text():
            stub.unlink()
    for package, what in PACKAGES.items():
        (target / package / "__init__.py").write_text(f'"""Generated {what}: see proto/ and tools/stubs.py."""\n')
    for parent in PARENTS:
        (target / parent / "__init__.py").write_text(PLAIN)
    (target / "capsule" / "__init__.py").write_text(FIRST)


def stale(one: Path, other: Path) -> list[str]:
    """The files that differ between two trees, or are in one only."""
    names = {
        str(path.relative_to(root)) for root in (one, other) for path in root.rglob("*.py*") if path.suffix != ".pyc"
    }
    _, mismatch, missing = filecmp.cmpfiles(one, other, sorted(names), shallow=False)
    return sorted(mismatch + missing)


def main() -> None:
    """Generate, or check."""
    if sys.argv[1:] == ["--check"]:
        with tempfile.TemporaryDirectory() as scratch:
            generate(Path(scratch))
            found = stale(Path(scratch), ROOT / "gen")
        if found:
            raise SystemExit(f"stale stubs: {', '.join(found)}: run `make stubs`")
        return
    generate(ROOT / "gen")


if __name__ == "__main__":
    main()
