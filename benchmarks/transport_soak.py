"""A million calls through the session on libcurl: what a call costs, and whether memory and descriptors stay flat.

One process makes the calls on one core, a static nginx on loopback answers them on the other. Most are the GET of one
server; one in fifty is a create that nginx refuses, one in two hundred is cancelled in flight, so that the pool of handles
is exercised as a run exercises it. After a tenth of the calls the memory in use is the mark; at the end it may be a little
above it and no more.

    python -m benchmarks.transport_soak [--calls 1000000] [--in-flight 64]
"""

import argparse
import asyncio
import gc
import os
import sys
import time
from dataclasses import dataclass
from random import Random

import psutil
import uvloop

from benchmarks.get_server import SERVER_ID
from benchmarks.static_server import static_server
from osbench.common.clock import SystemClock
from osbench.common.cloud.account import Account
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import CloudCredentials
from osbench.common.cloud.curl import CurlTransport
from osbench.common.cloud.nova import Nova
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.session import DiscardedCalls, Session

LIMIT_GROWTH_MIB = 8.0
LIMIT_DESCRIPTORS = 8
CREATE_EVERY, CANCEL_EVERY = 50, 200
REPORTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the process held after so many calls."""

    calls: int
    memory_mib: float
    descriptors: int
    cpu_s: float


class Soak:
    """The calls, by so many at once as are in flight."""

    def __init__(self, url: str, calls: int, in_flight: int) -> None:
        clock = SystemClock()
        self.transport = CurlTransport(clock)
        credentials = CloudCredentials(auth_url=url, username="bench", password="none")
        urls, versions = {"compute": url}, {"compute": "2.96"}
        account = Account(credentials, clock, Random(1), urls=urls, microversions=versions, token="gAAAAA" + "x" * 180)
        self.nova = Nova(Session(account, self.transport, DiscardedCalls(), RequestIds("soak")))
        self.calls = calls
        self.in_flight = in_flight
        self.started = self.refused = self.cancelled = self.failed = 0
        self.samples: list[Sample] = []
        self._process = psutil.Process()

    async def run(self) -> None:
        """Make all calls."""
        await asyncio.gather(*(self._work() for _ in range(self.in_flight)))
        self._sample()
        await self.transport.aclose()

    async def _work(self) -> None:
        while self.started < self.calls:
            self.started += 1
            number = self.started
            if number % (self.calls // REPORTS) == 0:
                self._sample()
            if number % CANCEL_EVERY == 0:
                await self._cancelled_call()
            elif number % CREATE_EVERY == 1:
                await self._refused_call()
            else:
                try:
                    await self.nova.get_server(SERVER_ID)
                except CallFailed as failed:
                    self.failed += 1
                    print(f"call {number}: {failed}", file=sys.stderr)

    async def _cancelled_call(self) -> None:
        task = asyncio.ensure_future(self.nova.get_server(SERVER_ID))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.cancelled += 1

    async def _refused_call(self) -> None:
        try:
            await self.nova.create_server("name", "1", "image")
        except CallFailed:
            self.refused += 1

    def _sample(self) -> None:
        gc.collect()
        process = self._process
        times = process.cpu_times()
        sample = Sample(
            calls=self.started,
            memory_mib=process.memory_info().rss / 2**20,
            descriptors=process.num_fds(),
            cpu_s=times.user + times.system,
        )
        self.samples.append(sample)
        print(
            f"{sample.calls:>10,} calls  {sample.memory_mib:7.1f} MiB  {sample.descriptors:4} descriptors  "
            f"{sample.cpu_s:7.1f} s CPU",
            flush=True,
        )


def main() -> int:
    """Run the soak; exit code 1 if something grew or failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--calls", type=int, default=1_000_000, help="how many calls (default: %(default)s, at least 1000)"
    )
    parser.add_argument("--in-flight", type=int, default=64, help="how many at once (default: %(default)s)")
    options = parser.parse_args()
    calls = max(options.calls, 1_000)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    with static_server(cores[-1]) as url:

        async def soak() -> Soak:
            made = Soak(url, calls, options.in_flight)
            await made.run()
            return made

        began_s = time.monotonic()
        done = uvloop.run(soak())
        took_s = time.monotonic() - began_s
    mark = done.samples[1]
    last = done.samples[-1]
    growth_mib = last.memory_mib - mark.memory_mib
    descriptors = last.descriptors - mark.descriptors
    cpu_us = (last.cpu_s - mark.cpu_s) / max(last.calls - mark.calls, 1) * 1e6
    print(
        f"{calls:,} calls in {took_s:.1f} s at {options.in_flight} in flight: {cpu_us:.1f} us CPU a call; "
        f"{done.refused:,} refused, {done.cancelled:,} cancelled, {done.failed:,} failed otherwise"
    )
    print(f"memory {growth_mib:+.1f} MiB (limit {LIMIT_GROWTH_MIB:+.1f}), descriptors {descriptors:+d}")
    is_flat = growth_mib <= LIMIT_GROWTH_MIB and descriptors <= LIMIT_DESCRIPTORS
    return 0 if is_flat and not done.failed else 1


if __name__ == "__main__":
    raise SystemExit(main())
