"""What this machine's processor is called in images. Source: the OCI image specification, after Go's GOARCH."""

import platform

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}


def architecture() -> str:
    """This machine's."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())
