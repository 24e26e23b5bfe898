"""Versions of agents: what was saved, by whom, and which of them is in use."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from portal import policy
from portal.actor import Actor
from portal.agents.commands import NameVersion
from portal.agents.models import Agent, AgentVersion
from portal.audit import services as audit
from portal.database.reading import Reading, Writing
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import constraint_of, db, rollback
from portal.users.services import demand_allowed
from portal.values import full_name, sort_key

MOST = 1_000  # versions of an agent: none is ever thrown away
WRITTEN_AT_ONCE = 10  # new agents; the index of what they say takes up to a twentieth of a second for each, and a statement may take five
TAKEN = "agents_owner_tenant_id_agent_type_key"
ROWS = 50
OURS = "v.agent_id = %(agent)s AND (v.owner_tenant_id = %(tenant)s OR v.owner_tenant_id IS NULL)"
LIST = Reading(f"""
    SELECT v.number, v.saved_at, v.saved_by, v.comment, v.restored_from, u.first_name, u.last_name, u.username
    FROM agent_versions v LEFT JOIN users u ON u.tenant_id = %(tenant)s AND u.id = v.saved_by
    WHERE {OURS} AND v.number < %(before)s ORDER BY v.number DESC LIMIT %(limit)s""")
ONE = Reading(f"""
    SELECT v.number, v.name, v.agent_type, v.description, v.capabilities, v.configuration::text AS configuration
    FROM agent_versions v WHERE {OURS} AND v.number = %(number)s""")
LOCK = select(Agent).where(Agent.id == bindparam("agent")).with_for_update().execution_options(populate_existing=True)
LOCK_TO_SAVE = Writing("SELECT * FROM lock_agent(%(tenant)s, %(agent)s, %(editor)s)")
SAVE = Writing("""
    SELECT add_agent_version(%(agent_id)s, %(number)s, %(owner_tenant_id)s, %(name)s, %(agent_type)s, %(description)s, %(capabilities)s,
        %(configuration)s, %(sort_key)s, %(saved_by)s, %(comment)s, %(restored_from)s)""")
ADD = insert(AgentVersion.__table__)
NO_SUCH = "There is no such version of this agent."
TAKEN_SINCE = (
    "Version {number:,}, which was saved last, has the type {agent_type}, which another active agent of yours has by now. "
    "Save it with another type first, or withdraw the agent."
)


class Content(NamedTuple):
    """What a version says; `configuration` is a JSON document as it was written."""

    name: str
    agent_type: str
    description: str | None
    capabilities: list[str]
    configuration: str


class Saved(NamedTuple):
    """A version in the list; `saved_by` and `author` are None where it came with the portal or an upgrade."""

    number: int
    saved_at: datetime
    saved_by: UUID | None
    comment: str | None
    restored_from: int | None
    author: str | None


class SavedAgent(NamedTuple):
    """What an agent's row says after a save, which the session has not loaded; `is_new` is False where nothing was changed."""

    id: UUID
    version: int
    published_version: int | None
    is_enabled: bool
    is_new: bool


def content_of(row: Any) -> Content:
    """What an agent's row, a version or a command says."""
    return Content(*(getattr(row, name) for name in Content._fields))


def said_version(agent: Any) -> int:
    """The number of the version that an agent's row says."""
    return int(agent.published_version or agent.version)


def latest(of: Any, *, by: Actor) -> Content:
    """What was saved last, published or not. One statement where that is not what is in use."""
    return content_of(of) if of.published_version in (None, of.version) else content_of(version(of, of.version, by=by))


def version(of: Any, number: int, *, by: Actor) -> Any:
    """A version: its number and what it says. Raises NotFound where the agent has none of this number."""
    found = ONE.one(agent=of.id, tenant=by.tenant_id, number=number)
    if found is None:
        raise NotFound(NO_SUCH)
    return found


def listed(of: Any, *, by: Actor, before: int | None = None, limit: int = ROWS) -> list[Saved]:
    """The versions before a number (None: from the newest on), without what they say. Of `limit`, one more where there are further ones."""
    rows = LIST(agent=of.id, tenant=by.tenant_id, before=before or of.version + 1, limit=limit + 1)
    return [Saved._make([*row[:5], _author(row)]) for row in rows]


