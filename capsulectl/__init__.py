"""The operator's command line."""

import os

# gRPC reads these when it is first used, and whatever uses it first is of this package.
# A refused handshake is told as a sentence; the library's own words for it would stand in front of that.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# Its own resolver asks only servers of DNS: `capsule-1a2b.local`, which a machine says of itself on the LAN, and what
# /etc/nsswitch.conf has besides are known to the C library's alone.
os.environ.setdefault("GRPC_DNS_RESOLVER", "native")
