from osbench.common.nearest import did_you_mean, nearest


def test_the_likest_name_is_found_whatever_its_case() -> None:
    assert nearest("novaservers.list_server", ["NovaServers.list_servers", "Dummy.dummy"]) == "NovaServers.list_servers"


def test_nothing_alike_gives_nothing() -> None:
    assert nearest("xyz", ["users", "network"]) is None
    assert did_you_mean("xyz", ["users"]) == ""


def test_the_end_of_a_message_asks() -> None:
    assert did_you_mean("user", ["users", "network"]) == "; did you mean 'users'?"
