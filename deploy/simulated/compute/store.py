"""What Nova knows of servers, and how their states go by: BUILD to ACTIVE, deleting to gone, and the actions between.

Rules: pure. What takes time is noted on the agenda with the server's step number; a later change of the server makes
the note worthless, so that a server deleted while it builds never becomes ACTIVE. Ports are asked of Neutron's store and
volumes of Cinder's, as the real services ask each other.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from osbench.deploy.simulated.block_storage.store import BlockStorageStore
from osbench.deploy.simulated.compute.catalog import Flavor
from osbench.deploy.simulated.exchange import Refused
from osbench.deploy.simulated.network.store import NetworkStore
from osbench.deploy.simulated.world import World

#: The share of the build delay a server waits for its host, before its ports are made.
_SCHEDULING_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PortWish:
    """A network or a port a server shall be on."""

    network_id: str = ""
    port_id: str = ""
    fixed_ip: str | None = None


@dataclass(slots=True, kw_only=True)
class HeldVolume:
    """A volume of a server."""

    volume_id: str
    device: str
    is_deleted_with_server: bool
    attachment_id: str
    tag: str | None = None


@dataclass(slots=True, kw_only=True)
class ActionRecord:
    """One line of a server's history."""

    action: str
    request_id: str
    user_id: str
    started_at: str


@dataclass(slots=True, kw_only=True)
class Server:
    """A server.

    Attributes:
        status, vm_state, task_state, power_state: as the API shows them.
        step: grows with each change of state.
        addresses: network name to list of addresses, as the API shows them; made when the ports are.
        owned_ports: ids of ports that go with the server.
        old_flavor: what a resize not yet confirmed would revert to.
    """

    id: str
    number: int
    name: str
    project_id: str
    user_id: str
    flavor: Flavor
    image_id: str | None
    key_name: str | None
    metadata: dict[str, str]
    description: str | None
    availability_zone: str | None
    security_groups: list[str]
    reservation_id: str
    created_at: str
    updated_at: str
    hostname: str
    user_data: str | None = None
    config_drive: str = ""
    tags: list[str] = field(default_factory=list)
    scheduler_hints: dict[str, Any] = field(default_factory=dict)
    server_groups: list[str] = field(default_factory=list)
    wishes: tuple[PortWish, ...] = ()
    status: str = "BUILD"
    vm_state: str = "building"
    task_state: str | None = "scheduling"
    power_state: int = 0
    host: str | None = None
    launched_at: str | None = None
    progress: int = 0
    fault: dict[str, Any] | None = None
    is_locked: bool = False
    locked_reason: str | None = None
    addresses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    owned_ports: list[str] = field(default_factory=list)
    volumes: list[HeldVolume] = field(default_factory=list)
    old_flavor: Flavor | None = None
    history: list[ActionRecord] = field(default_factory=list)
    step: int = 0


