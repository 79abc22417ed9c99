"""What an agent is told once, in a file of its own: its name, its keys, where its coordinator is, where it spools.

Rules: the file holds a secret key, so only its owner may read it; what is wrong in it is told with key, value, bound and
cure, and the secret key is never shown. `osbench-agent join` writes it; a local run writes its agents' own.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from osbench.common.agent_name import check_agent_name
from osbench.common.curve import KeyPair, check_key, check_key_pair
from osbench.common.error import InputError

ENVIRONMENT_CONFIG = "OSBENCH_AGENT_CONFIG"
#: systemd puts here what LoadCredential= names; nobody else reads it, whatever its mode says of an access list.
ENVIRONMENT_CREDENTIALS = "CREDENTIALS_DIRECTORY"

MAX_WORKERS = 1_024
MAX_LABELS = 32
#: Below this a spool is full before a second of a large load is in it.
MIN_SPOOL_BYTES = 1024**2
MAX_SPOOL_BYTES = 1024**5
MAX_LINGER_S = 86_400.0

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=/-]{0,63}", re.ASCII)
_ENDPOINT = re.compile(r"(tcp://(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}|ipc://.+)")
_WRONG_KEY = re.compile(r"\$\.([A-Za-z_]+)")
#: Keys whose values are not shown.
_HIDDEN = frozenset({"secret_key"})


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent's configuration.

    Attributes:
        name: unique among the agents of a coordinator; letters, digits, dot, dash, underscore.
        control, bulk: ZeroMQ endpoints of the coordinator, tcp:// or ipc://.
        spool: folder for records not yet acknowledged.
        workers: processes that run iterations; 0 for one per core.
        spool_limit_bytes: above it rows of calls are given up and their histograms kept.
        labels: free words by which tasks choose agents.
        linger_s: without any run and without its coordinator for so long, the agent ends by itself; 0 for never.
        coordinator_key, public_key, secret_key: of CURVE, z85; over tcp all three, over ipc none.
    """

    name: str
    control: str
    bulk: str
    spool: str
    workers: int = 0
    spool_limit_bytes: int = 4 * 1024**3
    labels: tuple[str, ...] = ()
    linger_s: float = 0.0
    coordinator_key: str = ""
    public_key: str = ""
    secret_key: str = ""

    def __repr__(self) -> str:
        return f"AgentConfig(name={self.name!r}, control={self.control!r}, spool={self.spool!r})"

    @property
    def worker_count(self) -> int:
        """How many workers: as asked, or one per core this process may use."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def keys(self) -> KeyPair | None:
        """The agent's own key pair; None without CURVE."""
        return KeyPair(public=self.public_key, secret=self.secret_key) if self.secret_key else None


def default_config_path(environment: Mapping[str, str]) -> Path:
    """Where the configuration is unless the command line says so."""
    if named := environment.get(ENVIRONMENT_CONFIG):
        return Path(named)
    if os.geteuid() == 0:
        return Path("/etc/osbench/agent.json")
    import platformdirs

    return platformdirs.user_config_path("osbench") / "agent.json"


def default_spool_path() -> Path:
    """Where an agent spools unless it was joined with another place."""
    if os.geteuid() == 0:
        return Path("/var/lib/osbench/agent")
    import platformdirs

    return platformdirs.user_data_path("osbench") / "agent"


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> AgentConfig:
    """The configuration in a JSON file.

    Raises:
        InputError: not there, not private, not JSON, or not this configuration; the message names key, value and cure.
    """
    try:
        mode, content = path.stat().st_mode & 0o777, path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"there is no agent configuration {path}: join a coordinator with `osbench-agent join`, or name another file "
            f"with --config or {ENVIRONMENT_CONFIG}"
        ) from None
    except OSError as error:
        raise InputError(f"agent configuration {path}: {error.strerror}") from error
    config = parse_config(content, f"agent configuration {path}")
    if config.secret_key and mode & 0o077 and not _is_credential(path, environment):
        raise InputError(
            f"agent configuration {path} holds a secret key and can be read by others (mode {mode:o}): chmod 600 {path}, "
            "and join again if anybody may have read it"
        )
    return config


