"""Nova's routes below a server: metadata, tags, addresses, interfaces, volumes, history.

Rules: each looks the server up as its owner sees it; volumes and ports are changed in their own services' stores.
"""

from osbench.deploy.simulated.block_storage.store import BlockStorageStore
from osbench.deploy.simulated.compute import views
from osbench.deploy.simulated.compute.store import ActionRecord, HeldVolume, PortWish, Server, ServerStore
from osbench.deploy.simulated.exchange import Answer, Body, Refused, json_answer, json_body, json_object
from osbench.deploy.simulated.network.store import NetworkStore
from osbench.deploy.simulated.service import Call, Service
from osbench.deploy.simulated.world import World


class PartRoutes:
    """What hangs on a server."""

    def __init__(
        self, world: World, servers: ServerStore, network: NetworkStore, block_storage: BlockStorageStore
    ) -> None:
        self._world = world
        self._servers = servers
        self._network = network
        self._block_storage = block_storage

    def add_to(self, service: Service) -> None:
        """Add the routes to Nova's."""
        route, path = service.route, "/v2.1/servers/{id}"
        route("GET", path + "/metadata", self._metadata)
        route("POST", path + "/metadata", self._add_metadata)
        route("PUT", path + "/metadata", self._replace_metadata)
        route("DELETE", path + "/metadata/{key}", self._drop_metadata)
        route("GET", path + "/tags", self._tags, since=26)
        route("PUT", path + "/tags", self._replace_tags, since=26)
        route("PUT", path + "/tags/{tag}", self._add_tag, since=26)
        route("DELETE", path + "/tags/{tag}", self._drop_tag, since=26)
        route("GET", path + "/ips", self._addresses)
        route("GET", path + "/os-interface", self._interfaces)
        route("POST", path + "/os-interface", self._plug)
        route("DELETE", path + "/os-interface/{port}", self._unplug)
        route("GET", path + "/os-volume_attachments", self._volumes)
        route("POST", path + "/os-volume_attachments", self._attach)
        route("GET", path + "/os-volume_attachments/{volume}", self._volume)
        route("DELETE", path + "/os-volume_attachments/{volume}", self._detach)
        route("GET", path + "/os-instance-actions", self._history)
        route("GET", path + "/os-instance-actions/{request}", self._event)
        route("GET", path + "/os-security-groups", self._security_groups)
        route("POST", path + "/remote-consoles", self._console, since=6)

    def _server(self, call: Call) -> Server:
        return self._servers.get(None if call.token.is_admin else call.token.project_id, call.params[0])

    # ---- metadata and tags

    def _metadata(self, call: Call) -> Answer:
        return json_answer(200, {"metadata": self._server(call).metadata})

    def _add_metadata(self, call: Call) -> Answer:
        server = self._server(call)
        server.metadata.update(_texts(json_object(call.request, "metadata")))
        return json_answer(200, {"metadata": server.metadata})

    def _replace_metadata(self, call: Call) -> Answer:
        server = self._server(call)
        server.metadata = _texts(json_object(call.request, "metadata"))
        return json_answer(200, {"metadata": server.metadata})

    def _drop_metadata(self, call: Call) -> Answer:
        if self._server(call).metadata.pop(call.params[1], None) is None:
            raise Refused(404, "Metadata item was not found")
        return Answer(status=204)

    def _tags(self, call: Call) -> Answer:
        return json_answer(200, {"tags": self._server(call).tags})

    def _replace_tags(self, call: Call) -> Answer:
        server, tags = self._server(call), json_body(call.request).get("tags")
        if not isinstance(tags, list) or len(tags) > 50:
            raise Refused(400, "Invalid input for field/attribute tags. A list of at most 50 is needed.")
        server.tags = [str(tag) for tag in tags]
        return json_answer(200, {"tags": server.tags})

    def _add_tag(self, call: Call) -> Answer:
        server = self._server(call)
        if call.params[1] in server.tags:
            return Answer(status=204)
        server.tags.append(call.params[1])
        return Answer(status=201)

    def _drop_tag(self, call: Call) -> Answer:
        server = self._server(call)
        if call.params[1] not in server.tags:
            raise Refused(404, f"Server {server.id} has no tag '{call.params[1]}'")
        server.tags.remove(call.params[1])
        return Answer(status=204)

    # ---- addresses and interfaces

    def _addresses(self, call: Call) -> Answer:
        shown = {
            name: [{"version": address["version"], "addr": address["addr"]} for address in addresses]
            for name, addresses in self._server(call).addresses.items()
        }
        return json_answer(200, {"addresses": shown})

    def _interfaces(self, call: Call) -> Answer:
        ports = self._network.ports_of(self._server(call).id)
        return json_answer(200, {"interfaceAttachments": [views.interface(port, call.minor) for port in ports]})

    def _plug(self, call: Call) -> Answer:
        server = self._server(call)
        body = json_object(call.request, "interfaceAttachment")
        port_id, network_id = str(body.get("port_id") or ""), str(body.get("net_id") or "")
        if port_id and network_id:
            raise Refused(400, "Must not input both network_id and port_id")
        if not port_id and not network_id:
            raise Refused(400, "A network or a port is needed here")
        for kind, record_id in (("port", port_id), ("network", network_id)):
            if record_id:
                self._network.visible(call.token, kind, record_id)
        port = self._servers.plug_interface(server, PortWish(network_id=network_id, port_id=port_id))
        return json_answer(200, {"interfaceAttachment": views.interface(port, call.minor)})

    def _unplug(self, call: Call) -> Answer:
        server = self._server(call)
        if call.params[1] not in [port["id"] for port in self._network.ports_of(server.id)]:
            raise Refused(404, f"Port {call.params[1]} is not attached to instance {server.id}")
        self._servers.unplug_interface(server, call.params[1])
        return Answer(status=202)

    # ---- volumes

    def _volumes(self, call: Call) -> Answer:
        server = self._server(call)
        found = [views.volume_attachment(server, held, call.minor) for held in server.volumes]
        return json_answer(200, {"volumeAttachments": found})

    def _held(self, call: Call) -> tuple[Server, HeldVolume]:
        server = self._server(call)
        for held in server.volumes:
            if held.volume_id == call.params[1]:
                return server, held
        raise Refused(404, f"volume_id not found: {call.params[1]}")

    def _volume(self, call: Call) -> Answer:
        server, held = self._held(call)
        return json_answer(200, {"volumeAttachment": views.volume_attachment(server, held, call.minor)})

    def _attach(self, call: Call) -> Answer:
        server = self._server(call)
        body = json_object(call.request, "volumeAttachment")
        volume_id = str(body.get("volumeId"))
        if server.vm_state not in ("active", "paused", "stopped", "resized", "shelved", "shelved_offloaded"):
            raise Refused(409, f"Cannot 'attach_volume' instance {server.id} while it is in vm_state {server.vm_state}")
        volume = self._block_storage.volume(call.token.project_id, volume_id)
        self._block_storage.begin_attach(volume)
        held = HeldVolume(
            volume_id=volume_id,
            device=str(body.get("device") or f"/dev/vd{chr(ord('b') + len(server.volumes) % 25)}"),
            is_deleted_with_server=bool(body.get("delete_on_termination", False)),
            attachment_id=self._world.uuid(),
            tag=body.get("tag"),
        )
        server.volumes.append(held)
        self._block_storage.attach(volume, server.id, held.device, server.host or "")
        return json_answer(200, {"volumeAttachment": views.volume_attachment(server, held, min(call.minor, 88))})

    def _detach(self, call: Call) -> Answer:
        server, held = self._held(call)
        volume = self._block_storage.volume(None, held.volume_id)
        if volume.status != "in-use":
            raise Refused(
                400, f"Invalid volume: Invalid input received: Invalid volume: Unable to detach volume. Volume status "
                     f"must be 'in-use' and attach_status must be 'attached' to detach. Currently: status: "
                     f"'{volume.status}', attach_status: 'detached.'")  # fmt: skip
        server.volumes.remove(held)
        self._block_storage.detach(volume, server.id)
        return Answer(status=202)

    # ---- history and the rest

    def _history(self, call: Call) -> Answer:
        server = self._server(call)
        return json_answer(
            200, {"instanceActions": [_action(server, record, call.minor) for record in reversed(server.history)]}
        )

    def _event(self, call: Call) -> Answer:
        server = self._server(call)
        for record in server.history:
            if record.request_id == call.params[1]:
                return json_answer(200, {"instanceAction": {**_action(server, record, call.minor), "events": []}})
        raise Refused(404, f"Action for request_id {call.params[1]} on instance {server.id} not found")

    def _security_groups(self, call: Call) -> Answer:
        server = self._server(call)
        groups = self._network.records["security_group"].values()
        found = [
            {"id": group["id"], "name": group["name"], "tenant_id": group["project_id"],
             "description": group["description"], "rules": []}
            for group in groups
            if group["project_id"] == server.project_id and group["name"] in server.security_groups
        ]  # fmt: skip
        return json_answer(200, {"security_groups": found})

    def _console(self, call: Call) -> Answer:
        self._server(call)
        wanted = json_object(call.request, "remote_console")
        url = f"{call.request.origin}/console?token={self._world.uuid()}"
        shown = {"protocol": wanted.get("protocol"), "type": wanted.get("type"), "url": url}
        return json_answer(200, {"remote_console": shown})


def _texts(body: Body) -> dict[str, str]:
    for key, value in body.items():
        if not isinstance(value, str) or len(value) > 255 or len(key) > 255:
            raise Refused(400, f"Invalid input for field/attribute {key[:40]}. Value: {value!r:.100}.")
    return dict(body)


def _action(server: Server, record: ActionRecord, minor: int) -> Body:
    view: Body = {
        "action": record.action,
        "instance_uuid": server.id,
        "request_id": record.request_id,
        "user_id": record.user_id,
        "project_id": server.project_id,
        "start_time": record.started_at,
        "message": None,
    }
    if minor >= 58:
        view["updated_at"] = record.started_at
    return view
