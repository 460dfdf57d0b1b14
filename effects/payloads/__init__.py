"""Payload disks: an image's files as one read-only file system, and the private layer that lies on it."""
