from typing import Any

import pytest

from osbench.common.error import InputError
from osbench.coordinator.contexts.registry import configured_contexts
from osbench.coordinator.contexts.users import UsersConfig, UsersContext


def test_the_defaults_are_rallys() -> None:
    assert UsersContext.configured({}).config == UsersConfig(
        tenants=1,
        users_per_tenant=1,
        user_password=None,
        resource_management_workers=20,
        project_domain="default",
        user_domain="default",
        user_choice_method="random",
        role="member",
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tenants": 0}, r"expected `int` >= 1 - at `\$.tenants`"),
        ({"tenant": 1}, "object contains unknown field `tenant`"),
        ({"user_choice_method": "any"}, r"invalid enum value 'any' - at `\$.user_choice_method`"),
        ({"tenants": 1000, "users_per_tenant": 1000}, "1000 tenants × 1000 users are 1000000; at most 100000 are made"),
    ],
)
def test_what_does_not_fit_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"context users: .*{message}"):
        UsersContext.configured(config)


def test_only_how_to_choose_asks_for_the_users_there_are() -> None:
    assert not UsersContext.configured({"user_choice_method": "round_robin"}).is_given
    assert UsersContext.configured({"user_choice_method": "round_robin", "tenants": 1}).is_given


def test_an_unknown_context_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no context is called 'user'; did you mean 'users'\?"):
        configured_contexts({"user": {}})


def test_an_empty_configuration_is_one() -> None:
    [context] = configured_contexts({"users": None})

    assert context.name == "users"


def test_a_configuration_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(InputError, match="context users: the configuration must be a mapping, not 5"):
        configured_contexts({"users": 5})
