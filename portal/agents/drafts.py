"""Drafts: what somebody is typing about an agent, kept until it is saved or thrown away."""

import json
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from uuid_utils.compat import uuid7

from portal.actor import Actor
from portal.agents import versions
from portal.agents.models import AgentDraft
from portal.auth import services as auth
from portal.errors import Invalid
from portal.extensions import db

LIFE = timedelta(days=30)  # since the last letter
MOST = 50  # of a person; where more are begun, the one that was touched longest ago goes
MOST_FIELDS, LARGEST = 50, 524_288  # bytes of all fields as they are stored: what no form takes need not be kept

DRAFTS = AgentDraft.__table__.c
FORGET = delete(AgentDraft.__table__).where(
    DRAFTS.tenant_id == bindparam("tenant"), DRAFTS.user_id == bindparam("user"), DRAFTS.agent_id.is_not_distinct_from(bindparam("agent"))
)

NEWEST = select(DRAFTS.id).where(DRAFTS.tenant_id == bindparam("tenant"), DRAFTS.user_id == bindparam("user"))
MAKE_ROOM = delete(AgentDraft.__table__).where(
    DRAFTS.tenant_id == bindparam("tenant"),
    DRAFTS.user_id == bindparam("user"),
    DRAFTS.id.in_(NEWEST.order_by(DRAFTS.saved_at.desc(), DRAFTS.id.desc()).offset(bindparam("most"))),
)


def keep(typed: dict[str, str], of: Any, *, nonce: str = "", by: Actor) -> datetime | None:
    """Keep what stands in the fields of a form about an agent (None: about one to be made), instead of what was kept before.

    Returns when that was; None for what the actor has saved a moment ago, which comes late and is not kept. `nonce` is the form's, of one
    that makes an agent. Raises Invalid for what no form would take, NotFound where the agent was removed meanwhile.
    """
    if len(typed) > MOST_FIELDS or len(json.dumps(typed)) > LARGEST:
        raise Invalid("This is too long to be kept as a draft. Shorten it.")
    if auth.was_sent(nonce, tenant_id=by.tenant_id) if of is None else _is_saved(typed, of, by):
        return None
    kept = {"typed": typed, "saved_at": func.now(), "expires_at": datetime.now(UTC) + LIFE}
    row = insert(AgentDraft).values(tenant_id=by.tenant_id, id=uuid7(), user_id=by.id, agent_id=of.id if of else None, **kept)
    row = row.on_conflict_do_update(index_elements=["tenant_id", "user_id", "agent_id"], set_=kept)
    found: datetime = db.session.execute(row.returning(AgentDraft.saved_at)).scalar_one()
    db.session.execute(MAKE_ROOM, {"tenant": by.tenant_id, "user": by.id, "most": MOST})
    return found


def draft(agent_id: UUID | None, *, by: Actor) -> AgentDraft | None:
    """What the actor was typing about this agent, or about the one to be made."""
    return db.session.execute(select(AgentDraft).where(*_mine(agent_id, by))).scalar_one_or_none()


def forget(agent_id: UUID | None, *, by: Actor) -> None:
    """Throw the actor's draft away."""
    db.session.execute(FORGET, {"tenant": by.tenant_id, "user": by.id, "agent": agent_id})


def _is_saved(typed: dict[str, str], of: Any, by: Actor) -> bool:
    """Whether the actor has saved a later version than was being edited; one that is just being saved is waited for."""
    now = versions.locked(of)
    return _version_of(typed) < now.version and versions.saved_last(now, by=by)


def _version_of(typed: dict[str, str]) -> float:
    """The version that was being edited; later than any where the form does not say it."""
    said = typed.get("version", "")
    return int(said) if said.isdecimal() and len(said) <= 10 else inf


def _mine(agent_id: UUID | None, by: Actor) -> tuple[Any, ...]:
    return AgentDraft.tenant_id == by.tenant_id, AgentDraft.user_id == by.id, AgentDraft.agent_id.is_not_distinct_from(agent_id)
