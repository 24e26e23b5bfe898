"""Clones of agents: own copies that know what they were copied from, and hear when it has moved on."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from portal import policy
from portal.actor import Actor
from portal.agents import services, versions
from portal.agents.commands import NameVersion
from portal.agents.models import Agent
from portal.agents.versions import Content, content_of, said_version
from portal.errors import Conflict, Invalid
from portal.extensions import db
from portal.users.services import demand_allowed

LONGEST_NAME, LONGEST_TYPE = 200, 64
MOVED_ON = "The original has moved on once more since you looked at it. Look again."


@dataclass(frozen=True)
class Origin:
    """What a clone was made of: `agent` as it is now, None where it can no longer be seen; `then` is what it said in version `number`."""

    agent: Any
    number: int
    then: Content

    @property
    def now(self) -> int | None:
        """The number of the version that the original says now."""
        return said_version(self.agent) if self.agent else None

    @property
    def has_moved_on(self) -> bool:
        return self.now is not None and self.now != self.number and content_of(self.agent) != self.then


def origin(of: Any, *, by: Actor) -> Origin | None:
    """What a clone was made of; None for what is no clone. One statement for a clone, none for others."""
    if of.origin_agent_id is None:
        return None
    return Origin(services.agent(by, of.origin_agent_id), of.origin_version, Content(**of.origin_content))


def clone(of: Any, *, nonce: str, by: Actor) -> Agent:
    """Make an own agent that says what this one says; it is not in use before it is published.

    Raises Invalid where the organization has too many, Conflict for a form that was sent before, and where somebody makes an agent of the
    same type at this moment.
    """
    demand_allowed(policy.can_clone_agent(by, of))
    content = content_of(of)
    own = content._replace(name=f"{content.name[: LONGEST_NAME - 7]} (copy)", agent_type=_free_type(content.agent_type, by))
    about = {"comment": f"Copied from {of.name[:150]}, version {said_version(of):,}"}
    try:
        return services.new_agent(own, nonce=nonce, by=by, **about, origin_agent_id=of.id, **_as_now(of))
    except Invalid as refusal:
        if "agent_type" not in refusal.fields:
            raise
        raise Conflict("Somebody made an agent of the same type at this moment. Make the copy once more.") from None


def follow(command: NameVersion, of: Any, *, by: Actor) -> Agent:
    """Save what the original says now as a new version of its clone, which keeps its own name and type as they were saved last.

    Raises Invalid where the original cannot be seen, has moved on since (`number` is the version that was seen), or says the same.
    """
    demand_allowed(policy.can_edit_agent(by, of))
    found = _seen(command, of, by)
    clone = versions.locked(of)
    mine = versions.latest(clone, by=by)
    says = content_of(found)._replace(name=mine.name, agent_type=mine.agent_type)
    if not versions.save(clone, says, by=by, comment=f"Taken over from the original, version {command.number:,}").is_new:
        raise Invalid("Your agent says what the original says already.")
    clone = versions.locked(of)  # again: the session has not seen what save wrote
    _note_as_seen(clone, found)
    return clone


def stay(command: NameVersion, of: Any, *, by: Actor) -> Agent:
    """Let a clone be as it is, and take what its original says now as known; nothing where it is. Raises Invalid as `follow`."""
    demand_allowed(policy.can_edit_agent(by, of))
    found = _seen(command, of, by)
    clone = versions.locked(of)
    if clone.origin_version != command.number:
        versions.note("agent_kept", clone, by, {"original_version": [clone.origin_version, command.number]})
        _note_as_seen(clone, found)
    return clone


def _seen(command: NameVersion, of: Any, by: Actor) -> Any:
    """The original as it was seen."""
    known = origin(of, by=by)
    if known is None or known.agent is None:
        raise Invalid("The original can no longer be seen.")
    if known.now != command.number:
        raise Invalid(MOVED_ON)
    return known.agent


def _note_as_seen(clone: Agent, original: Any) -> None:
    for name, value in _as_now(original).items():
        setattr(clone, name, value)
    db.session.flush()


def _as_now(original: Any) -> dict[str, Any]:
    return {"origin_version": said_version(original), "origin_content": content_of(original)._asdict()}


def _free_type(agent_type: str, by: Actor) -> str:
    """The type, or with the first number behind it that no active agent of the same owner has."""
    stem = re.sub(r"_\d+$", "", agent_type)[: LONGEST_TYPE - 6]
    owner = None if policy.changes_free_agents(by) else by.tenant_id
    alike = (Agent.owner_tenant_id.is_not_distinct_from(owner), Agent.agent_type.startswith(stem, autoescape=True), Agent.is_active)
    taken = set(db.session.execute(select(Agent.agent_type).where(*alike)).scalars())
    if agent_type not in taken:
        return agent_type
    return next(f"{stem}_{number}" for number in range(2, 100_000) if f"{stem}_{number}" not in taken)