def saved_last(of: Any, *, by: Actor) -> bool:
    """Whether the newest version is the actor's own."""
    newest = next(iter(listed(of, by=by, limit=1)), None)
    return newest is not None and newest.saved_by == by.id


def publish(command: NameVersion, of: Any, *, by: Actor) -> Agent:
    """Put a version into use: people, conversations and partners get it from now on. Raises NotFound, Invalid where its type is taken."""
    demand_allowed(policy.can_publish_agent(by, of))
    of = locked(of)
    put_in_use(of, command.number, by=by)
    return of


def unpublish(of: Any, *, by: Actor) -> Agent:
    """Take an agent out of use until a version is published again; nothing where it is not in use.

    Raises Invalid where another active agent has the type that was saved last: the row says that one from then on.
    """
    demand_allowed(policy.can_edit_agent(by, of))
    of = locked(of)
    if of.published_version is not None:
        last, number = latest(of, by=by), of.version
        was, of.published_version = of.published_version, None
        try:
            _say(of, last)
        except Invalid:
            raise Invalid(TAKEN_SINCE.format(number=number, agent_type=last.agent_type)) from None
        note("agent_unpublished", of, by, {"published_version": [was, None]})
    return of


def restore(command: NameVersion, of: Any, *, by: Actor) -> SavedAgent:
    """Save what an earlier version said as a new one; what is in use stays. Raises NotFound, Invalid where it says the same already."""
    demand_allowed(policy.can_edit_agent(by, of))
    former = content_of(version(of, command.number, by=by))
    now = save(of, former, by=by, restored_from=command.number)
    if not now.is_new:
        raise Invalid(f"Version {now.version:,} says the same as version {command.number:,}; there is nothing to restore.")
    return now


def save(
    of: Any,
    content: Content,
    *,
    by: Actor,
    after: int | None = None,
    forget_draft: bool = False,
    comment: str | None = None,
    restored_from: int | None = None,
) -> SavedAgent:
    """Add a version that says this, unless the one that was saved last does; the agent is locked until the transaction ends.

    Of `of` only the id counts. `after` is the version that the person saw; `forget_draft` deletes the actor's draft. Raises Conflict
    where another version was saved since, NotFound where the agent was removed, Invalid where its type is taken, or where it has MOST.
    """
    last = LOCK_TO_SAVE.one(tenant=by.tenant_id, agent=of.id, editor=by.id if forget_draft else None)
    if last is None:
        raise NotFound
    if after not in (None, last.version):
        raise Conflict("Somebody else saved this agent while you were writing.")
    before = content_of(last)
    if content == before:
        return _saved_agent(last, is_new=False)
    if before.agent_type != content.agent_type:
        _demand_free_type(last, content.agent_type)
    if last.version >= MOST:
        raise Invalid(f"This agent has {MOST:,} versions, and more are not kept. Make your own copy of it, and continue there.")
    about = {"comment": comment, "restored_from": restored_from}
    saved = last._replace(version=last.version + 1)
    with refusing_taken(content.agent_type):
        SAVE(**_row(saved, content, by), **about, sort_key=sort_key(content.name))
    changes = {name: [old, new] for name, old, new in zip(Content._fields, before, content, strict=True) if old != new}
    if "configuration" in changes:
        changes["configuration"] = [None, "changed"]
    said = {name: [None, value] for name, value in about.items() if value}
    called = content.name if last.published_version is None else last.called
    note("agent_changed", last._replace(name=called), by, {**changes, "version": [last.version, saved.version], **said})
    return _saved_agent(saved, is_new=True)


def add_first(made: list[Agent], *, by: Actor, comment: str | None = None) -> None:
    """Write new agents and what they say as their first versions. Two statements for each WRITTEN_AT_ONCE of them.

    Raises Invalid(agent_type=…) where a type is taken.
    """
    for place in range(0, len(made), WRITTEN_AT_ONCE):
        some = made[place : place + WRITTEN_AT_ONCE]
        db.session.add_all(some)
        flush(*(of.agent_type for of in some), owner=some[0].owner_tenant_id)
        db.session.execute(ADD, [_row(of, content_of(of), by) | {"comment": comment, "restored_from": None} for of in some])


