"""What a search for agents finds is counted to a thousand

A search for one letter counted all that fit it, reading what is said of each of 5,000 agents to say a number nobody waits for. Now
`find_agents` counts an organization's own agents no further than it is asked to: the list to 10,000, a search to 1,000. What fragments
lead to, and free and shared agents, are few and counted whole.
"""

from alembic import op

revision = "20261129_1200"
down_revision = "20261129_1120"

APP, PLATFORM = "portal_app", "portal_platform"
SAID, CAN = "agent_search_text(sort_key, agent_type, description)", "agent_capability_text(capabilities)"


def of(row: str, function: str) -> str:
    """What is said of the agent of a row of this name, worked out from its table."""
    name, _, columns = function.rstrip(")").partition("(")
    return f"public.{name}({', '.join(f'{row}.{column}' for column in columns.split(', '))})"


def fits(said: str, can: str) -> str:
    """Whether what was typed stands in these texts: the longest word, the further ones, and a part of a capability."""
    return f"""(word IS NULL OR strpos({said}, word) > 0)
                    AND (further IS NULL OR {said} LIKE ALL (further))
                    AND (can IS NULL OR strpos({can}, can) > 0)"""


def kept(column: str, function: str) -> str:
    """A text of the index; of a text that is too long for it the table's."""
    return f"coalesce(agents.{column}, (SELECT {of('long', function)} FROM public.agents AS long WHERE long.id = agents.id))"


# Asked of every own agent that is counted, so without comparing texts.
OWN = """(every OR CASE WHEN NOT agents.is_active THEN withdrawn WHEN agents.published_version IS NULL THEN unpublished
                    WHEN agents.is_enabled THEN used ELSE unused END)"""
OTHERS = """CASE WHEN NOT agents.is_active THEN 'withdrawn' WHEN agents.published_version IS NULL THEN 'unpublished'
                    WHEN agents.is_enabled AND agents.id <> ALL (switched_off) THEN 'on' ELSE 'off' END"""
IN_INDEX = fits(kept("search_text", SAID), kept("capability_text", CAN))
IN_TABLE = fits(f"coalesce(agents.search_text, {of('agents', SAID)})", of("agents", CAN))


def scan(condition: str, count: str) -> str:
    """Read the organization's own agents in an index: a page of them by name, and how many there are."""
    rows = f"FROM public.agents WHERE agents.owner_tenant_id = bound AND {condition}"
    return f"""
                SELECT array_agg(page.id), array_agg(page.sort_key) INTO ids, keys FROM (
                    SELECT agents.id, agents.sort_key {rows} AND (agents.sort_key, agents.id) > (place, place_id)
                    ORDER BY agents.sort_key, agents.id LIMIT most) AS page;
                number := ({count.format(rows=rows)});"""


