"""Nova: states over time, tenancy, quotas, microversions, error bodies."""

import pytest
from cloud_driver import Driver, as_demo, drive

SERVERS = "/compute/v2.1/servers"
SLOW = {"server_build": {"kind": "constant", "seconds": 10}, "server_delete": {"kind": "constant", "seconds": 5}}


def booted(driver: Driver, name: str = "s") -> str:
    reply = driver.boot(name)
    assert reply.status == 202
    return str(reply.body["server"]["id"])


def states(driver: Driver, server_id: str) -> tuple[str, str | None]:
    server = driver.server(server_id).body["server"]
    return server["status"], server["OS-EXT-STS:task_state"]


def test_a_server_is_scheduled_built_and_active_when_its_delay_is_over() -> None:
    driver = drive(delays=SLOW)
    server_id = booted(driver)
    seen = []
    for wait_s in (0, 3, 6.9, 0.2):
        driver.wait(wait_s)
        seen.append(states(driver, server_id))

    assert seen == [("BUILD", "scheduling"), ("BUILD", "spawning"), ("BUILD", "spawning"), ("ACTIVE", None)]


def test_a_deleted_server_is_deleting_and_then_not_found() -> None:
    driver = drive(delays=SLOW)
    server_id = booted(driver)
    driver.wait(11)
    assert driver.call("DELETE", f"{SERVERS}/{server_id}").status == 204
    during = states(driver, server_id)
    driver.wait(5)
    after = driver.server(server_id)

    assert during == ("ACTIVE", "deleting")
    assert after.status == 404
    assert after.body == {"itemNotFound": {"code": 404, "message": f"Instance {server_id} could not be found."}}


def test_a_server_deleted_while_it_builds_never_becomes_active() -> None:
    """A late 'built' must not bring it back, nor be counted as building for ever."""
    driver = drive(delays=SLOW)
    server_id = booted(driver)
    driver.call("DELETE", f"{SERVERS}/{server_id}")
    driver.wait(60)

    assert driver.server(server_id).status == 404
    assert driver.cloud.compute.servers.building == 0
    assert driver.cloud.compute.servers.used[driver_project(driver), "instances"] == 0


def driver_project(driver: Driver) -> str:
    return driver.cloud.identity.project_id("admin")


def test_a_server_can_end_in_error_with_a_fault_and_be_deleted() -> None:
    driver = drive(errors={"server_build": 1.0})
    server_id = booted(driver)
    driver.wait(1)
    server = driver.server(server_id).body["server"]
    driver.call("DELETE", f"{SERVERS}/{server_id}")
    driver.wait(1)

    assert (server["status"], server["fault"]["code"]) == ("ERROR", 500)
    assert driver.server(server_id).status == 404


def test_a_stuck_server_stays_in_build() -> None:
    driver = drive(stuck={"server_build": 1.0})
    server_id = booted(driver)
    driver.wait(3_000)

    assert states(driver, server_id)[0] == "BUILD"


def test_a_project_sees_only_its_own_servers_and_an_admin_all() -> None:
    admin = drive()
    demo = as_demo(admin)
    mine, theirs = booted(demo, "demo's"), booted(admin, "admin's")

    def names(driver: Driver, query: str = "") -> set[str]:
        return {server["name"] for server in driver.call("GET", SERVERS + query).body["servers"]}

    assert names(demo) == {"demo's"}
    assert names(admin) == {"admin's"}
    assert names(admin, "?all_tenants=1") == {"demo's", "admin's"}
    assert demo.server(theirs).status == 404
    assert demo.call("DELETE", f"{SERVERS}/{theirs}").status == 404
    assert admin.server(mine).status == 200
    refused = demo.call("GET", SERVERS + "?all_tenants=1")
    assert refused.status == 403
    assert "get_all_tenants" in refused.body["forbidden"]["message"]


