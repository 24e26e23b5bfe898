"""Agents are rows, and conversations refer to them

Each agent type that occurs in conversations becomes an agent: one free agent for a type that the legacy system shipped, one of
the organization's own for any other. Spellings of one name ('Moderator', 'moderator ') are one agent. The text column stays.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from alembic import op
from sqlalchemy import Boolean, Column, MetaData, Row, Table, Text, Uuid, column, table, text
from uuid_utils.compat import uuid7

revision = "20261123_1040"
down_revision = "20261123_1030"

BATCH = 5_000
LONGEST_NAME = 200
BUILT_IN = {
    "MODERATOR",
    "WEB_SEARCH",
    "COMPLIANCE",
    "EMERGENCY",
    "FINANCIAL_SERVICES",
    "GRIEF_SUPPORT",
    "INVENTORY",
    "REGULATORY",
    "RELIGIOUS_TRADITIONS",
    "SENSITIVE_CHAT",
}
TYPE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
AGENTS = table(
    "agents",
    column("id", Uuid),
    column("agent_type", Text),
    column("name", Text),
    column("is_free_agent", Boolean),
    column("owner_tenant_id", Uuid),
)
SPELLINGS = Table(
    "portal_spellings_of_agents",
    MetaData(),
    Column("tenant_id", Uuid, primary_key=True),
    Column("agent_type", Text, primary_key=True),
    Column("agent_id", Uuid),
    Column("made_up", Boolean),
)


def upgrade() -> None:
    op.execute("""
        CREATE TABLE agents (
            id uuid PRIMARY KEY,
            agent_type text NOT NULL,
            name text NOT NULL,
            description text,
            is_free_agent boolean NOT NULL,
            owner_tenant_id uuid REFERENCES tenants (id),
            configuration_template jsonb NOT NULL DEFAULT '{}',
            created_at timestamptz NOT NULL DEFAULT now(),
            is_active boolean NOT NULL DEFAULT true,
            CONSTRAINT agents_free_means_unowned CHECK (is_free_agent = (owner_tenant_id IS NULL))
        );
        CREATE UNIQUE INDEX agents_owner_tenant_id_agent_type_key ON agents (owner_tenant_id, agent_type)
            NULLS NOT DISTINCT WHERE is_active;
        ALTER TABLE conversation_agents ADD COLUMN agent_id uuid;
        CREATE UNLOGGED TABLE portal_spellings_of_agents (
            tenant_id uuid, agent_type text, agent_id uuid NOT NULL, made_up boolean NOT NULL, PRIMARY KEY (tenant_id, agent_type)
        )""")
    make_agents()
    refer_to_agents()
    op.execute("""
        DROP TABLE portal_spellings_of_agents;
        ALTER TABLE conversation_agents
            ADD CONSTRAINT conversation_agents_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES agents (id),
            ADD CONSTRAINT conversation_agents_conversation_id_agent_id_key UNIQUE (conversation_id, agent_id)""")


def make_agents() -> None:
    """Make the agents and the table of spellings, organization by organization, the oldest spelling first."""
    spellings = op.get_bind().execute(
        text("""
            SELECT conversations.tenant_id, agent_type
            FROM conversation_agents JOIN conversations ON conversations.id = conversation_id
            GROUP BY conversations.tenant_id, agent_type
            ORDER BY conversations.tenant_id, min(added_at) NULLS LAST, agent_type COLLATE "C" """),
        execution_options={"stream_results": True, "max_row_buffer": BATCH},
    )
    known: dict[tuple[UUID | None, str], UUID] = {}
    for batch in spellings.partitions(BATCH):
        write_agents(batch, known)
    op.execute("""
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT tenant_id, gen_random_uuid(), 'agents', agent_id, 'agent_type', to_jsonb(spellings.agent_type), to_jsonb(agents.agent_type),
            'No name of letters, digits and underscores can be made of this.'
        FROM portal_spellings_of_agents AS spellings JOIN agents ON agents.id = agent_id WHERE made_up""")


def write_agents(spellings: Iterable[Row[Any]], known: dict[tuple[UUID | None, str], UUID]) -> None:
    agents, meant = [], []
    for tenant_id, typed in spellings:
        agent_type = type_of(typed)
        name = agent_type or made_up_type(typed)
        owner = None if name in BUILT_IN else tenant_id
        if (owner, name) not in known:
            known[owner, name] = uuid7()
            agents.append(new_agent(known[owner, name], name, owner, typed))
        meant.append({"tenant_id": tenant_id, "agent_type": typed, "agent_id": known[owner, name], "made_up": agent_type is None})
    connection = op.get_bind()
    if agents:
        connection.execute(AGENTS.insert(), agents)
    connection.execute(SPELLINGS.insert(), meant)


def new_agent(id_: UUID, agent_type: str, owner: UUID | None, typed: str) -> dict[str, object]:
    name = in_words(agent_type if owner is None else typed) or in_words(agent_type)
    return {"id": id_, "agent_type": agent_type, "name": name, "is_free_agent": owner is None, "owner_tenant_id": owner}


def type_of(typed: str) -> str | None:
    """The upper snake name that was meant; None where letters of another script would be lost, or nothing fitting is left."""
    letters = unicodedata.normalize("NFKD", typed.upper())
    plain = "".join(sign for sign in letters if not unicodedata.combining(sign))
    if any(sign.isalnum() and not sign.isascii() for sign in plain):
        return None
    name = re.sub(r"[^A-Z0-9]+", "_", plain).strip("_")
    return name if TYPE.fullmatch(name) else None


def made_up_type(typed: str) -> str:
    """The same for spellings that differ by case and surrounding blanks only."""
    meant = unicodedata.normalize("NFKC", typed.strip().casefold())
    return f"LEGACY_{hashlib.sha256(meant.encode()).hexdigest()[:8].upper()}"


def in_words(typed: str) -> str:
    """A name to show: as typed, but a constant's name ('FLOWER_SHOP', 'flower-shop') as words; "" where nothing can be read."""
    seen = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in typed)
    words = " ".join(seen.split())[:LONGEST_NAME].strip()
    if re.fullmatch(r"[A-Z0-9_-]+|[a-z0-9_-]+", words):
        words = " ".join(re.split(r"[_-]+", words.lower())).strip().capitalize()
    return words if any(sign.isalnum() for sign in words) else ""


