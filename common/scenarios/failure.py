"""How a scenario ends an iteration that did not go as asked."""

from osbench.common.cloud.contract import CallFailed
from osbench.common.outcome import Outcome


class ScenarioFailure(CallFailed):
    """The iteration is over and failed, though no single call did: a state that never came, a failure asked for.

    It is told as a failed call is: control flow inside one worker, recorded there as the iteration's error.

    Attributes:
        kind: groups errors in reports, e.g. `wait_timeout`.
        outcome: FAILED, or UNKNOWN where it is not known whether what was asked took effect.
    """

    def __init__(self, kind: str, message: str, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__("", status=0, kind=kind, message=message, is_unknown=outcome is Outcome.UNKNOWN)
        self.args = (message,)
        self.outcome = outcome
