"""POST /servers: what the body asks for, checked, and the servers made of it.

Rules: everything is checked before anything is made, in Nova's order: body, image, flavor, key pair, networks, volumes,
quota. Messages are Nova's.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any

from osbench.deploy.simulated.block_storage.store import BlockStorageStore, Volume
from osbench.deploy.simulated.compute.catalog import Catalog, Flavor
from osbench.deploy.simulated.compute.store import ActionRecord, HeldVolume, PortWish, Server, ServerStore
from osbench.deploy.simulated.exchange import Body, Refused, integer_of, text_of
from osbench.deploy.simulated.image.store import ImageStore, Record
from osbench.deploy.simulated.network.store import NetworkStore
from osbench.deploy.simulated.service import Call
from osbench.deploy.simulated.world import World

MAX_SERVERS_PER_CALL = 1_000


@dataclass(frozen=True, slots=True)
class Booted:
    """What a boot call made.

    Attributes:
        servers: those made, in order.
        password: the administrator's password of all of them.
    """

    servers: list[Server]
    password: str
    reservation_id: str


class Boot:
    """Makes servers, with the other services' stores at hand."""

    def __init__(
        self,
        world: World,
        *,
        servers: ServerStore,
        catalog: Catalog,
        images: ImageStore,
        network: NetworkStore,
        block_storage: BlockStorageStore,
    ) -> None:
        self._world = world
        self._servers = servers
        self._catalog = catalog
        self._images = images
        self._network = network
        self._block_storage = block_storage

    def boot(self, call: Call, document: Body) -> Booted:
        """Make the servers of a POST /servers body.

        Raises:
            Refused: 400, 403, 404 or 409 as Nova does.
        """
        body = document.get("server")
        if not isinstance(body, dict):
            raise Refused(400, "Invalid input for field/attribute server. Value: None. None is not of type 'object'")
        name = text_of(body, "name").strip()
        if not name:
            raise Refused(400, "Invalid input for field/attribute name. Value: . '' does not match the regex.")
        least = integer_of(body.get("min_count", 1), "min_count", low=1, high=MAX_SERVERS_PER_CALL)
        most = integer_of(body.get("max_count", least), "max_count", low=1, high=MAX_SERVERS_PER_CALL)
        if least > most:
            raise Refused(400, "min_count must be <= max_count")
        flavor = self._flavor(body)
        image = self._image(call, body)
        if image is not None:
            _check_fit(image, flavor)
        key_name = body.get("key_name")
        if key_name is not None and key_name not in self._catalog.key_pairs.get(call.token.user_id, {}):
            raise Refused(400, "Invalid key_name provided.")
        zone = body.get("availability_zone")
        if zone is not None and zone.split(":")[0] not in ("nova",):
            raise Refused(400, "The requested availability zone is not available")
        wishes = self._wishes(call, body)
        devices = _devices(body)
        if image is None and not any(device.get("boot_index") in (0, "0") for device in devices):
            raise Refused(400, "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device "
                               "mapping combination is not valid.")  # fmt: skip
        self._check_devices(call, devices)
        self._servers.check_quota(call.token.project_id, flavor, most)
        hints = document.get("os:scheduler_hints") or document.get("OS-SCH-HNT:scheduler_hints") or {}
        groups = [str(hints["group"])] if hints.get("group") else []
        for group in groups:
            self._catalog.group(call.token.project_id, group)
        reservation = "r-" + f"{self._world.number(36**8):08x}"[-8:]
        made = [
            self._one(call, body, name if most == 1 else f"{name}-{index + 1}", flavor, image, wishes, devices,
                      reservation, hints, groups)
            for index in range(most)
        ]  # fmt: skip
        password = str(body.get("adminPass") or new_password(self._world.entropy(9)))
        return Booted(made, password, reservation)

    def _one(
        self,
        call: Call,
        body: Body,
        name: str,
        flavor: Flavor,
        image: Record | None,
        wishes: tuple[PortWish, ...],
        devices: list[Body],
        reservation: str,
        hints: Body,
        groups: list[str],
    ) -> Server:
        now = self._world.stamp()
        server = Server(
            id=self._world.uuid(),
            number=0,
            name=name,
            project_id=call.token.project_id,
            user_id=call.token.user_id,
            flavor=flavor,
            image_id=None if image is None else image["id"],
            key_name=body.get("key_name"),
            metadata=dict(body.get("metadata") or {}),
            description=body.get("description") if call.minor >= 19 else name,
            availability_zone=body.get("availability_zone"),
            security_groups=[str(group.get("name")) for group in body.get("security_groups") or [{"name": "default"}]],
            reservation_id=reservation,
            created_at=now,
            updated_at=now,
            hostname=re.sub(r"[^a-z0-9-]+", "-", name.lower())[:63].strip("-") or "server",
            user_data=body.get("user_data"),
            config_drive="True" if body.get("config_drive") in (True, "True", "true") else "",
            tags=list(body.get("tags") or ()),
            scheduler_hints=dict(hints),
            server_groups=list(groups),
            wishes=wishes,
        )
        server.volumes = [self._held(call, server, device, index) for index, device in enumerate(devices)
                          if device["destination_type"] == "volume"]  # fmt: skip
        server.history.append(
            ActionRecord(
                action="create",
                request_id=call.request.request_id,
                user_id=call.token.user_id,
                started_at=self._world.fine_stamp(),
            )
        )
        self._servers.boot(server)
        return server

    def _flavor(self, body: Body) -> Flavor:
        ref = body.get("flavorRef")
        if ref is None:
            raise Refused(400, "Invalid input for field/attribute server. 'flavorRef' is a required property")
        flavor = self._catalog.flavors.get(str(ref).rsplit("/", 1)[-1])
        if flavor is None:
            raise Refused(400, f"Flavor {ref} could not be found.")
        return flavor

    def _image(self, call: Call, body: Body) -> Record | None:
        ref = body.get("imageRef")
        if not ref:
            return None
        image = self._images.images.get(str(ref).rsplit("/", 1)[-1])
        if image is None:
            raise Refused(400, "Can not find requested image")
        image = self._images.visible(call.token, image["id"])
        if image["status"] != "active":
            raise Refused(400, f"Image {image['id']} is not active.")
        return image

    # ---- networks

    def _wishes(self, call: Call, body: Body) -> tuple[PortWish, ...]:
        networks = body.get("networks")
        if networks is None:
            if call.minor >= 37:
                raise Refused(400, "Invalid input for field/attribute server. 'networks' is a required property")
            return self._available(call)
        if isinstance(networks, str):
            if call.minor < 37 or networks not in ("auto", "none"):
                raise Refused(400, f"Invalid input for field/attribute networks. Value: {networks}.")
            return () if networks == "none" else self._available(call, is_auto=True)
        if not isinstance(networks, list):
            raise Refused(400, f"Invalid input for field/attribute networks. Value: {networks!r:.100}.")
        return tuple(self._wish(call, wanted) for wanted in networks)

    def _wish(self, call: Call, wanted: Any) -> PortWish:
        if not isinstance(wanted, dict):
            raise Refused(400, f"Invalid input for field/attribute networks. Value: {wanted!r:.100}.")
        port_id = wanted.get("port")
        if port_id:
            port = self._network.records["port"].get(str(port_id))
            if port is None or not self._network.may_see(call.token, "port", port):
                raise Refused(400, f"Port id {port_id} could not be found.")
            if port["device_id"]:
                raise Refused(409, f"Port {port_id} is still in use.")
            return PortWish(port_id=str(port_id))
        network_id = str(wanted.get("uuid"))
        network = self._network.records["network"].get(network_id)
        if network is None or not self._network.may_see(call.token, "network", network):
            raise Refused(400, f"Network {network_id} could not be found.")
        if network["router:external"] and not network["shared"] and not call.token.is_admin:
            raise Refused(403, f"It is not allowed to create an interface on external network {network_id}")
        if not network["subnets"]:
            raise Refused(400, f"Network {network_id} requires a subnet in order to boot instances on.")
        return PortWish(network_id=network_id, fixed_ip=wanted.get("fixed_ip"))

    def _available(self, call: Call, *, is_auto: bool = False) -> tuple[PortWish, ...]:
        """The one network the project could mean: its own and the shared ones, as Nova counts them."""
        found = [
            network
            for network in self._network.records["network"].values()
            if network["project_id"] == call.token.project_id or network["shared"]
        ]
        if len(found) > 1:
            raise Refused(
                409,
                "Multiple possible networks found, use a Network ID to be more specific.",
            )
        if not found:
            if is_auto:
                raise Refused(400, "Unable to automatically allocate a network for project "
                                   f"{call.token.project_id}")  # fmt: skip
            return ()
        return (PortWish(network_id=found[0]["id"]),)

    # ---- volumes

    def _check_devices(self, call: Call, devices: list[Body]) -> None:
        for device in devices:
            source, ref = device["source_type"], device.get("uuid")
            if source == "volume":
                volume = self._volume(call, str(ref))
                if volume.status != "available":
                    raise Refused(
                        400,
                        f"Block Device Mapping is Invalid: failed to get volume {ref}.",
                    )
            elif source == "image":
                if str(ref) not in self._images.images:
                    raise Refused(400, f"Block Device Mapping is Invalid: failed to get image {ref}.")
            elif source == "snapshot":
                self._block_storage.snapshot(call.token.project_id, str(ref))

    def _volume(self, call: Call, volume_id: str) -> Volume:
        try:
            return self._block_storage.volume(call.token.project_id, volume_id)
        except Refused as refused:
            raise Refused(400, f"Block Device Mapping is Invalid: failed to get volume {volume_id}.") from refused

    def _held(self, call: Call, server: Server, device: Body, index: int) -> HeldVolume:
        source, ref = device["source_type"], str(device.get("uuid"))
        if source == "volume":
            volume = self._volume(call, ref)
        else:
            snapshot = self._block_storage.snapshots.get(ref) if source == "snapshot" else None
            volume = self._block_storage.create_volume(
                project_id=call.token.project_id,
                user_id=call.token.user_id,
                size_gb=int(device.get("volume_size") or (snapshot.size_gb if snapshot else 1)),
                name="",
                description="",
                kind=self._block_storage.type_named(device.get("volume_type")),
                snapshot_id=ref if snapshot else None,
                image=self._images.images.get(ref) if source == "image" else None,
            )
            # The server's own step puts the volume in place; it need not wait for the volume's.
            volume.step += 1
            volume.status = "available"
        self._block_storage.begin_attach(volume)
        return HeldVolume(
            volume_id=volume.id,
            device=str(device.get("device_name") or f"/dev/vd{chr(ord('a') + index % 26)}"),
            is_deleted_with_server=device.get("delete_on_termination") in (True, "True", "true", 1, "1"),
            attachment_id=self._world.uuid(),
            tag=device.get("tag"),
        )


