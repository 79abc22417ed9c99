"""All deploy engines by the name a spec's `type` gives."""

from collections.abc import Mapping

from osbench.deploy import existing
from osbench.deploy.contract import Engine
from osbench.deploy.existing import ExistingEngine
from osbench.deploy.simulated import engine as simulated
from osbench.deploy.simulated.engine import SimulatedEngine

ENGINES: Mapping[str, Engine] = {
    existing.NAME: ExistingEngine(),
    simulated.NAME: SimulatedEngine(),
}
