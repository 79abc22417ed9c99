"""A small catalog, so that the reading of task files is tested apart from what this release can run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from osbench.common.error import InputError
from osbench.coordinator.task_file.catalog import Catalog, Complaint, ScenarioEntry, Setting
from osbench.coordinator.task_file.json_schema import from_json_schema
from osbench.coordinator.task_file.reader import LoadedTask, load_task, source_of
from osbench.coordinator.task_file.schema import ABSENT, Anything, Key, Mapped, Number, Text


def not_both(arguments: Mapping[str, Any]) -> Sequence[Complaint]:
    """What a scenario's own check finds: complaints with the path of keys that leads there."""
    if arguments.get("image", {}).get("nmae"):
        return [Complaint(path=("image", "nmae"), message="argument image has no key 'nmae'; did you mean 'name'?")]
    return []


FAILURE_RATE = {
    "type": "object",
    "properties": {key: {"type": "number", "minimum": 0, "maximum": 100} for key in ("min", "max")},
    "additionalProperties": False,
    "minProperties": 1,
}

CATALOG = Catalog(
    scenarios={
        "Dummy.dummy": ScenarioEntry(
            title="Do nothing and sleep.",
            arguments=Setting(
                schema=Mapped(keys={"sleep": Key(schema=Number(minimum=0), default=ABSENT)}),
            ),
        ),
        "NovaServers.boot_and_delete_server": ScenarioEntry(
            title="Boot a server and delete it.",
            arguments=Setting(schema=Mapped(others=Anything()), check=not_both),
        ),
    },
    contexts={
        "users": Setting(
            schema=Mapped(
                keys={
                    "tenants": Key(schema=Number(whole=True, minimum=1), default=1),
                    "users_per_tenant": Key(schema=Number(whole=True, minimum=1), default=1),
                    "user_choice_method": Key(schema=Text(choices=("random", "round_robin")), default="random"),
                },
                null_is_empty=True,
            )
        ),
    },
    criteria={"failure_rate": Setting(schema=from_json_schema(FAILURE_RATE))},
    hook_actions={"sys_call": Setting(schema=Text())},
    hook_triggers={"event": Setting(schema=Mapped(keys={"unit": Key(schema=Text())}, others=Anything()))},
)


@pytest.fixture
def read() -> Callable[..., LoadedTask]:
    """Read a task file given as text, with template variables by name."""

    def read_text(text: str, **arguments: Any) -> LoadedTask:
        return load_task(source_of(text.encode(), "task.yaml", Path("/nonexistent")), arguments, CATALOG)

    return read_text


@pytest.fixture
def complaints(read: Callable[..., LoadedTask]) -> Callable[..., list[str]]:
    """The lines a wrong task file is refused with."""

    def of_text(text: str, **arguments: Any) -> list[str]:
        with pytest.raises(InputError) as refused:
            read(text, **arguments)
        assert refused.value.exit_code == 1
        return str(refused.value).split("\n")

    return of_text
