"""CSV: written one line at a time, with nothing in it that a spreadsheet would run, and read with the numbers of its lines."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator

FORMULA = re.compile(r"(\A|(?:;|(?<=.)[\t\r\n])[ \"]*)(?=[=+\-@])", re.DOTALL)
LONGEST_RECORD = 250_000  # bytes: of nothing but separators it is that many cells, and each is an object in memory


def csv_line(cells: Iterable[object]) -> str:
    """One line of CSV with its end; each cell as text that no spreadsheet takes for a formula, None as an empty one."""
    out = io.StringIO()
    csv.writer(out).writerow(["" if cell is None else harmless(str(cell)) for cell in cells])
    return out.getvalue()


def harmless(cell: str) -> str:
    """A spreadsheet runs cells that begin like a formula; an apostrophe before them keeps them text.

    Also within a text: spreadsheets of half the world part cells at semicolons, and see another cell where ours goes on.
    """
    kept = FORMULA.sub(r"\1'", cell)
    return f"'{kept}" if cell and cell[0] < " " else kept


class SheetFault(ValueError):
    """A file that cannot be read as CSV, in words that name the line."""


def read_csv(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file in UTF-8, each with the number of the line that it begins in; empty lines are left out.

    Cells are separated by what separates those of the first line: comma, semicolon or tab. Raises SheetFault at the first line that
    cannot be read. Memory does not grow with the file, nor with a line of it.
    """
    first = data[: data.find(b"\n") + 1 or None]
    separator = max(b",;\t", key=first.count)
    lines = _Lines(data)
    reader = csv.reader(lines, delimiter=chr(separator), strict=True)
    while True:
        begins = lines.begin()
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise SheetFault(f"Line {begins:,}: {_quoting(str(error))}") from None
        if record is None:
            return
        if any(cell.strip() for cell in record):
            yield begins, record


class _Lines:
    """The lines of a file as text, counted; no record grows without end."""

    def __init__(self, data: bytes) -> None:
        self.lines, self.number, self.begins, self.length = io.BytesIO(data.removeprefix(codecs.BOM_UTF8)), 0, 1, 0

    def begin(self) -> int:
        """A record begins here; the number of its first line."""
        self.begins, self.length = self.number + 1, 0
        return self.begins

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.lines.readline()
        if not line:
            raise StopIteration
        self.number += 1
        self.length += len(line)
        if self.length > LONGEST_RECORD:
            raise SheetFault(f"Line {self.begins:,} is longer than {LONGEST_RECORD:,} bytes; perhaps a quotation mark is missing.")
        if self.number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise SheetFault("Line 1 is not in UTF-8 but in UTF-16. Save the file as CSV in UTF-8.")
        if b"\0" in line:
            raise SheetFault(f"Line {self.number:,} holds a NUL character. Save the file as CSV in UTF-8.")
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise SheetFault(f"Line {self.number:,} is not in UTF-8. Save the file as CSV in UTF-8.") from None


def _quoting(error: str) -> str:
    if "field limit" in error:
        return "a cell is longer than 131,072 characters; perhaps a quotation mark is missing."
    if "unexpected end" in error:
        return "a quotation mark that opens here is never closed."
    if "new-line" in error:
        return "the lines end in a way that cannot be read. Save the file as CSV in UTF-8."
    return "the quotation marks are not right. Inside quotes, write each quotation mark twice."
