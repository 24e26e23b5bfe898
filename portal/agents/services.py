"""What people do with agents."""

from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.agents import drafts, finding, versions
from portal.agents.commands import EditAgent, MakeAgent
from portal.agents.models import Agent, TenantAgent
from portal.agents.versions import locked, note, put_in_use
from portal.auth import services as auth
from portal.errors import Conflict, Invalid
from portal.extensions import constraint_of, db, rollback
from portal.users.services import demand
from portal.values import sort_key

MOST = 10_000  # agents of an organization


def agent(actor: Actor, agent_id: UUID) -> Any:
    """An agent that the actor may know of, as `finding.one` tells it; None for unknown ones, neighbours' and hidden ones, all alike.

    People see what is on for them; administrators also what is off, and what is not published or withdrawn of their own.
    """
    found = finding.one(actor.tenant_id, agent_id)
    if found is None or found.is_on:
        return found
    in_use = found.is_active and found.published_version is not None
    hidden = not in_use and not policy.can_edit_agent(actor, found)
    return None if hidden or not policy.administers_organization(actor) else found


def make(command: MakeAgent, *, nonce: str, by: Actor) -> Agent:
    """Make an agent of the actor's own organization; a super_admin's is a free one. It is in use at once where the command says so.

    Raises Invalid(agent_type=…) where an active agent of the same owner has this type, Conflict for a form that was sent before.
    """
    demand(policy.makes_agents(by))
    made = new_agent(versions.content_of(command), nonce=nonce, by=by, comment=command.comment, is_enabled=command.is_enabled)
    if command.publish:
        put_in_use(made, made.version, by=by)
    drafts.forget(None, by=by)
    return made


def new_agent(content: versions.Content, *, nonce: str, by: Actor, comment: str | None = None, **columns: Any) -> Agent:
    """An agent of the actor's organization with its first version, not in use yet. Raises as `make`."""
    free = bool(policy.changes_free_agents(by))
    if not free and finding.number_of_own(by.tenant_id) >= MOST:
        raise Invalid(f"Your organization has {MOST:,} agents, withdrawn ones included. Remove some of them first.")
    owner = None if free else by.tenant_id
    made = Agent(id=uuid7(), is_free_agent=free, owner_tenant_id=owner, created_by=by.id, version=0, **content._asdict(), **columns)
    made.sort_key = sort_key(made.name)
    auth.only_once(nonce, "make_agent", tenant_id=by.tenant_id, made=made.id)
    db.session.add(made)
    versions.add(made, content, by=by, comment=comment)
    note("agent_made", made, by, {"name": [None, made.name], "agent_type": [None, made.agent_type]})
    return made


def edit(command: EditAgent, of: Any, *, by: Actor) -> Agent:
    """Save an agent as a new version, in use at once where the command says so; nothing where nothing was changed.

    Raises Conflict where somebody saved another version meanwhile, Invalid(agent_type=…) where another active one has this type.
    """
    demand(policy.can_edit_agent(by, of))
    of = locked(of)
    if of.version != command.version:
        raise Conflict("Somebody else saved this agent while you were writing.")
    versions.save(of, versions.content_of(command), by=by, comment=command.comment)
    if command.publish:
        put_in_use(of, of.version, by=by)
    drafts.forget(of.id, by=by)
    return of


def switch(of: Any, on: bool, *, by: Actor) -> None:
    """Switch an agent on or off for the people of the actor's organization: an own one itself, any other for this organization only."""
    demand(policy.can_switch_agent(by, of))
    if of.is_on == on:
        return
    if of.owner_tenant_id == by.tenant_id:
        locked(of).is_enabled = on
    else:
        said = {"is_on": on, "changed_by": by.id, "changed_at": func.now()}
        row = insert(TenantAgent).values(tenant_id=by.tenant_id, agent_id=of.id, **said)
        db.session.execute(row.on_conflict_do_update(index_elements=["tenant_id", "agent_id"], set_=said))
    note("agent_switched_on" if on else "agent_switched_off", of, by)


def withdraw(of: Any, *, by: Actor) -> None:
    """Withdraw an agent; it can come back, and its type is free for another one meanwhile."""
    demand(policy.can_edit_agent(by, of))
    of = locked(of)
    if of.is_active:
        of.is_active = False
        note("agent_withdrawn", of, by, {"state": ["active", "withdrawn"]})


def bring_back(of: Any, *, by: Actor) -> None:
    """Let a withdrawn agent be used again. Raises Invalid where its type is taken by now."""
    demand(policy.can_edit_agent(by, of))
    of = locked(of)
    if not of.is_active:
        of.is_active = True
        versions.flush(of.agent_type)
        note("agent_brought_back", of, by, {"state": ["withdrawn", "active"]})


def remove(of: Any, *, by: Actor) -> None:
    """Delete an agent that no conversation has ever had, with its versions and drafts and what was agreed about it.

    Raises Invalid for one that was used, also where a conversation took it at this moment; NotFound where it was removed meanwhile.
    """
    demand(policy.can_remove_agent(by, of))
    of = locked(of)
    if finding.one(by.tenant_id, of.id).is_offered:  # else whoever has it would lose it and not be told
        raise Conflict("It was offered to another organization at this moment. End that first.")
    note("agent_removed", of, by, {"agent_type": [of.agent_type, None]})
    try:
        with db.session.begin_nested():
            db.session.delete(of)
    except IntegrityError as error:
        rollback()
        if constraint_of(error) != "conversation_agents_agent_id_fkey":
            raise
        raise Invalid("It was used in a conversation, which keeps its name. Withdraw it instead.") from None
