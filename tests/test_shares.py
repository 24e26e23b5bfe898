"""Sharing an agent with another organization: agreed by both, read and used there, ended by either, told in both audit logs."""

import threading
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal import policy
from portal.agents import finding
from portal.config import Settings
from portal.database import connect
from portal.database.reading import Reading
from portal.jobs import services as jobs
from portal.shares import services
from portal.testing import Browser, do_jobs
from tests.attack.furniture import FREE_AGENT, agent, id_of, put, rows_of
from tests.attack.roles import DENIED, Role
from tests.statements import counted
from tests.steps import at_once, doing, edit_agent, lease_is_over, listed, newest_share, offer, posting, share_entries, share_state

NOTICE = "If there is such an organization, its administrators can accept it for 30 days."
UNPUBLISHED = "UPDATE agents SET published_version = NULL WHERE owner_tenant_id IS NOT NULL"


# The whole way


def test_an_agent_is_offered_accepted_used_and_ended(
    app: Flask, acme: Browser, globex: Browser, cast: SimpleNamespace, owner: Any, flowers: str
) -> None:
    assert offer(acme, flowers).location == f"/agents/{flowers}"
    page = acme.follow()
    assert f"Flower advice is offered to “globex”. {NOTICE}" in page.text
    assert page.select_one("section[aria-labelledby=shared-title] tbody th").get_text() == "globex"
    assert page.select_one("section[aria-labelledby=shared-title] .mark").get_text() == "Offered"

    globex.get("agents.show", agent_id=flowers, expect=404)
    page = globex.get("agents.index")
    assert listed(page) == []
    assert "One agent is offered to you." in page.text
    page = globex.get("shares.index")
    assert [" ".join(cell.get_text(" ").split()) for cell in page.select("tbody tr > *")[:2]] == ["Flower advice", "CANARY-acme House acme"]
    assert "Accept" in page.select_one("tbody").text
    globex.post("shares.accept", share_id=newest_share(owner))
    assert "Flower advice is shared with your organization" in globex.follow().text

    user = Browser(app).sign_in(cast.globex.user)
    page = user.get("agents.index")
    assert listed(page) == ["Flower advice"]
    assert page.select_one("td[data-label=Whose]").get_text() == "Shared with you"
    page = user.get("agents.show", agent_id=flowers)
    assert page.select_one("pre").get_text() == '{"tone": "calm"}'
    assert not page.select("main form, #shared-title")
    assert "CANARY-acme House shares this agent" in globex.get("agents.show", agent_id=flowers).text
    page = acme.get("agents.show", agent_id=flowers)
    assert page.select_one("section[aria-labelledby=shared-title] tbody th").get_text() == "CANARY-globex House globex"
    assert page.select_one("section[aria-labelledby=shared-title] .mark").get_text() == "Shared"

    acme.post("shares.end", share_id=newest_share(owner))
    assert "CANARY-globex House has Flower advice no longer." in acme.follow().text
    assert listed(user.get("agents.index")) == []
    user.get("agents.show", agent_id=flowers, expect=404)
    assert "No organization shares an agent with yours." in globex.get("shares.index").text


def test_a_partner_ends_it_too_and_it_can_be_offered_anew(acme: Browser, globex: Browser, owner: Any, flowers: str, shared: str) -> None:
    globex.post("shares.end", share_id=shared)
    assert "Your organization uses Flower advice no longer." in globex.follow().text
    globex.get("agents.show", agent_id=flowers, expect=404)
    offer(acme, flowers)
    asking = globex.get("shares.index").select_one("details:has(form[action$=refuse])")
    assert "can offer it again" in asking.select_one("p").get_text()
    assert not asking.has_attr("open")
    globex.post("shares.refuse", share_id=newest_share(owner))
    assert "Flower advice was refused." in globex.follow().text
    globex.get("agents.show", agent_id=flowers, expect=404)
    assert "Only your organization has it." in acme.get("agents.show", agent_id=flowers).text
    offer(acme, flowers)
    owner.execute("SELECT state FROM agent_shares ORDER BY id")
    assert owner.fetchall() == [("ended",), ("refused",), ("offered",)]


