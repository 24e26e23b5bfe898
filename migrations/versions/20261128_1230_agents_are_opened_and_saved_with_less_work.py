"""Agents are opened and saved with less work

Whatever is done with an agent begins with a look at it, and most of that was planning: row level security has a statement planned anew
each time. So `find_agent` keeps its plan. It acts with the rights of whoever asks, and row level security is asked as before.

Compressing a configuration of 64 KiB took up to a third of the database's work of saving it. Texts that are too long for their row are
now kept as they are, of versions and of what is published; those that stand there already stay compressed and are read as ever.
"""

from alembic import op

revision = "20261128_1230"
down_revision = "20261128_1220"

APP, PLATFORM = "portal_app", "portal_platform"
FIND = "find_agent(uuid, uuid)"
COUNTED = 10_001
STATE = """CASE WHEN NOT a.is_active THEN 'withdrawn' WHEN a.published_version IS NULL THEN 'unpublished'
                    WHEN a.is_enabled AND coalesce(s.is_on, true) THEN 'on' ELSE 'off' END"""
USED = "FROM public.conversation_agents c WHERE c.tenant_id = $1 AND c.agent_id = a.id"
SHARES = "FROM public.agent_shares o WHERE o.tenant_id = $1 AND o.agent_id = a.id"
FIND_AGENT = f"""
    CREATE FUNCTION find_agent(tenant uuid, agent uuid) RETURNS TABLE (
        id uuid, agent_type text, name text, description text, capabilities text[], is_free_agent boolean, owner_tenant_id uuid,
        is_active boolean, is_enabled boolean, sort_key text, version integer, published_version integer, is_shared boolean, state text,
        conversations bigint, last_used_at timestamptz, is_offered boolean, was_shared boolean, configuration text,
        updated_at timestamptz, origin_agent_id uuid, origin_version integer, origin_content json
    ) LANGUAGE plpgsql STABLE ROWS 1 SET plan_cache_mode = force_generic_plan
        AS $$
            BEGIN
                RETURN QUERY
                    SELECT a.id, a.agent_type, a.name, a.description, a.capabilities, a.is_free_agent, a.owner_tenant_id, a.is_active,
                        a.is_enabled, a.sort_key, a.version, a.published_version, NOT a.is_free_agent AND a.owner_tenant_id <> $1,
                        {STATE}, (SELECT count(*) FROM (SELECT {USED} LIMIT {COUNTED}) AS counted), (SELECT max(c.added_at) {USED}),
                        EXISTS (SELECT {SHARES} AND o.state IN ('offered', 'accepted')),
                        EXISTS (SELECT {SHARES} AND o.state = 'ended' AND o.partner IS NOT NULL),
                        a.configuration_template::text, a.updated_at, a.origin_agent_id, a.origin_version, a.origin_content
                    FROM public.agents a LEFT JOIN public.tenant_agents s ON s.tenant_id = $1 AND s.agent_id = a.id
                    WHERE a.id = $2 AND CASE WHEN a.owner_tenant_id IS NULL THEN a.is_free_agent WHEN a.owner_tenant_id = $1 THEN true
                        ELSE EXISTS (SELECT FROM public.agent_shares x
                            WHERE x.partner = $1 AND x.state = 'accepted' AND x.agent_id = a.id) END;
            END
        $$"""


def upgrade() -> None:
    op.execute(f"""
        {FIND_AGENT};
        REVOKE ALL ON FUNCTION {FIND} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {FIND} TO {APP}, {PLATFORM};
        ALTER TABLE agents ALTER configuration_template SET STORAGE EXTERNAL;
        ALTER TABLE agent_versions ALTER configuration SET STORAGE EXTERNAL""")


def downgrade() -> None:
    op.execute(f"""
        ALTER TABLE agent_versions ALTER configuration SET STORAGE EXTENDED;
        ALTER TABLE agents ALTER configuration_template SET STORAGE EXTENDED;
        DROP FUNCTION {FIND}""")
