"""Finding agents: the free ones, the organization's own and those shared with it, by name, with how they are used here."""

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from portal.agents.commands import FindAgents
from portal.database.reading import Reading
from portal.errors import Invalid

ROWS = 25
COUNTED = 10_000  # no count goes further
IS_ON = "(a.is_active AND a.is_enabled AND a.published_version IS NOT NULL AND coalesce(s.is_on, true))"
CONDITIONS = {
    "words": """NOT EXISTS (
        SELECT FROM unnest(%(words)s) AS word
        WHERE strpos(a.sort_key || ' ' || lower(a.agent_type) || ' ' || lower(coalesce(a.description, '')), word) = 0)""",
    "capability": "strpos(lower(array_to_string(a.capabilities, chr(10))), lower(%(capability)s)) > 0",
    "on": IS_ON,
    "off": f"a.is_active AND a.published_version IS NOT NULL AND NOT {IS_ON}",
    "unpublished": "a.is_active AND a.published_version IS NULL",
    "withdrawn": "NOT a.is_active",
    "place": "(a.sort_key, a.id) > (%(place)s, CAST(%(place_id)s AS uuid))",
}
SHARED = "a.id IN (SELECT shares.agent_id FROM agent_shares AS shares WHERE shares.partner = %(tenant)s AND shares.state = 'accepted')"
OWNED = {
    "own": "a.owner_tenant_id = %(tenant)s",
    "free": "a.owner_tenant_id IS NULL AND a.is_free_agent",
    "shared": f"a.owner_tenant_id <> %(tenant)s AND {SHARED}",
}
SOURCE = "agents a LEFT JOIN tenant_agents s ON s.tenant_id = %(tenant)s AND s.agent_id = a.id"
USED = f"""
    (SELECT count(*) FROM (SELECT FROM conversation_agents c WHERE c.tenant_id = %(tenant)s AND c.agent_id = a.id LIMIT {COUNTED + 1})
     AS counted) AS conversations,
    (SELECT max(c.added_at) FROM conversation_agents c WHERE c.tenant_id = %(tenant)s AND c.agent_id = a.id) AS last_used_at"""

COLUMNS = """
    a.id, a.agent_type, a.name, a.description, a.capabilities, a.is_free_agent, a.owner_tenant_id, a.is_active, a.is_enabled, a.sort_key,
    a.version, a.published_version"""
ONE = Reading(f"""
    SELECT {COLUMNS}, a.is_free_agent IS FALSE AND a.owner_tenant_id <> %(tenant)s AS is_shared, {IS_ON} AS is_on, {USED},
        (SELECT bool_or(o.state <> 'ended') FROM agent_shares o WHERE o.tenant_id = %(tenant)s AND o.agent_id = a.id
            AND (o.state IN ('offered', 'accepted') OR o.state = 'ended' AND o.partner IS NOT NULL)) AS is_offered,
        a.configuration_template::text AS configuration, a.updated_at, a.origin_agent_id, a.origin_version, a.origin_content
    FROM {SOURCE} WHERE a.id = %(agent)s AND ({" OR ".join(f"({whose})" for whose in OWNED.values())})""")

NUMBER = Reading(f"""
    SELECT count(*) AS number FROM (SELECT FROM agents a WHERE a.owner_tenant_id = %(tenant)s LIMIT {COUNTED + 1}) AS counted""")
USED_IN = Reading("""
    SELECT m.title, m.status, c.added_at
    FROM conversation_agents c JOIN conversations m ON m.tenant_id = c.tenant_id AND m.id = c.conversation_id
    WHERE c.tenant_id = %(tenant)s AND c.agent_id = %(agent)s ORDER BY c.added_at DESC NULLS LAST LIMIT 10""")


@dataclass(frozen=True)
class Found:
    """A page of agents by name: the rows, how many fit in all (None beyond 10,000), and the place to go on from (None at the end)."""

    rows: list[Any]
    total: int | None
    after: str | None