def test_an_offer_that_was_taken_back_is_seen_no_more(acme: Browser, globex: Browser, offered: str) -> None:
    acme.post("shares.end", share_id=offered)
    assert "Nothing is offered to you." in globex.get("shares.index").text
    globex.post("shares.accept", share_id=offered, expect=404)


# Offering


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "3 to 63 small letters"),
        ("a b", "cannot have spaces"),
        ("acme", "This is your own organization"),
        ("ACME ", "This is your own organization"),
        ("platform", "is kept for the portal itself"),
        ("GLOBEX", "It is offered to “globex” already."),
    ],
)
def test_what_cannot_be_offered_is_refused_beside_the_field(
    acme: Browser, owner: Any, flowers: str, offered: str, typed: str, sentence: str
) -> None:
    page = offer(acme, flowers, typed, expect=422)
    assert sentence in page.fault("subdomain")
    assert page.form("main form[action$='/offer']")["subdomain"] == typed
    owner.execute("SELECT count(*) FROM agent_shares")
    assert owner.fetchone() == (1,)


def test_what_is_shared_is_not_offered_again(acme: Browser, flowers: str, shared: str) -> None:
    assert "It is shared with “globex” already." in offer(acme, flowers, expect=422).fault("subdomain")


def test_an_offer_tells_nothing_of_whether_there_is_such_an_organization(app: Flask, acme: Browser, flowers: str) -> None:
    answers = []
    for subdomain in ("globex", "hades", "nobody-has-this"):
        form = acme.get("shares.offer", agent_id=flowers).form("main form[action$='/offer']")
        with counted(app) as seen:
            done = acme.client.post(f"/agents/{flowers}/offer", data={**form, "subdomain": subdomain})
        followed = acme.get(done.location)
        row = followed.select(f"section[aria-labelledby=shared-title] tbody tr:-soup-contains('{subdomain}')")[0]
        words = [cell.get_text(" ", strip=True).replace(subdomain, "…") for cell in row.select("th, .mark, button")]
        said = followed.select_one("#said").get_text().replace(subdomain, "…")
        answers.append((done.status_code, done.location, seen, words, said))
        assert not [statement for statement in seen if "organization_directory" in statement]
    assert answers[0] == answers[1] == answers[2]


def test_the_worker_ends_alike_for_an_organization_that_is_not_there(app: Flask, acme: Browser, owner: Any, flowers: str) -> None:
    for subdomain in ("globex", "nobody-has-this"):
        offer(acme, flowers, subdomain)
    do_jobs(app)
    owner.execute("SELECT DISTINCT state, report, error, done, total, attempts FROM jobs")
    assert owner.fetchall() == [("done", {}, None, 0, None, 1)]


def test_fifty_offers_may_wait_and_a_hundred_be_made_in_a_day(
    acme: Browser, owner: Any, flowers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "MOST_OPEN", 2)
    monkeypatch.setattr(services, "MOST_A_DAY", 3)
    for number in range(2):
        offer(acme, flowers, f"somebody-{number}")
    assert "2 offers of your organization wait for an answer. End one of them first." in offer(acme, flowers, expect=422).text
    owner.execute("UPDATE agent_shares SET state = 'ended'")
    offer(acme, flowers)
    assert "Your organization has made 3 offers within a day." in offer(acme, flowers, "others", expect=422).text
    owner.execute("UPDATE idempotency_keys SET expires_at = now()")
    offer(acme, flowers, "others")


