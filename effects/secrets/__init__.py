"""Secrets as files in memory: the protocol, the driver and its twin."""
