"""Keystone: sign-in, scopes, expiry, revocation, and who may administrate."""

from typing import Any

from cloud_driver import Driver, as_demo, drive

TOKENS = "/identity/v3/auth/tokens"
UNAUTHORIZED = {
    "error": {"message": "The request you have made requires authentication.", "code": 401, "title": "Unauthorized"}
}


def make_user(driver: Driver, name: str = "u") -> tuple[str, str]:
    """A project with one member; (project id, user id)."""
    project = driver.call("POST", "/identity/v3/projects", {"project": {"name": name}}).body["project"]["id"]
    body = {"user": {"name": name, "password": "pw", "default_project_id": project}}
    user = driver.call("POST", "/identity/v3/users", body).body["user"]["id"]
    role = driver.call("GET", "/identity/v3/roles?name=member").body["roles"][0]["id"]
    path = f"/identity/v3/projects/{project}/users/{user}/roles/{role}"
    assert driver.call("PUT", path).status == 204
    return project, user


def test_a_token_names_its_user_project_roles_and_catalogue() -> None:
    token = drive().sign_in("demo", "secret", "demo").body["token"]

    assert token["user"]["name"] == "demo"
    assert token["project"]["name"] == "demo"
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    assert {entry["type"] for entry in token["catalog"]} >= {"identity", "compute", "image", "network", "volumev3"}


def test_a_wrong_password_an_unknown_user_and_a_foreign_project_are_all_the_same_401() -> None:
    """A cloud that tells them apart tells a stranger who is there."""
    driver = drive()
    replies = [
        driver.sign_in("demo", "wrong", "demo"),
        driver.sign_in("nobody", "secret", "demo"),
        driver.sign_in("demo", "secret", "admin"),
        driver.sign_in("demo", "secret", "nothing"),
    ]

    assert [reply.status for reply in replies] == [401] * 4
    assert all(reply.body == UNAUTHORIZED for reply in replies)
    assert "WWW-Authenticate" in replies[0].headers


def test_a_token_expires_after_its_lifetime_and_not_before() -> None:
    driver = drive(token_lifetime_s=60)
    driver.wait(59)
    before = driver.call("GET", "/compute/v2.1/servers")
    driver.wait(2)
    after = driver.call("GET", "/compute/v2.1/servers")

    assert (before.status, after.status) == (200, 401)
    assert after.body == UNAUTHORIZED


def test_a_revoked_token_is_worthless_at_once() -> None:
    driver = drive()
    demo = as_demo(driver)

    assert driver.call("DELETE", TOKENS, X_Subject_Token=demo.token).status == 204
    assert demo.call("GET", "/compute/v2.1/servers").status == 401
    assert driver.call("GET", TOKENS, X_Subject_Token=demo.token).status == 404


def test_a_token_made_of_a_token_does_not_outlive_it() -> None:
    driver = drive(token_lifetime_s=60)
    driver.wait(30)
    auth = {"identity": {"methods": ["token"], "token": {"id": driver.token}}}
    second = driver.call("POST", TOKENS, {"auth": auth}).body["token"]
    first = driver.call("GET", TOKENS, X_Subject_Token=driver.token).body["token"]

    assert second["expires_at"] == first["expires_at"]
    assert second["methods"] == ["token", "password"]


def test_an_unscoped_token_has_no_catalogue() -> None:
    driver = drive()
    user = {"name": "demo", "domain": {"name": "Default"}, "password": "secret"}
    auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": "unscoped"}
    token = driver.call("POST", TOKENS, {"auth": auth}).body["token"]

    assert "catalog" not in token
    assert "project" not in token


def test_an_application_credential_signs_in_without_a_scope_until_it_is_deleted() -> None:
    demo = as_demo(drive())
    me = demo.call("GET", TOKENS, X_Subject_Token=demo.token).body["token"]["user"]["id"]
    path = f"/identity/v3/users/{me}/application_credentials"
    made = demo.call("POST", path, {"application_credential": {"name": "ac"}}).body["application_credential"]
    auth: dict[str, Any] = {
        "identity": {
            "methods": ["application_credential"],
            "application_credential": {"id": made["id"], "secret": made["secret"]},
        }
    }
    signed_in = demo.call("POST", TOKENS, {"auth": auth})
    assert demo.call("DELETE", f"{path}/{made['id']}").status == 204

    assert signed_in.status == 201
    assert signed_in.body["token"]["project"]["name"] == "demo"
    assert "secret" not in demo.call("GET", path).body["application_credentials"]
    assert demo.call("POST", TOKENS, {"auth": auth}).status == 401


def test_only_an_admin_administrates() -> None:
    demo = as_demo(drive())
    reply = demo.call("GET", "/identity/v3/users")

    assert reply.status == 403
    assert reply.body["error"]["message"] == (
        "You are not authorized to perform the requested action: identity:list_users."
    )


def test_deleting_a_user_ends_his_tokens_and_his_roles() -> None:
    driver = drive()
    project, user = make_user(driver)
    other = Driver(driver.cloud, driver.clock)
    assert other.sign_in("u", "pw", "u").status == 201

    assert driver.call("DELETE", f"/identity/v3/users/{user}").status == 204
    assert other.call("GET", "/compute/v2.1/servers").status == 401
    assert (
        driver.call("GET", f"/identity/v3/role_assignments?scope.project.id={project}").body["role_assignments"] == []
    )


def test_a_changed_password_ends_the_tokens_of_the_old_one() -> None:
    driver = drive()
    _, user = make_user(driver)
    other = Driver(driver.cloud, driver.clock)
    other.sign_in("u", "pw", "u")

    assert driver.call("PATCH", f"/identity/v3/users/{user}", {"user": {"password": "new"}}).status == 200
    assert other.call("GET", "/compute/v2.1/servers").status == 401
    assert other.sign_in("u", "pw", "u").status == 401
    assert other.sign_in("u", "new", "u").status == 201


def test_two_users_of_one_name_conflict_until_the_first_is_gone() -> None:
    driver = drive()
    _, user = make_user(driver)
    again = driver.call("POST", "/identity/v3/users", {"user": {"name": "u"}})
    driver.call("DELETE", f"/identity/v3/users/{user}")

    assert again.status == 409
    assert driver.call("POST", "/identity/v3/users", {"user": {"name": "u"}}).status == 201


def test_no_view_of_a_user_shows_a_password() -> None:
    driver = drive()
    _, user = make_user(driver)

    assert "password" not in driver.call("GET", f"/identity/v3/users/{user}").body["user"]
    assert "pw" not in repr(driver.cloud.identity.store.records)


def test_living_tokens_are_all_that_is_kept() -> None:
    """A long run signs in for hours: the book must not grow with what has expired."""
    driver = drive(token_lifetime_s=10)
    for _ in range(50):
        driver.sign_in("admin", "secret", "admin")
        driver.wait(1)

    assert len(driver.cloud.tokens) <= 11
