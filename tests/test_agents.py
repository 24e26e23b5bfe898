"""Agents: who sees which, the switch, making and editing, and what comes with the portal."""

from contextlib import closing
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.agents import finding, services, shipped
from portal.agents.commands import suggested_type
from portal.config import Settings
from portal.database import connect
from portal.testing.browser import Browser
from tests.attack.furniture import FREE_AGENT, agent, id_of, put, rows_of
from tests.statements import counted
from tests.steps import at_once, edit_agent, listed, make_agent, posting, stored_agent


@pytest.fixture
def agents(owner: Any, cast: SimpleNamespace) -> None:
    """One agent of each organization, and a free one."""
    put(owner, "agents", {**agent(FREE_AGENT, "free", None), "name": "The free one", "sort_key": "the free one"})
    for tenant in vars(cast).values():
        put(owner, "agents", {**rows_of(tenant)["agents"], "sort_key": tenant.subdomain})


@pytest.fixture
def admin(app: Flask, cast: SimpleNamespace, agents: None) -> Browser:
    return Browser(app).sign_in(cast.acme.admin)


# The catalogue


def test_the_list_holds_the_own_and_the_free_agents_and_no_neighbours(admin: Browser) -> None:
    page = admin.get("agents.index")
    assert listed(page) == ["CANARY-acme", "The free one"]
    assert "2 shown of 2" in page.text
    assert [cell.get_text() for cell in page.select("td[data-label='Last used']")] == ["never", "never"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"q": "FREE ône"}, ["The free one"]),
        ({"q": "canary_acme"}, ["CANARY-acme"]),
        ({"q": "one free"}, ["The free one"]),
        ({"q": "%"}, []),
        ({"owner": "own"}, ["CANARY-acme"]),
        ({"owner": "free"}, ["The free one"]),
        ({"state": "off"}, []),
        ({"state": "on"}, ["CANARY-acme", "The free one"]),
        ({"state": "withdrawn"}, []),
        ({"capability": "wreaths"}, ["CANARY-acme"]),
        ({"capability": "Wreath"}, ["CANARY-acme"]),
        ({"capability": "roses"}, []),
    ],
)
def test_searches_and_filters(admin: Browser, owner: Any, cast: SimpleNamespace, asked: dict[str, str], found: list[str]) -> None:
    owner.execute("UPDATE agents SET capabilities = '{wreaths}' WHERE owner_tenant_id IS NOT NULL")
    page = admin.get("agents.index", **asked)
    assert listed(page) == found


@pytest.mark.parametrize("asked", [{"after": "x"}, {"after": "x 00000000"}, {"owner": "theirs"}, {"q": "\x00"}, {"q": "x" * 101}])
def test_what_cannot_be_asked_for_is_refused_in_words(admin: Browser, asked: dict[str, str]) -> None:
    page = admin.get("agents.index", expect=422, **asked)
    assert "Input should" not in page.text


@pytest.mark.parametrize(
    ("asked", "others"), [({}, ["CANARY-acme", "The free one"]), ({"q": "more"}, []), ({"q": "more", "state": "on"}, [])]
)
def test_pages_lead_through_all_agents_by_name(
    admin: Browser, owner: Any, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], others: list[str]
) -> None:
    monkeypatch.setattr(finding, "ROWS", 3)
    for number in range(11):
        free = number % 2 == 0
        row = agent(str(uuid4()), f"more_{number}", None if free else cast.acme.id)
        put(owner, "agents", {**row, "name": f"m {number}", "sort_key": "m" if number < 4 else f"m {number}"})
    page, seen = admin.get("agents.index", **asked), []
    while True:
        assert f"of {11 + len(others)}" in page.select_one("#agents [role=status]").text
        seen += listed(page)
        further = page.soup.select("nav[aria-label=Pages] a[rel=next]")
        if not further:
            break
        page = admin.get(further[0]["href"])
    assert len(seen) == len(set(seen)) == 11 + len(others)
    assert [name for name in seen if not name.startswith("m ")] == others


def test_a_plain_user_sees_what_is_on_and_nothing_else(app: Flask, admin: Browser, cast: SimpleNamespace) -> None:
    admin.post("agents.switch", {"on": "0"}, agent_id=FREE_AGENT, expect=303)
    user = Browser(app).sign_in(cast.acme.user)
    page = user.get("agents.index")
    assert listed(page) == ["CANARY-acme"]
    assert not page.soup.select("tbody form, [name=state], a[href='/agents/new']")
    user.get("agents.show", agent_id=FREE_AGENT, expect=404)
    assert "CANARY-acme" in user.get("agents.show", agent_id=id_of(cast.acme, "agent")).text
    for door in ("switch", "withdraw", "bring_back", "edit"):
        user.post(f"agents.{door}", {}, agent_id=id_of(cast.acme, "agent"), expect=403)
    user.get("agents.new", expect=403)
    user.post("agents.check", {"configuration": "{}"}, expect=403)


