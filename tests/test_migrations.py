"""Revisions are right on the legacy system's rows, whatever these hold, and each of them can be taken back."""

import importlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, Row, create_engine, pool, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.extensions import db
from portal.organizations.models import Tenant
from portal.users.models import Role, User, keys_of
from portal.values import code_hash, email_key, sort_key, username_key
from tests import legacy as dirt
from tests.legacy import ACME, AGENTS, EMAILS, GLOBEX, NAMES, ROLES, SUBDOMAINS, TIES, USERNAMES, conversation, id_of, tenant, user

ROOT = Path(__file__).resolve().parents[1]
MIGRATIONS = ROOT / "migrations"
REVISIONS = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]
FIRST, HEAD = REVISIONS[0], REVISIONS[-1]

for path in sorted((ROOT / "portal").glob("*/models.py")):
    importlib.import_module(f"portal.{path.parent.name}.models")

COLUMNS = """
    SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public'"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
CATALOG = {
    "columns": COLUMNS,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "tables": """
        SELECT relname, relkind, relpersistence, relrowsecurity, relforcerowsecurity
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'""",
    "grants": """
        SELECT relname, grantee::regrole::text, privilege_type FROM pg_class CROSS JOIN aclexplode(relacl)
        WHERE relnamespace = 'public'::regnamespace AND grantee <> relowner""",
    "column grants": """
        SELECT relname, attname, grantee::regrole::text, privilege_type
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid CROSS JOIN aclexplode(attacl)
        WHERE relnamespace = 'public'::regnamespace AND NOT attisdropped""",
    "policies": "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies",
    "functions": "SELECT oid::regprocedure::text, prosrc, proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "triggers": "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
}


