"""Containers: the drivers' contract, and the one that speaks to containerd."""
