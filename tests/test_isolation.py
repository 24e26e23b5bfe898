"""The database keeps organizations apart, whatever the code asks for: read from its catalog, and tried by attack as each role."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from portal.database import connect
from tests.attack.catalog import RULES
from tests.attack.furniture import FREE_AGENT, NOBODYS, TENANT_COLUMN, furnish, id_of, put, rows_of, session
from tests.attack.roles import DENIED, NO_SUCH_KEY, NO_UUID, Role
from tests.attack.statements import NEVER, attacks, takeovers

TABLES = sorted(TENANT_COLUMN)


@pytest.fixture
def catalog(cluster: Any, database: str, cast: SimpleNamespace) -> Iterator[Any]:
    """A superuser's cursor beside the cast, and not what an earlier test left; what it changes is undone."""
    connection = connect(cluster.superuser_url(database))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = public")
        yield cursor
    connection.rollback()
    connection.close()


@pytest.fixture
def furnished(cluster: Any, database: str, cast: SimpleNamespace) -> SimpleNamespace:
    furnish(cluster.urls(database)["owner"], cast)
    return cast


@pytest.fixture
def roles(cluster: Any, database: str, furnished: SimpleNamespace) -> Iterator[SimpleNamespace]:
    made = {name: Role(url) for name, url in cluster.urls(database).items()}
    yield SimpleNamespace(**made)
    for role in made.values():
        role.connection.close()


# What the catalog says, without any code of ours


def found(catalog: Any, query: str) -> set[str]:
    catalog.execute(query)
    return {row[0] for row in catalog.fetchall()}


@pytest.mark.parametrize("rule", RULES)
def test_the_catalog_says_that(catalog: Any, rule: str) -> None:
    assert found(catalog, RULES[rule].query) == RULES[rule].only


@pytest.mark.parametrize("rule", RULES)
def test_a_breach_is_noticed_of_the_rule_that(catalog: Any, rule: str) -> None:
    catalog.execute(RULES[rule].breach)
    assert found(catalog, RULES[rule].query) != RULES[rule].only


def test_every_table_of_organizations_is_among_those_that_are_attacked(catalog: Any) -> None:
    """Else the attacks below would pass a new table by."""
    tables = "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name IN ('tenant_id', 'owner_tenant_id')"
    assert found(catalog, tables) == set(TABLES) - {"tenants", "refresh_tokens"}


def test_a_table_of_the_legacy_neighbours_is_open_to_no_role(catalog: Any) -> None:
    catalog.execute("CREATE TABLE calls (id int); SET LOCAL ROLE portal_owner; CREATE TABLE contacts (id int); RESET ROLE")
    for role in ("portal_app", "portal_platform", "portal_worker"):
        for table in ("calls", "contacts"):
            catalog.execute("SELECT has_any_column_privilege(%s, %s, 'SELECT, INSERT, UPDATE, REFERENCES')", [role, table])
            assert catalog.fetchone() == (False,)
            catalog.execute(f"SAVEPOINT before; SET LOCAL ROLE {role}")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                catalog.execute(f"SELECT * FROM {table}")
            catalog.execute("ROLLBACK TO before")


# What happens when somebody tries, as each role and bound to each wrong organization

BINDINGS = ("nothing", "an empty text", "garbage", "nobody", "a neighbour")
SEES_ALL = [("platform", "nothing"), ("platform", "an empty text")]  # the console, when it is in no organization
ATTACKERS = [(role, binding) for role in ("app", "platform", "worker") for binding in BINDINGS if (role, binding) not in SEES_ALL]
OPEN_TO_ALL = {("worker", "outbox"), ("worker", "jobs")}  # it sends everybody's mail and does everybody's jobs
NOT_ALLOWED = {DENIED, NO_UUID, "428C9"}  # no right, no id, a column that the database works out itself
NOT_SO = "23514"  # a check
BROKEN_KEYS = {NO_SUCH_KEY, "23502", "23505", NOT_SO}  # not null, unique, a check of the table


def value_of(binding: str, cast: SimpleNamespace) -> Any:
    return {"nothing": None, "an empty text": "", "garbage": "not-a-uuid", "nobody": NOBODYS, "a neighbour": cast.globex.id}[binding]


