"""Sums of users that nothing was added to stay

Folding deleted and wrote anew every sum of an organization, 1,800 rows of one with years of sign-ins, though a minute adds to a few of
them: an index full of rows that were just deleted made its pages slower, and a thousand such organizations at once took longer than the
worker may. Now only sums that were added to are written anew, of as many organizations at a time as the worker says.

No page asks for a day that is longer ago than 90 days, only for all of them together: what is folded of days more than 120 days ago is the
sum of their year, under its first day, and stays so on the way down. And the index by day has the number ready.
"""

from alembic import op

revision = "20261129_1100"
down_revision = "20261129_1010"

COLUMNS = "tenant_id, role, state, is_verified, signed_in_on"
LONG_AGO = "signed_in_on BETWEEN '0001-01-01' AND current_date - 121"  # '-infinity' is never; what else is before our era stays as it is
YEAR = "date_trunc('year', signed_in_on)::date"
BY_YEAR = f"tenant_id, role, state, is_verified, CASE WHEN {LONG_AGO} THEN {YEAR} ELSE signed_in_on END"
MOST = 50_000  # rows that were added, and as many sums, in one statement: a backlog becomes shorter each time
BEFORE, NOW = "fold_user_counts(integer)", "fold_user_counts(integer, integer)"
# Each row is deleted by its key, however many were added: a join by what they are of, which may be NULL, would compare each with each.
# And what was deleted is what is summed up: however many fold at once, each row goes into one sum.
FOLD = f"""
        CREATE FUNCTION fold_user_counts(least_rows integer, most_tenants integer) RETURNS bigint
            LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
            WITH busy AS (
                SELECT tenant_id FROM public.user_counts WHERE NOT is_folded
                GROUP BY tenant_id HAVING count(*) >= least_rows LIMIT most_tenants
            ), looked_at AS (
                (SELECT * FROM public.user_counts WHERE NOT is_folded AND tenant_id IN (SELECT tenant_id FROM busy) LIMIT {MOST})
                UNION ALL
                (SELECT * FROM public.user_counts WHERE is_folded AND tenant_id IN (SELECT tenant_id FROM busy) LIMIT {MOST})
            ), added_to AS (
                SELECT tenant_id, array_agg(id) AS ids FROM looked_at
                GROUP BY {BY_YEAR} HAVING NOT bool_and(is_folded) OR count(*) > 1
            ), gone AS (
                DELETE FROM public.user_counts c USING (SELECT tenant_id, unnest(ids) AS id FROM added_to) AS a
                WHERE c.tenant_id = a.tenant_id AND c.id = a.id RETURNING c.*
            ), kept AS (
                INSERT INTO public.user_counts ({COLUMNS}, number, is_folded)
                SELECT {BY_YEAR}, sum(number), true FROM gone GROUP BY {BY_YEAR} HAVING sum(number) <> 0
            )
            SELECT count(*) FROM busy
        $$"""
FOLD_BEFORE = f"""
        CREATE FUNCTION fold_user_counts(least_rows integer) RETURNS bigint
            LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            WITH busy AS (
                SELECT tenant_id FROM public.user_counts WHERE NOT is_folded GROUP BY tenant_id HAVING count(*) >= least_rows LIMIT 1000
            ), gone AS (
                DELETE FROM public.user_counts WHERE tenant_id IN (SELECT tenant_id FROM busy) RETURNING *
            ), kept AS (
                INSERT INTO public.user_counts ({COLUMNS}, number, is_folded)
                SELECT {COLUMNS}, sum(number), true FROM gone GROUP BY {COLUMNS} HAVING sum(number) <> 0
            )
            SELECT count(*) FROM busy
        $$"""


def upgrade() -> None:
    _replace(BEFORE, NOW, FOLD)
    op.execute(f"""
        WITH gone AS (
            DELETE FROM user_counts WHERE is_folded AND {LONG_AGO} RETURNING tenant_id, signed_in_on, number
        )
        INSERT INTO user_counts (tenant_id, signed_in_on, number, is_folded)
        SELECT tenant_id, {YEAR}, sum(number), true FROM gone GROUP BY 1, 2 HAVING sum(number) <> 0;
        DROP INDEX user_counts_by_day;
        CREATE INDEX user_counts_by_day ON user_counts (tenant_id, signed_in_on) INCLUDE (number)""")


def downgrade() -> None:
    _replace(NOW, BEFORE, FOLD_BEFORE)
    op.execute("DROP INDEX user_counts_by_day; CREATE INDEX user_counts_by_day ON user_counts (tenant_id, signed_in_on)")


def _replace(old: str, new: str, function: str) -> None:
    op.execute(f"""
        DROP FUNCTION {old}; {function};
        REVOKE ALL ON FUNCTION {new} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {new} TO portal_worker""")
