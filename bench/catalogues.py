"""Up to a million agents of a hundred thousand organizations, as the portal's services would have stored them, written by COPY."""

import json
import random
from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from bench.crowds import ADMINISTRATOR, Row, account, copy, writing_many
from bench.crowds import COLUMNS as ACCOUNT
from bench.filling import PASSWORD, organizations
from portal.auth.passwords import hashed

FREE = 30  # with those that the portal brings along
COLUMNS = (
    "id", "agent_type", "name", "description", "capabilities", "configuration_template", "sort_key", "is_free_agent", "owner_tenant_id",
    "is_active", "is_enabled", "version", "published_version", "created_by",
)  # fmt: skip
THINGS = (
    "Harbour", "Flower", "Music", "Chapel", "Garden", "Letter", "Memorial", "Candle", "Archive", "Journey", "Lantern", "Photograph",
    "Registry", "Transport", "Catering", "Estate", "Pension", "Insurance", "Translation", "Visitor", "Obituary", "Stone", "Poem",
    "Family", "Calendar",
)  # fmt: skip
ACTS = ("advice", "planning", "questions", "orders", "reminders", "search", "bookings", "reports", "guidance", "drafts", "checks", "lists")
PHRASES = tuple(f"{act} about {thing.lower()}" for thing in THINGS[:8] for act in ACTS[:5])  # what agents can do
STATES = ["on"] * 84 + ["off"] * 6 + ["unpublished"] * 6 + ["withdrawn"] * 4  # of a hundred
RARE, FEW = "wexbury", 40  # a word in the descriptions of so many of a named organization's own
CONVERSATIONS, SHARED, SWITCHED_OFF = 2_000, 5, 3  # of each named organization: what is shared with it, which free ones are off
VERSIONS = """
    INSERT INTO agent_versions (agent_id, number, owner_tenant_id, name, agent_type, description, capabilities, configuration, saved_by)
    SELECT id, version, owner_tenant_id, name, agent_type, description, capabilities, configuration_template, created_by
    FROM agents WHERE id NOT IN (SELECT agent_id FROM agent_versions)"""


def fill_catalogue(superuser_url: str, own: dict[str, int], neighbours: int, agents: int) -> dict[str, str]:
    """Write so many agents in all: free ones, so many of each named organization's own, and the others of a number of neighbours.

    Returns the login of each named organization's administrator. Whom a row belongs to follows no order, as where many write at once.
    """
    with writing_many(superuser_url, "users", "agents") as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # each row refers to what stands there: nothing to look up
        tenants = organizations(cursor, [*own, *(f"neighbour-{number}" for number in range(neighbours))])
        password = hashed(PASSWORD)
        people = {subdomain: _administrator(subdomain, tenant, password) for subdomain, tenant in tenants.items()}
        copy(cursor, "users", ACCOUNT, people.values())
        _free_agents(cursor)
        copy(cursor, "agents", COLUMNS, _agents(own, people, agents - FREE))
        cursor.execute(VERSIONS)
        for subdomain in own:
            _use(cursor, people[subdomain])
        _share(cursor, [people[subdomain] for subdomain in own])
    return {subdomain: ADMINISTRATOR.format(subdomain) for subdomain in own}


def _administrator(subdomain: str, tenant: UUID, password: str) -> Row:
    login = ADMINISTRATOR.format(subdomain)
    known = ("Mara", "Ortiz", login, f"{login}@{subdomain}.example")
    return account(random.Random(1), tenant, "active", 0.5, known, password, administers=True)  # noqa: S311


def _agents(own: dict[str, int], people: dict[str, Row], count_of_all: int) -> Iterator[Row]:
    dice = random.Random(len(people))  # noqa: S311
    others = [subdomain for subdomain in people if subdomain not in own]
    owners = [subdomain for subdomain, many in own.items() for _ in range(many)]
    owners += [others[number % len(others)] for number in range(count_of_all - len(owners))]
    dice.shuffle(owners)
    numbers = {subdomain: count() for subdomain in people}
    for subdomain in owners:
        number = next(numbers[subdomain])
        every = own.get(subdomain, 0) // FEW
        yield agent(dice, people[subdomain], number, STATES[number % 100], rare=bool(every) and number % every == 0)