def refer_to_agents() -> None:
    """Of two rows of one conversation that mean the same agent only the older refers to it; nothing is removed."""
    op.execute("""
        UPDATE conversation_agents SET agent_id = ranked.agent_id
        FROM (
            SELECT member.id, spelling.agent_id, row_number() OVER (
                PARTITION BY member.conversation_id, spelling.agent_id ORDER BY member.added_at NULLS LAST, member.id
            ) AS place
            FROM conversation_agents AS member
            JOIN conversations ON conversations.id = member.conversation_id
            JOIN portal_spellings_of_agents AS spelling
                ON spelling.tenant_id = conversations.tenant_id AND spelling.agent_type = member.agent_type
        ) AS ranked
        WHERE ranked.id = conversation_agents.id AND ranked.place = 1;
        INSERT INTO legacy_notes (tenant_id, id, table_name, row_id, column_name, old_value, new_value, reason)
        SELECT tenant_id, gen_random_uuid(), 'conversation_agents', conversation_agents.id, 'agent_id', to_jsonb(agent_type), NULL,
            'An older row of this conversation means the same agent in another spelling.'
        FROM conversation_agents JOIN conversations ON conversations.id = conversation_id
        WHERE agent_id IS NULL""")


def downgrade() -> None:
    op.execute("""
        ALTER TABLE conversation_agents DROP COLUMN agent_id;
        DROP TABLE agents;
        DELETE FROM legacy_notes
        WHERE (table_name, column_name) IN (('agents', 'agent_type'), ('conversation_agents', 'agent_id'))""")
