"""The verb: a small server for one browser, on loopback, for as long as it is wanted."""

from typing import Annotated

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.endings import in_order
from capsulectl.errors import USAGE, Failure
from capsulectl.options import COMMON, Common
from capsulectl.render import say
from capsulectl.ui.reads import Reads
from capsulectl.ui.server import Server

_PORTS = 65_535


def _port(type_: object, value: int) -> None:
    if not 0 <= value <= _PORTS:
        raise ValueError(f"It must be from 0 to {_PORTS}.")


def ui(
    *,
    port: Annotated[
        int, Parameter(name="--port", validator=_port, help="The port on this machine's loopback; 0: any that is free.")
    ] = 0,
    common: Common = COMMON,
) -> None:
    """Show the machine in your browser: what runs, what happens, and how it was at any moment. It changes nothing.

    Prints the page's address, which holds a random word: whoever has the address may read. Ctrl-C ends it.

    Example: capsulectl ui
    """
    connection = Connection(common.capsule)
    reads = Reads(connection)
    reads.info()  # a machine that is not there is said here, where the command was given
    try:
        server = Server(reads, port)
    except OSError as error:
        raise Failure(f"port {port} on 127.0.0.1 cannot be had: {error.strerror}. Choose another", USAGE) from error
    print(server.address, flush=True)
    say("open this address in a browser on this machine; Ctrl-C ends it", common.quiet)
    with in_order():
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("", common.quiet)  # behind the ^C that the terminal shows
        finally:
            server.server_close()
