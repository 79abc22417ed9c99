"""How an agent that is refused goes on asking."""

from osbench.agent.admission import BACKOFF_S, REPEAT_NS, Admission
from osbench.common.clock import NS_PER_S

S = NS_PER_S


def test_the_first_refusal_is_answered_at_once_and_the_later_ones_ever_more_slowly() -> None:
    """A coordinator started anew refuses everybody until they say hello; one of another release goes on refusing."""
    admission = Admission()
    now_ns, pauses = 0, []

    for _ in range(6):
        admission.refused("of another release", now_ns)
        since_ns = now_ns
        while not admission.may_greet(now_ns):
            now_ns += S
        pauses.append((now_ns - since_ns) // S)

    assert pauses == [*BACKOFF_S, BACKOFF_S[-1]]


def test_a_welcome_ends_the_waiting_and_forgets_the_reason() -> None:
    admission = Admission()
    for _ in range(3):
        admission.refused("no", 0)

    admission.welcomed()

    assert (admission.is_welcome, admission.reason) == (True, "")
    assert admission.may_greet(0)


def test_a_new_connection_is_greeted_at_once_and_the_old_reason_stays_until_it_answers() -> None:
    admission = Admission()
    for _ in range(3):
        admission.refused("no", 0)

    admission.disconnected()

    assert admission.may_greet(0)
    assert admission.reason == "no"


def test_a_reason_is_worth_a_line_when_it_is_new_and_once_in_a_while() -> None:
    admission = Admission()

    assert admission.refused("no", 0)
    assert not admission.refused("no", S)
    assert admission.refused("still no", 2 * S)
    assert admission.refused("still no", 2 * S + REPEAT_NS)
