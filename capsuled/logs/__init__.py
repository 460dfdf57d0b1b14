"""Workloads' logs: written by the runtime into plain files, kept in bounds, timed and served by the daemon.

The daemon is never in the path of the bytes, so its death loses none. `recorder` watches the files grow and writes
`index` (which bytes were seen when), `retention` says what must go, `files` lets the front of a file go without moving
the rest, `pump` steps in where the runtime gave a file up, `reading` and `stream` bring it all to clients.
"""
