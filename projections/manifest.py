"""Fields by the names that manifests have for them: who is refused looks for the fault in what he wrote. Pure."""

_UNITS = ("Bytes", "Ms")
_OTHERWISE = {"network": "networkMode"}


def camel(name: str) -> str:
    """`mount_path` as `mountPath`; what is so already stays."""
    first, *more = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in more)


def written(field: str) -> str:
    """A field of a spec or of a message (`host_binds`, `interval_ms`, `memoryBytes`) as one writes it: a quantity is
    named without its unit, for that stands with its value."""
    name = camel(_OTHERWISE.get(field, field))
    return next((name.removesuffix(unit) for unit in _UNITS if name.endswith(unit)), name)
