"""An hour of operations and faults of every kind, on a hosted capsule or on the built disk: nothing may be left over."""
