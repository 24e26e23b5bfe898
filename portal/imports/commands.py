"""What people ask for when they import people, and how a line of their file is understood."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, field_validator

from portal.auth.commands import Confirmed
from portal.errors import Invalid
from portal.values import clean_email_and_key, clean_person_name, clean_username, folded, username_key

LARGEST = 20 * 1000 * 1000  # bytes of a file
MOST = 200_000  # people in a file
KEPT = 10 * LARGEST  # bytes of all files that an organization may have waiting
MOST_COLUMNS = 100  # of a file that somebody matches by hand
Become = Literal["invited", "deactivated"]
Holds = Literal["", "email", "first_name", "last_name", "username", "role"]
# What a column is called in a header, folded, without what is neither letter nor digit.
HEADERS = {
    "email": ("email", "mail", "emailaddress", "mailaddress"),
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
ROLES = {
    "": "user",
    "user": "user",
    "org admin": "org_admin",
    "organization admin": "org_admin",
    "admin": "admin",
    "super admin": "super_admin",
}


class TakeFile(BaseModel):
    """A CSV file of people, and what they become: invited by mail, or accounts that are deactivated and nobody has a password of."""

    name: str
    file: bytes
    become: Become

    @field_validator("file")
    @classmethod
    def fits(cls, file: bytes) -> bytes:
        if not file:
            raise ValueError("Choose a file; an empty one holds nobody.")
        if len(file) > LARGEST:
            raise ValueError(f"This file has {len(file):,} bytes; at most {LARGEST:,} (20 MB) are taken. Divide it.")
        return file

    @field_validator("name")
    @classmethod
    def shortened(cls, name: str) -> str:
        return "".join(sign for sign in name.replace("\\", "/").rpartition("/")[2] if sign.isprintable())[:200] or "a file without a name"


class MatchColumns(BaseModel):
    """What each column of the file holds, in the order of the file; '' where it is not used."""

    columns: list[Holds]


class BeginImport(Confirmed):
    """Import the people of a file as `preview`, the job that looked through it, has told; asks for the password where administrators are
    among them.
    """

    preview: UUID


@dataclass(frozen=True)
class Columns:
    """Which column of the file, counted from 0, holds what; `aside` are those that are not read, `width` is how many there are."""

    places: dict[str, int]
    aside: list[str]
    width: int


@dataclass(frozen=True)
class Person:
    """One line of the file, understood."""

    email: str
    email_key: str
    first_name: str | None
    last_name: str | None
    username: str | None
    username_key: str | None
    role: str


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


def person_of(cells: list[str], columns: Columns) -> Person:
    """What a line says; raises ValueError with everything that is wrong with it, in words."""
    if len(cells) != columns.width:
        raise ValueError(f"This line has {len(cells)} cells, the header {columns.width}.")
    faults: list[str] = []
    given = {name: cells[place] for name, place in columns.places.items()}
    email, key = _understood(lambda: clean_email_and_key(given["email"]), faults) or ("", "")
    first_name, last_name = (_name(given.get(name, ""), faults) for name in ("first_name", "last_name"))
    username = _understood(lambda: clean_username(given["username"]), faults) if "username" in given else None
    role = ROLES.get(folded(given.get("role", "")).replace("_", " "))
    if role is None:
        faults.append(f"There is no role “{given['role'].strip()[:40]}”. Write user or org_admin.")
    if faults:
        raise ValueError(" ".join(faults))
    return Person(email, key, first_name, last_name, username, username_key(username) if username else None, str(role))


def _name(cell: str, faults: list[str]) -> str | None:
    return _understood(lambda: clean_person_name(cell), faults) if cell.strip() else None


def _understood(read: Callable[[], Any], faults: list[str]) -> Any:
    try:
        return read()
    except ValueError as fault:
        faults.append(str(fault))
        return None