def agent(dice: random.Random, owner: Row | None, number: int, state: str, *, rare: bool = False) -> Row:
    """An agent of somebody's organization, or a free one, in the state that the portal's services would have brought it into."""
    thing, act = dice.choice(THINGS), dice.choice(ACTS)
    name, can = f"{thing} {act} {number}", dice.sample(PHRASES, 3)
    whom = f"{RARE} people" if rare else "families and friends"
    instructions = (
        f"Answer {whom} who ask about the {thing.lower()}. Be brief and gentle, say what is not known, and never promise a date, a price "
        "or a refund. Where somebody is in need at this moment, hand over to a person at once."
    )
    return {
        "id": uuid7(),
        "agent_type": f"{thing}_{act}_{number}".upper(),
        "name": name,
        "description": f"Helps {whom} with {act} around the {thing.lower()}: what is open, what is needed for it, and whom to ask next.",
        "capabilities": "{" + ",".join(f'"{phrase}"' for phrase in can) + "}",
        "configuration_template": json.dumps({"instructions": instructions, "language": "auto", "temperature": 0.3}),
        "sort_key": name.lower(),
        "is_free_agent": owner is None,
        "owner_tenant_id": owner["tenant_id"] if owner else None,
        "is_active": state != "withdrawn",
        "is_enabled": state != "off",
        "version": 1,
        "published_version": None if state == "unpublished" else 1,
        "created_by": owner["id"] if owner else None,
    }


def _free_agents(cursor: Any) -> None:
    dice = random.Random(FREE)  # noqa: S311
    cursor.execute("SELECT count(*) FROM agents WHERE is_free_agent")
    copy(cursor, "agents", COLUMNS, [agent(dice, None, number, "on") for number in range(cursor.fetchone()[0], FREE)])


def _use(cursor: Any, admin: Row) -> None:
    """Conversations of an organization, each with one of the agents that it sees, and some free ones that it has switched off."""
    asked = {"tenant": str(admin["tenant_id"]), "user": str(admin["id"]), "many": CONVERSATIONS, "off": SWITCHED_OFF}
    cursor.execute(
        """
        INSERT INTO conversations (id, tenant_id, title, status, created_by_user_id, created_at)
        SELECT gen_random_uuid(), %(tenant)s, 'Conversation ' || number, 'active', %(user)s, now() - number * interval '3 hours'
        FROM generate_series(1, %(many)s) AS number;
        INSERT INTO conversation_agents (id, tenant_id, conversation_id, agent_id, agent_type, added_at)
        SELECT gen_random_uuid(), c.tenant_id, c.id, a.id, a.agent_type, c.created_at
        FROM (SELECT *, row_number() OVER (ORDER BY created_at) AS place FROM conversations WHERE tenant_id = %(tenant)s) AS c
        JOIN (
            SELECT id, agent_type, row_number() OVER (ORDER BY sort_key, id) AS place, count(*) OVER () AS many FROM agents
            WHERE (is_free_agent OR owner_tenant_id = %(tenant)s) AND published_version IS NOT NULL
        ) AS a ON a.place = 1 + c.place * c.place %% a.many;
        INSERT INTO tenant_agents (tenant_id, agent_id, is_on, changed_by)
        SELECT %(tenant)s, id, false, %(user)s FROM agents WHERE is_free_agent ORDER BY sort_key DESC LIMIT %(off)s""",
        asked,
    )


def _share(cursor: Any, partners: list[Row]) -> None:
    """Some agents of neighbours, which these organizations accepted."""
    for partner in partners:
        cursor.execute(
            """
            INSERT INTO agent_shares (tenant_id, id, agent_id, agent_name, owner_name, owner_subdomain, partner_subdomain, partner,
                partner_name, state, offered_by, expires_at, decided_by, decided_at)
            SELECT a.owner_tenant_id, gen_random_uuid(), a.id, a.name, o.name, o.subdomain, p.subdomain, p.id, p.name, 'accepted',
                a.created_by, now() + interval '30 days', %(user)s, now()
            FROM agents a JOIN tenants o ON o.id = a.owner_tenant_id, tenants p
            WHERE p.id = %(tenant)s AND o.subdomain LIKE 'neighbour-%%' AND a.published_version IS NOT NULL AND a.is_active
            LIMIT %(many)s""",
            {"tenant": str(partner["tenant_id"]), "user": str(partner["id"]), "many": SHARED},
        )
