"""Authenticate: signing in as load."""

from typing import cast

from osbench.common.cloud.keystone import Keystone
from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import scenario


@scenario("Authenticate.keystone", services=("keystone",), needs_users=True)
async def keystone(it: Iteration) -> None:
    """Sign in to Keystone with user name and password.

    Every iteration asks for a token of its own, as Rally's released versions do; the one the iteration's user already has
    stays in use.
    """
    client = cast(Keystone, it.client("keystone"))
    with it.action("authenticate.keystone"):
        await client.sign_in()
