"""What people ask for about agents."""

import re
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator

from portal.agents import configuration
from portal.values import LongText, MayBeCleared, Name, clean_line, folded, read_configuration

MOST_CAPABILITIES, LONGEST_CAPABILITY = 20, 60
LONGEST_COMMENT = 200
TYPE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")


def suggested_type(name: str) -> str:
    """The upper snake case name that a name suggests; "" where no letters are left for one."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", name.upper()) if not unicodedata.combining(char))
    words = re.sub(r"[^A-Z0-9]+", "_", plain).strip("_").lstrip("0123456789_")[:64].rstrip("_")
    return words if TYPE.fullmatch(words) else ""


def agent_type(typed: str) -> str:
    meant = re.sub(r"[\s-]+", "_", typed.strip().upper())
    if not TYPE.fullmatch(meant):
        raise ValueError("Use 3 to 64 letters A to Z, digits and underscores, beginning with a letter, for example FLOWER_ADVICE.")
    return meant


def lines(typed: object) -> object:
    """What was typed one to a line, or separated by commas; a list of texts is understood as if it had been."""
    if isinstance(typed, list) and all(isinstance(phrase, str) for phrase in typed):
        typed = "\n".join(typed)
    if not isinstance(typed, str):
        return typed
    found = [" ".join(line.split()) for line in re.split(r"[\n,;]", typed)]
    return list(dict.fromkeys(line for line in found if line))


def few_and_short(capabilities: list[str]) -> list[str]:
    if len(capabilities) > MOST_CAPABILITIES:
        raise ValueError(f"These are {len(capabilities)}; name at most {MOST_CAPABILITIES}.")
    for phrase in capabilities:
        if len(phrase) > LONGEST_CAPABILITY:
            raise ValueError(f"“{phrase[:30]}…” is longer than {LONGEST_CAPABILITY} characters. Shorten it.")
        if any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in phrase):
            raise ValueError("One of these holds a character that is not seen. Type it again.")
    return capabilities


def as_written(typed: str) -> str:
    """The document itself, after it was read: only the line breaks of browsers become plain ones.

    Raises ValueError with line, column and place of what is wrong.
    """
    written = typed.replace("\r\n", "\n")
    read_configuration(written)
    configuration.refuse_wrong_values(written)
    return written


def clean_comment(typed: object) -> str | None:
    return clean_line(typed, LONGEST_COMMENT) or None


class AgentData(BaseModel):
    """An agent as its owner describes it; `configuration` is a JSON document, kept as it is written.

    It becomes a version, told apart by its `comment`; `publish` puts that into use at once.
    """

    name: Name
    agent_type: Annotated[str, Field(max_length=1_000), AfterValidator(agent_type)]
    description: LongText
    capabilities: Annotated[list[str], Field(fail_fast=True), BeforeValidator(lines), AfterValidator(few_and_short)] = []
    configuration: Annotated[str, AfterValidator(as_written)]
    comment: Annotated[str | None, BeforeValidator(clean_comment)] = None
    publish: Annotated[bool, BeforeValidator(bool)] = False


class MakeAgent(AgentData):
    """A new agent; without a type it gets the one that its name suggests."""

    is_enabled: Annotated[bool, BeforeValidator(bool)] = False

    @model_validator(mode="before")
    @classmethod
    def suggest(cls, typed: Any) -> Any:
        if isinstance(typed, dict) and isinstance(typed.get("name"), str) and not str(typed.get("agent_type") or "").strip():
            return {**typed, "agent_type": suggested_type(typed["name"][:1_000])}
        return typed


class EditAgent(AgentData):
    """An agent as it is to be from now on; `version` is the one that was saved last when the person opened it."""

    version: int


VersionNumber = Annotated[int, Field(ge=1, le=2_147_483_647)]


class Nothing(BaseModel):
    """What an act asks that needs no answer."""


class NameVersion(BaseModel):
    """Which version of an agent."""

    number: VersionNumber


class ListVersions(BaseModel):
    """Which page of an agent's versions: those before this number; None from the newest on."""

    before: Annotated[VersionNumber | None, MayBeCleared] = None


Layout = Literal["beside", "column"]  # how two texts are drawn: side by side, or in one column


class CompareOriginal(BaseModel):
    """What a clone's original says now, against what it said then, or against what the clone says."""

    against: Literal["then", "mine"] = "then"
    layout: Layout = "beside"


class CompareVersions(BaseModel):
    """Which two versions of an agent; without a number, the one in use and the one that was saved last."""

    old: VersionNumber | None = None
    new: VersionNumber | None = None
    layout: Layout = "beside"


class FindAgents(BaseModel):
    """Which agents: what was typed, whose they are, whether they are on, a part of what they can; from which place of the list."""

    q: Annotated[str, Field(max_length=100)] = ""
    owner: Annotated[Literal["free", "own", "shared"] | None, MayBeCleared] = None
    state: Annotated[Literal["on", "off", "unpublished", "withdrawn"] | None, MayBeCleared] = None
    capability: Annotated[Annotated[str, Field(max_length=LONGEST_CAPABILITY)] | None, MayBeCleared] = None
    after: Annotated[Annotated[str, Field(max_length=4_000)] | None, MayBeCleared] = None

    @field_validator("q", "capability", "after")
    @classmethod
    def of_letters(cls, typed: str | None) -> str | None:
        if typed and "\x00" in typed:
            raise ValueError("This holds a character that cannot be typed.")
        return typed

    @property
    def words(self) -> list[str]:
        return folded(self.q).split()[:10]

    @property
    def narrowed(self) -> bool:
        """Whether anything but the page was asked for."""
        return any((self.words, self.owner, self.state, self.capability))

    def query(self, **other: str | None) -> dict[str, str]:
        """What a link to this list says, without the page."""
        said = {**self.model_dump(exclude={"after"}), **other}
        return {name: str(value) for name, value in said.items() if value}
