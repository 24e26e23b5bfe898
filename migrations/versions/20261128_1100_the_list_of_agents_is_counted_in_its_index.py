"""The list of agents is counted in its index

An organization's agents lie all over the table. So the index by name holds besides what row level security and most filters ask for,
and counting reads the index alone. Row level security asks first whether an agent is the organization's own, which most rows are: who is
bound is read once for these, not twice.
"""

from alembic import op

revision = "20261128_1100"
down_revision = "20261128_1000"

BY_NAME = "CREATE INDEX agents_by_name ON agents (owner_tenant_id, sort_key, id)"
FIRST_WHOSE = """CASE
                WHEN $3 = public.app_tenant() THEN true
                WHEN public.app_tenant() IS NULL THEN false
                WHEN $2 THEN $4 IS NOT NULL OR public.app_role() = 'super_admin'
                ELSE $4 IS NOT NULL AND public.is_shared_with_us($1) END"""
FIRST_WHETHER = """public.app_tenant() IS NOT NULL AND CASE
                WHEN $3 = public.app_tenant() THEN true
                WHEN $2 THEN $4 IS NOT NULL OR public.app_role() = 'super_admin'
                ELSE $4 IS NOT NULL AND public.is_shared_with_us($1) END"""


def upgrade() -> None:
    sees_agent(FIRST_WHOSE)
    op.execute(f"DROP INDEX agents_by_name; {BY_NAME} INCLUDE (is_free_agent, is_active, is_enabled, published_version)")


def sees_agent(condition: str) -> None:
    op.execute(f"""
        CREATE OR REPLACE FUNCTION sees_agent(agent_id uuid, is_free_agent boolean, owner_tenant_id uuid, published_version integer)
            RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
            AS $$ SELECT {condition} $$""")


def downgrade() -> None:
    op.execute(f"DROP INDEX agents_by_name; {BY_NAME}")
    sees_agent(FIRST_WHETHER)
