"""Which addresses of a subnet are taken.

Rules: pure. Addresses are handed out upwards from the start of the pools and wrap round; what is given back is used
again only after the pools were gone through once, as a fresh look at a busy network would show.
"""

import ipaddress
from dataclasses import dataclass, field

from osbench.deploy.simulated.exchange import Refused

Pool = tuple[int, int]


@dataclass(slots=True)
class AddressPool:
    """The addresses of one subnet.

    Attributes:
        version: 4 or 6.
        pools: first and last address of each, as integers.
        network_id: named in the refusal when none is left.
    """

    version: int
    pools: list[Pool]
    network_id: str
    taken: set[int] = field(default_factory=set)
    _next: int = 0

    def take(self, wanted: str | None = None) -> str:
        """A free address, or the one wanted.

        Raises:
            Refused: 409 when it is taken or none is left.
        """
        if wanted is not None:
            number = int(ipaddress.ip_address(wanted))
            if number in self.taken:
                raise Refused(
                    409,
                    f"Unable to complete operation for network {self.network_id}. The IP address {wanted} is in use.",
                    kind="IpAddressInUse",
                )
        else:
            number = self._free()
        self.taken.add(number)
        return self._text(number)

    def give_back(self, address: str) -> None:
        """Make an address free again."""
        self.taken.discard(int(ipaddress.ip_address(address)))

    def _free(self) -> int:
        size = sum(last - first + 1 for first, last in self.pools)
        # Among len(taken) + 1 neighbours at least one is free, if any is.
        for step in range(min(size, len(self.taken) + 1)):
            number = self._at((self._next + step) % size)
            if number not in self.taken:
                self._next = (self._next + step + 1) % size
                return number
        raise Refused(
            409, f"No more IP addresses available on network {self.network_id}.", kind="IpAddressGenerationFailure"
        )

    def _at(self, offset: int) -> int:
        for first, last in self.pools:
            if offset <= last - first:
                return first + offset
            offset -= last - first + 1
        raise AssertionError("offset beyond the pools")

    def _text(self, number: int) -> str:
        return str(ipaddress.IPv4Address(number) if self.version == 4 else ipaddress.IPv6Address(number))