def test_what_has_expired_is_offered_anew(acme: Browser, globex: Browser, owner: Any, flowers: str, offered: str) -> None:
    owner.execute("UPDATE agent_shares SET expires_at = now() - interval '1 second'")
    assert "Nothing is offered to you." in globex.get("shares.index").text
    assert "offered to you" not in globex.get("agents.index").text
    globex.post("shares.accept", share_id=offered, expect=404)
    assert acme.get("agents.show", agent_id=flowers).select_one("section[aria-labelledby=shared-title] .mark").get_text() == "Offer expired"
    offer(acme, flowers)
    assert (share_state(owner, offered), share_state(owner, newest_share(owner))) == ("ended", "offered")
    globex.post("shares.accept", share_id=newest_share(owner))


def test_a_form_that_is_sent_twice_offers_once(acme: Browser, owner: Any, flowers: str) -> None:
    form = acme.get("shares.offer", agent_id=flowers).form("main form[action$='/offer']")
    acme.post("shares.offer", {**form, "subdomain": "globex"}, agent_id=flowers)
    page = acme.post("shares.offer", {**form, "subdomain": "others"}, agent_id=flowers, expect=409)
    assert "This form was sent before" in page.text
    owner.execute("SELECT count(*) FROM agent_shares")
    assert owner.fetchone() == (1,)


def test_who_may_offer_which_agent(app: Flask, acme: Browser, cast: SimpleNamespace, owner: Any, flowers: str) -> None:
    put(owner, "agents", agent(FREE_AGENT, "free", None))
    put(owner, "agents", rows_of(cast.globex)["agents"])
    for subdomain, agent_id, words, status in (
        ("globex", FREE_AGENT, "It is free: every organization has it already.", 403),
        ("globex", id_of(cast.globex, "agent"), "There is nothing at this address.", 404),
    ):
        for method in ("GET", "POST"):
            page = acme.open(
                method, "shares.offer", agent_id=agent_id, data={"subdomain": subdomain, "csrf_token": acme.token()}, expect=status
            )
            assert words in page.text
    Browser(app).sign_in(cast.acme.user).post("shares.offer", {"subdomain": "globex"}, agent_id=flowers, expect=403)
    for person in (cast.platform.admin, cast.platform.super):
        browser = Browser(app).sign_in(person)
        browser.post("shares.offer", {"subdomain": "globex"}, agent_id=FREE_AGENT, expect=403)
        browser.get("shares.index", expect=403)
    owner.execute(UNPUBLISHED)
    page = acme.post("shares.offer", {"subdomain": "globex"}, agent_id=flowers, expect=403)
    assert "No version of it is published; nobody could use it." in page.text
    owner.execute("UPDATE agents SET is_active = false")
    assert "The agent was withdrawn." in acme.post("shares.offer", {"subdomain": "globex"}, agent_id=flowers, expect=403).text
    owner.execute("SELECT count(*) FROM agent_shares")
    assert owner.fetchone() == (0,)


# Who answers


def test_the_wrong_organization_answers_nothing(
    app: Flask, acme: Browser, cast: SimpleNamespace, owner: Any, offered: str, database_role: Role
) -> None:
    owner.execute("UPDATE tenants SET is_active = true WHERE subdomain = 'hades'")
    wrong, stranger = cast.hades.admin, Browser(app).sign_in(cast.hades.admin)
    known = [stranger.post(f"shares.{act}", share_id=offered, expect=404).text for act in ("accept", "refuse", "end")]
    unknown = stranger.post("shares.accept", share_id=uuid4(), expect=404).text
    assert {text.replace(offered, "") for text in known} == {unknown}
    accept = "UPDATE agent_shares SET state = 'accepted', partner = %s, decided_by = %s WHERE id = %s"
    assert database_role.do_as(wrong, accept, (str(wrong.tenant_id), str(wrong.id), offered)).answer == 0
    assert database_role.do_as(wrong, "SELECT * FROM agent_shares").answer == 0
    assert share_state(owner, offered) == "offered"