def parse_config(content: bytes, what: str) -> AgentConfig:
    """The configuration that these bytes are.

    Args:
        what: the file, for messages.

    Raises:
        InputError: they are not; the message names key, value, bound and cure.
    """
    try:
        raw = msgspec.json.decode(content)
        config = msgspec.convert(raw, AgentConfig)
    except msgspec.ValidationError as error:
        raise InputError(f"{what}: {_complaint(error, raw)}; correct it, or join again") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{what} is not JSON: {error}; correct it, or join again") from None
    _check(config, what)
    return config


def check_config(config: AgentConfig, what: str) -> AgentConfig:
    """A configuration that was put together of a user's options, if it holds.

    Raises:
        InputError: it does not; the message names key, value, bound and cure.
    """
    _check(config, what)
    return config


def _complaint(error: msgspec.ValidationError, raw: Any) -> str:
    text = str(error)
    found = _WRONG_KEY.search(text)
    if found is None or not isinstance(raw, dict) or found[1] not in raw:
        return text
    key = found[1]
    value = "(hidden)" if key in _HIDDEN else f"{raw[key]!r:.80}"
    return f"{key} = {value}: {text.split(' - at ')[0]}"


def _check(config: AgentConfig, what: str) -> None:
    check_agent_name(config.name)
    for key, endpoint in (("control", config.control), ("bulk", config.bulk)):
        if _ENDPOINT.fullmatch(endpoint) is None:
            raise InputError(f"{what}: {key} = {endpoint!r:.80} must be tcp://HOST:PORT (or ipc://PATH)")
    if not config.spool.startswith("/"):
        raise InputError(f"{what}: spool = {config.spool!r:.80} must be an absolute path")
    bounds: tuple[tuple[str, float, float, float, str], ...] = (
        ("workers", config.workers, 0, MAX_WORKERS, "0 is one per core"),
        ("spool_limit_bytes", config.spool_limit_bytes, MIN_SPOOL_BYTES, MAX_SPOOL_BYTES, "4294967296 is the default"),
        ("linger_s", config.linger_s, 0, MAX_LINGER_S, "0 is for ever"),
    )
    for key, value, least, most, hint in bounds:
        if not least <= value <= most:
            raise InputError(f"{what}: {key} = {value} must be {least:.0f} to {most:.0f}; {hint}")
    if len(config.labels) > MAX_LABELS:
        raise InputError(f"{what}: {len(config.labels)} labels, at most {MAX_LABELS} are taken")
    for label in config.labels:
        if _LABEL.fullmatch(label) is None:
            raise InputError(
                f"{what}: label {label!r:.80} must be 1 to 64 letters, digits, '.', '_', '=', '/' or '-', and begin with a "
                "letter or digit"
            )
    _check_keys(config, what)


def _check_keys(config: AgentConfig, what: str) -> None:
    has_keys = bool(config.secret_key or config.public_key or config.coordinator_key)
    is_remote = config.control.startswith("tcp://") or config.bulk.startswith("tcp://")
    if is_remote and not (config.coordinator_key and config.keys):
        raise InputError(
            f"{what}: {config.control} is reached over the network, and keys are missing (coordinator_key, public_key, "
            "secret_key): join with `osbench-agent join`"
        )
    if has_keys:
        check_key(config.coordinator_key, f"{what}: coordinator_key")
        check_key_pair(KeyPair(public=config.public_key, secret=config.secret_key), what)


def _is_credential(path: Path, environment: Mapping[str, str]) -> bool:
    folder = environment.get(ENVIRONMENT_CREDENTIALS)
    return bool(folder) and path.parent == Path(str(folder))
