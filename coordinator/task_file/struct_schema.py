"""A configuration that is declared as a msgspec struct, read as a schema of a document.

Rules: the types below and no others; another one is an error of ours, found by the tests that read every registry.
Defaults are not filled in: a context may want to know what was written.
"""

from typing import Any

import msgspec
from msgspec import inspect

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


def from_struct(struct: type[msgspec.Struct]) -> Schema:
    """The mapping whose keys are the struct's fields; nothing at all stands for no key.

    Raises:
        TypeError: a field is of a type that this reader does not know.
    """
    return _of(inspect.type_info(struct))


def _of(kind: inspect.Type) -> Schema:
    match kind:
        case inspect.StructType(fields=fields):
            keys = {f.encode_name: Key(schema=_of(f.type), default=REQUIRED if f.required else ABSENT) for f in fields}
            return Mapped(keys=keys, null_is_empty=True)
        case inspect.UnionType(types=types):
            return Either(tuple(_of(one) for one in types))
        case inspect.IntType(ge=ge, le=le, gt=gt):
            return Number(whole=True, minimum=ge, maximum=le, above=gt)
        case inspect.FloatType(ge=ge, le=le, gt=gt):
            return Number(minimum=ge, maximum=le, above=gt)
        case inspect.StrType(min_length=shortest, max_length=longest):
            return Text(min_length=shortest or 0, max_length=longest or Text().max_length)
        case inspect.LiteralType(values=values) if all(isinstance(value, str) for value in values):
            return Text(choices=tuple(str(value) for value in values))
        case inspect.BoolType():
            return Flag()
        case inspect.NoneType():
            return Empty()
        case inspect.AnyType():
            return Anything()
        case inspect.DictType(value_type=value):
            return Mapped(others=_of(value))
        case _:
            return _list(kind)


def _list(kind: Any) -> Schema:
    if not isinstance(kind, inspect.ListType | inspect.VarTupleType):
        raise TypeError(f"fields of type {type(kind).__name__} are not known here")
    longest = kind.max_length or Sequence().max_items
    return Sequence(item=_of(kind.item_type), min_items=kind.min_length or 0, max_items=longest)
