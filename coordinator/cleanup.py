"""Removes from the cloud all that a run, a task or OSBench at all has made there, found by name.

Rules: what is ours is read off the cloud, by the names of common/naming, so that nothing else is needed: no database, no
memory of what was made. Kinds go in the order of their dependencies; each is listed, removed and listed again until
nothing is found or nothing moves any more. A project in which something is left stays, with its users: without them
nobody could reach what is in it. What cannot be removed is returned, never raised, and a clean-up can be run again.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from osbench.common.cloud.administration import CloudView
from osbench.common.cloud.contract import CallFailed
from osbench.common.error import CloudError, InputError
from osbench.common.naming import NAME, task_mark
from osbench.coordinator.cleanup_kinds import KINDS, Kind, Where
from osbench.coordinator.contexts.contract import Reporter
from osbench.coordinator.contexts.messages import CloudResource, Leftover
from osbench.coordinator.contexts.parallel import each

#: How many removals of one kind are under way at once.
PARALLEL = 20
#: Stands for the name of what could not even be listed.
UNLISTED = "?"
#: How often a listing is tried; each of its calls is repeated by the session already.
LIST_TRIES = 2
#: Pauses between two listings: the first, the longest, and by how much each is longer, seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_GROWTH = 0.2, 3.0, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose resources are meant: of one run, of one task if `run` is empty, of anyone if `task` is empty too."""

    task: str = ""
    run: str = ""

    def __post_init__(self) -> None:
        if self.run and not self.task:
            raise InputError("a clean-up of a run needs its task too")
        for what, identity in (("task", self.task), ("run", self.run)):
            if identity and not NAME.match(f"s_osb_{task_mark(identity)}_0"):
                raise InputError(f"{identity!r:.80} is not the id of a {what}: it does not begin with 12 hex digits")

    @property
    def endings(self) -> str:
        """What the names of the scope have after `s_osb_` or `c_osb_`, as a regular expression."""
        task = task_mark(self.task) if self.task else "[0-9a-f]{12}"
        return f"{task}_{self.run.replace('-', '')[:4]}"

    @property
    def prefixes(self) -> tuple[str, str]:
        """What names made by iterations and by contexts begin with; as long as can be said."""
        ending = self.endings if self.task else ""
        return f"s_osb_{ending}", f"c_osb_{ending}"

    def has(self, name: str) -> bool:
        """Whether a resource of this name is meant.

        A service may add to a name (Nova numbers the servers of one request): what follows the name after a `-` is not
        looked at.
        """
        ours = name.partition("-")[0]
        return NAME.match(ours) is not None and ours.startswith(self.prefixes)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a clean-up did.

    Attributes:
        removed: how many of each kind are gone. leftovers: what is not.
    """

    removed: dict[str, int] = field(default_factory=dict)
    leftovers: list[Leftover] = field(default_factory=list)


async def clean_up(
    cloud: CloudView,
    scope: Scope,
    reporter: Reporter,
    *,
    kinds: Collection[str] | None = None,
    recorded: Sequence[CloudResource] = (),
    tenants: Sequence[CloudView] = (),
) -> Outcome:
    """Remove all of the scope.

    Args:
        cloud: signed in as an administrator, or as whoever may see what is to be removed.
        scope: whose resources. reporter: is told of what is gone.
        kinds: only these; None for all.
        recorded: resources with ids that are removed even if no listing shows them.
        tenants: one for each project that has to be looked through, where the administrator may not see all projects.
    """
    where = Where(cloud=cloud, scope=scope, tenants=tuple(tenants))
    outcome = Outcome()
    for kind in KINDS:
        if kinds is not None and kind.name not in kinds:
            continue
        known = [resource for resource in recorded if resource.kind == kind.name and resource.cloud_id]
        await _Removal(kind, where, reporter, outcome).run(known)
    return outcome


def split_reachable(
    kind: str, found: Sequence[CloudResource], leftovers: Sequence[Leftover]
) -> tuple[list[CloudResource], list[Leftover]]:
    """Which of `found` may go, and which must stay because something is left in their project.

    Args:
        kind: only users and projects hold up others.
        found: what is there. leftovers: what could not be removed before.
    """
    if kind not in ("user", "project"):
        return list(found), []
    reasons = {left.resource.project: left.resource for left in leftovers if left.resource.project}
    may_go: list[CloudResource] = []
    must_stay: list[Leftover] = []
    for resource in found:
        project = resource.project if kind == "user" else resource.cloud_id
        held_by = reasons.get(project) if project else None
        if held_by is None:
            may_go.append(resource)
        else:
            reason = f"kept, since {held_by.kind} {held_by.name} is left in its project"
            must_stay.append(Leftover(resource=resource, reason=reason))
    return may_go, must_stay


class _Removal:
    """The removal of everything of one kind."""

    def __init__(self, kind: Kind, where: Where, reporter: Reporter, outcome: Outcome) -> None:
        self.kind = kind
        self.where = where
        self.reporter = reporter
        self.outcome = outcome
        #: By id: all that was ever found, and why the last try to remove one did not go well.
        self.seen: dict[str, CloudResource] = {}
        self.reasons: dict[str, str] = {}
        #: By id: what a listing has shown, so that the next one tells whether it is gone.
        self.listed: set[str] = set()

    async def run(self, known: Sequence[CloudResource]) -> None:
        loop = asyncio.get_running_loop()
        pause_s, fewest, patience_ends = FIRST_PAUSE_S, None, 0.0
        extra = list(known)
        while True:
            found = await self._found()
            if found is None:
                return
            may_go, must_stay = split_reachable(self.kind.name, found, self.outcome.leftovers)
            self._note(may_go, extra)
            if not may_go and not extra:
                break
            if fewest is None or len(may_go) < fewest:
                fewest, patience_ends = len(may_go), loop.time() + self.kind.patience_s
            elif loop.time() > patience_ends:
                break
            listed = {resource.cloud_id for resource in may_go}
            unlisted = [resource for resource in extra if resource.cloud_id not in listed]
            await each(may_go, PARALLEL, self._remove)
            await each(unlisted, PARALLEL, self._remove_unlisted)
            extra = []
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)
        self._conclude(may_go, must_stay)

    async def _found(self) -> list[CloudResource] | None:
        """What is there; None if it cannot be known, which is then a leftover of its own."""
        problem = ""
        for attempt in range(LIST_TRIES):
            try:
                return await self.kind.find(self.where)
            except (CallFailed, CloudError) as failed:
                problem = str(failed)
                await asyncio.sleep(FIRST_PAUSE_S * (attempt + 1))
        resource = CloudResource(kind=self.kind.name, name=UNLISTED)
        self.outcome.leftovers.append(Leftover(resource=resource, reason=f"cannot be listed: {problem}"))
        return None

    async def _remove(self, resource: CloudResource) -> bool:
        """Ask for its removal; whether it was still there."""
        try:
            await self.kind.remove(self.where, resource)
        except CallFailed as failed:
            if failed.status != 404:
                self.reasons[resource.cloud_id] = str(failed)
                return True
            self.reasons.pop(resource.cloud_id, None)
            return False
        self.reasons.pop(resource.cloud_id, None)
        return True

    async def _remove_unlisted(self, resource: CloudResource) -> None:
        """The same for what was recorded and is in no listing: most likely it is gone already, and not by us."""
        if not await self._remove(resource):
            del self.seen[resource.cloud_id]
            self.reporter.gone(resource)

    def _note(self, found: Sequence[CloudResource], extra: Sequence[CloudResource]) -> None:
        """Tell of what is gone since the last listing."""
        there = {resource.cloud_id for resource in found}
        gone = [
            resource
            for identity, resource in self.seen.items()
            # Cinder refuses to delete again what it is deleting: where a listing shows it no more, it is gone all the same.
            if identity not in there and (identity in self.listed or identity not in self.reasons)
        ]
        self.listed |= there
        if gone:
            self.reporter.gone(*gone)
            for resource in gone:
                del self.seen[resource.cloud_id]
            counted = self.outcome.removed
            counted[self.kind.name] = counted.get(self.kind.name, 0) + len(gone)
        self.seen.update({resource.cloud_id: resource for resource in (*extra, *found)})
        left = len(self.seen)
        done = self.outcome.removed.get(self.kind.name, 0)
        if left or gone:
            self.reporter.progress(f"removing {self.kind.name}s", done, done + left)

    def _conclude(self, left: Sequence[CloudResource], kept: Sequence[Leftover]) -> None:
        listed = {resource.cloud_id for resource in left}
        stuck = [*left, *(resource for identity, resource in self.seen.items() if identity not in listed)]
        self.outcome.leftovers.extend(
            Leftover(resource=resource, reason=self.reasons.get(resource.cloud_id, "asked to go, and still there"))
            for resource in stuck
        )
        self.outcome.leftovers.extend(kept)


def by_kind(leftovers: Sequence[Leftover]) -> Mapping[str, int]:
    """How many are left of each kind."""
    counts: dict[str, int] = {}
    for leftover in leftovers:
        counts[leftover.resource.kind] = counts.get(leftover.resource.kind, 0) + 1
    return counts