# plpgsql, because it keeps its plans; generic ones, whatever is asked. IS TRUE keeps the indexes that begin with the organization out of
# the plan that is to ask for grams: each of their rows would have its grams worked out.
def find_agents(arguments: str, count: str) -> str:
    return rf"""
    CREATE FUNCTION find_agents(
        words text[], capability text, own text[], free text[], shared text[], after_name text, after_id uuid, {arguments}
    ) RETURNS TABLE (id uuid, is_shared boolean, total bigint)
        LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 26 SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = force_generic_plan SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off
        AS $$
            DECLARE
                bound uuid := public.app_tenant();
                above boolean := coalesce(public.app_role() = 'super_admin', false);
                used boolean := 'on' = ANY (own);
                unused boolean := 'off' = ANY (own);
                unpublished boolean := 'unpublished' = ANY (own);
                withdrawn boolean := 'withdrawn' = ANY (own);
                every boolean := used AND unused AND unpublished AND withdrawn;
                switched_off uuid[] := ARRAY (
                    SELECT tenant_agents.agent_id FROM public.tenant_agents
                    WHERE tenant_agents.tenant_id = bound AND NOT tenant_agents.is_on);
                word text := words[1];
                further text[] := CASE WHEN cardinality(words) > 1 THEN ARRAY (
                    SELECT '%' || replace(replace(replace(one, '\', '\\'), '%', '\%'), '_', '\_') || '%' FROM unnest(words[2:]) AS one) END;
                can text := lower(capability);
                wanted bigint[] := public.agent_grams(bound, array_to_string(words, ' '));
                place text := coalesce(after_name, '');
                place_id uuid := coalesce(after_id, '00000000-0000-0000-0000-000000000000');
                ids uuid[];
                keys text[];
                number bigint := 0;
            BEGIN
                IF bound IS NULL THEN
                    RETURN;
                END IF;
                IF own = '{{}}' THEN
                    NULL;
                ELSIF word IS NULL AND can IS NULL THEN{scan(OWN, count)}
                ELSIF wanted <> '{{}}' AND (
                    SELECT count(*) FROM (
                        SELECT first.id, first.search_text, first.capability_text FROM public.agents AS first
                        WHERE first.owner_tenant_id = bound ORDER BY first.sort_key, first.id LIMIT 100) AS agents
                    WHERE {IN_INDEX}) <= 10 THEN
                    SELECT array_agg(fitting.id ORDER BY fitting.sort_key, fitting.id) FILTER (WHERE fitting.is_further),
                        array_agg(fitting.sort_key ORDER BY fitting.sort_key, fitting.id) FILTER (WHERE fitting.is_further), count(*)
                    INTO ids, keys, number FROM (
                        SELECT agents.id, agents.sort_key, (agents.sort_key, agents.id) > (place, place_id) AS is_further FROM public.agents
                        WHERE (agents.owner_tenant_id = bound) IS TRUE AND agents.owner_tenant_id IS NOT NULL
                            AND public.agent_grams(agents.owner_tenant_id, {of("agents", SAID)}) @> wanted
                            AND {OWN} AND {IN_TABLE}) AS fitting;
                ELSE{scan(f"{OWN} AND {IN_INDEX}", count)}
                END IF;
                RETURN QUERY
                    WITH others AS MATERIALIZED (
                        SELECT agents.id, agents.sort_key, false AS is_shared FROM public.agents
                        WHERE agents.owner_tenant_id IS NULL AND (agents.published_version IS NOT NULL OR above)
                            AND {OTHERS} = ANY (free) AND {IN_INDEX}
                        UNION ALL
                        SELECT agents.id, agents.sort_key, true
                        FROM public.agent_shares JOIN public.agents ON agents.id = agent_shares.agent_id
                        WHERE agent_shares.partner = bound AND agent_shares.state = 'accepted' AND agents.published_version IS NOT NULL
                            AND agents.owner_tenant_id <> bound AND {OTHERS} = ANY (shared) AND {IN_TABLE})
                    SELECT fitting.id, fitting.is_shared, number + (SELECT count(*) FROM others) FROM (
                        SELECT page.id, page.sort_key, false FROM unnest(ids[1:most], keys[1:most]) AS page (id, sort_key)
                        UNION ALL
                        SELECT others.id, others.sort_key, others.is_shared FROM others
                        WHERE (others.sort_key, others.id) > (place, place_id)) AS fitting (id, sort_key, is_shared)
                    ORDER BY fitting.sort_key COLLATE "C", fitting.id LIMIT most;
            END
        $$"""


BEFORE = "most integer", "SELECT count(*) {rows}"
NOW = "most integer, most_counted integer", "SELECT count(*) FROM (SELECT {rows} LIMIT most_counted) AS counted"
FIND = "find_agents(text[], text, text[], text[], text[], text, uuid, {})"


def upgrade() -> None:
    replace(BEFORE, NOW)


def downgrade() -> None:
    replace(NOW, BEFORE)


def replace(old: tuple[str, str], new: tuple[str, str]) -> None:
    before, now = (FIND.format(", ".join(["integer"] * arguments.count("integer"))) for arguments, _ in (old, new))
    op.execute(f"""
        DROP FUNCTION {before}; {find_agents(*new)};
        REVOKE ALL ON FUNCTION {now} FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {now} TO {APP}, {PLATFORM}""")
