"""Routes: what a call is, apart from whose and which. Their names are what calls are grouped by in every report."""

from dataclasses import dataclass, field

from osbench.common.cloud.contract import NON_IDEMPOTENT

#: Service types (the official ones of the service-types authority) and what people call them.
SERVICE_NAMES = {
    "identity": "keystone",
    "compute": "nova",
    "image": "glance",
    "network": "neutron",
    "block-storage": "cinder",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of call.

    Attributes:
        service: official service type, e.g. `compute`.
        method: in capitals.
        path: below the service's endpoint, with names for what varies: `/servers/{id}`.
        expected: statuses that are what was asked for.
        is_repeatable: doing it twice is as doing it once, so a lost answer is a plain failure. By default by the method.
        name: e.g. `nova GET /servers/{id}`.
    """

    service: str
    method: str
    path: str
    expected: frozenset[int] = frozenset({200})
    is_repeatable: bool | None = None
    name: str = field(init=False)
    leaves_unknown: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{SERVICE_NAMES.get(self.service, self.service)} {self.method} {self.path}")
        repeatable = self.method not in NON_IDEMPOTENT if self.is_repeatable is None else self.is_repeatable
        object.__setattr__(self, "leaves_unknown", not repeatable)
