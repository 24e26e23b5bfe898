"""What people ask for when they import agents from a file, and how the file is understood."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, BeforeValidator, ValidationError, field_validator

from portal.agents.commands import AgentData
from portal.errors import Invalid, faults_of
from portal.values import Member, json_sentence, members

LARGEST = 1024 * 1024  # bytes of a file
MOST = 200  # agents in a file
TOLD = 20  # faults that a refusal names
SCHEMA, SCHEMA_VERSION = "thanotopolis-agents", 1
CONTENT = ("name", "agent_type", "description", "capabilities")


class TakeFile(BaseModel):
    """A file of agents, as the portal exports them."""

    file: bytes

    @field_validator("file")
    @classmethod
    def fits(cls, file: bytes) -> bytes:
        if not file:
            raise ValueError("Choose a file; an empty one holds no agent.")
        if len(file) > LARGEST:
            raise ValueError(f"This file has {len(file):,} bytes; at most {LARGEST:,} (1 MiB) are taken. Divide it.")
        return file


class BringIn(BaseModel):
    """Bring in the agents of a file that was looked through; `seen` is what it was compared with, `publish` puts them into use."""

    document: str
    seen: str
    publish: Annotated[bool, BeforeValidator(bool)] = False


@dataclass(frozen=True)
class FileOfAgents:
    """A file that was understood: its text, and the agents in it, each type once."""

    document: str
    agents: list[AgentData]


def read_file(data: bytes) -> FileOfAgents:
    """Understand a file. Raises Invalid(file=…) with a sentence for what is no such file, else for each agent that cannot be taken."""
    try:
        document = re.sub(r"\r\n?", "\n", data.decode("utf-8-sig"))  # as it comes back from a browser; within a text JSON has none
        if len(document.encode()) > LARGEST:
            raise Invalid(file="This file is larger than 1 MiB. Divide it.")
        top = json.loads(document, parse_constant=_no_number, parse_int=float)
        _demand_schema(document, top)
        written = [_said(document, *one) for one in zip(_places(document), top["agents"], strict=True)]
    except UnicodeDecodeError:
        raise Invalid(file="This is no text in UTF-8. Choose a file that the portal has exported.") from None
    except json.JSONDecodeError as fault:
        raise Invalid(file=f"This is no JSON. {json_sentence(fault)}") from None
    except NotANumber as fault:
        raise Invalid(file=f"This is no JSON: {fault} is no number.") from None
    except RecursionError:
        raise Invalid(file="This is nested too deep to be read.") from None
    return FileOfAgents(document, _agents(written))


class NotANumber(Exception):
    pass


@dataclass(frozen=True)
class Written:
    """An agent as it stands in a file: which it is, for people, what it says, and the keys that stand twice in it."""

    who: str
    said: Any
    twice: list[str]


def _no_number(name: str) -> NoReturn:
    raise NotANumber(name)


def _demand_schema(document: str, top: Any) -> None:
    if not isinstance(top, dict) or top.get("schema") != SCHEMA or not isinstance(top.get("agents"), list):
        raise Invalid(file="This is no file of agents: it does not say so, or has no list of them.")
    if twice := _twice(members(document)):
        raise Invalid(file=f"{', '.join(twice)}: this stands twice in the file.")
    version = top.get("schema_version")
    if type(version) is not float or version != SCHEMA_VERSION:
        said = f"{version:g}" if type(version) is float else "none that is a number"
        raise Invalid(file=f"The version of this file is {said}; this portal reads version {SCHEMA_VERSION}.")
    if not top["agents"]:
        raise Invalid(file="There is no agent in this file.")
    if len(top["agents"]) > MOST:
        raise Invalid(file=f"There are {len(top['agents']):,} agents in this file; at most {MOST} are taken. Divide it.")


def _agents(written: list[Written]) -> list[AgentData]:
    found, faults = list[AgentData](), list[str]()
    for one in written:
        faults += [f"{one.who}, {key}: this key stands twice." for key in one.twice]
        try:
            found.append(AgentData.model_validate(one.said))
        except ValidationError as error:
            faults += [f"{one.who}{''.join(f', {name}' for name in where[:1])}: {sentence}" for where, sentence in faults_of(error)]
    faults += [f"The type {name} stands {count:,} times." for name, count in Counter(one.agent_type for one in found).items() if count > 1]
    if faults:
        more = [f"And {len(faults) - TOLD:,} more."] if len(faults) > TOLD else []
        raise Invalid(file=" ".join([*faults[:TOLD], *more]))
    return found


def _places(document: str) -> list[Member]:
    """Where each agent stands in the file."""
    return members(document, next(one.at for one in members(document) if one.key == "agents"))


def _said(document: str, place: Member, agent: Any) -> Written:
    """What an agent of the file says, its configuration as it is written there; null is as good as missing."""
    who = f"Agent {int(place.key) + 1:,}"
    if not isinstance(agent, dict):
        return Written(who, agent, [])
    name = agent.get("name")
    if isinstance(name, str):
        who += f" (“{''.join(char if char.isprintable() else chr(0xFFFD) for char in name[:60])}”)"
    inside = members(document, place.at)
    said = {name: agent[name] for name in CONTENT if agent.get(name) is not None}
    configuration = {one.key: document[one.at : one.end] for one in inside if one.key == "configuration"}
    return Written(who, {"description": None, **said, **configuration}, _twice(inside))


def _twice(inside: list[Member]) -> list[str]:
    """The keys that stand twice among these, of those that are read."""
    known = {"schema", "schema_version", "agents", *CONTENT, "configuration"}
    return [str(key) for key, count in Counter(one.key for one in inside).items() if count > 1 and key in known]
