"""`osbench scenario`: what can be run, with its parameters."""

from typing import TYPE_CHECKING

import click

from osbench.coordinator.cli.options import json_option, print_json, print_rows

if TYPE_CHECKING:
    from osbench.common.scenarios.definition import Parameter

EPILOG_LIST = """\b
Examples:
  osbench scenario list
  osbench scenario list --match nova
  osbench scenario list --json | jq -r .[].name
"""
EPILOG_SHOW = """\b
Example:
  osbench scenario show NovaServers.boot_and_delete_server
"""


@click.group()
def scenario() -> None:
    """What can be run."""


@scenario.command("list", epilog=EPILOG_LIST)
@click.option("--match", default="", metavar="TEXT", help="Only those with this in their name, letter case apart.")
@json_option
def list_scenarios(match: str, as_json: bool) -> None:
    """List scenarios by name."""
    from osbench.common.scenarios.registry import SCENARIOS

    rows = [
        {"name": known.name, "title": known.title, "services": ", ".join(known.services)}
        for name, known in sorted(SCENARIOS.items())
        if match.lower() in name.lower()
    ]
    columns = {"name": "Name", "title": "Title", "services": "Services"}
    print_rows("Scenarios", columns, rows, as_json=as_json, ranks={"services": 1}, cut="title")


@scenario.command("show", epilog=EPILOG_SHOW)
@click.argument("name")
@json_option
def show_scenario(name: str, as_json: bool) -> None:
    """Show one scenario with its parameters."""
    from osbench.common.scenarios.registry import find_scenario

    known = find_scenario(name.partition("@")[0])
    rows = [
        {
            "name": parameter.name,
            "type": type_words(parameter),
            "default": "required" if parameter.required else default_words(parameter.default),
            "description": parameter.doc,
        }
        for parameter in known.parameters
    ]
    needs = [*known.services, *(["users"] if known.needs_users else []), *(["admin"] if known.needs_admin else [])]
    if as_json:
        shown = {"name": known.name, "title": known.title, "description": known.description}
        print_json({**shown, "needs": needs, "takes_more": known.takes_more, "parameters": rows})
        return
    click.echo(f"{known.name}: {known.title}")
    if known.description:
        click.echo(f"\n{known.description}")
    click.echo(f"\nNeeds: {', '.join(needs) or 'nothing'}\n")
    if rows:
        columns = {"name": "Parameter", "type": "Type", "default": "Default", "description": "Description"}
        print_rows("Parameters", columns, rows, as_json=False, ranks={"type": 1}, cut="description")
    else:
        click.echo("It takes no parameters.")
    if known.takes_more:
        click.echo("Further arguments are taken too.")


def type_words(parameter: "Parameter") -> str:
    """A parameter's type and bounds: `int, 1 to 4096`."""
    low, high = parameter.bounds.at_least, parameter.bounds.at_most
    words = parameter.type
    if low is not None and high is not None:
        words += f", {low:g} to {high:g}"
    elif low is not None:
        words += f", {low:g} or more"
    elif high is not None:
        words += f", at most {high:g}"
    return f"{words}, or none" if parameter.nullable else words


def default_words(default: object) -> str:
    """A default as it is written in a task file."""
    import json

    return "" if default is None else json.dumps(default)
