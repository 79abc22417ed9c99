"""The key ring: who is in it, and who has to be shut out."""

from osbench.coordinator.keyring import KeyRing


def test_a_key_is_its_agents_as_long_as_it_is_in_the_ring() -> None:
    ring = KeyRing({"k1": "a", "k2": "b"})

    assert (ring.name("k1"), ring.name("k2"), ring.name("k3")) == ("a", "b", None)
    assert ring.replace({"k2": "b", "k3": "a"}) == {"k1"}
    assert (ring.name("k1"), ring.name("k3")) == (None, "a")
    assert ring.names() == {"k2": "b", "k3": "a"}


def test_a_key_that_became_another_agents_is_gone_for_the_first() -> None:
    ring = KeyRing({"k1": "a"})

    assert ring.replace({"k1": "b"}) == {"k1"}


def test_the_ring_is_nobody_elses_to_change() -> None:
    names = {"k1": "a"}
    ring = KeyRing(names)
    names["k2"] = "b"
    ring.names()["k3"] = "c"

    assert ring.names() == {"k1": "a"}
