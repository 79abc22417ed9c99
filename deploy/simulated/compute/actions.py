"""POST /servers/{id}/action: what each action needs and does.

Rules: the simple actions are a table (what state they need, what they show meanwhile, where they end); the others are
methods. A locked server refuses its owner; a server in a task refuses nearly all.
"""

from collections.abc import Callable
from dataclasses import dataclass

from osbench.deploy.simulated.compute import views
from osbench.deploy.simulated.compute.boot import new_password
from osbench.deploy.simulated.compute.catalog import Catalog
from osbench.deploy.simulated.compute.store import ActionRecord, Server, ServerStore
from osbench.deploy.simulated.exchange import Answer, Body, Refused, json_answer, json_body
from osbench.deploy.simulated.image.store import ImageStore
from osbench.deploy.simulated.service import Call
from osbench.deploy.simulated.world import World

_ACTIVE = ("ACTIVE", "active", 1)
_SHUTOFF = ("SHUTOFF", "stopped", 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simple:
    """An action that is only a way from states to a state.

    Attributes:
        word: as error messages and the history name it.
        needs: vm_states it may start from.
        during: the status shown meanwhile; None keeps the present one.
        after: status, vm_state, power_state at the end.
    """

    word: str
    needs: tuple[str, ...]
    task_state: str
    after: tuple[str, str, int]
    during: str | None = None
    is_admin: bool = False
    operation: str = "server_action"


SIMPLE: dict[str, Simple] = {
    "os-start": Simple(word="start", needs=("stopped",), task_state="powering-on", after=_ACTIVE),
    "os-stop": Simple(word="stop", needs=("active", "error"), task_state="powering-off", after=_SHUTOFF),
    "pause": Simple(word="pause", needs=("active",), task_state="pausing", after=("PAUSED", "paused", 3)),
    "unpause": Simple(word="unpause", needs=("paused",), task_state="unpausing", after=_ACTIVE),
    "suspend": Simple(word="suspend", needs=("active",), task_state="suspending", after=("SUSPENDED", "suspended", 4)),
    "resume": Simple(word="resume", needs=("suspended",), task_state="resuming", after=_ACTIVE),
    "unrescue": Simple(word="unrescue", needs=("rescued",), task_state="unrescuing", after=_ACTIVE),
    "shelve": Simple(
        word="shelve",
        needs=("active", "stopped", "paused", "suspended"),
        task_state="shelving",
        after=("SHELVED_OFFLOADED", "shelved_offloaded", 4),
    ),
    "shelveOffload": Simple(
        word="shelve_offload",
        needs=("shelved",),
        task_state="shelving_offloading",
        after=("SHELVED_OFFLOADED", "shelved_offloaded", 4),
    ),
    "unshelve": Simple(word="unshelve", needs=("shelved", "shelved_offloaded"), task_state="unshelving", after=_ACTIVE),
    "os-migrateLive": Simple(
        word="os-migrateLive",
        needs=("active", "paused"),
        task_state="migrating",
        during="MIGRATING",
        after=_ACTIVE,
        is_admin=True,
        operation="server_resize",
    ),
}
_REBOOTABLE = ("active", "stopped", "paused", "suspended", "error")


class Actions:
    """Does the actions of servers."""

    def __init__(self, world: World, servers: ServerStore, catalog: Catalog, images: ImageStore) -> None:
        self._world = world
        self._servers = servers
        self._catalog = catalog
        self._images = images
        self._others: dict[str, Callable[[Call, Server, Body], Answer]] = {
            "reboot": self._reboot,
            "rescue": self._rescue,
            "lock": self._lock,
            "unlock": self._unlock,
            "resize": self._resize,
            "migrate": self._migrate,
            "confirmResize": self._confirm_resize,
            "revertResize": self._revert_resize,
            "rebuild": self._rebuild,
            "createImage": self._create_image,
            "forceDelete": self._force_delete,
            "restore": self._restore,
            "changePassword": self._change_password,
            "os-resetState": self._reset_state,
            "os-getConsoleOutput": self._console_output,
            "addSecurityGroup": self._add_security_group,
            "removeSecurityGroup": self._remove_security_group,
        }

    def act(self, call: Call) -> Answer:
        """POST /servers/{id}/action."""
        server = self._servers.get(None if call.token.is_admin else call.token.project_id, call.params[0])
        document = json_body(call.request)
        names = [name for name in document if name in SIMPLE or name in self._others]
        if len(names) != 1:
            raise Refused(400, f"There is no such action: {', '.join(document) or 'none'}")
        name = names[0]
        argument = document[name]
        answer: Answer | None = None
        self._check_lock(call, server, name)
        if name in SIMPLE:
            self._simple(call, server, SIMPLE[name])
        else:
            answer = self._others[name](call, server, argument if isinstance(argument, dict) else {})
        server.history.append(
            ActionRecord(
                action=SIMPLE[name].word if name in SIMPLE else name,
                request_id=call.request.request_id,
                user_id=call.token.user_id,
                started_at=self._world.fine_stamp(),
            )
        )
        return answer or Answer(status=202)

    def _check_lock(self, call: Call, server: Server, name: str) -> None:
        if server.is_locked and not call.token.is_admin and name not in ("lock", "unlock", "os-getConsoleOutput"):
            raise Refused(409, f"Instance {server.id} is locked")

    def _need(self, server: Server, word: str, vm_states: tuple[str, ...]) -> None:
        if server.task_state is not None:
            raise _conflict(server, word, "task_state", server.task_state)
        if server.vm_state not in vm_states:
            raise _conflict(server, word, "vm_state", server.vm_state)

    def _simple(self, call: Call, server: Server, action: Simple) -> None:
        if action.is_admin and not call.token.is_admin:
            raise Refused(403, f"Policy doesn't allow os_compute_api:{action.word} to be performed.")
        self._need(server, action.word, action.needs)
        self._servers.transit(
            server,
            operation=action.operation,
            during=action.during,
            task_state=action.task_state,
            after=action.after,
        )

    def _reboot(self, call: Call, server: Server, body: Body) -> Answer:
        kind = str(body.get("type", "")).upper()
        if kind not in ("SOFT", "HARD"):
            raise Refused(400, f"Invalid input for field/attribute type. Value: {body.get('type')}.")
        self._need(server, "reboot", ("active",) if kind == "SOFT" else _REBOOTABLE)
        during, task_state = ("REBOOT", "rebooting") if kind == "SOFT" else ("HARD_REBOOT", "rebooting_hard")
        self._servers.transit(server, operation="server_action", during=during, task_state=task_state, after=_ACTIVE)
        return Answer(status=202)

    def _rescue(self, call: Call, server: Server, body: Body) -> Answer:
        self._need(server, "rescue", ("active", "stopped", "error"))
        self._servers.transit(
            server,
            operation="server_action",
            during=None,
            task_state="rescuing",
            after=("RESCUE", "rescued", 1),
        )
        return json_answer(200, {"adminPass": body.get("adminPass") or new_password(self._world.entropy(9))})

    def _lock(self, call: Call, server: Server, body: Body) -> Answer:
        server.is_locked = True
        server.locked_reason = body.get("locked_reason")
        return Answer(status=202)

    def _unlock(self, call: Call, server: Server, body: Body) -> Answer:
        server.is_locked, server.locked_reason = False, None
        return Answer(status=202)

    def _resize(self, call: Call, server: Server, body: Body) -> Answer:
        flavor = self._catalog.flavors.get(str(body.get("flavorRef")))
        if flavor is None:
            raise Refused(400, f"Flavor {body.get('flavorRef')} could not be found.")
        if flavor.id == server.flavor.id:
            raise Refused(400, "When resizing, instances must change flavor!")
        self._need(server, "resize", ("active", "stopped"))
        self._begin_resize(server)
        self._servers.set_flavor(server, flavor)
        return Answer(status=202)

    def _migrate(self, call: Call, server: Server, body: Body) -> Answer:
        if not call.token.is_admin:
            raise Refused(403, "Policy doesn't allow os_compute_api:os-migrate-server:migrate to be performed.")
        self._need(server, "migrate", ("active", "stopped"))
        self._begin_resize(server)
        return Answer(status=202)

    def _begin_resize(self, server: Server) -> None:
        server.old_flavor = server.flavor
        self._servers.transit(
            server,
            operation="server_resize",
            during="RESIZE",
            task_state="resize_prep",
            after=("VERIFY_RESIZE", "resized", server.power_state),
        )

    def _confirm_resize(self, call: Call, server: Server, body: Body) -> Answer:
        self._need(server, "confirmResize", ("resized",))
        after = _SHUTOFF if server.power_state == 4 else _ACTIVE
        self._servers.transit(
            server, operation="server_action", during=None, task_state="resize_confirming", after=after
        )
        server.old_flavor = None
        return Answer(status=204)

    def _revert_resize(self, call: Call, server: Server, body: Body) -> Answer:
        self._need(server, "revertResize", ("resized",))
        old = server.old_flavor
        after = _SHUTOFF if server.power_state == 4 else _ACTIVE
        self._servers.transit(
            server,
            operation="server_resize",
            during="REVERT_RESIZE",
            task_state="resize_reverting",
            after=after,
        )
        if old is not None:
            self._servers.set_flavor(server, old)
        server.old_flavor = None
        return Answer(status=202)

    def _rebuild(self, call: Call, server: Server, body: Body) -> Answer:
        image_id = str(body.get("imageRef", "")).rsplit("/", 1)[-1]
        if image_id not in self._images.images:
            raise Refused(400, "Cannot find image for rebuild")
        self._need(server, "rebuild", ("active", "stopped", "error"))
        if "name" in body:
            server.name = str(body["name"])
        if "metadata" in body:
            server.metadata = dict(body["metadata"])
        server.image_id = image_id
        after = _SHUTOFF if server.vm_state == "stopped" else _ACTIVE
        self._servers.transit(server, operation="server_build", during="REBUILD", task_state="rebuilding", after=after)
        view = views.detailed(server, call.base, call.minor, is_admin=call.token.is_admin)
        view = view if call.minor >= 75 else views.short(view)
        view["adminPass"] = body.get("adminPass") or new_password(self._world.entropy(9))
        location = f"{call.base}/v2.1/servers/{server.id}"
        return json_answer(202, {"server": view}, ("Location", location))

    def _create_image(self, call: Call, server: Server, body: Body) -> Answer:
        self._need(server, "createImage", ("active", "stopped", "paused", "suspended"))
        name = body.get("name")
        if not isinstance(name, str) or not name:
            raise Refused(400, "Invalid input for field/attribute createImage. 'name' is a required property")
        metadata = {str(key): value for key, value in (body.get("metadata") or {}).items()}
        record = self._images.create(
            server.project_id,
            {
                **metadata,
                "name": name,
                "visibility": "private",
                "disk_format": "qcow2",
                "container_format": "bare",
                "instance_uuid": server.id,
                "image_type": "snapshot",
            },
        )
        after = (server.status, server.vm_state, server.power_state)
        self._servers.transit(
            server,
            operation="server_action",
            during=None,
            task_state="image_snapshot",
            after=after,
            then=lambda: self._images.fill(record, server.id.encode()),
        )
        if call.minor >= 45:
            return json_answer(202, {"image_id": record["id"]})
        return Answer(status=202, headers=[("Location", f"{call.request.origin}/image/v2/images/{record['id']}")])

    def _force_delete(self, call: Call, server: Server, body: Body) -> Answer:
        self._servers.delete(server)
        return Answer(status=202)

    def _restore(self, call: Call, server: Server, body: Body) -> Answer:
        raise _conflict(server, "restore", "vm_state", server.vm_state)

    def _change_password(self, call: Call, server: Server, body: Body) -> Answer:
        self._need(server, "changePassword", ("active",))
        return Answer(status=202)

    def _reset_state(self, call: Call, server: Server, body: Body) -> Answer:
        if not call.token.is_admin:
            raise Refused(403, "Policy doesn't allow os_compute_api:os-admin-actions:reset_state to be performed.")
        state = body.get("state")
        if state not in ("active", "error"):
            raise Refused(400, f"Invalid input for field/attribute state. Value: {state}.")
        server.step += 1
        server.task_state = None
        server.status, server.vm_state = state.upper(), state
        return Answer(status=202)

    def _console_output(self, call: Call, server: Server, body: Body) -> Answer:
        return json_answer(200, {"output": "FAKE CONSOLE OUTPUT\nANOTHER\nLAST LINE"})

    def _add_security_group(self, call: Call, server: Server, body: Body) -> Answer:
        server.security_groups.append(str(body.get("name")))
        return Answer(status=202)

    def _remove_security_group(self, call: Call, server: Server, body: Body) -> Answer:
        name = str(body.get("name"))
        if name not in server.security_groups:
            raise Refused(404, f"Security group {name} not associated with the instance {server.id}")
        server.security_groups.remove(name)
        return Answer(status=202)


def _conflict(server: Server, word: str, attribute: str, state: str) -> Refused:
    return Refused(409, f"Cannot '{word}' instance {server.id} while it is in {attribute} {state}")
