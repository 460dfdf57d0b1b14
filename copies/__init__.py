"""Trees of files as tar archives, and back: what both ends of a copy have in common. Imports nothing of ours.

headers.py has the format, packing.py makes an archive of a tree, reading.py takes one apart, staging.py and
settling.py bring what was in it to its place. inside.py is the daemon's end: a process of its own that enters the
workload first. Every file is reached by the descriptor of its directory, and no link is followed on the way.
"""
