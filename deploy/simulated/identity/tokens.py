"""The tokens of the simulated cloud: issued, looked up, expired, revoked.

Rules: a token is an opaque random text; what it grants is kept here and nowhere in the text. Expiry is judged at the
look-up. Expired ones are dropped when others are issued: the book is bounded by what is alive.
"""

import base64
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from osbench.common.clock import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a token is good for: a project, a domain, the system, or nothing (`kind` "unscoped")."""

    kind: str
    id: str = ""


UNSCOPED = Scope(kind="unscoped")
SYSTEM = Scope(kind="system", id="all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Who calls, and with which rights.

    Attributes:
        secret: the text of the X-Auth-Token header; kept out of the repr.
        project_id: of a project scope, else "".
        roles: (id, name) pairs.
        is_admin: has the role `admin` in its scope.
        application_credential_id: the one it was made with, else "".
    """

    secret: str
    user_id: str
    scope: Scope
    project_id: str
    roles: tuple[tuple[str, str], ...]
    is_admin: bool
    methods: tuple[str, ...]
    audit_ids: tuple[str, ...]
    issued_ns: int
    expires_ns: int
    application_credential_id: str = ""

    def __repr__(self) -> str:
        return f"Token(user_id={self.user_id!r}, scope={self.scope!r}, is_admin={self.is_admin})"


class TokenBook:
    """All living tokens.

    Args:
        lifetime_s: how long a token lives, s.
        entropy: gives n unguessable bytes.
    """

    def __init__(self, *, lifetime_s: float, entropy: Callable[[int], bytes]) -> None:
        self._lifetime_ns = int(lifetime_s * NS_PER_S)
        self._entropy = entropy
        self._tokens: dict[str, Token] = {}
        self._of_user: dict[str, set[str]] = {}
        #: Secrets in the order of issue, for dropping the expired.
        self._order: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        return len(self._tokens)

    def issue(
        self,
        *,
        now_ns: int,
        user_id: str,
        scope: Scope,
        roles: tuple[tuple[str, str], ...],
        methods: tuple[str, ...],
        parent: Token | None = None,
        application_credential_id: str = "",
    ) -> Token:
        """A new token; one made from another never outlives it and carries its audit id on."""
        self._drop_expired(now_ns)
        expires_ns = now_ns + self._lifetime_ns
        audit_ids: tuple[str, ...] = (_text(self._entropy(16)),)
        if parent is not None:
            expires_ns = min(expires_ns, parent.expires_ns)
            audit_ids = (audit_ids[0], parent.audit_ids[-1])
        token = Token(
            secret="gAAAAAB" + _text(self._entropy(132)),
            user_id=user_id,
            scope=scope,
            project_id=scope.id if scope.kind == "project" else "",
            roles=roles,
            is_admin=any(name == "admin" for _, name in roles),
            methods=methods,
            audit_ids=audit_ids,
            issued_ns=now_ns,
            expires_ns=expires_ns,
            application_credential_id=application_credential_id,
        )
        self._tokens[token.secret] = token
        self._of_user.setdefault(user_id, set()).add(token.secret)
        self._order.append((expires_ns, token.secret))
        return token

    def find(self, secret: str, now_ns: int) -> Token | None:
        """The living token with this text, or None when there is none, it expired or was revoked."""
        token = self._tokens.get(secret)
        if token is None or token.expires_ns <= now_ns:
            return None
        return token

    def revoke(self, secret: str) -> None:
        """Make one token worthless; one that is already so stays so."""
        token = self._tokens.pop(secret, None)
        if token is not None:
            mine = self._of_user[token.user_id]
            mine.discard(secret)
            if not mine:
                del self._of_user[token.user_id]

    def revoke_user(self, user_id: str, *, scope: Scope | None = None) -> None:
        """Make the tokens of a user worthless: all of them, or those of one scope."""
        for secret in list(self._of_user.get(user_id, ())):
            if scope is None or self._tokens[secret].scope == scope:
                self.revoke(secret)

    def revoke_scope(self, scope: Scope) -> None:
        """Make all tokens of a scope worthless."""
        for secret in [token.secret for token in self._tokens.values() if token.scope == scope]:
            self.revoke(secret)

    def revoke_all(self) -> None:
        """Make every token worthless."""
        self._tokens.clear()
        self._of_user.clear()
        self._order.clear()

    def _drop_expired(self, now_ns: int) -> None:
        while self._order and self._order[0][0] <= now_ns:
            self.revoke(self._order.popleft()[1])


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
