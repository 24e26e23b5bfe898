"""Finding agents: the free ones, the organization's own and those shared with it, by name, with how they are used here."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from portal.agents.commands import FindAgents
from portal.database.reading import Reading
from portal.errors import Invalid

ROWS = 25
COUNTED, COUNTED_IN_SEARCH = 10_000, 1_000  # no count goes further; where each text has to be read, less far
IN_USE, STATES = ("on", "off"), ("on", "off", "unpublished", "withdrawn")  # in use: published and not withdrawn
STATE = """CASE WHEN NOT a.is_active THEN 'withdrawn' WHEN a.published_version IS NULL THEN 'unpublished'
        WHEN a.is_enabled AND coalesce(s.is_on, true) THEN 'on' ELSE 'off' END AS state"""
USED = f"""
    (SELECT count(*) FROM (SELECT FROM conversation_agents c WHERE c.tenant_id = %(tenant)s AND c.agent_id = a.id LIMIT {COUNTED + 1})
     AS counted) AS conversations,
    (SELECT max(c.added_at) FROM conversation_agents c WHERE c.tenant_id = %(tenant)s AND c.agent_id = a.id) AS last_used_at"""

ONE = Reading("SELECT * FROM find_agent(%(tenant)s, %(agent)s)")
PAGE = Reading(f"""
    SELECT a.id, a.agent_type, a.name, a.description, a.capabilities, a.is_free_agent, a.owner_tenant_id, a.is_active, a.is_enabled,
        a.sort_key, a.version, a.published_version, f.is_shared, {STATE}, {USED}, f.total
    FROM find_agents(%(words)s, %(capability)s, %(own)s, %(free)s, %(shared)s, %(place)s, %(place_id)s, %(limit)s, %(counted)s) AS f
    JOIN agents a ON a.id = f.id AND (a.owner_tenant_id = %(tenant)s OR a.is_free_agent OR f.is_shared)
    LEFT JOIN tenant_agents s ON s.tenant_id = %(tenant)s AND s.agent_id = a.id
    ORDER BY a.sort_key, a.id""")
NUMBER = Reading(f"""
    SELECT count(*) AS number FROM (SELECT FROM agents a WHERE a.owner_tenant_id = %(tenant)s LIMIT {COUNTED + 1}) AS counted""")
USED_IN = Reading("""
    SELECT m.title, m.status, c.added_at
    FROM conversation_agents c JOIN conversations m ON m.tenant_id = c.tenant_id AND m.id = c.conversation_id
    WHERE c.tenant_id = %(tenant)s AND c.agent_id = %(agent)s ORDER BY c.added_at DESC NULLS LAST LIMIT 10""")


@dataclass(frozen=True)
class Found:
    """A page of agents by name: the rows, how many fit in all (None for more than `counted`), the place to go on from (None at the end)."""

    rows: list[Any]
    total: int | None
    counted: int
    after: str | None


def find(tenant_id: UUID, asked: FindAgents, *, sees_off: bool, sees_hidden_free: bool) -> Found:
    """The agents that were asked for. One statement. Raises Invalid for a damaged place.

    `sees_off` lets the reader see agents that are not on, `sees_hidden_free` besides free ones that are not published or withdrawn.
    Rows have id, agent_type, name, description, capabilities, is_free_agent, owner_tenant_id, is_shared, is_active, is_enabled,
    state (of STATES), version, published_version, conversations (of this organization, counted up to COUNTED + 1), last_used_at.
    """
    place, _, place_id = (asked.after or "").rpartition(" ")
    if asked.after and not _is_id(place_id):
        raise Invalid("This link to a page of the list is not complete. Begin with the first page.")
    counted = COUNTED_IN_SEARCH if asked.words or asked.capability else COUNTED
    in_use = IN_USE if sees_off else ("on",)
    states = {"own": STATES if sees_off else in_use, "free": STATES if sees_off and sees_hidden_free else in_use, "shared": in_use}
    rows = PAGE(
        tenant=tenant_id,
        words=sorted(asked.words, key=len, reverse=True),  # the one that tells most first
        capability=asked.capability,
        place=place if asked.after else None,
        place_id=place_id or None,
        limit=ROWS + 1,
        counted=counted + 1,
        # of the own, the free and the shared agents those in the states that were asked for, as far as the reader sees them
        **{whose: [one for one in seen if asked.owner in (None, whose) and asked.state in (None, one)] for whose, seen in states.items()},
    )
    total = int(rows[0].total) if rows else 0
    further, rows = len(rows) > ROWS, rows[:ROWS]
    after = f"{rows[-1].sort_key} {rows[-1].id}" if further else None
    return Found(rows, None if total > counted else total, counted, after)


def one(tenant_id: UUID, agent_id: UUID) -> Any:
    """One agent, free, own or shared, with its configuration (text), updated_at, origin, is_offered and was_shared; else None.

    `is_offered` is true where an offer of it is open or expired or it is shared, `was_shared` where a share of it is over: both of the
    own organization's agents only.
    """
    return ONE.one(tenant=tenant_id, agent=agent_id)


def number_of_own(tenant_id: UUID) -> int:
    """How many agents an organization has, withdrawn ones included; counted up to COUNTED + 1."""
    return int(NUMBER.one(tenant=tenant_id).number)


def used_in(tenant_id: UUID, agent_id: UUID) -> list[Any]:
    """The last conversations of the organization that the agent joined, at most 10: title, status, added_at."""
    return USED_IN(tenant=tenant_id, agent=agent_id)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
