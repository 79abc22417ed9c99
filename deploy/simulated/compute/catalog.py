"""What else Nova knows: flavors, key pairs, server groups.

Rules: pure; records are typed, their bodies are made in views.py.
"""

import base64
import hashlib
from dataclasses import dataclass, field

from osbench.deploy.simulated.exchange import Refused
from osbench.deploy.simulated.world import World


@dataclass(slots=True, kw_only=True)
class Flavor:
    """A size of servers."""

    id: str
    name: str
    ram_mb: int
    vcpus: int
    disk_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    rxtx_factor: float = 1.0
    is_public: bool = True
    description: str | None = None
    extra_specs: dict[str, str] = field(default_factory=dict)
    access: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class KeyPair:
    """A public key of a user."""

    number: int
    name: str
    user_id: str
    kind: str
    public_key: str
    fingerprint: str
    created_at: str


@dataclass(slots=True, kw_only=True)
class ServerGroup:
    """Servers that shall lie together or apart."""

    id: str
    name: str
    policy: str
    rules: dict[str, int]
    project_id: str
    user_id: str


@dataclass(slots=True)
class Catalog:
    """All of them by id; key pairs by user and name."""

    world: World
    flavors: dict[str, Flavor] = field(default_factory=dict)
    key_pairs: dict[str, dict[str, KeyPair]] = field(default_factory=dict)
    groups: dict[str, ServerGroup] = field(default_factory=dict)
    _numbers: int = 0

    def flavor(self, flavor_id: str) -> Flavor:
        """The flavor with this id.

        Raises:
            Refused: 404.
        """
        flavor = self.flavors.get(flavor_id)
        if flavor is None:
            raise Refused(404, f"Flavor {flavor_id} could not be found.")
        return flavor

    def add_flavor(self, flavor: Flavor) -> None:
        """Take a new flavor.

        Raises:
            Refused: 409 when its id or name is taken.
        """
        if flavor.id in self.flavors:
            raise Refused(409, f"Flavor with ID {flavor.id} already exists.")
        if any(other.name == flavor.name for other in self.flavors.values()):
            raise Refused(409, f"Flavor with name {flavor.name} already exists.")
        self.flavors[flavor.id] = flavor

    def key_pair(self, user_id: str, name: str) -> KeyPair:
        """A key pair of a user.

        Raises:
            Refused: 404.
        """
        pair = self.key_pairs.get(user_id, {}).get(name)
        if pair is None:
            raise Refused(404, f"Keypair {name} not found for user {user_id}")
        return pair

    def add_key_pair(self, *, user_id: str, name: str, kind: str, public_key: str, limit: int) -> KeyPair:
        """Take a public key.

        Raises:
            Refused: 409 when the name is taken, 403 over quota, 400 on data that are no key.
        """
        mine = self.key_pairs.setdefault(user_id, {})
        if name in mine:
            raise Refused(409, f"Key pair '{name}' already exists.")
        if 0 <= limit <= len(mine):
            raise Refused(403, "Quota exceeded, too many key pairs.")
        self._numbers += 1
        pair = KeyPair(
            number=self._numbers,
            name=name,
            user_id=user_id,
            kind=kind,
            public_key=public_key,
            fingerprint=_fingerprint(public_key),
            created_at=self.world.fine_stamp(),
        )
        mine[name] = pair
        return pair

    def group(self, project_id: str | None, group_id: str) -> ServerGroup:
        """A server group of a project (of any, when None).

        Raises:
            Refused: 404.
        """
        group = self.groups.get(group_id)
        if group is None or (project_id is not None and group.project_id != project_id):
            raise Refused(404, f"Instance group {group_id} could not be found.")
        return group


def _fingerprint(public_key: str) -> str:
    """The MD5 of the key's binary part in colons, as Nova shows it."""
    parts = public_key.split()
    try:
        data = base64.b64decode(parts[1] if len(parts) > 1 else "", validate=True)
    except ValueError:
        data = b""
    if not data:
        raise Refused(400, "Keypair data is invalid: failed to generate fingerprint")
    digest = hashlib.md5(data).hexdigest()
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))
