"""How a coordinator's daemon is set up: defaults, then a file, then the environment, then the command line.

Rules: one value, checked once; a wrong key or value is one line that names it, its bound and where it was set.

    <home>/coordinator.yaml      or --config FILE
    OSBENCH_COORDINATOR_<KEY>    e.g. OSBENCH_COORDINATOR_LEASE_S=90
"""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from osbench.common.error import InputError
from osbench.common.nearest import did_you_mean

FILE_NAME = "coordinator.yaml"
ENVIRONMENT_PREFIX = "OSBENCH_COORDINATOR_"
MAX_FILE_BYTES = 64 * 1024
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")


class CoordinatorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the daemon.

    Attributes:
        listen: address for agents, IPv4 or IPv6; control_port, bulk_port, enrol_port: TCP ports there; 0 for any.
        advertise: address or name under which agents reach this host; empty for the one this host sees itself under.
        api_listen, api_port: of the REST API. api_allow_remote: the API may listen on an address that is not loopback;
            it has no TLS, so put a proxy that has before it.
        lease_s: so long agents go on without a word from here; then they drain by themselves.
        agent_wait_s: how long a task waits for the agents it asks for. ready_wait_s: how long those may take to get ready.
        lost_wait_s: so long a run that could end waits for an agent that was lost; what that has not delivered by then
            counts as lost, until it comes after all.
        start_margin_s: from the decision to start until the start; all agents must have heard of it by then.
        max_agents: that may be connected; decides how many open files are needed.
        max_queued: tasks that may wait.
    """

    listen: str = "0.0.0.0"
    control_port: int = 7761
    bulk_port: int = 7762
    enrol_port: int = 7763
    advertise: str = ""
    api_listen: str = "127.0.0.1"
    api_port: int = 7760
    api_allow_remote: bool = False
    lease_s: float = 60.0
    agent_wait_s: float = 60.0
    ready_wait_s: float = 60.0
    lost_wait_s: float = 60.0
    start_margin_s: float = 2.0
    max_agents: int = 1000
    max_queued: int = 1000

    def endpoint(self, port: int) -> str:
        """Where to bind a ZeroMQ socket for agents."""
        host = f"[{self.listen}]" if ":" in self.listen else self.listen
        return f"tcp://{host}:{port or '*'}"


#: Whole or real number settings: lowest, highest.
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "control_port": (0, 65_535),
    "bulk_port": (0, 65_535),
    "enrol_port": (0, 65_535),
    "api_port": (0, 65_535),
    "lease_s": (2, 3_600),
    "agent_wait_s": (1, 3_600),
    "ready_wait_s": (1, 3_600),
    "lost_wait_s": (0, 86_400),
    "start_margin_s": (0.1, 60),
    "max_agents": (1, 10_000),
    "max_queued": (1, 100_000),
}


def read_config(
    file: Path | None, home: Path, environment: Mapping[str, str], flags: Mapping[str, Any]
) -> CoordinatorConfig:
    """The settings that hold.

    Args:
        file: of `--config`; None for the one in the home, which need not be there.
        flags: of the command line, None where a flag was not given.

    Raises:
        InputError: a file that cannot be read, a key that does not exist, or a value out of its bounds.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, found in (
        _of_file(file, home),
        ("the environment", _of_environment(environment)),
        ("the command line", {key: value for key, value in flags.items() if value is not None}),
    ):
        for key, value in found.items():
            if key not in CoordinatorConfig.__struct_fields__:
                near = did_you_mean(key, CoordinatorConfig.__struct_fields__)
                raise InputError(f"{origin}: there is no setting {key!r:.80}{near}")
            values[key], origins[key] = value, origin
    config = _convert(values, origins)
    _check(config, origins)
    return config


def _of_file(file: Path | None, home: Path) -> tuple[str, dict[str, Any]]:
    path = file or home / FILE_NAME
    try:
        data = path.read_bytes()[: MAX_FILE_BYTES + 1]
    except FileNotFoundError:
        if file is None:
            return str(path), {}
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path}: longer than {MAX_FILE_BYTES} bytes")
    try:
        found = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    if found is None:
        return str(path), {}
    if not isinstance(found, dict):
        raise InputError(f"{path}: a mapping of settings is needed, this is a {type(found).__name__}")
    return str(path), {str(key): value for key, value in found.items()}


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }


def _convert(values: Mapping[str, Any], origins: Mapping[str, str]) -> CoordinatorConfig:
    types = {field.name: field.type for field in msgspec.structs.fields(CoordinatorConfig)}
    typed = {}
    for key, value in values.items():
        try:
            # Not strict: the environment has only text.
            typed[key] = msgspec.convert(value, types[key], strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"{origins[key]}: {key} {value!r:.80}: {error}") from None
    return CoordinatorConfig(**typed)


def _check(config: CoordinatorConfig, origins: Mapping[str, str]) -> None:
    for key, (lowest, highest) in _BOUNDS.items():
        value = getattr(config, key)
        if not lowest <= value <= highest:
            origin = origins.get(key, "default")
            raise InputError(f"{origin}: {key} {value:g} must be {lowest:g} to {highest:g}")
    for key in ("listen", "api_listen"):
        try:
            ipaddress.ip_address(getattr(config, key))
        except ValueError:
            raise InputError(
                f"{origins[key]}: {key} {getattr(config, key)!r:.80} is no IP address; 0.0.0.0 or :: for all"
            ) from None
    if config.advertise and not _is_host(config.advertise):
        raise InputError(f"{origins['advertise']}: advertise {config.advertise!r:.80} is no address or host name")
    if not config.api_allow_remote and not ipaddress.ip_address(config.api_listen).is_loopback:
        raise InputError(
            f"{origins['api_listen']}: api_listen {config.api_listen} is not loopback, and the API has no TLS; "
            "put a proxy that has before it, or set api_allow_remote: true"
        )


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(_HOST.fullmatch(text))
    return True
