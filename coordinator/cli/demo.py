"""`osbench demo`: everything once, on this machine, without a cloud."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from osbench.coordinator.cli.options import pass_workshop
from osbench.coordinator.cli.results import report_html, show_outcome, write_report
from osbench.coordinator.cli.running import run_created
from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from osbench.coordinator.deployment_state import Deployment
    from osbench.coordinator.store.contract import Store

NAME = "demo"
AGENTS = 2
TASK_FILE = Path(__file__).parent.parent / "demo_task.yaml"

EPILOG = """\b
Examples:
  osbench demo
  osbench demo --times 1000 --out /tmp/demo.html
"""


@click.command(epilog=EPILOG)
@click.option("--out", type=click.Path(dir_okay=False), default="osbench-demo.html", show_default=True, help="Report.")
@click.option("--times", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Iterations of a run.")
@click.option("--keep", is_flag=True, help="Leave the simulated cloud running, as deployment `demo`.")
@pass_workshop
def demo(workshop: Workshop, out: str, times: int, keep: bool) -> int:
    """Run a sample task against a simulated cloud with two agents, and write a report."""
    from osbench.coordinator.deployment_service import take_down
    from osbench.coordinator.task_file.reader import load_task, read_source
    from osbench.coordinator.task_service import create_task
    from osbench.coordinator.task_state import TaskOptions

    loaded = load_task(read_source(TASK_FILE), {"times": times}, workshop.parts.catalog())
    with workshop.local_service() as service:
        store = service.store
        if workshop.verbosity >= 0:
            click.echo("Starting a simulated cloud …", err=True)
        cloud = demo_cloud(workshop, store)
        try:
            created = create_task(store, loaded, deployment=cloud.id, tags=("demo",))
            workshop.home.choose(task=created.id)
            outcome = run_created(workshop, store, created.id, options=TaskOptions(agents=AGENTS), workers=None)
        finally:
            if not keep:
                take_down(store, workshop.home, workshop.parts.engines(), cloud.id)
        code = show_outcome(workshop, service, outcome, require_valid=True)
        write_report(workshop, Path(out), report_html(service, created.id))
    return code


def demo_cloud(workshop: Workshop, store: "Store") -> "Deployment":
    """The deployment `demo`, freshly put there."""
    from osbench.common.error import NotFoundError
    from osbench.coordinator.deployment_service import create_deployment, deploy_again
    from osbench.coordinator.deployment_source import SIMULATED

    engines = workshop.parts.engines()
    try:
        known = store.deployment_get(NAME)
    except NotFoundError:
        return create_deployment(store, workshop.home, engines, name=NAME, engine=SIMULATED, spec={})
    return deploy_again(store, workshop.home, engines, known.id)