def test_the_owner_does_not_accept_its_own_offer(
    acme: Browser, cast: SimpleNamespace, owner: Any, offered: str, database_role: Role
) -> None:
    for act in ("accept", "refuse"):
        assert "the other one answers" in acme.post(f"shares.{act}", share_id=offered, expect=403).text
    accept = "UPDATE agent_shares SET state = 'accepted', partner = %s, partner_name = '', decided_by = %s WHERE id = %s"
    for partner, person in ((cast.globex.id, cast.globex.admin), (cast.acme.id, cast.acme.admin)):
        assert database_role.do_as(cast.acme.admin, accept, (str(partner), str(person.id), offered)).answer == DENIED
    assert (
        database_role.do_as(cast.acme.admin, "UPDATE agent_shares SET state = 'refused', partner = %s", (str(cast.acme.id),)).answer
        == DENIED
    )
    assert share_state(owner, offered) == "offered"


def test_a_partner_accepts_for_itself_and_for_nobody_else(cast: SimpleNamespace, owner: Any, offered: str, database_role: Role) -> None:
    for act in ("accepted", "refused", "ended"):
        for other in (cast.hades.id, cast.acme.id, None):
            statement = (
                f"UPDATE agent_shares SET state = '{act}', partner = %s"  # without a condition, which would ask the policy of reading
            )
            assert database_role.do_as(cast.globex.admin, statement, (other and str(other),)).refused in (DENIED, "23514")
    assert share_state(owner, offered) == "offered"


def test_only_administrators_answer_and_end(app: Flask, cast: SimpleNamespace, globex: Browser, owner: Any, offered: str) -> None:
    user = Browser(app).sign_in(cast.globex.user)
    assert "offered to you" not in user.get("agents.index").text
    user.get("shares.index", expect=403)
    for act in ("accept", "refuse", "end"):
        user.post(f"shares.{act}", share_id=offered, expect=403)
    assert "Refuse it instead." in globex.post("shares.end", share_id=offered, expect=403).text
    assert share_state(owner, offered) == "offered"
    globex.post("shares.accept", share_id=offered)
    for person in (cast.globex.user, cast.acme.user):
        Browser(app).sign_in(person).post("shares.end", share_id=offered, expect=403)
    assert share_state(owner, offered) == "accepted"


def test_what_is_over_is_over(acme: Browser, globex: Browser, cast: SimpleNamespace, owner: Any, shared: str, database_role: Role) -> None:
    globex.post("shares.end", share_id=shared)
    for browser, act in ((globex, "accept"), (globex, "refuse"), (globex, "end"), (acme, "end")):
        assert "Somebody was faster" in browser.post(f"shares.{act}", share_id=shared, expect=409).text
    for person in (cast.acme.admin, cast.globex.admin):
        again = "UPDATE agent_shares SET state = 'accepted', partner = %s, decided_by = NULL"
        assert database_role.do_as(person, again, (str(person.tenant_id),)).answer == 0
    assert share_state(owner, shared) == "ended"


# What a partner may


def test_a_partner_has_the_published_version_and_no_other(
    app: Flask, acme: Browser, globex: Browser, cast: SimpleNamespace, owner: Any, flowers: str, shared: str, database_role: Role
) -> None:
    edit_agent(acme, flowers, name="Flower advice, new", configuration='{"tone": "loud"}', publish="")
    page = globex.get("agents.show", agent_id=flowers)
    assert (page.heading, page.select_one("pre").get_text()) == ("Flower advice", '{"tone": "calm"}')
    assert "loud" not in page.text
    assert database_role.do_as(cast.globex.admin, "SELECT * FROM agent_versions").answer == 0
    acme.post("agents.publish", {"number": "2"}, agent_id=flowers)
    page = globex.get("agents.show", agent_id=flowers)
    assert (page.heading, page.select_one("pre").get_text()) == ("Flower advice, new", '{"tone": "loud"}')
    acme.post("agents.unpublish", agent_id=flowers)
    globex.get("agents.show", agent_id=flowers, expect=404)
    assert listed(globex.get("agents.index")) == []
    assert "not available at the moment" in globex.get("shares.index").text
    acme.post("agents.publish", {"number": "1"}, agent_id=flowers)
    acme.post("agents.withdraw", agent_id=flowers)
    globex.get("agents.show", agent_id=flowers, expect=404)
    assert "not available at the moment" in globex.get("shares.index").text


