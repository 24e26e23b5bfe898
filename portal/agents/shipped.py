"""The free agents that the portal brings along, from catalogue/*.json, and how they come into the database."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from uuid_utils.compat import uuid7

FOLDER = Path(__file__).with_name("catalogue")
LOOK = """
    SELECT agent_type, name, description, capabilities, configuration_template::text
    FROM agents WHERE is_free_agent AND agent_type = ANY (%(types)s)"""
# A type that is here, withdrawn too, is not loaded again; an agent that nobody has changed follows the portal's own text.
VERSION = """
    INSERT INTO agent_versions (agent_id, number, name, agent_type, description, capabilities, configuration, comment)
    SELECT id, version, name, agent_type, description, capabilities, configuration_template, 'Came with the portal' FROM written"""
ADD = f"""
    WITH written AS (
        INSERT INTO agents
            (id, agent_type, name, description, capabilities, configuration_template, sort_key, is_free_agent, version, published_version)
        SELECT %(id)s, %(agent_type)s, %(name)s, %(description)s, %(capabilities)s, %(configuration)s, %(sort_key)s, true, 1, 1
        WHERE NOT EXISTS (SELECT FROM agents WHERE is_free_agent AND agent_type = %(agent_type)s)
        ON CONFLICT DO NOTHING
        RETURNING *
    ) {VERSION}"""
FOLLOW = f"""
    WITH written AS (
        UPDATE agents SET name = %(name)s, description = %(description)s, capabilities = %(capabilities)s,
            configuration_template = %(configuration)s, sort_key = %(sort_key)s, version = version + 1, published_version = version + 1
        WHERE is_free_agent AND agent_type = %(agent_type)s AND is_active AND published_version = version AND created_by IS NULL
        AND (SELECT min(number) = 1 AND count(saved_by) = 0 FROM agent_versions WHERE agent_id = agents.id)
        AND (name, description, capabilities, configuration_template::text, sort_key)
            IS DISTINCT FROM (%(name)s, %(description)s, %(capabilities)s, %(configuration)s, %(sort_key)s)
        RETURNING *
    ) {VERSION}"""


class Shipped(NamedTuple):
    agent_type: str
    name: str
    description: str
    capabilities: list[str]
    configuration: str


@cache
def shipped() -> tuple[Shipped, ...]:
    """What the folder holds, by type."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.json")))


def _read(path: Path) -> Shipped:
    told = json.loads(path.read_text("utf-8"))
    configuration = json.dumps(told["configuration"], ensure_ascii=False, indent=2)
    return Shipped(told["agent_type"], told["name"], told["description"], told["capabilities"], configuration)


def load(connection: Any) -> int:
    """Bring the free agents in, over a connection (DBAPI) of portal_platform; how many were added or follow a newer text. Commits.

    Each start asks for it: where all are there as they should be, it costs one look. Raises ValueError for what could not be saved in
    the editor either.
    """
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.role = 'super_admin'")
        cursor.execute(LOOK, {"types": [agent.agent_type for agent in shipped()]})
        there = cursor.fetchall()
        return sum(_bring_in(agent, cursor) for agent in shipped() if agent not in there)


def _bring_in(agent: Shipped, cursor: Any) -> int:
    from portal.agents.configuration import refuse_wrong_values  # what a start without news need not load
    from portal.values import read_configuration, sort_key

    read_configuration(agent.configuration)
    refuse_wrong_values(agent.configuration)
    written = 0
    for statement in (ADD, FOLLOW):
        cursor.execute(statement, {**agent._asdict(), "id": str(uuid7()), "sort_key": sort_key(agent.name)})
        written += cursor.rowcount
    return written
