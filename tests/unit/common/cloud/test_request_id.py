"""Request ids: uuid5, only quicker."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from osbench.common.cloud.request_id import RequestIds


@given(st.uuids(), st.integers(0, 2**63), st.integers(0, 2**31))
def test_an_id_is_the_uuid5_of_run_iteration_and_call(run: uuid.UUID, iteration: int, call: int) -> None:
    assert RequestIds(str(run)).of(iteration, call) == f"req-{uuid.uuid5(run, f'{iteration}/{call}')}"


def test_a_run_that_is_no_uuid_has_ids_too() -> None:
    assert RequestIds("r1").of(0, 0) == RequestIds("r1").of(0, 0) != RequestIds("r2").of(0, 0)