def _devices(body: Body) -> list[Body]:
    """The block devices of a boot body, the legacy form brought into the newer one."""
    found: list[Body] = []
    for device in body.get("block_device_mapping_v2") or ():
        if not isinstance(device, dict) or device.get("source_type") not in ("volume", "image", "snapshot", "blank"):
            raise Refused(400, f"Invalid input for field/attribute source_type. Value: {device!r:.100}.")
        default = "volume" if device["source_type"] == "volume" else "local"
        found.append({**device, "destination_type": device.get("destination_type") or default})
    for index, device in enumerate(body.get("block_device_mapping") or ()):
        if not isinstance(device, dict):
            raise Refused(400, f"Invalid input for field/attribute block_device_mapping. Value: {device!r:.100}.")
        snapshot = device.get("snapshot_id")
        found.append(
            {
                **device,
                "uuid": snapshot or device.get("volume_id"),
                "source_type": "snapshot" if snapshot else "volume",
                "destination_type": "volume",
                "boot_index": 0 if index == 0 else -1,
            }
        )
    return found


def _check_fit(image: Record, flavor: Flavor) -> None:
    if flavor.ram_mb < (image["min_ram"] or 0):
        raise Refused(400, "Flavor's memory is too small for requested image.")
    if flavor.disk_gb and flavor.disk_gb < (image["min_disk"] or 0):
        raise Refused(
            400,
            f"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is "
            f"{flavor.disk_gb << 30} bytes, minimum size is {image['min_disk'] << 30} bytes.",
        )


def new_password(data: bytes) -> str:
    return base64.b64encode(data).decode().replace("+", "A").replace("/", "B")