def test_a_partner_changes_nothing_of_it(
    globex: Browser, acme: Browser, cast: SimpleNamespace, owner: Any, flowers: str, shared: str
) -> None:
    edit_agent(acme, flowers, description="Second", publish="")
    owner.execute("SELECT to_jsonb(a) FROM agents a")
    before = owner.fetchall()
    for door in ("edit", "history", "compare", "remove", "withdraw", "offer"):
        room = "shares" if door == "offer" else "agents"
        assert "It belongs to another organization" in globex.get(f"{room}.{door}", agent_id=flowers, expect=403).text
    for door in ("edit", "keep_draft", "publish", "restore", "unpublish", "withdraw", "bring_back", "remove"):
        globex.post(f"agents.{door}", {"number": "2", "name": "Ours"}, agent_id=flowers, expect=403)
    globex.post("shares.offer", {"subdomain": "hades"}, agent_id=flowers, expect=403)
    owner.execute("SELECT to_jsonb(a) FROM agents a")
    assert owner.fetchall() == before


def test_a_partner_switches_it_for_itself_alone(
    app: Flask, acme: Browser, globex: Browser, cast: SimpleNamespace, flowers: str, shared: str
) -> None:
    globex.post("agents.switch", {"on": "0"}, agent_id=flowers)
    assert listed(Browser(app).sign_in(cast.globex.user).get("agents.index")) == []
    assert globex.get("agents.index").select_one("tbody .mark").get_text() == "Off"
    assert acme.get("agents.index").select_one("tbody .mark").get_text() == "On"
    globex.post("agents.switch", {"on": "1"}, agent_id=flowers)
    acme.post("agents.switch", {"on": "0"}, agent_id=flowers)
    page = globex.post("agents.switch", {"on": "1"}, agent_id=flowers, expect=403)
    assert "The organization that it belongs to has switched it off." in page.text


def test_a_conversation_takes_it_while_it_is_shared(
    acme: Browser, cast: SimpleNamespace, owner: Any, flowers: str, shared: str, database_role: Role
) -> None:
    talks = [rows_of(cast.globex)["conversations"] | {"id": str(uuid4())} for _ in range(2)]
    for talk in talks:
        put(owner, "conversations", talk)
    join = """
        INSERT INTO conversation_agents (id, conversation_id, tenant_id, agent_type, agent_id, is_active)
        VALUES (gen_random_uuid(), %s, %s, 'FLOWERS', %s, true)"""

    def joins(talk: dict[str, Any]) -> int | str:
        return database_role.do_as(cast.globex.user, join, (talk["id"], str(cast.globex.id), flowers)).answer

    assert joins(talks[0]) == 1
    acme.post("shares.end", share_id=shared)
    assert joins(talks[1]) == DENIED


def without_its_filter(owner: Any) -> str:
    """What find_agent() asks, but not whose the agent is."""
    owner.execute("SELECT prosrc, array_to_string(proargnames[3:], ', ') FROM pg_proc WHERE proname = 'find_agent'")
    source, columns = owner.fetchone()
    asked, its_filter, _ = source.partition("RETURN QUERY")[2].partition("AND CASE WHEN a.owner_tenant_id IS NULL")
    assert its_filter
    asked = asked.replace("$1", "CAST(%(tenant)s AS uuid)").replace("$2", "%(agent)s")
    return f"SELECT * FROM ({asked}) AS found ({columns})"


