"""JSON that people write: read strictly, with line, column and place of what is wrong."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

LARGEST = 64 * 1024  # bytes of UTF-8
DEEPEST = 20
MOST_KEYS = 1_000
LONGEST_NUMBER = 100
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[][{},:]')
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
# Keys of well-known services, by what they begin with, and private keys. A word's beginning is asked for behind it: patterns that begin
# with letters are looked for many times quicker.
KEYS = {
    **dict.fromkeys(("sk", "pk", "rk"), "[-_](?:live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{20}"),
    "AKIA": r"[0-9A-Z]{16}\b",
    "gh": "[pousr]_[A-Za-z0-9]{30}",
    "xox": "[abprs]-[A-Za-z0-9-]{10}",
    "AIza": "[0-9A-Za-z_-]{30}",
}
SECRET = re.compile("|".join([*(rf"{begins}(?<=\b{begins}){rest}" for begins, rest in KEYS.items()), "-----BEGIN [A-Z ]*PRIVATE KEY-----"]))
# Tokens that carry a signature, in the group. The first part is taken without the others too: else each that begins within a long one
# would read all of it again.
SIGNED = re.compile(r"eyJ(?<=\beyJ)[A-Za-z0-9_-]{10,}(\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10})?")
HALF = re.compile("[\ud800-\udfff]")
# What the parser of the standard library says, as people are told it.
SENTENCES = {
    "Expecting value": "a value is missing here",
    "Expecting property name enclosed in double quotes": "a key in double quotes is missing here",
    "Expecting ':' delimiter": "a colon is missing here",
    "Expecting ',' delimiter": "a comma is missing here, or something stands here that does not belong here",
    "Unterminated string starting at": "the text that begins here has no closing quote",
    "Invalid control character at": "a line break or another control character stands within a text; write it as \\n",
    "Invalid \\escape": "no such sign follows a backslash; write \\\\ for a backslash itself",
    "Extra data": "the document ends before this; take away what follows",
    "Unexpected UTF-8 BOM (decode using utf-8-sig)": "an invisible mark (BOM) stands in front of the document; delete it",
}


class Number(str):
    """A number as it was written."""

    __slots__ = ()


@dataclass
class Keys:
    """The keys of all objects of a document, as the parser comes by."""

    count: int = 0
    any_twice: bool = False

    def note(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        self.count += len(pairs)
        self.any_twice |= len(found) < len(pairs)
        return found


@dataclass
class Part:
    """An object or a list that the reader is inside of."""

    is_object: bool
    keys: set[str] = field(default_factory=set)
    key: str | None = None
    index: int = 0

    @property
    def place(self) -> str:
        if not self.is_object:
            return f"[{self.index}]"
        return "" if self.key is None else "." + "".join(char if char.isprintable() else "\ufffd" for char in self.key[:60])


def read_configuration(written: str) -> dict[str, Any]:
    """The object that a JSON document holds, its numbers as they were written.

    Raises ValueError with a sentence that names line, column and place: for what is no JSON, no object, larger than 64 KiB, nested deeper
    than 20 levels, with more than 1,000 keys, a key twice in one object, NaN or Infinity, a number beyond every range, for U+0000 or half a
    surrogate pair in a text, and for what looks like a secret key.
    """
    if len(written.encode("utf-8", "surrogatepass")) > LARGEST:
        raise ValueError("This is larger than 64 KiB. Shorten its texts.")
    keys = Keys()
    try:
        found = json.loads(written, parse_constant=_no_number, parse_int=Number, parse_float=Number, object_pairs_hook=keys.note)
    except json.JSONDecodeError as fault:
        raise ValueError(json_sentence(fault)) from None
    except RecursionError:
        raise ValueError(f"This is nested deeper than {DEEPEST} levels.") from None
    except NotANumber as fault:
        bare = TEXT.sub(lambda text: "_" * len(text[0]), written)
        raise ValueError(f"{line_and_column(written, bare.find(str(fault)))}: {fault} is no number of JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("Line 1, column 1: the document has to be an object, in braces.")
    for at, place, sentence in _faults(written) if keys.any_twice or keys.count > MOST_KEYS or _is_faulty(found) else ():
        raise ValueError(f"{line_and_column(written, at)}{f' ({place})' if place else ''}: {sentence}.")
    return found


def json_sentence(fault: json.JSONDecodeError) -> str:
    """Why a text is no JSON, and where, in a sentence."""
    return f"Line {fault.lineno}, column {fault.colno}: {SENTENCES.get(fault.msg, fault.msg[:1].lower() + fault.msg[1:])}."


class NotANumber(Exception):
    pass


def _no_number(name: str) -> NoReturn:
    raise NotANumber(name)


def line_and_column(written: str, at: int) -> str:
    """Where the character at `at` stands: “Line 3, column 18”."""
    return f"Line {written.count(chr(10), 0, at) + 1}, column {at - written.rfind(chr(10), 0, at)}"


def _is_faulty(found: dict[str, Any]) -> bool:
    """Whether `_faults` finds something besides keys; without its place this is known many times quicker."""
    inside: list[Any] = [found]
    texts: list[str] = []
    for _level in range(DEEPEST):
        values = [value for part in inside for value in (part.values() if isinstance(part, dict) else part)]
        texts += [key for part in inside if isinstance(part, dict) for key in part]
        texts += [value for value in values if isinstance(value, str)]
        inside = [value for value in values if isinstance(value, dict | list)]
    numbers = [text for text in texts if type(text) is Number]
    return bool(inside) or any(map(_is_too_large, numbers)) or _fault_of_text("\n".join(texts)) is not None


def _faults(written: str) -> Iterator[tuple[int, str, str]]:
    """What is JSON and yet cannot be kept, in the order of the document: where it begins, its place (`tools[2].name`), and a sentence."""
    parts: list[Part] = []
    keys = 0
    for match in TOKEN.finditer(written):
        part, inner = match[0], parts[-1] if parts else None
        is_key = inner is not None and inner.is_object and inner.key is None and part[0] == '"'
        sentence = fault_of(part)
        if part in "{[":
            parts.append(Part(part == "{"))
            sentence = f"this is nested deeper than {DEEPEST} levels" if len(parts) > DEEPEST else None
        elif part in "}]":
            parts.pop()
        elif part == "," and inner:
            inner.key, inner.index = None, inner.index + 1
        elif is_key and inner:
            inner.key, keys = json.loads(part), keys + 1
            if inner.key in inner.keys:
                sentence = "this key stands twice in one object"
            elif keys > MOST_KEYS:
                sentence = f"there are more than {MOST_KEYS:,} keys"
            inner.keys.add(str(inner.key))
        if sentence:
            yield match.start(), "".join(part.place for part in parts).lstrip("."), sentence


def fault_of(token: str) -> str | None:
    """Why a text or a number, as it is written, cannot be kept; None where it can."""
    if token[0] == '"':
        return _fault_of_text(json.loads(token))
    return "this number is too large" if token[0] in "-0123456789" and _is_too_large(token) else None


def _fault_of_text(text: str) -> str | None:
    if "\x00" in text:
        return "a text holds U+0000, which cannot be kept"
    if SECRET.search(text) or any(found[1] for found in SIGNED.finditer(text)):
        return "this looks like a secret key. Whoever sees the agent reads this; keys belong into the settings of the server"
    return "a text holds half a character (a lone surrogate)" if HALF.search(text) else None


def _is_too_large(number: str) -> bool:
    return len(number) > LONGEST_NUMBER or not math.isfinite(float(number))
