"""openstacksdk and python-openstackclient against the simulated cloud, unmodified, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest

from osbench.deploy.simulated.engine import SimulatedEngine

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

QUICK = {"kind": "constant", "seconds": 0.05}
SPEC = {"delays": {"server_build": QUICK, "server_delete": QUICK, "volume_create": QUICK}, "lifetime_s": 300}


@pytest.fixture(scope="module")
def auth_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    engine, folder = SimulatedEngine(), tmp_path_factory.mktemp("cloud")
    cloud = engine.deploy(SPEC, folder)
    yield cloud.admin.auth_url
    engine.destroy(SPEC, folder)


#: The SDK's proxies are typed as either version of each service: Any says what we know better.
def connect(auth_url: str, user: str = "admin", password: str = "secret", project: str = "admin") -> Any:
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url=auth_url,
        username=user,
        password=password,
        project_name=project,
        user_domain_name="Default",
        project_domain_name="Default",
        region_name="RegionOne",
    )


def openstack_command(auth_url: str, *words: str) -> Any:
    """Run one command; its JSON, where it prints some."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    environment |= {
        "OS_AUTH_URL": auth_url,
        "OS_USERNAME": "admin",
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
    }
    command = [str(Path(sys.executable).with_name("openstack")), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.lstrip().startswith(("{", "[")) else done.stdout


def test_the_sdk_makes_a_user_who_boots_and_deletes_a_server(auth_url: str) -> None:
    admin = connect(auth_url)
    project = admin.identity.create_project(name="p1", domain_id="default")
    user = admin.identity.create_user(name="u1", password="pw", default_project_id=project.id)
    admin.identity.assign_project_role_to_user(project, user, admin.identity.find_role("member"))
    member = connect(auth_url, "u1", "pw", "p1")
    image = member.image.find_image("cirros-0.6.2-x86_64-disk")
    flavor = member.compute.find_flavor("m1.tiny")
    server = member.compute.create_server(name="s", image_id=image.id, flavor_id=flavor.id, networks="auto")
    server = member.compute.wait_for_server(server, wait=20, interval=1)
    listed = [found.name for found in member.compute.servers()]
    member.compute.delete_server(server)
    member.compute.wait_for_delete(server, wait=20, interval=1)
    after = list(member.compute.servers())
    admin.identity.delete_user(user)
    admin.identity.delete_project(project)

    assert list(server.addresses) == ["shared"]
    assert listed == ["s"]
    assert after == []
    assert admin.identity.find_project("p1") is None


def test_the_sdk_makes_and_removes_what_the_other_services_have(auth_url: str) -> None:
    cloud = connect(auth_url, "demo", "secret", "demo")
    network = cloud.network.create_network(name="n")
    subnet = cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.1.0.0/24")
    port = cloud.network.create_port(network_id=network.id)
    router = cloud.network.create_router(name="r")
    cloud.network.add_interface_to_router(router, subnet=subnet.id)
    group = cloud.network.create_security_group(name="g")
    keypair = cloud.compute.create_keypair(name="k")
    volume = cloud.block_storage.create_volume(name="v", size=1)
    volume = cloud.block_storage.wait_for_status(volume, "available", wait=20, interval=1)
    snapshot = cloud.block_storage.create_snapshot(volume_id=volume.id, name="sn")
    cloud.block_storage.wait_for_status(snapshot, "available", wait=20, interval=1)
    image = cloud.image.create_image(name="i", data=b"x", disk_format="raw", container_format="bare", wait=True)
    names = {
        "networks": [found.name for found in cloud.network.networks()],
        "volumes": [found.name for found in cloud.block_storage.volumes()],
        "images": [found.name for found in cloud.image.images(visibility="private")],
        "keypairs": [found.name for found in cloud.compute.keypairs()],
    }
    cloud.image.delete_image(image)
    cloud.block_storage.delete_snapshot(snapshot)
    cloud.block_storage.wait_for_delete(snapshot, wait=20, interval=1)
    cloud.block_storage.delete_volume(volume)
    cloud.block_storage.wait_for_delete(volume, wait=20, interval=1)
    cloud.compute.delete_keypair(keypair)
    cloud.network.delete_security_group(group)
    cloud.network.remove_interface_from_router(router, subnet=subnet.id)
    cloud.network.delete_router(router)
    cloud.network.delete_port(port)
    cloud.network.delete_network(network)

    assert names["volumes"] == ["v"]
    assert names["keypairs"] == ["k"]
    assert "n" in names["networks"]
    assert "n" not in [found.name for found in cloud.network.networks()]
    assert list(cloud.block_storage.volumes()) == []


def test_the_sdk_meets_errors_as_its_own_exceptions(auth_url: str) -> None:
    cloud = connect(auth_url, "demo", "secret", "demo")

    with pytest.raises(openstack.exceptions.NotFoundException):
        cloud.compute.get_server("nothing")
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(cloud.identity.users())
    with pytest.raises(openstack.exceptions.ConflictException):
        connect(auth_url).identity.create_project(name="demo", domain_id="default")


def test_the_command_line_works_on_it(auth_url: str) -> None:
    shown = ["-f", "json"]
    token = openstack_command(auth_url, "token", "issue", *shown)
    user = openstack_command(auth_url, "user", "create", "--password", "x", "cli", *shown)
    server = openstack_command(
        auth_url, "server", "create", "--image", "cirros-0.6.2-x86_64-disk", "--flavor", "m1.tiny",
        "--network", "shared", "--wait", "cli", *shown,
    )  # fmt: skip
    lists = {
        what: [row["Name"] for row in openstack_command(auth_url, what, "list", *shown)]
        for what in ("server", "flavor", "image", "network")
    }
    openstack_command(auth_url, "server", "delete", "--wait", "cli")
    volume = openstack_command(auth_url, "volume", "create", "--size", "1", "cli", *shown)
    openstack_command(auth_url, "user", "delete", "cli")

    assert token["id"].startswith("gAAAA")
    assert user["name"] == "cli"
    assert server["status"] == "ACTIVE"
    assert lists["server"] == ["cli"]
    assert "m1.nano" in lists["flavor"]
    assert lists["image"] == ["cirros-0.6.2-x86_64-disk"]
    assert sorted(lists["network"]) == ["public", "shared"]
    assert volume["status"] == "creating"
