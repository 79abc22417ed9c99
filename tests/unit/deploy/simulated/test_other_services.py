"""Glance, Neutron and Cinder: states, tenancy, quotas and error bodies."""

from typing import Any

import pytest
from cloud_driver import Driver, as_demo, drive

from osbench.deploy.simulated.network.addresses import AddressPool


def project(driver: Driver, name: str) -> str:
    return driver.cloud.identity.project_id(name)


# ---- images


def test_an_image_is_queued_until_its_data_are_there() -> None:
    demo = as_demo(drive(delays={"image_upload": {"kind": "constant", "seconds": 2}}))
    made = demo.call("POST", "/image/v2/images", {"name": "i", "disk_format": "raw", "visibility": "private"}).body
    path = f"/image/v2/images/{made['id']}"
    seen = [made["status"]]
    assert demo.call("PUT", path + "/file", b"x" * 10).status == 204
    seen.append(demo.call("GET", path).body["status"])
    demo.wait(2)
    image = demo.call("GET", path).body

    assert [*seen, image["status"]] == ["queued", "saving", "active"]
    assert image["size"] == 10


def test_a_private_image_is_its_projects_own_and_a_public_one_the_admins_to_make() -> None:
    admin = drive()
    demo = as_demo(admin)
    secret = admin.call("POST", "/image/v2/images", {"name": "p", "visibility": "private"}).body["id"]

    assert demo.call("GET", f"/image/v2/images/{secret}").status == 404
    assert demo.call("POST", "/image/v2/images", {"name": "p", "visibility": "public"}).status == 403
    assert demo.call("DELETE", f"/image/v2/images/{demo.image()}").status == 403


def test_an_image_error_is_json_or_html_as_the_caller_accepts() -> None:
    driver = drive()
    plain = driver.call("GET", "/image/v2/images/x")
    page = driver.call("GET", "/image/v2/images/x", Accept="*/*")

    assert plain.body["code"] == "404 Not Found"
    assert page.headers["Content-Type"].startswith("text/html")


# ---- networks


def test_a_project_sees_its_own_and_shared_networks_only() -> None:
    admin = drive()
    demo = as_demo(admin)
    admin.call("POST", "/network/v2.0/networks", {"network": {"name": "admin's"}})
    demo.call("POST", "/network/v2.0/networks", {"network": {"name": "demo's"}})
    names = {network["name"] for network in demo.call("GET", "/network/v2.0/networks").body["networks"]}

    assert names == {"shared", "public", "demo's"}
    assert demo.call("POST", "/network/v2.0/networks", {"network": {"name": "n", "shared": True}}).status == 403


def test_a_network_in_use_stays_and_its_quota_counts() -> None:
    demo = as_demo(drive(quotas={"network": {"network": 1}}))
    network = demo.call("POST", "/network/v2.0/networks", {"network": {"name": "n"}}).body["network"]["id"]
    subnet = {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/29"}}
    assert demo.call("POST", "/network/v2.0/subnets", subnet).status == 201
    port = demo.call("POST", "/network/v2.0/ports", {"port": {"network_id": network}}).body["port"]
    busy = demo.call("DELETE", f"/network/v2.0/networks/{network}")
    over = demo.call("POST", "/network/v2.0/networks", {"network": {"name": "m"}})
    demo.call("DELETE", f"/network/v2.0/ports/{port['id']}")

    assert busy.status == 409
    assert busy.body["NeutronError"]["type"] == "NetworkInUse"
    assert over.status == 409
    assert over.body["NeutronError"]["message"] == "Quota exceeded for resources: ['network']."
    assert demo.call("DELETE", f"/network/v2.0/networks/{network}").status == 204
    assert demo.call("POST", "/network/v2.0/networks", {"network": {"name": "m"}}).status == 201


def test_addresses_are_given_once_each_until_none_is_left_and_again_when_given_back() -> None:
    pool = AddressPool(4, [(10, 11), (20, 20)], "n")
    taken = [pool.take() for _ in range(3)]
    pool.give_back(taken[1])

    assert taken == ["0.0.0.10", "0.0.0.11", "0.0.0.20"]
    assert pool.take() == "0.0.0.11"


def test_a_router_connects_a_subnet_and_cannot_go_while_it_does() -> None:
    demo = as_demo(drive())
    network = demo.call("POST", "/network/v2.0/networks", {"network": {"name": "n"}}).body["network"]["id"]
    body = {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}}
    subnet = demo.call("POST", "/network/v2.0/subnets", body).body["subnet"]["id"]
    router = demo.call("POST", "/network/v2.0/routers", {"router": {"name": "r"}}).body["router"]["id"]
    path = f"/network/v2.0/routers/{router}"
    added = demo.call("PUT", path + "/add_router_interface", {"subnet_id": subnet})
    busy = demo.call("DELETE", path)
    removed = demo.call("PUT", path + "/remove_router_interface", {"subnet_id": subnet})

    assert (added.status, busy.status, removed.status) == (200, 409, 200)
    assert demo.call("DELETE", path).status == 204
    assert demo.call("DELETE", f"/network/v2.0/networks/{network}").status == 204


