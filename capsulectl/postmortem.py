"""`capsulectl postmortem`: the report of an update, from the machine's memory or from an archive of it."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, BinaryIO, Literal

from cyclopts import Parameter

from capsulectl.errors import USAGE, Failure
from capsulectl.folding import Folding
from capsulectl.names import update_numbers
from capsulectl.options import COMMON, Common, not_empty
from capsulectl.render import write
from journal.archive import Archive
from journal.errors import JournalError
from projections.fold import fold
from projections.postmortem import Postmortem, chosen, postmortems
from projections.stories import Stories

Form = Literal["text", "table", "wide", "md", "json", "yaml", "html", "name"]


def postmortem(
    update: Annotated[
        str,
        Parameter(
            converter=not_empty,
            completer=update_numbers,
            help="Its number, version or commit; without it the newest that failed, else the newest.",
        ),
    ] = "",
    /,
    *,
    file: Annotated[str, Parameter(name="--file", help="Read an archive, here, without a machine.")] = "",
    output: Annotated[
        Form,
        Parameter(
            name=["-o", "--output"],
            help="How to print: text (or table), wide (with entries' numbers), md, json, yaml, html, or name.",
        ),
    ] = "text",
    common: Common = COMMON,
) -> None:
    """Why an update of the system went back, or did not: both boots on one timeline, the cause and what it rests on,
    ends of logs, what was different, and the workloads before, meanwhile and afterwards.

    `-o html` is one page that needs nothing else, to be kept or sent.

    Example: capsulectl postmortem
    Example: capsulectl postmortem 0.2.0 -o html > postmortem.html
    Example: capsulectl postmortem --file memory.capsule -o md
    """
    try:
        with Path(file).open("rb") if file else TemporaryFile() as source:
            if not file:
                from capsulectl.connection import Connection
                from capsulectl.journal import exported_there

                source.writelines(exported_there(Connection(common.capsule)))
                source.seek(0)
            report = archived_report(source, update)
    except OSError as error:
        raise Failure(f"{file or 'the archive'} cannot be read: {error.strerror}", USAGE) from error
    except JournalError as error:
        raise Failure(str(error)) from error
    _show(report, output)


def archived_report(source: BinaryIO, asked: str) -> Postmortem:
    """Of an update in an archive: the one that was asked for, or is meant without a word. Raises Failure where there is
    no such update, and JournalError for what is no archive."""
    folding, stories = Folding(Archive(source)), Stories()
    for stored, event in folding.entries():
        stories.see(stored.header, event, folding.machine)
        fold(folding.machine, stored.header, event)
    stories.close(folding.machine)
    reports = postmortems(stories)
    report = chosen(reports, asked)
    if report is None and not reports:
        raise Failure("nothing is remembered of an update: the system is the one that was installed")
    if report is None:
        known = ", ".join(f"{one.update} ({one.version})" for one in reports[-5:])
        raise Failure(f"nothing is remembered of an update {asked}: there are {known}")
    return report


def _show(report: Postmortem, output: Form) -> None:
    match output:
        case "json" | "yaml":
            write(as_data(report), output)
        case "name":
            print(report.update)
        case "html":
            from capsulectl.postmortem_page import page

            print(page(report), end="")
        case "md":
            from capsulectl.postmortem_text import markdown

            print("\n".join(markdown(report)))
        case _:
            from capsulectl.paging import show_page
            from capsulectl.postmortem_text import text

            show_page(text(report, wide=output == "wide"))


def as_data(report: Postmortem) -> Any:
    """As plain data, in the names that the other outputs have; what is empty is left out."""
    import msgspec

    return _filled(msgspec.to_builtins(report))


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one) for key, one in value.items() if one not in ("", None, [], ())}
    return [_filled(one) for one in value] if isinstance(value, list | tuple) else value
