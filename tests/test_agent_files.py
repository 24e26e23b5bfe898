"""Files of agents: what is taken along, what comes back the same, what is refused and in which words, and who is faster."""

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.access import Ended
from portal.agent_files import commands, services
from portal.agents import shipped, versions
from portal.audit import services as audit
from portal.config import Settings
from portal.database import connect, tenancy
from portal.errors import Invalid
from portal.testing.browser import Browser, Page
from tests.attack.furniture import FREE_AGENT, agent, id_of, put, rows_of
from tests.statements import counted
from tests.steps import acting, at_once, posting

ODD = '{\n\t"tone" : "c\\u00e4lm",  "temperature":1.50,\n\n"limits": {"turns": 4,"odd":[1e2 , {"deep" : [ ]}]},   "größe": -0.0 }'
PARTS = {"Content-Type": "multipart/form-data"}
BACK = "\u202e"


@pytest.fixture(autouse=True)
def agents(owner: Any, cast: SimpleNamespace) -> None:
    """An agent of each organization that is running, and a free one, each as it was saved first."""
    stand(owner, agent(FREE_AGENT, "free", None))
    for tenant in (cast.acme, cast.globex):
        stand(owner, rows_of(tenant)["agents"])


@pytest.fixture
def root(app: Flask, cast: SimpleNamespace) -> Browser:
    return Browser(app).sign_in(cast.platform.super)


@pytest.fixture
def sessions(cluster: Any, database: str) -> Iterator[Callable[[str], int]]:
    """How many sessions of the database are such, by a condition; only a superuser sees what others do."""
    with closing(connect(cluster.superuser_url(database))) as connection, connection.cursor() as cursor:
        connection.autocommit = True

        def number(condition: str) -> int:
            cursor.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}")
            return int(cursor.fetchone()[0])

        yield number


def stand(owner: Any, row: dict[str, Any]) -> None:
    put(owner, "agents", row)
    save(owner, row["id"], number=1)


def save(owner: Any, id_: str, *, number: int = 2, **said: Any) -> None:
    """Save a version of an agent that differs from what is in use by what is said; it waits."""
    owner.execute("UPDATE agents SET version = %s WHERE id = %s", (number, id_))
    owner.execute(
        """INSERT INTO agent_versions (agent_id, number, owner_tenant_id, name, agent_type, description, capabilities, configuration)
           SELECT id, version, owner_tenant_id, name, agent_type, description, capabilities, configuration_template FROM agents WHERE id = %s""",
        (id_,),
    )
    for column, value in said.items():
        owner.execute(f"UPDATE agent_versions SET {column} = %s WHERE agent_id = %s AND number = %s", (value, id_, number))


def say(owner: Any, id_: str, configuration: str) -> None:
    """Let an agent say this, in use and saved."""
    owner.execute("UPDATE agents SET configuration_template = %s WHERE id = %s", (configuration, id_))
    owner.execute("UPDATE agent_versions SET configuration = %s WHERE agent_id = %s", (configuration, id_))


def many(owner: Any, tenant: Any, number: int) -> None:
    owner.execute(
        """WITH made AS (
               INSERT INTO agents (id, agent_type, name, is_free_agent, owner_tenant_id, configuration_template, published_version, sort_key)
               SELECT gen_random_uuid(), 'MADE_' || n, 'Made ' || n, false, %s, '{}', 1, 'made ' || n FROM generate_series(1, %s) AS n
               RETURNING *)
           INSERT INTO agent_versions (agent_id, number, owner_tenant_id, name, agent_type, capabilities, configuration)
           SELECT id, 1, owner_tenant_id, name, agent_type, capabilities, configuration_template FROM made""",
        (str(tenant.id), number),
    )


def taken(browser: Browser, agent_id: str | None = None) -> str:
    """The text of a file that was taken along."""
    door = browser.url("agent_files.export", agent_id=agent_id) if agent_id else browser.url("agent_files.export_all")
    response = browser.client.get(door)
    assert response.status_code == 200, response.get_data(as_text=True)
    return response.get_data(as_text=True)


def said(browser: Browser, agent_id: str | None = None) -> list[dict[str, Any]]:
    document = json.loads(taken(browser, agent_id))
    assert (document["schema"], document["schema_version"]) == ("thanotopolis-agents", 1)
    return list(document["agents"])


def one(agent_type: str = "FLOWERS", configuration: str = "{}", **more: Any) -> str:
    """An agent as a file tells it."""
    known = {"name": agent_type.title(), "agent_type": agent_type, "description": None, "capabilities": [], **more}
    return json.dumps(known, ensure_ascii=False)[:-1] + f', "configuration": {configuration}}}'


def file(*agents: str, **top: Any) -> str:
    said = json.dumps({"schema": "thanotopolis-agents", "schema_version": 1, **top})
    return f'{said[:-1]}, "agents": [{", ".join(agents)}]}}'


def look(browser: Browser, document: str | bytes, *, expect: int = 200) -> Page:
    data = document.encode() if isinstance(document, str) else document
    return browser.post("agent_files.look", {"file": (io.BytesIO(data), "agents.json")}, expect=expect)


