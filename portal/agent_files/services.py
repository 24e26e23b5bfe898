"""What people do with files of agents: write one, have one looked through, and bring its agents in, all or nothing."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from portal import policy
from portal.actor import Actor
from portal.agent_files.commands import SCHEMA, SCHEMA_VERSION, BringIn, FileOfAgents, TakeFile, read_file
from portal.agents import services as agents
from portal.agents import versions
from portal.agents.models import Agent
from portal.agents.versions import Content, content_of, said_by
from portal.database.reading import Reading
from portal.errors import Conflict, Invalid
from portal.extensions import release
from portal.users.services import demand

BATCH = 100  # agents that are read at once, of up to 64 KiB each
OURS = "CASE WHEN %(free)s THEN a.is_free_agent ELSE a.owner_tenant_id = %(tenant)s END AND a.is_active"
LAST = "JOIN agent_versions v ON v.agent_id = a.id AND v.number = a.version"
SAID = "v.name, v.agent_type, v.description, v.capabilities, v.configuration::text AS configuration"
ALL = Reading(f"SELECT a.id, {SAID} FROM agents a {LAST} WHERE {OURS} AND a.id > %(after)s ORDER BY a.id LIMIT {BATCH}")
OF_TYPES = Reading(f"""
    SELECT a.id, a.version, a.agent_type AS known_as, {SAID} FROM agents a {LAST} WHERE {OURS} AND a.agent_type = ANY(%(types)s)""")
FIRST = "00000000-0000-0000-0000-000000000000"
OTHERS = "Somebody changed an agent since this file was compared. Choose the file again and look at what is different now."


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
    """A file that was looked through, and what it was compared with, for `bring_in`."""

    document: str
    fates: list[Fate]
    seen: str


def file_of(found: Iterable[Any]) -> Iterator[str]:
    """A file of these agents, or versions of them, piece by piece."""
    yield f'{{\n  "schema": {json.dumps(SCHEMA)},\n  "schema_version": {SCHEMA_VERSION},\n  "agents": ['
    for number, agent in enumerate(found):
        yield f"{',' if number else ''}\n    {{{','.join(_members(content_of(agent)))}\n    }}"
    yield "\n  ]\n}\n"


def all_own(*, by: Actor) -> Iterator[Any]:
    """All own agents that are not withdrawn (of a super_admin: the free ones), as they were saved last, read in batches."""
    after = FIRST
    while True:
        batch = ALL(tenant=by.tenant_id, free=_free(by), after=after)
        release()
        yield from batch
        if len(batch) < BATCH:
            return
        after = batch[-1].id


def look_through(command: TakeFile, *, by: Actor) -> Looked:
    """Understand a file and compare it with what the organization has. Raises Invalid(file=…)."""
    demand(policy.makes_agents(by))
    return _looked(read_file(command.file), by)


def look_again(document: str, *, by: Actor) -> Looked:
    """As `look_through`, of the text of a file that was looked through before."""
    return _looked(read_file(document.encode("utf-8", "surrogatepass")), by)


def bring_in(command: BringIn, *, nonce: str, by: Actor) -> dict[str, int]:
    """Make the agents of a file that are new, and save new versions of those that are different; how many were "made" and "changed".

    All or nothing. Raises Conflict where an agent was changed since `seen`, or for a form that was sent before; Invalid(file=…).
    """
    demand(policy.makes_agents(by))
    looked = look_again(command.document, by=by)
    if looked.seen != command.seen:
        raise Conflict(OTHERS)
    done = {"made": 0, "changed": 0}
    for number, fate in enumerate(looked.fates):
        if fate.word == "the same":
            continue
        saved = _made(fate, f"{nonce} {number}", by) if fate.now is None else _changed(fate, by)
        done["made" if fate.now is None else "changed"] += 1
        if command.publish:
            versions.put_in_use(saved, saved.version, by=by)
    if not any(done.values()):
        raise Invalid("Your agents say all that already; there is nothing to bring in.")
    return done


def _made(fate: Fate, nonce: str, by: Actor) -> Agent:
    return agents.new_agent(fate.content, nonce=nonce, by=by, comment="Brought in from a file")


def _changed(fate: Fate, by: Actor) -> Agent:
    of = versions.locked(fate.now)
    if of.version != fate.now.version or not of.is_active:
        raise Conflict(OTHERS)
    versions.save(of, fate.content, by=by, comment="Brought in from a file")
    return of


def _looked(file: FileOfAgents, by: Actor) -> Looked:
    found = OF_TYPES(tenant=by.tenant_id, free=_free(by), types=[one.agent_type for one in file.agents])
    known = {row.known_as: row for row in found}
    fates = [Fate(said_by(one), known.get(one.agent_type)) for one in file.agents]
    return Looked(file.document, fates, json.dumps({fate.content.agent_type: fate.now.version if fate.now else 0 for fate in fates}))


def _members(content: Content) -> Iterator[str]:
    """Of an object, as JSON; the configuration exactly as it was written."""
    for name, value in content._asdict().items():
        yield f'\n      "{name}": {value if name == "configuration" else json.dumps(value, ensure_ascii=False)}'


def _free(by: Actor) -> bool:
    return bool(policy.changes_free_agents(by))
