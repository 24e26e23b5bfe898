"""Versions of agents, drafts, clones and removal: what people see of them, what is refused, and what the database keeps by itself."""

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.agents import shipped, versions
from portal.config import Settings
from portal.database import connect
from portal.testing.browser import Browser, Page
from portal.worker.cleanup import clean_up
from tests.attack.furniture import FREE_AGENT, NOBODYS, agent, id_of, put, rows_of
from tests.attack.roles import DENIED, Role
from tests.statements import counted
from tests.steps import at_once, edit_agent, listed, make_agent, posting, stored_agent

NUMBERS = ["0", "-1", "2147483648", "x", ""]
NOT_A_VERSION = "23514"  # a check of the table


@pytest.fixture
def agents(owner: Any, cast: SimpleNamespace) -> None:
    """One agent of each organization and a free one, each with its first version, in use."""
    write(owner, FREE_AGENT, "free", None, name="The free one")
    for tenant in vars(cast).values():
        write(owner, id_of(tenant, "agent"), tenant.subdomain, tenant.id)


@pytest.fixture
def admin(app: Flask, cast: SimpleNamespace, agents: None) -> Browser:
    return Browser(app).sign_in(cast.acme.admin)


@pytest.fixture
def own(cast: SimpleNamespace) -> str:
    """The agent of acme."""
    return id_of(cast.acme, "agent")


@pytest.fixture
def above(app: Flask, cast: SimpleNamespace, agents: None) -> Browser:
    return Browser(app).sign_in(cast.platform.super)


def write(owner: Any, id_: str, whose: str, tenant: Any, *, name: str = "") -> None:
    row = agent(id_, whose, tenant)
    row = {**row, "name": name or row["name"], "sort_key": (name or row["name"]).lower()}
    put(owner, "agents", row)
    says = {said: row[said] for said in ("name", "agent_type", "description", "owner_tenant_id")}
    put(owner, "agent_versions", {**says, "agent_id": id_, "number": 1, "capabilities": [], "configuration": row["configuration_template"]})


def save(browser: Browser, id_: str, *, expect: int = 303, publish: str = "", **typed: str) -> Page:
    """Save an agent, and put it into use only where `publish` says so."""
    return edit_agent(browser, id_, expect=expect, publish=publish, **typed)


def opened(browser: Browser, id_: str) -> dict[str, str]:
    """What the editor shows."""
    return browser.get("agents.edit", agent_id=id_).form(f"main form[action='/agents/{id_}/edit']")


def new_form(browser: Browser) -> dict[str, str]:
    return browser.get("agents.new").form("main form[action='/agents/new']")


def published(owner: Any, id_: str) -> tuple[int | None, int]:
    owner.execute("SELECT published_version, version FROM agents WHERE id = %s", (id_,))
    found: tuple[int | None, int] = owner.fetchone()
    return found


def saved(owner: Any, id_: str) -> list[tuple[Any, ...]]:
    """Number, name, comment and origin of every version."""
    owner.execute("SELECT number, name, comment, restored_from FROM agent_versions WHERE agent_id = %s ORDER BY number", (id_,))
    return list(owner.fetchall())


def noted(owner: Any, id_: str) -> list[str]:
    owner.execute("SELECT action FROM audit_entries WHERE object_id = %s ORDER BY at, seq", (id_,))
    return [row[0] for row in owner.fetchall()]


def one(owner: Any, statement: str, *values: Any) -> Any:
    owner.execute(statement, values)
    return owner.fetchone()[0]


def made(page: Page) -> str:
    """The id of what was made, where the answer leads."""
    return page.location.removesuffix("/edit").rpartition("/")[2]


# Saving and publishing


