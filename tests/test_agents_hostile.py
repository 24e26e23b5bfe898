"""What hostile organizations try with agents, beyond what the pages offer: each of these has once worked."""

import json
import threading
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from psycopg2.extras import Json
from pydantic import ValidationError

from portal.agents import services as agents
from portal.agents.commands import AgentData
from portal.config import Settings
from portal.database import connect
from portal.shares import services
from portal.testing import Browser, do_jobs
from portal.values import fingerprint
from tests.attack.furniture import NOBODYS, id_of, put, rows_of
from tests.attack.roles import DENIED, Role
from tests.steps import at_once, edit_agent, newest_share, offer, posting, share_entries, share_state


def test_what_was_offered_today_counts_also_when_its_agent_is_gone(
    acme: Browser, owner: Any, flowers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an agent that is made, offered and removed, again and again, would fill somebody else's audit log."""
    monkeypatch.setattr(services, "MOST_A_DAY", 1)
    offer(acme, flowers)
    acme.post("shares.end", share_id=newest_share(owner))
    acme.post("agents.remove", agent_id=flowers)
    form = acme.get("agents.new").form("main form[action='/agents/new']")
    again = acme.post("agents.new", {**form, "name": "Again", "publish": "y"}).location.rpartition("/")[2]
    assert "Your organization has made 1 offers within a day." in offer(acme, again, expect=422).text


def test_of_many_who_make_agents_at_once_no_more_succeed_than_the_organization_may_have(
    app: Flask, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "MOST", 3)
    acts = []
    for number in range(8):
        browser = Browser(app).sign_in(cast.acme.admin)
        form = browser.get("agents.new").form("main form[action='/agents/new']")
        acts.append(posting(browser, "/agents/new", {**form, "name": f"Flowers {number}", "configuration": "{}"}))
    assert sorted(at_once(*acts)) == [303] * 3 + [422] * 5
    owner.execute("SELECT count(*) FROM agents WHERE owner_tenant_id = %s", (str(cast.acme.id),))
    assert owner.fetchone() == (3,)


def test_a_job_of_ones_own_writes_nothing_of_ones_own_choice_into_anothers_audit_log(
    app: Flask, cast: SimpleNamespace, owner: Any, database_role: Role
) -> None:
    told_of = {"share": str(uuid4()), "tenant": str(cast.globex.id), "organization": "The Portal", "agent": "x" * 5_000}
    ask = """
        INSERT INTO jobs (tenant_id, id, kind, asked_by, arguments, expires_at)
        VALUES (%s, gen_random_uuid(), 'shares.tell', %s, %s, now() + interval '1 day')"""
    for action in ("role_changed", "agent_offered"):
        person = cast.acme.admin
        job = database_role.do_as(person, ask, (str(cast.acme.id), str(person.id), Json({**told_of, "action": action})))
        assert job.answer == 1
    do_jobs(app)
    assert share_entries(owner, cast.globex) == [("The organization CANARY-acme House", "agent_offered")]
    owner.execute("SELECT max(length(changes::text)) FROM audit_entries WHERE tenant_id = %s", (str(cast.globex.id),))
    assert owner.fetchone()[0] < 300


def test_keys_of_versions_tell_nothing_of_a_neighbours_agent(cast: SimpleNamespace, owner: Any, database_role: Role) -> None:
    theirs = rows_of(cast.globex)
    put(owner, "agents", theirs["agents"])
    put(owner, "agent_versions", theirs["agent_versions"])
    add = """
        INSERT INTO agent_versions (agent_id, number, owner_tenant_id, name, agent_type, capabilities, configuration, saved_by)
        VALUES (%s, %s, %s, 'x', 'XXX', '{}', '{}', %s)"""
    person = cast.acme.admin
    for agent_id, number in ((id_of(cast.globex, "agent"), 1), (id_of(cast.globex, "agent"), 2), (NOBODYS, 1)):
        assert database_role.do_as(person, add, (agent_id, number, str(cast.acme.id), str(person.id))).answer == DENIED


def test_whoever_ends_a_share_asks_no_key_who_is_where(
    acme: Browser, cast: SimpleNamespace, owner: Any, shared: str, database_role: Role
) -> None:
    end = "UPDATE agent_shares SET state = 'ended', partner = %s, decided_by = %s WHERE id = %s"
    there, nobody = str(cast.hades.id), NOBODYS
    user = str(cast.globex.user.id)
    for partner, decided_by in ((there, None), (nobody, None), (str(cast.globex.id), user), (str(cast.globex.id), nobody)):
        assert database_role.do_as(cast.acme.admin, end, (partner, decided_by, shared)).answer == DENIED
    named = "UPDATE agent_shares SET state = 'ended', partner_name = 'The Portal'"
    assert database_role.do_as(cast.acme.admin, named).answer == DENIED
    acme.post("shares.end", share_id=shared)
    assert share_state(owner, shared) == "ended"


def test_what_is_shared_at_this_moment_is_not_removed_with_its_agent(
    acme: Browser, cast: SimpleNamespace, owner: Any, flowers: str, settings: Settings, cluster: Any, database: str
) -> None:
    """Removed with it, the partner would lose it and never be told."""
    token, statuses = acme.token(), list[int]()
    remove = lambda: statuses.append(acme.client.post(f"/agents/{flowers}/remove", data={"csrf_token": token}).status_code)  # noqa: E731
    thread = threading.Thread(target=remove)
    share = rows_of(cast.acme)["agent_shares"] | {"agent_id": flowers, "partner": str(cast.globex.id), "state": "accepted"}
    with closing(connect(cluster.urls(database)["owner"])) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM agents WHERE id = %s FOR UPDATE", (flowers,))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits for the agent"
        put(cursor, "agent_shares", share)
        other.commit()
        thread.join(10)
    assert statuses == [409]
    assert share_state(owner, share["id"]) == "accepted"


def test_nobody_else_learns_when_something_is_saved_and_not_published(
    acme: Browser, globex: Browser, owner: Any, flowers: str, shared: str
) -> None:
    before = globex.get("agents.show", agent_id=flowers).select_one("#facts-title").find_parent("section")
    edit_agent(acme, flowers, description="Not for you yet", publish="")
    after = globex.get("agents.show", agent_id=flowers).select_one("#facts-title").find_parent("section")
    assert before == after
    assert after.find("dt", string="Version")
    assert acme.get("agents.show", agent_id=flowers).select("dt:-soup-contains('Last changed') + dd time")


@pytest.mark.parametrize("document", ["no JSON", "[" * 100_000, '{"a": NaN}', "[]", '"' + "x" * 70_000, '{"limits": 1e999}'])
def test_a_draft_that_claims_to_be_drawn_as_a_form_is_shown_as_json(acme: Browser, owner: Any, flowers: str, document: str) -> None:
    draft = {"name": "Mine", "configuration": document, "view": "form", "drawn": fingerprint(document).hex()[:16], "version": "1"}
    acme.post("agents.keep_draft", draft, agent_id=flowers)
    form = acme.get("agents.edit", agent_id=flowers).form(f"main form[action='/agents/{flowers}/edit']")
    assert (form["view"], form["name"], form["configuration"].strip()) == ("json", "Mine", document)


def test_an_offer_says_who_makes_it_by_what_cannot_be_chosen(
    acme: Browser, globex: Browser, cast: SimpleNamespace, owner: Any, flowers: str, database_role: Role
) -> None:
    """An organization may give itself the name of another one."""
    owner.execute("UPDATE tenants SET name = 'CANARY-hades House' WHERE subdomain = 'acme'")
    offer(acme, flowers)
    assert " ".join(globex.get("shares.index").select_one("td[data-label=From]").get_text(" ").split()) == "CANARY-hades House acme"
    globex.post("shares.accept", share_id=newest_share(owner))
    assert " ".join(globex.get("shares.index").select_one("td[data-label=From]").get_text(" ").split()) == "CANARY-hades House acme"
    add = """
        INSERT INTO agent_shares
            (tenant_id, id, agent_id, agent_name, owner_name, owner_subdomain, partner_subdomain, offered_by, expires_at)
        VALUES (%s, gen_random_uuid(), %s, 'Flowers', 'Hades', %s, 'others', %s, now() + interval '1 day')"""
    person = cast.acme.admin
    for subdomain, answer in (("hades", DENIED), ("acme", 1)):
        assert database_role.do_as(person, add, (str(cast.acme.id), flowers, subdomain, str(person.id))).answer == answer


def test_the_first_of_many_faults_of_a_list_is_enough() -> None:
    """A file of 1 MiB holds 340,000 of them, and half a gigabyte of sentences about them."""
    agent = {"name": "N", "agent_type": "ABC", "description": None, "configuration": "{}", "capabilities": [{}] * 1_000}
    with pytest.raises(ValidationError) as refused:
        AgentData.model_validate(agent)
    assert refused.value.error_count() == 1
    assert json.loads(refused.value.json())[0]["loc"][0] == "capabilities"
