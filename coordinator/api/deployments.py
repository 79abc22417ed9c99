"""The routes of deployments.

Rules: a spec comes in and never goes out again: answers are made of the stored deployment without its secrets.
"""

from collections.abc import Mapping
from typing import Any

from osbench.common.error import InputError
from osbench.coordinator.api.bodies import DeploymentDraft, DeploymentPage
from osbench.coordinator.api.office import Ask, Office
from osbench.coordinator.deployment_service import (
    DeploymentConfig,
    DeploymentDetail,
)
from osbench.coordinator.deployment_state import Deployment
from osbench.deploy.fingerprint import CloudFacts

#: Nesting of a spec.
MAX_DEPTH = 32


async def list_deployments(office: Office, ask: Ask) -> DeploymentPage:
    return DeploymentPage(deployments=tuple(await office.read(office.service.deployment_list)))


async def create_deployment(office: Office, ask: Ask) -> Deployment:
    draft = ask.body_as(DeploymentDraft)
    check_depth(draft.spec)
    return await office.reach(
        lambda: office.service.deployment_create(name=draft.name, engine=draft.engine, spec=draft.spec)
    )


def check_depth(spec: Mapping[str, Any]) -> None:
    """Refuse a spec that is nested deeper than anything here needs to walk.

    Raises:
        InputError: it is.
    """
    level: list[Any] = [spec]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise InputError(f"spec: nested deeper than the {MAX_DEPTH} levels allowed")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


async def show_deployment(office: Office, ask: Ask) -> DeploymentDetail:
    return await office.read(lambda: office.service.deployment_show(ask.path["deployment"]))


async def show_config(office: Office, ask: Ask) -> DeploymentConfig:
    return await office.read(lambda: office.service.deployment_config(ask.path["deployment"]))


async def check_deployment(office: Office, ask: Ask) -> CloudFacts:
    return await office.reach(lambda: office.service.deployment_check(ask.path["deployment"]))


async def destroy_deployment(office: Office, ask: Ask) -> Deployment:
    return await office.reach(lambda: office.service.deployment_destroy(ask.path["deployment"]))
