"""Task files of Rally's kinds, run by the command line on the real cloud, which is as before afterwards."""

from pathlib import Path

import pytest
from cloud_targets import Target
from local_osbench import Osbench
from realcloud.passing import check_passes_and_leaves_nothing

pytestmark = [pytest.mark.realcloud, pytest.mark.slow]

AUTHENTICATE = """
version: 2
title: Sign in
subtasks:
  - title: Sign in as one of many users
    scenario: {Authenticate.keystone: {}}
    runner: {constant: {times: 40, concurrency: 4}}
    contexts: {users: {tenants: 3, users_per_tenant: 10}}
    sla: {failure_rate: {max: 0}}
"""
BOOT_AND_DELETE = """
{% set flavor_name = flavor_name or "m1.tiny" %}
version: 2
title: Boot and delete
subtasks:
  - title: Without a network of its own
    scenario:
      NovaServers.boot_and_delete_server:
        flavor: {name: "{{flavor_name}}"}
        image: {name: "^cirros.*-disk$"}
        force_delete: false
    runner: {constant: {times: 4, concurrency: 2}}
    contexts: {users: {tenants: 3, users_per_tenant: 2}}
    sla: {failure_rate: {max: 0}}
"""
LIST_SERVERS = """
---
  NovaServers.list_servers:
    -
      args: {detailed: True}
      runner: {type: "constant", times: 5, concurrency: 1}
      context:
        users: {tenants: 1, users_per_tenant: 1}
      sla:
        failure_rate: {max: 0}
"""


@pytest.mark.parametrize("task", [AUTHENTICATE, BOOT_AND_DELETE, LIST_SERVERS], ids=["sign-in", "boot", "list"])
def test_a_task_passes_and_leaves_the_cloud_as_it_was(
    task: str, osbench: Osbench, real_cloud: Target, tmp_path: Path
) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(task)

    check_passes_and_leaves_nothing(file, osbench, real_cloud)


def test_a_flavor_that_is_not_there_is_named_before_anything_is_made(
    osbench: Osbench, real_cloud: Target, tmp_path: Path
) -> None:
    before = real_cloud.holds()
    file = tmp_path / "task.yaml"
    file.write_text(BOOT_AND_DELETE)
    process = osbench.start("task", "start", str(file), "--task-args", "flavor_name: m1.tinny")

    assert osbench.finish(process) == 1
    assert "the cloud has no flavor with name 'm1.tinny'; did you mean 'm1.tiny'" in osbench.output()
    assert real_cloud.holds() == before
