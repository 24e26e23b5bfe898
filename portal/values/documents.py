"""JSON that is kept as people wrote it: looked into and changed in its text, so that nothing else of it moves."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from portal.values.configurations import TEXT, TOKEN

Path = tuple[str | int, ...]
DECODER = json.JSONDecoder(parse_int=str, parse_float=str)  # numbers may have more digits than Python reads
WHITE = " \t\n\r"
SPACE = re.compile(f"[{WHITE}]*")
LINE_BREAK = re.compile(r"\r\n|\n|\r")
UNIT = "  "


class Member(NamedTuple):
    """What stands at a key of an object, or at a place of a list: `written[at:end]`; `start` is where its key begins."""

    key: str | int
    start: int
    at: int
    end: int


def members(written: str, at: int = 0) -> list[Member]:
    """What the object or the list that begins at `at` holds, in its order; nothing where none begins there.

    `written` is JSON; where it is not, ValueError or IndexError. Each call reads from `at` on: to look at all that a list holds, call it
    once for the list and once for each of its members.
    """
    at = _past_space(written, at)
    opening, found = written[at], list[Member]()
    at = _past_space(written, at + 1) if opening in "{[" else len(written)
    while at < len(written) and written[at] not in "}]":
        start, key = at, len(found)
        if opening == "{":
            key, at = DECODER.raw_decode(written, at)
            at = _past_space(written, _past_space(written, at) + 1)
        end = DECODER.raw_decode(written, at)[1]
        found.append(Member(key, start, at, end))
        at = _past_space(written, end)
        at = _past_space(written, at + 1) if written[at] == "," else at
    return found


def member(written: str, path: Path) -> Member | None:
    """What stands at a path of keys and places, as ("agents", 3, "name"); the whole document at (); None where nothing stands."""
    at = _past_space(written, 0)
    found: Member | None = Member("", at, at, len(written.rstrip(WHITE)))
    for key in path:
        found = _of_key(members(written, found.at), key) if found else None
    return found


def pretty(written: str) -> str:
    """A document with each value in a line of its own, indented by 2; order, numbers and texts as they are written."""
    return _laid_out(written, "\n", UNIT)


def rewritten(written: str, changes: Mapping[tuple[str, ...], str | None]) -> str:
    """The document with other values at these paths of keys, given as JSON text in one line; None takes a key away.

    All else stays as it is, byte for byte. A new key comes last in its object, in a line of its own where the others are; an object that
    is missing, or null, is made; a key that goes takes its comma and its line along. `written` is JSON.
    Raises ValueError where a path leads through what is no object.
    """
    for path, text in changes.items():
        written = _without(written, path) if text is None else _with(written, path, text)
    return written


def _with(written: str, path: tuple[str, ...], text: str) -> str:
    holder = member(written, path[:-1])
    if holder is None or written[holder.at : holder.end] == "null":
        return _with(written, path[:-1], _object(path[-1], text))
    if written[holder.at] != "{":
        raise ValueError(f"At {'.'.join(path[:-1])} stands no object.")
    inside = members(written, holder.at)
    same = _of_key(inside, path[-1])
    if same:
        return _replaced(written, same, text)
    return _appended(written, inside[-1], path[-1], text) if inside else _replaced(written, holder, _object(path[-1], text))


def _without(written: str, path: tuple[str, ...]) -> str:
    holder = member(written, path[:-1])
    inside = members(written, holder.at) if holder else []
    going = _of_key(inside, path[-1])
    if holder is None or going is None:
        return written
    place = inside.index(going)
    if len(inside) == 1:
        start, end = holder.at + 1, _past_space(written, going.end)
    elif place == 0:
        start, end = going.start, inside[1].start
    else:
        start, end = inside[place - 1].end, going.end
    return written[:start] + written[end:]


def _replaced(written: str, old: Member, text: str) -> str:
    """An object or a list takes as many lines as what stood there did; what was empty gets lines where it has one to itself."""
    was = written[old.at : old.end]
    held_something = was[0] in "{[" and was[1:-1].strip(WHITE)
    breaks = LINE_BREAK.findall(was if held_something else _gap(written, old.start))
    is_whole = not written[: old.start].strip(WHITE)
    if breaks or (is_whole and not held_something):
        text = _laid_out(text, (breaks or ["\n"])[-1] + _indentation(written, old.at), _unit(written))
    return written[: old.at] + text + written[old.end :]


def _appended(written: str, last: Member, key: str, text: str) -> str:
    colon = written[last.start : last.at].removeprefix(_key_text(written, last))
    gap = _gap(written, last.start)
    breaks = list(LINE_BREAK.finditer(gap))
    if breaks:
        gap = gap[breaks[-1].start() :]
        text = _laid_out(text, breaks[-1][0] + _indentation(written, last.start), _unit(written))
    elif written[: last.start].rstrip(WHITE).endswith("{"):  # the only one so far: nothing shows what stands behind a comma
        gap = "" if colon == ":" else " "
    colon = ": " if LINE_BREAK.search(colon) else colon
    return f"{written[: last.end]},{gap}{json.dumps(key, ensure_ascii=False)}{colon}{text}{written[last.end :]}"


def _laid_out(written: str, line_break: str, unit: str) -> str:
    return "".join(_pieces(written, line_break, unit))


def _pieces(written: str, line_break: str, unit: str) -> Iterator[str]:
    depth, before = 0, ":"
    for part in TOKEN.findall(written):
        depth -= part in "}]"
        if before == "," or (before in "{[") != (part in "}]"):
            yield line_break + unit * depth
        yield ": " if part == ":" else part
        depth += part in "{["
        before = part


def _object(key: str, text: str) -> str:
    return f"{{{json.dumps(key, ensure_ascii=False)}: {text}}}"


def _of_key(inside: list[Member], key: str | int) -> Member | None:
    return next((one for one in inside if one.key == key), None)


def _key_text(written: str, of: Member) -> str:
    key = TEXT.match(written, of.start)
    return key[0] if key else ""


def _gap(written: str, at: int) -> str:
    """The white space right before a place."""
    before = written[:at]
    return before[len(before.rstrip(WHITE)) :]


def _indentation(written: str, at: int) -> str:
    """The white space that the line of a place begins with."""
    line = written[max(written.rfind("\n", 0, at), written.rfind("\r", 0, at)) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(written: str) -> str:
    """What the document indents by: as its first key is."""
    return _indentation(written, max(written.find('"'), 0)) or UNIT


def _past_space(written: str, at: int) -> int:
    space = SPACE.match(written, at)
    return space.end() if space else at
