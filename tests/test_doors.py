"""Every door of the running application: who may enter, and what strangers, neighbours and weak roles are told."""

from types import SimpleNamespace
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from werkzeug.routing import Rule

from portal import create_app
from portal.access import require_a_guard_on_every_door, signed_in
from portal.database import libpq_url
from portal.headers import HEADERS
from portal.testing.browser import HTMX, Browser
from tests.attack.furniture import NOBODYS, id_of

PUBLIC = {
    "organizations.register",
    "organizations.register_address",
    "organizations.check_subdomain",
    "organizations.password_strength",
    "invitations.accept",
    "access_codes.join",
    "auth.sign_in",
    "account.confirm",
    "forgotten.password",
    "forgotten.organizations",
    "forgotten.reset",
    "appearance.choose",
    "health.healthz",
    "health.readyz",
}
# Doors behind which whoever enters is no longer signed in, or not what she was.
ENDING = {"auth.sign_out", "account.end_other_sessions", "users.hand_over"}
# A real id of acme's for each parameter that a URL may have.
SPECIMENS: dict[str, Any] = {
    "user_id": lambda cast: cast.acme.user.id,
    "agent_id": lambda cast: id_of(cast.acme, "agent"),
    "share_id": lambda cast: id_of(cast.acme, "share"),
    "session_id": lambda cast: cast.acme.user.id,
    "act_id": lambda cast: id_of(cast.acme, "bulk"),
    "upload_id": lambda cast: id_of(cast.acme, "upload"),
    "job_id": lambda cast: id_of(cast.acme, "job"),
    "invitation_id": lambda cast: id_of(cast.acme, "invitation"),
    "code_id": lambda cast: id_of(cast.acme, "code"),
    "credential": lambda cast: f"{cast.acme.id.hex}.secret-of-acme",
}


def doors(app: Flask) -> list[tuple[Rule, str]]:
    return [(rule, method) for rule in app.url_map.iter_rules() for method in sorted(rule.methods or ()) if method not in ("OPTIONS",)]


def path_of(app: Flask, rule: Rule, cast: SimpleNamespace) -> str:
    missing = rule.arguments - SPECIMENS.keys()
    assert not missing, f"{rule.rule} has a parameter without a specimen in the cast: {missing}"
    with app.test_request_context():
        return app.url_map.bind("localhost").build(rule.endpoint, {name: SPECIMENS[name](cast) for name in rule.arguments})


def test_the_public_doors_are_these_and_no_others(running_app: Flask) -> None:
    guards = {rule.endpoint: running_app.view_functions[rule.endpoint].guard for rule in running_app.url_map.iter_rules()}
    assert {endpoint for endpoint, guard in guards.items() if guard == "public"} == PUBLIC


def test_the_portal_does_not_start_with_a_door_without_a_guard(cluster: Any, database: str, tmp_path: Any) -> None:
    app = create_app(cluster.settings(database, tmp_path))
    app.add_url_rule("/forgotten", "forgotten", lambda: "open to all")
    with pytest.raises(RuntimeError, match="forgotten"):
        require_a_guard_on_every_door(app)


def test_a_guard_written_above_the_route_is_caught_too(cluster: Any, database: str, tmp_path: Any) -> None:
    app = create_app(cluster.settings(database, tmp_path))

    @signed_in
    @app.get("/upside-down")
    def upside_down() -> str:
        return "guarded by nobody"

    with pytest.raises(RuntimeError, match="upside_down"):
        require_a_guard_on_every_door(app)


def test_strangers_are_led_to_the_sign_in_page_from_every_door_that_is_not_public(app: Flask, cast: SimpleNamespace) -> None:
    for rule, method in doors(app):
        if rule.endpoint in PUBLIC:
            continue
        path, browser = path_of(app, rule, cast), Browser(app)
        data = {"csrf_token": browser.token()} if method not in ("GET", "HEAD") else None
        page = browser.open(method, path, expect=303, data=data)
        assert page.location.startswith("/sign-in"), f"{method} {path}"
        if method != "HEAD":
            assert browser.open(method, path, expect=401, htmx=True, data=data).location.startswith("/sign-in")