def test_a_quota_is_refused_with_novas_words_and_freed_by_a_delete() -> None:
    driver = drive(quotas={"compute": {"instances": 1, "cores": 1}})
    server_id = booted(driver)
    refused = driver.boot("second")
    driver.call("DELETE", f"{SERVERS}/{server_id}")
    driver.wait(1)

    assert refused.status == 403
    assert refused.body == {
        "forbidden": {
            "code": 403,
            "message": "Quota exceeded for cores, instances: Requested 1, 1, "
            "but already used 1, 1 of 1, 1 cores, instances",
        }
    }
    assert driver.boot("third").status == 202


def test_a_quota_set_by_an_admin_holds_for_that_project_only() -> None:
    admin = drive()
    demo = as_demo(admin)
    project = admin.cloud.identity.project_id("demo")
    path = f"/compute/v2.1/os-quota-sets/{project}"
    assert admin.call("PUT", path, {"quota_set": {"instances": 0}}).status == 200

    assert demo.boot().status == 403
    assert admin.boot().status == 202
    assert demo.call("PUT", path, {"quota_set": {"instances": 5}}).status == 403
    assert admin.call("DELETE", path).status == 202
    assert demo.boot().status == 202


@pytest.mark.parametrize(
    ("action", "status", "back"),
    [
        ("os-stop", "SHUTOFF", "os-start"),
        ("pause", "PAUSED", "unpause"),
        ("suspend", "SUSPENDED", "resume"),
        ("rescue", "RESCUE", "unrescue"),
        ("shelve", "SHELVED_OFFLOADED", "unshelve"),
    ],
)
def test_an_action_and_its_opposite(action: str, status: str, back: str) -> None:
    driver = drive()
    server_id = booted(driver)
    driver.wait(1)
    seen = []
    for name in (action, back):
        assert driver.call("POST", f"{SERVERS}/{server_id}/action", {name: None}).status in (200, 202)
        driver.wait(1)
        seen.append(states(driver, server_id)[0])

    assert seen == [status, "ACTIVE"]


def test_an_action_in_the_wrong_state_is_a_conflict() -> None:
    driver = drive()
    server_id = booted(driver)
    driver.wait(1)
    reply = driver.call("POST", f"{SERVERS}/{server_id}/action", {"os-start": None})

    assert reply.status == 409
    assert reply.body["conflictingRequest"]["message"] == (
        f"Cannot 'start' instance {server_id} while it is in vm_state active"
    )


def test_a_locked_server_refuses_its_owner_not_the_admin() -> None:
    admin = drive()
    demo = as_demo(admin)
    server_id = booted(demo)
    demo.wait(1)
    demo.call("POST", f"{SERVERS}/{server_id}/action", {"lock": None})

    assert demo.call("DELETE", f"{SERVERS}/{server_id}").status == 409
    assert admin.call("DELETE", f"{SERVERS}/{server_id}").status == 204


def test_a_resize_is_confirmed_or_reverted() -> None:
    driver = drive()
    path = f"{SERVERS}/{booted(driver)}/action"
    server_id = path.split("/")[4]
    driver.wait(1)
    flavors = []
    for decision in ("revertResize", "confirmResize"):
        assert driver.call("POST", path, {"resize": {"flavorRef": "2"}}).status == 202
        driver.wait(1)
        assert states(driver, server_id)[0] == "VERIFY_RESIZE"
        driver.call("POST", path, {decision: None})
        driver.wait(1)
        flavors.append(driver.server(server_id).body["server"]["flavor"]["id"])

    assert flavors == ["1", "2"]
    assert driver.cloud.compute.servers.used[driver_project(driver), "ram"] == 2048


@pytest.mark.parametrize(
    ("version", "has", "lacks"),
    [
        ("2.1", "OS-EXT-STS:vm_state", "locked"),
        ("2.9", "locked", "description"),
        ("2.26", "tags", "trusted_image_certificates"),
        ("2.73", "locked_reason", "pinned_availability_zone"),
        ("2.96", "pinned_availability_zone", "scheduler_hints"),
        ("latest", "scheduler_hints", "nothing"),
    ],
)
def test_a_microversion_brings_what_it_promises(version: str, has: str, lacks: str) -> None:
    driver = drive()
    server_id = booted(driver)
    driver.version = f"compute {version}"
    reply = driver.server(server_id)

    assert has in reply.body["server"]
    assert lacks not in reply.body["server"]
    assert reply.headers["OpenStack-API-Version"] == f"compute {'2.104' if version == 'latest' else version}"


