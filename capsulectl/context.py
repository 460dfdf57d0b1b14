"""`capsulectl context …`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from capsulectl.contexts import load_local, load_shared, save_local
from capsulectl.errors import Failure
from capsulectl.options import COMMON, Common, Output
from capsulectl.render import say, table, write

Context = Annotated[str, Parameter(help="The context's name.")]


def list_(*, output: Output = "table") -> None:
    """List contexts; the one in use has a star.

    Example: capsulectl context list
    """
    local, shared = load_local(), load_shared()
    found = {name: f"unix:{one['socket']}" for name, one in local["contexts"].items()}
    found |= {name: str(one.get("addr", "")) for name, one in shared["contexts"].items() if name not in found}
    if output in ("json", "yaml"):
        write({"current": local["current"], "contexts": found}, output)
    elif output == "name":
        for name in sorted(found):
            print(name)
    else:
        rows = [("*" if name == local["current"] else "", name, found[name]) for name in sorted(found)]
        print(table(("", "NAME", "ADDRESS"), rows))


def add(
    name: Context,
    /,
    *,
    socket: Annotated[str, Parameter(name="--socket", help="The path of capsuled's socket.")],
    use: Annotated[bool, Parameter(name="--use", negative="", help="And choose it.")] = False,
    common: Common = COMMON,
) -> None:
    """Remember a capsule by its socket.

    Example: capsulectl context add home --socket /var/lib/capsule/capsule.sock --use
    """
    local = load_local()
    local["contexts"][name] = {"socket": str(Path(socket).resolve())}
    if use:
        local["current"] = name
    save_local(local)
    say(f"context {name} is {local['contexts'][name]['socket']}", common.quiet)


def use(name: Context, /, *, common: Common = COMMON) -> None:
    """Choose the context that commands talk to.

    Example: capsulectl context use home
    """
    local = load_local()
    if name not in local["contexts"]:
        raise Failure(f"there is no context {name} with a socket: `capsulectl context list` shows those there are")
    local["current"] = name
    save_local(local)
    say(f"using {name}", common.quiet)


def remove(name: Context, /, *, common: Common = COMMON) -> None:
    """Forget a context; the machine itself is not touched.

    Example: capsulectl context rm home
    """
    local = load_local()
    if local["contexts"].pop(name, None) is None:
        raise Failure(f"there is no context {name} with a socket")
    if local["current"] == name:
        local["current"] = ""
    save_local(local)
    say(f"{name} is forgotten", common.quiet)
