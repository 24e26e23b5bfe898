"""Agents have versions, drafts and partners

What is saved becomes a version; the row of an agent says what is published, or of one that is not, what was saved last. So partners
and conversations read the row only, and nothing in it is unfinished. What somebody types is kept as a draft of that person. A clone
keeps what its original said when it was taken. An offer to a partner names a subdomain as text: whether there is such an organization
is asked by nobody but the organization itself.
"""

from alembic import op

revision = "20261128_1000"
down_revision = "20261124_1700"

APP, PLATFORM, WORKER = "portal_app", "portal_platform", "portal_worker"
SUPER = "app_role() = 'super_admin'"
OWN_AGENT = "NOT is_free_agent AND owner_tenant_id = app_tenant()"
OWN_VERSION = "owner_tenant_id = app_tenant()"
ANY_VERSION = f"CASE WHEN owner_tenant_id IS NULL THEN {SUPER} ELSE app_tenant() IS NULL OR owner_tenant_id = app_tenant() END"
MINE = "tenant_id = app_tenant() AND user_id = app_user()"
EITHER_SIDE = """(tenant_id = app_tenant() OR partner = app_tenant()
    OR state = 'offered' AND expires_at > now() AND partner_subdomain = own_subdomain())"""
# Names can be alike, and be chosen to be; the subdomain says who offers.
OFFERED = """tenant_id = app_tenant() AND offered_by = app_user() AND state = 'offered' AND partner IS NULL
    AND owner_subdomain = own_subdomain()"""
OPEN = f"state IN ('offered', 'accepted') AND {EITHER_SIDE}"
# The owner can only end it, and not say who has answered; whether it is accepted says the partner, about itself.
DECIDED = """CASE WHEN tenant_id = app_tenant() THEN state = 'ended' AND is_answered_so(tenant_id, id, partner, partner_name, decided_by)
    ELSE partner = app_tenant() AND state IN ('accepted', 'refused', 'ended') END"""
SEES = "sees_agent(id, is_free_agent, owner_tenant_id, published_version)"
SEES_BEFORE = "sees_agent(id, is_free_agent, owner_tenant_id)"
FREE_OR_OWN = "agents.is_free_agent OR agents.owner_tenant_id = $2"
DECIDING = "state, partner, partner_name, decided_by, decided_at, ended_at"
# table: role: (name of the policy, command, what is granted, USING, WITH CHECK)
RULES = {
    "agents": {
        APP: [("remove", "DELETE", "", OWN_AGENT, "")],
    },
    "agent_versions": {
        APP: [
            ("read", "SELECT", "", OWN_VERSION, ""),
            # Asked before any key: else they would tell of a neighbour's agent whether it exists, and how many versions it has.
            ("add", "INSERT", "", "", f"{OWN_VERSION} AND saved_by = app_user() AND edits_agent(agent_id)"),
        ],
        PLATFORM: [
            ("read", "SELECT", "", ANY_VERSION, ""),
            ("add", "INSERT", "", "", f"{ANY_VERSION} AND saved_by IS NOT DISTINCT FROM app_user()"),
        ],
    },
    "agent_drafts": {
        **{
            role: [
                ("read", "SELECT", "", MINE, ""),
                ("add", "INSERT", "", "", f"{MINE} AND (agent_id IS NULL OR edits_agent(agent_id))"),
                ("change", "UPDATE", " (typed, saved_at, expires_at)", MINE, MINE),
                ("remove", "DELETE", "", MINE, ""),
            ]
            for role in (APP, PLATFORM)
        },
        WORKER: [
            ("read", "SELECT", " (tenant_id, id, expires_at)", "expires_at < now()", ""),
            ("remove", "DELETE", "", "expires_at < now()", ""),
        ],
    },
    "agent_shares": {
        APP: [
            ("read", "SELECT", "", EITHER_SIDE, ""),
            ("add", "INSERT", "", "", OFFERED),
            ("change", "UPDATE", f" ({DECIDING})", OPEN, DECIDED),
        ],
        PLATFORM: [("read", "SELECT", "", f"(app_tenant() IS NULL OR {EITHER_SIDE})", "")],
    },
}
NEW_TABLES = ("agent_versions", "agent_drafts", "agent_shares")
SIGNATURES = (
    "sees_agent(uuid, boolean, uuid, integer)",
    "edits_agent(uuid)",
    "is_shared_with_us(uuid)",
    "is_answered_so(uuid, uuid, uuid, text, uuid)",
    "own_subdomain()",
)


