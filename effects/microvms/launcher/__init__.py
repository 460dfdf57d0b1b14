"""The launcher: a process that becomes a virtual machine's monitor, with nothing left of what it could do before.

It is a process of its own so that nothing of the daemon's memory is in it, and imports nothing of ours for the same
reason. What the monitor may touch comes to it as open descriptors; what it may not touch is not there any more when it
begins: becoming.py has the order in which things are given up, kernel.py what Python has no words for.
"""
