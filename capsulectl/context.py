"""`capsulectl context …`."""

import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from capsulectl.contexts import (
    changing,
    check_known,
    choose,
    chosen_within,
    current,
    load_local,
    load_shared,
    new_name,
    no_context,
    save_local,
    save_shared,
)
from capsulectl.errors import Failure
from capsulectl.names import context_names
from capsulectl.options import COMMON, Common, Output, Unasked
from capsulectl.render import say, show_table, write

Context = Annotated[str, Parameter(help="The context's name.", completer=context_names)]


def list_(*, output: Output = "table") -> None:
    """List contexts; the one in use has a star.

    Example: capsulectl context list
    """
    local, shared = load_local(), load_shared()
    chosen = current(local, shared)
    found = {name: f"unix:{one['socket']}" for name, one in local["contexts"].items()}
    found |= {name: str(one.get("addr", "")) for name, one in shared["contexts"].items() if name not in found}
    if output in ("json", "yaml"):
        write({"current": chosen, "contexts": found}, output)
    elif output == "name":
        for name in sorted(found):
            print(name)
    else:
        wide = output == "wide"
        rows = []
        for name in sorted(found):
            one = {} if name in local["contexts"] else shared["contexts"][name]
            pinned = str(one.get("tls_fingerprint_sha256", ""))
            row = ("*" if name == chosen else "", name, found[name], str(one.get("capsule_id", "")))
            rows.append((*row, pinned if wide else pinned[:16]))
        show_table(("", "NAME", "ADDRESS", "CAPSULE", "FINGERPRINT"), rows, cut=not wide, kept=2)


def show(
    name: Annotated[str, Parameter(help="The context's name (default: the one in use).", completer=context_names)] = "",
    /,
    *,
    output: Output = "table",
) -> None:
    """Show one context: its address, the certificate it pins, the key it uses.

    Example: capsulectl context show home
    """
    local, shared = load_local(), load_shared()
    name = name or current(local, shared)
    found: dict[str, Any] | None = shared["contexts"].get(name) if name not in local["contexts"] else None
    found = local["contexts"].get(name, found)
    if found is None:
        raise Failure(f"there is no context {name}" if name else "no context is in use")
    if output in ("json", "yaml"):
        write({"name": name, **found}, output)
    elif output == "name":
        print(name)
    else:
        print("\n".join(f"{key + ':':<24}{value}" for key, value in {"name": name, **found}.items()))


def add(
    name: Context,
    /,
    *,
    socket: Annotated[str, Parameter(name="--socket", help="The path of capsuled's socket.")],
    use: Annotated[bool, Parameter(name="--use", negative="", help="And choose it.")] = False,
    force: Annotated[
        bool, Parameter(name="--force", negative="", help="Also when the name is another socket's so far.")
    ] = False,
    common: Common = COMMON,
) -> None:
    """Remember a capsule by its socket. One that is reached over the network is remembered by `capsulectl adopt`.

    Example: capsulectl context add home --socket /var/lib/capsule/capsule.sock --use
    """
    name, path = new_name(name), str(Path(socket).resolve())
    with changing():
        local = load_local()
        if name in load_shared()["contexts"]:
            instead = f"`capsulectl context rm {name}` first"
            raise Failure(f"the context {name} is a capsule on the network already: {instead}")
        before = local["contexts"].get(name, {}).get("socket", path)
        if before != path and not force:
            raise Failure(f"the context {name} is {before} already: say another name, or --force to replace it")
        local["contexts"][name] = {"socket": path}
        save_local(local)
        if use:
            chosen_within(name)
    say(f"context {name} is {path}{'' if os.path.exists(path) else ', where no capsule is now'}", common.quiet)


def use(name: Context, /, *, common: Common = COMMON) -> None:
    """Choose the context that commands talk to.

    Example: capsulectl context use home
    """
    choose(name)
    say(f"using {name}", common.quiet)


def rename(
    name: Context, new: Annotated[str, Parameter(help="What it shall be called.")], /, *, common: Common = COMMON
) -> None:
    """Give a context another name; the one in use stays in use. The machine itself is not touched.

    Example: capsulectl context rename home attic
    """
    new = new_name(new)
    check_known(name)
    with changing():
        local, shared = load_local(), load_shared()
        if new in local["contexts"] or new in shared["contexts"]:
            raise Failure(f"there is a context {new} already: say another name, or `capsulectl context rm {new}` first")
        in_use = current(local, shared) == name
        if name in local["contexts"]:
            local["contexts"][new] = local["contexts"].pop(name)
            if in_use:
                local |= {"current": new, "beside": shared["current"]}
            save_local(local)
        elif name in shared["contexts"]:
            shared["contexts"][new] = shared["contexts"].pop(name)
            if shared["current"] == name:
                shared["current"] = new
                if local.get("beside") == name:  # the choice that was made beside it holds still
                    save_local(local | {"beside": new})
            save_shared(shared)
        else:
            raise no_context(name, local, shared)
    say(f"{name} is {new} from now", common.quiet)


def remove(name: Context, /, *, yes: Unasked = False, common: Common = COMMON) -> None:
    """Forget a context; the machine itself is not touched, and your key stays enrolled on it.

    Example: capsulectl context rm home
    """
    check_known(name)
    with changing():
        local, shared = load_local(), load_shared()
        in_use = current(local, shared) == name
        if name in local["contexts"]:
            del local["contexts"][name]
            if local["current"] == name:
                local |= {"current": "", "beside": ""}
            save_local(local)
        elif name in shared["contexts"]:
            del shared["contexts"][name]
            if shared["current"] == name:
                shared["current"] = ""
            save_shared(shared)
        else:
            raise no_context(name, local, shared)
    say(f"{name} is forgotten{_next(local, shared) if in_use else ''}", common.quiet)


def _next(local: dict[str, Any], shared: dict[str, Any]) -> str:
    """What commands talk to, now that the context in use is gone."""
    now, others = current(local, shared), sorted({*local["contexts"], *shared["contexts"]})
    if now:
        return f": it was the one in use, and {now} is from now"
    return ": it was the one in use" + (f"; `capsulectl context use {others[0]}` chooses another" if others else "")