def rows_of_acme(owner: Any, cast: SimpleNamespace, table: str) -> list[Any]:
    """As they are stored, with the transaction that wrote each: a change to the same value shows too."""
    acme = id_of(cast.acme, "token") if table == "refresh_tokens" else str(cast.acme.id)
    owner.execute(f"SELECT xmin::text, to_jsonb(t) FROM {table} AS t WHERE {TENANT_COLUMN[table]} = %s ORDER BY t::text", [acme])
    return list(owner.fetchall())


@pytest.mark.parametrize(("role", "binding"), ATTACKERS)
def test_no_statement_reaches_a_row_of_another_organization(roles: Any, furnished: Any, owner: Any, role: str, binding: str) -> None:
    attacker, bound = getattr(roles, role), value_of(binding, furnished)
    own = {"nobody": {None}, "a neighbour": {None, str(bound)}}.get(binding, set())  # an agent of None is everybody's

    def attempt(statement: str, values: Any, refusals: set[str]) -> None:
        outcome = attacker.do(statement, values, tenant=bound, user=furnished.acme.admin.id, role="admin")
        assert outcome.refused in {"", *refusals}, f"{statement}: {outcome.words}"
        assert "CANARY-acme" not in outcome.words, statement
        assert {row[0] for row in outcome.rows} <= own, statement
        if binding != "a neighbour" and not outcome.rows:
            assert outcome.touched <= 0, statement

    for table in TABLES:
        if (role, table) in OPEN_TO_ALL:
            continue
        before = rows_of_acme(owner, furnished, table)
        assert before
        for statement, values in attacks(attacker, table, before[0][1]):
            changes_own_rows = binding == "a neighbour" and not statement.startswith("INSERT")
            attempt(statement, values, NOT_ALLOWED | (BROKEN_KEYS if changes_own_rows else set()))
        for statement, values in takeovers(attacker, table, before[0][1], bound if binding == "a neighbour" else NOBODYS):
            attempt(statement, values, NOT_ALLOWED | BROKEN_KEYS)
        assert rows_of_acme(owner, furnished, table) == before, table


@pytest.mark.parametrize("role", ["app", "platform", "worker"])
def test_bound_to_its_organization_a_role_sees_precisely_its_rows(roles: Any, furnished: Any, owner: Any, role: str) -> None:
    """Else all of the above would pass on a role that sees nothing."""
    for table in ("sessions", "idempotency_keys", "mail_links", "uploads", "agent_drafts"):  # of which the worker sees what has expired
        owner.execute(f"UPDATE {table} SET expires_at = '2020-01-01'")
    seen, person = [], next(iter(furnished.acme.people.values())).id  # of drafts only whoever writes them
    for table in TABLES:
        tenant = TENANT_COLUMN[table]
        acme = furnished.acme.id
        outcome = getattr(roles, role).do(f"SELECT {tenant} FROM {table} WHERE {tenant} = %s", [str(acme)], tenant=acme, user=person)
        if outcome.refused != DENIED:
            assert outcome.touched == len(rows_of_acme(owner, furnished, table)), table
            seen.append(table)
    assert len(seen) == {"app": 23, "platform": 23, "worker": 8}[role]


@pytest.mark.parametrize("role", ["app", "platform", "worker"])
def test_no_role_may_ever(roles: Any, role: str) -> None:
    others = [f"SET ROLE portal_{other}" for other in ("app", "platform", "worker") if other != role]
    for statement in (*NEVER, *others):
        assert getattr(roles, role).do(statement).refused == DENIED, statement


def test_copying_a_table_out_shows_no_more_than_looking_at_it(roles: Any, furnished: Any) -> None:
    with roles.app.connection, roles.app.connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.tenant_id = %s", [str(furnished.globex.id)])
        for table in ("users", "agents", "conversations", "sessions", "audit_entries", "outbox"):
            out = StringIO()
            cursor.copy_expert(f"COPY {table} TO STDOUT", out)
            assert "CANARY-globex" in out.getvalue()
            assert "CANARY-acme" not in out.getvalue()


def test_the_planners_statistics_tell_nothing(roles: Any, owner: Any) -> None:
    owner.execute("ANALYZE users, tenants, agents")
    for role in (roles.app, roles.platform, roles.worker):
        told = role.do("SELECT tablename FROM pg_stats WHERE schemaname = 'public'").rows
        assert {table for (table,) in told} <= {"rate_limits", "portal_alembic_version"}  # counters under hashes, and a revision


