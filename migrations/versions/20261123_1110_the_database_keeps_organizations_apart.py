"""The database keeps organizations apart

Row level security with rank in its policies, the grants of the portal's roles, and the functions that both need.

Each table has exactly one permissive policy per command and role, complete in itself, made of bare STABLE functions without
subqueries, and none that is restrictive: written otherwise it would not hold when the tables are distributed over several servers.
"""

from collections.abc import Iterator

from alembic import op
from alembic.util import CommandError
from sqlalchemy import text

revision = "20261123_1110"
down_revision = "20261123_1100"

OWNER, APP, PLATFORM, WORKER = ROLES = ("portal_owner", "portal_app", "portal_platform", "portal_worker")
READ, ADD, CHANGE, REMOVE = "SELECT", "INSERT", "UPDATE", "DELETE"

# No SET search_path here: it would keep these from being inlined, hence the qualified names.
FUNCTIONS = """
    CREATE FUNCTION app_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid $$;
    CREATE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT nullif(pg_catalog.current_setting('app.user_id', true), '')::uuid $$;
    CREATE FUNCTION app_role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT nullif(pg_catalog.current_setting('app.role', true), '') $$;
    CREATE FUNCTION sees_agent(agent_id uuid, is_free_agent boolean, owner_tenant_id uuid) RETURNS boolean
        LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT public.app_tenant() IS NOT NULL AND ($2 OR $3 = public.app_tenant()) $$;
    CREATE FUNCTION may_use_agent(agent_id uuid, tenant_id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT EXISTS (SELECT FROM public.agents WHERE agents.id = $1 AND (agents.is_free_agent OR agents.owner_tenant_id = $2)) $$;
    CREATE FUNCTION stored_role(user_id uuid) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT users.role::text FROM public.users WHERE users.id = $1 $$;
    CREATE FUNCTION next_audit_seq(tenant_id uuid) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT coalesce(max(seq), 0) + 1 FROM public.audit_entries WHERE audit_entries.tenant_id = $1 $$;
    CREATE FUNCTION organization_directory(wanted text) RETURNS TABLE (id uuid, subdomain text)
        LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
        AS $$ SELECT tenants.id, tenants.subdomain::text FROM public.tenants WHERE tenants.subdomain = $1 $$;"""
SIGNATURES = (
    "organization_directory(text)",
    "next_audit_seq(uuid)",
    "stored_role(uuid)",
    "may_use_agent(uuid, uuid)",
    "sees_agent(uuid, boolean, uuid)",
    "app_role()",
    "app_user()",
    "app_tenant()",
)

TENANT_DATA = "name, full_name, address, phone, organization_email, description, version, updated_at"
TENANT = f"id, subdomain, is_active, created_at, {TENANT_DATA}"  # all but access_code
USER_DATA = """
    email, username, hashed_password, first_name, last_name, is_active, is_verified, role, updated_at,
    email_key, username_key, sort_key, last_sign_in_at, auth_epoch, version"""
AGENT_DATA = "agent_type, name, description, configuration_template, is_active"

OWN = "tenant_id = app_tenant()"
ANY_OR_BOUND = "(app_tenant() IS NULL OR tenant_id = app_tenant())"
ANY_OR_BOUND_TENANT = "(app_tenant() IS NULL OR id = app_tenant())"
EXPIRED = "expires_at < now()"
BELOW_PLATFORM = "role IN ('user', 'org_admin')"
ITSELF = "id = app_user()"
ITSELF_AS_IT_IS = f"({ITSELF} AND role = stored_role(id))"  # what the session says of its own rank proves nothing
# An entry follows the last one, now, with a whole hash: nobody can make a gap, a back-dated entry, or a number that nothing can follow.
FOLLOWS = "seq = next_audit_seq(tenant_id) AND octet_length(hash) = 32 AND at BETWEEN now() - interval '5 min' AND now() + interval '5 min'"
SUPER = "app_role() = 'super_admin'"
OWN_AGENT = "NOT is_free_agent AND owner_tenant_id = app_tenant()"
ANY_AGENT = f"CASE WHEN is_free_agent THEN {SUPER} ELSE app_tenant() IS NULL OR owner_tenant_id = app_tenant() END"

