"""The key ring: which public key is which agent's. Who is not in it is nobody.

Rules: it is replaced whole, by what the store says; it is asked by ZAP at each handshake and at each message that comes.
Several threads may use one: the mapping is never changed, only exchanged for another.
"""

from collections.abc import Mapping


class KeyRing:
    """Agents by their public keys.

    Args:
        names: agent's name by public key, z85 text.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._names: dict[str, str] = dict(names or {})

    def replace(self, names: Mapping[str, str]) -> frozenset[str]:
        """Hold these keys from now on, and no other.

        Returns:
            Keys that are gone, or are another agent's now: whoever holds them has to be shut out.
        """
        before, self._names = self._names, dict(names)
        return frozenset(key for key, name in before.items() if names.get(key) != name)

    def name(self, public_key: str) -> str | None:
        """Whose key it is; None for nobody's."""
        return self._names.get(public_key)

    def names(self) -> dict[str, str]:
        """All, by public key."""
        return dict(self._names)
