"""What a simulated cloud is made of: a YAML or JSON file, validated into a SimulationSpec.

Rules: every key has a default, so that an empty file is a good one; an unknown key, a wrong type or a number out of
bounds is refused with its place, the bound and the cure, before anything listens.

Usage, every key shown with its default unless said otherwise:

    seed: 1                         # of ids, delays, failures and faults
    region: RegionOne
    admin: {name: admin, password: secret, project: admin}    # has the role admin
    users:                          # further accounts; default: demo/secret in demo
      - {name: demo, password: secret, project: demo, roles: [member, reader]}
    token_lifetime_s: 3600
    hypervisors: 2                  # named rc-compute1, rc-compute2, …
    flavors:                        # default: m1.tiny, m1.small, m1.medium, m1.nano
      - {id: "1", name: m1.tiny, ram_mb: 512, vcpus: 1, disk_gb: 1}
    images: [{name: cirros-0.6.2-x86_64-disk, size_bytes: 2048}]
    networks:                       # default: shared (10.32.0.0/12) and the external public
      - {name: shared, cidr: 10.32.0.0/12, is_shared: true, is_external: false}
    volume_types: [fake]
    quotas:                         # per project; -1 is unlimited, which is the default of all
      compute: {instances: -1, cores: -1, ram: -1, key_pairs: -1, server_groups: -1}
      block_storage: {volumes: -1, gigabytes: -1, snapshots: -1}
      network: {network: -1, subnet: -1, port: -1, router: -1, floatingip: -1, security_group: -1}
    delays:                         # how long an operation takes; a kind each:
      server_build: {kind: constant, seconds: 0.2}
      server_delete: {kind: uniform, low_s: 0.1, high_s: 0.3}
      volume_create: {kind: exponential, mean_s: 0.2, floor_s: 0.05}
      volume_delete: {kind: lognormal, median_s: 0.2, sigma: 0.5}
    errors: {server_build: 0.01}    # probability that the operation ends in an error state; default: none
    stuck: {server_build: 0.001}    # probability that it never ends; default: none
    control_token: TEXT             # opens the control path /_osbench; default: closed
    faults:                         # see faults.py; tried in order, the first that fires wins
      - name: slow-lists            # default: fault-<n>
        service: compute            # identity, compute, image, network, block-storage; default: any
        method: GET                 # default: any
        path: "/servers/detail$"    # regular expression searched for in the path; default: any
        probability: 0.1            # or every: 10 (each tenth), or first: 3 (the first three); default: always
        then: {kind: latency, delay: {kind: exponential, mean_s: 1.0}}
      - {method: POST, every: 20, then: {kind: status, status: 500, body: "{}"}}
      - {then: {kind: status, status: 429, retry_after_s: 2}, first: 5}
      - {then: {kind: hang, limit_s: 60}, probability: 0.001}
      - {then: {kind: cut, after_bytes: 20}, probability: 0.001}     # closes in the middle of the body
      - {then: {kind: reset}, probability: 0.001}                    # RST after the request was read and done
      - {then: {kind: expire_token}, probability: 0.001}             # the caller's token is revoked: 401

Operations that `delays`, `errors` and `stuck` may name: see OPERATIONS.
"""

import difflib
import ipaddress
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from osbench.common.error import InputError
from osbench.deploy.simulated.delays import Constant, Delay, delay_problem
from osbench.deploy.simulated.faults import FaultRule, fault_problem

#: A configuration file larger than this is none, bytes.
MAX_CONFIG_BYTES = 1_000_000
MAX_HYPERVISORS = 1_000

OPERATIONS = (
    "server_build",
    "server_delete",
    "server_action",
    "server_resize",
    "volume_create",
    "volume_delete",
    "volume_attach",
    "volume_detach",
    "volume_extend",
    "snapshot_create",
    "snapshot_delete",
    "backup_create",
    "backup_delete",
    "image_upload",
)

