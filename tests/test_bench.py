"""The measuring itself: what it reads from the kernel, what it serves beside the portal, what it writes down. No figure is asserted."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import null, select
from uuid_utils.compat import uuid7

from bench import agents, catalogues, crowds, filling, proc, running, users, users_in_bulk
from bench.__main__ import PARTS
from bench.load import Load, Visitor, always, load
from bench.report import DOCUMENT, Table, put, told, verdict, written
from portal.agents import services as agent_services
from portal.agents.commands import MakeAgent, as_written
from portal.bulk import services as bulk
from portal.database import connect, tenancy
from portal.extensions import db, transaction
from portal.imports import importing
from portal.imports.importing import Person
from portal.system import ROOT, StartRefused
from portal.testing import Browser, Cluster
from portal.users import services
from portal.users.commands import RemoveUser
from portal.users.models import Role, User
from portal.values import email_key, username_key
from tests.steps import actor

Smallest = tuple[running.Served, Visitor]


def finished(loading: Coroutine[Any, Any, Load]) -> Load:
    """In a thread of its own: a browser of earlier tests keeps a running event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, loading).result()


@pytest.fixture(scope="module")
def smallest(cluster: Cluster, worker_id: str) -> Iterator[Smallest]:
    with running.smallest_page(cluster.instance, rows=100, database=f"smallest_{worker_id}") as (served, cookie):
        name, _, value = cookie.partition("=")
        yield served, Visitor(served.port, {name: value})
    cluster.drop_database(f"smallest_{worker_id}")


def test_processor_time_is_that_of_the_process() -> None:
    before, began = proc.processor_seconds([os.getpid()]), time.process_time()
    while time.process_time() - began < 0.2:
        pass
    assert proc.processor_seconds([os.getpid()]) - before == pytest.approx(time.process_time() - began, abs=0.05)


def test_a_process_that_is_gone_has_no_figure() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(OSError, match=str(gone.pid)):
        proc.processor_seconds([gone.pid])


def test_memory_is_counted_by_the_share_in_it() -> None:
    before, mine = proc.proportional_bytes(os.getpid()), bytearray(b"x") * (64 * 2**20)
    assert 60 * 2**20 < proc.proportional_bytes(os.getpid()) - before < 80 * 2**20
    assert len(mine) < proc.memory_bytes()


def test_the_workers_are_those_of_the_web_server(smallest: Smallest) -> None:
    served, _visitor = smallest
    assert len(served.workers()) == 2
    assert served.process.pid in proc.children(os.getpid())
    with pytest.raises(RuntimeError, match="with 0 workers"):
        proc.web_workers(served.workers()[0])


def test_the_smallest_page_shows_25_rows_to_who_is_signed_in(smallest: Smallest) -> None:
    served, visitor = smallest
    rows = [[cell.text for cell in row.select("td")] for row in visitor.get("/?after=50").select("tbody tr")]
    assert [row[0] for row in rows] == [str(number) for number in range(51, 76)]
    assert {len(row) for row in rows} == {6}
    for cookies in ({}, {"session": visitor.cookies["session"][:-1]}):
        with pytest.raises(RuntimeError, match="401"):
            Visitor(served.port, cookies).get("/")


def test_the_database_processes_are_those_of_who_is_connected(cluster: Cluster, database: str) -> None:
    url = cluster.superuser_url(database)
    with closing(connect(cluster.urls(database)["owner"])) as one, closing(connect(url)) as other:
        pids = {one.info.backend_pid, other.info.backend_pid}
        assert pids <= set(running.backends(url))
        assert not pids & set(running.backends(cluster.superuser_url("postgres")))


def test_the_most_memory_of_a_while_is_seen_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_in_bulk, "WATCHED", 0.01)
    with users_in_bulk.watching(lambda: [os.getpid()]) as took:
        held = bytearray(b"x") * (64 * 2**20)
        time.sleep(0.3)
        del held
    assert took.peak - took.before > 50
    assert took.seconds >= 0.3


def test_the_client_counts_answers_and_takes_no_refusal_for_one(smallest: Smallest) -> None:
    served, visitor = smallest
    answers = finished(load(served.port, always(visitor.request("/")), at_once=3, seconds=60, most=20))
    assert len(answers.waited) == 20
    assert answers.size > 1000
    with pytest.raises(RuntimeError, match="401 instead of 200"):
        finished(load(served.port, always(Visitor(served.port).request("/")), at_once=1, seconds=60, most=1))


