"""capsule-guest: PID 1 inside a microVM. It starts the payload, ends with it, and serves the daemon meanwhile.

What stands between the kernel and the payload imports nothing slow: an emulated processor takes a tenth of a second for
what looks like nothing here. So there is no `typing`, `json`, `socket`, `signal` or `ctypes` in it, and no module that
imports one of these; `guest/service`, a process of its own, is the part that may.
"""