def refused(browser: Browser, document: str | bytes) -> str:
    return look(browser, document, expect=422).fault("file")


def fates(page: Page) -> dict[str, str]:
    """What becomes of each type, in the word of its mark."""
    rows = page.select(".table-box tbody tr")
    return {row.select("td")[0].get_text(strip=True): row.select_one(".mark").get_text(strip=True) for row in rows}


def form_of(page: Page) -> dict[str, str]:
    css = "main form[action='/agents/import/bring-in']"
    assert page.select_one(css)["enctype"] == PARTS["Content-Type"]
    form = page.form(css)
    return {**form, "document": form["document"].replace("\n", "\r\n")}  # as a browser sends it


def bring(browser: Browser, page: Page, *, expect: int = 303, **typed: Any) -> Page:
    return browser.post("agent_files.bring_in", {**form_of(page), **typed}, expect=expect, headers=PARTS)


def brought(browser: Browser, document: str, **typed: Any) -> str:
    """The notice after all of a file was brought in."""
    bring(browser, look(browser, document), **typed)
    return " ".join(note.get_text(" ", strip=True) for note in browser.follow().select(".notices *, .said"))


def own(owner: Any, tenant: Any, columns: str = "name") -> dict[str, Any]:
    """What the active agents of an organization were saved as last, by their type."""
    owner.execute(
        f"""SELECT v.agent_type, {", ".join(f"v.{column}" for column in columns.split()).replace("ration", "ration::text")}, a.version, a.published_version
            FROM agents a JOIN agent_versions v ON v.agent_id = a.id AND v.number = a.version
            WHERE a.owner_tenant_id IS NOT DISTINCT FROM %s AND a.is_active""",
        (str(tenant.id) if tenant else None,),
    )
    return {row[0]: row[1:] for row in owner.fetchall()}


def noted(owner: Any, tenant: Any) -> list[str]:
    owner.execute("SELECT action FROM audit_entries WHERE tenant_id = %s AND action LIKE 'agent%%' ORDER BY seq", (str(tenant.id),))
    return [action for (action,) in owner.fetchall()]


# Taking along


