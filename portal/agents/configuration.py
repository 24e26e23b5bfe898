"""What the portal knows of an agent's configuration: its fields, how a form shows them, and how the document takes what was typed there.

The document is JSON that is kept as it is written; the functions here take one that `read_configuration` accepts;
`merged` also others.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler
from pydantic import WrapValidator as Wrapped

from portal.errors import Invalid, faults_of
from portal.values import fault_of_text, line_and_column, member, members, read_configuration, rewritten, unseen_sentence

LONGEST_NAME, MOST_TOOLS = 100, 50
# Of what BCP 47 knows the tags that begin with the code of a language: sr-Latn-RS, es-419, de-CH-1996, en-x-plain.
LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(-[a-wyz0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?",
    re.IGNORECASE | re.ASCII,
)
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
# What a browser does not send back as it was shown; line breaks come back, as breaks of its own.
UNSENT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
UNSENT_BYTES = bytes(byte for byte in range(128) if UNSENT.match(chr(byte)))
UNSENT_LATER = {b"\xc2": re.compile(b"\xc2[\x80-\x9f]"), b"\xed": re.compile(b"\xed[\xa0-\xbf]")}  # as UTF-8 writes the others


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def told(sentence: str) -> Wrapped:
    """Whatever is wrong with a value, in this sentence."""

    def check(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        try:
            return read(value)
        except ValidationError:
            raise ValueError(sentence) from None

    return Wrapped(check)


def language_tag(tag: str) -> str:
    if tag not in ("", "auto") and not LANGUAGE.fullmatch(tag):
        raise ValueError
    return tag


def in_a_line(name: str) -> str:
    if not name or name != name.strip() or _is_unsent(name, of="text"):
        raise ValueError
    return name


def few(names: Any) -> Any:
    if not isinstance(names, list | None):
        raise ValueError("Write a list of names, in square brackets.")
    if names and len(names) > MOST_TOOLS:
        raise ValueError(f"These are {len(names):,}; name at most {MOST_TOOLS}.")
    return names


def in_braces(value: Any) -> Any:
    if not isinstance(value, dict | None):
        raise ValueError("Write an object, in braces.")
    return value


Text = Annotated[str | None, told("Write this as text, in double quotes.")]
Tool = Annotated[
    str,
    Field(max_length=LONGEST_NAME),
    AfterValidator(in_a_line),
    told(f"Write each tool as its name, of at most {LONGEST_NAME} characters, for example web_search."),
]


class Part(BaseModel):
    """Keys that it does not know are nobody's business; null is as good as missing. What is text behind a field is the form's kind."""

    model_config = ConfigDict(extra="allow", strict=True)


class Limits(Part):
    """Where an answer and a conversation end."""

    answer_tokens: Annotated[
        Annotated[int, Field(ge=1, le=200_000)] | None,
        told("A whole number from 1 to 200,000, for example 1000."),
        Field(title="Longest answer", description="In tokens, the pieces of words that models count in. Empty: no limit of its own."),
        "whole number",
    ] = None
    turns: Annotated[
        Annotated[int, Field(ge=1, le=1_000)] | None,
        told("A whole number from 1 to 1,000, for example 40."),
        Field(title="Most answers", description="How many it gives in one conversation. Empty: no limit of its own."),
        "whole number",
    ] = None


class Handover(Part):
    """When a person takes over, and who."""

    when: Annotated[
        Text,
        Field(title="Hand over when", description="In which cases a person takes over, in your own words."),
        "long text",
    ] = None
    to: Annotated[
        Text,
        Field(title="Hand over to", description="An e-mail address, or the name of a person or a team."),
        "text",
    ] = None


class Configuration(Part):
    """What an agent is told. Every key may be missing; others than these are kept, and nothing is asked of them."""

    instructions: Annotated[
        Text,
        Field(title="Instructions", description="What it is for, how it answers, and what it must not do."),
        "long text",
    ] = None
    greeting: Annotated[
        Text,
        Field(title="Greeting", description="What it says first. Empty: it waits until somebody writes."),
        "long text",
    ] = None
    language: Annotated[
        Annotated[str, AfterValidator(language_tag)] | None,
        told("Write auto, or the tag of a language, for example de, pt-BR or sr-Latn."),
        Field(
            title="Language",
            description="The tag of the one that it answers in, for example de or pt-BR; auto: the one it is written to in.",
        ),
        "text",
    ] = None
    model: Annotated[
        Annotated[str, Field(max_length=LONGEST_NAME)] | None,
        told(f"Write the model's name as text, of at most {LONGEST_NAME} characters."),
        Field(title="Model", description="The name of a language model, as its provider writes it. Empty: left open."),
        "text",
    ] = None
    temperature: Annotated[
        Annotated[float, Field(ge=0, le=2)] | None,
        told("Between 0 and 2, for example 0.3."),
        Field(
            title="Temperature", description="How freely it words its answers, from 0, nearly always alike, to 2. Empty: as its model does."
        ),
        "number",
    ] = None
    tools: Annotated[
        Annotated[list[Tool], Field(fail_fast=True)] | None,
        BeforeValidator(few),
        Field(title="Tools", description=f"What it may use, one name to a line, for example web_search; at most {MOST_TOOLS}."),
        "lines",
    ] = None
    limits: Annotated[
        Limits | None,
        BeforeValidator(in_braces),
        Field(title="Limits", description="Where an answer and a conversation end."),
    ] = None
    handover: Annotated[
        Handover | None,
        BeforeValidator(in_braces),
        Field(title="Handover", description="When a person takes over, and who."),
    ] = None


class Setting(NamedTuple):
    """A field of the form; `name` is its path ("limits.turns"), `kind` is text, long text, number, whole number or lines.

    A number belongs into a text field: what a browser cannot read in a number field it sends as nothing, which would clear it.
    """

    name: str
    label: str
    help: str
    kind: str

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))

    @property
    def key(self) -> str:
        """Its name among the fields of a form."""
        return self.name.replace(".", "_")


@cache
def fields() -> tuple[Setting, ...]:
    """The fields in the order that the form shows them."""
    return tuple(_fields(Configuration))


def shown(written: str) -> dict[str, str | None]:
    """What the form shows of a document, by the fields' names; numbers as they are written.

    "" where nothing stands; None where something stands that the form cannot show: that is written as JSON, and is changed there.
    """
    document = json.loads(written, parse_int=Number, parse_float=Number)
    return {field.name: _shown(_value(document, field.path), field.kind) for field in fields()}


def merged(written: str, typed: Mapping[str, str | None]) -> str:
    """The document with what was typed into the form, by the fields' names; all that was not changed stays, byte for byte.

    Untouched is what was left as it was shown, what was not shown, and what is missing in `typed` or None there. What was cleared goes,
    and with it a handover or limits that hold nothing else. Raises Invalid with the faults of what was changed, under the fields' names,
    or under "configuration" where the document as a whole cannot be kept so; ValueError or RecursionError for what is no JSON. A document
    that `read_configuration` refuses is taken where what was typed mends it.
    """
    changes = dict(_changes(written, typed))
    if not changes:
        return written
    refused = {field.name for field, text in changes.items() if _unsent(text)}
    values = {field: _value_of(field, text) for field, text in changes.items() if field.name not in refused and text}
    wrong = {".".join(_names(path)): sentence for path, sentence in _faults(_object(values))}
    if refused or wrong:
        raise Invalid(fields={**wrong, **_faults_of_texts(changes)})
    said = {field.path: _json(value, changes[field]) for field, value in values.items()}
    result = _tidied(rewritten(written, {**said, **{field.path: None for field, text in changes.items() if not text}}), changes)
    try:
        read_configuration(result)
    except ValueError as fault:  # what one of the texts holds is told beside its field
        raise Invalid(fields=_faults_of_texts(changes) or {"configuration": str(fault)}) from None
    return result


def faults(written: str) -> dict[str, str]:
    """What the known keys of a document hold that they must not: a sentence for each, under the fields' names."""
    return {".".join(_names(path)): sentence for path, sentence in _faults(read_configuration(written))}


