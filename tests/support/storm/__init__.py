"""A storm on the real machine: random operations and faults, and a world that is counted in every quiet moment."""
