"""A whole local OSBench per test: a home of its own, the real command line, real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from stored_records import StoredRecords

PATIENCE_S = 60.0


def wait_for(what: str, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Look until the condition gives something; fails, naming it, when patience ends."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {patience_s:g} s in vain for {what}")


def task_file(
    folder: Path,
    *,
    times: int,
    concurrency: int = 4,
    sleep: float = 0.001,
    rps: float | None = None,
    timeout: float = 0,
) -> Path:
    """A task of Dummy.dummy iterations."""
    runner: dict[str, Any] = {"constant": {"times": times, "concurrency": concurrency}}
    if rps is not None:
        runner = {"rps": {"times": times, "rps": rps}}
    if timeout:
        next(iter(runner.values()))["timeout"] = timeout
    task = {
        "version": 2,
        "title": "faults",
        "subtasks": [{"title": "dummy", "scenario": {"Dummy.dummy": {"sleep": sleep}}, "runner": runner}],
    }
    path = folder / f"task-{times}.json"
    path.write_text(json.dumps(task))
    return path


@dataclass
class Osbench(StoredRecords):
    """One home, and the processes that work in it."""

    home: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; its output is in `<home>/output-<n>`."""
        command = [str(Path(sys.executable).with_name("osbench")), "--home", str(self.home), *arguments]
        with (self.home.parent / f"output-{len(self.processes)}").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
        self.processes.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> int:
        """Wait for a command; its exit code."""
        return process.wait(PATIENCE_S)

    def output(self, number: int = -1) -> str:
        """What a command printed."""
        return (self.home.parent / f"output-{number % len(self.processes)}").read_text()

    def child(self, parent: int, module: str) -> psutil.Process | None:
        """The child of a process that runs a module."""
        try:
            children = psutil.Process(parent).children()
            return next((one for one in children if module in " ".join(one.cmdline())), None)
        except psutil.NoSuchProcess:
            return None

    def agents(self) -> list[psutil.Process]:
        """Supervisors that run."""
        found = []
        for file in self.home.glob("agents/*/*/process.json"):
            try:
                found.append(psutil.Process(json.loads(file.read_text())["pid"]))
            except (psutil.NoSuchProcess, ValueError, FileNotFoundError):
                continue
        return [one for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def workers(self) -> list[psutil.Process]:
        """Worker processes that run, oldest first."""
        found = [child for agent in self.agents() for child in agent.children() if child.is_running()]
        return sorted(found, key=lambda one: one.create_time())

    def segments(self) -> list[Path]:
        """Spool segments of workers, oldest first."""
        found = [path for path in self.home.glob("agents/*/*/spool/*/*.seg") if "-65535-" not in path.name]
        return sorted(found)

    def end_all(self) -> None:
        """End what a failed test left behind."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait(10)
        for one in (*self.workers(), *self.agents()):
            try:
                os.kill(one.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
