"""Matching the columns of a file to what an account has: by what the header calls them, or by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from portal.errors import Invalid
from portal.imports.commands import Holds
from portal.values import SheetFault, folded, read_csv

MOST_COLUMNS = 100  # of a file that somebody matches by hand
VALUES = 3  # of each column, to tell what it holds
CELL = 40  # characters of such a value
# What a column is called in a header, folded, without what is neither letter nor digit.
HEADERS = {
    "email": ("email", "mail", "emailaddress", "mailaddress", "emailadresse", "courriel", "adressemail", "correo", "correoelectronico"),
    "first_name": ("firstname", "givenname", "forename", "vorname", "prenom", "nombre"),
    "last_name": ("lastname", "surname", "familyname", "nachname", "familienname", "nom", "apellido", "apellidos"),
    "username": ("username", "login", "loginname", "account", "benutzername", "user"),
    "role": ("role", "rolle", "rol"),
}
WORDS = {"email": "e-mail", "first_name": "first name", "last_name": "last name", "username": "username", "role": "role"}
NEEDED = {"invited": ("email",), "deactivated": ("email", "username")}
# The username of whoever is invited is not read: each chooses it.
READ = {"invited": ("email", "first_name", "last_name", "role"), "deactivated": tuple(WORDS)}
COLUMN_OF = {name: column for column, names in HEADERS.items() for name in names}
NOBODY = "There is nobody in this file: it needs a header and a line for each person."


@dataclass(frozen=True)
class Columns:
    """Which column of the file, counted from 0, holds what; `aside` are those that are not read, `width` is how many there are."""

    places: dict[str, int]
    aside: list[str]
    width: int


@dataclass(frozen=True)
class Column:
    """A column of a file for somebody who matches it: its name, its first values, and what it is thought to hold ('' for nothing)."""

    name: str
    values: list[str]
    holds: str


def beginning(file: bytes) -> tuple[list[str], list[list[str]]]:
    """The header and the lines after it that tell what the columns hold; raises Invalid where they cannot be read or nothing is there."""
    try:
        records = [cells for _, cells in islice(read_csv(file), 1 + VALUES)]
    except SheetFault as fault:
        raise Invalid(file=str(fault)) from None
    if not records:
        raise Invalid(file=NOBODY)
    return records[0], records[1:]


def suggested(header: Sequence[str], become: str) -> list[Holds]:
    """What the name of each column says that it holds, in any spelling; '' for what is not read."""
    held = [COLUMN_OF.get("".join(sign for sign in folded(name) if sign.isalnum()), "") for name in header]
    return [name if name in READ[become] else "" for name in held]  # type: ignore[misc]


def matched(holds: Sequence[str], header: Sequence[str], become: str) -> Columns:
    """Where each is that is read; raises Invalid(columns=…) naming what has no column, and what has two."""
    if len(holds) != len(header):
        raise Invalid(columns=f"The file has {len(header):,} columns. Say of each what it holds, or that it is not used.")
    faults = [f"No column holds the {WORDS[name]}; choose one." for name in NEEDED[become] if name not in holds]
    for name in dict.fromkeys(filter(None, holds)):
        named = [f"“{header[place].strip()[:40]}”" for place, held in enumerate(holds) if held == name]
        if name not in READ[become]:
            faults.append("Whoever is invited chooses the username; it is not read from a file.")
        elif len(named) > 1:
            faults.append(f"{len(named)} columns are said to hold the {WORDS[name]}: {', '.join(named[:5])}. Choose one of them.")
    if faults:
        raise Invalid(columns=" ".join(faults))
    return columns_at({name: place for place, name in enumerate(holds) if name}, header)


def columns_at(places: dict[str, int], header: Sequence[str]) -> Columns:
    """The columns of a file of this header, which were matched before."""
    aside = [name.strip() or f"column {place + 1}" for place, name in enumerate(header) if place not in places.values()]
    return Columns(dict(sorted(places.items(), key=lambda one: one[1])), aside, len(header))


def candidates(header: Sequence[str], lines: Iterable[Sequence[str]], holds: Sequence[str]) -> list[Column]:
    """The columns for somebody who matches them, each thought to hold what `holds` says."""
    lines = list(lines)
    values = [[cells[place].strip()[:CELL] for cells in lines if cells[place : place + 1]] for place in range(len(header))]
    return [Column(name.strip()[:CELL], values[place], holds[place]) for place, name in enumerate(header)]


def demand_few(header: Sequence[str]) -> None:
    """Raises Invalid for more columns than somebody matches by hand."""
    if len(header) > MOST_COLUMNS:
        few = f"Columns are matched by hand in files of at most {MOST_COLUMNS}; this one has {len(header):,}."
        raise Invalid(file=f"{few} Take away what is not needed, or name what is needed in the header.")