# table: command: (what is granted: True for the whole rows or the columns; USING; WITH CHECK)
Rule = tuple[bool | str, str | None, str | None]


def own(*commands: str, changes: str = "", condition: str = OWN) -> dict[str, Rule]:
    """Rules for rows of the bound tenant; UPDATE is granted on the columns of `changes` only."""
    using: dict[str, Rule] = {
        READ: (True, condition, None),
        ADD: (True, None, condition),
        CHANGE: (changes, condition, condition),
        REMOVE: (True, condition, None),
    }
    return {command: using[command] for command in commands}


def of_both(condition: str) -> dict[str, dict[str, Rule]]:
    """The tables that the app and the platform use alike, each with its own idea of which tenants are in reach."""
    return {
        "conversations": own(READ, ADD, CHANGE, changes="title, description, status, updated_at", condition=condition),
        "conversation_users": own(READ, ADD, CHANGE, changes="is_active", condition=condition),
        "conversation_agents": {
            **own(READ, CHANGE, changes="is_active, configuration", condition=condition),
            ADD: (True, None, f"{condition} AND (agent_id IS NULL OR may_use_agent(agent_id, tenant_id))"),
        },
        # Whoever may end a session may not open one for somebody else, nor take one over.
        "sessions": {
            **own(READ, REMOVE, condition=condition),
            **own(ADD, CHANGE, changes="seen_at, expires_at, secret_hash", condition=f"{condition} AND user_id = app_user()"),
        },
        "audit_entries": {**own(READ, condition=condition), ADD: (True, None, f"{condition} AND {FOLLOWS}")},
        "outbox": own(READ, ADD, condition=condition),
        "idempotency_keys": own(READ, ADD, condition=condition),
    }


RULES: dict[str, dict[str, dict[str, Rule]]] = {
    APP: {
        "tenants": {
            READ: (TENANT, "id = app_tenant()", None),
            ADD: (TENANT, None, "id = app_tenant() AND subdomain <> 'platform'"),
            CHANGE: (TENANT_DATA, "id = app_tenant()", "id = app_tenant()"),
        },
        "users": {
            READ: (True, OWN, None),
            ADD: (True, None, f"{OWN} AND {BELOW_PLATFORM}"),
            CHANGE: (USER_DATA, f"{OWN} AND ({BELOW_PLATFORM} OR {ITSELF})", f"{OWN} AND ({BELOW_PLATFORM} OR {ITSELF_AS_IT_IS})"),
        },
        "agents": {
            READ: (True, "sees_agent(id, is_free_agent, owner_tenant_id)", None),
            ADD: (True, None, OWN_AGENT),
            CHANGE: (AGENT_DATA, OWN_AGENT, OWN_AGENT),
        },
        **of_both(OWN),
    },
    PLATFORM: {
        "tenants": {
            READ: (TENANT, ANY_OR_BOUND_TENANT, None),
            ADD: (TENANT, None, ANY_OR_BOUND_TENANT),
            CHANGE: (f"is_active, {TENANT_DATA}", ANY_OR_BOUND_TENANT, ANY_OR_BOUND_TENANT),
        },
        "users": {
            READ: (True, ANY_OR_BOUND, None),
            ADD: (True, None, f"{ANY_OR_BOUND} AND ({BELOW_PLATFORM} OR {SUPER})"),
            CHANGE: (
                USER_DATA,
                f"{ANY_OR_BOUND} AND ({BELOW_PLATFORM} OR {SUPER} OR {ITSELF})",
                f"{ANY_OR_BOUND} AND ({BELOW_PLATFORM} OR {SUPER} OR {ITSELF_AS_IT_IS})",
            ),
        },
        "agents": {
            READ: (True, "(app_tenant() IS NULL OR sees_agent(id, is_free_agent, owner_tenant_id))", None),
            ADD: (True, None, ANY_AGENT),
            CHANGE: (AGENT_DATA, ANY_AGENT, ANY_AGENT),
        },
        "legacy_notes": own(READ, condition=ANY_OR_BOUND),
        **of_both(ANY_OR_BOUND),
    },
    WORKER: {
        "tenants": {READ: (TENANT, "id = app_tenant()", None)},
        "outbox": {
            READ: (True, "true", None),
            CHANGE: ("send_after, attempts, sent_at, failed_at, last_error", "true", "true"),
        },
        "sessions": {READ: ("tenant_id, id, expires_at", EXPIRED, None), REMOVE: (True, EXPIRED, None)},
        "idempotency_keys": {READ: ("tenant_id, key, expires_at", EXPIRED, None), REMOVE: (True, EXPIRED, None)},
    },
}
PROTECTED = sorted({table for rules in RULES.values() for table in rules})
# Without row level security: counters under hashes, and which revision this is (asked before serving).
UNPROTECTED = {
    "rate_limits": {APP: "SELECT, INSERT, UPDATE, DELETE", PLATFORM: "SELECT, INSERT, UPDATE, DELETE", WORKER: "SELECT, DELETE"},
    "portal_alembic_version": {APP: "SELECT", PLATFORM: "SELECT", WORKER: "SELECT"},
}


