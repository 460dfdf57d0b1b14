"""Containers: the driver of runs that speaks to containerd."""
