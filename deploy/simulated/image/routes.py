"""Glance's routes and bodies.

Rules: an image's properties stand beside its attributes; errors are webob's own pages (JSON, HTML or text by the
Accept header), as Glance has no error body of its own.
"""

import hashlib
from urllib.parse import urlencode

import orjson

from osbench.deploy.simulated.exchange import (
    Answer,
    Body,
    Refused,
    Request,
    integer_of,
    json_answer,
    json_body,
    webob_page,
)
from osbench.deploy.simulated.identity.tokens import TokenBook
from osbench.deploy.simulated.image.store import ImageStore, Record
from osbench.deploy.simulated.service import Call, Service, Stage, www_authenticate
from osbench.deploy.simulated.world import World

_SUPPORTED = ("2.15", "2.9", "2.17", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0")
_CURRENT = "2.17"
#: Glance's `limit_param_default` and `api_limit_max`.
_PAGE, _MAX_PAGE = 25, 1000
_UNAUTHORIZED = (
    "This server could not verify that you are authorized to access the document you requested. Either you supplied "
    "the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials "
    "required."
)
_MAX_DATA_BYTES = 16_000_000


class ImageService(Service):
    """Glance.

    Args:
        owner: the project the images of the start belong to.
    """

    def __init__(self, world: World, tokens: TokenBook, owner: str) -> None:
        super().__init__("image", world, tokens)
        self.store = ImageStore(world)
        route = self.route
        route("GET", "/", self._versions, is_open=True)
        route("GET", "/versions", self._versions_ok, is_open=True)
        route("GET", "/v2", self._versions, is_open=True)
        route("GET", "/v2/images", self._list)
        route("POST", "/v2/images", self._create)
        route("GET", "/v2/images/{id}", self._show)
        route("PATCH", "/v2/images/{id}", self._change)
        route("DELETE", "/v2/images/{id}", self._delete)
        route("PUT", "/v2/images/{id}/file", self._upload)
        route("PUT", "/v2/images/{id}/tags/{tag}", self._add_tag)
        route("DELETE", "/v2/images/{id}/tags/{tag}", self._remove_tag)
        route("GET", "/v2/images/{id}/members", self._members)
        route("GET", "/v2/schemas/image", self._schema)
        for spec in world.spec.images:
            record = self.store.create(
                owner, {"name": spec.name, "visibility": "public", "disk_format": "qcow2", "container_format": "bare"}
            )
            seed = spec.name.encode()
            record.update(
                status="active",
                size=spec.size_bytes,
                virtual_size=1 << 20,
                checksum=hashlib.md5(seed).hexdigest(),
                os_hash_algo="sha512",
                os_hash_value=hashlib.sha512(seed).hexdigest(),
                stores="fs",
            )

    def refusal(self, request: Request, refused: Refused) -> Answer:
        if refused.status != 401:
            return super().refusal(request, refused)
        answer = webob_page(request, 401, _UNAUTHORIZED)
        answer.headers.append(("WWW-Authenticate", www_authenticate(request)))
        return answer

    def error_answer(self, request: Request, refused: Refused) -> Answer:
        return webob_page(request, refused.status, refused.message)

    def dress(self, answer: Answer, request: Request, minor: int, stage: Stage) -> None:
        if stage in (Stage.DOCUMENT, Stage.TURNED_AWAY):
            return
        if not answer.body:
            answer.headers.append(("Content-Type", "text/html; charset=UTF-8"))
        answer.headers.append(("x-openstack-request-id", request.request_id))

    # ---- version documents

    def _version_list(self, call: Call) -> Body:
        return {
            "versions": [
                {
                    "id": f"v{version}",
                    "status": "CURRENT" if version == _CURRENT else "SUPPORTED",
                    "links": [{"rel": "self", "href": f"{call.base}/v2/"}],
                }
                for version in _SUPPORTED
            ]
        }

    def _versions(self, call: Call) -> Answer:
        return json_answer(300, self._version_list(call))

    def _versions_ok(self, call: Call) -> Answer:
        return json_answer(200, self._version_list(call))

    # ---- images

    def _list(self, call: Call) -> Answer:
        request = call.request
        records = [record for record in self.store.all_visible(call.token) if _fits(request, record)]
        _sort(request, records)
        marker = request.first("marker")
        if marker:
            places = [index for index, record in enumerate(records) if record["id"] == marker]
            if not places:
                raise Refused(400, f"Invalid value for option marker: {marker}")
            records = records[places[0] + 1 :]
        limit = min(_limit(request), _MAX_PAGE)
        kept = [(name, value) for name, value in request.query if name != "marker"]
        body: Body = {"images": [_view(record) for record in records[:limit]]}
        body["first"] = "/v2/images" + (f"?{urlencode(kept)}" if kept else "")
        if limit and len(records) >= limit:
            body["next"] = "/v2/images?" + urlencode([*kept, ("marker", records[limit - 1]["id"])])
        body["schema"] = "/v2/schemas/images"
        return json_answer(200, body)

    def _create(self, call: Call) -> Answer:
        body = json_body(call.request)
        if body.get("visibility") == "public" and not call.token.is_admin:
            raise Refused(403, "You are not authorized to complete publicize_image action.")
        record = self.store.create(call.token.project_id, body)
        return json_answer(
            201,
            _view(record),
            ("Location", f"{call.base}/v2/images/{record['id']}"),
            ("OpenStack-image-import-methods", "glance-direct,web-download,copy-image"),
            ("OpenStack-image-store-ids", "fs"),
        )

    def _show(self, call: Call) -> Answer:
        return json_answer(200, _view(self.store.visible(call.token, call.params[0])))

    def _change(self, call: Call) -> Answer:
        try:
            operations = orjson.loads(call.request.body)
        except orjson.JSONDecodeError as error:
            raise Refused(400, "Malformed JSON in request body.") from error
        if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
            raise Refused(400, "Request body must be a JSON array of operation objects.")
        return json_answer(200, _view(self.store.change(call.token, call.params[0], operations)))

    def _delete(self, call: Call) -> Answer:
        self.store.delete(call.token, call.params[0])
        return Answer(status=204)

    def _upload(self, call: Call) -> Answer:
        if len(call.request.body) > _MAX_DATA_BYTES:
            raise Refused(413, f"Image exceeds the storage quota: at most {_MAX_DATA_BYTES} bytes here")
        self.store.upload(call.token, call.params[0], call.request.body)
        return Answer(status=204)

    def _add_tag(self, call: Call) -> Answer:
        record = self.store.owned(call.token, call.params[0])
        if call.params[1] not in record["tags"]:
            record["tags"].append(call.params[1])
        return Answer(status=204)

    def _remove_tag(self, call: Call) -> Answer:
        record = self.store.owned(call.token, call.params[0])
        if call.params[1] not in record["tags"]:
            raise Refused(404, "Could not find tag.")
        record["tags"].remove(call.params[1])
        return Answer(status=204)

    def _members(self, call: Call) -> Answer:
        self.store.visible(call.token, call.params[0])
        return json_answer(200, {"members": [], "schema": "/v2/schemas/members"})

    def _schema(self, call: Call) -> Answer:
        names = ("id", "name", "status", "visibility", "owner", "size", "disk_format", "container_format", "min_disk",
                 "min_ram", "protected", "tags", "checksum", "created_at", "updated_at")  # fmt: skip
        return json_answer(
            200,
            {
                "name": "image",
                "properties": {name: {"description": name, "type": ["null", "string"]} for name in names},
                "additionalProperties": {"type": "string"},
                "links": [{"rel": "self", "href": "{self}"}],
            },
        )


def _view(record: Record) -> Body:
    path = f"/v2/images/{record['id']}"
    return {**record, "self": path, "file": f"{path}/file", "schema": "/v2/schemas/image"}


def _fits(request: Request, record: Record) -> bool:
    if record["os_hidden"] != (request.first("os_hidden", "false").lower() == "true"):
        return False
    for name, value in request.query:
        if name in ("limit", "marker", "sort", "sort_key", "sort_dir", "os_hidden", "member_status"):
            continue
        if name == "tag":
            if value not in record["tags"]:
                return False
        elif name in ("size_min", "size_max"):
            size, bound = record["size"] or 0, int(value) if value.isdigit() else 0
            if (size < bound) if name == "size_min" else (size > bound):
                return False
        elif name == "visibility" and value == "all":
            continue
        else:
            wanted = value.removeprefix("in:").split(",") if value.startswith("in:") else [value]
            if str(record.get(name)).lower() not in [text.strip('"').lower() for text in wanted]:
                return False
    return True


def _sort(request: Request, records: list[Record]) -> None:
    """`sort=name:asc,id` or `sort_key`/`sort_dir`; without either the order stays."""
    keys = [tuple((part + ":desc").split(":")[:2]) for part in request.first("sort").split(",") if part]
    keys += [(key, request.first("sort_dir", "desc")) for key in request.all("sort_key")]
    for key, direction in reversed(keys):
        records.sort(key=lambda record: str(record.get(key) or ""), reverse=direction != "asc")


def _limit(request: Request) -> int:
    text = request.first("limit")
    return integer_of(text, "limit", low=0, high=2**31) if text else _PAGE
