"""Volumes: block devices with a file system of their own, mounted while a workload uses them."""
