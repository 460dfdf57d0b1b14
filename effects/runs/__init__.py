"""Runs of workloads, whatever they run in: the drivers' contract, their twins, and what all kinds have in common."""
