import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cloud_targets import Target

from osbench.common.cloud.credentials import CloudCredentials, CloudSpec
from osbench.common.error import CloudError, InputError
from osbench.deploy.existing import ExistingEngine
from osbench.deploy.fingerprint import cloud_facts

Simulate = Callable[..., Target]
SILENT_GLANCE = {"faults": [{"service": "image", "then": {"kind": "status", "status": 503}}]}


def deploy(folder: Path, admin: CloudCredentials, *users: CloudCredentials) -> CloudSpec:
    spec = {"cloud": msgspec.to_builtins(CloudSpec(admin=admin, users=users))}
    return ExistingEngine().deploy(spec, folder)


def check_facts(target: Target) -> None:
    facts = asyncio.run(cloud_facts(CloudSpec(admin=target.admin)))

    assert facts.is_admin
    assert facts.missing == ()
    assert {service.type: bool(service.highest) for service in facts.services}.items() >= {
        "identity": True,
        "compute": True,
        "image": True,
        "network": True,
        "block-storage": True,
    }.items()
    assert asyncio.run(cloud_facts(CloudSpec(admin=target.admin))).fingerprint == facts.fingerprint


@pytest.mark.slow
def test_services_and_versions_are_seen(simulate: Simulate) -> None:
    check_facts(simulate())


@pytest.mark.realcloud
def test_services_and_versions_of_the_real_cloud_are_seen(real_cloud: Target) -> None:
    check_facts(real_cloud)


@pytest.mark.slow
def test_a_cloud_that_can_be_worked_with_is_taken_as_it_is(simulate: Simulate, tmp_path: Path) -> None:
    admin = simulate().admin
    demo = replace(admin, username="demo", project_name="demo")

    assert deploy(tmp_path, admin) == CloudSpec(admin=admin)
    assert deploy(tmp_path, demo, demo) == CloudSpec(admin=demo, users=(demo,))


@pytest.mark.slow
def test_the_troubles_of_a_cloud_are_told_apart(simulate: Simulate, tmp_path: Path) -> None:
    admin = simulate().admin
    demo = replace(admin, username="demo", project_name="demo")
    with pytest.raises(CloudError, match="refused the sign-in of 'admin'"):
        deploy(tmp_path, replace(admin, password="wrong"))
    with pytest.raises(CloudError, match="no cloud answers at"):
        deploy(tmp_path, replace(admin, auth_url="http://127.0.0.1:9/v3"))
    with pytest.raises(CloudError, match=r"user 'demo' .* is no administrator .* names no users of its own"):
        deploy(tmp_path, demo)
    with pytest.raises(CloudError, match="refused the sign-in of 'nobody'"):
        deploy(tmp_path, admin, replace(admin, username="nobody"))
    with pytest.raises(CloudError, match="no region 'Mars'"):
        deploy(tmp_path, replace(admin, region="Mars"))
    with pytest.raises(CloudError, match=r"glance does not answer at .*: http_503"):
        deploy(tmp_path, simulate(**SILENT_GLANCE).admin)
    with pytest.raises(InputError, match=r"nova of this cloud has no microversion 2\.9999"):
        deploy(tmp_path, replace(admin, microversions={"compute": "2.9999"}))