def test_without_an_organization_only_a_subdomain_that_one_knows_leads_to_an_id(roles: Any, furnished: Any) -> None:
    for subdomain, known in {"acme": True, "hades": True, "acm_": False, "%": False, "": False, "ACME": False}.items():
        outcome = roles.app.do("SELECT * FROM organization_directory(%s)", [subdomain])
        assert outcome.rows == ([(str(vars(furnished)[subdomain].id), subdomain)] if known else [])
    assert roles.worker.do("SELECT * FROM organization_directory('acme')").refused == DENIED


# Rank: who makes whom what


MAKE = "INSERT INTO users (id, tenant_id, email, username, hashed_password, role) VALUES (gen_random_uuid(), %(acme)s, 'n', 'n', '!', '{}')"
SET = "UPDATE users SET {} WHERE id = %({})s"
FREE = "UPDATE agents SET name = 'changed' WHERE id = %(free)s"
NEW_FREE = "INSERT INTO agents (id, agent_type, name, is_free_agent) VALUES (gen_random_uuid(), 'NEW', 'New', true)"
SUSPEND = "UPDATE tenants SET is_active = false WHERE id = %(acme)s"
OPEN = """INSERT INTO sessions (tenant_id, id, user_id, secret_hash, auth_epoch, expires_at)
    SELECT %({0})s, gen_random_uuid(), %({1})s, '', 0, now()"""
TAKE_OVER = "UPDATE sessions SET secret_hash = '' WHERE user_id = %({})s"
RANK = {
    "an org_admin makes a user an org_admin": ("app", "acme.admin", SET.format("role = 'org_admin'", "acme_user"), 1),
    "an org_admin makes nobody an admin": ("app", "acme.admin", SET.format("role = 'admin'", "acme_user"), DENIED),
    "an org_admin makes nobody a super_admin": ("app", "acme.admin", SET.format("role = 'super_admin'", "acme_admin2"), DENIED),
    "an org_admin does not become an admin": ("app", "acme.admin", SET.format("role = 'admin'", "acme_admin"), DENIED),
    "an org_admin does not become a super_admin": ("app", "acme.admin", SET.format("role = 'super_admin'", "acme_admin"), DENIED),
    "a user does not become an admin": ("app", "acme.user", SET.format("role = 'admin'", "acme_user"), DENIED),
    "an org_admin adds a user": ("app", "acme.admin", MAKE.format("user"), 1),
    "an org_admin adds no admin": ("app", "acme.admin", MAKE.format("admin"), DENIED),
    "an org_admin adds no super_admin": ("app", "acme.admin", MAKE.format("super_admin"), DENIED),
    "an org_admin does not suspend the organization": ("app", "acme.admin", SUSPEND, DENIED),
    "an org_admin changes no free agent": ("app", "acme.admin", FREE, 0),
    "an org_admin adds no free agent": ("app", "acme.admin", NEW_FREE, DENIED),
    "an org_admin gives no agent away": ("app", "acme.admin", "UPDATE agents SET owner_tenant_id = NULL, is_free_agent = true", DENIED),
    "an admin changes the own name": ("app", "platform.admin", SET.format("first_name = 'New'", "platform_admin"), 1),
    "an admin changes no other admin": ("app", "platform.admin", SET.format("is_active = false", "platform_admin2"), 0),
    "an admin changes no super_admin": ("app", "platform.admin", SET.format("hashed_password = '!'", "platform_super"), 0),
    "an admin does not become a super_admin": ("app", "platform.admin", SET.format("role = 'super_admin'", "platform_admin"), DENIED),
    "even a super_admin changes no admin there": ("app", "platform.super", SET.format("is_active = false", "platform_admin"), 0),
    "an admin suspends an organization": ("platform", "platform.admin", SUSPEND, 1),
    "an admin deactivates an org_admin": ("platform", "platform.admin", SET.format("is_active = false", "acme_admin"), 1),
    "an admin deactivates no admin": ("platform", "platform.admin", SET.format("is_active = false", "platform_admin2"), 0),
    "an admin deactivates no super_admin": ("platform", "platform.admin", SET.format("is_active = false", "platform_super"), 0),
    "an admin demotes no super_admin": ("platform", "platform.admin", SET.format("role = 'user'", "platform_super"), 0),
    "an admin makes nobody an admin": ("platform", "platform.admin", SET.format("role = 'admin'", "acme_user"), DENIED),
    "an admin adds no admin": ("platform", "platform.admin", MAKE.format("admin"), DENIED),
    "an admin promotes not oneself": ("platform", "platform.admin", SET.format("role = 'super_admin'", "platform_admin"), DENIED),
    "an admin changes the own name there too": ("platform", "platform.admin", SET.format("first_name = 'New'", "platform_admin"), 1),
    "an admin changes no free agent": ("platform", "platform.admin", FREE, 0),
    "an admin adds no free agent": ("platform", "platform.admin", NEW_FREE, DENIED),
    "a super_admin demotes an admin": ("platform", "platform.super", SET.format("role = 'user'", "platform_admin"), 1),
    "a super_admin makes an admin": ("platform", "platform.super", SET.format("role = 'admin'", "acme_user"), 1),
    "a super_admin adds an admin": ("platform", "platform.super", MAKE.format("admin"), 1),
    "a super_admin changes a free agent": ("platform", "platform.super", FREE, 1),
    "a super_admin adds a free agent": ("platform", "platform.super", NEW_FREE, 1),
    "an admin suspends not the platform": ("platform", "platform.admin", "UPDATE tenants SET is_active = false", "23514"),
    "a user opens no session for an org_admin": ("app", "acme.user", OPEN.format("acme", "acme_admin"), DENIED),
    "a user takes over no session": ("app", "acme.user2", TAKE_OVER.format("acme_user"), 0),
    "an admin opens no session for a super_admin": ("platform", "platform.admin", OPEN.format("platform", "platform_super"), DENIED),
    "an admin takes over no session": ("platform", "platform.admin2", TAKE_OVER.format("platform_admin"), 0),
    "an org_admin changes no admin over the console": ("platform", "acme.admin", SET.format("is_active = false", "platform_admin"), 0),
    "an org_admin adds no admin over the console": ("platform", "acme.admin", MAKE.format("admin"), DENIED),
}


