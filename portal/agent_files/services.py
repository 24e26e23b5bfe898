"""What people do with files of agents: write one, have one looked through, and import its agents, all or nothing."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from portal import policy
from portal.actor import Actor
from portal.agent_files.commands import SCHEMA, SCHEMA_VERSION, BringIn, FileOfAgents, TakeFile, read_file
from portal.agents import services as agents
from portal.agents import versions
from portal.agents.versions import Content, content_of
from portal.audit import services as audit
from portal.database.reading import Reading
from portal.errors import Conflict, Invalid
from portal.users.services import demand_allowed, lock_organization
from portal.values import fingerprint

BATCH = 100  # agents that are read at once, of up to 64 KiB each
OURS = "CASE WHEN %(free)s THEN a.is_free_agent ELSE a.owner_tenant_id = %(tenant)s END AND a.is_active"
LAST = "JOIN agent_versions v ON v.agent_id = a.id AND v.number = a.version"
SAID = "v.name, v.agent_type, v.description, v.capabilities, v.configuration::text AS configuration"
ALL = Reading(f"""
    SELECT a.id, {SAID} FROM agents a {LAST}
    WHERE {OURS} AND (CAST(%(after)s AS uuid) IS NULL OR a.id > CAST(%(after)s AS uuid)) ORDER BY a.id LIMIT {BATCH}""")
OF_TYPES = Reading(f"""
    SELECT a.id, a.version, a.agent_type AS used_as, {SAID} FROM agents a {LAST}
    WHERE {OURS} AND (a.agent_type = ANY(%(types)s) OR v.agent_type = ANY(%(types)s)) ORDER BY a.id""")
OTHERS = "Somebody changed an agent since the file was compared, or the file is another one. Nothing was imported; this is how it is now."
COMMENT = "Imported from a file"


@dataclass(frozen=True)
class Fate:
    """What would become of an agent of the file: `now` is the own agent of its type as it was saved last, None where there is none."""

    content: Content
    now: Any

    @property
    def word(self) -> str:
        return "new" if self.now is None else "the same" if content_of(self.now) == self.content else "different"


@dataclass(frozen=True)
class Looked:
    """A file that was looked through, and a digest of what it says and was compared with, for `bring_in`."""

    document: str
    fates: list[Fate]
    seen: str


def file_of(found: Iterable[Any]) -> Iterator[str]:
    """A file of these agents, or versions of them, piece by piece."""
    yield f'{{\n  "schema": {json.dumps(SCHEMA)},\n  "schema_version": {SCHEMA_VERSION},\n  "agents": ['
    for number, agent in enumerate(found):
        yield f"{',' if number else ''}\n    {{{','.join(_members(content_of(agent)))}\n    }}"
    yield "\n  ]\n}\n"


def some_own(after: UUID | None, *, by: Actor) -> list[Any]:
    """The next BATCH of the own agents that are not withdrawn (of a super_admin: the free ones), as they were saved last, by id; None: the
    first ones.
    """
    return ALL(tenant=by.tenant_id, free=_free(by), after=after)


def look_through(command: TakeFile, *, by: Actor) -> Looked:
    """Understand a file and compare it with what the organization has. Raises Invalid(file=…)."""
    demand_allowed(policy.makes_agents(by))
    return _looked(read_file(command.file), by)


def look_again(document: str, *, by: Actor) -> Looked:
    """As `look_through`, of the text of a file that was looked through before."""
    return _looked(read_file(document.encode("utf-8", "surrogatepass")), by)


def bring_in(command: BringIn, *, nonce: str, by: Actor) -> dict[str, int]:
    """Make the agents of a file that are new, and save new versions of those that are different; how many were "made" and "changed".

    All or nothing. Raises Conflict where the file or an agent is not what `seen` says, or for a form that was sent before;
    Invalid(file=…), Invalid(agent_type=…) where somebody takes a type at this moment.
    """
    demand_allowed(policy.makes_agents(by))
    looked = look_again(command.document, by=by)
    if looked.seen != command.seen:
        raise Conflict(OTHERS)
    new = sorted((fate for fate in looked.fates if fate.word == "new"), key=lambda fate: fate.content.agent_type)
    different = [fate for fate in looked.fates if fate.word == "different"]
    if not new and not different:
        raise Invalid("Your agents say all that already; there is nothing to import.")
    if not _free(by):
        lock_organization(by.tenant_id)  # before any agent, as whoever offers one
    changed = _changed(different, by)
    for saved in changed if command.publish else []:
        versions.put_in_use(versions.locked(saved), saved.version, by=by)
    if new:
        agents.new_agents([fate.content for fate in new], nonce=nonce, by=by, comment=COMMENT, publish=command.publish)
    done = {"made": len(new), "changed": len(different)}
    changes = {name: [None, count] for name, count in done.items()}
    audit.record("agents_brought_in", tenant_id=by.tenant_id, by=by, object_type="agent", changes=changes)
    return done


def _changed(different: list[Fate], by: Actor) -> list[versions.SavedAgent]:
    """All are locked, in one order, before the audit log is: two at once wait for each other, and never both."""
    locked = [(versions.locked(fate.now), fate) for fate in sorted(different, key=lambda fate: str(fate.now.id))]
    if any(of.version != fate.now.version or not of.is_active for of, fate in locked):
        raise Conflict(OTHERS)
    return [versions.save(of, fate.content, by=by, comment=COMMENT) for of, fate in locked]


def _looked(file: FileOfAgents, by: Actor) -> Looked:
    types = [one.agent_type for one in file.agents]
    rows = OF_TYPES(tenant=by.tenant_id, free=_free(by), types=types)
    fates = [_fate(content_of(one), _own(one.agent_type, rows, types)) for one in file.agents]
    told = [[*fate.content, fate.now and [str(fate.now.id), fate.now.version]] for fate in fates]
    return Looked(file.document, fates, fingerprint(json.dumps(told)).hex())


def _own(agent_type: str, rows: list[Any], types: list[str]) -> Any:
    """The own agent of a type: it was saved last with it, or is in use with it and was not saved with another one of the file."""
    last = [row for row in rows if row.agent_type == agent_type]
    used = [row for row in rows if row.used_as == agent_type and (row.agent_type == agent_type or row.agent_type not in types)]
    return next(iter([row for row in used if row in last] or last or used), None)


def _fate(content: Content, now: Any) -> Fate:
    """White space around a configuration is no part of it: in a file there is none, and one that was saved with it keeps it."""
    alike = now is not None and now.configuration.replace("\r\n", "\n").strip() == content.configuration
    return Fate(content._replace(configuration=now.configuration) if alike else content, now)


def _members(content: Content) -> Iterator[str]:
    """Of an object, as JSON; the configuration exactly as it was written."""
    for name, value in content._asdict().items():
        yield f'\n      "{name}": {value if name == "configuration" else json.dumps(value, ensure_ascii=False)}'


def _free(by: Actor) -> bool:
    return bool(policy.changes_free_agents(by))