def test_what_is_only_saved_waits_and_nobody_else_sees_it(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    save(admin, own, name="Waiting", comment="for the spring")
    assert published(owner, own) == (1, 2)
    assert saved(owner, own) == [(1, "CANARY-acme", None, None), (2, "Waiting", "for the spring", None)]
    touched = "SELECT updated_at = saved_at FROM agents JOIN agent_versions ON agent_id = id AND number = version WHERE id = %s"
    assert one(owner, touched, own)
    page = admin.follow()
    assert "Version 2 was saved; version 1 stays in use." in page.text
    assert page.heading == "CANARY-acme"
    assert "Version 2 is saved, but not published; version 1 is in use" in page.text
    assert opened(admin, own)["name"] == "Waiting"
    user = Browser(app).sign_in(cast.acme.user)
    for page in (user.get("agents.index"), user.get("agents.show", agent_id=own), admin.get("agents.index")):
        assert "Waiting" not in page.text
        assert "CANARY-acme" in page.text
    assert listed(admin.get("agents.index", q="waiting")) == []


def test_saved_and_published_is_in_use_at_once(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    save(admin, own, publish="y", name="In use", agent_type="IN_USE")
    assert published(owner, own) == (2, 2)
    assert "Version 2 was saved and is in use." in admin.follow().text
    assert listed(Browser(app).sign_in(cast.acme.user).get("agents.index", q="in_use")) == ["In use"]
    assert noted(owner, own) == ["agent_changed", "agent_published"]


def test_a_long_configuration_is_kept_uncompressed_and_comes_back(admin: Browser, owner: Any, own: str) -> None:
    written = f'{{"greeting": "{"Good day. " * 3_000}"}}'
    save(admin, own, view="json", publish="y", configuration=written)
    assert opened(admin, own)["configuration"] == written
    for table, column in (("agent_versions", "configuration"), ("agents", "configuration_template")):
        assert one(owner, f"SELECT max(pg_column_size({column})) FROM {table}") >= len(written)


def test_nothing_changed_makes_no_version(admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, comment="nothing at all")
    assert "Nothing was changed." in admin.follow().text
    save(admin, own, publish="y")
    assert published(owner, own) == (1, 1)
    assert noted(owner, own) == []
    save(admin, own, name="Waiting")
    save(admin, own, publish="y")  # nothing was changed since, but it is in use now
    assert "Nothing was changed; version 2 is in use from now on." in admin.follow().text
    assert published(owner, own) == (2, 2)


def test_an_older_version_is_put_into_use_again(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    save(admin, own, publish="y", name="Second", configuration='{"b": 2.50}')
    admin.post("agents.publish", {"number": "1"}, agent_id=own)
    assert "Version 1 is in use." in admin.follow().text
    assert (published(owner, own), stored_agent(owner, "name", own)) == ((1, 2), "CANARY-acme")
    assert Browser(app).sign_in(cast.acme.user).get("agents.show", agent_id=own).heading == "CANARY-acme"
    admin.post("agents.publish", {"number": "2"}, agent_id=own)
    assert stored_agent(owner, "configuration_template::text", own) == '{"b": 2.50}'
    assert stored_agent(owner, "sort_key", own) == "second"
    admin.post("agents.publish", {"number": "2"}, agent_id=own)  # a second time changes nothing
    assert noted(owner, own) == ["agent_changed", *["agent_published"] * 3]


def test_taken_out_of_use_and_put_back(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    save(admin, own, name="Waiting")
    admin.post("agents.unpublish", {}, agent_id=own)
    assert published(owner, own) == (None, 2)
    assert stored_agent(owner, "name", own) == "Waiting"  # what was saved last
    user = Browser(app).sign_in(cast.acme.user)
    user.get("agents.show", agent_id=own, expect=404)
    assert listed(user.get("agents.index")) == ["The free one"]
    assert admin.get("agents.show", agent_id=own).select_one(".facts .mark").get_text() == "Not published"
    assert "nobody can use it." in admin.post("agents.switch", {"on": "0"}, agent_id=own, expect=403).text
    admin.post("agents.unpublish", {}, agent_id=own)  # a second time changes nothing
    admin.post("agents.publish", {"number": "1"}, agent_id=own)
    assert (published(owner, own), stored_agent(owner, "name", own)) == ((1, 2), "CANARY-acme")
    assert noted(owner, own) == ["agent_changed", "agent_unpublished", "agent_published"]


def test_each_way_to_turn_an_agent_off_says_what_follows(
    app: Flask, admin: Browser, above: Browser, cast: SimpleNamespace, own: str
) -> None:
    """One below the other, what destroys last; an agent of somebody else has the switch of this organization only."""

    def ways(browser: Browser, id_: str) -> list[tuple[str, str]]:
        found = browser.get("agents.show", agent_id=id_).select(".ways > li")
        return [(one.select_one("p").get_text(), " ".join(told.get_text() for told in one.select("button, summary, a"))) for one in found]

    def acts(browser: Browser, id_: str) -> list[str]:
        return [act for _, act in ways(browser, id_)]

    assert acts(admin, own) == ["Switch off", "Unpublish … Unpublish it", "Withdraw …", "Remove …"]
    assert "Nobody can use it until you publish a version again." in ways(admin, own)[1][0]
    assert acts(admin, FREE_AGENT) == ["Switch off"]
    assert "for your organization only" in ways(admin, FREE_AGENT)[0][0]
    assert "a super admin of the portal" in admin.get("agents.show", agent_id=FREE_AGENT).text
    assert acts(above, FREE_AGENT) == ["Switch off", "Unpublish … Unpublish it", "Withdraw …", ""]
    assert "Free agents are withdrawn, not removed" in ways(above, FREE_AGENT)[-1][0]
    assert acts(Browser(app).sign_in(cast.acme.user), own) == []
    admin.post("agents.switch", {"on": "0"}, agent_id=own)
    admin.post("agents.unpublish", {}, agent_id=own)
    assert acts(admin, own) == ["Withdraw …", "Remove …"]
    admin.post("agents.withdraw", {}, agent_id=own)
    assert acts(admin, own) == ["Bring back", "Remove …"]


def test_an_agent_that_was_never_published_is_seen_by_administrators_only(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    id_ = made(make_agent(admin, publish=""))
    assert "nobody uses it until it is published" in admin.follow().text
    assert published(owner, id_) == (None, 1)
    assert listed(admin.get("agents.index", state="unpublished")) == ["Flower advice"]
    assert admin.page is not None
    assert admin.page.select_one("tbody .mark").get_text() == "Not published"
    for state in ("on", "off", "withdrawn"):
        assert "Flower advice" not in listed(admin.get("agents.index", state=state))
    user = Browser(app).sign_in(cast.acme.user)
    user.get("agents.show", agent_id=id_, expect=404)
    assert "Flower advice" not in listed(user.get("agents.index"))
    save(admin, id_, name="Another name")  # the row follows while nobody uses it
    assert listed(admin.get("agents.index", state="unpublished")) == ["Another name"]


def test_a_free_agent_out_of_use_is_hidden_from_organizations(above: Browser, admin: Browser, owner: Any) -> None:
    above.post("agents.unpublish", {}, agent_id=FREE_AGENT)
    admin.get("agents.show", agent_id=FREE_AGENT, expect=404)
    admin.post("agents.clone", {}, agent_id=FREE_AGENT, expect=404)
    admin.post("agents.switch", {"on": "0"}, agent_id=FREE_AGENT, expect=404)
    assert listed(admin.get("agents.index")) == ["CANARY-acme"]
    assert "Not published" in above.get("agents.show", agent_id=FREE_AGENT).text


def test_restoring_makes_a_new_version_that_says_where_it_comes_from(admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, publish="y", name="Second")
    admin.post("agents.restore", {"number": "1"}, agent_id=own)
    page = admin.follow()
    assert "What version 1 said is saved again, as version 3." in page.text
    assert "what version 1 said" in page.select_one("tbody tr").get_text(" ", strip=True)
    assert saved(owner, own)[2] == (3, "CANARY-acme", None, 1)
    assert (published(owner, own), stored_agent(owner, "name", own)) == ((2, 3), "Second")  # what is in use stays
    says = "SELECT name, agent_type, description, capabilities, configuration::text FROM agent_versions WHERE agent_id = %s"
    owner.execute(f"{says} AND number IN (1, 3)", (own,))
    first, third = owner.fetchall()
    assert first == third
    page = admin.post("agents.restore", {"number": "1"}, agent_id=own, expect=422)
    assert "Version 3 says the same as version 1; there is nothing to restore." in page.text
    assert len(saved(owner, own)) == 3


@pytest.mark.parametrize("door", ["publish", "restore"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_is_none_is_refused_in_words(admin: Browser, owner: Any, own: str, door: str, number: str) -> None:
    page = admin.post(f"agents.{door}", {"number": number}, agent_id=own, expect=422)
    assert page.heading == "Versions of CANARY-acme"
    assert "Input should" not in page.text
    assert published(owner, own) == (1, 1)


@pytest.mark.parametrize("number", [number for number in NUMBERS if number])
def test_a_number_that_is_none_is_not_compared(admin: Browser, own: str, number: str) -> None:
    assert "Input should" not in admin.get("agents.compare", agent_id=own, old=number, new="1", expect=422).text
    assert "Input should" not in admin.get("agents.history", agent_id=own, before=number, expect=422).text


def test_a_number_of_no_version_and_of_another_agents_is_unknown(admin: Browser, owner: Any, own: str) -> None:
    other = made(make_agent(admin))
    for name in ("Second", "Third"):
        save(admin, other, name=name)
    for number in ("3", "2147483647"):
        for door in ("publish", "restore"):
            page = admin.post(f"agents.{door}", {"number": number}, agent_id=own, expect=404)
            assert "There is no such version of this agent." in page.text
        admin.get("agents.compare", agent_id=own, old=number, new="1", expect=404)
        admin.get("agents.compare", agent_id=own, old="1", new=number, expect=404)
    assert (published(owner, own), published(owner, other)) == ((1, 1), (1, 3))


ACTS = ("publish", "unpublish", "restore", "clone", "remove", "withdraw", "follow", "stay", "keep_draft", "edit")
LOOKS = ("history", "compare", "original", "remove", "edit")


def test_a_neighbours_agent_is_as_unknown_as_none(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    theirs = id_of(cast.globex, "agent")
    save(Browser(app).sign_in(cast.globex.admin), theirs, name="A secret")
    for door in (*ACTS, *LOOKS):
        send = admin.get if door in LOOKS else admin.post
        answers = {send(f"agents.{door}", agent_id=id_, expect=404).text.replace(id_, "") for id_ in (theirs, str(uuid4()))}
        assert len(answers) == 1, door
    assert published(owner, theirs) == (1, 2)
    assert one(owner, "SELECT count(*) FROM agent_drafts") == 0


def test_a_plain_user_is_refused_and_learns_who_helps(app: Flask, cast: SimpleNamespace, admin: Browser, owner: Any, own: str) -> None:
    user = Browser(app).sign_in(cast.acme.user)
    answers = [user.post(f"agents.{act}", {"number": "1"}, agent_id=own, expect=403) for act in ACTS]
    answers += [user.get(f"agents.{look}", agent_id=own, expect=403) for look in LOOKS]
    answers += [user.post("agents.keep_new_draft", {"name": "x"}, expect=403)]
    for page in answers:
        assert "Ask an administrator of your organization." in page.text
    assert not user.get("agents.show", agent_id=own).soup.select("main form, #versions-title")
    assert (published(owner, own), one(owner, "SELECT count(*) FROM agent_drafts")) == ((1, 1), 0)


def test_versions_of_free_agents_are_the_super_admins(
    app: Flask, admin: Browser, above: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    save(above, FREE_AGENT, name="Another free one")
    for browser in (admin, Browser(app).sign_in(cast.platform.admin)):
        for act in set(ACTS) - {"clone"}:
            assert (
                "Ask a super admin of the portal." in browser.post(f"agents.{act}", {"number": "2"}, agent_id=FREE_AGENT, expect=403).text
            )
        for look in LOOKS:
            browser.get(f"agents.{look}", agent_id=FREE_AGENT, expect=403)
    assert "Another free one" not in admin.get("agents.show", agent_id=FREE_AGENT).text
    assert len(above.get("agents.history", agent_id=FREE_AGENT).select("tbody tr")) == 2
    above.post("agents.publish", {"number": "2"}, agent_id=FREE_AGENT)
    assert "Another free one" in listed(admin.get("agents.index"))


def test_a_withdrawn_agent_is_saved_but_not_put_into_use(admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, name="Waiting")
    form = opened(admin, own)
    admin.post("agents.withdraw", {}, agent_id=own)
    page = admin.post("agents.publish", {"number": "2"}, agent_id=own, expect=403)
    assert "The agent was withdrawn. Bring it back first." in page.text
    page = admin.post("agents.edit", {**form, "name": "Typed", "publish": "y"}, agent_id=own, expect=422)
    assert "The agent was withdrawn. Bring it back first." in page.text
    assert page.form(f"main form[action='/agents/{own}/edit']")["name"] == "Typed"
    assert published(owner, own) == (1, 2)
    assert not page.soup.select("main [name=publish]")
    save(admin, own, name="Typed")
    assert published(owner, own) == (1, 3)


# Types


def test_a_type_that_another_agent_has_is_refused_when_it_is_saved(admin: Browser, owner: Any, own: str) -> None:
    make_agent(admin, agent_type="TAKEN")
    page = save(admin, own, expect=422, agent_type="TAKEN")
    assert "Another active agent of yours has the type TAKEN already." in page.fault("agent_type")
    assert len(saved(owner, own)) == 1


def test_of_two_waiting_agents_of_one_type_one_is_published(admin: Browser, owner: Any, own: str) -> None:
    other = made(make_agent(admin))
    for id_ in (own, other):
        save(admin, id_, agent_type="BOTH_WAIT")
    admin.post("agents.publish", {"number": "2"}, agent_id=other)
    page = admin.post("agents.publish", {"number": "2"}, agent_id=own, expect=422)
    assert "Another active agent of yours has the type BOTH_WAIT already." in page.text
    page = save(admin, own, expect=422, publish="y")
    assert "has the type BOTH_WAIT already" in page.fault("agent_type")
    assert (published(owner, own), published(owner, other)) == ((1, 2), (2, 2))


def test_out_of_use_with_a_type_that_is_taken_by_now_is_refused_in_words(admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, agent_type="LATER")
    make_agent(admin, agent_type="LATER")
    page = admin.post("agents.unpublish", {}, agent_id=own, expect=422)
    assert "Version 2, which was saved last, has the type LATER, which another active agent of yours has by now." in page.text
    assert published(owner, own) == (1, 2)
    admin.post("agents.withdraw", {}, agent_id=own)  # the way out that the words tell


def test_of_two_that_are_published_with_one_type_at_once_one_is(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str
) -> None:
    ids = [own, *(made(make_agent(admin, agent_type=f"OTHER_{number}")) for number in range(5))]
    for id_ in ids:
        save(admin, id_, agent_type="ALL_WAIT")
    browsers = [Browser(app).sign_in(cast.acme.admin) for _ in ids]
    said = [{"csrf_token": browser.token(), "number": "2"} for browser in browsers]
    publishing = (posting(browser, f"/agents/{id_}/publish", form) for browser, id_, form in zip(browsers, ids, said, strict=True))
    assert sorted(at_once(*publishing)) == [303, *[422] * 5]


# Several people at once


def test_one_edits_while_another_publishes(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    save(admin, own, name="Waiting")
    form = opened(admin, own)
    other = Browser(app).sign_in(cast.acme.admin2)
    other.post("agents.publish", {"number": "2"}, agent_id=own)
    admin.post("agents.edit", {**form, "name": "Third"}, agent_id=own)
    assert published(owner, own) == (2, 3)
    form = opened(admin, own)
    save(other, own, publish="y", name="Theirs", description="Of the other")
    page = admin.post("agents.edit", {**form, "name": "Mine"}, agent_id=own, expect=409)
    assert [cell.get_text(strip=True) for cell in page.select("#conflict td")] == ["Theirs", "Mine", "Of the other"]
    assert published(owner, own) == (4, 4)
    admin.post("agents.edit", page.form(f"main form[action='/agents/{own}/edit']"), agent_id=own)
    assert (published(owner, own), saved(owner, own)[4][1]) == ((4, 5), "Mine")


def test_of_twenty_saves_of_one_version_at_once_one_is_kept(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str
) -> None:
    browsers = [Browser(app).sign_in(cast.acme.admin) for _ in range(20)]
    said = [{**opened(browser, own), "name": f"Number {place}", "publish": "y"} for place, browser in enumerate(browsers)]
    saving = (posting(browser, f"/agents/{own}/edit", form) for browser, form in zip(browsers, said, strict=True))
    assert sorted(at_once(*saving)) == [303, *[409] * 19]
    assert (published(owner, own), len(saved(owner, own))) == ((2, 2), 2)


def test_restoring_and_publishing_at_once_do_not_block_each_other(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str
) -> None:
    save(admin, own, publish="y", name="Second")
    browsers = [Browser(app).sign_in(cast.acme.admin) for _ in range(12)]
    tokens = [opened(browser, own)["csrf_token"] for browser in browsers]
    acts = [
        posting(browser, f"/agents/{own}/{door}", {"csrf_token": token, "number": number})
        for browser, token, (door, number) in zip(
            browsers, tokens, [("restore", "1"), ("publish", "1"), ("restore", "2"), ("publish", "2")] * 3, strict=True
        )
    ]
    statuses = at_once(*acts)
    assert set(statuses) <= {303, 422}  # what says the same already is not restored
    assert statuses.count(303) >= 7
    numbers = [row[0] for row in saved(owner, own)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert published(owner, own)[1] == numbers[-1]


# The list, the log, what is asked of the database


def test_pages_lead_through_all_versions(admin: Browser, owner: Any, own: str) -> None:
    owner.execute("UPDATE agents SET version = 105 WHERE id = %s", (own,))
    owner.execute(
        """INSERT INTO agent_versions (agent_id, number, owner_tenant_id, name, agent_type, capabilities, configuration)
           SELECT agent_id, n, owner_tenant_id, name, agent_type, capabilities, configuration
           FROM agent_versions, generate_series(2, 105) AS n WHERE agent_id = %s AND number = 1""",
        (own,),
    )
    page, seen = admin.get("agents.history", agent_id=own), []
    while True:
        seen += [int(cell.get_text().removeprefix("Version ")) for cell in page.select("tbody th")]
        assert len(page.select("tbody tr")) <= versions.ROWS
        further = page.soup.select("nav[aria-label=Pages] a[rel=next]")
        if not further:
            break
        page = admin.get(further[0]["href"])
    assert seen == list(range(105, 0, -1))


def test_every_act_is_in_the_log_and_the_chain_is_whole(admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, name="Second")
    admin.post("agents.publish", {"number": "2"}, agent_id=own)
    admin.post("agents.restore", {"number": "1"}, agent_id=own)
    admin.post("agents.unpublish", {}, agent_id=own)
    admin.post("agents.withdraw", {}, agent_id=own)
    admin.post("agents.bring_back", {}, agent_id=own)
    assert noted(owner, own) == [
        "agent_changed", "agent_published", "agent_changed", "agent_unpublished", "agent_withdrawn", "agent_brought_back",
    ]  # fmt: skip
    copy = clone(admin, own)
    admin.post("agents.remove", {}, agent_id=copy)
    assert noted(owner, copy) == ["agent_made", "agent_removed"]
    told = [item.get_text(" ", strip=True) for item in admin.get("agents.show", agent_id=own).select(".happened p")]
    assert any("restored from: 1" in sentence for sentence in told), told
    assert "all intact" in admin.post("audit.verify", {}, expect=200).text


def test_what_is_asked_of_the_database(app: Flask, admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, name="Waiting")
    copy = clone(admin, FREE_AGENT)
    for address, most in (
        ("/agents", 3),
        ("/agents?state=unpublished", 3),
        (f"/agents/{own}", 4),
        (f"/agents/{copy}", 5),  # and its original
        (f"/agents/{own}/versions", 3),
        (f"/agents/{own}/compare?old=1&new=2", 5),
        (f"/agents/{copy}/original", 5),
        (f"/agents/{own}/edit", 5),
    ):
        with counted(app) as seen:
            admin.get(address)
        assert len(seen) <= most, address + "\n\n" + "\n\n".join(seen)
    keep(admin, own, **opened(admin, own))
    form = opened(admin, own)
    with counted(app) as seen:
        admin.post("agents.edit", {**form, "publish": "", "name": "Once more"}, agent_id=own)
    assert len(seen) <= 7, "\n\n".join(seen)
    assert (published(owner, own), drafts(owner)) == ((1, 3), [])


# What came with the portal


def test_shipped_agents_that_nobody_changed_follow_a_newer_catalogue(
    settings: Settings, above: Browser, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> int:
        with closing(connect(settings.platform_database_url)) as connection:
            return shipped.load(connection)

    assert load() == 10
    owner.execute("SELECT agent_type, id::text FROM agents WHERE is_free_agent AND agent_type <> 'CANARY_FREE'")
    id_by = dict(owner.fetchall())
    save(above, id_by["EMERGENCY"], description="Saved, and waits")
    above.post("agents.unpublish", {}, agent_id=id_by["INVENTORY"])
    above.post("agents.withdraw", {}, agent_id=id_by["MODERATOR"])
    save(above, id_by["COMPLIANCE"], publish="y", description="Changed")
    above.post("agents.restore", {"number": "1"}, agent_id=id_by["COMPLIANCE"])
    above.post("agents.publish", {"number": "3"}, agent_id=id_by["COMPLIANCE"])  # as it came, but of a person
    newer = tuple(one._replace(description="A newer text") for one in shipped.shipped())
    monkeypatch.setattr(shipped, "shipped", lambda: newer)
    assert load() == 6
    assert load() == 0
    untouched = set(id_by) - {"EMERGENCY", "INVENTORY", "MODERATOR", "COMPLIANCE"}
    for agent_type, id_ in id_by.items():
        follows = agent_type in untouched
        assert (stored_agent(owner, "description", id_) == "A newer text") is follows, agent_type
        if follows:
            assert published(owner, id_) == (2, 2)
            owner.execute("SELECT number, comment, saved_by FROM agent_versions WHERE agent_id = %s ORDER BY number", (id_,))
            assert owner.fetchall() == [(1, "Came with the portal", None), (2, "Came with the portal", None)]
    assert "by the portal" in above.get("agents.history", agent_id=id_by["WEB_SEARCH"]).text


# Drafts


def keep(browser: Browser, id_: str | None, *, expect: int = 200, htmx: bool = True, **typed: str) -> Page:
    door, where = ("agents.keep_draft", {"agent_id": id_}) if id_ else ("agents.keep_new_draft", {})
    return browser.post(door, typed, expect=expect, htmx=htmx, **where)


def drafts(owner: Any) -> list[tuple[str, dict[str, str]]]:
    owner.execute("SELECT user_id::text, typed FROM agent_drafts ORDER BY saved_at")
    return list(owner.fetchall())


def test_what_is_typed_is_kept_and_waits_for_whoever_typed_it(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str
) -> None:
    form = opened(admin, own)
    fragment = keep(admin, own, **{**form, "name": "Half a na", "configuration": '{"not yet'})
    assert "Draft kept" in fragment.select_one("#draft-kept").get_text()
    assert not fragment.soup.select("h1")
    keep(admin, own, **{**form, "name": "Half a name", "configuration": '{"not yet'})
    assert [typed["name"] for _, typed in drafts(owner)] == ["Half a name"]
    assert not {"csrf_token", "nonce", "discard"} & set(drafts(owner)[0][1])
    again = Browser(app).sign_in(cast.acme.admin)
    assert (opened(again, own)["name"], opened(again, own)["configuration"]) == ("Half a name", '{"not yet')
    page = again.get("agents.edit", agent_id=own)
    assert "This is your draft of" in page.text
    assert "Somebody has saved another version since" not in page.text
    other = Browser(app).sign_in(cast.acme.admin2)
    assert opened(other, own)["name"] == "CANARY-acme"
    assert "your draft" not in other.get("agents.edit", agent_id=own).text
    assert published(owner, own) == (1, 1)
    save(again, own, configuration='{"now": 1}')
    assert drafts(owner) == []
    assert saved(owner, own)[1][1] == "Half a name"


def test_without_script_a_draft_is_kept_by_a_button(admin: Browser, owner: Any, own: str) -> None:
    form = opened(admin, own)
    admin.post("agents.keep_draft", {**form, "name": "By a button"}, agent_id=own, expect=303)
    page = admin.follow()
    assert "Kept as a draft; only you see it." in page.text
    assert page.form(f"main form[action='/agents/{own}/edit']")["name"] == "By a button"
    keep(admin, None, htmx=False, expect=303, **{**new_form(admin), "name": "To be made"})
    assert admin.follow().form("main form[action='/agents/new']")["name"] == "To be made"


def test_what_no_form_would_take_yet_is_kept_too(admin: Browser, owner: Any, own: str) -> None:
    form = opened(admin, own)
    keep(admin, own, **{**form, "name": "", "agent_type": "<b>", "configuration": '{"a": NaN', "capabilities": "x" * 61})
    admin.post("agents.edit", {**form, "name": "", "agent_type": "<b>"}, agent_id=own, expect=422)
    shown = opened(admin, own)  # what was refused is still a draft
    assert (shown["name"], shown["agent_type"], shown["configuration"]) == ("", "<b>", '{"a": NaN')


@pytest.mark.parametrize(
    ("typed", "expect"),
    [
        ({"name": "a\x00b", "configuration": '{"t": "\x00"}'}, 422),
        ({"name": "\x1b[31m\u202e\ufeff", "description": "\x85\u2028"}, 422),
        ({"version": "9" * 5_000}, 422),
        ({"version": "²"}, 422),
        ({"version": "-1"}, 303),  # another version than now, but nothing that was shown has changed
        ({"seen": "[" * 10_000}, 303),
        ({"configuration": "ü" * 80_000}, 422),
    ],
)
def test_strange_typing_is_kept_and_shown(admin: Browser, owner: Any, own: str, typed: dict[str, str], expect: int) -> None:
    keep(admin, own, **{**opened(admin, own), **typed})
    assert typed.items() <= drafts(owner)[0][1].items()
    form = opened(admin, own)
    admin.post("agents.edit", form, agent_id=own, expect=expect)


def test_broken_characters_are_no_fault_of_ours(admin: Browser, own: str) -> None:
    body = f"csrf_token={admin.token()}&name=%ED%A0%80%FF&version=1".encode()
    kind = "application/x-www-form-urlencoded"
    assert admin.client.post(f"/agents/{own}/draft", data=body, content_type=kind).status_code in (303, 422)
    admin.get("agents.edit", agent_id=own)


def test_more_than_a_form_could_hold_is_refused_in_words(admin: Browser, owner: Any, own: str) -> None:
    page = keep(admin, own, expect=422, **{f"field_{number}": "x" for number in range(1_000)})
    assert "too long to be kept as a draft" in page.text
    for text in ("x" * 600_000, "ü" * 100_000):  # the second grows when it is stored
        assert "too long to be kept as a draft" in keep(admin, own, expect=422, configuration=text).text
    assert "larger than the portal takes" in keep(admin, own, expect=413, configuration="x" * 1_100_000).text
    assert drafts(owner) == []


def test_an_older_draft_meets_what_was_saved_since(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    keep(admin, own, **{**opened(admin, own), "name": "Mine"})
    save(Browser(app).sign_in(cast.acme.admin2), own, name="Theirs", description="Of the other")
    page = admin.get("agents.edit", agent_id=own)
    assert "Somebody has saved another version since; when you save, you see both." in page.text
    form = page.form(f"main form[action='/agents/{own}/edit']")
    assert form["name"] == "Mine"
    page = admin.post("agents.edit", form, agent_id=own, expect=409)
    assert [cell.get_text(strip=True) for cell in page.select("#conflict td")] == ["Theirs", "Mine", "Of the other"]
    assert len(drafts(owner)) == 1  # not lost before it is saved
    admin.post("agents.edit", page.form(f"main form[action='/agents/{own}/edit']"), agent_id=own)
    assert (saved(owner, own)[2][1], drafts(owner)) == ("Mine", [])


def test_a_draft_that_comes_late_is_not_kept(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    form = opened(admin, own)
    save(admin, own, name="Mine")
    fragment = keep(admin, own, **{**form, "name": "Min"})
    assert fragment.select_one("#draft-kept").get_text(strip=True) == ""
    assert drafts(owner) == []
    save(Browser(app).sign_in(cast.acme.admin2), own, name="Theirs")
    keep(admin, own, **{**form, "name": "Mine"})  # that of another is no reason to lose it
    assert len(drafts(owner)) == 1


def test_a_draft_that_meets_its_own_save_is_not_kept(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, before = opened(admin, own), versions.locked
    keep(admin, own, **form)
    other_tab = Browser(app).sign_in(cast.acme.admin)
    said = opened(other_tab, own)

    def meanwhile(of: Any) -> Any:
        monkeypatch.setattr(versions, "locked", before)
        other_tab.post("agents.edit", {**said, "name": "Mine"}, agent_id=own)
        return before(of)

    monkeypatch.setattr(versions, "locked", meanwhile)
    keep(admin, own, **{**form, "name": "Min"})
    assert (saved(owner, own)[1][1], drafts(owner)) == ("Mine", [])


def test_a_draft_of_what_was_just_made_is_not_kept(admin: Browser, owner: Any) -> None:
    form = {**new_form(admin), "name": "Rose", "configuration": "{}"}
    admin.post("agents.new", form)
    assert keep(admin, None, **form).select_one("#draft-kept").get_text(strip=True) == ""
    assert drafts(owner) == []
    keep(admin, None, **{**new_form(admin), "name": "Lily"})
    assert len(drafts(owner)) == 1


def test_a_draft_is_thrown_away(admin: Browser, owner: Any, own: str) -> None:
    for id_ in (own, None):
        keep(admin, id_, name="Half")
        door, where = ("agents.edit", {"agent_id": own}) if id_ else ("agents.new", {})
        notice = admin.get(door, **where).select_one("form.notice")
        assert notice.select_one("[name=discard]")
        admin.post(str(notice["action"]), {"discard": "1"})
        assert "The draft was discarded." in admin.follow().text
        assert drafts(owner) == []


def test_of_an_agent_to_be_made_each_person_has_one_draft(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    other = Browser(app).sign_in(cast.acme.admin2)
    for name in ("Ro", "Rose"):
        keep(admin, None, **{**new_form(admin), "name": name, "is_enabled": "y"})
    keep(other, None, name="Lily")
    assert sorted(typed["name"] for _, typed in drafts(owner)) == ["Lily", "Rose"]
    assert (new_form(admin)["name"], new_form(other)["name"]) == ("Rose", "Lily")
    assert "is_enabled" not in new_form(other)  # the tick was taken away
    make_agent(admin, name="Rose")
    assert [typed["name"] for _, typed in drafts(owner)] == ["Lily"]


def test_a_draft_is_nobody_elses_in_the_database_either(
    cluster: Any, database: str, admin: Browser, cast: SimpleNamespace, own: str
) -> None:
    keep(admin, own, name="Mine alone")
    acme, globex = cast.acme, cast.globex
    role = Role(cluster.urls(database)["app"])
    assert role.do_as(acme.admin, "SELECT typed->>'name' FROM agent_drafts").rows == [("Mine alone",)]
    for person, tenant in ((acme.admin2, acme.id), (globex.admin, globex.id), (globex.admin, acme.id)):
        assert role.do_as(person, "SELECT * FROM agent_drafts", tenant=tenant).rows == []
        assert role.do_as(person, "UPDATE agent_drafts SET typed = '{}'", tenant=tenant).touched == 0
        assert role.do_as(person, "DELETE FROM agent_drafts", tenant=tenant).touched == 0
    add = (
        "INSERT INTO agent_drafts (tenant_id, id, user_id, agent_id, typed, expires_at) VALUES (%s, gen_random_uuid(), %s, %s, '{}', now())"
    )
    said = [str(acme.id), str(acme.admin.id), None]
    assert role.do_as(acme.admin2, add, said).refused == DENIED  # in somebody's name
    for foreign in (id_of(globex, "agent"), FREE_AGENT):  # of what the person cannot change
        assert role.do_as(acme.admin2, add, [str(acme.id), str(acme.admin2.id), foreign]).refused == DENIED
    role.connection.close()


def test_drafts_go_with_their_time_and_with_their_agent(
    cluster: Any, database: str, admin: Browser, cast: SimpleNamespace, owner: Any, own: str
) -> None:
    fresh = made(make_agent(admin, publish=""))
    for id_ in (own, fresh, None):
        keep(admin, id_, name="x")
    owner.execute("UPDATE agent_drafts SET expires_at = now() - interval '1 second' WHERE agent_id = %s", (own,))
    with closing(connect(cluster.urls(database)["worker"])) as worker:
        worker.autocommit = True
        assert clean_up(worker) == 1
    admin.post("agents.remove", {}, agent_id=fresh)
    owner.execute("SELECT agent_id FROM agent_drafts")
    assert owner.fetchall() == [(None,)]


# Clones


def clone(browser: Browser, id_: str, *, expect: int = 303) -> str:
    form = browser.get("agents.show", agent_id=id_).form(f"main form[action='/agents/{id_}/clone']")
    return made(browser.post("agents.clone", form, agent_id=id_, expect=expect))


def share(owner: Any, cast: SimpleNamespace, state: str = "accepted") -> str:
    """The agent of globex, shared with acme."""
    row = rows_of(cast.globex)["agent_shares"]
    put(owner, "agent_shares", {**row, "partner": str(cast.acme.id), "partner_subdomain": "acme", "state": state})
    return str(row["agent_id"])


@pytest.mark.parametrize("whose", ["free", "own", "shared"])
def test_a_clone_is_an_own_agent_that_nobody_uses_yet(admin: Browser, cast: SimpleNamespace, owner: Any, own: str, whose: str) -> None:
    original = {"free": FREE_AGENT, "own": own, "shared": share(owner, cast)}[whose]
    copy = clone(admin, original)
    assert "This is your own copy of" in admin.follow().text
    owner.execute(
        "SELECT owner_tenant_id::text, is_free_agent, published_version, version, origin_version FROM agents WHERE id = %s", (copy,)
    )
    assert owner.fetchone() == (str(cast.acme.id), False, None, 1, 1)
    for column in ("description", "configuration_template::text"):
        assert stored_agent(owner, column, copy) == stored_agent(owner, column, original)
    name, agent_type = stored_agent(owner, "name", original), stored_agent(owner, "agent_type", original)
    assert stored_agent(owner, "name", copy) == f"{name} (copy)"
    assert stored_agent(owner, "agent_type", copy) == (f"{agent_type}_2" if whose == "own" else agent_type)
    assert stored_agent(owner, "agent_type", clone(admin, original)) == f"{agent_type}_{3 if whose == 'own' else 2}"
    assert stored_agent(owner, "origin_agent_id::text", copy) == original
    page = admin.get("agents.show", agent_id=copy)
    assert "version 1. The original was not changed since." in page.text
    assert "Nobody uses this agent" in page.text
    assert saved(owner, copy)[0][2] == f"Copied from {name}, version 1"


def test_a_clone_has_what_is_in_use_not_what_waits(admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, name="Waiting", description="A plan")
    copy = clone(admin, own)
    assert stored_agent(owner, "name", copy) == "CANARY-acme (copy)"
    assert stored_agent(owner, "origin_version", copy) == 1


def test_a_clone_of_the_longest_name_and_type_fits(admin: Browser, owner: Any) -> None:
    id_ = made(make_agent(admin, name="n" * 200, agent_type="T" * 64))
    copies = [clone(admin, id_) for _ in range(2)]
    assert [len(stored_agent(owner, "name", copy)) for copy in copies] == [200, 200]
    assert [stored_agent(owner, "agent_type", copy) for copy in copies] == [f"{'T' * 58}_2", f"{'T' * 58}_3"]
    save(admin, copies[0], publish="y", description="It can be saved in the editor")


def test_a_form_that_is_sent_twice_makes_one_clone(admin: Browser, owner: Any, own: str) -> None:
    form = admin.get("agents.show", agent_id=own).form(f"main form[action='/agents/{own}/clone']")
    admin.post("agents.clone", form, agent_id=own, expect=303)
    assert "This form was sent before" in admin.post("agents.clone", form, agent_id=own, expect=409).text
    assert one(owner, "SELECT count(*) FROM agents WHERE origin_agent_id = %s", own) == 1


def test_clones_at_once_are_refused_in_words_or_made(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    browsers = [Browser(app).sign_in(cast.acme.admin) for _ in range(8)]
    forms = [browser.get("agents.show", agent_id=own).form(f"main form[action='/agents/{own}/clone']") for browser in browsers]
    statuses = at_once(*(posting(browser, f"/agents/{own}/clone", form) for browser, form in zip(browsers, forms, strict=True)))
    assert set(statuses) <= {303, 409}
    assert one(owner, "SELECT count(DISTINCT agent_type) FROM agents WHERE origin_agent_id = %s", own) == statuses.count(303) >= 1


def test_who_may_not_make_agents_clones_none(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    user, below = Browser(app).sign_in(cast.acme.user), Browser(app).sign_in(cast.platform.admin)
    for browser in (user, below):
        browser.post("agents.clone", {}, agent_id=FREE_AGENT, expect=403)
        assert not browser.get("agents.show", agent_id=FREE_AGENT).soup.select(f"form[action='/agents/{FREE_AGENT}/clone']")
    share(owner, cast, state="offered")
    admin.post("agents.clone", {}, agent_id=id_of(cast.globex, "agent"), expect=404)  # offered is not shared
    assert one(owner, "SELECT count(*) FROM agents WHERE origin_agent_id IS NOT NULL") == 0


def test_a_super_admins_clone_of_a_free_agent_is_free(above: Browser, owner: Any) -> None:
    copy = clone(above, FREE_AGENT)
    owner.execute("SELECT is_free_agent, owner_tenant_id, agent_type FROM agents WHERE id = %s", (copy,))
    assert owner.fetchone() == (True, None, "CANARY_FREE_2")


def test_an_original_that_moves_on_is_told_and_taken_over(admin: Browser, above: Browser, owner: Any) -> None:
    copy = clone(admin, FREE_AGENT)
    save(admin, copy, publish="y", name="My own name", agent_type="MY_OWN", capabilities="wreaths")
    save(admin, copy, name="A name that waits")
    save(above, FREE_AGENT, publish="y", description="A better text", configuration='{"prompt": "better"}')
    page = admin.get("agents.show", agent_id=copy)
    assert "The original was changed since, to version 2." in page.text
    page = admin.get("agents.original", agent_id=copy)
    assert "A better text" in page.text
    assert "My own name" not in page.select_one("main .stack").get_text()
    number = page.form(f"form[action='/agents/{copy}/follow']")["number"]
    admin.post("agents.follow", {"number": number}, agent_id=copy)
    assert (published(owner, copy), saved(owner, copy)[3][1:3]) == (
        (2, 4),
        ("A name that waits", "Taken over from the original, version 2"),
    )
    owner.execute("SELECT agent_type, description, configuration::text FROM agent_versions WHERE agent_id = %s AND number = 4", (copy,))
    assert owner.fetchone() == ("MY_OWN", "A better text", '{"prompt": "better"}')
    assert "version 2. The original was not changed since." in admin.get("agents.show", agent_id=copy).text
    assert "says what the original says already" in admin.post("agents.follow", {"number": "2"}, agent_id=copy, expect=422).text


def test_an_original_that_moves_on_can_be_left_alone(admin: Browser, above: Browser, owner: Any) -> None:
    copy = clone(admin, FREE_AGENT)
    save(above, FREE_AGENT, publish="y", description="A better text")
    for _ in range(2):  # a second time changes nothing
        admin.post("agents.stay", {"number": "2"}, agent_id=copy)
    assert "Your agent stays as it is." in admin.follow().text
    assert (len(saved(owner, copy)), stored_agent(owner, "origin_version", copy)) == (1, 2)
    assert noted(owner, copy) == ["agent_made", "agent_kept"]
    assert "The original was not changed since." in admin.get("agents.show", agent_id=copy).text
    mine = admin.get("agents.original", agent_id=copy, against="mine", layout="column")
    assert "A better text" in mine.text
    assert not mine.soup.select(f"form[action='/agents/{copy}/follow']")


def test_a_stale_look_at_the_original_is_refused_in_words(admin: Browser, above: Browser, owner: Any) -> None:
    copy = clone(admin, FREE_AGENT)
    for text in ("Better", "Better still"):
        save(above, FREE_AGENT, publish="y", description=text)
    for door in ("follow", "stay"):
        assert "The original has moved on once more" in admin.post(f"agents.{door}", {"number": "2"}, agent_id=copy, expect=422).text
        for number in NUMBERS:
            assert "Input should" not in admin.post(f"agents.{door}", {"number": number}, agent_id=copy, expect=422).text
    assert (len(saved(owner, copy)), stored_agent(owner, "origin_version", copy)) == (1, 1)


def test_what_only_waits_at_the_original_is_no_news(admin: Browser, above: Browser, owner: Any) -> None:
    copy = clone(admin, FREE_AGENT)
    save(above, FREE_AGENT, description="A plan of the portal")
    page = admin.get("agents.show", agent_id=copy)
    assert "was changed since" not in page.text
    assert "A plan of the portal" not in admin.get("agents.original", agent_id=copy).text


@pytest.mark.parametrize("how", ["withdrawn", "unpublished", "no longer shared", "removed"])
def test_an_original_that_went_can_no_longer_be_seen(
    app: Flask, admin: Browser, above: Browser, cast: SimpleNamespace, owner: Any, own: str, how: str
) -> None:
    original = {"no longer shared": share(owner, cast), "removed": own}.get(how, FREE_AGENT)
    name = stored_agent(owner, "name", original)
    copy = clone(admin, original)
    if how == "no longer shared":
        owner.execute("UPDATE agent_shares SET state = 'ended'")
    elif how == "removed":
        admin.post("agents.remove", {}, agent_id=own)
    else:
        above.post(f"agents.{'withdraw' if how == 'withdrawn' else 'unpublish'}", {}, agent_id=original)
    assert f"It was copied from {name} , version 1, which can no longer be seen." in admin.get("agents.show", agent_id=copy).text
    admin.get("agents.original", agent_id=copy, expect=404)
    for door in ("follow", "stay"):
        assert "The original can no longer be seen." in admin.post(f"agents.{door}", {"number": "1"}, agent_id=copy, expect=422).text


# Removal


def test_an_agent_that_was_never_used_goes_with_all_that_hangs_on_it(admin: Browser, owner: Any, own: str) -> None:
    save(admin, own, name="Second")
    keep(admin, own, name="x")
    assert "with all 2 versions and every draft" in admin.get("agents.remove", agent_id=own).text
    admin.post("agents.remove", {}, agent_id=own)
    assert "CANARY-acme was removed." in admin.follow().text
    for table, column in (("agents", "id"), ("agent_versions", "agent_id"), ("agent_drafts", "agent_id")):
        assert one(owner, f"SELECT count(*) FROM {table} WHERE {column} = %s", own) == 0
    assert noted(owner, own) == ["agent_changed", "agent_removed"]
    admin.get("agents.show", agent_id=own, expect=404)
    make_agent(admin, agent_type="CANARY_ACME")


def use(owner: Any, cast: SimpleNamespace) -> None:
    rows = rows_of(cast.acme)
    put(owner, "conversations", rows["conversations"])
    put(owner, "conversation_agents", rows["conversation_agents"])


def test_an_agent_that_was_used_stays(admin: Browser, cast: SimpleNamespace, owner: Any, own: str) -> None:
    use(owner, cast)
    for send in (admin.get, admin.post):
        assert "It was used in conversations, which keep its name." in send("agents.remove", agent_id=own, expect=403).text
    assert "It was used in conversations" in admin.get("agents.show", agent_id=own).text
    assert published(owner, own) == (1, 1)


def test_an_agent_that_joins_a_conversation_before_the_click_stays(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions.locked

    def meanwhile(of: Any) -> Any:
        use(owner, cast)
        return before(of)

    monkeypatch.setattr("portal.agents.services.locked", meanwhile)
    page = admin.post("agents.remove", {}, agent_id=own, expect=422)
    assert "It was used in a conversation, which keeps its name. Withdraw it instead." in page.text
    assert (published(owner, own), noted(owner, own)) == ((1, 1), [])


@pytest.mark.parametrize("state", ["offered", "accepted"])
def test_an_agent_that_partners_have_stays(admin: Browser, cast: SimpleNamespace, owner: Any, own: str, state: str) -> None:
    row = {**rows_of(cast.acme)["agent_shares"], "state": state}
    put(owner, "agent_shares", {**row, "partner": str(cast.globex.id)} if state == "accepted" else row)
    page = admin.post("agents.remove", {}, agent_id=own, expect=403)
    assert "It is shared, or an offer of it is open or expired. End that first." in page.text
    assert "loses it too, and nobody can take up an offer" in admin.get("agents.withdraw", agent_id=own).text
    owner.execute("UPDATE agent_shares SET state = 'ended'")
    admin.post("agents.remove", {}, agent_id=own, expect=303 if state == "offered" else 403)


def test_free_and_shared_agents_are_not_removed(admin: Browser, above: Browser, cast: SimpleNamespace, owner: Any) -> None:
    shared = share(owner, cast)
    assert "Free agents are withdrawn, not removed" in above.post("agents.remove", {}, agent_id=FREE_AGENT, expect=403).text
    assert "belongs to another organization" in admin.post("agents.remove", {}, agent_id=shared, expect=403).text
    for act in ("publish", "unpublish", "restore", "withdraw", "keep_draft", "edit"):
        admin.post(f"agents.{act}", {"number": "1"}, agent_id=shared, expect=403)
    assert (published(owner, FREE_AGENT), published(owner, shared)) == ((1, 1), (1, 1))


# What the database keeps by itself


@pytest.fixture
def roles(cluster: Any, database: str, agents: None) -> Iterator[SimpleNamespace]:
    made = {name: Role(url) for name, url in cluster.urls(database).items()}
    yield SimpleNamespace(**made)
    for role in made.values():
        role.connection.close()


ADD_VERSION = """
    INSERT INTO agent_versions (agent_id, number, owner_tenant_id, name, agent_type, capabilities, configuration, saved_by)
    VALUES (%s, 2, %s, 'x', 'XXX', '{}', '{}', %s)"""


def test_versions_are_seen_by_their_owner_only(roles: Any, cast: SimpleNamespace, owner: Any) -> None:
    acme, look = cast.acme, "SELECT agent_id::text FROM agent_versions"
    assert roles.app.do_as(acme.admin, look).rows == [(id_of(acme, "agent"),)]
    assert roles.app.do(look).rows == []
    assert roles.app.do(look, tenant=NOBODYS, user=acme.admin.id, role="super_admin").rows == []
    share(owner, cast)
    assert roles.app.do_as(acme.admin, look).rows == [(id_of(acme, "agent"),)]  # shared is what is in use, not its history
    assert (FREE_AGENT,) in roles.platform.do_as(cast.platform.super, look).rows
    assert (FREE_AGENT,) not in roles.platform.do_as(cast.platform.admin, look).rows


def test_versions_are_added_to_own_agents_in_the_own_name_and_never_changed(roles: Any, cast: SimpleNamespace) -> None:
    acme, globex = cast.acme, cast.globex
    mine, me = id_of(acme, "agent"), str(acme.admin.id)

    def add(*values: Any) -> int | str:
        answer: int | str = roles.app.do_as(acme.admin, ADD_VERSION, values).answer
        return answer

    assert add(id_of(globex, "agent"), str(globex.id), me) == DENIED
    assert add(id_of(globex, "agent"), str(acme.id), me) == DENIED
    assert add(FREE_AGENT, None, me) == DENIED
    assert add(mine, str(acme.id), str(acme.admin2.id)) == DENIED
    assert add(mine, str(acme.id), None) == DENIED
    assert add(mine, str(acme.id), me) == 1
    for role, person in ((roles.app, acme.admin), (roles.platform, cast.platform.super)):
        for statement in ("UPDATE agent_versions SET name = 'x'", "DELETE FROM agent_versions"):
            assert role.do_as(person, statement).refused == DENIED
    assert roles.platform.do_as(cast.platform.admin, ADD_VERSION, [FREE_AGENT, None, str(cast.platform.admin.id)]).refused == DENIED


def test_what_saves_an_agent_acts_with_the_rights_of_whoever_asks(roles: Any, cast: SimpleNamespace, owner: Any) -> None:
    acme, globex = cast.acme, cast.globex
    mine, shared, me = id_of(acme, "agent"), share(owner, cast), str(acme.admin.id)
    lock = "SELECT id::text FROM lock_agent(%s, %s, NULL)"
    add = "SELECT add_agent_version(%s, 2, %s, 'x', 'XXX', NULL, '{}', '{}', 'x', %s, NULL, NULL)"
    assert roles.app.do_as(acme.admin, lock, [str(acme.id), mine]).rows == [(mine,)]
    for tenant in (acme, globex):
        for id_ in (shared, id_of(globex, "agent"), FREE_AGENT):
            assert roles.app.do_as(acme.admin, lock, [str(tenant.id), id_]).rows == []
    for id_, whose, by in (
        (shared, globex, me),
        (id_of(globex, "agent"), acme, me),
        (mine, acme, str(acme.admin2.id)),
    ):
        assert roles.app.do_as(acme.admin, add, [id_, str(whose.id), by]).refused == DENIED
    assert roles.app.do_as(acme.admin, add, [mine, str(acme.id), me]).refused == ""
    assert roles.platform.do_as(cast.platform.super, lock, [str(cast.platform.id), FREE_AGENT]).rows == [(FREE_AGENT,)]
    assert roles.platform.do_as(cast.platform.admin, lock, [str(cast.platform.id), FREE_AGENT]).rows == []


def test_agents_out_of_use_are_seen_by_their_owner_only(roles: Any, cast: SimpleNamespace, owner: Any) -> None:
    acme, globex, shared = cast.acme, cast.globex, share(owner, cast)
    look = "SELECT id::text FROM agents"
    everything = {id_of(acme, "agent"), shared, FREE_AGENT}
    assert {row[0] for row in roles.app.do_as(acme.user, look).rows} == everything
    owner.execute("UPDATE agents SET published_version = NULL")
    assert roles.app.do_as(acme.user, look).rows == [(id_of(acme, "agent"),)]
    assert roles.app.do_as(globex.user, look).rows == [(shared,)]
    assert (FREE_AGENT,) in roles.platform.do_as(cast.platform.super, look).rows


def test_agents_of_others_are_not_deleted_nor_published(roles: Any, cast: SimpleNamespace, owner: Any) -> None:
    acme, mine, shared = cast.acme, id_of(cast.acme, "agent"), share(owner, cast)
    delete, publish = "DELETE FROM agents WHERE id = %s", "UPDATE agents SET published_version = NULL WHERE id = %s"
    for id_ in (shared, FREE_AGENT):
        assert roles.app.do_as(acme.admin, delete, [id_]).answer == 0
        assert roles.app.do_as(acme.admin, publish, [id_]).answer == 0
    assert roles.platform.do_as(cast.platform.super, delete, [FREE_AGENT]).refused == DENIED
    for number in (0, 2, -1):
        beyond = roles.app.do_as(acme.admin, "UPDATE agents SET published_version = %s WHERE id = %s", [number, mine])
        assert beyond.refused == NOT_A_VERSION
    assert roles.app.do_as(acme.admin, delete, [mine]).answer == 1


# How much is kept


def test_an_agent_with_the_most_versions_gets_no_further_one_and_goes_on_as_a_clone(
    admin: Browser, owner: Any, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MOST", 3)
    save(admin, own, name="Second")
    save(admin, own, name="Third")
    form = admin.get("agents.edit", agent_id=own).form(f"main form[action='/agents/{own}/edit']")
    page = admin.post("agents.edit", {**form, "name": "Fourth"}, agent_id=own, expect=422)
    assert "This agent has 3 versions, and more are not kept. Make your own copy of it, and continue there." in page.text
    assert page.form(f"main form[action='/agents/{own}/edit']")["name"] == "Fourth"
    admin.post("agents.edit", {**form, "publish": "y"}, agent_id=own)  # nothing was changed: what was saved last is put into use
    assert published(owner, own) == (3, 3)
    clone = made(admin.post("agents.clone", {}, agent_id=own))
    save(admin, clone, name="Fourth")
    assert published(owner, clone) == (None, 2)


def test_of_many_drafts_the_one_that_was_touched_longest_ago_goes(
    app: Flask, cast: SimpleNamespace, admin: Browser, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.agents.drafts.MOST", 2)
    ids = [made(make_agent(admin, name=f"Number {place}")) for place in range(3)]
    other = Browser(app).sign_in(cast.acme.admin2)
    other.post("agents.keep_draft", {"name": "Another's", "version": "1"}, agent_id=ids[0])
    kept = "SELECT agent_id FROM agent_drafts WHERE typed->>'name' = 'Mine' ORDER BY agent_id"
    for touched, stay in ((0, [0]), (1, [0, 1]), (0, [0, 1]), (2, [0, 2])):
        admin.post("agents.keep_draft", {"name": "Mine", "version": "1"}, agent_id=ids[touched])
        owner.execute(kept)
        assert [str(row[0]) for row in owner.fetchall()] == sorted(ids[place] for place in stay)
    assert one(owner, "SELECT count(*) FROM agent_drafts WHERE typed->>'name' = 'Another''s'") == 1