def test_what_is_filled_in_is_a_portal_that_people_can_use(
    app: Flask, cluster: Cluster, database: str, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "PEOPLE", 40)
    monkeypatch.setattr(filling, "ENTRIES", 60)
    monkeypatch.setattr(filling, "NEIGHBOURS", 2)
    logins = filling.fill(cluster.superuser_url(database))
    assert len(logins) == len(set(logins)) == 40
    told = app.test_cli_runner().invoke(args=["verify-audit"]).output
    assert "harbour: 60 entries, whole" in told
    assert "neighbour-1: 3 entries, whole" in told
    admin = Browser(app).sign_in(SimpleNamespace(subdomain="harbour", email=logins[0], password=filling.PASSWORD))
    assert "from 40 accounts" in admin.get("/").text
    assert admin.get("/settings").form()["full_name"] == "harbour House Limited"


# A crowd of users

SIZE = 480


@pytest.fixture
def crowded(app: Flask, cluster: Cluster, database: str, cast: SimpleNamespace) -> Browser:
    """The administrator of an organization that the bench has filled, and another one beside it."""
    logins = crowds.fill_crowds(cluster.superuser_url(database), {"crowd": SIZE, "neighbours": SIZE})
    return Browser(app).sign_in(SimpleNamespace(subdomain="crowd", email=logins["crowd"], password=filling.PASSWORD))


def said(page: Any) -> str:
    return " ".join(page.select_one("#users [role=status]").get_text(" ").split())


def test_a_crowd_is_found_by_the_portals_own_page(crowded: Browser) -> None:
    here, removed = (int(said(crowded.get("users.index", **asked)).partition(" of ")[2]) for asked in ({}, {"state": "removed"}))
    assert here + removed == SIZE
    few = f"1–25 of {crowds.FEW}"
    for typed, _ in list(users.SEARCHES.items())[:2]:
        page = crowded.get("users.index", q=typed)
        assert said(page) == few
        assert len(page.select("tbody tr")) == 25
    assert said(crowded.get("users.index", q=crowds.IN_EVERY_ADDRESS)) == said(crowded.get("users.index"))
    for name, values in users.FILTERS.items():
        every = [said(crowded.get("users.index", **{name: value})) for value in values]
        assert all(told.startswith("1–") for told in every), every
    assert crowded.get("users.index", sort="-since").select("tbody tr")


def test_the_cursor_of_a_deep_page_is_that_of_the_portals_own_links(
    crowded: Browser, cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "SIZES", {"crowd": SIZE})
    monkeypatch.setattr(users, "DEPTH", 25 / (SIZE * 0.97))
    with closing(connect(cluster.superuser_url(database))) as connection:
        deep = users._place(connection, "crowd", "email")
    first = crowded.get("users.index", sort="email")
    following = crowded.get("users.index", sort="email", after=deep)
    assert said(following).startswith("26–50 of")
    assert parse_qs(urlsplit(str(first.select_one("a[rel=next]")["href"])).query)["after"] == [deep]


def test_what_is_filled_leaves_every_index_as_it_was(catalogue: Browser, owner: Any, cluster: Cluster) -> None:
    cluster.create_database("fresh")
    try:
        cluster.migrate("fresh")
        indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
        with closing(connect(cluster.superuser_url("fresh"))) as connection, connection.cursor() as fresh:
            fresh.execute(indexes)
            owner.execute(indexes)
            assert owner.fetchall() == fresh.fetchall()
    finally:
        cluster.drop_database("fresh")


STORED = """
    SELECT first_name, last_name, username, username_key, email, email_key, sort_key, search_text, role, state, is_active, is_verified,
           hashed_password IS NULL, accepted_at IS NULL, removed_at IS NULL, last_sign_in_at IS NULL OR state <> 'invited', auth_epoch, version
    FROM users WHERE tenant_id = (SELECT id FROM tenants WHERE subdomain = %s) AND ({})"""
ONE_OF_EACH = """
    id IN (SELECT DISTINCT ON (state, first_name IS NULL) id FROM users WHERE role = 'user' AND tenant_id = (
        SELECT id FROM tenants WHERE subdomain = 'crowd') AND sort_key !~ 'thistle' ORDER BY state, first_name IS NULL, is_verified, id)"""