def put_in_use(of: Agent, number: int, *, by: Actor) -> None:
    """Publish a version of a locked agent; nothing where it is in use already.

    Raises NotFound, Invalid where its type is taken or the agent withdrawn.
    """
    if not of.is_active:
        raise Invalid(policy.WITHDRAWN)
    if of.published_version == number:
        return
    content = content_of(of if of.published_version is None and number == of.version else version(of, number, by=by))
    was, of.published_version = of.published_version, number
    _say(of, content)
    note("agent_published", of, by, {"published_version": [was, number]})


def locked(of: Any) -> Agent:
    """The agent as it is now, kept from others until the transaction ends. Raises NotFound where it was removed meanwhile."""
    agent: Agent | None = db.session.execute(LOCK, {"agent": of.id}).scalar_one_or_none()
    if agent is None:
        raise NotFound
    return agent


def flush(*agent_types: str, owner: UUID | None = None) -> None:
    """Write what was changed. Raises as `refusing_taken`."""
    with refusing_taken(*agent_types, owner=owner):
        db.session.flush()


@contextmanager
def refusing_taken(*agent_types: str, owner: UUID | None = None) -> Iterator[None]:
    """Raises Invalid(agent_type=…) where what is written within finds that another active agent of the owner has one of these types."""
    try:
        yield
    except IntegrityError as error:
        rollback()
        if constraint_of(error) != TAKEN:
            raise
        raise _taken(agent_types[0] if len(agent_types) == 1 else _taken_among(agent_types, owner)) from None


def note(action: str, of: Any, by: Actor, changes: dict[str, Any] | None = None) -> None:
    """Write into the audit log what was done with an agent."""
    note_each([act(action, of, changes)], by)


def note_each(acts: Iterable[audit.Act], by: Actor) -> None:
    """As `note`, of several acts in their order."""
    audit.record_each(acts, by=by, object_type="agent")


def act(action: str, of: Any, changes: dict[str, Any] | None = None) -> audit.Act:
    """What was done with an agent, as its entry tells it."""
    return action, of.id, {"agent": [None, of.name], **(changes or {})}


def _saved_agent(row: Any, *, is_new: bool) -> SavedAgent:
    return SavedAgent(row.id, row.version, row.published_version, row.is_enabled, is_new)


def _row(of: Any, content: Content, by: Actor) -> dict[str, Any]:
    which = {"agent_id": of.id, "number": of.version, "owner_tenant_id": of.owner_tenant_id, "saved_by": by.id}
    return {**which, **content._asdict()}


def _author(row: Any) -> str | None:
    return None if row.saved_by is None else full_name(row.first_name, row.last_name, row.username or "somebody who was removed")


def _say(of: Agent, content: Content) -> None:
    """Let the row say this."""
    for name, value in content._asdict().items():
        if getattr(of, name) != value:
            setattr(of, name, value)
    of.sort_key = sort_key(of.name)
    flush(content.agent_type)


def _taken_among(agent_types: tuple[str, ...], owner: UUID | None) -> str:
    """Which of these types another active agent has, after an index has said that one of them is taken."""
    whose = (Agent.owner_tenant_id.is_not_distinct_from(owner), Agent.agent_type.in_(agent_types), Agent.is_active)
    return db.session.execute(select(Agent.agent_type).where(*whose).order_by(Agent.agent_type)).scalars().first() or agent_types[0]


def _demand_free_type(of: Any, agent_type: str) -> None:
    """Before publishing, where the index does not know of it yet."""
    same = (Agent.owner_tenant_id.is_not_distinct_from(of.owner_tenant_id), Agent.agent_type == agent_type, Agent.is_active)
    if db.session.execute(select(Agent.id).where(*same, Agent.id != of.id)).first():
        raise _taken(agent_type)


def _taken(agent_type: str) -> Invalid:
    return Invalid(agent_type=f"Another active agent of yours has the type {agent_type} already. Choose another one.")