def test_a_microversion_out_of_range_is_not_acceptable() -> None:
    driver = drive()
    driver.version = "compute 2.999"
    reply = driver.call("GET", SERVERS)

    assert reply.status == 406
    assert reply.body["computeFault"]["message"].startswith("Version 2.999 is not supported by the API.")


def test_lists_are_paged_newest_first_with_a_next_link() -> None:
    driver = drive()
    ids = [booted(driver, f"s{index}") for index in range(5)]
    seen, path = [], SERVERS + "?limit=2"
    for _ in range(4):
        reply = driver.call("GET", path).body
        seen += [server["id"] for server in reply["servers"]]
        if "servers_links" not in reply:
            break
        path = reply["servers_links"][0]["href"].removeprefix("http://cloud.test")

    assert seen == ids[::-1]


def test_a_server_on_a_network_gets_a_port_and_an_address_and_gives_them_back() -> None:
    driver = drive()
    network = driver.call("GET", "/network/v2.0/networks?name=shared").body["networks"][0]["id"]
    server_id = driver.boot(networks=[{"uuid": network}]).body["server"]["id"]
    driver.wait(1)
    addresses = driver.server(server_id).body["server"]["addresses"]
    during = driver.call("GET", f"/network/v2.0/ports?device_id={server_id}").body["ports"]
    driver.call("DELETE", f"{SERVERS}/{server_id}")
    driver.wait(1)
    after = driver.call("GET", f"/network/v2.0/ports?device_id={server_id}").body["ports"]

    assert [address["addr"] for address in addresses["shared"]] == [during[0]["fixed_ips"][0]["ip_address"]]
    assert after == []


def test_without_a_word_on_networks_the_one_there_is_is_taken_and_two_are_ambiguous() -> None:
    admin = drive()
    demo = as_demo(admin)
    server = {"name": "s", "imageRef": demo.image(), "flavorRef": "1"}
    mine = demo.call("POST", SERVERS, {"server": server})
    demo.wait(1)

    assert "shared" in demo.server(mine.body["server"]["id"]).body["server"]["addresses"]
    assert admin.call("POST", SERVERS, {"server": server}).status == 409


def test_a_boot_that_cannot_be_makes_nothing() -> None:
    driver = drive()
    statuses = [
        driver.boot(flavorRef="nope").status,
        driver.boot(imageRef="nope").status,
        driver.boot(key_name="nope").status,
        driver.boot(networks=[{"uuid": "nope"}]).status,
        driver.boot(name="").status,
        driver.boot(min_count=3, max_count=2).status,
        driver.boot(imageRef="").status,
        driver.call("POST", SERVERS, b"{").status,
        driver.call("POST", SERVERS, b"[]").status,
    ]

    assert statuses == [400] * 9
    assert driver.call("GET", SERVERS).body["servers"] == []


def test_the_most_servers_building_at_once_are_counted() -> None:
    driver = drive(delays=SLOW)
    for _ in range(3):
        booted(driver)
    driver.wait(20)
    booted(driver)

    servers = driver.cloud.compute.servers
    assert (servers.building, servers.peak_building) == (1, 3)


def test_what_an_event_starts_begins_when_it_was_due_not_when_it_was_looked_at() -> None:
    """Otherwise how long things take would depend on how often they are polled."""
    driver = drive(delays=SLOW)
    device = {"boot_index": 0, "uuid": driver.image(), "source_type": "image", "destination_type": "volume"}
    driver.boot(imageRef="", block_device_mapping_v2=[device])
    driver.wait(11)
    volumes = f"/block-storage/v3/{driver_project(driver)}/volumes/detail"

    assert [volume["status"] for volume in driver.call("GET", volumes).body["volumes"]] == ["in-use"]


def test_a_thousand_waiting_servers_are_a_thousand_notes_and_no_more() -> None:
    driver = drive(delays=SLOW)
    driver.boot(min_count=1000)

    assert len(driver.cloud.world.agenda) == 1000
