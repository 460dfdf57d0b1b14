"""Bytes that nobody meant, on every method and on the port: what they must not do is crash, leak, or be INTERNAL."""