def test_a_file_has_a_name_with_a_time_and_nobody_keeps_or_guesses_it(admin: Browser, cast: SimpleNamespace) -> None:
    for door, name in (("/agents/export.json", "agents-acme"), (f"/agents/{id_of(cast.acme, 'agent')}/export.json", "agent-canary-acme")):
        headers = admin.client.get(door).headers
        assert headers["Content-Type"] == "application/json"
        assert re.fullmatch(rf'attachment; filename="{name}-as-of-\d{{4}}-\d\d-\d\dT\d{{4}}Z\.json"', headers["Content-Disposition"])
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def test_an_own_agent_is_taken_along_as_it_was_saved_last(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    mine = id_of(cast.acme, "agent")
    save(owner, mine, name="Saved later", description="Lines\nof it", capabilities=["wreaths"], configuration=ODD)
    assert said(admin, mine) == [
        {
            "name": "Saved later", "agent_type": "CANARY_ACME", "description": "Lines\nof it", "capabilities": ["wreaths"],
            "configuration": json.loads(ODD),
        }
    ]  # fmt: skip
    assert ODD in taken(admin, mine)
    assert said(admin) == said(admin, mine)


@pytest.mark.parametrize("lowered", [True, False])
def test_taking_all_along_is_cut_off_when_its_reader_may_not_do_so_any_more(
    admin: Browser, owner: Any, cast: SimpleNamespace, lowered: bool
) -> None:
    many(owner, cast.acme, services.BATCH + 10)
    pieces = iter(admin.client.get("/agents/export.json", buffered=False).response)
    begun = [next(pieces) for _ in range(10)]
    if lowered:
        owner.execute("UPDATE users SET role = 'user' WHERE id = %s", (str(cast.acme.admin.id),))
    with pytest.raises(Ended) if lowered else nullcontext():
        begun.extend(pieces)
    assert sum(piece.count(b'"agent_type"') for piece in begun) == services.BATCH + (0 if lowered else 11)


def test_a_plain_user_takes_along_what_is_in_use_and_never_what_waits(
    app: Flask, admin: Browser, owner: Any, cast: SimpleNamespace
) -> None:
    mine, user = id_of(cast.acme, "agent"), Browser(app).sign_in(cast.acme.user)
    save(owner, mine, name="Saved later", configuration='{"waits": true}')
    assert [one["name"] for one in said(user, mine)] == ["CANARY-acme"]
    assert "waits" not in taken(user, mine)
    owner.execute("UPDATE agents SET published_version = NULL WHERE id = %s", (mine,))
    user.get("agent_files.export", agent_id=mine, expect=404)
    assert [one["name"] for one in said(admin, mine)] == ["CANARY-acme"]


def test_a_free_agent_is_taken_along_as_it_is_in_use_but_by_whoever_changes_it(
    app: Flask, admin: Browser, root: Browser, owner: Any, cast: SimpleNamespace
) -> None:
    save(owner, FREE_AGENT, name="Waits")
    keeper = Browser(app).sign_in(cast.platform.admin)
    assert [said(who, FREE_AGENT)[0]["name"] for who in (admin, keeper, root)] == ["CANARY-free", "CANARY-free", "Waits"]


def test_a_shared_agent_is_taken_along_as_it_is_in_use(app: Flask, admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    theirs = id_of(cast.globex, "agent")
    save(owner, theirs, name="Waits")
    answered = {"partner": str(cast.acme.id), "partner_name": "acme", "state": "accepted", "partner_subdomain": "acme"}
    put(owner, "agent_shares", {**rows_of(cast.globex)["agent_shares"], **answered})
    assert [one["name"] for one in said(admin, theirs)] == ["CANARY-globex"]
    assert [one["name"] for one in said(Browser(app).sign_in(cast.acme.user), theirs)] == ["CANARY-globex"]
    assert [one["agent_type"] for one in said(admin)] == ["CANARY_ACME"]
    owner.execute("UPDATE agents SET published_version = NULL WHERE id = %s", (theirs,))
    admin.get("agent_files.export", agent_id=theirs, expect=404)


def test_neighbours_unknown_and_hidden_agents_are_alike_not_there(app: Flask, admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    unknown = admin.get("agent_files.export", agent_id=str(uuid4()), expect=404)
    theirs = admin.get("agent_files.export", agent_id=id_of(cast.globex, "agent"), expect=404)
    assert theirs.text == unknown.text
    assert "globex" not in taken(admin)
    user = Browser(app).sign_in(cast.acme.user)
    owner.execute("UPDATE agents SET is_enabled = false WHERE owner_tenant_id = %s", (str(cast.acme.id),))
    user.get("agent_files.export", agent_id=id_of(cast.acme, "agent"), expect=404)
    admin.post("agents.switch", {"on": "0"}, agent_id=FREE_AGENT)
    user.get("agent_files.export", agent_id=FREE_AGENT, expect=404)
    assert said(admin, FREE_AGENT)


def test_only_whoever_makes_agents_takes_all_along_or_brings_any_in(app: Flask, cast: SimpleNamespace) -> None:
    Browser(app).get("agent_files.export_all", expect=303)
    for person in (cast.acme.user, cast.platform.admin):
        browser = Browser(app).sign_in(person)
        browser.get("agent_files.export_all", expect=403)
        browser.get("agent_files.look", expect=403)
        look(browser, file(one()), expect=403)
        browser.post("agent_files.bring_in", {"document": file(one()), "seen": "{}"}, expect=403)
        assert not browser.get("agents.index").select("a[href='/agents/import']")


def test_a_super_admin_takes_along_the_free_agents_and_no_organizations(root: Browser, owner: Any) -> None:
    save(owner, FREE_AGENT, name="Waits")
    assert [(one["name"], one["agent_type"]) for one in said(root)] == [("Waits", "CANARY_FREE")]


def test_withdrawn_agents_stay_where_they_are(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    admin.post("agents.withdraw", {}, agent_id=id_of(cast.acme, "agent"))
    assert said(admin) == []
    assert len(said(admin, id_of(cast.acme, "agent"))) == 1
    assert "There is no agent in this file." in refused(admin, taken(admin))


@pytest.mark.parametrize("who", ["acme", "platform"])
def test_many_are_read_in_batches_and_nothing_is_held_between_their_pieces(
    app: Flask, owner: Any, cast: SimpleNamespace, sessions: Callable[[str], int], who: str
) -> None:
    many(owner, cast.acme, 205)
    if who == "platform":
        owner.execute("ALTER TABLE agents DISABLE TRIGGER USER")
        owner.execute("UPDATE agent_versions SET owner_tenant_id = NULL WHERE agent_type LIKE 'MADE%'")
        owner.execute("UPDATE agents SET owner_tenant_id = NULL, is_free_agent = true WHERE agent_type LIKE 'MADE%'")
        owner.execute("ALTER TABLE agents ENABLE TRIGGER USER")
    browser = Browser(app).sign_in(cast.acme.admin if who == "acme" else cast.platform.super)
    with counted(app) as statements:
        response = browser.client.get("/agents/export.json", buffered=False)
        pieces, held = [], 0
        for piece in response.iter_encoded():
            pieces.append(piece.decode())
            held += sessions("state LIKE 'idle in transaction%'")
        response.close()
    assert held == 0
    assert len({one["agent_type"] for one in json.loads("".join(pieces))["agents"]}) == 206
    assert len([statement for statement in statements if "agent_versions v ON" in statement]) == 3


# There and back


def test_what_was_taken_along_comes_back_as_the_same_and_changes_nothing(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    many(owner, cast.acme, 120)
    say(owner, id_of(cast.acme, "agent"), f" \n{ODD}\n")
    page = look(admin, taken(admin))
    assert set(fates(page).values()) == {"The same"}
    assert len(fates(page)) == 121
    assert "there is nothing to import" in page.text
    assert not page.select("form[action='/agents/import/bring-in']")
    assert own(owner, cast.acme, "configuration")["CANARY_ACME"] == (f" \n{ODD}\n", 1, 1)
    assert noted(owner, cast.acme) == []


def test_another_organization_gets_them_with_every_byte_of_their_configurations(
    admin: Browser, globex: Browser, owner: Any, cast: SimpleNamespace
) -> None:
    many(owner, cast.acme, 3)
    say(owner, id_of(cast.acme, "agent"), ODD)
    said = {"name": "Größe “1”", "description": "One\n\n  two </textarea>", "capabilities": ["a b", "ü"]}
    save(owner, id_of(cast.acme, "agent"), **said, configuration=ODD)
    assert "4 agents were made; what is new is used once it is published." in brought(globex, taken(admin))
    columns = "name description capabilities configuration"
    mine, theirs = own(owner, cast.acme, columns), own(owner, cast.globex, columns)
    assert {type_: row[:-2] for type_, row in theirs.items() if type_ != "CANARY_GLOBEX"} == {
        type_: row[:-2] for type_, row in mine.items()
    }
    assert theirs["CANARY_ACME"][3] == ODD
    assert {row[-2:] for type_, row in theirs.items() if type_ != "CANARY_GLOBEX"} == {(1, None)}
    assert noted(owner, cast.globex) == ["agent_made"] * 4 + ["agents_brought_in"]


def test_what_comes_with_the_portal_comes_back_as_the_same(app: Flask, settings: Settings, root: Browser, owner: Any) -> None:
    with closing(connect(settings.platform_database_url)) as connection:
        shipped.load(connection)
    document = taken(root)
    assert len(json.loads(document)["agents"]) > 5
    assert set(fates(look(root, document)).values()) == {"The same"}


def test_white_space_around_a_configuration_is_no_change_of_it(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    say(owner, id_of(cast.acme, "agent"), "\n{}\n ")
    document = taken(admin).replace("CANARY-acme", "Renamed")
    assert "1 agent was changed" in brought(admin, document)
    assert own(owner, cast.acme, "name configuration")["CANARY_ACME"] == ("Renamed", "\n{}\n ", 2, 1)


def test_an_agent_that_waits_with_another_type_is_found_by_it(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    save(owner, id_of(cast.acme, "agent"), agent_type="LATER")
    assert fates(look(admin, taken(admin))) == {"LATER": "The same"}
    assert fates(look(admin, taken(admin).replace("LATER", "CANARY_ACME"))) == {"CANARY_ACME": "Different"}
    assert fates(look(admin, file(one("LATER"), one("CANARY_ACME")))) == {"LATER": "Different", "CANARY_ACME": "New"}


# Looking, then bringing in


def test_what_is_different_is_shown_before_anything_is_written(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    document = file(one("CANARY_ACME", '{"prompt": "Kind"}', name="Renamed"), one("FLOWERS"))
    page = look(admin, document)
    assert fates(page) == {"CANARY_ACME": "Different", "FLOWERS": "New"}
    labels = [label.get_text() for label in page.select("table.diff caption bdi")]
    assert labels == ["Name", "What it is for", "Prompt"]
    assert [line.get_text() for line in page.select(".diff-new ins")][:1] == ["added Renamed"]
    assert list(own(owner, cast.acme)) == ["CANARY_ACME"]
    assert "1 agent was made and 1 agent was changed; what is new is used once it is published." in brought(admin, document)
    assert own(owner, cast.acme) == {"CANARY_ACME": ("Renamed", 2, 1), "FLOWERS": ("Flowers", 1, None)}
    assert noted(owner, cast.acme) == ["agent_changed", "agent_made", "agents_brought_in"]
    assert "imported agents from a file" in admin.get("audit.index").text


def test_what_is_brought_in_is_in_use_at_once_where_that_is_wanted(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    document = file(one("CANARY_ACME"), one("FLOWERS"), one("STONES"))
    assert "2 agents were made and 1 agent was changed; all of it is in use." in brought(admin, document, publish="y")
    assert own(owner, cast.acme) == {"CANARY_ACME": ("Canary_Acme", 2, 2), "FLOWERS": ("Flowers", 1, 1), "STONES": ("Stones", 1, 1)}
    owner.execute("SELECT DISTINCT comment FROM agent_versions WHERE comment LIKE 'Imported%'")
    assert owner.fetchall() == [("Imported from a file",)]


def test_what_is_withdrawn_is_not_met(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    document = taken(admin)
    admin.post("agents.withdraw", {}, agent_id=id_of(cast.acme, "agent"))
    page = look(admin, document)
    assert fates(page) == {"CANARY_ACME": "New"}
    bring(admin, page)
    owner.execute("SELECT count(*) FROM agents WHERE agent_type = 'CANARY_ACME'")
    assert owner.fetchone() == (2,)


def test_a_type_may_be_written_small(admin: Browser) -> None:
    assert fates(look(admin, file(one("canary-acme")))) == {"CANARY_ACME": "Different"}


def test_what_a_file_says_of_ids_owners_and_versions_counts_for_nothing(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    theirs = {
        "id": id_of(cast.globex, "agent"), "owner_tenant_id": str(cast.globex.id), "is_free_agent": True, "version": 7, "published_version": 7,
        "is_active": False, "created_by": str(cast.globex.admin.id), "publish": True, "comment": "Theirs", "odd": "\u0000\ud800",
    }  # fmt: skip
    brought(admin, file(json.dumps({**json.loads(one("FLOWERS")), **theirs}), id="x", publish=True))
    owner.execute(
        "SELECT owner_tenant_id, is_free_agent, version, published_version, is_active, created_by FROM agents WHERE agent_type = 'FLOWERS'"
    )
    assert owner.fetchall() == [(str(cast.acme.id), False, 1, None, True, str(cast.acme.admin.id))]
    assert list(own(owner, cast.globex)) == ["CANARY_GLOBEX"]


def test_a_super_admin_brings_free_agents_in(root: Browser, owner: Any, cast: SimpleNamespace) -> None:
    page = look(root, file(one("CANARY_FREE"), one("FLOWERS"), one("CANARY_ACME")))
    assert fates(page) == {"CANARY_FREE": "Different", "FLOWERS": "New", "CANARY_ACME": "New"}
    bring(root, page)
    assert set(own(owner, None)) == {"CANARY_FREE", "FLOWERS", "CANARY_ACME"}
    assert own(owner, cast.acme) == {"CANARY_ACME": ("CANARY-acme", 1, 1)}


def test_names_are_shown_as_they_are_and_run_nowhere(admin: Browser) -> None:
    name = "=HYPERLINK(1) <script>alert(1)</script> {{ 7*7 }}"
    page = look(admin, file(one("CANARY_ACME", '{"</textarea><script>x": "&lt;"}', name=name)))
    assert name in [cell.get_text() for cell in page.select("th bdi")]
    assert not page.select("main script")
    assert json.loads(form_of(page)["document"])["agents"][0]["name"] == name


def test_a_file_as_large_as_may_be_is_brought_in(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    """Of what grows when a form is sent: line breaks, and letters of other scripts."""
    configuration = json.dumps({"text": "é" * 15_000}, ensure_ascii=False)[:-1] + "\n" * 34_000 + "}"
    document = file(*(one(f"LARGE_{number}", configuration) for number in range(16)))
    assert 0.95 * commands.LARGEST < len(document.encode()) <= commands.LARGEST
    bring(admin, look(admin, document))
    assert own(owner, cast.acme, "configuration")["LARGE_7"][0] == configuration


def test_two_hundred_new_agents_are_made_at_once(admin: Browser, app: Flask, owner: Any, cast: SimpleNamespace) -> None:
    page = look(admin, file(*(one(f"MADE_{number}") for number in range(200))))
    assert "200 agents were made; all of it is in use." in brought(admin, form_of(page)["document"], publish="y")
    assert len(own(owner, cast.acme)) == 201


def test_of_many_that_differ_the_first_are_compared(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    many(owner, cast.acme, 30)
    page = look(admin, taken(admin).replace('"Made', '"Remade'))
    assert len(page.select("details.sheet-fold")) == 25
    assert "of the first 25 of 30" in page.text


# What is refused


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (b"", "Choose a file; an empty one holds no agent."),
        (b"x" * (commands.LARGEST + 1), "at most 1,048,576 (1 MiB) are taken"),
        (file(one()).encode("utf-16"), "This is no text in UTF-8."),
        (b"\xff{}", "This is no text in UTF-8."),
        ("{", "This is no JSON. Line 1, column 2: a key in double quotes is missing here."),
        ('{\n"agents": [1,]}', "This is no JSON. Line 2, column 14: a value is missing here."),
        ('{"schema": NaN}', "This is no JSON: NaN is no number."),
        (file(one(configuration='{"a": -Infinity}')), "This is no JSON: -Infinity is no number."),
        ("[" * 100_000, "This is nested too deep to be read."),
        (f'{{"a":{"[" * 100_000}{"]" * 100_000}}}', "This is nested too deep to be read."),
        ("[]", "This is no file of agents"),
        ('"thanotopolis-agents"', "This is no file of agents"),
        (file(one(), schema="agents"), "This is no file of agents"),
        ('{"schema": "thanotopolis-agents", "schema_version": 1}', "This is no file of agents"),
        ('{"schema": "thanotopolis-agents", "schema_version": 1, "agents": {}}', "This is no file of agents"),
        (file(one(), schema_version=2), "The version of this file is 2; this portal reads version 1."),
        (file(one(), schema_version=True), "The version of this file is none that is a number"),
        (file(one(), schema_version="1"), "The version of this file is none that is a number"),
        (file(one(), schema_version=None), "The version of this file is none that is a number"),
        (file(), "There is no agent in this file."),
        (file(*["1"] * 201), "There are 201 agents in this file; at most 200 are taken."),
        (file(one())[:-1] + ', "agents": []}', "agents: this stands twice in the file."),
        (file(one("FLOWERS"), one("flowers")), "The type FLOWERS stands 2 times."),
        (file(one(), "5", "null", "[]", '"x"'), "Agent 2: Write this as an object, in braces. Agent 3: Write this as an object"),
        (file(one()[:-1] + ', "name": "Twice"}'), "Agent 1 (“Twice”), name: this key stands twice."),
        (file(one(configuration='{}, "configuration": {}')), "Agent 1 (“Flowers”), configuration: this key stands twice."),
        (file("{}"), "Agent 1, name: This is missing. Agent 1, agent_type: This is missing. Agent 1, configuration: This is missing."),
        (file(one(), one("STONES", name=None)), "Agent 2, name: This is missing."),
        (file(one(name=12)), "Agent 1, name: Write this as text."),
        (file(one(name=["x"])), "Agent 1, name: Write this as text."),
        (file(one(name={"a": 1})), "Agent 1, name: Write this as text."),
        (file(one(name="x" * 201)), "name: Shorten this to 200 characters; it has 201."),
        (file(one(name="\u0000")), "name: There is a hidden character (U+0000) at the start."),
        (file(one(name="a\x00").replace("\\u0000", "\\ud800")), "Agent 1 (“a\ufffd”), name: There is a broken character (U+D800)"),
        (file(one(name=f"a{BACK}b")), "Agent 1 (“a\ufffdb”), name: There is a hidden character (U+202E)"),
        (file(one().replace('"FLOWERS"', "3")), "agent_type: Write this as text."),
        (file(one().replace('"FLOWERS"', '"1st"')), "agent_type: Use 3 to 64 letters A to Z"),
        (file(one().replace('"FLOWERS"', "{}")), "agent_type: Write this as text."),
        (file(one(description=1.5)), "description: Write this as text."),
        (file(one(description="x" * 10_001)), "description: Shorten this to 10,000 characters"),
        (file(one(capabilities=5)), "capabilities: Write this as a list."),
        (file(one(capabilities={"a": 1})), "capabilities: Write this as a list."),
        (file(one(capabilities=[1, "b"])), "capabilities: Write this as text."),
        (file(one(capabilities=[None])), "capabilities: Write this as text."),
        (file(one(capabilities=[str(n) for n in range(21)])), "capabilities: These are 21; name at most 20."),
        (file(one(capabilities=["x\x00"]).replace("x\\u0000", "x\\ud800")), "capabilities: One of these holds a character that is not seen."),
        (file(one(configuration="5")), "configuration: Line 1, column 1: the document has to be an object, in braces."),
        (file(one(configuration="null")), "configuration: Line 1, column 1: the document has to be an object, in braces."),
        (file(one(configuration='{"a": 1, "a": 2}')), "configuration: Line 1, column 10 (a): this key stands twice in one object."),
        (file(one(configuration=f'{{"a": {"[" * 30}{"]" * 30}}}')), "this is nested deeper than 20 levels"),
        (file(one(configuration=json.dumps({"a": "x" * 70_000}))), "configuration: This is larger than 64 KiB."),
        (file(one(configuration='{"key": "sk-proj-abcdefghijklmnopqrstuvwx"}')), "this looks like a secret key"),
        (file(one(configuration='{"temperature": 9}')), "configuration: Line 1, column 17 (temperature): between 0 and 2"),
        (file(one(configuration=f'{{"a": {"9" * 200}}}')), "this number is too large"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_in_words(
    admin: Browser, owner: Any, cast: SimpleNamespace, document: str | bytes, sentence: str
) -> None:
    assert sentence in refused(admin, document)
    assert "Input should" not in admin.page.text
    assert list(own(owner, cast.acme)) == ["CANARY_ACME"]


def test_no_depth_is_a_fault_of_the_portal(admin: Browser) -> None:
    """Whatever the stack has left when it is read."""
    for depth in range(300, 1_100, 50):
        look(admin, file(one(name="x", odd=None).replace("null", f"{'[' * depth}{']' * depth}")), expect=422)


def test_no_file_at_all_is_refused(admin: Browser) -> None:
    assert "Choose a file" in admin.post("agent_files.look", {}, expect=422).fault("file")


def test_a_mark_in_front_and_breaks_of_any_kind_are_taken(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    document = json.dumps(json.loads(file(one(configuration='{"a": [1, 2]}'))), indent=2)
    bring(admin, look(admin, b"\xef\xbb\xbf" + document.replace("\n", "\r\n").encode()))
    assert fates(look(admin, document.replace("\n", "\r"))) == {"FLOWERS": "The same"}
    assert "\r" not in own(owner, cast.acme, "configuration")["FLOWERS"][0]


def test_capabilities_are_tidied_as_typed_ones_are(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    brought(admin, file(one(capabilities=["  a   b ", "a b", "", "c, d"])))
    assert own(owner, cast.acme, "capabilities")["FLOWERS"][0] == ["a b", "c", "d"]


def test_a_long_list_of_faults_is_told_in_part(admin: Browser) -> None:
    told = refused(admin, file(*["{}"] * 200))
    assert told.count("This is missing.") == commands.TOLD
    assert told.endswith("And 580 more.")


def test_larger_bodies_are_taken_at_these_doors_only_and_from_whoever_may(app: Flask, admin: Browser, cast: SimpleNamespace) -> None:
    large = b"x" * 1_100_000
    for person in (None, cast.acme.user, cast.platform.admin):
        browser = Browser(app).sign_in(person) if person else Browser(app)
        look(browser, large, expect=413)
        browser.post("agent_files.bring_in", {"document": large.decode()}, expect=413)
    assert "1,100,000 bytes" in look(admin, large, expect=422).text
    look(admin, large * 2, expect=413)
    admin.post("agent_files.bring_in", {"document": (large * 3).decode()}, expect=413)
    admin.post("agents.new", {"name": large.decode()}, expect=413)


# The confirmation


def test_nothing_is_brought_in_that_was_not_shown(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    page = look(admin, file(one("FLOWERS")))
    other = bring(admin, page, document=file(one("STONES")), expect=409)
    assert "or the file is another one. Nothing was imported" in other.text
    assert fates(other) == {"STONES": "New"}
    for seen in ("", "{}", "x" * 10_000, form_of(page)["seen"].upper()):
        bring(admin, page, seen=seen, expect=409)
    assert list(own(owner, cast.acme)) == ["CANARY_ACME"]
    bring(admin, other)
    assert set(own(owner, cast.acme)) == {"CANARY_ACME", "STONES"}


@pytest.mark.parametrize("document", ["", "{", file(), file(one(configuration='{"a": "sk-proj-abcdefghijklmnopqrstuvwx"}'))])
def test_a_confirmation_of_what_is_no_file_is_refused_in_words(admin: Browser, owner: Any, cast: SimpleNamespace, document: str) -> None:
    bring(admin, look(admin, file(one())), document=document, expect=422)
    assert list(own(owner, cast.acme)) == ["CANARY_ACME"]


def test_the_same_form_sent_twice_makes_once(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    page = look(admin, file(one("FLOWERS"), one("CANARY_ACME")))
    bring(admin, page)
    assert set(fates(bring(admin, page, expect=409)).values()) == {"The same"}
    assert own(owner, cast.acme) == {"CANARY_ACME": ("Canary_Acme", 2, 1), "FLOWERS": ("Flowers", 1, None)}
    bring(admin, look(admin, file(one("STONES"))), nonce="")
    assert "STONES" in own(owner, cast.acme)


@pytest.mark.parametrize(("publish", "entries"), [("", 1), ("y", 2)])
def test_of_the_statements_only_the_entries_of_the_audit_log_become_more_with_the_agents(
    app: Flask, admin: Browser, owner: Any, cast: SimpleNamespace, publish: str, entries: int
) -> None:
    counts = list[int]()
    for word, number in (("FEW", 2), ("MANY", 10)):
        page = look(admin, file(*(one(f"{word}_{n}") for n in range(number))))
        with counted(app) as statements:
            bring(admin, page, publish=publish)
        counts.append(len(statements))
    assert counts[1] - counts[0] == 8 * entries
    assert len(noted(owner, cast.acme)) == 12 * entries + 2
    with app.app_context(), tenancy.bound(None, pool="platform"):
        assert [chain.broken for chain in audit.verify()] == [None] * 4


def test_no_statement_writes_so_many_agents_that_its_time_would_end(
    app: Flask, admin: Browser, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "WRITTEN_AT_ONCE", 2)
    page = look(admin, file(*(one(f"MADE_{number}") for number in range(5))))
    with counted(app) as statements:
        bring(admin, page)
    for table in ("agents", "agent_versions"):
        assert len([statement for statement in statements if statement.startswith(f"INSERT INTO {table} (")]) == 3
    assert {one["agent_type"] for one in said(admin)} == {"CANARY_ACME", *(f"MADE_{number}" for number in range(5))}


def test_all_or_nothing_is_written(admin: Browser, owner: Any, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the third of five is taken at this moment by somebody else, and the page then tells what is there."""
    page = look(admin, file(*(one(f"MADE_{number}") for number in range(5)), one("CANARY_ACME")))
    seen = services._looked

    def meanwhile(*args: Any) -> Any:
        looked = seen(*args)
        if len(own(owner, cast.acme)) == 1:
            stand(owner, {**agent(str(uuid4()), "made_2", cast.acme.id), "agent_type": "MADE_2"})
        return looked

    monkeypatch.setattr(services, "_looked", meanwhile)
    told = bring(admin, page, expect=422)
    assert "Another active agent of yours has the type MADE_2 already" in told.text
    assert fates(told) == {f"MADE_{n}": "Different" if n == 2 else "New" for n in range(5)} | {"CANARY_ACME": "Different"}
    assert {type_: row[1:] for type_, row in own(owner, cast.acme).items()} == {"CANARY_ACME": (1, 1), "MADE_2": (1, 1)}
    assert noted(owner, cast.acme) == []


def rename(admin: Browser, owner: Any, id_: str) -> None:
    form = admin.get("agents.edit", agent_id=id_).form(f"main form[action='/agents/{id_}/edit']")
    admin.post("agents.edit", {**form, "name": "Somebody else's"}, agent_id=id_)


def withdraw(admin: Browser, owner: Any, id_: str) -> None:
    admin.post("agents.withdraw", {}, agent_id=id_)


def remove(admin: Browser, owner: Any, id_: str) -> None:
    owner.execute("DELETE FROM agents WHERE id = %s", (id_,))


def replace(admin: Browser, owner: Any, id_: str) -> None:
    withdraw(admin, owner, id_)
    owner.execute("SELECT owner_tenant_id FROM agents WHERE id = %s", (id_,))
    stand(owner, agent(str(uuid4()), "acme", owner.fetchone()[0]))


@pytest.mark.parametrize(
    ("act", "fate"),
    [(rename, "Different"), (withdraw, "New"), (remove, "New"), (replace, "Different")],
    ids=lambda of: getattr(of, "__name__", of),
)
def test_whoever_was_faster_is_shown_and_loses_nothing(
    admin: Browser, owner: Any, cast: SimpleNamespace, act: Callable[..., None], fate: str
) -> None:
    page = look(admin, file(one("CANARY_ACME", name="Mine"), one("FLOWERS")))
    act(admin, owner, id_of(cast.acme, "agent"))
    other = bring(admin, page, publish="y", expect=409)
    assert "Somebody changed an agent since the file was compared" in other.text
    assert fates(other) == {"CANARY_ACME": fate, "FLOWERS": "New"}
    if act is rename:
        assert "Somebody else's" in "".join(line.get_text() for line in other.select(".diff-old"))
    assert form_of(other)["publish"] == "y"
    assert "FLOWERS" not in own(owner, cast.acme)
    bring(admin, other)
    assert own(owner, cast.acme)["CANARY_ACME"][0] == "Mine"


def test_an_agent_that_changes_at_the_last_moment_is_not_overwritten(
    admin: Browser, owner: Any, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = look(admin, file(one("CANARY_ACME", name="Mine"), one("FLOWERS")))
    locked = services.versions.locked
    done: list[bool] = []

    def meanwhile(of: Any) -> Any:
        if not done:
            save(owner, id_of(cast.acme, "agent"), name="Theirs")
            done.append(True)
        return locked(of)

    monkeypatch.setattr(services.versions, "locked", meanwhile)
    assert fates(bring(admin, page, expect=409)) == {"CANARY_ACME": "Different", "FLOWERS": "New"}
    assert own(owner, cast.acme) == {"CANARY_ACME": ("Theirs", 2, 1)}


def test_what_was_begun_before_a_refusal_is_not_compared_with(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    """A change is saved before the agent is made whose form was sent before."""
    bring(admin, look(admin, file(one("FLOWERS"))), nonce="again")
    owner.execute("UPDATE agents SET is_active = false WHERE agent_type = 'FLOWERS'")
    told = bring(admin, look(admin, file(one("FLOWERS"), one("CANARY_ACME"))), nonce="again", expect=409)
    assert "This form was sent before" in told.text
    assert fates(told) == {"FLOWERS": "New", "CANARY_ACME": "Different"}
    assert own(owner, cast.acme) == {"CANARY_ACME": ("CANARY-acme", 1, 1)}


def test_two_who_bring_the_same_in_at_once_do_it_once(app: Flask, owner: Any, cast: SimpleNamespace) -> None:
    """In opposite order, so that each could wait for the other."""
    many(owner, cast.acme, 5)
    parts = [one(f"MADE_{number}") for number in range(1, 10)]
    browsers = [Browser(app).sign_in(person) for person in (cast.acme.admin, cast.acme.admin2)]
    forms = [form_of(look(browser, file(*order))) for browser, order in zip(browsers, (parts, parts[::-1]), strict=True)]
    bringing = (posting(browser, "/agents/import/bring-in", form) for browser, form in zip(browsers, forms, strict=True))
    assert sorted(at_once(*bringing)) in ([303, 409], [303, 422])
    rows = own(owner, cast.acme)
    assert [rows[f"MADE_{number}"][1:] for number in range(1, 10)] == [(2, 1)] * 5 + [(1, None)] * 4


def test_whom_the_database_parts_from_another_reads_so_in_words(admin: Browser, owner: Any, cast: SimpleNamespace) -> None:
    """Which of two that wait for each other is refused is the database's choice; here a trigger makes it."""
    page = look(admin, file(one("AAA"), one("BBB")))
    owner.execute(
        "CREATE FUNCTION part() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected'; END $$;"
        "CREATE TRIGGER part BEFORE INSERT ON agents FOR EACH ROW WHEN (NEW.agent_type = 'BBB') EXECUTE FUNCTION part()"
    )
    try:
        told = bring(admin, page, expect=409)
    finally:
        owner.execute("DROP TRIGGER part ON agents; DROP FUNCTION part()")
    assert "Somebody else changed the same thing just now." in told.text
    assert set(own(owner, cast.acme)) == {"CANARY_ACME"}


def test_the_policy_is_asked_where_no_door_is(app: Flask, cast: SimpleNamespace) -> None:
    for person in (cast.acme.user, cast.platform.admin):
        with app.app_context(), pytest.raises(Invalid):
            services.bring_in(commands.BringIn(document=file(one()), seen=""), nonce="x", by=acting(person))
