"""`osbench deployment`: target clouds."""

from pathlib import Path

import click

from osbench.coordinator.cli.options import (
    json_option,
    pass_workshop,
    print_json,
    print_pairs,
    print_rows,
    wall_time,
)
from osbench.coordinator.cli.workshop import Workshop

EPILOG_CREATE = """\b
Examples:
  osbench deployment create mycloud --cloud mycloud          a cloud of clouds.yaml
  osbench deployment create mycloud --from-env               after sourcing an openrc file
  osbench deployment create mycloud --file existing.json     Rally's spec of an existing cloud
  osbench deployment create simulated --engine simulated     a simulated cloud on this machine
"""
EPILOG_LIST = """\b
Examples:
  osbench deployment list
  osbench deployment list --json | jq -r .[].name
"""
EPILOG_SHOW = """\b
Examples:
  osbench deployment show
  osbench deployment show mycloud --json | jq -r .auth_url
"""
EPILOG_CONFIG = """\b
Example:
  osbench deployment config mycloud
"""
EPILOG_USE = """\b
Example:
  osbench deployment use mycloud
"""
EPILOG_DESTROY = """\b
Example:
  osbench deployment destroy mycloud
"""
EPILOG_CHECK = """\b
Example:
  osbench deployment check mycloud
"""

deployment_argument = click.argument("name", metavar="[NAME]", required=False)


@click.group()
def deployment() -> None:
    """Clouds to put load on."""


@deployment.command(epilog=EPILOG_CREATE)
@click.argument("name")
@click.option("--file", "file", type=click.Path(dir_okay=False), help="Spec in YAML or JSON.")
@click.option("--cloud", help="Name in clouds.yaml.")
@click.option("--from-env", is_flag=True, help="Take OS_* variables.")
@click.option("--engine", metavar="ENGINE", help="Deploy engine, e.g. simulated; by default what the spec's type says.")
@click.option("--no-use", is_flag=True, help="Do not make it the default of the other commands.")
@json_option
@pass_workshop
def create(
    workshop: Workshop,
    name: str,
    file: str | None,
    cloud: str | None,
    from_env: bool,
    engine: str | None,
    no_use: bool,
    as_json: bool,
) -> None:
    """Make a cloud known, or put one there with an engine."""
    from osbench.coordinator.deployment_source import (
        DeploymentSource,
        source_of_cloud,
        source_of_environment,
        source_of_file,
    )

    given = [word for word, is_given in (("--file", file), ("--cloud", cloud), ("--from-env", from_env)) if is_given]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other: say once where the cloud is")
    if engine and engine != "existing" and given not in ([], ["--file"]):
        raise click.UsageError(f"--engine {engine} takes its spec from --file, not from {given[0]}")
    if file:
        source = source_of_file(Path(file), engine)
    elif cloud:
        source = source_of_cloud(cloud)
    elif from_env:
        source = source_of_environment(workshop.parts.environment)
    elif engine:
        source = DeploymentSource(engine=engine, spec={})
    else:
        raise click.UsageError("say where the cloud is: --file SPEC, --cloud CLOUD, --from-env or --engine simulated")
    with workshop.service() as service:
        created = service.deployment_create(name=name, engine=source.engine, spec=source.spec)
        if not no_use:
            workshop.home.choose(deployment=created.id)
    shown = {"uuid": created.id, "name": created.name, "engine": created.engine, "status": str(created.status)}
    print_pairs("Deployment", shown, as_json=as_json)
    if not no_use and not as_json:
        click.echo(f"Using deployment: {created.name}")