class Database:
    """One database of the cluster, and the revisions on it."""

    def __init__(self, cluster: Any, name: str) -> None:
        self.urls = cluster.urls(name)
        self.engine = engine_of(self.urls["owner"])

    def config(self, **attributes: Any) -> Config:
        config = Config(str(MIGRATIONS / "alembic.ini"))
        config.attributes.update({"url": self.urls["owner"], **attributes})
        return config

    def upgrade(self, to: str = "head") -> None:
        command.upgrade(self.config(), to)

    def downgrade(self, to: str) -> None:
        command.downgrade(self.config(), to)

    def check(self) -> None:
        """Raises where the models and the database differ, as `flask db check` does."""
        command.check(self.config(metadata=db.metadata))

    def run(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def rows(self, statement: str, **values: Any) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def row(self, statement: str, **values: Any) -> Any:
        (row,) = self.rows(statement, **values)
        return row

    def one(self, statement: str, **values: Any) -> Any:
        return self.row(statement, **values)[0]

    def notes(self, table: str, column: str | None) -> dict[Any, Row[Any]]:
        """What the upgrade noted about a column, or about whole rows, by the row's id."""
        found = self.rows(
            "SELECT * FROM legacy_notes WHERE table_name = :name AND column_name IS NOT DISTINCT FROM :column_name",
            name=table,
            column_name=column,
        )
        assert all(note.reason for note in found)
        return {note.row_id: note for note in found}

    def contents(self) -> dict[str, list[str]]:
        """Every row of every table, as text; without the access codes, of which only hashes are kept from a revision on."""
        tables = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'portal_alembic_version'")
        return {
            name: [row[0] for row in self.rows(f"SELECT (to_jsonb(t) - 'access_code')::text FROM {name} AS t ORDER BY 1")]
            for (name,) in tables
        }

    def catalog(self) -> dict[str, set[tuple[Any, ...]]]:
        """Everything that revisions make, in a form that can be compared."""
        without = "portal_alembic_version"
        return {kind: {tuple(row) for row in self.rows(query) if row[0] != without} for kind, query in CATALOG.items()}

    @contextmanager
    def session(self, login: str, **bound: object) -> Iterator[Session]:
        """A transaction of a portal role, bound as the portal binds it."""
        with Session(engine_of(self.urls[login])) as session, session.begin():
            for name in ("tenant_id", "user_id", "role"):
                session.execute(text(f"SET LOCAL app.{name} = :value"), {"value": str(bound.get(name, ""))})
            yield session


def engine_of(url: str) -> Engine:
    return create_engine(url, poolclass=pool.NullPool)


@contextmanager
def new_database(cluster: Any) -> Iterator[Database]:
    name = f"migrations_{uuid4().hex[:12]}"
    cluster.create_database(name)
    try:
        yield Database(cluster, name)
    finally:
        cluster.drop_database(name)


@contextmanager
def legacy_database(cluster: Any) -> Iterator[Database]:
    """A populated legacy database at which the first revision was stamped."""
    with new_database(cluster) as database:
        with database.engine.begin() as connection:
            dirt.populate(connection)
        command.stamp(database.config(), FIRST)
        yield database


@pytest.fixture
def empty(cluster: Any) -> Iterator[Database]:
    with new_database(cluster) as database:
        yield database


@pytest.fixture
def legacy(cluster: Any) -> Iterator[Database]:
    with legacy_database(cluster) as database:
        yield database


@pytest.fixture(scope="module")
def upgraded(cluster: Any) -> Iterator[Database]:
    """The legacy database after the upgrade, for tests that leave it as it is."""
    with legacy_database(cluster) as database:
        database.upgrade()
        yield database


# The revisions and the models


def test_the_first_revision_is_the_legacy_schema(empty: Database, legacy: Database) -> None:
    empty.upgrade(FIRST)
    made, given = empty.catalog(), legacy.catalog()
    for kind in ("columns", "constraints", "indexes"):
        assert made[kind] == {row for row in given[kind] if row[0] in dirt.TAKEN_OVER}


def test_an_empty_database_goes_up_step_by_step_and_down_the_same_way(empty: Database) -> None:
    empty.upgrade(FIRST)
    pictures = [empty.catalog()]
    for revision in REVISIONS[1:]:
        empty.upgrade(revision)
        pictures.append(empty.catalog())
    for revision, picture in list(zip(REVISIONS, pictures, strict=True))[-2::-1]:
        empty.downgrade(revision)
        assert empty.catalog() == picture, revision
    empty.upgrade()
    assert empty.catalog() == pictures[-1]


def test_each_revision_is_named_by_its_time_and_a_sentence() -> None:
    for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions():
        assert re.fullmatch(rf"{script.revision}_[a-z_]{{20,}}\.py", Path(script.path).name)
        assert script.doc


def test_the_models_and_an_empty_database_agree(empty: Database) -> None:
    empty.upgrade()
    empty.check()


def test_the_models_and_a_database_with_legacy_neighbours_agree(upgraded: Database) -> None:
    upgraded.check()


def test_a_difference_between_models_and_database_is_found(empty: Database) -> None:
    empty.upgrade()
    empty.run("ALTER TABLE tenants ALTER COLUMN phone TYPE varchar(20); DROP INDEX outbox_waiting_idx")
    with pytest.raises(CommandError, match="New upgrade operations detected"):
        empty.check()


def test_the_models_make_the_same_tables_as_the_revisions(cluster: Any, empty: Database) -> None:
    empty.upgrade()
    texts = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname IN ('agent_search_text', 'agent_capability_text')"
    with new_database(cluster) as plain:
        for (function,) in empty.rows(texts):  # of columns, which the models cannot make
            plain.run(function)
        db.metadata.create_all(plain.engine)
        made, said = empty.catalog(), plain.catalog()
    by_hand = {row for row in made["indexes"] if "_by_grams" in str(row)}  # over functions that the models cannot make
    assert len(by_hand) == 2
    for kind in ("columns", "constraints", "indexes"):
        assert made[kind] - by_hand == said[kind]


def test_nothing_goes_below_the_legacy_schema(legacy: Database) -> None:
    before = legacy.contents()
    with pytest.raises(CommandError, match="would drop the legacy tables"):
        legacy.downgrade("base")
    assert legacy.contents() == before


def test_revisions_run_as_the_owner_only(empty: Database) -> None:
    with pytest.raises(CommandError, match="as portal_owner, not as portal_app"):
        command.upgrade(empty.config(url=empty.urls["app"]), "head")


def test_without_an_address_the_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OWNER_DATABASE_URL", raising=False)
    with pytest.raises(CommandError, match="OWNER_DATABASE_URL is missing"):
        command.upgrade(Config(str(MIGRATIONS / "alembic.ini")), "head")


def test_the_address_may_come_from_the_environment(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER_DATABASE_URL", empty.urls["owner"].replace("postgresql+psycopg2:", "postgresql:"))
    command.upgrade(Config(str(MIGRATIONS / "alembic.ini")), "head")
    assert empty.one("SELECT version_num FROM portal_alembic_version") == HEAD


def test_a_table_that_somebody_holds_is_not_waited_for_long(empty: Database) -> None:
    empty.upgrade(FIRST)
    with empty.engine.connect() as busy:
        busy.execute(text("LOCK TABLE tenants IN ACCESS SHARE MODE"))
        with pytest.raises(CommandError, match="Another program holds a table"):
            command.upgrade(empty.config(patience="50ms"), "head")
    assert empty.one("SELECT version_num FROM portal_alembic_version") < HEAD
    empty.upgrade()


def test_two_processes_that_migrate_at_once_do_not_meet(empty: Database) -> None:
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: migrate_elsewhere(empty), range(2)))
    assert empty.one("SELECT version_num FROM portal_alembic_version") == HEAD


