"""A clock that a test moves by hand."""


class HandClock:
    """See journal.clock.Clock; `sleep` only moves it."""

    def __init__(self, boot_id: str = "boot-1") -> None:
        self.boot_id = boot_id
        self.wall = 1_700_000_000_000_000_000
        self.mono = 1_000_000_000

    def wall_ns(self) -> int:
        return self.wall

    def mono_ns(self) -> int:
        return self.mono

    def pass_time(self, seconds: float) -> None:
        self.wall += int(seconds * 1e9)
        self.mono += int(seconds * 1e9)

    async def sleep(self, seconds: float) -> None:
        self.pass_time(seconds)
