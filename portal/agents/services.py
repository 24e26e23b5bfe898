"""What people do with agents."""

from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, ProgrammingError
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.agents import drafts, finding, versions
from portal.agents.commands import EditAgent, MakeAgent
from portal.agents.models import Agent, TenantAgent
from portal.agents.versions import act, locked, note, put_in_use
from portal.audit.services import Act
from portal.auth import services as auth
from portal.errors import Conflict, Invalid
from portal.extensions import constraint_of, db, rollback, was_refused
from portal.users.services import demand_allowed, lock_organization
from portal.values import sort_key

MOST = 10_000  # agents of an organization


def agent(actor: Actor, agent_id: UUID) -> Any:
    """An agent that the actor may know of, as `finding.one` tells it; None for unknown ones, neighbours' and hidden ones, all alike.

    People see what is on for them; administrators also what is off, and what is not published or withdrawn of their own.
    """
    found = finding.one(actor.tenant_id, agent_id)
    if found is None or found.state == "on":
        return found
    hidden = found.state not in finding.IN_USE and not policy.can_edit_agent(actor, found)
    return None if hidden or not policy.administers_organization(actor) else found


def make(command: MakeAgent, *, nonce: str, by: Actor) -> Agent:
    """Make an agent of the actor's own organization; a super_admin's is a free one. It is in use at once where the command says so.

    Raises Invalid(agent_type=…) where an active agent of the same owner has this type, Conflict for a form that was sent before.
    """
    demand_allowed(policy.makes_agents(by))
    about = {"comment": command.comment, "publish": command.publish, "is_enabled": command.is_enabled}
    made = new_agent(versions.content_of(command), nonce=nonce, by=by, **about)
    drafts.forget(None, by=by)
    return made


def new_agent(content: versions.Content, *, nonce: str, by: Actor, **about: Any) -> Agent:
    """As `new_agents`, of one."""
    return new_agents([content], nonce=nonce, by=by, **about)[0]


def new_agents(
    contents: list[versions.Content], *, nonce: str, by: Actor, comment: str | None = None, publish: bool = False, **columns: Any
) -> list[Agent]:
    """Agents of the actor's organization with their first versions, in use where `publish` says so. Raises as `make`.

    Of the statements only the entries of the audit log become more with the agents.
    """
    free = bool(policy.changes_free_agents(by))
    if not free:
        lock_organization(by.tenant_id)  # whoever makes some at the same moment waits here, and is counted with these
    if not free and finding.number_of_own(by.tenant_id) + len(contents) > MOST:
        raise Invalid(f"An organization has at most {MOST:,} agents, withdrawn ones included. Remove some of them first.")
    same = {"is_free_agent": free, "owner_tenant_id": None if free else by.tenant_id, "created_by": by.id, "version": 1}
    same |= {"published_version": 1 if publish else None, **columns}
    made = [Agent(id=uuid7(), sort_key=sort_key(content.name), **content._asdict(), **same) for content in contents]
    auth.only_once(nonce, "make_agent", tenant_id=by.tenant_id, made=made[0].id)
    versions.add_first(made, by=by, comment=comment)
    versions.note_each([act for of in made for act in _acts_of_making(of)], by)
    return made


def edit(command: EditAgent, of: Any, *, by: Actor) -> Agent | versions.SavedAgent:
    """Save an agent as a new version, in use at once where the command says so; nothing where nothing was changed. The draft goes.

    Answers the agent where it was published, else what `save` answers; both have id, version, published_version and is_enabled.

    Raises Conflict where somebody saved another version meanwhile, Invalid(agent_type=…) where another active one has this type.
    """
    demand_allowed(policy.can_edit_agent(by, of))
    content = versions.content_of(command)
    saved = versions.save(of, content, by=by, after=command.version, forget_draft=True, comment=command.comment)
    if not command.publish:
        return saved
    of = locked(of)
    put_in_use(of, saved.version, by=by)
    return of


def switch(of: Any, on: bool, *, by: Actor) -> None:
    """Switch an agent on or off for the people of the actor's organization: an own one itself, any other for this organization only.

    Raises Conflict where the organization may use it no longer.
    """
    demand_allowed(policy.can_switch_agent(by, of))
    if (of.state == "on") == on:
        return
    if of.owner_tenant_id == by.tenant_id:
        locked(of).is_enabled = on
    else:
        said = {"is_on": on, "changed_by": by.id, "changed_at": func.now()}
        row = insert(TenantAgent).values(tenant_id=by.tenant_id, agent_id=of.id, **said)
        try:
            db.session.execute(row.on_conflict_do_update(index_elements=["tenant_id", "agent_id"], set_=said))
        except ProgrammingError as error:
            rollback()
            if not was_refused(error):
                raise
            raise Conflict("Your organization lost this agent at this moment. Nothing was switched.") from None
    note("agent_switched_on" if on else "agent_switched_off", of, by)


def withdraw(of: Any, *, by: Actor) -> None:
    """Withdraw an agent; it can come back, and its type is free for another one meanwhile."""
    demand_allowed(policy.can_edit_agent(by, of))
    of = locked(of)
    if of.is_active:
        of.is_active = False
        note("agent_withdrawn", of, by, {"state": ["active", "withdrawn"]})


def bring_back(of: Any, *, by: Actor) -> None:
    """Let a withdrawn agent be used again. Raises Invalid where its type is taken by now."""
    demand_allowed(policy.can_edit_agent(by, of))
    of = locked(of)
    if not of.is_active:
        of.is_active = True
        versions.flush(of.agent_type)
        note("agent_brought_back", of, by, {"state": ["withdrawn", "active"]})


def remove(of: Any, *, by: Actor) -> None:
    """Delete an agent that no conversation has ever had, with its versions and drafts and what was agreed about it.

    Raises Invalid for one that was used, also where a conversation took it at this moment; NotFound where it was removed meanwhile.
    """
    demand_allowed(policy.can_remove_agent(by, of))
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


def _acts_of_making(of: Agent) -> list[Act]:
    made = act("agent_made", of, {"name": [None, of.name], "agent_type": [None, of.agent_type]})
    return [made, act("agent_published", of, {"published_version": [None, 1]})] if of.published_version else [made]