def test_each_account_of_a_crowd_is_stored_as_the_portals_services_store_it(
    crowded: Browser, app: Flask, cast: SimpleNamespace, owner: Any
) -> None:
    owner.execute(STORED.format(ONE_OF_EACH), ["crowd"])
    columns = [column.name for column in owner.description]
    loaded = [dict(zip(columns, row, strict=True)) for row in owner.fetchall()]
    assert {row["state"] for row in loaded} == set(crowds.STATES)
    removed = crowds.account(
        random.Random(1), cast.acme.id, "active", 0.5, ("Søren", "Ó Ortiz", "soren.oortiz.7", "s.o7@quay.example"), "!", administers=False
    )
    with app.app_context():
        with tenancy.bound(cast.acme.id):
            admin = actor(cast.acme.admin)
        for row in loaded:
            made = store(app, admin, {**row, **({name: removed[name] for name in NAMED} if row["state"] == "removed" else {})})
            owner.execute(STORED.format("id = %s"), ["acme", str(made)])
            assert dict(zip(columns, owner.fetchone(), strict=True)) == {**row, "is_verified": False}


NAMED = ("first_name", "last_name", "username", "email")


def store(app: Flask, admin: Any, row: dict[str, Any]) -> UUID:
    """An account of the same name and address, brought into the same state by the portal's own services."""
    user_id, named = uuid7(), {name: row[name] for name in NAMED}
    with tenancy.bound(admin.tenant_id, user=admin.id, role=admin.role), transaction():
        if row["state"] == "invited":
            key = email_key(named["email"])
            person = Person(named["email"], key, named["first_name"], named["last_name"], None, None, "user")
            importing.write([person], None, bulk.begin_import(by=admin), admin)
            return db.session.execute(select(User.id).where(User.tenant_id == admin.tenant_id, User.email_key == key)).scalar_one()
        if row["state"] == "waiting":  # as access_codes.services.join makes it
            keys = {"username_key": username_key(named["username"]), "email_key": email_key(named["email"])}
            waits = {"role": Role.USER, "hashed_password": "!", "is_active": False, "accepted_at": null()}
            db.session.add(User(id=user_id, tenant_id=admin.tenant_id, **named, **keys, **waits))
            return user_id
        account = services.new_account(user_id=user_id, tenant_id=admin.tenant_id, role=Role.USER, hashed_password="!", **named)
        if row["state"] in ("deactivated", "removed"):
            services.deactivate(account, by=admin)
            db.session.flush()
        if row["state"] == "removed":
            services.remove(RemoveUser(name=account.full_name), account, by=admin)
    return user_id


# A catalogue of agents

OWN, AGENTS = {"harbour": 400, "orchard": 200}, 1_000


@pytest.fixture
def catalogue(app: Flask, cluster: Cluster, database: str, cast: SimpleNamespace) -> Browser:
    """The administrator of one of two organizations that the bench has filled."""
    logins = catalogues.fill_catalogue(cluster.superuser_url(database), OWN, 5, AGENTS)
    return Browser(app).sign_in(SimpleNamespace(subdomain="harbour", email=logins["harbour"], password=filling.PASSWORD))


def test_a_catalogue_is_found_by_the_portals_own_page(catalogue: Browser, owner: Any) -> None:
    def many(**asked: str) -> int:
        status = agents_page(catalogue.get("agents.index", **asked))
        return int(status.rpartition(" ")[2])

    sides = {"own": OWN["harbour"], "free": catalogues.FREE, "shared": catalogues.SHARED}
    owner.execute("SELECT count(*), count(*) FILTER (WHERE is_free_agent) FROM agents JOIN agent_versions ON agent_id = agents.id")
    assert owner.fetchone() == (AGENTS, catalogues.FREE)
    assert {whose: many(owner=whose) for whose in sides} == sides
    assert many() == sum(sides.values())
    for state in set(catalogues.STATES):
        assert many(owner="own", state=state) == OWN["harbour"] * catalogues.STATES.count(state) // 100
    assert many(q=catalogues.RARE) == catalogues.FEW
    assert many(owner="free", state="off") == catalogues.SWITCHED_OFF
    used = "SELECT count(*), count(DISTINCT agent_id) > 50 FROM conversation_agents c JOIN tenants t ON t.id = c.tenant_id"
    owner.execute(f"{used} WHERE subdomain = 'harbour'")
    assert owner.fetchone() == (catalogues.CONVERSATIONS, True)


def agents_page(page: Any) -> str:
    return " ".join(page.select_one("#agents [role=status]").get_text(" ").split())


