"""Agents tell what they can, and organizations switch them

A configuration is kept as it was written (json, not jsonb), so that it comes back exactly. An organization says by a row of
`tenant_agents` that a free agent is off for its people, or on again; without a row it is on.
"""

from alembic import op

revision = "20261124_1600"
down_revision = "20261124_1500"

APP, PLATFORM = "portal_app", "portal_platform"
OWN = "tenant_id = app_tenant()"
ANY_OR_BOUND = "(app_tenant() IS NULL OR tenant_id = app_tenant())"
NEW = "capabilities, is_enabled, sort_key, updated_at, version"


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE agents
            ALTER COLUMN configuration_template DROP DEFAULT,
            ALTER COLUMN configuration_template TYPE json USING configuration_template::json,
            ALTER COLUMN configuration_template SET DEFAULT '{{}}',
            ADD COLUMN capabilities text[] NOT NULL DEFAULT '{{}}',
            ADD COLUMN is_enabled boolean NOT NULL DEFAULT true,
            ADD COLUMN sort_key text COLLATE "C" NOT NULL DEFAULT '',
            ADD COLUMN updated_at timestamptz,
            ADD COLUMN version integer NOT NULL DEFAULT 1,
            ADD COLUMN created_by uuid,
            ADD CONSTRAINT agents_owner_tenant_id_created_by_fkey
                FOREIGN KEY (owner_tenant_id, created_by) REFERENCES users (tenant_id, id),
            ADD CONSTRAINT agents_agent_type_form CHECK (agent_type ~ '^[A-Z][A-Z0-9_]{{2,63}}$'),
            ADD CONSTRAINT agents_configuration_within CHECK (octet_length(configuration_template::text) <= 65536);
        UPDATE agents SET sort_key = regexp_replace(normalize(lower(btrim(name)), NFKD), U&'[\\0300-\\036f]', '', 'g');
        CREATE INDEX agents_by_name ON agents (owner_tenant_id, sort_key, id);
        CREATE INDEX conversation_agents_by_agent ON conversation_agents (tenant_id, agent_id, added_at);
        GRANT UPDATE ({NEW}) ON agents TO {APP}, {PLATFORM};
        CREATE TABLE tenant_agents (
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            agent_id uuid NOT NULL REFERENCES agents (id),
            is_on boolean NOT NULL,
            changed_by uuid NOT NULL,
            changed_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, agent_id),
            FOREIGN KEY (tenant_id, changed_by) REFERENCES users (tenant_id, id)
        );
        ALTER TABLE tenant_agents ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_agents_owner ON tenant_agents TO portal_owner USING (true) WITH CHECK (true)""")
    for role, name, condition in ((APP, "tenant_agents", OWN), (PLATFORM, "tenant_agents_platform", ANY_OR_BOUND)):
        usable = f"{condition} AND may_use_agent(agent_id, tenant_id)"
        op.execute(f"""
            GRANT SELECT, INSERT, UPDATE (is_on, changed_by, changed_at) ON tenant_agents TO {role};
            CREATE POLICY {name}_read ON tenant_agents FOR SELECT TO {role} USING ({condition});
            CREATE POLICY {name}_add ON tenant_agents FOR INSERT TO {role} WITH CHECK ({usable});
            CREATE POLICY {name}_change ON tenant_agents FOR UPDATE TO {role} USING ({condition}) WITH CHECK ({condition})""")


def downgrade() -> None:
    op.execute(f"""
        DROP TABLE tenant_agents;
        DROP INDEX conversation_agents_by_agent, agents_by_name;
        REVOKE UPDATE ({NEW}) ON agents FROM {APP}, {PLATFORM};
        ALTER TABLE agents
            DROP CONSTRAINT agents_configuration_within,
            DROP CONSTRAINT agents_agent_type_form,
            DROP COLUMN created_by,
            DROP COLUMN version,
            DROP COLUMN updated_at,
            DROP COLUMN sort_key,
            DROP COLUMN is_enabled,
            DROP COLUMN capabilities,
            ALTER COLUMN configuration_template DROP DEFAULT,
            ALTER COLUMN configuration_template TYPE jsonb USING configuration_template::jsonb,
            ALTER COLUMN configuration_template SET DEFAULT '{{}}'""")