@pytest.mark.parametrize("case", RANK)
def test_the_database_keeps_rank_so_that(roles: Any, furnished: Any, case: str) -> None:
    role, who, statement, expected = RANK[case]
    tenant, name = who.split(".")
    person = getattr(furnished, tenant).people[name]
    ids = {f"{one.subdomain}_{name}": str(person.id) for one in vars(furnished).values() for name, person in one.people.items()}
    tenants = {name: str(one.id) for name, one in vars(furnished).items()}
    outcome = getattr(roles, role).do_as(person, statement, {**ids, **tenants, "free": FREE_AGENT},
                                         tenant="" if role == "platform" else None)  # fmt: skip
    assert outcome.answer == expected, outcome.words


def test_nobody_in_particular_changes_no_platform_account(roles: Any, furnished: Any) -> None:
    platform, change = furnished.platform, "UPDATE users SET is_active = false WHERE tenant_id = %s"
    for binding in ({"role": ""}, {"role": "admin"}, {"role": "super_admin "}, {"role": "SUPER_ADMIN"}, {}):
        for role, tenant in ((roles.app, platform.id), (roles.platform, ""), (roles.platform, platform.id)):
            assert role.do(change, [str(platform.id)], tenant=tenant, **binding).answer == 0


def test_nobody_registers_the_platform(roles: Any, furnished: Any, owner: Any) -> None:
    owner.execute("UPDATE tenants SET subdomain = 'elsewhere' WHERE subdomain = 'platform'")
    platform = {"id": NOBODYS, "name": "Platform", "subdomain": "platform"}
    assert roles.app.do(*inserting("tenants", platform), tenant=NOBODYS).refused == DENIED
    assert roles.platform.do(*inserting("tenants", platform), tenant="").answer == 1


# Agents and keys


def test_agents_are_the_own_and_the_free_ones(roles: Any, furnished: Any) -> None:
    acme, globex = furnished.acme, furnished.globex
    seen = roles.app.do_as(acme.user, "SELECT id FROM agents").rows
    assert {row[0] for row in seen} == {id_of(acme, "agent"), FREE_AGENT}
    assert roles.app.do_as(acme.user, "SELECT id FROM agents WHERE id = %s", [id_of(globex, "agent")]).touched == 0
    assert roles.app.do("SELECT id FROM agents").touched == 0