KEPT = """
    a.agent_type, a.name, a.description, a.capabilities, a.configuration_template::text, a.sort_key, a.is_free_agent, a.is_active,
    a.is_enabled, a.version, a.published_version, a.created_by = v.saved_by, v.number, v.name, v.agent_type, v.description, v.capabilities,
    v.configuration::text, v.comment, v.owner_tenant_id = a.owner_tenant_id
    FROM agents a JOIN agent_versions v ON v.agent_id = a.id"""


def test_each_agent_is_stored_as_the_portals_services_store_it(catalogue: Browser, app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    owner.execute(f"""
        SELECT DISTINCT ON (a.is_active, a.is_enabled, a.published_version) {KEPT}
        JOIN tenants t ON t.id = a.owner_tenant_id WHERE subdomain = 'harbour'""")
    loaded = owner.fetchall()
    assert len(loaded) == len(set(catalogues.STATES))
    with app.app_context():
        with tenancy.bound(cast.acme.id):
            admin = actor(cast.acme.admin)
        for row in loaded:
            said = dict(zip(("agent_type", "name", "description", "capabilities", "configuration"), row, strict=False))
            with tenancy.bound(admin.tenant_id, user=admin.id, role=admin.role), transaction():
                wanted = MakeAgent(**said, is_enabled=row[8], publish=row[10] is not None)
                made = agent_services.make(wanted, nonce=str(uuid7()), by=admin)
                if not row[7]:
                    agent_services.withdraw(agent_services.agent(admin, made.id), by=admin)
            owner.execute(f"SELECT {KEPT} WHERE a.id = %s", [str(made.id)])
            assert owner.fetchone() == row


def test_an_editor_is_sent_as_the_page_has_it(catalogue: Browser, app: Flask) -> None:
    editor = agents.Editor(catalogue)
    for as_sent in (editor.as_json, editor.as_form):
        documents = [agents._prose(number) for number in (1, 2)]
        (form,) = as_sent(documents)
        assert catalogue.client.post(editor.path, data=form).status_code == 303


@pytest.mark.parametrize("document", [agents._prose, agents._keys, agents._numbers])
def test_what_is_saved_is_as_large_as_it_may_be(document: Callable[[int], str]) -> None:
    assert 0.95 * agents.SIZE < len(as_written(document(agents.SAVES * 8)).encode()) <= agents.SIZE
    assert document(1) != document(2)


def test_a_database_of_somebody_is_never_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "PLATFORM_DATABASE_URL", "WORKER_DATABASE_URL"):
        monkeypatch.setenv(name, "postgresql://portal_app@localhost/real")
    monkeypatch.setenv("SECRET_KEY", "a key that only these tests use, 32+")
    with pytest.raises(StartRefused, match="DATABASE_URL"), running.instance():
        pass


def test_a_median_stands_between_the_least_and_the_most() -> None:
    assert told([3.0, 1.0, 2.5], 1) == "2.5 (1.0–3.0)"
    assert [verdict([1.0, 2.0, 9.0], 2.0), verdict([2.1], 2.0)] == ["≤ 2, kept", "≤ 2, missed"]
    assert [verdict([0.7], 0.7, least=True), verdict([0.69], 0.7, least=True)] == ["≥ 0.7, kept", "≥ 0.7, missed"]


def test_a_run_replaces_its_own_part_of_the_document_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("Above\n<!-- one: begin -->\nold\n<!-- one: end -->\nBetween\n<!-- two: begin -->\n<!-- two: end -->\nBelow\n")
    put(document, "one", "new")
    put(document, "two", "newer")
    assert document.read_text() == (
        "Above\n<!-- one: begin -->\nnew\n<!-- one: end -->\nBetween\n<!-- two: begin -->\nnewer\n<!-- two: end -->\nBelow\n"
    )
    with pytest.raises(ValueError, match="no place for three"):
        put(document, "three", "new")


def test_what_is_written_names_machine_day_and_command() -> None:
    text = written("foundation", 7, [Table("Pages", "How.", ("page", "µs"), [("overview", "1")])], 0.25)
    assert "`make bench PART=foundation`" in text
    assert f"{os.cpu_count()} × " in text
    assert "| page | µs |\n| --- | --- |\n| overview | 1 |" in text
    assert "--repeats 3" in written("foundation", 3, [], 0.25)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_its_place_in_the_document_and_in_the_list(part: str) -> None:
    assert f"<!-- {part}: begin -->" in DOCUMENT.read_text()
    listed = subprocess.run([sys.executable, "-m", "bench"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"  {part} " in listed
    assert f"PART={part}" in (ROOT / "Makefile").read_text()
