"""The test hosts themselves: what the trials rest on."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from lab.host import Host
from lab.lab import Lab
from lab.namespaces import wait_until

pytestmark = pytest.mark.slow

PORT = 9000
ECHO = f"""
import socket
server = socket.create_server(("0.0.0.0", {PORT}))
print("listening", flush=True)
while True:
    one, _ = server.accept()
    one.sendall(one.recv(100))
    one.close()
"""
TESTS = Path(__file__).parents[2]


def serve(host: Host) -> None:
    """Have something on a host that answers."""
    server = host.start(sys.executable, "-c", ECHO)
    wait_until(lambda: "listening" in server.output(), "the server")


def answers(asker: Host, host: Host, patience_s: float = 0.3) -> bool:
    """Whether a host is heard from another."""

    def ask() -> bool:
        try:
            with socket.create_connection((host.address, PORT), timeout=patience_s) as one:
                one.sendall(b"are you there")
                return one.recv(100) == b"are you there"
        except OSError:
            return False

    return asker.within(ask)


def round_trip_s(asker: Host, host: Host) -> float:
    """How long it takes to connect, at the best of three times."""

    def measure() -> float:
        taken = []
        for _ in range(3):
            began_s = time.monotonic()
            socket.create_connection((host.address, PORT), timeout=5).close()
            taken.append(time.monotonic() - began_s)
        return min(taken)

    return asker.within(measure)


def test_hosts_hear_each_other_and_nothing_else_of_this_machine(lab: Lab) -> None:
    """A load that got out of the lab would hit whatever is out there."""
    one, two = lab.host("one"), lab.host("two")
    serve(two)

    assert answers(one, two)
    devices = one.run("ls", "/proc/sys/net/ipv4/conf").stdout.split()
    assert sorted(devices) == ["all", "default", "eth0", "lo"]
    assert "default" not in one.run("ip", "route").stdout


def test_a_cable_can_be_taken_out_and_each_half_of_it_cut(lab: Lab) -> None:
    one, two = lab.host("one"), lab.host("two")
    serve(two)

    two.unplug()
    assert not answers(one, two)
    two.plug()
    wait_until(lambda: answers(one, two), "the plugged host")
    two.mute()
    assert not answers(one, two)
    two.unmute()
    two.deafen()
    assert not answers(one, two)
    two.undeafen()
    wait_until(lambda: answers(one, two), "the healed host")


def test_a_delay_is_added_each_way_and_can_be_changed(lab: Lab) -> None:
    near, far = lab.host("near"), lab.host("far", delay_s=0.05)
    serve(far)

    assert 0.1 <= round_trip_s(near, far) < 0.3
    far.set_delay(0.0)
    wait_until(lambda: round_trip_s(near, far) < 0.05, "the short cable")


def test_a_host_has_a_clock_of_its_own(lab: Lab) -> None:
    clocks = []
    for host in (lab.host("ahead", shift_s=5), lab.host("behind", shift_s=-3)):
        told = host.run(sys.executable, "-c", "import time; print(time.monotonic())").stdout
        clocks.append(round(float(told) - time.monotonic()))

    assert clocks == [5, -3]


def test_a_slow_host_gets_its_part_of_a_core(lab: Lab) -> None:
    spin = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())"

    slow = float(lab.host("slow", cores=0.2).run(sys.executable, "-c", spin).stdout)

    assert slow < 0.5


def test_a_host_is_frozen_thawed_and_killed_with_all_it_started(lab: Lab) -> None:
    """Daemons too, which are nobody's children any more."""
    host = lab.host("one")
    shell = host.start("sh", "-c", "setsid sleep 60 & sleep 60 & sleep 1000")
    wait_until(lambda: len(host.processes()) == 4, "four processes")
    of_host = [psutil.Process(pid) for pid in host.processes()]

    host.freeze()
    assert {one.status() for one in of_host} == {psutil.STATUS_STOPPED}
    host.thaw()
    wait_until(lambda: {one.status() for one in of_host} == {psutil.STATUS_SLEEPING}, "the thaw")
    host.freeze()
    host.kill()

    assert shell.wait() == -signal.SIGKILL
    assert host.processes() == []
    assert host.run("echo", "still there").stdout == "still there\n"


def test_a_process_is_known_by_its_own_number_and_ends_with_its_own_code(lab: Lab) -> None:
    host = lab.host("one")

    asked = host.start("sh", "-c", "cat; sleep 0.2; exit 7", stdin="some words")
    killed = host.start("sleep", "60")

    wait_until(lambda: psutil.Process(killed.pid).cmdline() == ["sleep", "60"], "the sleep, by its own number")
    assert killed.kill() == -signal.SIGKILL
    assert asked.wait() == 7
    assert asked.output() == "some words"


def test_nothing_is_left_when_the_tests_are_killed(can_have_hosts: None, tmp_path: Path) -> None:
    """A load that goes on without anybody who watches it would fill the machine."""
    program = f"""
import sys, time
from pathlib import Path
import psutil
from lab.lab import Lab
lab = Lab(Path({str(tmp_path)!r}))
pids = []
for name, options in (("a", {{"cores": 0.5}}), ("b", {{"delay_s": 0.01}})):
    host = lab.host(name, **options)
    host.start("sh", "-c", "setsid sleep 60 & sleep 60")
    time.sleep(0.1)
    pids += host.processes()
print(*{{*pids, *(one.pid for one in psutil.Process().children(recursive=True))}}, flush=True)
time.sleep(60)
"""
    tests = subprocess.Popen([sys.executable, "-c", program], cwd=TESTS, stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    # Of two hosts: the keeper and its parent, a shell, what it started, and what stands for it outside; the lab's own
    # keeper and its parent, and a cable.
    pids = [int(word) for word in tests.stdout.readline().split()]
    assert len(pids) == 2 * 6 + 3
    assert all(psutil.pid_exists(pid) for pid in pids)

    tests.kill()
    tests.communicate()

    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the kernel to end them")
    with Lab(tmp_path / "next"):
        assert not list(Path("/sys/fs/cgroup").glob(f"*/osbench-lab-{tests.pid}-*"))


def test_two_labs_do_not_know_of_each_other(lab: Lab, tmp_path: Path) -> None:
    """So that suites may run beside each other, with the same addresses."""
    with Lab(tmp_path / "other") as other:
        mine, theirs = lab.host("one"), other.host("one")
        serve(theirs)

        assert mine.address == theirs.address
        assert not answers(mine, mine)
        assert answers(theirs, theirs)


def test_this_process_stays_where_it_is(lab: Lab) -> None:
    """Only the thread that asks is moved."""
    before = os.readlink("/proc/self/ns/net")
    host = lab.host("one")
    host.within(lambda: None)

    assert os.readlink("/proc/self/ns/net") == before
