"""What this release knows: the catalog of scenarios, contexts, criteria and runners that task files may name.

Rules: the one place that joins the registries; each is an explicit dictionary of its own part of the house.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from osbench.common.error import InputError
from osbench.common.scenarios.arguments import argument_problems
from osbench.common.scenarios.definition import Scenario
from osbench.common.scenarios.registry import SCENARIOS
from osbench.coordinator.contexts.contract import Context
from osbench.coordinator.contexts.registry import CONTEXTS
from osbench.coordinator.contexts.users import UsersConfig
from osbench.coordinator.sla import CRITERIA, Criterion
from osbench.coordinator.task_file.catalog import Catalog, Complaint, ScenarioEntry, Setting
from osbench.coordinator.task_file.json_schema import from_json_schema
from osbench.coordinator.task_file.schema import Anything, Mapped
from osbench.coordinator.task_file.struct_schema import from_struct

#: The structs that contexts' configurations are declared as.
CONTEXT_CONFIGS: dict[str, type[msgspec.Struct]] = {"users": UsersConfig}


def known_catalog() -> Catalog:
    """The catalog of this release."""
    return Catalog(
        contexts={name: context_setting(context) for name, context in CONTEXTS.items()},
        scenarios={name: scenario_entry(scenario) for name, scenario in SCENARIOS.items()},
        criteria={name: criterion_setting(criterion) for name, criterion in CRITERIA.items()},
    )


def scenario_entry(scenario: Scenario) -> ScenarioEntry:
    """A registered scenario as the task file sees it: its own check knows its arguments."""
    return ScenarioEntry(title=scenario.title, arguments=Setting(check=partial(_argument_complaints, scenario)))


def _argument_complaints(scenario: Scenario, arguments: Mapping[str, Any]) -> Sequence[Complaint]:
    return [Complaint(path=wrong.path, message=wrong.message) for wrong in argument_problems(scenario, arguments)]


def context_setting(context: type[Context]) -> Setting:
    """A context's configuration: its struct finds what is wrong and where, its own check what no struct says."""
    config = CONTEXT_CONFIGS.get(context.name)
    schema = from_struct(config) if config else Mapped(others=Anything(), null_is_empty=True)
    return Setting(schema=schema, check=partial(_context_complaints, context))


def _context_complaints(context: type[Context], config: Mapping[str, Any]) -> Sequence[Complaint]:
    try:
        context.configured(config)
    except InputError as error:
        return [Complaint(path=(), message=str(error))]
    return ()


def criterion_setting(criterion: type[Criterion]) -> Setting:
    """A criterion's setting: its JSON schema finds what is wrong and where, its own check what no schema says."""
    return Setting(schema=from_json_schema(criterion.schema), check=partial(_criterion_complaints, criterion))


def _criterion_complaints(criterion: type[Criterion], setting: object) -> Sequence[Complaint]:
    try:
        criterion.parse(setting)
    except InputError as error:
        return [Complaint(path=(), message=str(error))]
    return ()
