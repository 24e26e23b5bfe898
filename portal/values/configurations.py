"""JSON that people write: read strictly, with line, column and place of what is wrong."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

LARGEST = 64 * 1024  # bytes of UTF-8
DEEPEST = 20
MOST_KEYS = 1_000
LONGEST_NUMBER = 100
TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
TOKEN = re.compile(rf"{TEXT.pattern}|-?\d[\d.eE+-]*|true|false|null|[][{{}},:]")
# For bytes.translate: what numbers are written with becomes 9, all else a space, so that a long number is a run of nines.
SIGNS = bytes(ord("9") if chr(byte) in "0123456789.eE+-" else ord(" ") for byte in range(256))
# Keys of well-known services, by the letters that they begin with, and private keys. Each is looked for by itself, and what stands
# before its first letters is asked for behind them: patterns that begin with letters are looked for many times quicker.
SECRETS = [
    re.compile(pattern)
    for pattern in (
        r"k(?<=\b[spr]k)[-_](?:live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{20}",
        r"AKIA(?<=\bAKIA)[0-9A-Z]{16}\b",
        r"gh(?<=\bgh)[pousr]_[A-Za-z0-9]{30}",
        r"xox(?<=\bxox)[abprs]-[A-Za-z0-9-]{10}",
        r"AIza(?<=\bAIza)[0-9A-Za-z_-]{30}",
        "-----BEGIN [A-Z ]*PRIVATE KEY-----",
    )
]
# Tokens that carry a signature, in the group. The first part is taken without the others too: else each that begins within a long one
# would read all of it again.
SIGNED = re.compile(r"eyJ(?<=\beyJ)[A-Za-z0-9_-]{10,}(\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10})?")
# What the bytes of a document hold wherever one of its texts holds a secret or half a character, as long as nothing is escaped by its
# number; that they hold it says little. What stands before a secret may be escaped: nothing is asked about it.
PERHAPS = [
    re.compile(pattern)
    for pattern in (
        *(secret.pattern.replace(r"\b", "").encode() for secret in SECRETS),
        rb"J(?<=eyJ)[A-Za-z0-9_-]{10}",
        rb"\\u",
        b"\xed[\xa0-\xbf]",
    )
]
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


@lru_cache(maxsize=8)  # whoever saves asks for the same text more than once
def read_configuration(written: str) -> dict[str, Any]:
    """The object that a JSON document holds; whoever asks for the same text gets the same object, so it is never to be changed.

    Raises ValueError with a sentence that names line, column and place: for what is no JSON, no object, larger than 64 KiB, nested deeper
    than 20 levels, with more than 1,000 keys, a key twice in one object, NaN or Infinity, a number beyond every range, for U+0000 or half a
    surrogate pair in a text, and for what looks like a secret key.
    """
    encoded = written.encode("utf-8", "surrogatepass")
    if len(encoded) > LARGEST:
        raise ValueError("This is larger than 64 KiB. Shorten its texts.")
    long_numbers = b"9" * (LONGEST_NUMBER + 1) in encoded.translate(SIGNS)
    # Only where they are needed: with them each number costs more.
    numbers: dict[str, Any] = {"parse_int": _unless_long(int), "parse_float": _unless_long(float)} if long_numbers else {}
    keys = Keys()
    try:
        found = json.loads(written, parse_constant=_no_number, object_pairs_hook=keys.note, **numbers)
    except json.JSONDecodeError as fault:
        raise ValueError(json_sentence(fault)) from None
    except RecursionError:
        raise ValueError(f"This is nested deeper than {DEEPEST} levels.") from None
    except NotANumber as fault:
        bare = TEXT.sub(lambda text: "_" * len(text[0]), written)
        raise ValueError(f"{line_and_column(written, bare.find(str(fault)))}: {fault} is no number of JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("Line 1, column 1: the document has to be an object, in braces.")
    for at, place, sentence in _faults(written) if keys.any_twice or keys.count > MOST_KEYS or _is_faulty(found, encoded) else ():
        raise ValueError(f"{line_and_column(written, at)}{f' ({place})' if place else ''}: {sentence}.")
    return found


def seems_readable(written: str) -> bool:
    """Whether a document may be an object within the limits, so that looking for something in it takes no longer than reading it."""
    return written.lstrip()[:1] == "{" and len(written) <= LARGEST and written.count(":") <= MOST_KEYS


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


def _unless_long(read: Callable[[str], float]) -> Callable[[str], float]:
    """Reads numbers; those that are too long are infinite, as those are that are too large."""
    return lambda digits: read(digits) if len(digits) <= LONGEST_NUMBER else math.inf


def _is_faulty(found: dict[str, Any], encoded: bytes) -> bool:
    """Whether `_faults` finds something besides keys in what was read and encoded; without its place this is known many times quicker."""
    read_texts = any(perhaps.search(encoded) for perhaps in PERHAPS)
    inside: list[Any] = [found]
    texts: list[str] = []
    for _level in range(DEEPEST):
        values: list[Any] = []
        for part in inside:
            if type(part) is dict and read_texts:
                texts += part
            values += part.values() if type(part) is dict else part
        kinds = set(map(type, values))
        if float in kinds and _holds_infinite(values if len(kinds) == 1 else [value for value in values if type(value) is float]):
            return True
        texts += [value for value in values if type(value) is str] if read_texts and str in kinds else []
        inside = [value for value in values if type(value) in (dict, list)] if kinds & {dict, list} else []
    return bool(inside) or (read_texts and fault_of_text("\n".join(texts)) is not None)


def _holds_infinite(numbers: list[float]) -> bool:
    return not math.isfinite(sum(numbers)) and any(map(math.isinf, numbers))


def _faults(written: str) -> Iterator[tuple[int, str, str]]:
    """What is JSON and yet cannot be kept, in the order of the document: where it begins, its place (`tools[2].name`), and a sentence."""
    parts: list[Part] = []
    keys = 0
    for match in TOKEN.finditer(written):
        part, inner = match[0], parts[-1] if parts else None
        is_key = inner is not None and inner.is_object and inner.key is None and part[0] == '"'
        sentence = _fault_of(part)
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


def _fault_of(token: str) -> str | None:
    """Why a text or a number, as it is written, cannot be kept; None where it can."""
    if token[0] == '"':
        return fault_of_text(json.loads(token))
    return "this number is too large" if token[0] in "-0123456789" and _is_too_large(token) else None


def fault_of_text(text: str) -> str | None:
    """Why a text cannot be kept; None where it can."""
    encoded = text.encode("utf-8", "surrogatepass")
    if b"\x00" in encoded:
        return "a text holds U+0000, which cannot be kept"
    perhaps = any(one.search(encoded) for one in PERHAPS)
    if perhaps and (any(secret.search(text) for secret in SECRETS) or any(found[1] for found in SIGNED.finditer(text))):
        return "this looks like a secret key. Whoever sees the agent reads this; keys belong into the settings of the server"
    return "a text holds half a character (a lone surrogate)" if perhaps and _holds_half(text) else None


def _holds_half(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_too_large(number: str) -> bool:
    return len(number) > LONGEST_NUMBER or not math.isfinite(float(number))
