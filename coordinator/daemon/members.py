"""Which agents are enrolled, and which of them the operator has drained: followed in the store, once a second.

Rules: the store is the authority, so that `invite` and `revoke` are commands that need no daemon. What changes is told to
the key ring, to the ingest process, and, of a name that lost its key, to the conductor.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from msgspec.structs import replace

from osbench.common.error import StoreError
from osbench.coordinator.keyring import KeyRing
from osbench.coordinator.store.contract import AgentKeys, Agents
from osbench.coordinator.store.values import KnownAgent

log = logging.getLogger(__name__)

FOLLOW_S = 1.0
#: Agents are listed anew at each so many looks at their keys.
LIST_EVERY = 5
DRAINED = "drained"


class Lookout(Protocol):
    """What of the conductor is needed here."""

    drained: set[str]

    def revoke(self, agent: str) -> None: ...


class MemberStore(Agents, AgentKeys, Protocol):
    """What of the store is needed here."""


class Members:
    """The enrolled agents of one coordinator.

    Args:
        store: where their keys are. ring: kept up to date. lookout: told who is drained, and who is no member any more.
        on_keys: told all keys, at each change.
    """

    def __init__(
        self,
        store: MemberStore,
        ring: KeyRing,
        lookout: Lookout,
        on_keys: Callable[[Mapping[str, str]], Awaitable[None]],
    ) -> None:
        self.known: dict[str, KnownAgent] = {}
        self._store = store
        self._ring = ring
        self._lookout = lookout
        self._on_keys = on_keys
        self._refreshing = asyncio.Lock()

    @property
    def enrolled(self) -> set[str]:
        """Names that have a key now."""
        return set(self._ring.names().values())

    async def begin(self) -> None:
        """Read all there is, before the first agent comes."""
        known = await asyncio.to_thread(self._store.agent_list)
        self.known = {agent.name: agent for agent in known}
        self._lookout.drained.update(agent.name for agent in known if agent.state == DRAINED)
        await self.refresh()

    async def follow(self) -> None:
        """Keep up with the store, for ever."""
        for look in itertools.count(1):
            await asyncio.sleep(FOLLOW_S)
            try:
                await self.refresh()
                if look % LIST_EVERY == 0:
                    self.known = {agent.name: agent for agent in await asyncio.to_thread(self._store.agent_list)}
            except StoreError as error:
                log.error("the store does not tell who is enrolled; those known so far are: %s", error)

    async def refresh(self) -> None:
        """Take over the keys that are in the store now."""
        async with self._refreshing:
            listed = await asyncio.to_thread(self._store.agent_key_list)
            keys = {key.public_key: key.name for key in listed}
            before = self._ring.names()
            if keys == before:
                return
            self._ring.replace(keys)
            await self._on_keys(keys)
            for name in sorted(set(keys.values()) - set(before.values())):
                log.info("agent %s is enrolled", name)
            for name in sorted(set(before.values()) - set(keys.values())):
                log.warning("the key of agent %s is revoked: it is shut out", name)
                self._lookout.revoke(name)

    async def drain(self, name: str, *, undo: bool) -> None:
        """Write down that an agent gets no new work, or does again."""
        known = self.known.get(name) or KnownAgent(name=name, life=0)
        changed = replace(known, state="" if undo else DRAINED)
        await asyncio.to_thread(self._store.agent_upsert, changed)
        self.known[name] = changed
