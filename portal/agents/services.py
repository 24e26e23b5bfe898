"""What people do with agents."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.agents import finding
from portal.agents.commands import AgentData, EditAgent, MakeAgent
from portal.agents.models import Agent, TenantAgent
from portal.audit import services as audit
from portal.auth import services as auth
from portal.errors import Conflict, Invalid
from portal.extensions import constraint_of, db, rollback
from portal.users.services import demand
from portal.values import sort_key

FIELDS = ("name", "agent_type", "description", "capabilities", "is_enabled", "configuration")
STORED = {"configuration": "configuration_template"}
TAKEN = "agents_owner_tenant_id_agent_type_key"


def agent(actor: Actor, agent_id: UUID) -> Any:
    """An agent that the actor may know of, as `finding.one` tells it; None for unknown ones, neighbours' and hidden ones, all alike.

    People see what is on for them, administrators also what is off and their own withdrawn ones, super_admins withdrawn free ones too.
    """
    found = finding.one(actor.tenant_id, agent_id)
    if found is None or found.is_on:
        return found
    hidden = found.is_free_agent and not found.is_active and not policy.changes_free_agents(actor)
    return None if hidden or not policy.administers_organization(actor) else found


def said_of(of: Any) -> dict[str, Any]:
    """What an agent is, as a form shows it."""
    return {**{name: getattr(of, name) for name in FIELDS}, "capabilities": "\n".join(of.capabilities), "version": of.version}


def make(command: MakeAgent, *, nonce: str, by: Actor) -> Agent:
    """Make an agent of the actor's own organization.

    Raises Invalid(agent_type=…) where an active agent of its own has this type, Conflict for a form that was sent before.
    """
    demand(policy.makes_agents(by))
    made = Agent(id=uuid7(), is_free_agent=False, owner_tenant_id=by.tenant_id, created_by=by.id, **_columns(command))
    auth.only_once(nonce, "make_agent", tenant_id=by.tenant_id, made=made.id)
    db.session.add(made)
    _flush(command.agent_type)
    _note("agent_made", made, by, {"name": [None, made.name], "agent_type": [None, made.agent_type]})
    return made


def edit(command: EditAgent, of: Any, *, by: Actor) -> Agent:
    """Change an agent, and write what changed into the audit log; a configuration only as having changed.

    Raises Conflict where somebody saved another version meanwhile, Invalid(agent_type=…) where another active one has this type.
    """
    demand(policy.can_edit_agent(by, of))
    of = _locked(of)
    if of.version != command.version:
        raise Conflict("Somebody else saved this agent while you were writing.")
    becomes = _columns(command)
    changes = {name: [getattr(of, name), value] for name, value in becomes.items() if name != "sort_key" and getattr(of, name) != value}
    for name, value in becomes.items():
        setattr(of, name, value)
    _flush(command.agent_type)
    if changes:
        if "configuration_template" in changes:
            changes["configuration_template"] = [None, "changed"]
        _note("agent_changed", of, by, changes)
    return of


def switch(of: Any, on: bool, *, by: Actor) -> None:
    """Switch an agent on or off for the people of the actor's organization: an own one itself, a free one for this organization only."""
    demand(policy.can_switch_agent(by, of))
    if of.is_on == on:
        return
    if of.is_free_agent:
        said = {"is_on": on, "changed_by": by.id, "changed_at": func.now()}
        row = insert(TenantAgent).values(tenant_id=by.tenant_id, agent_id=of.id, **said)
        db.session.execute(row.on_conflict_do_update(index_elements=["tenant_id", "agent_id"], set_=said))
    else:
        _locked(of).is_enabled = on
    _note("agent_switched_on" if on else "agent_switched_off", of, by)


def withdraw(of: Any, *, by: Actor) -> None:
    """Take an agent out of use; it can come back, and its type is free for another one meanwhile."""
    demand(policy.can_edit_agent(by, of))
    of = _locked(of)
    if of.is_active:
        of.is_active = False
        _note("agent_withdrawn", of, by, {"state": ["active", "withdrawn"]})


def bring_back(of: Any, *, by: Actor) -> None:
    """Let a withdrawn agent be used again. Raises Invalid where its type is taken by now."""
    demand(policy.can_edit_agent(by, of))
    of = _locked(of)
    if not of.is_active:
        of.is_active = True
        _flush(of.agent_type)
        _note("agent_brought_back", of, by, {"state": ["withdrawn", "active"]})


def _columns(command: AgentData) -> dict[str, Any]:
    return {**{STORED.get(name, name): getattr(command, name) for name in FIELDS}, "sort_key": sort_key(command.name)}


def _locked(of: Any) -> Agent:
    """The agent as it is now, kept from others until the transaction ends."""
    locked = select(Agent).where(Agent.id == of.id).with_for_update().execution_options(populate_existing=True)
    return db.session.execute(locked).scalar_one()


def _flush(typed: str) -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        rollback()
        if constraint_of(error) != TAKEN:
            raise
        raise Invalid(agent_type=f"Another active agent of yours has the type {typed} already. Choose another one.") from None


def _note(action: str, of: Any, by: Actor, changes: dict[str, Any] | None = None) -> None:
    told = {"agent": [None, of.name], **(changes or {})}
    audit.record(action, tenant_id=by.tenant_id, by=by, object_type="agent", object_id=of.id, changes=told)
