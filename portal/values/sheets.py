"""CSV as the portal writes it: one line at a time, and nothing in it that a spreadsheet would run."""

import csv
import io
from collections.abc import Iterable


def csv_line(cells: Iterable[object]) -> str:
    """One line of CSV with its end; each cell as text that no spreadsheet takes for a formula, None as an empty one."""
    out = io.StringIO()
    csv.writer(out).writerow(["" if cell is None else harmless(str(cell)) for cell in cells])
    return out.getvalue()


def harmless(cell: str) -> str:
    """A spreadsheet runs cells that begin like a formula; an apostrophe before them keeps them text."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") or (cell[:1] < " " and cell) else cell