@deployment.command("list", epilog=EPILOG_LIST)
@json_option
@pass_workshop
def list_deployments(workshop: Workshop, as_json: bool) -> None:
    """List deployments, oldest first."""
    with workshop.service() as service:
        rows = [
            {
                "uuid": known.id,
                "name": known.name,
                "engine": known.engine,
                "created_at": wall_time(known.created_ns),
                "status": str(known.status),
                "active": known.id == workshop.home.choices().deployment,
            }
            for known in service.deployment_list()
        ]
    columns = {"uuid": "UUID", "name": "Name", "engine": "Engine", "created_at": "Created at", "status": "Status"}
    ranks = {"created_at": 3, "engine": 2, "uuid": 1}
    shown = rows if as_json else [{**row, "active": "*" if row["active"] else ""} for row in rows]
    print_rows("Deployments", {**columns, "active": "Active"}, shown, as_json=as_json, ranks=ranks, cut="name")


@deployment.command(epilog=EPILOG_SHOW)
@deployment_argument
@json_option
@pass_workshop
def show(workshop: Workshop, name: str | None, as_json: bool) -> None:
    """Show one deployment: state, and how it signs in (without secrets)."""
    from osbench.coordinator.home import chosen_deployment

    with workshop.service() as service:
        detail = service.deployment_show(chosen_deployment(workshop.home, name))
    known = detail.deployment
    shown = {
        "uuid": known.id,
        "name": known.name,
        "engine": known.engine,
        "status": str(known.status),
        "failure": known.failure,
        "created_at": wall_time(known.created_ns),
    }
    if detail.sign_in is not None:
        shown |= {
            "auth_url": detail.sign_in.auth_url,
            "username": detail.sign_in.username,
            "project": detail.sign_in.project,
            "region": detail.sign_in.region,
            "interface": detail.sign_in.interface,
            "users": str(detail.sign_in.users),
        }
    print_pairs("Deployment", shown, as_json=as_json)


@deployment.command(epilog=EPILOG_CONFIG)
@deployment_argument
@pass_workshop
def config(workshop: Workshop, name: str | None) -> None:
    """Print a deployment's spec as JSON, secrets hidden."""
    from osbench.coordinator.home import chosen_deployment

    with workshop.service() as service:
        shown = service.deployment_config(chosen_deployment(workshop.home, name))
    print_json({"engine": shown.engine, "spec": shown.spec})


@deployment.command(epilog=EPILOG_CHECK)
@deployment_argument
@json_option
@pass_workshop
def check(workshop: Workshop, name: str | None, as_json: bool) -> None:
    """Sign in to a deployment's cloud and list its services."""
    import msgspec

    from osbench.common.cloud.route import SERVICE_NAMES
    from osbench.coordinator.home import chosen_deployment

    with workshop.service() as service:
        facts = service.deployment_check(chosen_deployment(workshop.home, name))
    if as_json:
        print_json(msgspec.to_builtins(facts))
        return
    rows = [
        {
            "service": SERVICE_NAMES.get(fact.type, fact.type),
            "type": fact.type,
            "versions": " to ".join(filter(None, [fact.lowest, fact.highest])),
            "url": fact.url,
        }
        for fact in facts.services
    ]
    columns = {"service": "Service", "type": "Service type", "versions": "Versions", "url": "URL"}
    print_rows("Available services", columns, rows, as_json=False, ranks={"type": 2, "versions": 1}, cut="url")
    click.echo(f"User {facts.user} of project {facts.project}, {'an' if facts.is_admin else 'no'} administrator")
    if facts.missing:
        click.echo(f"Not there: {', '.join(facts.missing)}")


@deployment.command(epilog=EPILOG_USE)
@click.argument("name")
@pass_workshop
def use(workshop: Workshop, name: str) -> None:
    """Make a deployment the default of the other commands."""
    with workshop.service() as service:
        known = service.deployment_show(name).deployment
    workshop.home.choose(deployment=known.id)
    click.echo(f"Using deployment: {known.name}")


@deployment.command(epilog=EPILOG_DESTROY)
@click.argument("name")
@pass_workshop
def destroy(workshop: Workshop, name: str) -> None:
    """Remove what its engine made, and forget a deployment; its tasks must be deleted first."""
    with workshop.service() as service:
        gone = service.deployment_destroy(name)
    if workshop.home.choices().deployment == gone.id:
        workshop.home.choose(deployment="")
    click.echo(f"Deployment {gone.name} is destroyed.")
