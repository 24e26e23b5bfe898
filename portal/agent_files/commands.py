"""What people ask for when they bring agents in from a file, and how the file is understood."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, BeforeValidator, ValidationError, field_validator

from portal.agents.commands import AgentData
from portal.errors import Invalid, faults_of
from portal.values import Member, members

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
        document = data.decode("utf-8-sig")
        top = json.loads(document, parse_constant=_no_number, parse_int=str, parse_float=str)
    except UnicodeDecodeError:
        raise Invalid(file="This is no text in UTF-8. Choose a file that the portal has exported.") from None
    except json.JSONDecodeError as fault:
        raise Invalid(file=f"This is no JSON: line {fault.lineno}, column {fault.colno}.") from None
    except (RecursionError, ValueError):
        raise Invalid(file="This is no JSON that can be taken: it is nested too deep, or holds a number that is none.") from None
    _demand_schema(top)
    return FileOfAgents(document, _agents(document, top["agents"]))


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _demand_schema(top: Any) -> None:
    if not isinstance(top, dict) or top.get("schema") != SCHEMA or not isinstance(top.get("agents"), list):
        raise Invalid(file="This is no file of agents: it does not say so, or has no list of them.")
    if top.get("schema_version") != str(SCHEMA_VERSION):
        raise Invalid(file=f"This file says version {str(top.get('schema_version'))[:20]}; this portal reads version {SCHEMA_VERSION}.")
    if not top["agents"]:
        raise Invalid(file="There is no agent in this file.")
    if len(top["agents"]) > MOST:
        raise Invalid(file=f"There are {len(top['agents']):,} agents in this file; at most {MOST} are taken. Divide it.")


def _agents(document: str, told: list[Any]) -> list[AgentData]:
    found, faults = [], []
    for number, (place, agent) in enumerate(zip(_places(document), told, strict=True), 1):
        try:
            found.append(AgentData.model_validate(_said(document, place, agent)))
        except ValidationError as error:
            name = agent.get("name") if isinstance(agent, dict) else None
            who = f"Agent {number}" + (f" (“{name[:60]}”)" if isinstance(name, str) else "")
            faults += [f"{who}, {': '.join([*where[:1], sentence])}" for where, sentence in faults_of(error)]
    faults += [f"The type {name} stands {count} times." for name, count in Counter(one.agent_type for one in found).items() if count > 1]
    if faults:
        more = [f"And {len(faults) - TOLD:,} more faults."] if len(faults) > TOLD else []
        raise Invalid(file=" ".join([*faults[:TOLD], *more]))
    return found


def _places(document: str) -> list[Member]:
    """Where each agent stands in the file."""
    agents = [one for one in members(document) if one.key == "agents"][-1]
    return members(document, agents.at)


def _said(document: str, place: Member, agent: Any) -> dict[str, Any]:
    """What an agent of the file says, its configuration as it is written there."""
    if not isinstance(agent, dict):
        return {}
    configuration = [document[one.at : one.end] for one in members(document, place.at) if one.key == "configuration"]
    return {**{name: agent.get(name) for name in CONTENT}, "configuration": configuration[-1] if configuration else "{}"}
