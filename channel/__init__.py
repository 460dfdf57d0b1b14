"""The channel to a microVM's guest: what its two ends have in common, and so none of it does I/O.

frames.py is how connections share one stream of bytes, protocol.py what either end may do with it, vsock.py where they
meet on vsock. The ends carry the bytes: effects/microvms/relay.py is the daemon's, guest/service/relay.py the guest's.
"""
