"""How `--help` looks: plain lines in two columns, as wide as the window, and the whole text of the verb asked about."""

import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

from cyclopts import App

_GAP = 2
_NAMES_MAX = 28
_NARROW = 44
"""Below this many columns a description stands under its name, not beside it."""

_SAID_ANYWAY = frozenset({"", '""', "''", "False", "[]", "()", "0", "None"})


class Formatter:
    """A help formatter for cyclopts."""

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        """One group of commands or options."""
        rows = [(_names(entry), _text(entry)) for entry in panel.entries]
        if not rows:
            return
        console.print(f"{panel.title}:", markup=False, highlight=False)
        for line in columns([row for row in rows if row[0]], console.width):
            console.print(line, markup=False, highlight=False, overflow="ignore", no_wrap=True, crop=False)
        console.print()

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """The first line."""
        if usage:
            text = _plain(usage).removeprefix("Usage:").strip()
            console.print(
                f"Usage: {text}\n", markup=False, highlight=False, overflow="ignore", no_wrap=True, crop=False
            )

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        """What the verb does. Paragraphs are filled to the window; each example stays on one line."""
        for paragraph in _plain(description).split("\n\n"):
            text = " ".join(paragraph.split())
            example = text.startswith("Example:")
            filled = (
                text.replace(" Example:", "\nExample:") if example else textwrap.fill(text, max(console.width - 1, 20))
            )
            console.print(filled, markup=False, highlight=False, overflow="ignore", no_wrap=True, crop=False)
            console.print()


def columns(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Names on the left, descriptions on the right, or below where there is no room."""
    left = min(max((len(name) for name, _ in rows), default=0), _NAMES_MAX) + _GAP
    lines: list[str] = []
    for name, text in rows:
        if width < _NARROW:
            lines.append(f"  {name}")
            lines += textwrap.wrap(text, max(width - 5, 12), initial_indent="    ", subsequent_indent="    ")
            continue
        wrapped = textwrap.wrap(text, max(width - left - 3, 12)) or [""]
        if len(name) + _GAP > left:
            lines.append(f"  {name}")
        else:
            lines.append(f"  {name:<{left}}{wrapped.pop(0)}".rstrip())
        lines += [" " * (left + 2) + line for line in wrapped]
    return lines


def _names(entry: Any) -> str:
    shorts = [name for name in entry.positive_shorts if name.startswith("-")]
    words = [*shorts, *[name for name in entry.positive_names if name not in shorts]]
    if not words[0:1] or not words[0].startswith("-"):
        words = [*entry.positive_names, *entry.positive_shorts]
    if entry.positional_label:
        return str(entry.positional_label)
    return ", ".join(words) + (f" {entry.metavar}" if entry.metavar and words and words[0].startswith("-") else "")


def _text(entry: Any) -> str:
    text = _plain(entry.description)
    if entry.default is not None and str(entry.default) not in _SAID_ANYWAY:
        text += f" (default {entry.default})"
    return " ".join((text + (" [required]" if entry.required else "")).split())


def _plain(text: Any) -> str:
    return str(
        getattr(text, "plain", None) or getattr(getattr(text, "primary_renderable", None), "plain", None) or text or ""
    )


def tell_in_full(app: App, path: Sequence[str]) -> None:
    """A verb's own page has its whole text, with the example; in a list of verbs its summary is enough."""
    for name in path:
        app = app[name]
    if path and app.default_command is not None and app.default_command.__doc__:
        app.help = inspect.cleandoc(app.default_command.__doc__)