def upgrade() -> None:
    demand_roles()
    op.execute(FUNCTIONS)
    for signature in SIGNATURES:
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {APP}, {PLATFORM}, {WORKER}")
    unasked = "organization_directory(text), may_use_agent(uuid, uuid), next_audit_seq(uuid), stored_role(uuid)"
    op.execute(f"REVOKE EXECUTE ON FUNCTION {unasked} FROM {WORKER}")
    for table in PROTECTED:
        op.execute(f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
            CREATE POLICY {table}_owner ON {table} TO {OWNER} USING (true) WITH CHECK (true)""")
    for statement in policies_and_grants():
        op.execute(statement)
    for table, grants in UNPROTECTED.items():
        for role, commands in grants.items():
            op.execute(f"GRANT {commands} ON {table} TO {role}")


def demand_roles() -> None:
    found = op.get_bind().scalars(text("SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles)"), {"roles": list(ROLES)}).all()
    if missing := sorted(set(ROLES) - set(found)):
        raise CommandError(f"This server has no role {', '.join(missing)}. `flask provision` makes the portal's roles; run it first.")


def policies_and_grants() -> Iterator[str]:
    for role, rules in RULES.items():
        for table, commands in rules.items():
            for command, (granted, using, check) in commands.items():
                columns = "" if granted is True else f" ({granted})"
                yield f"GRANT {command}{columns} ON {table} TO {role}"
                clauses = (f"USING ({using})" if using else "") + (f" WITH CHECK ({check})" if check else "")
                yield f"CREATE POLICY {policy_name(table, role, command)} ON {table} FOR {command} TO {role} {clauses}"


def policy_name(table: str, role: str, command: str) -> str:
    verb = {READ: "read", ADD: "add", CHANGE: "change", REMOVE: "remove"}[command]
    return f"{table}_{verb}" if role == APP else f"{table}_{role.removeprefix('portal_')}_{verb}"


def downgrade() -> None:
    for role, rules in RULES.items():
        for table, commands in rules.items():
            for command in commands:
                op.execute(f"DROP POLICY {policy_name(table, role, command)} ON {table}")
    for table in PROTECTED:
        op.execute(f"""
            DROP POLICY {table}_owner ON {table};
            ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY""")
    for table in [*PROTECTED, *UNPROTECTED]:
        op.execute(f"REVOKE ALL ON {table} FROM {APP}, {PLATFORM}, {WORKER}")
    for signature in SIGNATURES:
        op.execute(f"DROP FUNCTION {signature}")
