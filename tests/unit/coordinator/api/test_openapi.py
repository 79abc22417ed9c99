"""The description of the API is true: it has what is served, and what is served fits it."""

import re
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.applications import Starlette

from osbench.coordinator.api.app import build_app
from osbench.coordinator.api.guard import Guard
from osbench.coordinator.api.office import Office
from osbench.coordinator.api.openapi import document
from osbench.coordinator.api.operations import OPERATIONS

DOCUMENT = msgspec.json.decode(msgspec.json.encode(document("1.2.3")))


def test_routes_and_document_are_the_same(office: Office) -> None:
    app = build_app(office, token="t", hosts=[], version="1")
    assert isinstance(app, Guard)
    starlette = app._app
    assert isinstance(starlette, Starlette)
    served = {(route.path, method) for route in starlette.routes for method in route.methods}  # type: ignore[attr-defined]
    described = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert served == described


def test_the_document_is_served(client: httpx2.Client) -> None:
    assert client.get("/v1/openapi.json").json() == DOCUMENT


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own | {found for inner in value.values() for found in references(inner)}
    return {found for inner in value for found in references(inner)} if isinstance(value, list) else set()


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    events = {"QueuePlace", "ProgressUpdate", "TaskOutcome"}

    assert references(DOCUMENT) == known - {f"#/components/schemas/{name}" for name in events}
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in DOCUMENT["components"]["schemas"])


def test_names_of_operations_are_unique() -> None:
    names = [operation.name for operation in OPERATIONS]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_name_in_a_path_is_a_parameter(operation: Any) -> None:
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    named = {one["name"] for one in described["parameters"] if one["in"] == "path"}

    assert named == set(re.findall(r"\{(\w+)\}", operation.path))