def upgrade() -> None:
    op.execute("""
        ALTER TABLE agents
            ADD COLUMN published_version integer,
            ADD COLUMN origin_agent_id uuid,
            ADD COLUMN origin_version integer,
            ADD COLUMN origin_content json,
            ADD CONSTRAINT agents_published_is_a_version CHECK (published_version BETWEEN 1 AND version),
            ADD CONSTRAINT agents_owner_tenant_id_id_key UNIQUE (owner_tenant_id, id);
        UPDATE agents SET published_version = version;
        ALTER TABLE tenant_agents
            DROP CONSTRAINT tenant_agents_agent_id_fkey,
            ADD CONSTRAINT tenant_agents_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE CASCADE;
        CREATE TABLE agent_versions (
            agent_id uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
            number integer NOT NULL,
            owner_tenant_id uuid,
            name text NOT NULL,
            agent_type text NOT NULL,
            description text,
            capabilities text[] NOT NULL,
            configuration json NOT NULL,
            saved_by uuid,
            saved_at timestamptz NOT NULL DEFAULT now(),
            comment text,
            restored_from integer,
            PRIMARY KEY (agent_id, number),
            FOREIGN KEY (owner_tenant_id, agent_id) REFERENCES agents (owner_tenant_id, id) ON DELETE CASCADE,
            FOREIGN KEY (owner_tenant_id, saved_by) REFERENCES users (tenant_id, id),
            CONSTRAINT agent_versions_configuration_within CHECK (octet_length(configuration::text) <= 65536)
        );
        INSERT INTO agent_versions
            (agent_id, number, owner_tenant_id, name, agent_type, description, capabilities, configuration, saved_by, saved_at)
        SELECT id, version, owner_tenant_id, name, agent_type, description, capabilities, configuration_template,
            CASE WHEN version = 1 THEN created_by END, coalesce(updated_at, created_at)
        FROM agents;
        CREATE TABLE agent_drafts (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            user_id uuid NOT NULL,
            agent_id uuid REFERENCES agents (id) ON DELETE CASCADE,
            typed json NOT NULL,
            saved_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
            CONSTRAINT agent_drafts_within CHECK (octet_length(typed::text) <= 524288)
        );
        CREATE UNIQUE INDEX agent_drafts_whose_key ON agent_drafts (tenant_id, user_id, agent_id) NULLS NOT DISTINCT;
        CREATE INDEX agent_drafts_agent_id_idx ON agent_drafts (agent_id);
        CREATE INDEX agent_drafts_expires_at_idx ON agent_drafts (expires_at);
        CREATE TABLE agent_shares (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL,
            agent_id uuid NOT NULL,
            agent_name text NOT NULL,
            owner_name text NOT NULL,
            owner_subdomain text NOT NULL,
            partner_subdomain text NOT NULL,
            partner uuid REFERENCES tenants (id),
            partner_name text,
            state text NOT NULL DEFAULT 'offered',
            offered_by uuid NOT NULL,
            offered_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            decided_by uuid,
            decided_at timestamptz,
            ended_at timestamptz,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (owner_tenant_id, id) ON DELETE CASCADE,
            FOREIGN KEY (tenant_id, offered_by) REFERENCES users (tenant_id, id),
            FOREIGN KEY (partner, decided_by) REFERENCES users (tenant_id, id),
            CONSTRAINT agent_shares_state_known CHECK (state IN ('offered', 'accepted', 'refused', 'ended')),
            CONSTRAINT agent_shares_answered_by_a_partner CHECK (state NOT IN ('accepted', 'refused') OR partner IS NOT NULL)
        );
        CREATE UNIQUE INDEX agent_shares_open_key ON agent_shares (tenant_id, agent_id, partner_subdomain)
            WHERE state IN ('offered', 'accepted');
        CREATE INDEX agent_shares_id_idx ON agent_shares (id);
        CREATE INDEX agent_shares_by_partner ON agent_shares (partner, agent_id) WHERE state = 'accepted';
        CREATE INDEX agent_shares_by_subdomain ON agent_shares (partner_subdomain) WHERE state = 'offered';
        CREATE FUNCTION own_subdomain() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT tenants.subdomain::text FROM public.tenants WHERE tenants.id = public.app_tenant() $$;
        CREATE FUNCTION is_shared_with_us(agent_id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT EXISTS (SELECT FROM public.agent_shares
                WHERE agent_shares.partner = public.app_tenant() AND agent_shares.agent_id = $1 AND agent_shares.state = 'accepted') $$;
        CREATE FUNCTION is_answered_so(tenant_id uuid, share_id uuid, partner uuid, partner_name text, decided_by uuid) RETURNS boolean
            LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT EXISTS (SELECT FROM public.agent_shares WHERE agent_shares.tenant_id = $1 AND agent_shares.id = $2
                AND agent_shares.partner IS NOT DISTINCT FROM $3 AND agent_shares.partner_name IS NOT DISTINCT FROM $4
                AND agent_shares.decided_by IS NOT DISTINCT FROM $5) $$;
        CREATE FUNCTION sees_agent(agent_id uuid, is_free_agent boolean, owner_tenant_id uuid, published_version integer) RETURNS boolean
            LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT public.app_tenant() IS NOT NULL AND CASE
                WHEN $3 = public.app_tenant() THEN true
                WHEN $2 THEN $4 IS NOT NULL OR public.app_role() = 'super_admin'
                ELSE $4 IS NOT NULL AND public.is_shared_with_us($1) END $$;
        CREATE FUNCTION edits_agent(agent_id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT EXISTS (SELECT FROM public.agents WHERE agents.id = $1
                AND (agents.owner_tenant_id = public.app_tenant() OR agents.is_free_agent AND public.app_role() = 'super_admin')) $$;
        CREATE OR REPLACE FUNCTION may_use_agent(agent_id uuid, tenant_id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT EXISTS (SELECT FROM public.agents WHERE agents.id = $1 AND agents.published_version IS NOT NULL
                AND (agents.is_free_agent OR agents.owner_tenant_id = $2 OR public.is_shared_with_us($1))) $$""")
    for signature in SIGNATURES:
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {APP}, {PLATFORM}")
    op.execute(f"""
        ALTER POLICY agents_read ON agents USING ({SEES});
        ALTER POLICY agents_platform_read ON agents USING (app_tenant() IS NULL OR {SEES});
        DROP FUNCTION sees_agent(uuid, boolean, uuid);
        GRANT UPDATE (published_version, origin_version, origin_content) ON agents TO {APP}, {PLATFORM}""")
    for table in NEW_TABLES:
        op.execute(f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
            CREATE POLICY {table}_owner ON {table} TO portal_owner USING (true) WITH CHECK (true)""")
    for table, roles in RULES.items():
        for role, rules in roles.items():
            prefix = {APP: table, PLATFORM: f"{table}_platform", WORKER: f"{table}_worker"}[role]
            for name, command, columns, using, check in rules:
                conditions = (f" USING ({using})" if using else "") + (f" WITH CHECK ({check})" if check else "")
                op.execute(f"GRANT {command}{columns} ON {table} TO {role}")
                op.execute(f"CREATE POLICY {prefix}_{name} ON {table} FOR {command} TO {role}{conditions}")


def downgrade() -> None:
    op.execute(f"""
        DROP POLICY agents_remove ON agents;
        REVOKE DELETE ON agents FROM {APP};
        CREATE FUNCTION sees_agent(agent_id uuid, is_free_agent boolean, owner_tenant_id uuid) RETURNS boolean
            LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT public.app_tenant() IS NOT NULL AND ($2 OR $3 = public.app_tenant()) $$;
        REVOKE ALL ON FUNCTION sees_agent(uuid, boolean, uuid) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION sees_agent(uuid, boolean, uuid) TO {APP}, {PLATFORM}, {WORKER};
        ALTER POLICY agents_read ON agents USING ({SEES_BEFORE});
        ALTER POLICY agents_platform_read ON agents USING (app_tenant() IS NULL OR {SEES_BEFORE});
        CREATE OR REPLACE FUNCTION may_use_agent(agent_id uuid, tenant_id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT EXISTS (SELECT FROM public.agents WHERE agents.id = $1 AND ({FREE_OR_OWN})) $$;
        DROP TABLE agent_shares, agent_drafts, agent_versions;
        DROP FUNCTION {", ".join(SIGNATURES)};
        REVOKE UPDATE (published_version, origin_version, origin_content) ON agents FROM {APP}, {PLATFORM};
        ALTER TABLE tenant_agents
            DROP CONSTRAINT tenant_agents_agent_id_fkey,
            ADD CONSTRAINT tenant_agents_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id);
        ALTER TABLE agents
            DROP CONSTRAINT agents_owner_tenant_id_id_key,
            DROP CONSTRAINT agents_published_is_a_version,
            DROP COLUMN origin_content,
            DROP COLUMN origin_version,
            DROP COLUMN origin_agent_id,
            DROP COLUMN published_version""")
