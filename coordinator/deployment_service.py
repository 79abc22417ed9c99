"""What can be done with deployments: create, look at, check, destroy.

Rules: no options and no printing, which are the command line's. An engine puts a cloud there and says how to sign in;
`existing` has nothing to put there. What the store keeps of a sign-in is common/cloud/credentials.CloudSpec as plain
data, encrypted.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from osbench.common.cloud.credentials import CloudSpec
from osbench.common.error import InputError, OsbenchError
from osbench.common.nearest import did_you_mean
from osbench.coordinator.deployment_source import EXISTING
from osbench.coordinator.deployment_state import Deployment, DeploymentStatus
from osbench.coordinator.home import Home
from osbench.coordinator.store.contract import Deployments, Tasks
from osbench.deploy.contract import Engine

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: Keys whose values are secrets wherever they stand in a spec.
SECRET_KEYS = re.compile(r"pass|secret|token|private|hmac|^key$|conn_str", re.IGNORECASE)
HIDDEN = "***"
MIN_SECRET = 4


class DeploymentsWithTasks(Deployments, Tasks, Protocol):
    """What of the store is needed to forget a deployment."""


def create_deployment(
    store: Deployments,
    home: Home,
    engines: Mapping[str, Engine],
    *,
    name: str,
    engine: str,
    spec: Mapping[str, Any],
) -> Deployment:
    """Put a cloud there and remember it.

    Raises:
        InputError: the name does not fit or is taken, or the spec does not fit; nothing is remembered.
        OsbenchError: the engine failed; the deployment is remembered as failed, unless nothing was to be made.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"name {name!r:.140}: letters, digits, '.', '_' and '-' are allowed, up to 128")
    chosen = find_engine(engines, engine)
    created = store.deployment_create(name=name, engine=engine, spec=spec)
    try:
        return _deploy(store, home, chosen, created, spec)
    except OsbenchError as error:
        if isinstance(error, InputError) or engine == EXISTING:  # Nothing was made, so there is nothing to look at.
            store.deployment_delete(created.id)
        raise


def deploy_again(store: Deployments, home: Home, engines: Mapping[str, Engine], reference: str) -> Deployment:
    """Take down what is left of a deployment, and put it there anew from the same spec.

    Raises:
        OsbenchError: the engine failed; the deployment is remembered as failed.
    """
    deployment = store.deployment_get(reference)
    engine = find_engine(engines, deployment.engine)
    spec = store.deployment_secrets(deployment.id).spec
    if deployment.status is not DeploymentStatus.CLEANUP_FINISHED:
        take_down(store, home, engines, reference)
    return _deploy(store, home, engine, deployment, spec)


def _deploy(
    store: Deployments, home: Home, engine: Engine, deployment: Deployment, spec: Mapping[str, Any]
) -> Deployment:
    """Put a cloud there; the store says at every moment how far it is."""
    store.deployment_update_status(deployment.id, DeploymentStatus.STARTED)
    try:
        cloud = engine.deploy(spec, home.deployment_folder(deployment.id))
    except BaseException as error:
        said = str(error) if isinstance(error, OsbenchError) else f"interrupted: {error!r}"[:500]
        shown = blotted(said, spec)
        store.deployment_update_status(deployment.id, DeploymentStatus.FAILED, failure=shown)
        if shown != said and isinstance(error, OsbenchError):
            raise type(error)(shown) from None
        raise
    store.deployment_update(deployment.id, credentials=msgspec.to_builtins(cloud))
    return store.deployment_update_status(deployment.id, DeploymentStatus.FINISHED)


def blotted(said: str, spec: Mapping[str, Any]) -> str:
    """What an engine complains of, with every secret of its spec blotted out: it is stored, shown and sent."""
    for secret in sorted(secrets_of(spec), key=len, reverse=True):
        said = said.replace(secret, HIDDEN)
    return said


