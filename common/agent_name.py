"""What an agent may be called: a name that is safe in a path, a log line, a routing id and a colon-separated invitation."""

import re

from osbench.common.error import InputError

#: Letters and digits of ASCII, and `.`, `-`, `_` but not first: no name hides, climbs or looks like an option.
AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def check_agent_name(name: str) -> None:
    """Refuse what cannot be the name of an agent.

    Raises:
        InputError: naming it and the rule.
    """
    if AGENT_NAME.fullmatch(name) is None:
        raise InputError(
            f"agent name {name!r:.80} must be 1 to 64 letters, digits, '.', '-' or '_', and begin with a letter or digit"
        )
