"""What gRPC is told before it is used for the first time, by whichever module."""

import os
import subprocess
import sys

import pytest

USES = ("capsulectl.connection", "capsulectl.secure", "capsulectl.adopt", "capsulectl.install", "capsulectl.session")
SAYS = """
import importlib, os, sys
importlib.import_module(sys.argv[1])
print(os.environ["GRPC_DNS_RESOLVER"], os.environ["GRPC_VERBOSITY"])
import grpc
call = grpc.insecure_channel("nosuch.invalid:50000").unary_unary("/x/y")
try:
    call(b"", timeout=20)
except grpc.RpcError as error:
    print(error.details())
"""


@pytest.mark.parametrize("module", USES)
@pytest.mark.parametrize("chosen", ["", "ares"])
def test_names_are_those_that_the_c_library_finds_unless_somebody_chose_otherwise(module: str, chosen: str) -> None:
    """Only that one knows the names that machines have on the LAN."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    environment |= {"GRPC_DNS_RESOLVER": chosen} if chosen else {}
    done = subprocess.run(
        [sys.executable, "-c", SAYS, module], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    settings, _, error = done.stdout.partition("\n")
    assert settings == f"{chosen or 'native'} NONE"
    assert ("getaddrinfo" in error) is not bool(chosen), error
