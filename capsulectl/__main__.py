"""The entry point: run the command, turn every ending into an exit code. Imports stay lazy: they are the start-up time.

Exit codes: 0, 1 failure, 2 usage, 124 a wait timed out, 125 to 127 and the command's own for exec, 130 interrupted.
"""

import os
import sys


def main() -> None:
    """Run `capsulectl`."""
    code = _run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 1
    # Tearing down the interpreter and gRPC's threads takes longer than most commands.
    os._exit(code)


def _run(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from capsulectl.app import app
    from capsulectl.errors import Failure

    try:
        answer = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        print(f"capsulectl: {_plain(str(error))}", file=sys.stderr)
        print("Try `capsulectl --help`, or `--help` behind a command.", file=sys.stderr)
        return 2
    except Failure as failure:
        if failure.message:
            print(f"capsulectl: {failure.message}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough: nothing to say, and nothing more to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return answer if isinstance(answer, int) else 0


def _plain(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