def test_no_door_that_changes_something_opens_without_the_token_of_its_session(app: Flask, cast: SimpleNamespace) -> None:
    strange = Browser(app).sign_in(cast.globex.admin).token()
    for person in (None, cast.acme.admin):
        browser = Browser(app)
        if person:
            browser.sign_in(person)
        browser.token()
        for rule, method in doors(app):
            for data in ({}, {"csrf_token": ""}, {"csrf_token": strange}) if method not in ("GET", "HEAD") else ():
                answer = browser.client.open(path_of(app, rule, cast), method=method, data=data)
                assert answer.status_code == 400, f"{method} {rule.rule} {data}"


def test_every_door_answers_everybody_without_a_fault_and_without_a_word_of_a_neighbour(app: Flask, cast: SimpleNamespace) -> None:
    people = [None, cast.acme.user, cast.acme.admin, cast.platform.admin, cast.platform.super]
    Browser(app).sign_in(cast.globex.admin)
    for person in people:
        browser = Browser(app)
        if person:
            browser.sign_in(person)
        token = browser.token()
        for rule, method in doors(app):
            path = path_of(app, rule, cast)
            if rule.endpoint in ENDING:
                continue
            for headers in ({}, HTMX):
                response = browser.client.open(
                    path, method=method, headers=headers, data={"csrf_token": token} if method == "POST" else None
                )
                assert response.status_code < 500, f"{method} {path}: {response.status_code}"
                assert "CANARY-globex" not in response.get_data(as_text=True)