def find(tenant_id: UUID, asked: FindAgents, *, sees_off: bool, sees_hidden_free: bool) -> Found:
    """The agents that were asked for. One statement. Raises Invalid for a damaged place.

    Rows have id, agent_type, name, description, capabilities, is_free_agent, owner_tenant_id, is_shared, is_active, is_enabled, is_on,
    version, published_version, conversations (of this organization; more than 10,000 are told as 10,001), last_used_at.
    """
    shape = tuple(name for name, given in (("words", asked.words), ("capability", asked.capability), ("place", asked.after)) if given)
    state = (asked.state,) if asked.state else ()
    place, _, place_id = (asked.after or "").rpartition(" ")
    parameters = {"tenant": tenant_id, "words": asked.words, "capability": asked.capability, "place": place, "place_id": place_id}
    if asked.after and not _is_id(place_id):
        raise Invalid("This link to a page of the list is not complete. Begin with the first page.")
    rows = _page(shape + state, asked.owner, sees_off, sees_hidden_free)(**parameters, limit=ROWS + 1)
    total = int(rows[0].total) if rows else 0
    further, rows = len(rows) > ROWS, rows[:ROWS]
    after = f"{rows[-1].sort_key} {rows[-1].id}" if further else None
    return Found(rows, None if total > COUNTED else total, after)


def one(tenant_id: UUID, agent_id: UUID) -> Any:
    """One agent, free, own or shared, with its configuration (text), updated_at, origin and is_offered; else None.

    `is_offered` is true where an offer of it is open or it is shared, false where it once was, None where it never was.
    """
    return ONE.one(tenant=tenant_id, agent=agent_id)


def number_of_own(tenant_id: UUID) -> int:
    """How many agents an organization has, withdrawn ones included; counted up to 10,001."""
    return int(NUMBER.one(tenant=tenant_id).number)


def used_in(tenant_id: UUID, agent_id: UUID) -> list[Any]:
    """The last conversations of the organization that the agent joined, at most 10: title, status, added_at."""
    return USED_IN(tenant=tenant_id, agent=agent_id)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


@cache
def _page(conditions: tuple[str, ...], owner: str | None, sees_off: bool, sees_hidden_free: bool) -> Reading:
    """Own, free and shared ones are read apart, each in order, and merged; the count goes along.

    What was typed is looked for in every row, so on the first page those that were found are counted without looking once more.
    """
    once = "words" in conditions and "place" not in conditions
    sides = {name: whose for name, whose in OWNED.items() if owner in (None, name)}
    asked = [CONDITIONS[name] for name in conditions] + ([] if sees_off else [IS_ON])
    parts, counts = [], []
    for name, whose in sides.items():
        hidden = name == "shared" or (name == "free" and not sees_hidden_free)
        seen = [whose, *asked] + (["a.is_active", "a.published_version IS NOT NULL"] if hidden else [])
        rows = f"SELECT a.id, a.sort_key, {name == 'shared'} AS is_shared FROM {SOURCE} WHERE {' AND '.join(seen)}"
        parts.append(f"({rows} ORDER BY a.sort_key, a.id LIMIT {COUNTED + 1 if once else '%(limit)s'})")
        counted = " AND ".join(one for one in seen if one != CONDITIONS["place"])
        counts.append(f"(SELECT count(*) FROM (SELECT FROM {SOURCE} WHERE {counted} LIMIT {COUNTED + 1}) AS counted)")
    return Reading(f"""
        WITH found AS {"" if once else "NOT "}MATERIALIZED ({" UNION ALL ".join(parts)})
        SELECT {COLUMNS}, f.is_shared, {IS_ON} AS is_on, {USED}, {"(SELECT count(*) FROM found)" if once else " + ".join(counts)} AS total
        FROM (SELECT * FROM found ORDER BY sort_key, id LIMIT %(limit)s) AS f
        JOIN agents a ON a.id = f.id LEFT JOIN tenant_agents s ON s.tenant_id = %(tenant)s AND s.agent_id = a.id
        ORDER BY f.sort_key, f.id""")
