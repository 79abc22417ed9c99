"""The ids we give our requests: deterministic, so that a call in the store can be found in the service's log.

    X-OpenStack-Request-ID: req-<uuid5(run, "<iteration>/<call>")>

Rules: `uuid.uuid5` takes 3 us, this a third: the hash of the namespace is computed once a run and copied.
"""

import uuid
from hashlib import sha1

_VARIANT = "89ab"


class RequestIds:
    """Makes the ids of one run.

    Args:
        run: the run's id, a UUID in any spelling; anything else is hashed into one.
    """

    __slots__ = ("_copy", "namespace")

    def __init__(self, run: str) -> None:
        try:
            self.namespace = uuid.UUID(run)
        except ValueError:
            self.namespace = uuid.uuid5(uuid.NAMESPACE_URL, run)
        self._copy = sha1(self.namespace.bytes, usedforsecurity=False).copy

    def of(self, iteration: int, call: int) -> str:
        """`req-` and the UUID (RFC 9562, 5.5) of the `call`-th call of an iteration."""
        digest = self._copy()
        digest.update(b"%d/%d" % (iteration, call))
        text = digest.hexdigest()
        return (
            f"req-{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[int(text[16], 16) & 3]}{text[17:20]}-{text[20:32]}"
        )
