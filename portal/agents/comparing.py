"""What differs between two states of an agent: its fields, its configuration key by key, and the document line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from portal.differences import ROWS, Difference, Effort, Lines, difference
from portal.values import members, pretty, read_configuration

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
    keys = [lines for lines in _keys(read, written) if lines.old != lines.new] if read else []
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
    old, new = (of.split("\n") for of in (map(pretty, written) if read else written))
    return difference(Lines("Configuration", old, new, True), effort)


def _fields(old: Any, new: Any) -> Iterator[Lines]:
    yield Lines("Name", [old.name], [new.name])
    yield Lines("Type", [old.agent_type], [new.agent_type])
    yield Lines("What it is for", _lines(old.description), _lines(new.description))
    yield Lines("What it can do", list(old.capabilities), list(new.capabilities))


def _keys(read: list[dict[str, Any]], written: list[str]) -> Iterator[Lines]:
    """Each top-level key: texts by their own lines, anything else as its JSON."""
    texts = [{one.key: text[one.at : one.end] for one in members(text)} for text in written]
    for key in read[0] | read[1]:
        is_json = not all(type(of[key]) is str for of in read if key in of)
        before, after = (_value(key, of, text, is_json) for of, text in zip(read, texts, strict=True))
        yield Lines(key.replace("_", " ").capitalize() or "No name", before, after, is_json)


def _value(key: str, read: dict[str, Any], texts: dict[str | int, str], is_json: bool) -> list[str]:
    return (pretty(texts[key]) if is_json else str(read[key])).split("\n") if key in read else []


def _told(keys: list[Lines], effort: Effort) -> Iterator[Difference]:
    """The differences of as many keys as there is room for."""
    room = ROWS_OF_KEYS
    for lines in keys[:KEYS]:
        if room > 0:
            yield (told := difference(lines, effort, min(room, ROWS)))
            room -= len(told.rows)


def _lines(text: str | None) -> list[str]:
    return text.split("\n") if text else []