def migrate_elsewhere(database: Database) -> None:
    """In a process of its own, since alembic knows one running migration per process."""
    import subprocess
    import sys

    program = f"""
from alembic import command
from alembic.config import Config
config = Config({str(MIGRATIONS / "alembic.ini")!r})
config.attributes["url"] = {database.urls["owner"]!r}
command.upgrade(config, "head")"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=120)


# What becomes of legacy rows


@pytest.mark.parametrize(("typed", "expected"), ROLES.items())
def test_every_legacy_role_becomes_one_of_the_four(upgraded: Database, typed: str | None, expected: str) -> None:
    who = user(f"role {typed!r}")
    assert upgraded.one("SELECT role FROM users WHERE id = :id", id=who) == expected
    note = upgraded.notes("users", "role").get(who)
    if typed == expected:
        assert note is None
    else:
        assert note is not None
        assert (note.tenant_id, note.old_value, note.new_value) == (ACME, typed, expected)


def test_what_was_not_known_to_be_active_or_verified_is_not(upgraded: Database) -> None:
    assert tuple(upgraded.row("SELECT is_active, is_verified FROM users WHERE id = :id", id=user("undecided"))) == (False, False)
    assert upgraded.one("SELECT is_active FROM tenants WHERE id = :id", id=tenant("www")) is False
    for table, column, row_id in (
        ("users", "is_active", user("undecided")),
        ("users", "is_verified", user("undecided")),
        ("tenants", "is_active", tenant("www")),
    ):
        assert set(upgraded.notes(table, column)) == {row_id}


@pytest.mark.parametrize("typed", SUBDOMAINS)
def test_subdomains_get_the_form_of_a_host_name(upgraded: Database, typed: str) -> None:
    expected = SUBDOMAINS[typed][2]
    assert upgraded.one("SELECT subdomain FROM tenants WHERE id = :id", id=tenant(typed)) == expected
    note = upgraded.notes("tenants", "subdomain").get(tenant(typed))
    if typed == expected:
        assert note is None
    else:
        assert note is not None
        assert (note.tenant_id, note.old_value, note.new_value) == (tenant(typed), typed, expected)


def test_a_subdomain_without_that_form_is_refused_from_now_on(upgraded: Database) -> None:
    for bad in ("Acme9", "a b", "ab", "-ab", "ab-", "a.b", "x" * 64, "münchen", "abc\n", ""):
        with pytest.raises(IntegrityError, match="tenants_subdomain_form"):
            upgraded.run("INSERT INTO tenants (id, name, subdomain) VALUES (gen_random_uuid(), 'x', :bad)", bad=bad)


@pytest.mark.parametrize("typed", EMAILS)
def test_the_oldest_of_email_twins_has_the_key(upgraded: Database, typed: str) -> None:
    who, (owner, _, has_key) = user(f"email {typed}"), EMAILS[typed]
    expected = email_key(typed) if has_key else None
    assert upgraded.one("SELECT email_key FROM users WHERE id = :id", id=who) == expected
    assert upgraded.one("SELECT email FROM users WHERE id = :id", id=who) == typed
    note = upgraded.notes("users", "email_key").get(who)
    assert (note is None) is has_key
    assert note is None or (note.tenant_id, note.old_value) == (owner, typed)


@pytest.mark.parametrize("typed", USERNAMES)
def test_the_oldest_of_username_twins_has_the_key(upgraded: Database, typed: str) -> None:
    who, (owner, _, has_key) = user(f"username {typed}"), USERNAMES[typed]
    expected = username_key(typed) if has_key else None
    assert upgraded.one("SELECT username_key FROM users WHERE id = :id", id=who) == expected
    note = upgraded.notes("users", "username_key").get(who)
    assert (note is None) is has_key
    assert note is None or (note.tenant_id, note.old_value) == (owner, typed)


def test_of_twins_of_one_age_the_smaller_id_has_the_key(upgraded: Database) -> None:
    with_key = upgraded.rows("SELECT id FROM users WHERE id = ANY (:ids) AND email_key IS NOT NULL", ids=[user(email) for email in TIES])
    assert [row.id for row in with_key] == [min(user(email) for email in TIES)]


def test_twins_know_which_they_are_from_words(upgraded: Database) -> None:
    notes = upgraded.notes("users", "email_key")
    assert "older account" in notes[user("email Mara@Example.org")].reason
    assert "no e-mail address" in notes[user("email not an address")].reason


@pytest.mark.parametrize(("first", "last"), NAMES)
def test_names_sort_without_accents_and_case(upgraded: Database, first: str | None, last: str | None) -> None:
    found = upgraded.one("SELECT sort_key FROM users WHERE id = :id", id=user(f"name {first} {last}"))
    assert found == NAMES[first, last] == sort_key(" ".join(filter(None, (last, first))))


def test_people_are_searched_in_what_the_portal_itself_would_search(upgraded: Database) -> None:
    rows = upgraded.rows("SELECT first_name, last_name, username, email, search_text FROM users")
    assert len(rows) > len(NAMES)
    for row in rows:
        asked = {name: getattr(row, name) for name in ("first_name", "last_name", "username", "email")}
        assert (row.search_text or None) == keys_of(**asked)["search_text"]


def test_whoever_has_no_name_sorts_by_the_username(upgraded: Database) -> None:
    row = upgraded.row("SELECT username, sort_key FROM users WHERE id = :id", id=user("colleague"))
    assert row.sort_key == sort_key(row.username)


@pytest.mark.parametrize(("meeting", "typed", "added"), AGENTS)
def test_agent_types_become_agents(upgraded: Database, meeting: str, typed: str, added: int | None) -> None:
    expected = AGENTS[meeting, typed, added]
    row_id = id_of("agent in", (meeting, typed))
    row = upgraded.row(
        """
        SELECT conversation_agents.agent_type AS typed, agents.*
        FROM conversation_agents LEFT JOIN agents ON agents.id = agent_id WHERE conversation_agents.id = :id""",
        id=row_id,
    )
    assert row.typed == typed
    assert (row_id in upgraded.notes("conversation_agents", "agent_id")) is (expected is None)
    if expected is None:
        assert row.id is None
        return
    owner, agent_type, name = expected
    assert (row.owner_tenant_id, row.is_free_agent, row.name) == (owner, owner is None, name)
    assert row.agent_type.startswith(agent_type)
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{2,63}", row.agent_type)
    assert (row.configuration_template, row.is_active) == ({}, True)
    assert (row.id in upgraded.notes("agents", "agent_type")) is agent_type.startswith("LEGACY_")


def test_one_agent_is_made_for_all_spellings_of_a_name(upgraded: Database) -> None:
    twice = "SELECT owner_tenant_id, agent_type FROM agents GROUP BY owner_tenant_id, agent_type HAVING count(*) > 1"
    assert upgraded.rows(twice) == []
    free = {row.agent_type for row in upgraded.rows("SELECT agent_type FROM agents WHERE is_free_agent")}
    assert free == {"MODERATOR", "WEB_SEARCH", "GRIEF_SUPPORT"}


def test_strangers_are_taken_out_of_conversations_and_kept_in_a_note(upgraded: Database) -> None:
    left = {row.id for row in upgraded.rows("SELECT id FROM conversation_users")}
    assert left == {id_of("member", 0), id_of("member", 3)}
    notes = upgraded.notes("conversation_users", None)
    assert set(notes) == {id_of("member", 1), id_of("member", 2)}
    kept = notes[id_of("member", 1)]
    assert kept.tenant_id == ACME
    assert kept.old_value["user_id"] == str(user("stranger"))


def test_a_creator_of_another_organization_is_no_longer_named(upgraded: Database) -> None:
    creators = dict(tuple(row) for row in upgraded.rows("SELECT title, created_by_user_id FROM conversations"))
    assert creators == {"acme": user("colleague"), "acme 2": None, "globex": user("stranger"), "anonymous": None}
    notes = upgraded.notes("conversations", "created_by_user_id")
    assert {row_id: note.old_value for row_id, note in notes.items()} == {conversation("acme 2"): str(user("stranger"))}


def test_every_row_in_a_conversation_knows_the_tenant(upgraded: Database) -> None:
    for table in ("conversation_users", "conversation_agents"):
        astray = f"""
            SELECT {table}.id FROM {table} JOIN conversations ON conversations.id = conversation_id
            WHERE {table}.tenant_id <> conversations.tenant_id"""
        assert upgraded.rows(astray) == []


def test_neighbours_and_refresh_tokens_are_left_as_they_were(legacy: Database) -> None:
    untouched = (*dirt.NEIGHBOURS, "refresh_tokens")
    before, catalog = legacy.contents(), legacy.catalog()
    legacy.upgrade()
    after = legacy.contents()
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    for kind in ("columns", "constraints", "indexes", "tables"):
        assert {row for row in catalog[kind] if row[0] in untouched} == {row for row in legacy.catalog()[kind] if row[0] in untouched}


def test_access_codes_in_clear_become_hashes_that_still_open(legacy: Database) -> None:
    codes = dict(legacy.rows("SELECT id, access_code FROM tenants"))
    legacy.upgrade()
    assert not legacy.rows("SELECT 1 FROM information_schema.columns WHERE table_name = 'tenants' AND column_name = 'access_code'")
    made = {row.tenant_id: row for row in legacy.rows("SELECT * FROM access_codes")}
    assert set(made) == set(codes)
    for tenant_id, code in codes.items():
        row = made[tenant_id]
        assert bytes(row.secret_hash) == code_hash(code)
        assert (row.needs_approval, row.max_uses, row.expires_at, row.made_by) == (True, None, None, None)


def test_what_people_typed_is_still_there(legacy: Database) -> None:
    facts = """
        SELECT users.id, email, username, hashed_password, first_name, last_name, users.created_at, users.updated_at,
            tenants.name, tenants.created_at, tenants.updated_at
        FROM users JOIN tenants ON tenants.id = tenant_id ORDER BY users.id"""
    before = legacy.rows(facts)
    legacy.upgrade()
    assert legacy.rows(facts) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE conversations SET created_by_user_id = :stranger WHERE id = :meeting",
        """INSERT INTO conversation_users (tenant_id, id, conversation_id, user_id)
           SELECT tenant_id, gen_random_uuid(), id, :stranger FROM conversations WHERE id = :meeting""",
        """INSERT INTO sessions (tenant_id, id, user_id, secret_hash, auth_epoch, expires_at)
           SELECT tenant_id, gen_random_uuid(), :stranger, 'x', 0, now() FROM conversations WHERE id = :meeting""",
    ],
)
def test_a_foreign_key_cannot_lead_into_another_organization(upgraded: Database, statement: str) -> None:
    with pytest.raises(IntegrityError, match="foreign key"):
        upgraded.run(statement, meeting=conversation("acme"), stranger=user("stranger"))


def test_legacy_writers_need_not_know_the_tenant(legacy: Database) -> None:
    legacy.upgrade()
    legacy.run(
        "INSERT INTO conversation_users (id, conversation_id, user_id) VALUES (:id, :meeting, :who)",
        id=id_of("member", "new"),
        meeting=conversation("acme"),
        who=user("undecided"),
    )
    legacy.run(
        "INSERT INTO conversation_agents (id, conversation_id, agent_type) VALUES (:id, :meeting, 'NEW')",
        id=id_of("agent in", "new"),
        meeting=conversation("globex"),
    )
    assert legacy.one("SELECT tenant_id FROM conversation_users WHERE id = :id", id=id_of("member", "new")) == ACME
    assert legacy.one("SELECT tenant_id FROM conversation_agents WHERE id = :id", id=id_of("agent in", "new")) == GLOBEX


def test_the_app_writes_organizations_and_people(legacy: Database) -> None:
    legacy.upgrade()
    made, who = uuid4(), uuid4()
    with legacy.session("app", tenant_id=made, user_id=who, role="org_admin") as session:
        session.add(Tenant(id=made, name="New", subdomain="brand-new", address={"country": "IE"}))
        session.flush()
        session.add(User(id=who, tenant_id=made, email="a@example.org", username="a", hashed_password="-", role=Role.ORG_ADMIN))
        session.flush()
        changed = session.scalars(select(Tenant).where(Tenant.id == made)).one()
        changed.phone = "+35314960000"
    row = legacy.row("SELECT version, is_active, updated_at FROM tenants WHERE id = :id", id=made)
    assert (row.version, row.is_active) == (2, True)
    assert row.updated_at is not None


def test_every_agent_has_its_version_which_is_published(legacy: Database) -> None:
    revision = "20261128_1000"
    before = REVISIONS[REVISIONS.index(revision) - 1]
    legacy.upgrade(before)
    changed, withdrawn = (legacy.one("SELECT id FROM agents WHERE agent_type = :name", name=name) for name in ("MODERATOR", "ARZTE"))
    written = '{"b": 1.50,  "a": "\\u00e9"}'
    legacy.run(
        "UPDATE agents SET version = 3, configuration_template = :text, updated_at = '2026-03-01Z' WHERE id = :id", id=changed, text=written
    )
    legacy.run("UPDATE agents SET is_active = false, is_enabled = false WHERE id = :id", id=withdrawn)
    contents, catalog = legacy.contents(), legacy.catalog()
    legacy.upgrade(revision)
    said = "owner_tenant_id, name, agent_type, description, capabilities"
    rows = legacy.rows(f"SELECT id, version, {said}, configuration_template::text FROM agents ORDER BY id")
    assert len(rows) == len(contents["agents"]) > 10
    assert rows == legacy.rows(f"SELECT agent_id, number, {said}, configuration::text FROM agent_versions ORDER BY agent_id")
    assert legacy.one("SELECT count(*) FROM agents WHERE published_version IS DISTINCT FROM version OR origin_agent_id IS NOT NULL") == 0
    version = legacy.row(
        "SELECT number, configuration::text AS text, saved_by, saved_at FROM agent_versions WHERE agent_id = :id", id=changed
    )
    assert (version.number, version.text, version.saved_by, version.saved_at.isoformat()) == (3, written, None, "2026-03-01T00:00:00+00:00")
    assert tuple(legacy.row("SELECT is_active, is_enabled FROM agents WHERE id = :id", id=withdrawn)) == (False, False)
    legacy.downgrade(before)
    assert legacy.contents() == contents
    assert legacy.catalog() == catalog
    legacy.upgrade(revision)
    assert len(legacy.rows("SELECT FROM agent_versions")) == len(rows)


# Taking it back


def test_every_downgrade_restores_every_row_and_the_way_up_is_open_again(legacy: Database) -> None:
    pictures = [(legacy.contents(), legacy.catalog())]
    for revision in REVISIONS[1:]:
        legacy.upgrade(revision)
        pictures.append((legacy.contents(), legacy.catalog()))
    for revision, (contents, catalog) in list(zip(REVISIONS, pictures, strict=True))[-2::-1]:
        legacy.downgrade(revision)
        assert legacy.contents() == contents, revision
        assert legacy.catalog() == catalog, revision
    legacy.upgrade()
    legacy.check()
    assert {name: len(rows) for name, rows in legacy.contents().items()} == {name: len(rows) for name, rows in pictures[-1][0].items()}


def test_a_role_taken_away_since_does_not_come_back(legacy: Database) -> None:
    legacy.upgrade()
    fallen, still = user("role 'super_admin'"), user("role 'admin'")
    legacy.run("UPDATE users SET role = 'user' WHERE id = :id", id=fallen)
    legacy.downgrade(FIRST)
    assert legacy.one("SELECT role FROM users WHERE id = :id", id=fallen) == "user"
    assert legacy.one("SELECT role FROM users WHERE id = :id", id=still) == "admin"


def test_organizations_of_the_portal_survive_the_way_down(legacy: Database) -> None:
    legacy.upgrade()
    legacy.run("INSERT INTO tenants (id, name, subdomain) SELECT gen_random_uuid(), 'New', 'new-' || n FROM generate_series(1, 3) AS n")
    legacy.downgrade(FIRST)
    codes = [row.access_code for row in legacy.rows("SELECT access_code FROM tenants WHERE subdomain LIKE 'new-%'")]
    assert len(set(codes)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{11}", code) for code in codes)


def test_a_stranger_does_not_come_back_where_the_conversation_is_gone(legacy: Database) -> None:
    legacy.upgrade()
    legacy.run("DELETE FROM usage_records")
    legacy.run("DELETE FROM conversation_agents WHERE conversation_id = :id", id=conversation("acme 2"))
    legacy.run("DELETE FROM conversations WHERE id = :id", id=conversation("acme 2"))
    legacy.downgrade(FIRST)
    assert {row.id for row in legacy.rows("SELECT id FROM conversation_users")} == {id_of("member", number) for number in (0, 1, 3)}


# Many rows


def test_twenty_thousand_users_are_upgraded_and_taken_back(legacy: Database) -> None:
    legacy.run(
        """
        INSERT INTO users (id, tenant_id, email, username, hashed_password, first_name, last_name, role, is_active)
        SELECT gen_random_uuid(), :tenant, 'Person.' || n || '@Example.org', 'Person ' || n, '-', 'Zoë', 'Nr ' || n,
            (ARRAY['member', 'user', NULL, 'admin'])[n % 4 + 1], n % 5 > 0
        FROM generate_series(1, 20000) AS n""",
        tenant=GLOBEX,
    )
    before = legacy.contents()
    legacy.upgrade()
    filled = "SELECT count(*) FROM users WHERE email_key LIKE 'person.%' AND username_key LIKE 'person %' AND sort_key LIKE 'nr % zoe'"
    assert legacy.one(filled) == 20_000
    assert legacy.one("SELECT count(*) FROM users WHERE role = 'org_admin' AND email LIKE 'Person%'") == 5_000
    legacy.downgrade(FIRST)
    assert legacy.contents() == before


def test_notes_are_json_that_people_can_read(upgraded: Database) -> None:
    for note in upgraded.rows("SELECT * FROM legacy_notes"):
        assert json.dumps([note.old_value, note.new_value])
        assert re.fullmatch(r"[A-Z].+\.", note.reason)
