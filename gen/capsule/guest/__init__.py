"""Generated stubs: see proto/ and tools/stubs.py."""
