"""Where a deployment's spec comes from: a file, a cloud of clouds.yaml, or OS_* variables.

Rules: read once, when the deployment is created; later changes of the file or the environment do not change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from osbench.common.error import InputError
from osbench.coordinator.task_file.document import Scalar, Table, plain, read_document
from osbench.coordinator.task_file.problem import Problems
from osbench.coordinator.task_file.reader import read_source
from osbench.coordinator.task_file.schema import found

EXISTING = "existing"
SIMULATED = "simulated"
#: `type` of a spec to the engine it means; Rally's words and ours.
ENGINE_OF_TYPE = {"ExistingCloud": EXISTING, EXISTING: EXISTING, "SimulatedCloud": SIMULATED, SIMULATED: SIMULATED}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSource:
    """An engine and its spec."""

    engine: str
    spec: dict[str, Any]


def source_of_cloud(name: str) -> DeploymentSource:
    """A cloud of clouds.yaml.

    Raises:
        InputError: no such cloud, or something does not fit.
    """
    from osbench.common.cloud.clouds_yaml import credentials_of_cloud

    return _existing(credentials_of_cloud(name))


def source_of_environment(environment: Mapping[str, str]) -> DeploymentSource:
    """The cloud that OS_* variables name.

    Raises:
        InputError: OS_AUTH_URL is missing, or something does not fit.
    """
    from osbench.common.cloud.credentials import credentials_of_environment

    return _existing(credentials_of_environment(environment))


def _existing(admin: Any) -> DeploymentSource:
    return DeploymentSource(engine=EXISTING, spec={"cloud": {"admin": msgspec.to_builtins(admin)}})


def source_of_file(path: Path, engine: str | None) -> DeploymentSource:
    """A spec in YAML or JSON.

    Args:
        engine: of the command line; None for what the file's `type` means, an existing cloud without one.

    Raises:
        InputError: the file cannot be read or is no mapping, at which line and column; its type is not known.
    """
    source = read_source(path)
    problems = Problems()
    node = read_document(source.text, problems)
    if node is None:
        problem = problems.found[0]
        raise InputError(f"{path}:{problem.position.line}:{problem.position.column}: {problem.message}")
    if isinstance(node, Scalar) and node.value is None and engine:
        return DeploymentSource(engine=engine, spec={})
    if not isinstance(node, Table):
        raise InputError(f"{path}:1:1: the spec is {found(node)}; allowed: a mapping")
    spec: dict[str, Any] = plain(node)
    kind = spec.get("type", EXISTING)
    if engine:
        return DeploymentSource(engine=engine, spec=spec)
    entry = node.entry("type")
    if kind not in ENGINE_OF_TYPE:
        at = entry.value.position if entry else node.position
        known = ", ".join(ENGINE_OF_TYPE)
        raise InputError(f"{path}:{at.line}:{at.column}: type is {kind!r:.80}; allowed: {known}")
    return DeploymentSource(engine=ENGINE_OF_TYPE[kind], spec=spec)
