"""Engine `simulated`: a simulated cloud on this machine, in a process of its own that outlives the command.

    type: simulated                 optional
    listen: 127.0.0.1:0             an address of this machine, which is told to all who use the cloud: for load from
                                    other hosts one that they reach; port 0 takes any free one
    lifetime_s: 604800              it ends by itself after this many seconds
    access_log: false               one line a request into the deployment's folder
    …                               every other key is the cloud's own, see config.py

Rules: a later process with the same id is never ended in its place (common/known_process); the record is written before
anything is waited for. All files are 0600: the configuration holds passwords, which are never in argv.
"""

import ipaddress
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

from osbench.common.cloud.credentials import CloudCredentials, CloudSpec
from osbench.common.error import CloudError, InputError, ProtocolError
from osbench.common.known_process import KnownProcess, know, read_process
from osbench.common.private_file import write_private
from osbench.deploy.simulated.config import SimulationSpec, make_spec

NAME = "simulated"
START_S = 30.0
STOP_S = 10.0
_POLL_S = 0.02
MAX_LIFETIME_S = 30 * 86_400.0

CONFIG, PROCESS, READY, LOG, ACCESS_LOG = "cloud.json", "process.json", "ready.json", "cloud.log", "access.log"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What of the spec is about the process, not the cloud."""

    listen: str = "127.0.0.1:0"
    lifetime_s: float = 604_800.0
    access_log: bool = False


class SimulatedEngine:
    """Starts a simulated cloud, detached, and ends it."""

    def deploy(self, spec: Mapping[str, Any], folder: Path) -> CloudSpec:
        """Start the cloud and wait until it answers.

        Raises:
            InputError: the spec does not fit, or the folder has a running cloud; nothing was started.
            CloudError: it ended or did not answer within 30 s; it was ended.
        """
        place, cloud = read(spec)
        if self.is_running(folder):
            raise InputError(f"{folder}: a simulated cloud runs there already; destroy it first")
        _forget(folder)
        write_private(folder / CONFIG, msgspec.json.encode(cloud))
        started = _start(place, folder)
        try:
            ready = _wait_ready(started, folder)
        except BaseException:
            # A failed or interrupted deploy leaves nothing behind but its log.
            _end(started)
            _forget(folder, but=LOG)
            raise
        return CloudSpec(
            admin=CloudCredentials(
                auth_url=ready["auth_url"],
                username=cloud.admin.name,
                password=cloud.admin.password,
                user_domain_name="Default",
                project_name=cloud.admin.project,
                project_domain_name="Default",
                region=cloud.region,
            )
        )

    def destroy(self, spec: Mapping[str, Any], folder: Path) -> None:
        """End exactly the process that was started, and remove its files; either may be gone.

        Raises:
            CloudError: it could not be ended.
        """
        started = _recorded(folder)
        if started is not None:
            _end(started)
        elif (folder / CONFIG).exists():
            # Killed between the start and its record: the process is told by its very configuration file.
            for orphan in _started_with(folder / CONFIG):
                _end(orphan)
        _forget(folder)

    def is_running(self, folder: Path) -> bool:
        """Whether the cloud of this folder runs."""
        started = _recorded(folder)
        return started is not None and started.alive() is not None


def read(spec: Mapping[str, Any]) -> tuple[Place, SimulationSpec]:
    """The two halves of a deployment's spec.

    Raises:
        InputError: it does not fit.
    """
    mine = {name: spec[name] for name in Place.__struct_fields__ if name in spec}
    rest = {name: value for name, value in spec.items() if name not in mine and name != "type"}
    try:
        place = msgspec.convert(mine, Place)
    except msgspec.ValidationError as error:
        raise InputError(f"deployment spec: {error}") from error
    host, _, port = place.listen.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        is_address = not (address.is_unspecified or address.is_multicast)
    except ValueError:
        is_address = False
    if not is_address or not port.isdigit():
        raise InputError(
            f"deployment spec: listen is {place.listen!r}: ADDRESS:PORT with one address that all who use the cloud reach, "
            "e.g. 127.0.0.1:0"
        )
    if not 0 < place.lifetime_s <= MAX_LIFETIME_S:
        raise InputError(f"deployment spec: lifetime_s is {place.lifetime_s}: above 0 and at most {MAX_LIFETIME_S:.0f}")
    try:
        return place, make_spec(rest)
    except InputError as error:
        raise InputError(f"deployment spec: {error}") from error


def _start(place: Place, folder: Path) -> KnownProcess:
    arguments = [sys.executable, "-m", "osbench.deploy.simulated", "--listen", place.listen]
    arguments += ["--config", str(folder / CONFIG), "--ready-file", str(folder / READY)]
    arguments += ["--lifetime", str(place.lifetime_s)]
    if place.access_log:
        write_private(folder / ACCESS_LOG, b"")
        arguments += ["--access-log", str(folder / ACCESS_LOG)]
    write_private(folder / LOG, b"")
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    # The child is left running on purpose: it is not ours to wait for, so Popen shall not warn about it.
    process.returncode = 0
    started = know(psutil.Process(process.pid))
    started.save(folder / PROCESS)
    return started


def _wait_ready(started: KnownProcess, folder: Path) -> dict[str, Any]:
    deadline_s = time.monotonic() + START_S
    while not (folder / READY).exists():
        if started.alive() is None:
            raise CloudError(f"the simulated cloud ended at once: {_last_words(folder / LOG)}")
        if time.monotonic() > deadline_s:
            raise CloudError(f"the simulated cloud did not listen within {START_S:.0f} s; its log is {folder / LOG}")
        time.sleep(_POLL_S)
    document: dict[str, Any] = json.loads((folder / READY).read_bytes())
    return document


def _end(started: KnownProcess) -> None:
    process = started.alive()
    if process is None:
        return
    try:
        process.terminate()
        try:
            process.wait(STOP_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired as error:
        raise CloudError(f"process {started.pid} of the simulated cloud does not end") from error


def _recorded(folder: Path) -> KnownProcess | None:
    try:
        return read_process(folder / PROCESS)
    except ProtocolError as error:
        raise CloudError(
            f"{error}; look for a process with {folder} in its command line, end it and remove the file"
        ) from error


def _started_with(config: Path) -> list[KnownProcess]:
    """The processes that have this configuration file as an argument."""
    return [know(process) for process in psutil.process_iter() if str(config) in _arguments_of(process)]


def _arguments_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _forget(folder: Path, but: str = "") -> None:
    """Remove all files of ours, the record last."""
    for name in (READY, CONFIG, LOG, ACCESS_LOG, PROCESS):
        if name != but:
            (folder / name).unlink(missing_ok=True)


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
