"""How many GET /servers/{id} a second the simulated cloud answers on one core.

Rules: server on one core, client on another (taskset), 1,000 servers present, keep-alive, 64 connections, a valid token
looked up in each request. Two figures: calls by the clock, and calls per CPU second of the server, which holds on a
machine that others use too. The client checks status and length of every answer.

    python benchmarks/simulated_cloud.py [--seconds 5] [--connections 64] [--servers 1000] [--least 3000]
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, cast

import psutil
import uvloop

SETTLE_S = 60.0


class Caller(asyncio.Protocol):
    """One connection that sends the same kind of request again as soon as it is answered."""

    def __init__(self, requests: list[bytes], start: int, until: float) -> None:
        self._requests = requests
        self._next = start
        self._until = until
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None
        self.answered = 0
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        if time.perf_counter() >= self._until:
            self._transport.close()
            return
        self._next = (self._next + 1) % len(self._requests)
        self._transport.write(self._requests[self._next])

    def data_received(self, data: bytes) -> None:
        self._data += data
        head_end = self._data.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._data[:head_end].lower()
        at = head.index(b"content-length:") + 15
        stop = head.find(b"\r\n", at)
        length = int(head[at : stop if stop >= 0 else None])
        if len(self._data) < head_end + 4 + length:
            return
        if self._data.startswith(b"HTTP/1.1 200"):
            self.answered += 1
        else:
            self.failed += 1
        self._data = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def call(method: str, url: str, token: str = "", body: Any = None) -> tuple[Any, dict[str, str]]:
    """One JSON call outside of the measurement; body and headers of the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", "X-Auth-Token": token})
    request.method = method
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
        return (json.loads(text) if text else None), dict(answer.headers)


def prepare(auth_url: str, count: int) -> tuple[str, list[str]]:
    """Sign in and boot the servers; the token and their ids, all ACTIVE."""
    user = {"name": "admin", "domain": {"id": "default"}, "password": "secret"}
    auth = {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
    }
    _, headers = call("POST", f"{auth_url}/auth/tokens", body={"auth": auth})
    token = headers["X-Subject-Token"]
    origin = auth_url.removesuffix("/identity/v3")
    image = call("GET", f"{origin}/image/v2/images", token)[0]["images"][0]["id"]
    network = call("GET", f"{origin}/network/v2.0/networks?name=shared", token)[0]["networks"][0]["id"]
    server = {
        "name": "bench",
        "imageRef": image,
        "flavorRef": "1",
        "networks": [{"uuid": network}],
        "min_count": count,
    }
    call("POST", f"{origin}/compute/v2.1/servers", token, {"server": server})
    deadline = time.monotonic() + SETTLE_S
    while True:
        servers = call("GET", f"{origin}/compute/v2.1/servers/detail", token)[0]["servers"]
        if all(found["status"] == "ACTIVE" for found in servers) and len(servers) == count:
            return token, [found["id"] for found in servers]
        assert time.monotonic() < deadline, f"not all of {count} servers are ACTIVE after {SETTLE_S} s"
        time.sleep(0.1)


async def load(host: str, port: int, requests: list[bytes], connections: int, seconds: float) -> tuple[int, int]:
    """Call on all connections for `seconds`; answered and failed."""
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    callers = []
    for number in range(connections):
        start = number * len(requests) // connections
        _, caller = await loop.create_connection(lambda start=start: Caller(requests, start, until), host, port)  # type: ignore[misc]
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    return sum(caller.answered for caller in callers), sum(caller.failed for caller in callers)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--servers", type=int, default=1_000)
    parser.add_argument("--least", type=float, default=0.0, help="exit 1 below this many calls per server CPU second")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "osbench.deploy.simulated", "--ready-file", str(ready),
             "--parent-pid", str(os.getpid()), "--lifetime", "300"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            os.sched_setaffinity(process.pid, {server_core})
            os.sched_setaffinity(0, {client_core})
            while not ready.exists():
                assert process.poll() is None, "the simulated cloud ended at once"
                time.sleep(0.05)
            auth_url = json.loads(ready.read_text())["auth_url"]
            token, ids = prepare(auth_url, options.servers)
            host, port = auth_url.split("/")[2].split(":")
            requests = [
                f"GET /compute/v2.1/servers/{server_id} HTTP/1.1\r\nHost: {host}:{port}\r\nX-Auth-Token: {token}\r\n"
                f"Accept: application/json\r\nUser-Agent: bench\r\n\r\n".encode()
                for server_id in ids
            ]
            watched = psutil.Process(process.pid)
            uvloop.run(load(host, int(port), requests, options.connections, 0.5))
            before, started = watched.cpu_times(), time.perf_counter()
            answered, failed = uvloop.run(load(host, int(port), requests, options.connections, options.seconds))
            took_s, after = time.perf_counter() - started, watched.cpu_times()
        finally:
            process.terminate()
            process.wait(timeout=10)
    cpu_s = after.user + after.system - before.user - before.system
    per_cpu_s = answered / cpu_s
    print(
        f"GET one server of {len(ids)}, {options.connections} connections, keep-alive, server on core {server_core}, "
        f"client on core {client_core}:\n"
        f"  {answered / took_s:,.0f} calls/s by the clock; {per_cpu_s:,.0f} calls per CPU second of the server "
        f"({cpu_s / took_s:.0%} of its core); {failed} failed"
    )
    return 0 if failed == 0 and per_cpu_s >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