DEFAULT_DELAYS: dict[str, Delay] = {
    "server_build": Constant(seconds=0.2),
    "server_delete": Constant(seconds=0.1),
    "server_action": Constant(seconds=0.1),
    "server_resize": Constant(seconds=0.2),
    "volume_create": Constant(seconds=0.1),
    "volume_delete": Constant(seconds=0.1),
    "volume_attach": Constant(seconds=0.1),
    "volume_detach": Constant(seconds=0.1),
    "volume_extend": Constant(seconds=0.1),
    "snapshot_create": Constant(seconds=0.1),
    "snapshot_delete": Constant(seconds=0.1),
    "backup_create": Constant(seconds=0.1),
    "backup_delete": Constant(seconds=0.1),
    # Glance answers an upload only when the data are stored.
    "image_upload": Constant(seconds=0.0),
}


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece of the configuration: unknown keys are refused."""


class AdminSpec(_Part, frozen=True, kw_only=True):
    """The account with the role admin, on its project and on the system."""

    name: str = "admin"
    password: str = "secret"
    project: str = "admin"


class UserSpec(_Part, frozen=True, kw_only=True):
    """A further account with roles on a project of its own."""

    name: str
    password: str
    project: str
    roles: tuple[str, ...] = ("member", "reader")


class FlavorSpec(_Part, frozen=True, kw_only=True):
    """A public flavor."""

    id: str
    name: str
    ram_mb: int
    vcpus: int
    disk_gb: int


class ImageSpec(_Part, frozen=True, kw_only=True):
    """A public, active image."""

    name: str
    size_bytes: int = 2048


class NetworkSpec(_Part, frozen=True, kw_only=True):
    """A network of the admin's project with one subnet."""

    name: str
    cidr: str
    is_shared: bool = False
    is_external: bool = False


class ComputeQuota(_Part, frozen=True, kw_only=True):
    """Nova's limits of a project; -1 is unlimited."""

    instances: int = -1
    cores: int = -1
    ram: int = -1
    key_pairs: int = -1
    server_groups: int = -1
    server_group_members: int = -1
    metadata_items: int = 128


class BlockStorageQuota(_Part, frozen=True, kw_only=True):
    """Cinder's limits of a project; -1 is unlimited."""

    volumes: int = -1
    gigabytes: int = -1
    snapshots: int = -1
    per_volume_gigabytes: int = -1
    backups: int = -1
    backup_gigabytes: int = -1
    groups: int = -1


class NetworkQuota(_Part, frozen=True, kw_only=True):
    """Neutron's limits of a project; -1 is unlimited."""

    network: int = -1
    subnet: int = -1
    port: int = -1
    router: int = -1
    floatingip: int = -1
    security_group: int = -1
    security_group_rule: int = -1
    rbac_policy: int = -1
    subnetpool: int = -1
    router_route: int = 30


class QuotaSpec(_Part, frozen=True, kw_only=True):
    """The limits every project starts with."""

    compute: ComputeQuota = ComputeQuota()
    block_storage: BlockStorageQuota = BlockStorageQuota()
    network: NetworkQuota = NetworkQuota()


class SimulationSpec(_Part, frozen=True, kw_only=True):
    """All that a simulated cloud is made of; the module's docstring shows each key."""

    seed: int = 1
    region: str = "RegionOne"
    admin: AdminSpec = AdminSpec()
    users: tuple[UserSpec, ...] = (UserSpec(name="demo", password="secret", project="demo"),)
    token_lifetime_s: float = 3_600.0
    hypervisors: int = 2
    flavors: tuple[FlavorSpec, ...] = (
        FlavorSpec(id="1", name="m1.tiny", ram_mb=512, vcpus=1, disk_gb=1),
        FlavorSpec(id="2", name="m1.small", ram_mb=2048, vcpus=1, disk_gb=20),
        FlavorSpec(id="3", name="m1.medium", ram_mb=4096, vcpus=2, disk_gb=40),
        FlavorSpec(id="42", name="m1.nano", ram_mb=64, vcpus=1, disk_gb=0),
    )
    images: tuple[ImageSpec, ...] = (ImageSpec(name="cirros-0.6.2-x86_64-disk"),)
    networks: tuple[NetworkSpec, ...] = (
        NetworkSpec(name="shared", cidr="10.32.0.0/12", is_shared=True),
        NetworkSpec(name="public", cidr="172.24.0.0/16", is_external=True),
    )
    volume_types: tuple[str, ...] = ("fake",)
    quotas: QuotaSpec = QuotaSpec()
    delays: dict[str, Delay] = {}
    errors: dict[str, float] = {}
    stuck: dict[str, float] = {}
    control_token: str = ""
    faults: tuple[FaultRule, ...] = ()


