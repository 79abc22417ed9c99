"""The API described, OpenAPI 3.1.0 (spec.openapis.org/oas/v3.1.0): made from the table of operations and its types."""

import re
from typing import Any

import msgspec

from osbench.coordinator.api.bodies import NAME_PATTERN, NoQuery
from osbench.coordinator.api.events import KIND_OF
from osbench.coordinator.api.fault import FaultBody
from osbench.coordinator.api.operations import EVENTS, JSON, OPERATIONS, Operation

REFERENCE = "#/components/schemas/{name}"
PATH = "/v1/openapi.json"
OPENAPI_VERSION = "3.1.0"
#: Why any request may be refused, by status.
REFUSALS = {
    400: "The request does not fit.",
    401: "No token, or a wrong one.",
    404: "There is none of this name.",
    405: "The path has no such method.",
    409: "It cannot be done where it stands.",
    413: "The body is too large.",
    415: "The body is not called JSON.",
    421: "The Host header names another host.",
    502: "The cloud did not do what was asked.",
    503: "The database is not there, or too much is asked at once.",
}


def document(version: str) -> dict[str, Any]:
    """The whole document; `version` is the release."""
    types = _types()
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    schema_of = {id(type_): schema for type_, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of, components)
    paths[PATH] = {"get": _own_operation()}
    for name in {schema["$ref"].rpartition("/")[2] for schema in _query_schemas(schema_of)}:
        components.pop(name, None)  # Their fields stand as parameters where they are used.
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "OSBench coordinator",
            "version": version,
            "description": "Tasks, deployments and load agents of a coordinator. Answers may get further fields.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _types() -> list[Any]:
    """Every type of the API, each once."""
    found: dict[int, Any] = {id(FaultBody): FaultBody}
    for type_ in (*KIND_OF, *(part for one in OPERATIONS for part in (one.answer, one.body, one.query))):
        if type_ is not None:
            found[id(type_)] = type_
    return list(found.values())


def _query_schemas(schema_of: dict[int, Any]) -> list[dict[str, Any]]:
    return [schema_of[id(operation.query)] for operation in OPERATIONS]


def _operation(operation: Operation, schema_of: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation, schema_of, components)],
        "responses": {str(operation.status): _answer(operation, schema_of), **_refusals(operation)},
    }
    if operation.media == EVENTS:
        described["parameters"].append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"},
                "description": "Of the last event that was read; ids go on from there.",
            }
        )
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.is_body_needed,
            "content": {JSON: {"schema": schema_of[id(operation.body)]}},
        }
    return described


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": NAME_PATTERN}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parameters(
    operation: Operation, schema_of: dict[int, Any], components: dict[str, Any]
) -> list[dict[str, Any]]:
    if operation.query is NoQuery:
        return []
    name = schema_of[id(operation.query)]["$ref"].rpartition("/")[2]
    return [
        {"name": field, "in": "query", "required": False, "schema": schema}
        for field, schema in components[name]["properties"].items()
    ]


def _answer(operation: Operation, schema_of: dict[int, Any]) -> dict[str, Any]:
    if operation.status == 204:
        return {"description": "Done."}
    if operation.answer is None:
        return {"description": operation.summary, "content": {operation.media: {"schema": {"type": "string"}}}}
    return {"description": operation.summary, "content": {JSON: {"schema": schema_of[id(operation.answer)]}}}


def _refusals(operation: Operation) -> dict[str, Any]:
    body = {"content": {JSON: {"schema": {"$ref": REFERENCE.format(name="FaultBody")}}}}
    return {str(status): {"description": words, **body} for status, words in REFUSALS.items()}


def _own_operation() -> dict[str, Any]:
    return {
        "operationId": "describe",
        "summary": "This document.",
        "responses": {"200": {"description": "This document.", "content": {JSON: {"schema": {"type": "object"}}}}},
    }
