"""All contexts by name."""

from collections.abc import Mapping
from typing import Any

from osbench.common.error import InputError
from osbench.common.nearest import did_you_mean
from osbench.coordinator.contexts.contract import Context
from osbench.coordinator.contexts.users import UsersContext

CONTEXTS: dict[str, type[Context]] = {known.name: known for known in (UsersContext,)}


def configured_contexts(contexts: Mapping[str, Any]) -> list[Context]:
    """The contexts of a workload in the order of their set-up.

    Args:
        contexts: name to configuration, as written; None stands for an empty one.

    Raises:
        InputError: an unknown context, or a configuration that does not fit.
    """
    found: list[Context] = []
    for name, config in contexts.items():
        if name not in CONTEXTS:
            cure = did_you_mean(name, CONTEXTS) or f"; there are {', '.join(sorted(CONTEXTS))}"
            raise InputError(f"no context is called {name!r:.80}{cure}")
        if not isinstance(config, Mapping | None):
            raise InputError(f"context {name}: the configuration must be a mapping, not {config!r:.80}")
        found.append(CONTEXTS[name].configured(config or {}))
    return sorted(found, key=lambda context: context.order)
