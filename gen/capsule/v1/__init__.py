"""Generated stubs of the public API: see proto/ and tools/stubs.py."""
