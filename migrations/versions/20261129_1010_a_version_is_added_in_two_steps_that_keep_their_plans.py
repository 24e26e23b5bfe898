"""A version is added in two steps that keep their plans

Saving an agent asked the database for five things, each of which row level security had planned anew. Now `lock_agent` answers what an
edit needs to know before it saves, and `add_agent_version` writes it, each in one round trip. Both act with the rights of whoever asks.
"""

from alembic import op

revision = "20261129_1010"
down_revision = "20261129_1000"

APP, PLATFORM = "portal_app", "portal_platform"
LOCK = "lock_agent(uuid, uuid, uuid)"
ADD = "add_agent_version(uuid, integer, uuid, text, text, text, text[], json, text, uuid, text, integer)"
# Two statements, so that the look sees what the lock waited for: the row, and what was saved last, which the row says where that is what
# is in use or nothing is. The draft that goes is the editor's; NULL is nobody.
LOCK_AGENT = """
    CREATE FUNCTION lock_agent(tenant uuid, agent uuid, editor uuid) RETURNS TABLE (
        id uuid, owner_tenant_id uuid, is_active boolean, is_enabled boolean, version integer, published_version integer,
        called text, name text, agent_type text, description text, capabilities text[], configuration text
    ) LANGUAGE plpgsql ROWS 1 SET plan_cache_mode = force_generic_plan
        AS $$
            BEGIN
                PERFORM FROM public.agents a WHERE a.id = $2 AND (a.owner_tenant_id = $1 OR a.owner_tenant_id IS NULL) FOR UPDATE;
                IF FOUND THEN
                    DELETE FROM public.agent_drafts d WHERE d.tenant_id = $1 AND d.user_id = $3 AND d.agent_id = $2;
                    RETURN QUERY
                        SELECT a.id, a.owner_tenant_id, a.is_active, a.is_enabled, a.version, a.published_version, a.name, said.*
                        FROM public.agents a, LATERAL (
                            SELECT a.name, a.agent_type, a.description, a.capabilities, a.configuration_template::text
                            WHERE coalesce(a.published_version, a.version) = a.version
                            UNION ALL
                            SELECT v.name, v.agent_type, v.description, v.capabilities, v.configuration::text
                            FROM public.agent_versions v
                            WHERE v.agent_id = a.id AND v.number = a.version AND a.published_version <> a.version
                            AND (v.owner_tenant_id = $1 OR v.owner_tenant_id IS NULL)
                        ) AS said
                        WHERE a.id = $2;
                END IF;
            END
        $$"""
# The row says what is published, and only counts what is not; of an agent that is not published it says what was saved last.
ADD_AGENT_VERSION = """
    CREATE FUNCTION add_agent_version(
        agent uuid, number integer, owner uuid, name text, agent_type text, description text, capabilities text[], configuration json,
        sort_key text, saved_by uuid, comment text, restored_from integer
    ) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
        AS $$
            BEGIN
                UPDATE public.agents a SET version = $2, updated_at = now() WHERE a.id = $1 AND a.published_version IS NOT NULL;
                IF NOT FOUND THEN
                    UPDATE public.agents a SET version = $2, updated_at = now(), name = $4, agent_type = $5, description = $6,
                        capabilities = $7, configuration_template = $8, sort_key = $9 WHERE a.id = $1;
                END IF;
                INSERT INTO public.agent_versions (agent_id, number, owner_tenant_id, name, agent_type, description, capabilities,
                    configuration, saved_by, comment, restored_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $11, $12);
            END
        $$"""


def upgrade() -> None:
    op.execute(f"""
        {LOCK_AGENT};
        {ADD_AGENT_VERSION};
        REVOKE ALL ON FUNCTION {LOCK}, {ADD} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {LOCK}, {ADD} TO {APP}, {PLATFORM}""")


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {LOCK}, {ADD}")
