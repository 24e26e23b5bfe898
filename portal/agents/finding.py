"""Finding agents: the free ones and the organization's own, by name, with how they are used here."""

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from portal.agents.commands import FindAgents
from portal.database.reading import Reading
from portal.errors import Invalid

ROWS = 25
COUNTED = 10_000  # no count goes further
IS_ON = "(a.is_active AND a.is_enabled AND coalesce(s.is_on, true))"
CONDITIONS = {
    "words": """NOT EXISTS (
        SELECT FROM unnest(%(words)s) AS word
        WHERE strpos(a.sort_key || ' ' || lower(a.agent_type) || ' ' || lower(coalesce(a.description, '')), word) = 0)""",
    "capability": "%(capability)s = ANY (a.capabilities)",
    "on": IS_ON,
    "off": f"a.is_active AND NOT {IS_ON}",
    "withdrawn": "NOT a.is_active",
    "place": "(a.sort_key, a.id) > (%(place)s, CAST(%(place_id)s AS uuid))",
}
OWNED = {"own": "a.owner_tenant_id = %(tenant)s", "free": "a.owner_tenant_id IS NULL AND a.is_free_agent"}
SOURCE = "agents a LEFT JOIN tenant_agents s ON s.tenant_id = %(tenant)s AND s.agent_id = a.id"
USED = f"""
    (SELECT count(*) FROM (SELECT FROM conversation_agents c WHERE c.tenant_id = %(tenant)s AND c.agent_id = a.id LIMIT {COUNTED + 1})
     AS counted) AS conversations,
    (SELECT max(c.added_at) FROM conversation_agents c WHERE c.tenant_id = %(tenant)s AND c.agent_id = a.id) AS last_used_at"""

COLUMNS = """
    a.id, a.agent_type, a.name, a.description, a.capabilities, a.is_free_agent, a.owner_tenant_id, a.is_active, a.is_enabled, a.sort_key"""
ONE = Reading(f"""
    SELECT {COLUMNS}, {IS_ON} AS is_on, {USED}, a.configuration_template::text AS configuration, a.version, a.updated_at
    FROM {SOURCE} WHERE a.id = %(agent)s AND (a.is_free_agent OR a.owner_tenant_id = %(tenant)s)""")


@dataclass(frozen=True)
class Found:
    """A page of agents by name: the rows, how many fit in all (None beyond 10,000), and the place to go on from (None at the end)."""

    rows: list[Any]
    total: int | None
    after: str | None


def find(tenant_id: UUID, asked: FindAgents, *, sees_off: bool, sees_withdrawn_free: bool) -> Found:
    """The agents that were asked for. One statement. Raises Invalid for a damaged place.

    Rows have id, agent_type, name, description, capabilities, is_free_agent, owner_tenant_id, is_active, is_enabled, is_on,
    conversations (of this organization; more than 10,000 are told as 10,001), last_used_at.
    """
    shape = tuple(name for name, given in (("words", asked.words), ("capability", asked.capability), ("place", asked.after)) if given)
    state = (asked.state,) if asked.state else ()
    place, _, place_id = (asked.after or "").rpartition(" ")
    parameters = {"tenant": tenant_id, "words": asked.words, "capability": asked.capability, "place": place, "place_id": place_id}
    if asked.after and not _is_id(place_id):
        raise Invalid("This link to a page of the list is not complete. Begin with the first page.")
    rows = _page(shape + state, asked.owner, sees_off, sees_withdrawn_free)(**parameters, limit=ROWS + 1)
    total = int(rows[0].total) if rows else 0
    further, rows = len(rows) > ROWS, rows[:ROWS]
    after = f"{rows[-1].sort_key} {rows[-1].id}" if further else None
    return Found(rows, None if total > COUNTED else total, after)


def one(tenant_id: UUID, agent_id: UUID) -> Any:
    """One agent, free or the organization's own, with its configuration (text), version and updated_at besides; None for any other."""
    return ONE.one(tenant=tenant_id, agent=agent_id)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


@cache
def _page(conditions: tuple[str, ...], owner: str | None, sees_off: bool, sees_withdrawn_free: bool) -> Reading:
    """Own and free ones are read from one index each, in order, and merged; the count goes along."""
    sides = {name: whose for name, whose in OWNED.items() if owner in (None, name)}
    asked = [CONDITIONS[name] for name in conditions] + ([] if sees_off else [IS_ON])
    parts, counts = [], []
    for name, whose in sides.items():
        seen = [whose, *asked] + (["a.is_active"] if name == "free" and not sees_withdrawn_free else [])
        parts.append(
            f"(SELECT {COLUMNS}, {IS_ON} AS is_on FROM {SOURCE} WHERE {' AND '.join(seen)} ORDER BY a.sort_key, a.id LIMIT %(limit)s)"
        )
        counted = " AND ".join(one for one in seen if one != CONDITIONS["place"])
        counts.append(f"(SELECT count(*) FROM (SELECT FROM {SOURCE} WHERE {counted} LIMIT {COUNTED + 1}) AS counted)")
    return Reading(f"""
        SELECT a.*, {USED}, {" + ".join(counts)} AS total
        FROM (SELECT * FROM ({" UNION ALL ".join(parts)}) AS sides ORDER BY sort_key, id LIMIT %(limit)s) AS a ORDER BY a.sort_key, a.id""")
