"""Where a simulated cloud may listen."""

import pytest

from osbench.common.error import InputError
from osbench.deploy.simulated.__main__ import origin_of
from osbench.deploy.simulated.engine import read


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "10.77.0.2:8774", "[::1]:0", "[fd00::2]:8774"])
def test_a_cloud_listens_on_any_one_address_of_the_machine(listen: str) -> None:
    place, _ = read({"listen": listen})

    assert place.listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:8774", "[::]:0", "224.0.0.1:1", "cloud.example:80", "10.0.0.1", ":80"])
def test_an_address_that_tells_nobody_where_the_cloud_is_is_refused(listen: str) -> None:
    """It stands in the sign-in URL that load hosts are given."""
    with pytest.raises(InputError, match="one address that all who use the cloud reach"):
        read({"listen": listen})


def test_it_is_on_loopback_unless_told_otherwise() -> None:
    place, _ = read({})

    assert place.listen == "127.0.0.1:0"


def test_an_ipv6_address_stands_in_brackets_in_a_url() -> None:
    assert origin_of(("::1", 80)) == "http://[::1]:80"
    assert origin_of(("127.0.0.1", 80)) == "http://127.0.0.1:80"
