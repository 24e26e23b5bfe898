"""What the guards hand over and turn away, tried on doors that only these tests open."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, session
from limits import parse
from sqlalchemy import text

from portal import create_app
from portal.access import require_a_guard_on_every_door, requires, signed_in
from portal.actor import Actor
from portal.audit import services as audit
from portal.auth import throttle
from portal.errors import Invalid
from portal.extensions import db, release
from portal.organizations.models import Tenant
from portal.policy import Allowed, Answer, Denied, administers_organization, rank
from portal.responses import go_to
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from portal.users.models import Role, User


def may_touch(actor: Actor, user: User) -> Answer:
    return Allowed() if rank(actor.role) > rank(user.role) else Denied("Only somebody above may.", "an administrator of your organization")


@pytest.fixture(scope="module")
def probe(cluster: Any, database: str, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    app = create_app(cluster.settings(database, tmp_path_factory.mktemp("probe")))

    @app.get("/probe/<uuid:user_id>")
    @requires(may_touch)
    def touch(user: User) -> str:
        return f"<p>{user.username} of {user.tenant_id}</p>"

    @app.get("/probe/own")
    @requires(administers_organization)
    def own(tenant: Any, actor: Actor) -> str:
        return f"<p>{tenant.name} {actor.username}</p>"

    @app.get("/api/probe")
    @signed_in
    def program(actor: Actor) -> dict[str, str]:
        return {"username": actor.username}

    @app.post("/probe/refuse")
    @signed_in
    def refuse() -> str:
        raise Invalid(role="Acme needs one administrator. Promote someone first.")

    @app.post("/probe/stale")
    @signed_in
    def stale(tenant: Any) -> Any:
        mine = db.session.get(Tenant, tenant.id)
        db.session.execute(text("UPDATE tenants SET version = version + 1 WHERE id = :id"), {"id": tenant.id})
        mine.name = "Somebody else's words"
        return go_to("overview.index", notice="Saved")

    @app.post("/probe/flushed")
    @signed_in
    def flushed(tenant: Any, actor: Actor) -> str:
        db.session.get(Tenant, tenant.id).name = "Written and forgotten"
        audit.record("tried", tenant_id=tenant.id, by=actor)
        release()
        return "lost"

    require_a_guard_on_every_door(app)
    return app


@pytest.fixture
def somebody(probe: Flask, cast: SimpleNamespace) -> Any:
    return lambda person: Browser(probe).sign_in(person)


def test_a_view_receives_the_object_that_the_url_names(somebody: Any, cast: SimpleNamespace) -> None:
    page = somebody(cast.acme.admin).get(f"/probe/{cast.acme.user.id}")
    assert page.text == f"user of {cast.acme.id}"


def test_a_neighbours_and_an_unknown_id_get_the_same_404(somebody: Any, cast: SimpleNamespace) -> None:
    browser = somebody(cast.acme.admin)
    neighbour = browser.get(f"/probe/{cast.globex.user.id}", expect=404).response.get_data(as_text=True)
    unknown = browser.get(f"/probe/{uuid4()}", expect=404).response.get_data(as_text=True)
    malformed = browser.get("/probe/not-an-id", expect=404).response.get_data(as_text=True)
    assert without_tokens(neighbour) == without_tokens(unknown) == without_tokens(malformed)
    somebody(cast.platform.super).get(f"/probe/{cast.acme.user.id}", expect=404)


def test_too_weak_a_role_is_403_with_the_reason_and_who_helps_and_stands_in_the_audit_log(
    somebody: Any, cast: SimpleNamespace, owner: Any
) -> None:
    page = somebody(cast.acme.user).get(f"/probe/{cast.acme.admin.id}", expect=403)
    assert "Only somebody above may." in page.text
    assert "Ask an administrator of your organization." in page.text
    owner.execute("SELECT action, actor_id::text, changes->'request'->>1 FROM audit_entries ORDER BY seq DESC LIMIT 1")
    assert owner.fetchone() == ("refused", str(cast.acme.user.id), f"GET /probe/{cast.acme.admin.id}")


def test_refusals_beyond_a_hundred_in_an_hour_are_not_noted(
    somebody: Any, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse("100 per hour") == throttle.NOTED_OF_ONE
    monkeypatch.setattr(throttle, "NOTED_OF_ONE", parse("3 per hour"))
    for person in (cast.acme.user, cast.acme.admin):
        browser = somebody(person)
        for _ in range(5):
            browser.get(f"/probe/{cast.acme.admin.id}", expect=403)
    owner.execute("SELECT actor_id::text, count(*) FROM audit_entries WHERE action = 'refused' GROUP BY 1")
    assert dict(owner.fetchall()) == {str(person.id): 3 for person in (cast.acme.user, cast.acme.admin)}


def test_the_log_says_which_page_was_refused_and_why_and_the_overview_lists_no_refusals(somebody: Any, cast: SimpleNamespace) -> None:
    somebody(cast.acme.user).get("/users", expect=403)
    somebody(cast.acme.user).post("/audit/verify", expect=403)
    log = somebody(cast.acme.admin).get("/audit").text
    reason = "Only administrators of the organization see this."
    assert f"CANARY-acme User was refused the page /users. {reason}" in log
    assert f"CANARY-acme User was refused an action at /audit/verify. {reason}" in log
    overview = somebody(cast.acme.admin).get("/").text
    assert "CANARY-acme User signed in" in overview
    assert "was refused" not in overview


def test_a_view_receives_tenant_and_actor_when_it_asks(somebody: Any, cast: SimpleNamespace) -> None:
    assert somebody(cast.acme.admin).get("/probe/own").text == "CANARY-acme House admin"
    somebody(cast.acme.user).get("/probe/own", expect=403)


def test_below_api_a_cookie_signs_nobody_in(somebody: Any, cast: SimpleNamespace) -> None:
    page = somebody(cast.acme.admin).get("/api/probe", expect=401)
    assert page.response.content_type == "application/problem+json"
    assert page.response.headers["WWW-Authenticate"] == "Bearer"


def test_a_refusal_outside_a_form_says_its_sentence(somebody: Any, cast: SimpleNamespace) -> None:
    browser = somebody(cast.acme.admin)
    assert "Promote someone first." in browser.post("/probe/refuse", expect=422).text
    assert "Promote someone first." in browser.post("/probe/refuse", expect=422, htmx=True).text


def test_a_change_that_came_too_late_is_a_409_and_says_nothing_of_success(somebody: Any, cast: SimpleNamespace, owner: Any) -> None:
    browser = somebody(cast.acme.admin)
    page = browser.post("/probe/stale", expect=409)
    assert "Nothing was saved" in page.text
    assert "Saved" not in browser.get("/").text
    owner.execute("SELECT name, version FROM tenants WHERE id = %s", (str(cast.acme.id),))
    assert owner.fetchone() == ("CANARY-acme House", 1)


def test_a_connection_is_not_given_back_with_what_was_written(somebody: Any, cast: SimpleNamespace, owner: Any) -> None:
    somebody(cast.acme.admin).post("/probe/flushed", expect=500)
    owner.execute("SELECT name FROM tenants WHERE id = %s", (str(cast.acme.id),))
    assert owner.fetchone() == ("CANARY-acme House",)


def test_a_door_that_asks_for_what_nobody_gives_is_refused_at_the_start(cluster: Any, database: str, tmp_path: Any) -> None:
    app = create_app(cluster.settings(database, tmp_path))

    @app.get("/probe/<uuid:ghost_id>")
    @signed_in
    def ghost() -> str:
        return "boo"

    with pytest.raises(RuntimeError, match="ghost_id"):
        require_a_guard_on_every_door(app)


def test_secrets_do_not_stand_in_what_is_printed_of_an_actor(probe: Flask, somebody: Any, cast: SimpleNamespace) -> None:
    from portal.auth import services as auth

    browser = somebody(cast.acme.admin)
    with browser.client.session_transaction() as kept:
        credential = kept["_user_id"]
    with probe.test_request_context("/"):
        session["_user_id"] = credential
        actor = auth.actor_of(credential, SimpleNamespace(network=None, user_agent=None))
        assert credential.partition(".")[2] not in repr(actor)
        db.session.rollback()
    assert PASSWORD not in repr(actor)
    assert actor.role == Role.ORG_ADMIN


def without_tokens(html: str) -> str:
    import re

    return re.sub(r'(value|hx-headers:inherited)=("[^"]*"|\'[^\']*\')', "", html)
