"""python -m bench.null_server PEM: a TLS server that answers at once and does nothing; prints its port."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceServicer, add_WorkloadServiceServicer_to_server
from capsuled.tls import load_or_make_certificate, server_credentials


class Null(WorkloadServiceServicer):
    """Only what is measured."""

    async def Delete(self, request: Any, context: Any) -> pb.WorkloadDeleteResponse:
        """Nothing."""
        return pb.WorkloadDeleteResponse()


async def main() -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    add_WorkloadServiceServicer_to_server(Null(), server)
    certificate = load_or_make_certificate(Path(sys.argv[1]), "null")
    print(server.add_secure_port("127.0.0.1:0", server_credentials(certificate, lambda: None)), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
