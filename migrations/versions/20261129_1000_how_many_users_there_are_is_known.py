"""How many users there are is known

A page of users says "more than 10,000" where there are more, and had to count 10,001 rows each time to know it. Now every change of
accounts adds to `user_counts` how many more or fewer there are of a role, a state and confirmed addresses, and by the day of their last
sign-in (UTC; '-infinity' for never; of those who were not removed). Nobody waits for anybody there: what is added is a row of its own,
and the worker folds them into sums. No key leads to the organization, so that a sign-in does not lock it; what is left of one that is
deleted sums up to nothing, and is folded away.

Triggers write them, because the legacy system writes accounts too. The counts only shorten the work: where they are missing, as on a
server that refuses triggers, rows are counted as before.
"""

from alembic import op

revision = "20261129_1000"
down_revision = "20261128_1230"

APP, PLATFORM, WORKER = "portal_app", "portal_platform", "portal_worker"
DAY = "(CASE WHEN last_sign_in_at IS NULL THEN '-infinity' ELSE last_sign_in_at AT TIME ZONE 'UTC' END)::date"
COLUMNS = "tenant_id, role, state, is_verified, signed_in_on"
GROUPS = """GROUP BY GROUPING SETS ((tenant_id, role, state, is_verified), (tenant_id, signed_in_on))
            HAVING sum(number) <> 0 AND (role IS NOT NULL OR signed_in_on IS NOT NULL)"""
FIRING = {  # what a statement did: who is more after it, who is fewer
    "INSERT": {"NEW": ("came", 1)},
    "DELETE": {"OLD": ("went", -1)},
    "UPDATE": {"NEW": ("came", 1), "OLD": ("went", -1)},
}
FOLD = "fold_user_counts(integer)"


def counted(*tables: tuple[str, int], more: str = "") -> str:
    """The rows to be added for accounts of these tables, each with the number that one of them counts for."""
    rows = " UNION ALL ".join(
        f"SELECT tenant_id, role, state, is_verified, CASE WHEN state <> 'removed' THEN {DAY} END AS signed_in_on, {number} AS number"
        f" FROM {table}"
        for table, number in tables
    )
    return f"SELECT {COLUMNS}, sum(number){more} FROM ({rows}) AS users {GROUPS}"


def upgrade() -> None:
    branches = "".join(
        f"""
                WHEN '{act}' THEN
                    INSERT INTO public.user_counts ({COLUMNS}, number) {counted(*tables.values())};"""
        for act, tables in FIRING.items()
    )
    op.execute(f"""
        CREATE TABLE user_counts (
            tenant_id uuid NOT NULL,
            id uuid NOT NULL DEFAULT gen_random_uuid(),
            role text,
            state text,
            is_verified boolean,
            signed_in_on date,
            number bigint NOT NULL,
            is_folded boolean NOT NULL DEFAULT false,
            PRIMARY KEY (tenant_id, id),
            CONSTRAINT user_counts_by_kind_or_day CHECK (
                num_nonnulls(role, state, is_verified) = CASE WHEN signed_in_on IS NULL THEN 3 ELSE 0 END)
        );
        CREATE INDEX user_counts_by_day ON user_counts (tenant_id, signed_in_on);
        CREATE INDEX user_counts_to_be_folded ON user_counts (tenant_id) WHERE NOT is_folded;
        ALTER TABLE user_counts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY user_counts_owner ON user_counts TO portal_owner USING (true) WITH CHECK (true);
        GRANT SELECT ON user_counts TO {APP}, {PLATFORM};
        CREATE POLICY user_counts_read ON user_counts FOR SELECT TO {APP} USING (tenant_id = app_tenant());
        CREATE POLICY user_counts_platform_read ON user_counts FOR SELECT TO {PLATFORM}
            USING (app_tenant() IS NULL OR tenant_id = app_tenant());

        CREATE FUNCTION count_users() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            BEGIN
                CASE TG_OP{branches}
                END CASE;
                RETURN NULL;
            END
        $$;
        -- organizations that were added to at least `least_rows` times; however many fold at once, each row goes into one sum
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
        $$;
        REVOKE ALL ON FUNCTION count_users(), {FOLD} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {FOLD} TO {WORKER};
        LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO user_counts ({COLUMNS}, number, is_folded) {counted(("users", 1), more=", true")}""")
    for act, tables in FIRING.items():
        named = " ".join(f"{which} TABLE AS {table}" for which, (table, _) in tables.items())
        op.execute(f"""
            CREATE TRIGGER count_{act.lower()} AFTER {act} ON users REFERENCING {named}
            FOR EACH STATEMENT EXECUTE FUNCTION count_users()""")


def downgrade() -> None:
    for act in FIRING:
        op.execute(f"DROP TRIGGER count_{act.lower()} ON users")
    op.execute(f"DROP FUNCTION {FOLD}, count_users(); DROP TABLE user_counts")