def test_the_list_asks_two_statements_and_one_for_offers_and_an_agent_four(app: Flask, admin: Browser, cast: SimpleNamespace) -> None:
    for address, most in (("/agents", 3), ("/agents?q=free&state=on", 3), (f"/agents/{id_of(cast.acme, 'agent')}", 4)):
        with counted(app) as seen:
            admin.get(address)
        assert len(seen) <= most, "\n\n".join(seen)


@pytest.mark.parametrize(
    ("description", "shown"),
    [("<b> " * 30, "<b> " * 30), ("of roses, " * 13, "of roses, " * 11 + "of roses,…"), ("x" * 121, "x" * 120 + "…")],
)
def test_what_an_agent_is_for_is_shown_up_to_the_end_of_a_word(admin: Browser, owner: Any, description: str, shown: str) -> None:
    owner.execute("UPDATE agents SET description = %s WHERE id = %s", (description, FREE_AGENT))
    assert admin.get("agents.index", owner="free").select_one("tbody .sub bdi").get_text() == shown


def test_what_is_counted_is_the_own_organizations_only(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    for tenant in (cast.acme, cast.globex):
        rows = rows_of(tenant)
        put(owner, "conversations", rows["conversations"])
        put(owner, "conversation_agents", {**rows["conversation_agents"], "agent_id": FREE_AGENT, "added_at": "2026-03-01T10:00:00Z"})
    page = admin.get("agents.index", owner="free")
    assert page.select_one("td[data-label=Conversations]").get_text(strip=True) == "1"
    assert "1 Mar 2026" in page.select_one("td[data-label='Last used']").get_text()
    assert "in 1 conversation of your organization" in admin.get("agents.show", agent_id=FREE_AGENT).text


def test_conversations_are_counted_to_ten_thousand(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    own, acme = id_of(cast.acme, "agent"), str(cast.acme.id)
    for number, told in ((10_000, "10,000"), (1, "more than 10,000")):
        owner.execute(
            """
            WITH talks AS (INSERT INTO conversations (id, tenant_id) SELECT gen_random_uuid(), %s FROM generate_series(1, %s) RETURNING id)
            INSERT INTO conversation_agents (id, tenant_id, conversation_id, agent_id, agent_type, added_at)
            SELECT gen_random_uuid(), %s, id, %s, 'ACME', '2026-03-01Z' FROM talks""",
            (acme, number, acme, own),
        )
        assert admin.get("agents.index", owner="own").select_one("td[data-label=Conversations]").get_text(strip=True) == told
        assert f"in {told} conversations of your organization" in admin.get("agents.show", agent_id=own).text
        assert f"The last 10 of {told} conversations" in admin.get("agents.withdraw", agent_id=own).text


# The switch


def test_a_free_agent_is_switched_off_for_one_organization_and_on_again(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    neighbour = Browser(app).sign_in(cast.globex.admin)
    for on, state, action in (("0", "Off", "agent_switched_off"), ("1", "On", "agent_switched_on")):
        admin.post("agents.switch", {"on": on}, agent_id=FREE_AGENT, expect=303)
        assert admin.get("agents.index", owner="free").select_one("tbody .mark").get_text() == state
        assert neighbour.get("agents.index", owner="free").select_one("tbody .mark").get_text() == "On"
        owner.execute("SELECT tenant_id::text, object_id::text FROM audit_entries WHERE action = %s", (action,))
        assert owner.fetchall() == [(str(cast.acme.id), FREE_AGENT)]
        admin.post("agents.switch", {"on": on}, agent_id=FREE_AGENT, expect=303)  # a second time changes nothing
    owner.execute("SELECT count(*) FROM audit_entries WHERE action LIKE 'agent_%'")
    assert owner.fetchone() == (2,)


def test_the_row_answers_htmx_as_it_is_now(admin: Browser, cast: SimpleNamespace) -> None:
    row = admin.post("agents.switch", {"on": "0"}, agent_id=id_of(cast.acme, "agent"), expect=200, htmx=True)
    assert row.select_one("tr")["id"] == f"agent-{id_of(cast.acme, 'agent')}"
    assert row.select_one(".mark").get_text() == "Off"
    assert row.select_one("[name=on]")["value"] == "1"


def test_an_own_agent_is_switched_itself(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    own = id_of(cast.acme, "agent")
    admin.post("agents.switch", {"on": "0"}, agent_id=own, expect=303)
    assert stored_agent(owner, "is_enabled", own) is False
    owner.execute("SELECT count(*) FROM tenant_agents")
    assert owner.fetchone() == (0,)


def test_what_the_portal_has_switched_off_for_everybody_nobody_else_switches_on(admin: Browser, owner: Any) -> None:
    owner.execute("UPDATE agents SET is_enabled = false WHERE id = %s", (FREE_AGENT,))
    page = admin.post("agents.switch", {"on": "1"}, agent_id=FREE_AGENT, expect=403)
    assert "The portal has switched it off for everybody. Ask a super admin of the portal." in page.text
    assert "switched it off for everybody" in admin.get("agents.show", agent_id=FREE_AGENT).text
    owner.execute("SELECT count(*) FROM tenant_agents")
    assert owner.fetchone() == (0,)


# Making and editing


def test_an_own_agent_is_made_and_its_configuration_comes_back_exactly(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    written = '{\n  "b": 1.50,\n  "a": [1e2, 100000000000000000000001, "ä \\u00e4 </textarea>"],   "b2": {}\n}'
    page = make_agent(admin, name="Blümen-Rat", configuration=written.replace("\n", "\r\n"), capabilities="wreaths, roses\nwreaths")
    id_ = page.location.rpartition("/")[2]
    assert stored_agent(owner, "configuration_template::text", id_) == written
    assert stored_agent(owner, "agent_type", id_) == "BLUMEN_RAT"
    assert stored_agent(owner, "capabilities", id_) == ["wreaths", "roses"]
    assert (stored_agent(owner, "owner_tenant_id::text", id_), stored_agent(owner, "is_free_agent", id_)) == (str(cast.acme.id), False)
    assert stored_agent(owner, "created_by::text", id_) == str(cast.acme.admin.id)
    shown = admin.get("agents.edit", agent_id=id_)
    assert shown.form(f"main form[action='/agents/{id_}/edit']")["configuration"].lstrip("\n") == written
    assert admin.get("agents.show", agent_id=id_).select_one("pre").get_text() == written
    edit_agent(admin, id_, description="For the spring.")
    assert stored_agent(owner, "configuration_template::text", id_) == written
    assert stored_agent(owner, "version", id_) == 2


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", "", "Enter a name."),
        ("agent_type", "AB", "3 to 64 letters"),
        ("agent_type", "9LIVES", "3 to 64 letters"),
        ("agent_type", "<b>", "3 to 64 letters"),
        ("agent_type", "X" * 65, "3 to 64 letters"),
        ("agent_type", "CANARY_ACME", "has the type CANARY_ACME already"),
        ("capabilities", "x" * 61, "longer than 60"),
        ("capabilities", "\n".join(map(str, range(21))), "at most 20"),
        ("configuration", '{"a": 1, "a": 2}', "Line 1, column 10 (a): this key stands twice"),
        ("configuration", '{\n "n": NaN}', "Line 2, column 7: NaN is no number"),
        ("configuration", '{"n": 1e400}', "too large"),
        ("configuration", "[1]", "has to be an object"),
        ("configuration", "", "a value is missing here"),
        ("configuration", '{"t": "\\u0000"}', "U+0000"),
        ("configuration", '{"a":' * 21 + "1" + "}" * 21, "deeper than 20"),
        ("configuration", '{"t": "' + "x" * 70_000 + '"}', "larger than 64 KiB"),
        ("configuration", '{"deep": {"key": "sk-proj-abcdefghijklmnopqrstuvwx"}}', "(deep.key): this looks like a secret key"),
    ],
)
def test_what_cannot_be_kept_is_refused_beside_its_field(admin: Browser, owner: Any, field: str, typed: str, sentence: str) -> None:
    page = make_agent(admin, expect=422, **{field: typed})
    assert sentence in page.fault(field)
    if field == "configuration":
        assert page.form("main form[action='/agents/new']")["configuration"].lstrip("\n") == typed  # nothing that was typed is lost
        quick = admin.post("agents.check", {"configuration": typed}, expect=200)
        assert sentence in quick.select_one(".refused").get_text()
    owner.execute("SELECT count(*) FROM agents WHERE name = 'Flower advice'")
    assert owner.fetchone() == (0,)


def test_what_a_form_may_not_say_counts_for_nothing(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    forged = {
        "id": FREE_AGENT, "is_free_agent": "1", "owner_tenant_id": str(cast.globex.id), "created_by": str(cast.globex.admin.id),
        "is_active": "", "sort_key": "0", "created_at": "2000-01-01",
    }  # fmt: skip
    id_ = make_agent(admin, **forged).location.rpartition("/")[2]
    assert id_ != FREE_AGENT
    owner.execute("SELECT is_free_agent, owner_tenant_id::text, is_active, sort_key, version FROM agents WHERE id = %s", (id_,))
    assert owner.fetchone() == (False, str(cast.acme.id), True, "flower advice", 1)
    edit_agent(admin, id_, **forged)
    owner.execute("SELECT is_free_agent, owner_tenant_id::text, is_active FROM agents WHERE id = %s", (id_,))
    assert owner.fetchone() == (False, str(cast.acme.id), True)


def test_an_org_admin_changes_no_free_agent_and_learns_who_can(app: Flask, admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    for door in ("edit", "withdraw", "bring_back"):
        page = admin.post(f"agents.{door}", {"name": "Mine now"}, agent_id=FREE_AGENT, expect=403)
        assert "Ask a super admin of the portal." in page.text
    Browser(app).sign_in(cast.platform.admin).post("agents.withdraw", {}, agent_id=FREE_AGENT, expect=403)
    assert (stored_agent(owner, "name", FREE_AGENT), stored_agent(owner, "is_active", FREE_AGENT)) == ("The free one", True)


def test_a_super_admin_changes_a_free_agent_for_everybody(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    above = Browser(app).sign_in(cast.platform.super)
    edit_agent(above, FREE_AGENT, name="For all of you")
    assert listed(admin.get("agents.index", owner="free")) == ["For all of you"]
    above.post("agents.withdraw", {}, agent_id=FREE_AGENT, expect=303)
    admin.get("agents.show", agent_id=FREE_AGENT, expect=404)
    assert listed(admin.get("agents.index", owner="free")) == []
    assert listed(above.get("agents.index", state="withdrawn")) == ["For all of you"]
    above.post("agents.bring_back", {}, agent_id=FREE_AGENT, expect=303)
    assert listed(admin.get("agents.index", owner="free")) == ["For all of you"]


def test_a_neighbours_agent_is_as_unknown_as_none(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    theirs = id_of(cast.globex, "agent")
    for id_ in (theirs, str(uuid4())):
        answers = [admin.get(f"agents.{door}", agent_id=id_, expect=404).text for door in ("show", "edit")]
        answers += [admin.post(f"agents.{door}", {"on": "0"}, agent_id=id_, expect=404).text for door in ("switch", "withdraw", "edit")]
        assert len({answer.replace(id_, "") for answer in answers}) == 1
    assert stored_agent(owner, "is_enabled", theirs) is True
    make_agent(admin, agent_type="CANARY_GLOBEX")  # a type that a neighbour has is free here


def test_a_type_is_free_again_once_its_agent_is_withdrawn(admin: Browser, cast: SimpleNamespace) -> None:
    own = id_of(cast.acme, "agent")
    admin.post("agents.withdraw", {}, agent_id=own, expect=303)
    assert listed(admin.get("agents.index", state="withdrawn")) == ["CANARY-acme"]
    make_agent(admin, agent_type="CANARY_ACME")
    page = admin.post("agents.bring_back", {}, agent_id=own, expect=422)
    assert "has the type CANARY_ACME already" in page.text


def test_two_editors_lose_nothing(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    own = id_of(cast.acme, "agent")
    form = admin.get("agents.edit", agent_id=own).form(f"main form[action='/agents/{own}/edit']")
    edit_agent(Browser(app).sign_in(cast.acme.admin2), own, name="Theirs", description="From the other")
    page = admin.post("agents.edit", {**form, "name": "Mine"}, agent_id=own, expect=409)
    assert "Somebody else saved this agent" in page.text
    both = [cell.get_text(strip=True) for cell in page.select("#conflict td")]
    assert both == ["Theirs", "Mine", "From the other"]
    now = {**page.form(f"main form[action='/agents/{own}/edit']"), "publish": "y"}
    assert (now["name"], now["description"].strip()) == ("Mine", "From the other")
    admin.post("agents.edit", now, agent_id=own, expect=303)
    assert (stored_agent(owner, "name", own), stored_agent(owner, "description", own)) == ("Mine", "From the other")


def test_of_twenty_agents_of_one_type_at_once_one_is_made(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    browsers = [Browser(app).sign_in(cast.acme.admin) for _ in range(20)]
    forms = [browser.get("agents.new").form("main form[action='/agents/new']") for browser in browsers]
    said = {"name": "At once", "agent_type": "AT_ONCE", "configuration": "{}"}
    making = (posting(browser, "/agents/new", {**form, **said}) for browser, form in zip(browsers, forms, strict=True))
    assert sorted(at_once(*making)) == [303, *[422] * 19]
    owner.execute("SELECT count(*) FROM agents WHERE agent_type = 'AT_ONCE'")
    assert owner.fetchone() == (1,)


def test_an_organization_has_no_more_agents_than_it_may(admin: Browser, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST", 2)
    make_agent(admin)
    page = make_agent(admin, expect=422, name="One more")
    assert "An organization has at most 2 agents, withdrawn ones included. Remove some of them first." in page.text
    page = admin.post(
        "agents.clone", {**admin.get("agents.show", agent_id=FREE_AGENT).form("form[action$=clone]")}, agent_id=FREE_AGENT, expect=422
    )
    assert "at most 2 agents" in page.text
    owner.execute("SELECT count(*) FROM agents WHERE owner_tenant_id IS NOT NULL AND name IN ('Flower advice', 'One more')")
    assert owner.fetchone() == (1,)


def test_a_form_that_is_sent_twice_makes_one_agent(admin: Browser, owner: Any) -> None:
    form = admin.get("agents.new").form("main form[action='/agents/new']")
    admin.post("agents.new", {**form, "name": "Once", "configuration": "{}"}, expect=303)
    admin.post("agents.new", {**form, "name": "Once", "agent_type": "ANOTHER", "configuration": "{}"}, expect=409)
    owner.execute("SELECT count(*) FROM agents WHERE name = 'Once'")
    assert owner.fetchone() == (1,)


def test_the_history_of_an_agent_is_told_without_its_configuration(admin: Browser, cast: SimpleNamespace) -> None:
    own = id_of(cast.acme, "agent")
    edit_agent(admin, own, configuration='{"prompt": "a secret of the house"}', name="Renamed")
    told = [" ".join(item.get_text().split()) for item in admin.get("agents.show", agent_id=own).select(".happened p")]
    assert told[-2:] == [
        "CANARY-acme Admin published a version of an agent; published version: 1 →became 2",
        "CANARY-acme Admin changed an agent; name: CANARY-acme →became Renamed; version: 1 →became 2; configuration: changed",
    ]
    assert "a secret of the house" not in admin.get("audit.index", about="agent").text


# What comes with the portal


def test_the_catalogue_is_brought_in_once_and_follows_only_what_nobody_changed(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any
) -> None:
    def load() -> int:
        with closing(connect(settings.platform_database_url)) as connection:
            return shipped.load(connection)

    assert load() == 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "_bring_in", lambda agent, _cursor: pytest.fail(f"{agent.name} is there"))
        assert load() == 0
    owner.execute("SELECT agent_type FROM agents WHERE is_free_agent AND is_active ORDER BY 1")
    assert [row[0] for row in owner.fetchall()] == [
        "COMPLIANCE", "EMERGENCY", "FINANCIAL_SERVICES", "GRIEF_SUPPORT", "INVENTORY", "MODERATOR", "REGULATORY",
        "RELIGIOUS_TRADITIONS", "SENSITIVE_CHAT", "WEB_SEARCH",
    ]  # fmt: skip
    owner.execute("SELECT id::text FROM agents WHERE agent_type IN ('EMERGENCY', 'INVENTORY') ORDER BY agent_type")
    changed, withdrawn = (row[0] for row in owner.fetchall())
    above = Browser(app).sign_in(cast.platform.super)
    edit_agent(above, changed, name="First aid")
    above.post("agents.withdraw", {}, agent_id=withdrawn, expect=303)
    owner.execute("UPDATE agents SET description = 'An older text' WHERE agent_type = 'MODERATOR'")
    assert load() == 1
    assert stored_agent(owner, "name", changed) == "First aid"
    owner.execute("SELECT count(*) FROM agents WHERE agent_type = 'INVENTORY'")
    assert owner.fetchone() == (1,)
    assert Browser(app).sign_in(cast.acme.user).get("agents.index").text.count("never") == 9


def test_the_command_says_what_it_did(app: Flask, cast: SimpleNamespace) -> None:
    told = app.test_cli_runner().invoke(args=["load-catalogue"])
    assert (told.exit_code, told.output) == (0, "10 of 10 free agents were loaded or follow a newer text.\n")


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("Flower advice", "FLOWER_ADVICE"),
        ("  Blümen – Rat ", "BLUMEN_RAT"),
        ("4 seasons", "SEASONS"),
        ("花", ""),
        ("ab", ""),
        ("x" * 90, "X" * 64),
    ],
)
def test_a_name_suggests_a_type(name: str, suggested: str) -> None:
    assert suggested_type(name) == suggested
