"""The limit on open files: raised where it may be, and named where not."""

import resource
from collections.abc import Iterator

import pytest

from osbench.common.error import InputError
from osbench.common.open_files import ensure_open_files


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_and_never_lowered(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))

    assert ensure_open_files(150) == 200
    assert ensure_open_files(256) == 256
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (256, limits[1])


def test_what_the_system_does_not_allow_is_refused_with_both_numbers_and_the_cure(limits: tuple[int, int]) -> None:
    if limits[1] == resource.RLIM_INFINITY:
        pytest.skip("here the system allows any number")
    with pytest.raises(
        InputError, match=f"may open {limits[1]} files and needs {2**40}: raise .*, or lower max_agents"
    ):
        ensure_open_files(2**40, "lower max_agents")
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
