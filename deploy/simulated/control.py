"""The control path `/_osbench`: faults at run time, counters, resources by project, revoking tokens.

Rules: closed (404 as any unknown path) unless the configuration has a `control_token`, which each request must show in
`X-Osbench-Control`. What is asked here is neither counted nor subject to faults.

    GET|PUT|DELETE /_osbench/faults      the rules' counts | put a list of rules in force | none
    GET|DELETE     /_osbench/counters    by route and status, in flight, peaks | begin anew
    GET            /_osbench/resources   by project: servers by status, volumes, ports, …
    DELETE         /_osbench/tokens      revoke all tokens
"""

import hmac
from collections import Counter
from typing import Any

import orjson

from osbench.common.error import InputError
from osbench.deploy.simulated.cloud import Cloud
from osbench.deploy.simulated.config import make_faults
from osbench.deploy.simulated.exchange import Answer, Request, json_answer

PREFIX = "/_osbench"


class Flight:
    """How many requests are being answered, and how many were at the most."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def enter(self) -> None:
        """A request came in."""
        self.now += 1
        self.peak = max(self.peak, self.now)

    def leave(self) -> None:
        """It was answered or its connection closed."""
        self.now -= 1


class Control:
    """Answers the control path of one cloud."""

    def __init__(self, cloud: Cloud, flight: Flight, token: str) -> None:
        self._cloud = cloud
        self._flight = flight
        self._token = token

    def handle(self, request: Request) -> Answer:
        """Answer a request below `/_osbench`."""
        shown = request.headers.get("x-osbench-control", "")
        if not self._token:
            return json_answer(404, {"error": "closed: the configuration has no control_token"})
        if not hmac.compare_digest(shown.encode(), self._token.encode()):
            return json_answer(403, {"error": "the control token in X-Osbench-Control is wrong"})
        self._cloud.world.agenda.run_due(self._cloud.world.now_ns())
        match request.method, request.path.removeprefix(PREFIX).strip("/"):
            case "GET", "faults":
                return json_answer(200, {"faults": self._cloud.faults.counts()})
            case (("PUT" | "POST"), "faults"):
                return self._set_faults(request)
            case "DELETE", "faults":
                self._cloud.faults.replace(())
                return Answer(status=204)
            case "GET", "counters":
                return json_answer(200, self._counters())
            case "DELETE", "counters":
                self._forget()
                return Answer(status=204)
            case "GET", "resources":
                return json_answer(200, {"projects": self._resources()})
            case "DELETE", "tokens":
                self._cloud.tokens.revoke_all()
                return Answer(status=204)
        return json_answer(404, {"error": f"no control path {request.method} {request.path}"})

    def _set_faults(self, request: Request) -> Answer:
        try:
            rules = make_faults(orjson.loads(request.body))
        except (orjson.JSONDecodeError, InputError) as error:
            return json_answer(400, {"error": str(error)})
        self._cloud.faults.replace(rules)
        return json_answer(200, {"faults": self._cloud.faults.counts()})

    def _counters(self) -> dict[str, Any]:
        routes: dict[str, dict[str, int]] = {}
        for (route, status), count in self._cloud.answered.items():
            routes.setdefault(route, {})[str(status)] = count
        servers = self._cloud.compute.servers
        return {
            "routes": routes,
            "requests": sum(self._cloud.answered.values()),
            "in_flight": self._flight.now,
            "peak_in_flight": self._flight.peak,
            "building": servers.building,
            "peak_building": servers.peak_building,
            "tokens": len(self._cloud.tokens),
        }

    def _forget(self) -> None:
        self._cloud.answered.clear()
        self._flight.peak = self._flight.now
        servers = self._cloud.compute.servers
        servers.peak_building = servers.building

    def _resources(self) -> dict[str, dict[str, Any]]:
        cloud = self._cloud
        found: dict[str, dict[str, Any]] = {
            project["id"]: {"name": project["name"]} for project in cloud.identity.store.records["projects"].values()
        }
        for server in cloud.compute.servers.servers.values():
            mine = found.setdefault(server.project_id, {})
            statuses = mine.setdefault("servers", Counter())
            statuses[server.status] += 1
        store = cloud.block_storage.store
        for plural, items in (("volumes", store.volumes), ("snapshots", store.snapshots), ("backups", store.backups)):
            for item in items.values():
                mine = found.setdefault(item.project_id, {})
                mine[plural] = mine.get(plural, 0) + 1
        for kind, records in cloud.network.store.records.items():
            for record in records.values():
                mine = found.setdefault(record["project_id"], {})
                mine[kind] = mine.get(kind, 0) + 1
        for image in cloud.image.store.images.values():
            mine = found.setdefault(image["owner"], {})
            mine["images"] = mine.get("images", 0) + 1
        return found
