"""`invite`, `revoke` and `keys`: the line on standard output alone; the store is written with or without a coordinator."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from osbench.common.clock import SystemClock
from osbench.common.curve import load_key_pair, make_key_pair
from osbench.common.error import InputError
from osbench.common.invitation import parse_invitation, secret_digest
from osbench.coordinator.daemon.membership_commands import invite, keys, revoke
from osbench.coordinator.membership import own_address, server_key
from osbench.coordinator.store.sql import SqlStore, open_store
from osbench.coordinator.store.values import Redemption

COMMANDS = {"invite": invite, "revoke": revoke, "keys": keys}
KEY = make_key_pair().public
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a fresh home."""
    for name in [name for name in os.environ if name.startswith("OSBENCH_")]:
        monkeypatch.delenv(name)

    def run_one(command: str, *words: str) -> Result:
        return CliRunner().invoke(COMMANDS[command], words, obj=str(tmp_path / "home"))

    return run_one


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(tmp_path / "home" / "osbench.db", clock=SystemClock())
    yield opened
    opened.close()


def enrol(run: Run, store: SqlStore, name: str) -> None:
    made = parse_invitation(run("invite", name, "--address", "h").stdout)
    redemption = store.invite_redeem(
        digest=secret_digest(made.secret), name=name, public_key=KEY, now_ns=SystemClock().wall_ns()
    )
    assert redemption is Redemption.ENROLLED


def test_an_invitation_is_one_line_on_standard_output_and_its_use_on_standard_error(run: Run, tmp_path: Path) -> None:
    result = run("invite", "load-1", "--address", "2001:db8::7")
    invitation = parse_invitation(result.stdout)
    pair = load_key_pair(tmp_path / "home" / "coordinator.key")

    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert pair is not None
    assert (invitation.name, invitation.host, invitation.port) == ("load-1", "2001:db8::7", 7763)
    assert invitation.server_key == pair.public == server_key(tmp_path / "home").public
    assert "osbench-agent join" in result.stderr
    assert invitation.secret.hex() not in result.stderr


def test_the_settings_say_where_to_come(run: Run, tmp_path: Path) -> None:
    run("keys")
    (tmp_path / "home" / "coordinator.yaml").write_text("advertise: control1.example.org\nenrol_port: 8763\n")
    invitation = parse_invitation(run("invite", "load-1").stdout)

    assert (invitation.host, invitation.port) == ("control1.example.org", 8763)


def test_the_store_has_no_secret(run: Run, store: SqlStore, tmp_path: Path) -> None:
    invitation = parse_invitation(run("invite", "load-1", "--address", "h").stdout)
    store.compact()
    (found,) = store.invite_list()

    assert found.digest == secret_digest(invitation.secret)
    for path in (tmp_path / "home").glob("osbench.db*"):
        content = path.read_bytes()
        assert invitation.secret not in content
        assert invitation.secret.hex().encode() not in content


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["../x"], "agent name '../x' must be"),
        (["-x"], "No such option"),
        (["a", "--minutes", "0"], "0 minutes"),
        (["a", "--minutes", "nan"], "nan minutes"),
        (["a", "--minutes", "99999"], "99999 minutes"),
        (["a", "--address", "a b"], "address 'a b' is no host"),
    ],
)
def test_what_cannot_be_invited_is_refused(run: Run, store: SqlStore, words: list[str], message: str) -> None:
    result = run("invite", "--address", "h", *words)

    assert message in str(result.exception) + result.stderr
    assert result.stdout == ""
    assert store.invite_list() == []


def test_revoking_takes_the_key_and_open_invitations_and_says_so(run: Run, store: SqlStore) -> None:
    enrol(run, store, "load-1")
    run("invite", "load-1", "--address", "h")
    result = run("revoke", "load-1")

    assert result.stderr == "Agent load-1: its key is revoked, 1 open invitation is withdrawn.\n"
    assert store.agent_key_list() == []
    again = run("revoke", "load-1")
    assert isinstance(again.exception, InputError)
    assert "has no key and no open invitation; no agent is enrolled" in str(again.exception)


def test_keys_are_listed_with_their_state(run: Run, store: SqlStore) -> None:
    enrol(run, store, "load-1")
    run("invite", "load-2", "--address", "h")
    listed = json.loads(run("keys", "--json").stdout)

    assert [(row["agent"], row["state"], row["key"]) for row in listed] == [
        ("load-1", "enrolled", KEY),
        ("load-2", "invited", ""),
    ]
    assert listed[0]["fingerprint"] in run("keys").stdout
    run("revoke", "load-1")
    assert [row["state"] for row in json.loads(run("keys", "--json").stdout)] == ["invited"]
    assert [row["state"] for row in json.loads(run("keys", "--all", "--json").stdout)] == ["revoked", "invited"]


def test_the_coordinators_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = server_key(tmp_path)

    assert server_key(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["coordinator.key"]
    assert (tmp_path / "coordinator.key").stat().st_mode & 0o777 == 0o600


def test_this_hosts_own_address_is_none_of_loopback() -> None:
    try:
        found = own_address()
    except InputError:
        pytest.skip("this host has no address but loopback")

    assert not found.startswith("127.")
