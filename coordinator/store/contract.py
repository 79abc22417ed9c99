"""Stage 8/10 · The port of the store: everything that is remembered, and by which verbs.

Contract, for every adapter:
- Each verb is one transaction: when it returns, its effect is durable (it survives power loss) and visible to every
  process; when it raises, there is none. Order of calls is order of effects.
- A store may be used from several threads, and several processes may open the same database. A batch belongs to one
  ingest at a time, but two at once do no harm.
- Values are frozen and owned by nobody. Iterators may be left half read.
- NotFoundError: what was named is not there. InputError: a state does not allow it, or a name is taken. StoreError:
  the database refused, is not there, or is of another schema. Nothing else is raised.
- No secret is stored in the clear: `spec`, `credentials`, contexts' results and resources' `info` are encrypted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from osbench.common.plan import Plan
from osbench.common.task import TaskSpec, Workload
from osbench.coordinator.deployment_state import Deployment, DeploymentSecrets, DeploymentStatus
from osbench.coordinator.store.values import (
    AgentKey,
    BatchTotals,
    ClockFit,
    CounterRow,
    Derived,
    ErrorRow,
    Event,
    ExtentRow,
    HealthSecond,
    HistogramRow,
    HostSecond,
    Invite,
    KnownAgent,
    Redemption,
    Resource,
    Run,
    SecondRow,
    StoredBatch,
)
from osbench.coordinator.task_state import DEFAULT_OPTIONS, Task, TaskOptions, TaskStatus


class Deployments(Protocol):
    """Target clouds."""

    def deployment_create(
        self, *, name: str, engine: str, spec: Mapping[str, Any], parent: str | None = None
    ) -> Deployment:
        """A new deployment, in `deploy->init`.

        Raises:
            InputError: the name is taken.
        """
        ...

    def deployment_get(self, reference: str) -> Deployment:
        """The deployment of this id or name."""
        ...

    def deployment_list(self, *, status: DeploymentStatus | None = None) -> Sequence[Deployment]:
        """All, or those in a status, oldest first."""
        ...

    def deployment_secrets(self, deployment: str) -> DeploymentSecrets:
        """Its spec and credentials, decrypted.

        Raises:
            StoreError: the key file is missing or another one.
        """
        ...

    def deployment_update(
        self,
        deployment: str,
        *,
        name: str | UnsetType = UNSET,
        spec: Mapping[str, Any] | UnsetType = UNSET,
        credentials: Mapping[str, Any] | UnsetType = UNSET,
    ) -> Deployment:
        """Change what is given."""
        ...

    def deployment_update_status(self, deployment: str, status: DeploymentStatus, *, failure: str = "") -> Deployment:
        """Go to the next status, with its stamps.

        Raises:
            InputError: not allowed from where it stands.
        """
        ...

    def deployment_delete(self, deployment: str) -> None:
        """Forget it.

        Raises:
            InputError: it still has tasks or resources; the message counts them.
        """
        ...


class Tasks(Protocol):
    """Tasks."""

    def task_create(
        self,
        *,
        deployment: str,
        spec: TaskSpec,
        source: str = "",
        tags: Sequence[str] = (),
        options: TaskOptions = DEFAULT_OPTIONS,
    ) -> Task:
        """A new task, in `init`. `tags` are added to those of the spec."""
        ...

    def task_get(self, task: str) -> Task:
        """The task of this id."""
        ...

    def task_list(
        self, *, deployment: str | None = None, status: TaskStatus | None = None, tag: str | None = None
    ) -> Sequence[Task]:
        """Those that meet all that is given, oldest first."""
        ...

    def task_update_status(self, task: str, status: TaskStatus, *, failure: str = "") -> Task:
        """Go to the next status.

        Raises:
            InputError: not allowed from where it stands.
        """
        ...

    def task_delete(self, task: str, *, force: bool = False) -> None:
        """Forget it with its runs, records, events and resources' rows.

        Args:
            force: even if it is under way or still has resources on the cloud.

        Raises:
            InputError: it is under way or still has resources, and not forced.
        """
        ...


class Runs(Protocol):
    """Runs, what is kept for their resumption, and what happened in them."""

    def run_create(self, *, task: str, workload: Workload, run: str | None = None) -> Run:
        """A new run of a task, in phase `init`; its ordinal is the next one.

        Args:
            run: its id if it was chosen before, a uuid4; else a new one.
        """
        ...

    def run_get(self, run: str) -> Run:
        """The run of this id."""
        ...

    def run_list(self, task: str) -> Sequence[Run]:
        """The task's runs by ordinal."""
        ...

    def run_update(
        self,
        run: str,
        *,
        plan: Plan | UnsetType = UNSET,
        phase: str | UnsetType = UNSET,
        snapshot: bytes | UnsetType = UNSET,
        start_wall_ns: int | UnsetType = UNSET,
        accounting: Mapping[str, Any] | UnsetType = UNSET,
        verdict: Mapping[str, Any] | UnsetType = UNSET,
        ended_ns: int | UnsetType = UNSET,
    ) -> None:
        """Change what is given, at once. `snapshot` holds no secret."""
        ...

    def run_snapshot(self, run: str) -> bytes:
        """The last snapshot of its state machine; empty before the first."""
        ...

    def run_contexts_update(self, run: str, contexts: Mapping[str, Any]) -> None:
        """Replace the results of its contexts (JSON values; may hold passwords: encrypted)."""
        ...

    def run_contexts(self, run: str) -> dict[str, Any]:
        """The results of its contexts, decrypted; empty before."""
        ...

    def event_add(self, run: str, happened: Sequence[Event]) -> None:
        """Remember events, in this order."""
        ...

    def event_list(self, run: str, *, kind: str | None = None) -> Sequence[Event]:
        """In the order they were added."""
        ...

    def clock_fit_add(self, run: str, fits: Sequence[ClockFit]) -> None:
        """Remember what is known of agents' clocks."""
        ...

    def clock_fit_list(self, run: str) -> Sequence[ClockFit]:
        """In the order they were added."""
        ...


