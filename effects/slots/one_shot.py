"""The boot loader's one boot of another slot, taken back by whoever wants its default to boot: firmware may not have
noted that it was taken."""

from msgspec.structs import replace

from effects.slots.protocol import BootLoader


async def take_back(loader: BootLoader) -> None:
    """Nothing is booted once any more. Raises LoaderFailed."""
    state = await loader.read()
    if state.next_slot is not None:
        await loader.write(replace(state, next_slot=None))
