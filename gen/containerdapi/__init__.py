"""Generated stubs of the part of containerd's API in use: see proto/ and tools/stubs.py."""
