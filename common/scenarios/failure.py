"""How a scenario ends an iteration that did not go as asked."""

from osbench.common.outcome import Outcome


class ScenarioFailure(Exception):
    """The iteration is over and failed: raised by a scenario, recorded by the worker as the iteration's error.

    It is control flow inside one worker and leaves it never: what the cloud does is data. Calls that fail raise the
    service client's own exception instead.

    Attributes:
        kind: groups errors in reports, e.g. `ServerError`.
        outcome: FAILED, or UNKNOWN where it is not known whether what was asked took effect.
    """

    def __init__(self, kind: str, message: str, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(message)
        self.kind = kind
        self.outcome = outcome
