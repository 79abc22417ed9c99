"""Agents on this machine: processes of their own, so that they outlive the coordinator and are found again.

Rules: nothing secret is on a command line; an agent's configuration is a 0600 file in its own folder.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from osbench.common.error import AgentError, ProtocolError
from osbench.common.known_process import know, read_process
from osbench.common.private_file import write_private

log = logging.getLogger(__name__)

#: How long an agent may take to end after SIGTERM, before it is killed; its spool stays in any case.
LEAVE_S = 10.0
#: Of that, what its workers get to drain; the rest is for stopping them and for delivering.
GRACE_S = 5.0
#: An agent without a run whose coordinator is silent for so long ends by itself.
LINGER_S = 300.0


class LocalAgent:
    """One agent process and its folder.

    Args:
        folder: its own: configuration, process file, log, spool.
        name: the agent's. command: starts an agent process.
    """

    def __init__(
        self, folder: Path, name: str, command: Sequence[str] = (sys.executable, "-m", "osbench.agent.main")
    ) -> None:
        self.folder = folder
        self.name = name
        self._command = command

    def ensure(self, *, control: str, bulk: str, workers: int) -> None:
        """Start the agent unless it is running.

        Raises:
            AgentError: its folder cannot be written or the process cannot be started.
        """
        if self.process() is not None:
            return
        config = {
            "name": self.name,
            "control": control,
            "bulk": bulk,
            "spool": str(self.folder / "spool"),
            "workers": workers,
            "linger_s": LINGER_S,
        }
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self.folder / "agent.json", json.dumps(config).encode())
            with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
                process = subprocess.Popen(
                    [*self._command, "start", "--config", str(self.folder / "agent.json"), "--grace", f"{GRACE_S:g}"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    cwd="/",
                )
        except OSError as error:
            raise AgentError(f"agent {self.name} cannot be started in {self.folder}: {error.strerror}") from error
        know(psutil.Process(process.pid)).save(self.folder / "process.json")

    def process(self) -> psutil.Process | None:
        """The agent's process; None if it does not run."""
        try:
            known = read_process(self.folder / "process.json")
        except (OSError, ProtocolError):
            return None
        return None if known is None else known.alive()

    async def end(self) -> None:
        """SIGTERM, and SIGKILL if that does not help in time."""
        process = self.process()
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            for _ in range(int(LEAVE_S / 0.05)):
                await asyncio.sleep(0.05)
                if self.process() is None:
                    return
            log.warning("agent %s does not end by itself; killing process %d", self.name, process.pid)
            process.kill()

    def has_spooled(self) -> bool:
        """Whether batches wait in its spool."""
        return any(self.folder.glob("spool/*/*.seg"))

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for a message about an agent that did not come up."""
        try:
            text = self._log.read_text(errors="replace")
        except OSError:
            return "it wrote no log"
        return "\n".join(text.splitlines()[-lines:])

    @property
    def _log(self) -> Path:
        return self.folder / "agent.log"


def local_agents(folder: Path, count: int) -> Sequence[LocalAgent]:
    """The agents of a local run: `local-1`, `local-2`, …"""
    return [LocalAgent(folder / f"local-{number}", f"local-{number}") for number in range(1, count + 1)]
