"""What a boot cannot go on from."""


class StorageFailed(Exception):
    """Raised when there is no state to start on: what is wrong, and what to do about it."""
