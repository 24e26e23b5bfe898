"""Fragments that nearly everybody has are found at once

The index over trigrams has to list everybody who has a fragment before the search sees the first of them: a third of a second where a
million have it. So the search looks at the first hundred users by name; where most of these have it, it goes on among the first five
thousand, and asks the index only if a thousand cannot be found there. It starts no parallel workers, which take longer than most searches.

The index of last sign-ins holds the time itself too, so that those of the last week are counted without looking at their rows.
"""

from alembic import op

revision = "20261124_1700"
down_revision = "20261124_1600"

SIGN_INS = "tenant_id, (CASE WHEN last_sign_in_at IS NULL THEN '-infinity' ELSE last_sign_in_at END), id"
# What takes the short way: only words of three letters or more are all that a pattern says of them.
AMONG_THE_FIRST = """
                IF (SELECT bool_and(length(word) > 2) FROM string_to_table(words, ' ') AS word) AND (
                    SELECT count(*) FROM (
                        SELECT users.search_text FROM public.users WHERE users.tenant_id = bound AND users.removed_at IS NULL
                        ORDER BY users.sort_key, users.id LIMIT 100) AS first
                    WHERE first.search_text LIKE ALL (patterns)) > 50 THEN
                    found := ARRAY (
                        SELECT first.id FROM (
                            SELECT users.id, users.search_text FROM public.users WHERE users.tenant_id = bound AND users.removed_at IS NULL
                            ORDER BY users.sort_key, users.id LIMIT 5000) AS first
                        WHERE first.search_text LIKE ALL (patterns) LIMIT least(most, 1001));
                    IF cardinality(found) = least(most, 1001) THEN
                        RETURN QUERY SELECT unnest(found);
                        RETURN;
                    END IF;
                END IF;"""
FIND_USERS = r"""
    -- plpgsql, because its statement is planned for what is searched. IS TRUE keeps the indexes that begin with the organization out of
    -- the plan: before the table is first analysed they look cheaper, and each of their rows has its grams worked out, 0.4 ms a row.
    CREATE OR REPLACE FUNCTION find_users(words text, most integer) RETURNS TABLE (id uuid)
        LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, pg_temp {settings}
        AS $$
            DECLARE
                bound uuid := public.app_tenant();
                wanted bigint[] := public.wanted_grams(bound, words);
                patterns text[] := ARRAY (
                    SELECT '%' || replace(replace(replace(word, '\', '\\'), '%', '\%'), '_', '\_') || '%'
                    FROM string_to_table(words, ' ') AS word
                    WHERE length(word) > 2 OR word <> translate(word, '@._-''', ''));{declared}
            BEGIN
                IF bound IS NULL OR wanted = '{{}}' THEN
                    RETURN;
                END IF;{short_way}
                RETURN QUERY SELECT users.id FROM public.users
                    WHERE (users.tenant_id = bound) IS TRUE AND users.search_text IS NOT NULL
                        AND public.search_grams(users.tenant_id, users.search_text) @> wanted
                        AND users.search_text LIKE ALL (patterns)
                    LIMIT least(most, 1001);
            END
        $$"""


def upgrade() -> None:
    settings = "SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off"
    op.execute(FIND_USERS.format(settings=settings, declared="\n                found uuid[];", short_way=AMONG_THE_FIRST))
    keep_sign_ins("INCLUDE (last_sign_in_at)")


def keep_sign_ins(more: str) -> None:
    op.execute(f"""
        DROP INDEX users_by_last_sign_in;
        CREATE INDEX users_by_last_sign_in ON users ({SIGN_INS}) {more} WHERE removed_at IS NULL""")


def downgrade() -> None:
    op.execute(FIND_USERS.format(settings="", declared="", short_way=""))
    keep_sign_ins("")