def refuse_wrong_values(written: str) -> None:
    """Raises ValueError with line, column, place and a sentence for the first known key whose value is of a wrong type or range.

    For whoever saves, besides `read_configuration`: what was saved earlier stays readable.
    """
    found = [(there.at, path, sentence) for path, sentence in _faults(read_configuration(written)) if (there := member(written, path))]
    for at, path, sentence in sorted(found)[:1]:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        raise ValueError(f"{line_and_column(written, at)} ({place}): {sentence[0].lower()}{sentence[1:]}")


def _fields(model: type[BaseModel], above: str = "") -> Iterator[Setting]:
    for name, of in model.model_fields.items():
        kind = next((kind for kind in of.metadata if isinstance(kind, str)), None)
        if kind:
            yield Setting(above + name, of.title or "", of.description or "", kind)
        else:
            yield from _fields(get_args(of.annotation)[0], f"{name}.")


def _value(document: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path: None where nothing does, ... where the path leads through what is no object."""
    for key in path:
        if not isinstance(document, dict):
            return None if document is None else ...
        document = document.get(key)
    return document


def _shown(value: Any, kind: str) -> str | None:
    if value is None:
        return ""
    if kind in ("number", "whole number"):
        return str(value) if isinstance(value, Number) else None
    if kind == "lines":
        names: list[Any] = value if isinstance(value, list) else [...]
        return "\n".join(names) if all(type(name) is str and _shown(name, "text") == name.strip() != "" for name in names) else None
    return value if type(value) is str and not _is_unsent(value, of=kind) else None


def _is_unsent(text: str, *, of: str) -> bool:
    return bool(_unsent(text)) or (of == "text" and ("\n" in text or "\r" in text))


def _unsent(text: str) -> re.Match[str] | None:
    """The first that a browser does not send back; that there is none is known many times quicker."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded.translate(None, UNSENT_BYTES)) == len(encoded) and not any(
        first in encoded and later.search(encoded) for first, later in UNSENT_LATER.items()
    ):
        return None
    return UNSENT.search(text)


