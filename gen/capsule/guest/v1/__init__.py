"""Generated stubs of what the daemon and a microVM's agent say to each other: see proto/ and tools/stubs.py."""
