"""Generated stubs: see proto/ and tools/stubs.py.

Whoever loads them has the rules for letters of no language first: protobuf names a field in JSON with the C library's
`toupper` when its description is loaded, and in Turkish that leaves an `i` as it is: `host_ipc` would be `hostipc`.
"""

import _locale

try:
    _locale.setlocale(_locale.LC_CTYPE, "C.UTF-8")
except _locale.Error:
    pass  # a C library without it: its rules stay as they are