def test_rls_alone_keeps_neighbours_from_what_is_not_shared_with_them(
    acme: Browser, globex: Browser, cast: SimpleNamespace, owner: Any, flowers: str, offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filters of the code are taken out: every statement asks for all rows."""
    owner.execute("UPDATE agent_shares SET partner_subdomain = 'others', agent_name = 'CANARY of the share'")
    monkeypatch.setattr(services, "ONE", Reading(f"SELECT {services.COLUMNS} FROM {services.SOURCE} WHERE s.id = %(share)s"))
    monkeypatch.setattr(services, "WAITING", Reading(f"SELECT {services.COLUMNS} FROM {services.SOURCE}"))
    monkeypatch.setattr(services, "HELD", services.WAITING)
    monkeypatch.setattr(services, "NUMBER_WAITING", Reading("SELECT count(*) AS number FROM agent_shares"))
    monkeypatch.setattr(finding, "ONE", Reading(without_its_filter(owner)))
    assert "CANARY of the share" not in globex.get("shares.index").text
    assert "offered to you" not in globex.get("agents.index").text
    for act in ("accept", "refuse", "end"):
        globex.post(f"shares.{act}", share_id=offered, expect=404)
    for door in ("agents.show", "agents.edit", "shares.offer"):
        globex.get(door, agent_id=flowers, expect=404)
    globex.post("shares.offer", {"subdomain": "hades"}, agent_id=flowers, expect=404)
    assert acme.get("agents.show", agent_id=flowers).heading == "Flower advice", "the statements without their filters work"
    acme.post("shares.end", share_id=offered)


# At the same moment


def sending(app: Flask, person: Any, act: str, share_id: str) -> Any:
    browser = Browser(app).sign_in(person)
    return posting(browser, f"/agents/shares/{share_id}/{act}", {"csrf_token": browser.token()})


def test_of_many_administrators_one_accepts(app: Flask, cast: SimpleNamespace, owner: Any, offered: str) -> None:
    people = [cast.globex.admin, cast.globex.admin2] * 4
    assert sorted(at_once(*(sending(app, person, "accept", offered) for person in people))) == [303, *[409] * 7]
    do_jobs(app)
    assert [action for _, action in share_entries(owner, cast.globex)].count("agent_share_accepted") == 1
    assert [action for _, action in share_entries(owner, cast.acme)].count("agent_share_accepted") == 1


def test_accepting_while_the_owner_ends_is_one_or_the_other(
    app: Flask, cast: SimpleNamespace, owner: Any, flowers: str, acme: Browser
) -> None:
    for _ in range(5):
        offer(acme, flowers)
        share_id = newest_share(owner)
        acts = [sending(app, cast.acme.admin, "end", share_id), sending(app, cast.globex.admin, "accept", share_id)]
        statuses = sorted(at_once(*acts))
        assert statuses in ([303, 303], [303, 404], [303, 409])
        assert share_state(owner, share_id) == "ended", "whoever came first: the end is the end"
        owner.execute("SELECT partner IS NOT NULL FROM agent_shares WHERE id = %s", (share_id,))
        assert owner.fetchone() == (statuses == [303, 303],)


@pytest.mark.parametrize("answer", ["accepted", "refused", "ended"])
def test_whoever_is_held_up_by_another_answer_learns_of_it(
    app: Flask, cast: SimpleNamespace, owner: Any, offered: str, cluster: Any, database: str, answer: str
) -> None:
    accept, statuses = sending(app, cast.globex.admin, "accept", offered), []
    thread = threading.Thread(target=lambda: statuses.append(accept()))
    with closing(connect(cluster.urls(database)["owner"])) as other, other.cursor() as cursor:
        cursor.execute(f"UPDATE agent_shares SET state = '{answer}', partner = %s", (str(cast.globex.id),))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits for the row"
        other.commit()
        thread.join(10)
    assert (statuses, share_state(owner, offered)) == ([409], answer)


def test_an_offer_waits_for_another_one_of_its_organization(
    app: Flask, acme: Browser, cast: SimpleNamespace, owner: Any, flowers: str, cluster: Any, database: str
) -> None:
    form, statuses = acme.get("shares.offer", agent_id=flowers).form("main form[action$='/offer']"), []

    def send() -> None:
        statuses.append(acme.client.post(f"/agents/{flowers}/offer", data={**form, "subdomain": "globex"}).status_code)

    thread = threading.Thread(target=send)
    with closing(connect(cluster.urls(database)["owner"])) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM tenants WHERE id = %s FOR NO KEY UPDATE", (str(cast.acme.id),))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        share = rows_of(cast.acme)["agent_shares"] | {"agent_id": flowers, "partner_subdomain": "globex", "partner_name": None}
        put(cursor, "agent_shares", share)
        other.commit()
        thread.join(10)
    assert statuses == [422], "it is offered already, by the one that was waited for"


def test_of_many_offers_of_the_same_one_is_made(app: Flask, cast: SimpleNamespace, owner: Any, flowers: str) -> None:
    def send() -> Any:
        browser = Browser(app).sign_in(cast.acme.admin)
        form = browser.get("shares.offer", agent_id=flowers).form("main form[action$='/offer']")
        return lambda: browser.client.post(f"/agents/{flowers}/offer", data={**form, "subdomain": "globex"}).status_code

    assert sorted(at_once(*[send() for _ in range(6)])) == [303, *[422] * 5]
    owner.execute("SELECT count(*) FROM agent_shares")
    assert owner.fetchone() == (1,)


# What the audit logs say


def test_both_audit_logs_tell_of_it_and_of_nobody_of_the_other_side(
    app: Flask, settings: Settings, acme: Browser, globex: Browser, cast: SimpleNamespace, owner: Any, flowers: str
) -> None:
    with closing(connect(settings.worker_database_url)) as connection:
        connection.autocommit = True
        offer(acme, flowers)
        assert share_entries(owner, cast.globex) == []
        doing(app, settings).act(connection)
        globex.post("shares.accept", share_id=newest_share(owner))
        doing(app, settings).act(connection)
        acme.post("shares.end", share_id=newest_share(owner))
        doing(app, settings).act(connection)
        offer(acme, flowers)
        globex.post("shares.refuse", share_id=newest_share(owner))
        doing(app, settings).act(connection)
    ours, theirs = "CANARY-acme Admin", "The organization CANARY-globex House"
    acts = ["agent_offered", "agent_share_accepted", "agent_share_ended", "agent_offered", "agent_share_refused"]
    assert sorted(share_entries(owner, cast.acme)) == sorted(zip([ours, theirs, ours, ours, theirs], acts, strict=True))
    ours, theirs = "CANARY-globex Admin", "The organization CANARY-acme House"
    assert sorted(share_entries(owner, cast.globex)) == sorted(zip([theirs, ours, theirs, theirs, ours], acts, strict=True))
    for tenant, other in ((cast.acme, cast.globex), (cast.globex, cast.acme)):
        owner.execute(
            "SELECT actor_id, network, changes FROM audit_entries WHERE tenant_id = %s AND actor_name LIKE 'The org%%'", (str(tenant.id),)
        )
        assert {(actor, network, str(changes)) for actor, network, changes in owner.fetchall()} == {
            (None, None, str({"agent": [None, "Flower advice"]}))
        }
        page = (acme if tenant is cast.acme else globex).get("audit.index", about="share")
        assert f"The organization {other.name}" in page.text
    told_here = [" ".join(item.get_text().split()) for item in acme.get("agents.show", agent_id=flowers).select(".happened p")]
    assert "The organization CANARY-globex House refused an agent that was offered" in told_here
    assert "CANARY-acme Admin ended the sharing of an agent; organization: CANARY-globex House" in told_here
    assert app.test_cli_runner().invoke(args=["verify-audit"]).exit_code == 0


def test_an_entry_is_written_once_also_when_the_worker_dies_in_between(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, offered: str
) -> None:
    with closing(connect(settings.worker_database_url)) as connection:
        connection.autocommit = True
        for _ in range(3):  # what a worker leaves that dies after the entry and before the end of its job
            doing(app, settings).act(connection)
            owner.execute("UPDATE jobs SET state = 'running', finished_at = NULL, report = NULL")
            lease_is_over(owner)
    assert share_entries(owner, cast.globex) == [("The organization CANARY-acme House", "agent_offered")]


def test_the_other_side_is_told_although_twenty_jobs_wait_and_whoever_acted_is_gone(
    app: Flask, acme: Browser, cast: SimpleNamespace, owner: Any, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_jobs(app)
    monkeypatch.setattr(jobs, "MOST_WAITING", 0)
    acme.post("shares.end", share_id=shared)
    owner.execute("UPDATE users SET is_active = false WHERE id = %s", (str(cast.acme.admin.id),))
    do_jobs(app)
    assert share_entries(owner, cast.globex)[-1] == ("The organization CANARY-acme House", "agent_share_ended")


def test_what_was_not_done_is_told_to_nobody(
    app: Flask, acme: Browser, cast: SimpleNamespace, owner: Any, flowers: str, offered: str
) -> None:
    do_jobs(app)
    offer(acme, flowers, expect=422)
    acme.post("shares.accept", share_id=offered, expect=403)
    owner.execute("SELECT count(*) FROM jobs WHERE state <> 'done'")
    assert owner.fetchone() == (0,)
    assert len(share_entries(owner, cast.acme)) == len(share_entries(owner, cast.globex)) == 1


def test_nobody_meets_these_jobs(acme: Browser, shared: str, owner: Any) -> None:
    assert not acme.get("jobs.index").select("tbody a")
    owner.execute("SELECT id::text FROM jobs WHERE kind = 'shares.tell' AND asked_by IS NOT NULL LIMIT 1")
    acme.get("jobs.show", job_id=owner.fetchone()[0], expect=404)


# What sharing means for the owner


@pytest.mark.parametrize("on", [True, False])
def test_whoever_switches_what_is_no_longer_shared_learns_of_it(
    globex: Browser, cast: SimpleNamespace, owner: Any, flowers: str, shared: str, on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the share ends between the look at the agent and the switch."""
    if on:
        globex.post("agents.switch", {"on": "0"}, agent_id=flowers)
    may = policy.can_switch_agent
    end = "UPDATE agent_shares SET state = 'ended', ended_at = now() WHERE id = %s"
    monkeypatch.setattr(policy, "can_switch_agent", lambda *about: (owner.execute(end, (shared,)), may(*about))[1])
    told = globex.post("agents.switch", {"on": "1" if on else "0"}, agent_id=flowers, expect=409)
    assert "Your organization lost this agent at this moment. Nothing was switched." in told.text
    owner.execute("SELECT is_on FROM tenant_agents WHERE agent_id = %s", (flowers,))
    assert owner.fetchall() == ([(False,)] if on else [])


def test_an_agent_that_is_offered_is_not_removed_before_that_is_ended(acme: Browser, flowers: str, offered: str, owner: Any) -> None:
    page = acme.post("agents.remove", agent_id=flowers, expect=403)
    assert "It is shared, or an offer of it is open or expired. End that first." in page.text
    acme.post("shares.end", share_id=offered)
    acme.post("agents.remove", agent_id=flowers)
    owner.execute("SELECT count(*) FROM agent_shares")
    assert owner.fetchone() == (0,)


@pytest.mark.parametrize("used", [False, True])
def test_what_another_organization_had_is_not_removed_whether_it_has_used_it_or_not(
    acme: Browser, cast: SimpleNamespace, flowers: str, shared: str, owner: Any, used: bool
) -> None:
    if used:
        rows = rows_of(cast.globex)
        put(owner, "conversations", rows["conversations"])
        put(owner, "conversation_agents", {**rows["conversation_agents"], "agent_id": flowers})
    acme.post("shares.end", share_id=shared)
    page = acme.post("agents.remove", agent_id=flowers, expect=403)
    assert "It was shared with another organization. It can be withdrawn." in page.text


def test_a_long_list_of_offers_says_that_there_is_more(globex: Browser, offered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ROWS", 0)
    page = globex.get("shares.index")
    assert not page.select("tbody tr")
    assert "Answer some of them to see the next." in page.text
