"""The entry point: run the command, turn every ending into an exit code. Imports stay lazy: they are the start-up time.

Exit codes: 0, 1 failure, 2 usage, 124 a wait timed out, 125 to 127 and the command's own for exec, 130 interrupted,
143 and the like for other signals.
A reader that has had enough of our output (`| head`) is no failure.
"""

import errno
import os
import sys

_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What a write to standard output meets that leads to a file, or was closed. Files of our own have names, and their own
words."""

_WORD_BYTES = 200
"""Of a word that is no text, so much is shown."""


def main() -> None:
    """Run `capsulectl`."""
    _streams()
    sys.unraisablehook = _unraisable
    code = 0
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
        try:
            sys.stderr.flush()
        except OSError:
            pass
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        pass  # what is known to have failed has failed, whether or not somebody reads the rest
    except OSError as error:
        # Standard output is on a disk that is full, or closed, or the like: what was asked for did not arrive.
        try:
            os.write(2, f"capsulectl: the output could not be written: {error.strerror}\n".encode())
        except OSError:
            pass
        code = 1
    # Tearing down the interpreter and gRPC's threads takes longer than most commands.
    os._exit(code)


def _unraisable(told: "sys.UnraisableHookArgs") -> None:
    """A Ctrl-C that meets an import's lock or something that is thrown away is noted there and forgotten: it comes
    again in a moment."""
    if not issubclass(told.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(told)
        return
    import signal

    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def _streams() -> None:
    """Whoever started us may have closed a stream: nothing else may come to stand at its number, a connection least of
    all. A write to standard output fails as if it were closed still. A terminal of few letters shows the others as
    escapes."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        stream = getattr(sys, name)
        if stream is None:
            access = os.O_RDONLY if name == "stdout" else os.O_RDWR
            os.open(os.devnull, access)  # takes the lowest number, which is this one
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
        elif number and stream.encoding != "utf-8":
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: list[str]) -> int:
    from capsulectl import lean, shielded
    from capsulectl.errors import USAGE, Ended, Failure, fault

    lean.install()
    shielded.install()
    try:
        return _command(arguments)
    except Failure as failure:
        if failure.message:
            _complain(failure.message)
        return failure.code
    except Ended as ended:
        return ended.code
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except UnicodeEncodeError as error:
        word = repr(os.fsencode(error.object)[:_WORD_BYTES])[1:]
        _complain(f"{word} is no text in UTF-8, as names, commands and values must be")
        return USAGE
    except OSError as error:
        if error.errno in _OUTPUT and error.filename is None:
            raise
        _complain(fault(error))
        return 1
    except Exception as error:
        _complain(fault(error))
        return 1


def _complain(message: str) -> None:
    from capsulectl.render import say

    say(f"capsulectl: {message}")


def _command(arguments: list[str]) -> int:
    from capsulectl import apply_line, exec_line, list_line

    executed = exec_line.read(arguments)
    if executed is not None:
        from capsulectl.session import Session

        return Session(executed).run()
    applied = apply_line.read(arguments)
    if applied is not None:
        from capsulectl.applying import declare

        declare(applied)
        return 0
    listed = list_line.read(arguments)
    if listed is not None:
        from capsulectl.connection import Connection
        from capsulectl.workload_rows import show_all

        show_all(Connection(listed.capsule), listed.output)
        return 0
    return _parsed(arguments)


def _parsed(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from capsulectl.app import app
    from capsulectl.arguments import arranged, asks_for_help

    path, behind = arranged(app, arguments)
    if asks_for_help(behind):
        from capsulectl.helping import Formatter, tell_in_full

        app.help_formatter = Formatter()
        tell_in_full(app, path)
    try:
        answer = app([*path, *behind], exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        from capsulectl.errors import USAGE, Failure
        from capsulectl.usage import complaint

        raise Failure(complaint(app, error, path, behind), USAGE) from error
    except SystemExit:
        return 0  # how the printer of help says that nobody reads it
    return answer if isinstance(answer, int) else 0


if __name__ == "__main__":
    main()
