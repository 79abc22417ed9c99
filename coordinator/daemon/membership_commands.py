"""`osbench-coordinator invite | revoke | keys`: who is an agent of this coordinator; with or without it running."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from osbench.common.clock import NS_PER_S, SystemClock
from osbench.common.curve import fingerprint
from osbench.common.error import InputError
from osbench.coordinator.cli.options import print_rows
from osbench.coordinator.daemon.config import CoordinatorConfig, read_config
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.membership import invite as invite_agent
from osbench.coordinator.membership import own_address, server_key
from osbench.coordinator.membership import revoke as revoke_agent
from osbench.coordinator.store.contract import Store

EPILOG_INVITE = """\b
Examples:
  osbench-coordinator invite load-1 | ssh load-1 osbench-agent join
  osbench-coordinator invite load-1 --minutes 60 --address control1.example.org > load-1.invite

\b
The line that is printed is a secret until it was used: whoever has it can become this agent. It goes to the standard
input of `osbench-agent join`, never on a command line.
"""
EPILOG_REVOKE = """\b
Examples:
  osbench-coordinator revoke load-1
"""
EPILOG_KEYS = """\b
Examples:
  osbench-coordinator keys
  osbench-coordinator keys --all --json | jq -r '.[] | select(.state == "enrolled").agent'
"""
#: Listening there is listening at all addresses: it is none to go to.
ANYWHERE = ("0.0.0.0", "::", "*")

ENROLLED, REVOKED, INVITED = "enrolled", "revoked", "invited"


@click.command(epilog=EPILOG_INVITE)
@click.argument("name")
@click.option("--minutes", type=float, default=15.0, show_default=True, help="How long the invitation is good.")
@click.option("--address", metavar="HOST", help="How the agent reaches this host.  [default: the setting `advertise`]")
@click.option("--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="YAML file of settings.")
@click.pass_context
def invite(context: click.Context, name: str, minutes: float, address: str | None, config_file: Path | None) -> None:
    """Print a line by which a host becomes agent NAME, once."""
    clock = SystemClock()
    with _opened(context) as (home, store):
        config = read_config(config_file, home.path, os.environ, {})
        if not config.enrol_port:
            raise InputError("enrol_port is 0, so nobody can say beforehand where to enrol; set a port in the settings")
        host = address or _advertised(config)
        invitation = invite_agent(
            store,
            server_key(home.path),
            name,
            host=host.strip("[]"),
            port=config.enrol_port,
            minutes=minutes,
            clock=clock,
        )
    click.echo(invitation.line())
    click.echo(
        f"Good once, for {minutes:g} minutes. On the host that becomes {name}, run `osbench-agent join` and paste the line "
        f"above, or pipe it in. The host must reach {host} at port {config.enrol_port}, and then at ports "
        f"{config.control_port} and {config.bulk_port}.",
        err=True,
    )


@click.command(epilog=EPILOG_REVOKE)
@click.argument("name")
@click.pass_context
def revoke(context: click.Context, name: str) -> None:
    """Take the key of agent NAME away, and its open invitations: it is shut out within a second or two."""
    with _opened(context) as (_, store):
        revoked = revoke_agent(store, name, SystemClock())
    what = ["its key is revoked"] if revoked.had_key else []
    if revoked.invitations:
        what.append(f"{revoked.invitations} open invitation{'s are' if revoked.invitations > 1 else ' is'} withdrawn")
    click.echo(f"Agent {name}: {', '.join(what)}.", err=True)


@click.command(epilog=EPILOG_KEYS)
@click.option("--all", "is_all", is_flag=True, help="Show revoked keys too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def keys(context: click.Context, is_all: bool, as_json: bool) -> None:
    """List enrolled agents by their keys, and open invitations."""
    with _opened(context) as (_, store):
        found = store.agent_key_list(active=not is_all)
        invitations = store.invite_list(active_ns=SystemClock().wall_ns())
    rows = [
        _row(
            key.name, ENROLLED if key.revoked_ns is None else REVOKED, key.revoked_ns or key.created_ns, key.public_key
        )
        for key in found
    ]
    rows += [_row(invitation.name, INVITED, invitation.expires_ns, "") for invitation in invitations]
    rows.sort(key=lambda row: str(row["agent"]))
    columns = {"agent": "Agent", "state": "State", "when": "Since or until", "fingerprint": "Fingerprint"}
    print_rows("Keys", columns, rows, as_json=as_json, ranks={"when": 1}, cut="agent")


def _row(agent: str, state: str, at_ns: int, key: str) -> dict[str, Any]:
    when = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"agent": agent, "state": state, "when": when, "fingerprint": fingerprint(key) if key else "", "key": key}


def _advertised(config: CoordinatorConfig) -> str:
    if config.advertise:
        return config.advertise
    return own_address() if config.listen in ANYWHERE else config.listen


@contextmanager
def _opened(context: click.Context) -> Iterator[tuple[Home, Store]]:
    """The home that the group's --home says, and its store."""
    from osbench.coordinator.store.sql import open_store

    home = open_home(context.obj, os.environ)
    store = open_store(home.database, clock=SystemClock(), key_file=home.key_file)
    try:
        yield home, store
    finally:
        store.close()
