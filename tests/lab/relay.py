"""A cable with delay: `relay.py LAB_PID HOST_PID PORT` carries frames between two TAP devices, each at its time.

Rules: the kernel's own netem is not everywhere, so this is a program of its own. It makes `eth0` on the host's network and
PORT on the lab's, says `ready`, and takes one line of JSON at a time from its standard input:

    {"delay_s": 0.02, "jitter_s": 0.005}          each way; jitter is evenly spread around the delay

When its input ends it ends, and both devices go with it. Frames may overtake each other where there is jitter, as on a
real network of several paths.
"""

import fcntl
import heapq
import itertools
import json
import os
import random
import select
import struct
import sys
import time
from dataclasses import dataclass, field

from lab.namespaces import enter_network

# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAMES_AT_ONCE = 64
#: More frames under way than this are dropped, as the buffer of a router would.
LIMIT = 20_000


def tap(pid: int, name: str) -> int:
    """A TAP device on the network of a process; this thread stays there."""
    enter_network(pid)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


@dataclass
class Cable:
    """Two ends, and the frames between them."""

    near: int
    far: int
    delay_s: float = 0.0
    jitter_s: float = 0.0
    #: (when it is due, running number, to whom, the frame); a heap.
    _under_way: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def take(self, source: int) -> None:
        """Take what came in at one end."""
        target = self.far if source == self.near else self.near
        for _ in range(FRAMES_AT_ONCE):
            try:
                frame = os.read(source, 65_536)
            except BlockingIOError:
                return
            late_s = max(self.delay_s + random.uniform(-1, 1) * self.jitter_s, 0.0)
            if not late_s and not self._under_way:
                _write(target, frame)
            elif len(self._under_way) < LIMIT:
                heapq.heappush(self._under_way, (time.monotonic() + late_s, next(self._numbers), target, frame))

    def deliver(self) -> float | None:
        """Put out what is due; seconds until the next is, None if there is none."""
        while self._under_way:
            left_s = self._under_way[0][0] - time.monotonic()
            if left_s > 0:
                return left_s
            _, _, target, frame = heapq.heappop(self._under_way)
            _write(target, frame)
        return None


def _write(target: int, frame: bytes) -> None:
    try:
        os.write(target, frame)
    except OSError:
        return  # the device is down: the frame is lost, as on a cable that is unplugged


def main() -> None:
    """Carry frames until the input ends."""
    lab, host, port = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    cable = Cable(tap(host, "eth0"), tap(lab, port))
    orders = sys.stdin.fileno()
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([cable.near, cable.far, orders], [], [], cable.deliver())
        for source in readable:
            if source != orders:
                cable.take(source)
            elif said := os.read(orders, 65_536):
                # A line is far shorter than what a pipe takes whole (pipe(7), PIPE_BUF); the last one counts.
                setting = json.loads(said.splitlines()[-1])
                cable.delay_s, cable.jitter_s = setting["delay_s"], setting["jitter_s"]
            else:
                return


if __name__ == "__main__":
    main()
