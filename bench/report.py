"""Medians, tables, and the part of docs/performance.md that a run writes."""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench import proc
from portal.system import ROOT

# Microseconds of the web workers that the smallest page took on the machine on which the legacy backend was measured. Promises in seconds
# were made for that one, and machines differ: what was measured is told besides as it would be there, by the smallest page of that minute.
REFERENCE = 1_826
DOCUMENT = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Table:
    """What was measured, in one table; `note` says how."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def __str__(self) -> str:
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join([f"### {self.title}", "", self.note, "", *("| " + " | ".join(line) + " |" for line in lines)])


def told(values: list[float], digits: int = 0) -> str:
    """The median of what was measured, and in brackets the least and the most."""
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def there(measured: Sequence[float], smallest: Sequence[float]) -> list[float]:
    """What was measured as it would be on the machine of REFERENCE, each by the microseconds that the smallest page took beside it."""
    return [value * REFERENCE / floor for value, floor in zip(measured, smallest, strict=True)]


def verdict(values: list[float], limit: float, *, least: bool = False) -> str:
    """The limit, and whether the median keeps it."""
    kept = median(values) >= limit if least else median(values) <= limit
    return f"{'≥' if least else '≤'} {limit:g}, {'kept' if kept else 'missed'}"


def written(part: str, repeats: int, tables: list[Table], busy: float) -> str:
    """The tables under the machine, the day and the command that made them; `busy` was the load before it."""
    again = f" (`python -m bench {part} --repeats {repeats}`)" if repeats != 7 else ""
    head = f"{datetime.now(UTC):%d %B %Y}, `make bench PART={part}`{again}: {machine()}; load average before the run {busy:.1f}."
    return "\n\n".join([head, *map(str, tables)])


def machine() -> str:
    cores = os.cpu_count() or 1
    memory = round(proc.memory_bytes() / 2**30)
    return f"{cores} × {proc.processor_name()}, {memory} GiB, {platform.system()} {platform.release()}, Python {sys.version.split()[0]}"


def put(document: Path, part: str, text: str) -> None:
    """Replace what stands between the markers of this part. Raises ValueError where the document has none."""
    begin, finish = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, opened, rest = document.read_text().partition(begin)
    _old, closed, after = rest.partition(finish)
    if not opened or not closed:
        raise ValueError(f"{document.name} has no place for {part}: {begin} … {finish}")
    document.write_text(f"{before}{begin}\n{text}\n{finish}{after}")


def described(parts: dict[str, str]) -> str:
    """The parts that can be measured, each with the first sentence of its module."""
    return "\n".join(["make bench PART=…", *(f"  {name:<14} {text.splitlines()[0]}" for name, text in parts.items())])
