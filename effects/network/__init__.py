"""The bridge, its rules, and the workloads' links to it."""