def secrets_of(value: Any, *, is_secret: bool = False) -> Iterator[str]:
    """Every text of a spec that stands below a key with a secret's name, unless it is so short as to be in any message."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secrets_of(inner, is_secret=is_secret or bool(SECRET_KEYS.search(str(key))))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_of(inner, is_secret=is_secret)
    elif is_secret and isinstance(value, str) and len(value) >= MIN_SECRET:
        yield value


def find_engine(engines: Mapping[str, Engine], name: str) -> Engine:
    """The engine of that name.

    Raises:
        InputError: there is none; with the nearest name.
    """
    if name not in engines:
        known = ", ".join(sorted(engines))
        raise InputError(f"no deploy engine is called {name!r:.80}; there are {known}{did_you_mean(name, engines)}")
    return engines[name]


def take_down(store: Deployments, home: Home, engines: Mapping[str, Engine], reference: str) -> Deployment:
    """Remove what its engine made; the deployment stays known, and can be put there again.

    Raises:
        OsbenchError: something could not be removed; it is kept as cleanup->failed.
    """
    deployment = store.deployment_get(reference)
    engine = find_engine(engines, deployment.engine)
    spec = store.deployment_secrets(deployment.id).spec
    store.deployment_update_status(deployment.id, DeploymentStatus.CLEANUP_STARTED)
    try:
        engine.destroy(spec, home.deployment_folder(deployment.id))
    except OsbenchError as error:
        shown = blotted(str(error), spec)
        store.deployment_update_status(deployment.id, DeploymentStatus.CLEANUP_FAILED, failure=shown)
        if shown != str(error):
            raise type(error)(shown) from None
        raise
    return store.deployment_update_status(deployment.id, DeploymentStatus.CLEANUP_FINISHED)


def destroy_deployment(
    store: DeploymentsWithTasks, home: Home, engines: Mapping[str, Engine], reference: str
) -> Deployment:
    """Remove what its engine made, and forget it.

    Raises:
        InputError: it still has tasks; nothing was removed. OsbenchError: something could not be removed.
    """
    deployment = store.deployment_get(reference)
    tasks = len(store.task_list(deployment=deployment.id))
    if tasks:
        raise InputError(
            f"deployment {deployment.name} still has {tasks} task{'s' if tasks != 1 else ''}; delete them first: "
            f"osbench task delete $(osbench task list --deployment {deployment.name} --uuids-only)"
        )
    gone = deployment
    if deployment.status is not DeploymentStatus.CLEANUP_FINISHED:
        gone = take_down(store, home, engines, reference)
    store.deployment_delete(deployment.id)
    return gone


class SignInLine(msgspec.Struct, frozen=True, kw_only=True):
    """How a deployment signs in, without secrets; `users` counts those it names besides the administrator."""

    auth_url: str
    username: str
    project: str
    region: str
    interface: str
    users: int


class DeploymentDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as it is shown; sign_in is None where there is no cloud to speak to."""

    deployment: Deployment
    sign_in: SignInLine | None = None


def describe_deployment(store: Deployments, reference: str) -> DeploymentDetail:
    """One deployment: state, and how it signs in.

    Raises:
        NotFoundError: there is none of this id or name.
    """
    known = store.deployment_get(reference)
    if known.status is not DeploymentStatus.FINISHED:
        return DeploymentDetail(deployment=known)
    cloud = cloud_of(store, known.id)
    sign_in = SignInLine(
        auth_url=cloud.admin.auth_url,
        username=cloud.admin.username or cloud.admin.user_id,
        project=cloud.admin.project_name or cloud.admin.project_id,
        region=cloud.admin.region,
        interface=cloud.admin.interface,
        users=len(cloud.users),
    )
    return DeploymentDetail(deployment=known, sign_in=sign_in)


class DeploymentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment was made of; secrets in the spec are hidden."""

    engine: str
    spec: dict[str, Any]


def deployment_config(store: Deployments, reference: str) -> DeploymentConfig:
    """The spec of a deployment, secrets hidden.

    Raises:
        NotFoundError: there is none of this id or name.
    """
    known = store.deployment_get(reference)
    return DeploymentConfig(engine=known.engine, spec=hidden(store.deployment_secrets(known.id).spec))


def cloud_of(store: Deployments, reference: str) -> CloudSpec:
    """How to sign in to a deployment.

    Raises:
        InputError: it is not there, has no credentials yet, or they are of another release.
    """
    deployment = store.deployment_get(reference)
    if deployment.status is not DeploymentStatus.FINISHED:
        raise InputError(f"deployment {deployment.name} is {deployment.status}: there is no cloud to speak to")
    credentials = store.deployment_secrets(deployment.id).credentials
    if not credentials:
        raise InputError(f"deployment {deployment.name} is {deployment.status} and has no credentials")
    try:
        return msgspec.convert(credentials, CloudSpec)
    except msgspec.ValidationError as error:
        raise InputError(f"the credentials of {deployment.name} do not fit: {error}; create it anew") from error


def hidden(value: Any) -> Any:
    """A spec as it may be shown: the values of secret keys replaced, at any depth."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if SECRET_KEYS.search(str(key)) and inner and not isinstance(inner, bool) else hidden(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [hidden(item) for item in value]
    return value
