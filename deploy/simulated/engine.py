"""Engine `simulated`: a simulated cloud as a process of its own on this machine, until the deployment is destroyed.

    type: simulated
    listen: 127.0.0.1:0          optional; port 0 takes any free one
    …                            all keys of deploy/simulated/config

Rules: the process is a session of its own and is known by its id and its start time together, so that a recycled id is
never taken for it. Its configuration, which holds passwords, is a file only its owner may read; nothing of it is on the
command line.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from osbench.common.cloud.credentials import CloudCredentials, CloudSpec
from osbench.common.error import CloudError
from osbench.deploy.simulated import config
from osbench.deploy.simulated.config import make_spec

NAME = "simulated"
LISTEN = "127.0.0.1:0"

#: How long the process may take to listen, and to end.
READY_S = 20.0
LEAVE_S = 5.0
LOOK_S = 0.02


class SimulatedEngine:
    """Starts and ends simulated clouds."""

    def deploy(self, spec: Mapping[str, Any], folder: Path) -> CloudSpec:
        """Start the cloud and wait until it listens.

        Args:
            spec: as above. folder: keeps configuration, process file and log.

        Returns:
            Its administrator, and its other users.

        Raises:
            InputError: the spec does not fit. CloudError: the process does not come up.
        """
        listen = str(spec.get("listen", LISTEN))
        settings = {key: value for key, value in spec.items() if key not in ("type", "listen")}
        checked = make_spec(settings)
        self.destroy(spec, folder)
        _write_private(folder / "cloud.json", json.dumps(settings))
        process = _start(folder, listen)
        ready = _wait_until_ready(folder, process)
        return _cloud_of(checked, ready["auth_url"])

    def destroy(self, spec: Mapping[str, Any], folder: Path) -> None:
        """End the process, if it still is there; the folder is empty of ours after."""
        process = _process(folder)
        if process is not None:
            process.terminate()
            try:
                process.wait(LEAVE_S)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(LEAVE_S)
        for name in ("process.json", "ready.json", "cloud.json"):
            (folder / name).unlink(missing_ok=True)


def _start(folder: Path, listen: str) -> "subprocess.Popen[bytes]":
    with os.fdopen(os.open(folder / "cloud.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "osbench.deploy.simulated"),
                *("--listen", listen),
                *("--config", str(folder / "cloud.json")),
                *("--ready-file", str(folder / "ready.json")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    started = psutil.Process(process.pid).create_time()
    _write_private(folder / "process.json", json.dumps({"pid": process.pid, "started": started}))
    return process


def _wait_until_ready(folder: Path, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if (folder / "ready.json").exists():
            ready: dict[str, Any] = json.loads((folder / "ready.json").read_text())
            return ready
        if process.poll() is not None:
            break
        time.sleep(LOOK_S)
    process.kill()
    process.wait(LEAVE_S)
    words = (folder / "cloud.log").read_text(errors="replace").strip().splitlines()[-1:]
    raise CloudError(f"the simulated cloud did not come up: {words[0] if words else f'no word within {READY_S:g} s'}")


def _process(folder: Path) -> psutil.Process | None:
    """The process that was started for this folder, if it still runs."""
    try:
        known = json.loads((folder / "process.json").read_text())
        process = psutil.Process(known["pid"])
        is_ours = abs(process.create_time() - known["started"]) < 0.01
        return process if is_ours and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


def _cloud_of(spec: "config.CloudSpec", auth_url: str) -> CloudSpec:
    def sign_in(name: str, password: str, project: str) -> CloudCredentials:
        return CloudCredentials(
            auth_url=auth_url,
            username=name,
            password=password,
            user_domain_name="Default",
            project_name=project,
            project_domain_name="Default",
            region=spec.region,
        )

    return CloudSpec(admin=sign_in(spec.admin.name, spec.admin.password, spec.admin.project))


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
