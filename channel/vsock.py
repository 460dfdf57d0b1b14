"""Where the two ends meet by vsock, and what the daemon is known by there. Source: vsock(7)."""

VSOCK_PORT = 5000
"""The guest's, on which it waits for the host."""
RESERVED = 1024
"""Ports below it are for root alone, on the host too: the daemon comes from one of them."""