def test_a_floating_address_follows_its_port_and_returns_to_the_pool() -> None:
    demo = as_demo(drive())
    networks = demo.call("GET", "/network/v2.0/networks").body["networks"]
    ids = {network["name"]: network["id"] for network in networks}
    port = demo.call("POST", "/network/v2.0/ports", {"port": {"network_id": ids["shared"]}}).body["port"]
    body = {"floatingip": {"floating_network_id": ids["public"], "port_id": port["id"]}}
    floating = demo.call("POST", "/network/v2.0/floatingips", body).body["floatingip"]
    demo.call("DELETE", f"/network/v2.0/ports/{port['id']}")
    path = f"/network/v2.0/floatingips/{floating['id']}"
    after = demo.call("GET", path).body["floatingip"]

    assert floating["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert after["port_id"] is None
    assert demo.call("DELETE", path).status == 204


# ---- volumes


def volumes(driver: Driver, name: str = "demo") -> str:
    return f"/block-storage/v3/{project(driver, name)}"


def make_volume(driver: Driver, **wanted: Any) -> str:
    body = {"volume": {"size": 1, "name": "v", **wanted}}
    return str(driver.call("POST", volumes(driver) + "/volumes", body).body["volume"]["id"])


def test_a_volume_is_creating_available_deleting_and_gone() -> None:
    demo = as_demo(drive())
    path = f"{volumes(demo)}/volumes/{make_volume(demo)}"
    seen = [demo.call("GET", path).body["volume"]["status"]]
    demo.wait(1)
    seen.append(demo.call("GET", path).body["volume"]["status"])
    assert demo.call("DELETE", path).status == 202
    seen.append(demo.call("GET", path).body["volume"]["status"])
    demo.wait(1)

    assert seen == ["creating", "available", "deleting"]
    assert demo.call("GET", path).status == 404


def test_an_attached_volume_is_in_use_and_free_when_its_server_is_gone() -> None:
    demo = as_demo(drive())
    server = demo.boot().body["server"]["id"]
    volume = make_volume(demo)
    demo.wait(1)
    attach = {"volumeAttachment": {"volumeId": volume}}
    assert demo.call("POST", f"/compute/v2.1/servers/{server}/os-volume_attachments", attach).status == 200
    demo.wait(1)
    path = f"{volumes(demo)}/volumes/{volume}"
    during = demo.call("GET", path).body["volume"]
    refused = demo.call("DELETE", path)
    demo.call("DELETE", f"/compute/v2.1/servers/{server}")
    demo.wait(1)

    assert during["status"] == "in-use"
    assert [held["server_id"] for held in during["attachments"]] == [server]
    assert refused.status == 400
    assert demo.call("GET", path).body["volume"]["status"] == "available"


def test_a_server_boots_from_a_new_volume_that_goes_with_it() -> None:
    demo = as_demo(drive())
    device = {
        "boot_index": 0,
        "uuid": demo.image(),
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": 1,
        "delete_on_termination": True,
    }
    server = demo.boot(imageRef="", block_device_mapping_v2=[device]).body["server"]["id"]
    demo.wait(1)
    during = demo.call("GET", volumes(demo) + "/volumes/detail").body["volumes"]
    demo.call("DELETE", f"/compute/v2.1/servers/{server}")
    demo.wait(1)
    demo.wait(1)

    assert [volume["status"] for volume in during] == ["in-use"]
    assert demo.call("GET", volumes(demo) + "/volumes").body["volumes"] == []


def test_a_volume_with_a_snapshot_stays_and_quotas_are_413() -> None:
    demo = as_demo(drive(quotas={"block_storage": {"volumes": 1}}))
    volume = make_volume(demo)
    demo.wait(1)
    body = {"snapshot": {"volume_id": volume, "name": "s"}}
    snapshot = demo.call("POST", volumes(demo) + "/snapshots", body).body["snapshot"]["id"]
    demo.wait(1)
    kept = demo.call("DELETE", f"{volumes(demo)}/volumes/{volume}")
    over = demo.call("POST", volumes(demo) + "/volumes", {"volume": {"size": 1}})
    demo.call("DELETE", f"{volumes(demo)}/snapshots/{snapshot}")
    demo.wait(1)

    assert kept.status == 400
    assert over.status == 413
    assert over.body["overLimit"]["message"] == (
        "VolumeLimitExceeded: Maximum number of volumes allowed (1) exceeded for quota 'volumes'."
    )
    assert demo.call("DELETE", f"{volumes(demo)}/volumes/{volume}").status == 202


def test_the_path_of_another_project_is_malformed() -> None:
    admin = drive()
    demo = as_demo(admin)
    reply = demo.call("GET", volumes(demo, "admin") + "/volumes")

    assert reply.status == 400
    assert reply.body["badRequest"]["message"] == "Malformed request url"


# ---- bodies that do not fit


@pytest.mark.parametrize("value", [None, [], "x", 1, {}, [1], {"a": []}, -1, True, "9" * 400])
@pytest.mark.parametrize(
    ("path", "key", "attribute"),
    [
        ("/compute/v2.1/servers", "server", "metadata"),
        ("/compute/v2.1/servers", "server", "networks"),
        ("/compute/v2.1/servers", "server", "block_device_mapping_v2"),
        ("/compute/v2.1/os-server-groups", "server_group", "policies"),
        ("/compute/v2.1/flavors", "flavor", "ram"),
        ("/network/v2.0/subnets", "subnet", "cidr"),
        ("/network/v2.0/ports", "port", "fixed_ips"),
        ("/identity/v3/regions", "region", "id"),
        ("/identity/v3/roles", "role", "domain_id"),
        ("/identity/v3/auth/tokens", "auth", "identity"),
        ("/image/v2/images", "image", "tags"),
    ],
)
def test_no_body_brings_a_service_down(path: str, key: str, attribute: str, value: Any) -> None:
    driver = drive()
    network = driver.call("GET", "/network/v2.0/networks").body["networks"][0]["id"]
    inner = {"name": "n", "flavorRef": "1", "imageRef": driver.image(), "network_id": network, attribute: value}

    statuses = {driver.call("POST", path, body).status for body in ({key: inner}, {key: value}, value)}

    assert statuses <= {200, 201, 202, 400, 401, 403, 404, 409}
