"""MicroVMs: runs as virtual machines, each one process that is confined, and outlives the daemon."""