def test_a_key_leads_into_no_other_organization(roles: Any, furnished: Any) -> None:
    acme, globex = furnished.acme, furnished.globex
    own, talk_of_theirs = rows_of(acme), id_of(globex, "conversation")
    later = datetime.now(UTC) + timedelta(hours=1)
    fresh = {"id": id_of(acme, "fresh"), "tenant_id": str(acme.id)}
    crossing = {
        "sessions": {**session(acme, "fresh", later), "user_id": str(globex.user.id)},
        "conversations": {**own["conversations"], **fresh, "created_by_user_id": str(globex.user.id)},
        "conversation_users": {**own["conversation_users"], **fresh, "user_id": str(globex.user2.id)},
        "conversation_agents": {**own["conversation_agents"], **fresh, "conversation_id": talk_of_theirs, "agent_id": FREE_AGENT},
    }
    for role in (roles.app, roles.platform, roles.owner):
        for table, row in crossing.items():
            assert role.do(*inserting(table, row), tenant=acme.id, user=globex.user.id).refused == NO_SUCH_KEY, table
    elsewhere = {**own["conversation_users"], **fresh, "conversation_id": talk_of_theirs, "user_id": str(acme.user2.id)}
    assert roles.app.do(*inserting("conversation_users", elsewhere), tenant=acme.id).refused == NO_SUCH_KEY


def test_only_agents_that_one_sees_join_a_conversation(roles: Any, furnished: Any) -> None:
    acme = furnished.acme
    part = {**rows_of(acme)["conversation_agents"], "id": id_of(acme, "fresh"), "agent_type": "another"}
    stolen = {**part, "agent_id": id_of(furnished.globex, "agent")}
    for role, tenant in ((roles.app, acme.id), (roles.platform, acme.id), (roles.platform, "")):
        assert role.do(*inserting("conversation_agents", stolen), tenant=tenant).refused == DENIED
    assert roles.app.do(*inserting("conversation_agents", {**part, "agent_id": FREE_AGENT}), tenant=acme.id).answer == 1


def inserting(table: str, row: dict[str, Any]) -> tuple[str, list[Any]]:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values())


# The worker


def test_the_worker_sends_everybodys_mail_and_says_of_it_what_became_of_it(roles: Any, furnished: Any) -> None:
    worker = roles.worker
    assert worker.do("SELECT body_text FROM outbox").touched == len(vars(furnished))
    for change in ("SET recipient = 'thief@example.org'", "SET subject = ''", "SET message_id = ''", "SET tenant_id = tenant_id"):
        assert worker.do(f"UPDATE outbox {change}").refused == DENIED
    assert worker.do("UPDATE outbox SET sent_at = now()").refused == NOT_SO, "its text goes when it is sent"
    assert worker.do("UPDATE outbox SET body_text = NULL").refused == NOT_SO, "and not before"
    over = "UPDATE outbox SET attempts = attempts + 1, sent_at = now(), body_text = NULL, body_html = NULL"
    assert worker.do(over).touched == len(vars(furnished))
    assert worker.do(*inserting("outbox", {**rows_of(furnished.acme)["outbox"], "id": NOBODYS})).refused == DENIED


def test_the_worker_deletes_mails_that_were_over_a_month_ago_and_nobody_else_deletes_any(roles: Any, furnished: Any, owner: Any) -> None:
    over = "UPDATE outbox SET {} = now() - interval '{} days', body_text = NULL, body_html = NULL WHERE tenant_id = %s"
    owner.execute(over.format("sent_at", 29), [str(furnished.acme.id)])
    owner.execute(over.format("sent_at", 31), [str(furnished.globex.id)])
    owner.execute(over.format("failed_at", 31), [str(furnished.hades.id)])
    for role in (roles.app, roles.platform):
        assert role.do("DELETE FROM outbox", tenant=furnished.globex.id).refused == DENIED
    assert roles.worker.do("DELETE FROM outbox").touched == 2
    owner.execute("SELECT tenant_id::text FROM outbox")
    assert {row[0] for row in owner.fetchall()} == {str(furnished.acme.id), str(furnished.platform.id)}


