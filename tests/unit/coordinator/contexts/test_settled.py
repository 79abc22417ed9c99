from osbench.coordinator.cleanup import UNLISTED
from osbench.coordinator.contexts.messages import CloudResource, Leftover
from osbench.coordinator.contexts.server import settled

PROJECT = CloudResource(kind="project", name="p")
USERS = [CloudResource(kind="user", name="a"), CloudResource(kind="user", name="b", cloud_id="1")]


def test_what_was_recorded_and_is_not_left_is_settled_even_if_it_was_never_made() -> None:
    left = Leftover(resource=CloudResource(kind="user", name="b", cloud_id="1"), reason="stuck")

    assert settled([PROJECT, *USERS], []) == [PROJECT, *USERS]
    assert settled([PROJECT, *USERS], [left]) == [PROJECT, USERS[0]]


def test_nothing_of_a_kind_that_could_not_be_listed_is_settled() -> None:
    unknown = Leftover(resource=CloudResource(kind="user", name=UNLISTED), reason="cannot be listed")

    assert settled([PROJECT, *USERS], [unknown]) == [PROJECT]
