"""What surrounds a workload's processes, in a container as in a microVM: who its image says they are, what they find in
a new volume and may do in a network of their own, and how a session of them ends.

The daemon does it for a container, the guest's agent in a microVM, each by these modules. PID 1 of a guest waits for
their import, so what holds there holds here (guest/__init__.py): nothing that is slow, and none of ours.
"""
