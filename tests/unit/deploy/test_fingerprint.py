from msgspec.structs import replace

from osbench.deploy.fingerprint import ServiceFact, fingerprint_of

NOVA = ServiceFact(type="compute", url="http://a/compute/v2.1", lowest="2.1", highest="2.96")
GLANCE = ServiceFact(type="image", url="http://a/image/v2", highest="2.17")


def test_the_fingerprint_is_of_services_and_versions_whatever_their_order_and_place() -> None:
    elsewhere = replace(NOVA, url="http://b/compute/v2.1")

    assert fingerprint_of([NOVA, GLANCE]) == fingerprint_of([GLANCE, elsewhere])


def test_an_upgrade_or_another_service_changes_the_fingerprint() -> None:
    upgraded = replace(NOVA, highest="2.100")

    assert len({fingerprint_of(services) for services in ([NOVA], [upgraded], [NOVA, GLANCE])}) == 3
