"""logs.stream: a workload's log to a client, against a bare gRPC stream of chunks of the same sizes from memory."""

import subprocess
import sys
import time
from pathlib import Path

from bench.client import Client
from bench.report import Row, in_turn, row
from capsule.v1 import workload_pb2 as pb
from tests.support.daemon import daemon, manifest

ROUNDS = 9
LINES = 150_000
SCRIPT = (
    f"yes 'a line of a log, as services write them: 200 OK, 17 ms, and the path that was asked for' | head -n {LINES}"
)
SERVER = """
import asyncio, sys
import grpc
from capsule.v1 import workload_pb2 as pb
from capsule.v1 import workload_pb2_grpc

sizes = [int(size) for size in sys.argv[2].split(",")]
chunks = [pb.WorkloadLogChunk(data=b"x" * size) for size in sizes]

class Service(workload_pb2_grpc.WorkloadServiceServicer):
    async def Logs(self, request, context):
        for chunk in chunks:
            yield chunk

async def main():
    server = grpc.aio.server()
    workload_pb2_grpc.add_WorkloadServiceServicer_to_server(Service(), server)
    server.add_insecure_port(sys.argv[1])
    await server.start()
    print("serving", flush=True)
    await server.wait_for_termination()

asyncio.run(main())
"""


def _megabytes_a_second(client: Client) -> float:
    begun = time.perf_counter()
    received = sum(len(chunk.data) for chunk in client.workloads.Logs(pb.WorkloadLogsRequest(name="talker")))
    return received / 1e6 / (time.perf_counter() - begun)


def rows(directory: Path) -> list[Row]:
    """One log, whole."""
    with daemon() as machine:
        machine.push_image()
        machine.apply(manifest("talker", SCRIPT, restart="NEVER"), "--wait")
        machine.until(lambda: machine.status("talker")["phaseDetail"] == "completed", "the log is written")
        with Client(machine.state / "capsule.sock") as client:
            sizes = [len(chunk.data) for chunk in client.workloads.Logs(pb.WorkloadLogsRequest(name="talker"))]
            socket = f"unix:{directory / 'bare.sock'}"
            server = subprocess.Popen(
                [sys.executable, "-c", SERVER, socket, ",".join(map(str, sizes))], stdout=subprocess.PIPE
            )
            try:
                assert server.stdout is not None and server.stdout.readline()
                with Client(directory / "bare.sock") as bare:
                    for one in (client, bare):
                        _megabytes_a_second(one)
                    ours, theirs = in_turn(
                        ROUNDS, lambda: _megabytes_a_second(client), lambda: _megabytes_a_second(bare)
                    )
            finally:
                server.terminate()
                server.wait()
    note = f"{sum(sizes) / 1e6:.1f} MB in {len(sizes)} chunks"
    return [row("logs.stream", ours, "MB/s", "bare gRPC stream of the same chunks", theirs, ">=0.6", note)]
