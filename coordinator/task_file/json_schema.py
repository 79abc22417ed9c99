"""JSON schemas of settings, as registries carry them, read as schemas of a document.

Rules: the keywords below and no others; another one is an error of ours, found by the tests that read every registry.
"""

from collections.abc import Mapping
from typing import Any

from osbench.coordinator.task_file.schema import (
    ABSENT,
    REQUIRED,
    Anything,
    Either,
    Empty,
    Flag,
    Key,
    Mapped,
    Number,
    Schema,
    Sequence,
    Text,
)

KEYWORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "minProperties", "minimum", "maximum"}
    | {"exclusiveMinimum", "items", "minItems", "maxItems", "enum", "maxLength", "anyOf", "oneOf"}
    | {"default", "description", "title", "$schema"}
)


def from_json_schema(schema: Mapping[str, Any]) -> Schema:
    """The schema as one of ours.

    Raises:
        TypeError: it uses what this reader does not know.
    """
    unknown = set(schema) - KEYWORDS
    if unknown:
        raise TypeError(f"JSON schema keywords {sorted(unknown)} are not known here")
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return Either(tuple(from_json_schema(alternative) for alternative in schema[several]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return Either(tuple(from_json_schema({**schema, "type": one}) for one in kind))
    match kind:
        case "object":
            return _object(schema)
        case "array":
            item = from_json_schema(schema.get("items", {}))
            return Sequence(
                item=item, min_items=schema.get("minItems", 0), max_items=schema.get("maxItems", Sequence().max_items)
            )
        case "integer" | "number":
            return Number(
                whole=kind == "integer",
                minimum=schema.get("minimum"),
                maximum=schema.get("maximum"),
                above=schema.get("exclusiveMinimum"),
            )
        case "boolean":
            return Flag()
        case "null":
            return Empty()
        case "string":
            return Text(max_length=schema.get("maxLength", Text().max_length), choices=tuple(schema.get("enum", ())))
        case None:
            choices = schema.get("enum")
            return Text(choices=tuple(choices)) if choices else Anything()
    raise TypeError(f"JSON schema type {kind!r} is not known here")


def _object(schema: Mapping[str, Any]) -> Mapped:
    required = schema.get("required", ())
    keys = {
        name: Key(
            schema=from_json_schema(inner), default=REQUIRED if name in required else inner.get("default", ABSENT)
        )
        for name, inner in schema.get("properties", {}).items()
    }
    more = schema.get("additionalProperties", True)
    others = None if more is False else Anything() if more is True else from_json_schema(more)
    return Mapped(keys=keys, others=others, min_keys=schema.get("minProperties", 0))
