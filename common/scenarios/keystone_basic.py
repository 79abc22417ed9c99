"""KeystoneBasic: users of Keystone as load.

Rules: names, arguments and atomic actions are Rally's. Everything is done as the deployment's administrator. A user's name
is the iteration's, so that one whose create was never answered is found by clean-up.
"""

from typing import Annotated, TypedDict, Unpack, cast

from osbench.common.cloud.keystone import Keystone, User
from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import Bounds, scenario


class UserArguments(TypedDict, total=False):
    """What may be said of a new user.

    Attributes:
        name_length: taken for older task files and of no effect: names are OSBench's own.
        password: of the user; it has none otherwise.
        email: its address.
        enabled: whether it may sign in.
        project_id: its default project.
    """

    name_length: Annotated[int, Bounds(1)]
    password: str
    email: str
    enabled: bool
    project_id: str


def _keystone(it: Iteration) -> Keystone:
    return cast(Keystone, it.admin_client("keystone"))


async def _create_user(it: Iteration, arguments: UserArguments) -> User:
    with it.action("keystone.create_user"):
        return await _keystone(it).create_user(
            it.name(),
            arguments.get("password"),
            default_project_id=arguments.get("project_id"),
            email=arguments.get("email"),
            enabled=arguments.get("enabled", True),
        )


@scenario("KeystoneBasic.create_delete_user", services=("keystone",), needs_admin=True, cleanup=("user",))
async def create_delete_user(it: Iteration, **kwargs: Unpack[UserArguments]) -> None:
    """Make a user and delete it."""
    user = await _create_user(it, kwargs)
    with it.action("keystone.delete_user"):
        await _keystone(it).delete_user(user.id)


@scenario("KeystoneBasic.create_and_list_users", services=("keystone",), needs_admin=True, cleanup=("user",))
async def create_and_list_users(it: Iteration, **kwargs: Unpack[UserArguments]) -> None:
    """Make a user and list all users.

    The users are removed after the run, so the list grows with every iteration.
    """
    await _create_user(it, kwargs)
    with it.action("keystone.list_users"):
        await _keystone(it).list_users()
