"""Agents' keys and invitations in SQL."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, Row, select

from osbench.common.error import InputError
from osbench.coordinator.store.schema import agent_keys, invites
from osbench.coordinator.store.sql_part import SqlPart, columns_of
from osbench.coordinator.store.values import AgentKey, Invite, Redemption


class SqlAgentKeys(SqlPart):
    """The verbs of contract.AgentKeys."""

    def agent_key_list(self, *, active: bool = True) -> Sequence[AgentKey]:
        statement = select(*columns_of(agent_keys)).order_by(agent_keys.c.name, agent_keys.c.number)
        if active:
            statement = statement.where(agent_keys.c.revoked_ns.is_(None))
        with self._database.reading() as connection:
            return [AgentKey(**row._mapping) for row in connection.execute(statement)]

    def agent_key_revoke(self, name: str) -> int:
        now = self._clock.wall_ns()
        unused = (invites.c.name == name) & (invites.c.used_key == "") & (invites.c.expires_ns > now)
        with self._database.writing() as connection:
            connection.execute(invites.update().where(unused).values(expires_ns=now))
            return _revoke(connection, name, now)

    def invite_create(self, *, digest: str, name: str, expires_ns: int) -> Invite:
        invite = Invite(digest=digest, name=name, created_ns=self._clock.wall_ns(), expires_ns=expires_ns)
        with self._database.writing() as connection:
            if connection.execute(self._database.insert_new(invites), asdict(invite)).rowcount != 1:
                raise InputError(f"an invitation with this secret is there already; make another one for {name}")
        return invite

    def invite_list(self, *, active_ns: int | None = None) -> Sequence[Invite]:
        statement = select(*columns_of(invites)).order_by(invites.c.number)
        if active_ns is not None:
            statement = statement.where(invites.c.used_key == "", invites.c.expires_ns > active_ns)
        with self._database.reading() as connection:
            return [Invite(**row._mapping) for row in connection.execute(statement)]

    def invite_redeem(self, *, digest: str, name: str, public_key: str, now_ns: int) -> Redemption:
        with self._database.writing() as connection:
            invite = connection.execute(select(*columns_of(invites)).where(invites.c.digest == digest)).first()
            known = connection.execute(
                select(*columns_of(agent_keys)).where(agent_keys.c.public_key == public_key)
            ).first()
            redemption = _judge(invite, known, name, public_key, now_ns)
            if redemption is Redemption.ENROLLED:
                used = {"used_key": public_key, "used_ns": now_ns}
                connection.execute(
                    invites.update().where(invites.c.digest == digest, invites.c.used_key == "").values(used)
                )
                if known is None:
                    _revoke(connection, name, now_ns)
                    key = AgentKey(public_key=public_key, name=name, created_ns=now_ns)
                    connection.execute(agent_keys.insert().values(**asdict(key)))
        return redemption


def _judge(invite: Row[Any] | None, known: Row[Any] | None, name: str, key: str, now_ns: int) -> Redemption:
    """What becomes of an attempt, given the invitation of that secret and what is known of the key."""
    if invite is None:
        return Redemption.UNKNOWN
    if invite.name != name:
        return Redemption.OTHER_NAME
    if invite.used_key not in ("", key):
        return Redemption.USED
    if not invite.used_key and invite.expires_ns <= now_ns:
        return Redemption.EXPIRED
    if known is not None and known.revoked_ns is not None:
        return Redemption.REVOKED
    if known is not None and known.name != name:
        return Redemption.OTHER_AGENT
    return Redemption.ENROLLED


def _revoke(connection: Connection, name: str, now_ns: int) -> int:
    active = (agent_keys.c.name == name) & agent_keys.c.revoked_ns.is_(None)
    return connection.execute(agent_keys.update().where(active).values(revoked_ns=now_ns)).rowcount