def _changes(written: str, typed: Mapping[str, str | None]) -> Iterator[tuple[Setting, str]]:
    """The fields that were changed, and what was typed there, tidied; "" where one was cleared."""
    seen = shown(written)
    for field in fields():
        before, now = seen[field.name], typed.get(field.name)
        if before is not None and now is not None and _tidy(now, field.kind) != _tidy(before, field.kind):
            yield field, _tidy(now, field.kind)


def _tidy(typed: str, kind: str) -> str:
    lines = typed.replace("\r\n", "\n").replace("\r", "\n")
    if kind == "long text":
        return "" if lines.isspace() else lines
    if kind == "lines":
        return "\n".join(dict.fromkeys(line.strip() for line in lines.split("\n") if line.strip()))
    return " ".join(typed.split())


def _typing_fault(text: str) -> str | None:
    """What is wrong with a text wherever it is typed."""
    unsent = _unsent(text)
    if unsent:
        return unseen_sentence(text, unsent.start())
    fault = fault_of_text(text)
    return f"{fault[0].upper()}{fault[1:]}." if fault else None


def _faults_of_texts(changes: Mapping[Setting, str]) -> dict[str, str]:
    return {field.name: fault for field, text in changes.items() if (fault := _typing_fault(text))}


def _value_of(field: Setting, text: str) -> Any:
    """What was typed as a value; what is no number stays a text, which the model refuses."""
    if field.kind.endswith("number") and NUMBER.fullmatch(text):
        return json.loads(text)
    return text.split("\n") if field.kind == "lines" else text


def _json(value: Any, text: str) -> str:
    """A value as JSON; numbers as they were typed."""
    return text if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False)


def _faults(read: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What the known keys hold that they must not: the path of each, and a sentence."""
    try:
        Configuration.model_validate(read)
    except ValidationError as error:
        for location, sentence in faults_of(error):
            yield tuple(int(part) if part.isdecimal() else part for part in location), sentence


def _object(values: Mapping[Setting, Any]) -> dict[str, Any]:
    """What these fields hold, as one object."""
    found: dict[str, Any] = {}
    for field, value in values.items():
        holder = found
        for key in field.path[:-1]:
            holder = holder.setdefault(key, {})
        holder[field.path[-1]] = value
    return found


def _names(path: tuple[str | int, ...]) -> list[str]:
    return [part for part in path if isinstance(part, str)]


def _tidied(written: str, changes: Mapping[Setting, str]) -> str:
    """Without the objects that hold nothing since something in them was cleared."""
    for path in {field.path[:1] for field, text in changes.items() if not text and len(field.path) > 1}:
        holder = member(written, path)
        if holder and not members(written, holder.at):
            written = rewritten(written, {path: None})
    return written
