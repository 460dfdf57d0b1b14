"""What goes wrong in a boot."""


class StorageFailed(Exception):
    """Raised when there is no state to start on: what is wrong, and what to do about it."""


class DriversFailed(Exception):
    """Raised when some of the hardware may lack its driver: why, and what to do about it. The boot goes on without."""