def test_asking_changes_nothing_whoever_asks(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    """HEAD goes wherever GET does, and like GET it carries no token."""

    def everything() -> list[Any]:
        owner.execute(
            "SELECT to_jsonb(u) FROM users u UNION ALL SELECT to_jsonb(t) FROM tenants t "
            "UNION ALL SELECT to_jsonb(a) FROM audit_entries a WHERE action <> 'refused'"  # a refusal is noted, whatever was asked
        )
        return sorted(str(row) for row in owner.fetchall())

    for person in (cast.acme.admin, cast.platform.super):
        browser = Browser(app).sign_in(person)
        before = everything()
        for rule, method in doors(app):
            if method in ("GET", "HEAD"):
                browser.client.open(path_of(app, rule, cast), method=method)
                assert everything() == before, f"{method} {rule.rule}"


def test_every_answer_carries_the_headers_that_keep_a_browser_safe(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    for path in ("/", "/register", "/sign-in", "/nowhere", "/healthz"):
        headers = browser.client.get(path).headers
        for name, value in HEADERS.items():
            assert headers[name] == value, f"{path} {name}"
        assert "HX-Request-Type" in headers["Vary"]
    assert browser.client.get("/").headers["Cache-Control"] == "no-store"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


REFUSALS = {400: ("POST", "/sign-in"), 404: ("GET", "/nowhere"), 405: ("PUT", "/sign-in")}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_a_page_for_browsers_a_notice_for_htmx_and_problem_details_for_programs(browser: Browser, status: int) -> None:
    method, path = REFUSALS[status]
    page = browser.open(method, path, expect=status)
    assert page.soup.html is not None
    assert page.select("a[href]")
    notice = browser.open(method, path, expect=status, htmx=True)
    assert notice.soup.html is None
    assert notice.response.headers["HX-Retarget"] == "#notices"
    problem = browser.client.open(f"/api{path}", method=method)
    assert problem.content_type == "application/problem+json"
    assert problem.get_json()["status"] == problem.status_code


def test_whoever_asks_too_often_is_told_how_long_to_wait(browser: Browser) -> None:
    for _ in range(120):
        browser.get("organizations.check_subdomain", subdomain="a b", htmx=True)
    page = browser.get("organizations.check_subdomain", subdomain="a b", expect=429)
    assert 0 < int(page.response.headers["Retry-After"]) <= 61
    assert "again in" in page.text
    Browser(browser.app, "203.0.113.9").get("organizations.check_subdomain", subdomain="a b", htmx=True)


def test_a_method_that_is_not_taken_says_which_are(browser: Browser) -> None:
    assert "GET" in browser.open("PUT", "/sign-in", expect=405).response.headers["Allow"]


def test_a_fault_of_ours_is_a_page_and_changes_nothing(browser: Browser, monkeypatch: pytest.MonkeyPatch, cast: SimpleNamespace) -> None:
    from portal.overview import services

    browser.sign_in(cast.acme.admin)
    monkeypatch.setattr(services, "of_organization", lambda *_args, **_kwargs: 1 // 0)
    page = browser.get("/", expect=500)
    assert "ZeroDivision" not in page.response.get_data(as_text=True)
    assert "Nothing was changed" in page.text


def test_a_wrong_host_is_refused(app: Flask, cast: SimpleNamespace) -> None:
    response = app.test_client().get("/sign-in", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert "evil.example" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/users", 403),
        ("GET", f"/agents/{NOBODYS}", 404),
        ("PUT", "/agents", 405),
        ("POST", "/agents/new", 400),
    ],
)
def test_whoever_is_signed_in_keeps_the_navigation_where_something_is_refused(
    app: Flask, cast: SimpleNamespace, method: str, path: str, status: int
) -> None:
    pages = {
        who: browser.client.open(path, method=method)
        for who, browser in (("user", Browser(app).sign_in(cast.acme.user)), ("visitor", Browser(app)))
    }
    inside, outside = (BeautifulSoup(page.get_data(as_text=True), "html.parser") for page in pages.values())
    assert pages["user"].status_code == status
    assert [link["href"] for link in inside.select("nav.sidenav a")] == ["/", "/agents"]
    assert cast.acme.user.username in inside.select_one("header.topbar").get_text()
    assert f"Status {status}" in inside.get_text()
    assert len(inside.select("h1")) == 1
    assert not outside.select("nav.sidenav")


def test_whoever_is_signed_in_keeps_the_navigation_after_a_fault(
    app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(app).sign_in(cast.acme.user)
    monkeypatch.setattr("portal.agents.finding.find", lambda *_, **__: 1 / 0)
    page = browser.get("agents.index", expect=500)
    assert [link["href"] for link in page.select("nav.sidenav a")] == ["/", "/agents"]
    assert "Something went wrong on our side" in page.heading


def test_a_database_that_is_away_is_a_503_that_says_so(cluster: Any, database: str, tmp_path: Any) -> None:
    name = f"{database}_away"
    cluster.create_database(name, template="portal_template")
    app = create_app(cluster.settings(name, tmp_path))
    cluster.drop_database(name)
    browser = Browser(app)
    browser.get("/register")
    assert browser.client.get("/healthz").status_code == 200
    ready = browser.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["database"]) == (503, "not reachable")
    page = browser.get("organizations.check_subdomain", subdomain="quiet", expect=503)
    assert page.response.headers["Retry-After"]
    assert "database" in page.text


def test_readiness_tells_of_pending_migrations(app: Flask, owner: Any) -> None:
    client = app.test_client()
    assert client.get("/readyz").get_json() == {"status": "ok", "database": "ok", "migrations": "ok"}
    owner.execute("SELECT version_num FROM portal_alembic_version")
    version = owner.fetchone()[0]
    owner.execute("UPDATE portal_alembic_version SET version_num = '20000101_0000'")
    try:
        assert client.get("/readyz").status_code == 503
    finally:
        owner.execute("UPDATE portal_alembic_version SET version_num = %s", (version,))


def test_addresses_of_the_database_may_be_written_as_people_write_them(
    cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Any
) -> None:
    urls = {f"{role}_database_url": libpq_url(url) for role, url in cluster.urls(database).items() if role != "app"}
    app = create_app(cluster.settings(database, tmp_path, database_url=libpq_url(cluster.urls(database)["app"]), **urls))
    assert app.test_client().get("/readyz").status_code == 200


def test_static_files_are_kept_for_ever_under_a_name_of_their_content(browser: Browser) -> None:
    page = browser.get("/register")
    for tag in page.select("link[rel=stylesheet], script[src]"):
        response = browser.client.get(tag.get("href") or tag["src"], headers={"Accept-Encoding": "br"})
        assert response.status_code == 200
        assert "immutable" in response.headers["Cache-Control"]
        assert response.headers["Content-Encoding"] == "br"
        assert "Access-Control-Allow-Origin" not in response.headers


def test_the_theme_is_chosen_without_script_and_kept(browser: Browser) -> None:
    assert not browser.get("/register").select_one("html").get("data-bs-theme")
    browser.post("appearance.choose", {"theme": "dark", "next": "/register"})
    assert browser.follow().select_one("html")["data-bs-theme"] == "dark"
    browser.post("appearance.choose", {"theme": "neon"}, expect=422)
    browser.post("appearance.choose", {"theme": "light"}, expect=204, htmx=True)
    assert browser.get("/register").select_one("html")["data-bs-theme"] == "light"
    browser.post("appearance.choose", {"theme": "light", "next": "https://evil.example"})
    assert browser.page.location == "/"
