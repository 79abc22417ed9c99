"""A deployment and the states it goes through: what is allowed after what, and nothing else.

Rules: pure. The words are Rally's. A status changes only by `moved`, which refuses what the table does not allow; the
store applies it to the stored status inside the transaction that writes the new one.

    deploy->init ─▶ deploy->started ─▶ deploy->finished ─▶ cleanup->started ─▶ cleanup->finished
                          │                  │                    │  ▲
                          ▼                  ▼                    ▼  │
                    deploy->failed   deploy->inconsistent    cleanup->failed
"""

from enum import StrEnum
from typing import Any

import msgspec

from osbench.common.error import InputError


class DeploymentStatus(StrEnum):
    """Where a deployment stands; the words are those of the store, the API and the command line."""

    INIT = "deploy->init"
    STARTED = "deploy->started"
    FINISHED = "deploy->finished"
    FAILED = "deploy->failed"
    INCONSISTENT = "deploy->inconsistent"
    CLEANUP_STARTED = "cleanup->started"
    CLEANUP_FINISHED = "cleanup->finished"
    CLEANUP_FAILED = "cleanup->failed"


_S = DeploymentStatus

#: What may follow each status. `recreate` starts again from whatever is left, so STARTED follows all that is at rest.
DEPLOYMENT_TRANSITIONS: dict[DeploymentStatus, frozenset[DeploymentStatus]] = {
    _S.INIT: frozenset({_S.STARTED, _S.FAILED, _S.CLEANUP_STARTED}),
    _S.STARTED: frozenset({_S.FINISHED, _S.FAILED, _S.CLEANUP_STARTED}),
    _S.FINISHED: frozenset({_S.INCONSISTENT, _S.STARTED, _S.CLEANUP_STARTED}),
    _S.FAILED: frozenset({_S.STARTED, _S.CLEANUP_STARTED}),
    _S.INCONSISTENT: frozenset({_S.STARTED, _S.FINISHED, _S.CLEANUP_STARTED}),
    _S.CLEANUP_STARTED: frozenset({_S.CLEANUP_FINISHED, _S.CLEANUP_FAILED}),
    _S.CLEANUP_FINISHED: frozenset({_S.STARTED}),
    _S.CLEANUP_FAILED: frozenset({_S.CLEANUP_STARTED, _S.STARTED}),
}


def check_deployment_transition(deployment: str, now: DeploymentStatus, then: DeploymentStatus) -> None:
    """Refuse a change of status that the table does not allow.

    Raises:
        InputError: naming the deployment, where it stands and what is allowed from there.
    """
    allowed = DEPLOYMENT_TRANSITIONS[now]
    if then not in allowed:
        words = ", ".join(sorted(allowed))
        raise InputError(f"deployment {deployment} is {now} and cannot become {then}; allowed from here: {words}")


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as it is stored, without its secrets (see `DeploymentSecrets`).

    Attributes:
        id: uuid4. name: unique. engine: type of the deploy engine, e.g. `existing` or `simulated`.
        parent: id of the deployment this one is part of. failure: why it failed, empty otherwise.
        created_ns, updated_ns: wall time, nanoseconds since the Unix epoch.
        started_ns, completed_ns: wall time of the last deploy; None before.
    """

    id: str
    name: str
    engine: str
    status: DeploymentStatus
    parent: str | None = None
    failure: str = ""
    created_ns: int = 0
    updated_ns: int = 0
    started_ns: int | None = None
    completed_ns: int | None = None

    def moved(self, status: DeploymentStatus, failure: str = "") -> "Deployment":
        """This deployment in its next status.

        Raises:
            InputError: the change is not allowed.
        """
        check_deployment_transition(self.name, self.status, status)
        return msgspec.structs.replace(self, status=status, failure=failure)


class DeploymentSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What of a deployment is encrypted at rest; its repr shows nothing of it.

    Attributes:
        spec: what the user wrote, for the engine. credentials: what the engine made of it: how to sign in.
    """

    spec: dict[str, Any] = {}
    credentials: dict[str, Any] = {}

    def __repr__(self) -> str:
        return "DeploymentSecrets(…)"
