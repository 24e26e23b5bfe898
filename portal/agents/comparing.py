"""What differs between two states of an agent: its fields, its configuration key by key, and the document line by line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portal.differences import ROWS, Difference, Effort, Lines, difference
from portal.values import read_configuration
from portal.values.configurations import Number

KEYS = 100  # of the configuration that are shown
ROWS_OF_KEYS = 1_000  # that they may show together


@dataclass(frozen=True)
class Comparison:
    """What differs: the fields, the top-level keys of the configuration (`more_keys` beyond those are not told), and its document as lines.

    There are no keys where a document cannot be read; its lines are then compared as they were written.
    """

    fields: tuple[Difference, ...]
    keys: tuple[Difference, ...]
    more_keys: int
    document: Difference | None

    @property
    def differs(self) -> bool:
        return bool(self.fields or self.document)


def compare(old: Any, new: Any) -> Comparison:
    """Compare two states of an agent: whatever has name, agent_type, description, capabilities and configuration (the text of its JSON)."""
    effort = Effort()
    written = [old.configuration, new.configuration]
    read = _read(written) if written[0] != written[1] else None
    keys = [lines for lines in _keys(*read) if lines.old != lines.new] if read else []
    return Comparison(
        tuple(difference(lines, effort) for lines in _fields(old, new) if lines.old != lines.new),
        told := tuple(_told(keys, effort)),
        len(keys) - len(told),
        _document(written, read, effort),
    )


def _read(written: list[str]) -> list[dict[str, Any]] | None:
    try:
        return [read_configuration(of) for of in written]
    except ValueError:
        return None


def _document(written: list[str], read: list[dict[str, Any]] | None, effort: Effort) -> Difference | None:
    if written[0] == written[1]:
        return None
    old, new = (of.split("\n") for of in ([_laid_out(of) for of in read] if read else written))
    return difference(Lines("Configuration", old, new, True), effort)


def _fields(old: Any, new: Any) -> Iterator[Lines]:
    yield Lines("Name", [old.name], [new.name])
    yield Lines("Type", [old.agent_type], [new.agent_type])
    yield Lines("What it is for", _lines(old.description), _lines(new.description))
    yield Lines("What it can do", list(old.capabilities), list(new.capabilities))


def _keys(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Lines]:
    """Each top-level key: texts by their own lines, anything else as its JSON."""
    for key in old | new:
        is_json = not all(type(of[key]) is str for of in (old, new) if key in of)
        before, after = (_value(of[key], is_json) if key in of else [] for of in (old, new))
        yield Lines(key.replace("_", " ").capitalize() or "No name", before, after, is_json)


def _told(keys: list[Lines], effort: Effort) -> Iterator[Difference]:
    """The differences of as many keys as there is room for."""
    room = ROWS_OF_KEYS
    for lines in keys[:KEYS]:
        if room > 0:
            yield (told := difference(lines, effort, min(room, ROWS)))
            room -= len(told.rows)


def _lines(text: str | None) -> list[str]:
    return text.split("\n") if text else []


def _value(value: Any, is_json: bool) -> list[str]:
    return (_laid_out(value) if is_json else str(value)).split("\n")


def _laid_out(value: Any, indent: str = "") -> str:
    """JSON on lines of its own, keys in their order and numbers as they were written."""
    within = indent + "  "
    if isinstance(value, dict) and value:
        parts = [f"{within}{json.dumps(key, ensure_ascii=False)}: {_laid_out(part, within)}" for key, part in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(within + _laid_out(part, within) for part in value) + f"\n{indent}]"
    return value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)