def test_the_worker_takes_up_everybodys_jobs_and_does_not_see_what_they_are_about(roles: Any, furnished: Any, owner: Any) -> None:
    worker = roles.worker
    assert worker.do("UPDATE jobs SET attempts = attempts + 1, take_after = now()").touched == len(vars(furnished))
    for column in ("arguments", "asked_by", "network", "checkpoint", "report", "error"):
        assert worker.do(f"SELECT {column} FROM jobs").refused == DENIED
    for change in ("SET kind = 'another'", "SET asked_by = asked_by", "SET arguments = '{}'", "SET report = '{}'"):
        assert worker.do(f"UPDATE jobs {change}").refused == DENIED
    assert worker.do("DELETE FROM jobs").touched == 0
    owner.execute("UPDATE jobs SET expires_at = '2020-01-01' WHERE tenant_id = %s", [str(furnished.acme.id)])
    assert worker.do("DELETE FROM jobs").touched == 1


def test_a_job_is_asked_for_in_ones_own_name_and_changed_only_while_it_runs(roles: Any, furnished: Any, owner: Any) -> None:
    acme, app = furnished.acme, roles.app
    asked = {"tenant_id": str(acme.id), "id": NOBODYS, "kind": "x", "asked_by": str(acme.user.id), "expires_at": datetime.now(UTC)}
    assert app.do_as(acme.admin, *inserting("jobs", asked)).refused == DENIED
    assert app.do_as(acme.user, *inserting("jobs", {**asked, "state": "running"})).refused == DENIED
    assert app.do_as(acme.user, *inserting("jobs", asked)).answer == 1
    assert app.do_as(acme.user, "UPDATE jobs SET done = 1 WHERE id = %s", [NOBODYS]).answer == 0
    assert app.do_as(acme.user, "UPDATE jobs SET attempts = 0").refused == DENIED
    assert app.do_as(acme.user, "UPDATE jobs SET state = 'queued'").refused == DENIED
    assert app.do_as(acme.user, "UPDATE jobs SET state = 'done', finished_at = now()").answer == 1
    assert app.do_as(acme.user, "UPDATE jobs SET state = 'running', finished_at = NULL").answer == 0


def test_the_worker_sees_and_deletes_only_what_has_expired(roles: Any, furnished: Any, owner: Any) -> None:
    put(owner, "sessions", session(furnished.acme, "expired", datetime.now(UTC) - timedelta(minutes=1)))
    worker = roles.worker
    assert worker.do("SELECT id FROM sessions").rows == [(id_of(furnished.acme, "expired"),)]
    assert worker.do("SELECT user_id FROM sessions").refused == DENIED
    assert worker.do("SELECT secret_hash FROM sessions").refused == DENIED
    assert worker.do("DELETE FROM sessions").touched == 1
    assert worker.do("DELETE FROM idempotency_keys").touched == 0
    owner.execute("SELECT count(*) FROM sessions")
    assert owner.fetchone() == (len(vars(furnished)),)


def test_the_worker_alone_reads_what_visitors_asked_to_be_mailed_and_whose_an_address_is(roles: Any, furnished: Any, owner: Any) -> None:
    asked = {"id": NOBODYS, "kind": "organizations", "login": "user@acme.example"}
    app, worker, acme = roles.app, roles.worker, furnished.acme
    assert app.do(*inserting("asked_mails", asked), tenant=acme.id).refused == DENIED, "nothing is bound where a visitor asks"
    assert app.do(*inserting("asked_mails", asked), tenant="").answer == 1
    assert roles.platform.do(*inserting("asked_mails", asked), tenant="").refused == DENIED
    for statement in ("SELECT login FROM asked_mails", "DELETE FROM asked_mails", "UPDATE asked_mails SET login = 'x'"):
        for role in (app, roles.platform):
            assert role.do(statement, tenant="").refused == DENIED
    for role in (app, roles.platform):
        assert role.do("SELECT * FROM organizations_of('user@acme.example')", tenant="").refused == DENIED
    assert worker.do("SELECT login FROM asked_mails").rows == [("user@acme.example",)]
    assert worker.do("UPDATE asked_mails SET login = 'thief@acme.example'").refused == DENIED
    for address, tenants in {"user@acme.example": [(str(acme.id),)], "user@hades.example": [], "gone@acme.example": [], "%": []}.items():
        assert worker.do("SELECT * FROM organizations_of(%s)", [address]).rows == tenants
    assert worker.do("DELETE FROM asked_mails").touched == 1


