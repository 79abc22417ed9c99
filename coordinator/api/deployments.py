"""The routes of deployments.

Rules: a spec comes in and never goes out again: answers are made of the stored deployment without its secrets, and what an
engine complains of is told with every secret of the spec blotted out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from osbench.common.error import InputError, OsbenchError
from osbench.coordinator.api.bodies import DeploymentDraft, DeploymentPage
from osbench.coordinator.api.office import Ask, Office
from osbench.coordinator.deployment_service import (
    HIDDEN,
    SECRET_KEYS,
    DeploymentConfig,
    DeploymentDetail,
)
from osbench.coordinator.deployment_state import Deployment
from osbench.deploy.fingerprint import CloudFacts

#: Nesting of a spec, and the shortest text that is blotted out: of shorter ones every message is full.
MAX_DEPTH = 32
MIN_SECRET = 3


async def list_deployments(office: Office, ask: Ask) -> DeploymentPage:
    return DeploymentPage(deployments=tuple(await office.read(office.service.deployment_list)))


async def create_deployment(office: Office, ask: Ask) -> Deployment:
    draft = ask.body_as(DeploymentDraft)
    check_depth(draft.spec)
    try:
        return await office.reach(
            lambda: office.service.deployment_create(name=draft.name, engine=draft.engine, spec=draft.spec)
        )
    except OsbenchError as error:
        said = str(error)
        for secret in sorted(secrets_of(draft.spec), key=len, reverse=True):
            said = said.replace(secret, HIDDEN)
        raise type(error)(said) from None


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


def secrets_of(value: Any, *, is_secret: bool = False) -> Iterator[str]:
    """Every text of a spec that stands below a key with a secret's name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_of(inner, is_secret=is_secret or bool(SECRET_KEYS.search(str(key))))
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_of(inner, is_secret=is_secret)
    elif is_secret and isinstance(value, str) and len(value) >= MIN_SECRET:
        yield value


async def show_deployment(office: Office, ask: Ask) -> DeploymentDetail:
    return await office.read(lambda: office.service.deployment_show(ask.path["deployment"]))


async def show_config(office: Office, ask: Ask) -> DeploymentConfig:
    return await office.read(lambda: office.service.deployment_config(ask.path["deployment"]))


async def check_deployment(office: Office, ask: Ask) -> CloudFacts:
    return await office.reach(lambda: office.service.deployment_check(ask.path["deployment"]))


async def destroy_deployment(office: Office, ask: Ask) -> Deployment:
    return await office.reach(lambda: office.service.deployment_destroy(ask.path["deployment"]))