def read_spec(path: Path) -> SimulationSpec:
    """The cloud a YAML or JSON file describes.

    Raises:
        InputError: the file cannot be read, is too large, or does not fit; the message names place and cure.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise InputError(f"{path}: {len(data)} bytes; a configuration has at most {MAX_CONFIG_BYTES}")
    try:
        document = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    try:
        return make_spec({} if document is None else document)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def make_spec(document: Any) -> SimulationSpec:
    """The cloud a plain document describes, defaults filled in.

    Raises:
        InputError: it does not fit.
    """
    try:
        spec = msgspec.convert(document, SimulationSpec)
    except msgspec.ValidationError as error:
        raise InputError(_explained(str(error))) from error
    _check(spec)
    return msgspec.structs.replace(spec, delays={**DEFAULT_DELAYS, **spec.delays})


def make_faults(document: Any) -> tuple[FaultRule, ...]:
    """The fault rules of a plain list.

    Raises:
        InputError: they do not fit.
    """
    try:
        rules = msgspec.convert(document, tuple[FaultRule, ...])
    except msgspec.ValidationError as error:
        raise InputError(f"faults: {_explained(str(error))}") from error
    _check_faults(rules)
    return rules


def _check(spec: SimulationSpec) -> None:
    for operation, delay in spec.delays.items():
        _check_operation("delays", operation)
        if problem := delay_problem(delay):
            raise InputError(f"delays.{operation}: {problem}")
    for table, chances in (("errors", spec.errors), ("stuck", spec.stuck)):
        for operation, probability in chances.items():
            _check_operation(table, operation)
            if not 0 <= probability <= 1:
                raise InputError(f"{table}.{operation} is {probability}: a probability lies within 0 … 1")
    if not 0 < spec.token_lifetime_s <= 31_536_000:
        raise InputError(f"token_lifetime_s is {spec.token_lifetime_s}: it must be above 0 and at most a year")
    if not 1 <= spec.hypervisors <= MAX_HYPERVISORS:
        raise InputError(f"hypervisors is {spec.hypervisors}: it must lie within 1 … {MAX_HYPERVISORS}")
    for index, network in enumerate(spec.networks):
        try:
            ipaddress.ip_network(network.cidr)
        except ValueError as error:
            raise InputError(f"networks[{index}].cidr is {network.cidr!r}: {error}") from error
    _check_faults(spec.faults)


def _check_operation(table: str, operation: str) -> None:
    if operation not in OPERATIONS:
        near = difflib.get_close_matches(operation, OPERATIONS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{table}.{operation}: no such operation{hint} (known: {', '.join(OPERATIONS)})")


def _check_faults(rules: tuple[FaultRule, ...]) -> None:
    for index, rule in enumerate(rules):
        if problem := fault_problem(rule):
            raise InputError(f"faults[{index}]: {problem}")


def _explained(message: str) -> str:
    """msgspec's message with the nearest known key, where it is about an unknown one."""
    found = re.search(r"unknown field `([^`]*)`", message)
    if not found:
        return message
    known = sorted({name for part in _parts() for name in part.__struct_fields__})
    near = difflib.get_close_matches(found.group(1), known, n=1)
    return f"{message}; did you mean {near[0]}?" if near else message


def _parts() -> tuple[type[msgspec.Struct], ...]:
    return (
        SimulationSpec,
        AdminSpec,
        UserSpec,
        FlavorSpec,
        ImageSpec,
        NetworkSpec,
        QuotaSpec,
        ComputeQuota,
        BlockStorageQuota,
        NetworkQuota,
        FaultRule,
    )