@dataclass(slots=True)
class ServerStore:
    """All servers by id."""

    world: World
    network: NetworkStore
    block_storage: BlockStorageStore
    servers: dict[str, Server] = field(default_factory=dict)
    quotas: dict[str, dict[str, int]] = field(default_factory=dict)
    #: (project, resource) to what is used of it.
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    building: int = 0
    peak_building: int = 0
    _of_project: dict[str, dict[str, None]] = field(default_factory=dict)
    _numbers: int = 0

    # ---- quotas

    def limits(self, project_id: str) -> dict[str, int]:
        """The limits of a project; -1 is unlimited."""
        defaults: dict[str, int] = msgspec.structs.asdict(self.world.spec.quotas.compute)
        return {**defaults, **self.quotas.get(project_id, {})}

    def check_quota(self, project_id: str, flavor: Flavor, count: int) -> None:
        """Whether `count` more servers of a flavor fit.

        Raises:
            Refused: 403 with Nova's words (TooManyInstances).
        """
        limits = self.limits(project_id)
        wanted = {"cores": flavor.vcpus * count, "instances": count, "ram": flavor.ram_mb * count}
        over = [name for name, amount in wanted.items() if 0 <= limits[name] < self.used[project_id, name] + amount]
        if over:
            names = ", ".join(over)
            asked = ", ".join(str(wanted[name]) for name in over)
            used = ", ".join(str(self.used[project_id, name]) for name in over)
            allowed = ", ".join(str(limits[name]) for name in over)
            raise Refused(
                403,
                f"Quota exceeded for {names}: Requested {asked}, but already used {used} of {allowed} {names}",
            )

    def _use(self, server: Server, sign: int) -> None:
        self.used[server.project_id, "instances"] += sign
        self.used[server.project_id, "cores"] += sign * server.flavor.vcpus
        self.used[server.project_id, "ram"] += sign * server.flavor.ram_mb

    # ---- look-up

    def get(self, project_id: str | None, server_id: str) -> Server:
        """A server of a project (of any, when None).

        Raises:
            Refused: 404.
        """
        server = self.servers.get(server_id)
        if server is None or (project_id is not None and server.project_id != project_id):
            raise Refused(404, f"Instance {server_id} could not be found.")
        return server

    def of_project(self, project_id: str | None) -> list[Server]:
        """The servers of a project (of all, when None), newest first."""
        if project_id is None:
            return list(reversed(self.servers.values()))
        servers = self.servers
        return [servers[server_id] for server_id in reversed(self._of_project.get(project_id, {}))]

    # ---- boot

    def boot(self, server: Server) -> None:
        """Take a new server; it is scheduled after a fifth of its build delay and ACTIVE after all of it."""
        self._numbers += 1
        server.number = self._numbers
        self.servers[server.id] = server
        self._of_project.setdefault(server.project_id, {})[server.id] = None
        self._use(server, 1)
        self.building += 1
        self.peak_building = max(self.peak_building, self.building)
        server.step += 1
        step = server.step
        chances, now_ns = self.world.chances, self.world.now_ns()
        delay_ns = chances.delay_ns("server_build")
        is_error, is_stuck = chances.is_error("server_build"), chances.is_stuck("server_build")

        def scheduled(at_ns: int) -> None:
            if server.step != step:
                return
            server.host = f"rc-compute{server.number % self.world.spec.hypervisors + 1}"
            server.task_state = "spawning"
            server.updated_at = self.world.stamp(at_ns)
            try:
                self._plug(server)
            except Refused as refused:
                self._fail(server, at_ns, f"Build of instance {server.id} aborted: {refused.message}")
                return
            self._plug_volumes(server)
            if not is_stuck:
                self.world.agenda.note(now_ns + delay_ns, built)

        def built(at_ns: int) -> None:
            if server.step != step:
                return
            if is_error:
                self._fail(server, at_ns, "Exceeded maximum number of retries. Exhausted all hosts available for "
                                          f"retrying build failures for instance {server.id}.")  # fmt: skip
                return
            self.building -= 1
            server.launched_at = self.world.fine_stamp(at_ns)
            self._settle(server, at_ns, "ACTIVE", "active", 1)

        self.world.agenda.note(now_ns + int(delay_ns * _SCHEDULING_SHARE), scheduled)

    def _fail(self, server: Server, at_ns: int, message: str) -> None:
        if server.status == "BUILD":
            self.building -= 1
        server.fault = {"code": 500, "created": self.world.stamp(at_ns), "message": message}
        self._settle(server, at_ns, "ERROR", "error", 0)

    def _settle(self, server: Server, at_ns: int, status: str, vm_state: str, power_state: int) -> None:
        server.step += 1
        server.status, server.vm_state, server.power_state = status, vm_state, power_state
        server.task_state = None
        server.updated_at = self.world.stamp(at_ns)

    def _plug(self, server: Server) -> None:
        owner = {"device_id": server.id, "device_owner": "compute:nova", "host": server.host or ""}
        for wish in server.wishes:
            if wish.port_id:
                self.network.rebind_port(self.network.get("port", wish.port_id), **owner)
            else:
                self._create_port(server, wish)
        self.refresh_addresses(server)

    def _create_port(self, server: Server, wish: PortWish) -> dict[str, Any]:
        body: dict[str, Any] = {
            "network_id": wish.network_id,
            "device_id": server.id,
            "device_owner": "compute:nova",
            "binding:host_id": server.host,
        }
        if wish.fixed_ip is not None:
            body["fixed_ips"] = [{"ip_address": wish.fixed_ip}]
        port = self.network.create_port(server.project_id, body)
        server.owned_ports.append(port["id"])
        return port

    def refresh_addresses(self, server: Server) -> None:
        """Make the addresses anew from the server's ports."""
        server.addresses = {}
        for port in self.network.ports_of(server.id):
            name = self.network.get("network", port["network_id"])["name"]
            shown = server.addresses.setdefault(name, [])
            for fixed in port["fixed_ips"]:
                shown.append(
                    {
                        "version": 6 if ":" in fixed["ip_address"] else 4,
                        "addr": fixed["ip_address"],
                        "OS-EXT-IPS:type": "fixed",
                        "OS-EXT-IPS-MAC:mac_addr": port["mac_address"],
                    }
                )

    def plug_interface(self, server: Server, wish: PortWish) -> dict[str, Any]:
        """Attach a further port to a running server; the port."""
        if wish.port_id:
            port = self.network.get("port", wish.port_id)
            self.network.rebind_port(port, device_id=server.id, device_owner="compute:nova", host=server.host or "")
        else:
            port = self._create_port(server, wish)
        self.refresh_addresses(server)
        return port

    def unplug_interface(self, server: Server, port_id: str) -> None:
        """Take a port off a server; one Nova made goes with it."""
        port = self.network.get("port", port_id)
        if port_id in server.owned_ports:
            server.owned_ports.remove(port_id)
            self.network.delete_port(port_id)
        else:
            self.network.rebind_port(port, device_id="", device_owner="", host="")
        self.refresh_addresses(server)

    def _plug_volumes(self, server: Server) -> None:
        for held in server.volumes:
            volume = self.block_storage.volumes.get(held.volume_id)
            if volume is not None and volume.status in ("available", "reserved"):
                self.block_storage.attach(volume, server.id, held.device, server.host or "")

    # ---- the end

    def delete(self, server: Server) -> None:
        """Let a server go: task state `deleting` until its delay is over, then not found."""
        if server.task_state == "deleting":
            return
        server.step += 1
        step = server.step
        server.task_state = "deleting"
        server.updated_at = self.world.stamp()
        chances = self.world.chances
        is_error, is_stuck = chances.is_error("server_delete"), chances.is_stuck("server_delete")

        def gone(at_ns: int) -> None:
            if server.step != step:
                return
            if is_error:
                self._fail(server, at_ns, "Failed to terminate the instance")
                return
            self._remove(server)

        if not is_stuck:
            self.world.agenda.note(self.world.now_ns() + chances.delay_ns("server_delete"), gone)

    def _remove(self, server: Server) -> None:
        if server.status == "BUILD":
            self.building -= 1
        for port in self.network.ports_of(server.id):
            if port["id"] in server.owned_ports:
                self.network.delete_port(port["id"])
            else:
                self.network.rebind_port(port, device_id="", device_owner="", host="")
        for held in server.volumes:
            volume = self.block_storage.volumes.get(held.volume_id)
            if volume is None:
                continue
            self.block_storage.detach(volume, server.id, is_at_once=True)
            if held.is_deleted_with_server and not volume.attachments:
                self.block_storage.delete_volume(volume, is_forced=True)
        self._use(server, -1)
        del self.servers[server.id]
        mine = self._of_project[server.project_id]
        del mine[server.id]
        if not mine:
            del self._of_project[server.project_id]

    # ---- between

    def transit(
        self,
        server: Server,
        *,
        operation: str,
        during: str | None,
        task_state: str,
        after: tuple[str, str, int],
        then: Callable[[], None] | None = None,
    ) -> None:
        """Let a server go from its state to another over the delay of `operation`.

        Args:
            during: the status shown meanwhile; None keeps the present one.
            after: status, vm_state and power_state it ends in.
            then: run when it has arrived.
        """
        server.step += 1
        step = server.step
        server.task_state = task_state
        if during is not None:
            server.status = during
        server.updated_at = self.world.stamp()
        chances = self.world.chances
        is_error, is_stuck = chances.is_error(operation), chances.is_stuck(operation)

        def arrived(at_ns: int) -> None:
            if server.step != step:
                return
            if is_error:
                self._fail(server, at_ns, f"The operation {task_state} failed")
                return
            self._settle(server, at_ns, *after)
            if then is not None:
                then()

        if not is_stuck:
            self.world.agenda.note(self.world.now_ns() + chances.delay_ns(operation), arrived)

    def set_flavor(self, server: Server, flavor: Flavor) -> None:
        """Give a server another flavor; the quota's use follows."""
        self._use(server, -1)
        server.flavor = flavor
        self._use(server, 1)
