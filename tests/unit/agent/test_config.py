"""An agent's configuration: what is wrong in it is told with key, value, bound and cure."""

import json
from pathlib import Path
from typing import Any

import pytest

from osbench.agent.config import AgentConfig, default_config_path, parse_config, read_config
from osbench.common.curve import make_key_pair
from osbench.common.error import InputError

PAIR, SERVER = make_key_pair(), make_key_pair()
GOOD: dict[str, Any] = {
    "name": "load-1",
    "control": "tcp://10.0.0.1:7761",
    "bulk": "tcp://[fd00::1]:7762",
    "spool": "/var/lib/osbench/agent",
    "coordinator_key": SERVER.public,
    "public_key": PAIR.public,
    "secret_key": PAIR.secret,
}


def written(path: Path, mode: int = 0o600, **changes: Any) -> Path:
    path.write_text(json.dumps(GOOD | changes))
    path.chmod(mode)
    return path


def test_a_good_configuration_is_read_and_does_not_show_its_secret_key(tmp_path: Path) -> None:
    config = read_config(written(tmp_path / "agent.json"))

    assert config.keys == PAIR
    assert PAIR.secret not in repr(config)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_keys_that_others_can_read_are_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "agent.json", mode)

    with pytest.raises(InputError, match=rf"can be read by others \(mode {mode:o}\): chmod 600 {path}"):
        read_config(path)


def test_what_systemd_hands_over_is_private_whatever_its_mode(tmp_path: Path) -> None:
    """Its access list shows as a group's right to read."""
    path = written(tmp_path / "agent.json", 0o440)

    assert read_config(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).name == "load-1"


def test_a_local_agent_needs_no_keys(tmp_path: Path) -> None:
    local = {"name": "local-1", "control": "ipc:///run/x/c", "bulk": "ipc:///run/x/b", "spool": "/x/spool"}
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(local))

    assert read_config(path).keys is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"workers": "many"}, r"workers = 'many': Expected `int`, got `str`; correct it, or join again"),
        ({"workers": 1025}, r"workers = 1025 must be 0 to 1024; 0 is one per core"),
        ({"spool_limit_bytes": 10}, r"spool_limit_bytes = 10 must be 1048576 to"),
        ({"linger_s": -1}, r"linger_s = -1.0 must be 0 to 86400; 0 is for ever"),
        ({"spool": "spool"}, r"spool = 'spool' must be an absolute path"),
        ({"control": "10.0.0.1:7761"}, r"control = '10.0.0.1:7761' must be tcp://HOST:PORT"),
        ({"bulk": "tcp://10.0.0.1"}, r"bulk = 'tcp://10.0.0.1' must be tcp://HOST:PORT"),
        ({"labels": ["ssd", "two words"]}, r"label 'two words' must be 1 to 64 letters"),
        ({"labels": [str(number) for number in range(33)]}, r"33 labels, at most 32 are taken"),
        ({"name": "-x"}, r"agent name '-x' must be 1 to 64"),
        ({"colour": "red"}, r"unknown field `colour`"),
        ({"secret_key": ""}, r"keys are missing \(coordinator_key, public_key, secret_key\): join"),
        ({"coordinator_key": "short"}, r"coordinator_key is no key"),
        ({"public_key": SERVER.public}, r"does not belong to its secret key"),
    ],
)
def test_what_is_wrong_is_told_with_key_value_bound_and_cure(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse_config(json.dumps(GOOD | changes).encode(), "agent configuration f")


def test_a_secret_key_is_not_shown_even_when_it_is_wrong() -> None:
    with pytest.raises(InputError, match=r"secret_key = \(hidden\): Expected `str`, got `int`"):
        parse_config(json.dumps(GOOD | {"secret_key": 123456789}).encode(), "f")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_what_is_no_configuration_at_all_is_an_input_error(content: bytes) -> None:
    with pytest.raises(InputError, match="join again"):
        parse_config(content, "f")


def test_a_file_that_is_not_there_is_told_with_the_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="join a coordinator with `osbench-agent join`"):
        read_config(tmp_path / "none.json")


def test_the_environment_says_where_the_configuration_is() -> None:
    assert default_config_path({"OSBENCH_AGENT_CONFIG": "/srv/a.json"}) == Path("/srv/a.json")


def test_as_many_workers_as_cores_unless_it_says_how_many() -> None:
    config = AgentConfig(name="a", control="ipc:///c", bulk="ipc:///b", spool="/s", workers=3)

    assert config.worker_count == 3
