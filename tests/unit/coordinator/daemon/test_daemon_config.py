"""Settings of the daemon: what comes before what, and what is said of wrong ones."""

from pathlib import Path

import pytest

from osbench.common.error import InputError
from osbench.coordinator.daemon.config import CoordinatorConfig, read_config


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "coordinator.yaml").write_text("lease_s: 10\ncontrol_port: 1\nbulk_port: 2\n")
    environment = {"OSBENCH_COORDINATOR_CONTROL_PORT": "3", "OSBENCH_COORDINATOR_BULK_PORT": "4", "OSBENCH_HOME": "x"}

    config = read_config(None, tmp_path, environment, {"bulk_port": 5, "lease_s": None})

    assert config == CoordinatorConfig(lease_s=10, control_port=3, bulk_port=5)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert read_config(None, tmp_path, {}, {}) == CoordinatorConfig()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lease: 5", "there is no setting 'lease'; did you mean 'lease_s'?"),
        ("lease_s: fast", "lease_s 'fast'"),
        ("lease_s: 0", "lease_s 0 must be 2 to 3600"),
        ("control_port: 70000", "control_port 70000 must be 0 to 65535"),
        ("listen: here", "listen 'here' is no IP address"),
        ("advertise: 'a b'", "advertise 'a b' is no address"),
        ("api_listen: 0.0.0.0", "api_allow_remote: true"),
        ("- 1", "a mapping of settings is needed"),
        ("a: [", "no YAML"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)

    with pytest.raises(InputError) as caught:
        read_config(file, tmp_path, {}, {})

    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{file}:")
    assert "\n" not in str(caught.value)


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_config(tmp_path / "none.yaml", tmp_path, {}, {})


def test_a_wrong_environment_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the environment: lease_s 9999 must be"):
        read_config(None, tmp_path, {"OSBENCH_COORDINATOR_LEASE_S": "9999"}, {})


def test_an_ipv6_address_is_bound_in_brackets() -> None:
    assert CoordinatorConfig(listen="::").endpoint(7761) == "tcp://[::]:7761"
    assert CoordinatorConfig().endpoint(0) == "tcp://0.0.0.0:*"