def test_a_link_is_of_oneself_or_made_in_ones_own_name_for_no_higher_role(roles: Any, furnished: Any, owner: Any) -> None:
    acme, platform = furnished.acme, furnished.platform
    later = datetime.now(UTC) + timedelta(hours=1)

    def link(of: Any, made_by: Any = None) -> tuple[str, list[Any]]:
        about = {"kind": "password", "user_id": str(of.id), "auth_epoch": 0, "expires_at": later}
        mailed = {"email": None, "made_by": str(made_by.id)} if made_by else {"email": of.email, "made_by": None}
        owner.execute("SELECT gen_random_uuid()::text, sha256(gen_random_uuid()::text::bytea)")
        id_, hash_ = owner.fetchone()
        return inserting("mail_links", {"tenant_id": str(of.tenant_id), "id": id_, "secret_hash": bytes(hash_), **about, **mailed})

    assert roles.app.do_as(acme.user, *link(acme.user)).answer == 1
    assert roles.app.do_as(acme.user, *link(acme.admin)).refused == DENIED
    assert roles.app.do_as(acme.admin, *link(acme.user, acme.admin)).answer == 1
    assert roles.app.do_as(acme.admin, *link(acme.user, acme.admin2)).refused == DENIED
    assert roles.app.do_as(platform.admin, *link(platform.super, platform.admin)).refused == DENIED
    assert roles.platform.do_as(platform.admin, *link(platform.super, platform.admin)).refused == DENIED
    assert roles.platform.do_as(platform.super, *link(platform.admin, platform.super)).answer == 1
    for change in ("secret_hash = secret_hash", "expires_at = now()", "user_id = user_id", "auth_epoch = 1"):
        assert roles.app.do_as(acme.admin, f"UPDATE mail_links SET {change}").refused == DENIED
    assert roles.app.do_as(acme.admin, "DELETE FROM mail_links").refused == DENIED


def test_of_a_file_only_what_was_told_of_its_lines_goes_before_the_file(roles: Any, furnished: Any, owner: Any) -> None:
    for tenant in (furnished.acme, furnished.globex):
        put(owner, "upload_parts", {**rows_of(tenant)["upload_parts"], "kind": "fates"})
    assert roles.app.do_as(furnished.acme.admin, "DELETE FROM upload_parts").answer == 1
    owner.execute("SELECT kind, tenant_id = %s FROM upload_parts WHERE kind = 'fates'", [str(furnished.globex.id)])
    assert owner.fetchall() == [("fates", True)]
    assert roles.platform.do_as(furnished.platform.super, "DELETE FROM upload_parts").refused == DENIED


def test_mails_forget_accounts_of_the_own_organization_that_nobody_signs_in_to(roles: Any, furnished: Any, owner: Any) -> None:
    acme, globex = furnished.acme, furnished.globex

    def known() -> set[str]:
        owner.execute("SELECT recipient FROM outbox WHERE recipient LIKE '%.example'")
        return {row[0] for row in owner.fetchall()}

    for tenant in (acme, globex):
        for number, person in enumerate((tenant.user, tenant.gone)):
            mail = {"id": id_of(tenant, f"mail {number}"), "recipient": person.email}
            put(owner, "outbox", {**rows_of(tenant)["outbox"], **mail})
    everybody = known()
    for who, whom in ((acme.admin, acme.user), (acme.admin, globex.gone), (acme.user, acme.gone)):
        assert roles.app.do_as(who, "SELECT forget_mail(%s, 'x')", [str(whom.id)]).touched == 1
        assert known() == everybody, "an active account, a neighbour's, and asked for by somebody who administers nothing"
    assert roles.app.do_as(acme.admin, "SELECT forget_mail(%s, 'x')", [str(acme.gone.id)]).touched == 1
    assert everybody - known() == {acme.gone.email}
    assert roles.worker.do("SELECT forget_mail(%s, 'x')", [str(acme.user.id)]).refused == DENIED