class Resources(Protocol):
    """What was made outside, and by whom it has to be removed."""

    def resource_create(
        self,
        *,
        kind: str,
        name: str,
        cloud_id: str = "",
        deployment: str = "",
        task: str = "",
        run: str = "",
        provider: str = "",
        info: Mapping[str, Any] | None = None,
    ) -> Resource:
        """Record it, before it is made."""
        ...

    def resource_update(
        self, resource: str, *, cloud_id: str | UnsetType = UNSET, info: Mapping[str, Any] | UnsetType = UNSET
    ) -> None:
        """Add what came to be known when it was made."""
        ...

    def resource_list(
        self,
        *,
        deployment: str | None = None,
        task: str | None = None,
        run: str | None = None,
        kind: str | None = None,
        provider: str | None = None,
    ) -> Sequence[Resource]:
        """Those that meet all that is given, oldest first (remove them in reverse)."""
        ...

    def resource_delete(self, resource: str) -> None:
        """It is gone from the cloud. Fine if it was deleted before."""
        ...


class Agents(Protocol):
    """Load agents."""

    def agent_upsert(self, agent: KnownAgent) -> None:
        """Remember an agent as it is now; `seen_ns` 0 lets the store fill in the time."""
        ...

    def agent_list(self) -> Sequence[KnownAgent]:
        """All, by name."""
        ...

    def agent_delete(self, name: str) -> None:
        """Forget it; its records stay. Fine if it is not there."""
        ...


class AgentKeys(Protocol):
    """Who may speak as an agent: public keys, and the invitations by which they come in."""

    def agent_key_list(self, *, active: bool = True) -> Sequence[AgentKey]:
        """Those that were not revoked, or all; by name, oldest first. A name has one active key at most."""
        ...

    def agent_key_revoke(self, name: str) -> int:
        """Take away what this name could come in with: its key, and invitations not used yet.

        Returns:
            How many keys were active, 0 or 1.
        """
        ...

    def invite_create(self, *, digest: str, name: str, expires_ns: int) -> Invite:
        """Remember an invitation by the digest of its secret (common/invitation.secret_digest).

        Raises:
            InputError: one of this digest is there already.
        """
        ...

    def invite_list(self, *, active_ns: int | None = None) -> Sequence[Invite]:
        """All, or those that can still be used at that wall time; oldest first."""
        ...

    def invite_redeem(self, *, digest: str, name: str, public_key: str, now_ns: int) -> Redemption:
        """Let a key in by an invitation, and revoke the key that this name had before.

        The same key again by the same invitation has no further effect and is ENROLLED again, as long as it was not
        revoked. Anything but ENROLLED changes nothing.
        """
        ...


class Records(Protocol):
    """Batches, which are the authority, and what is derived from them in the same transaction."""

    def batches_add(self, added: Sequence[StoredBatch], derive: Callable[[Sequence[int]], Derived]) -> Sequence[int]:
        """Store the batches that are new, and add to all derived rows what `derive` makes of exactly those.

        A batch is new if its key (run, agent, life, worker, seq) is not stored; of two with the same key the first is.

        Args:
            added: of runs that exist (see `runs_known`); well-formed, for nothing is checked here.
            derive: called at most once, inside the transaction, with the positions of the new batches, ascending.

        Returns:
            Positions of the new batches.

        Raises:
            NotFoundError: a run is not there (any more); nothing was stored.
            StoreError: nothing was stored; the same call may be made again.
        """
        ...

    def runs_known(self, wanted: Sequence[str]) -> frozenset[str]:
        """Which of these runs exist."""
        ...

    def batch_totals(self, run: str) -> Sequence[BatchTotals]:
        """What is stored of each worker, by agent, life and worker."""
        ...

    def batch_seqs(self, run: str, agent: str, life: int, worker: int) -> Sequence[int]:
        """Sequence numbers stored of one worker, ascending."""
        ...

    def batch_iterate(self, run: str) -> Iterator[StoredBatch]:
        """All batches in the order they were stored, few in memory at a time."""
        ...

    def histogram_iterate(
        self, run: str, *, kinds: Sequence[str] | None = None, first_second: int | None = None
    ) -> Iterator[HistogramRow]:
        """Rows by series, then second; each (series, second) once."""
        ...

    def counter_list(self, run: str) -> Sequence[CounterRow]:
        """By kind, name, outcome, status."""
        ...

    def second_list(self, run: str) -> Sequence[SecondRow]:
        """By second; seconds in which nothing happened are left out."""
        ...

    def error_list(self, run: str) -> Sequence[ErrorRow]:
        """Most frequent first."""
        ...

    def extent_get(self, run: str) -> ExtentRow | None:
        """None before the first iteration is stored."""
        ...

    def health_list(self, run: str) -> Sequence[HealthSecond]:
        """By second, agent, life, worker."""
        ...

    def host_list(self, run: str) -> Sequence[HostSecond]:
        """By second, agent, life."""
        ...


class Store(Deployments, Tasks, Runs, Resources, Agents, AgentKeys, Records, Protocol):
    """All of it. Ask for the part that you need: a narrow argument is easy to fake."""

    def close(self) -> None:
        """Give back files and connections; the store is not used after it."""
        ...


class Compacting(Protocol):
    """Optional: an adapter whose database does not give back space by itself."""

    def compact(self) -> int:
        """Give back the space of what was deleted; may take long and block writers. Returns bytes now in use."""
        ...
