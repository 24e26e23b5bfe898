"""What people ask for when they import people, and how a line of their file is understood."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, field_validator

from portal.auth.commands import Confirmed
from portal.errors import Invalid
from portal.values import clean_email_and_key, clean_person_name, clean_username, folded, username_key

LARGEST = 20 * 1000 * 1000  # bytes of a file
MOST = 200_000  # people in a file
Become = Literal["invited", "deactivated"]
# What a column is called in a header, folded, without what is neither letter nor digit.
HEADERS = {
    "email": ("email", "mail", "emailaddress", "mailaddress"),
    "first_name": ("firstname", "givenname", "forename", "vorname", "prenom", "nombre"),
    "last_name": ("lastname", "surname", "familyname", "nachname", "familienname", "nom", "apellido", "apellidos"),
    "username": ("username", "login", "loginname", "account", "benutzername", "user"),
    "role": ("role", "rolle", "rol"),
}
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


class BeginImport(Confirmed):
    """Import the people of a file that was looked through; asks for the password where administrators are among them."""


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


def columns_of(header: list[str], become: str) -> Columns:
    """Find the columns by their names, in any order and spelling; raises Invalid where a needed one is missing or one stands twice."""
    places: dict[str, int] = {}
    aside = []
    for place, name in enumerate(header):
        column = COLUMN_OF.get("".join(sign for sign in folded(name) if sign.isalnum()))
        if column is None or (column == "username" and become == "invited"):
            aside.append(name.strip() or f"column {place + 1}")
        elif column in places:
            raise Invalid(
                file=f"Line 1: two columns hold the same, “{header[places[column]].strip()}” and “{name.strip()}”. Take one away."
            )
        else:
            places[column] = place
    needed = ("email",) if become == "invited" else ("email", "username")
    if missing := [name for name in needed if name not in places]:
        words = " and ".join({"email": "e-mail", "username": "username"}[name] for name in missing)
        raise Invalid(file=f"Line 1: the header names no column for {words}. It names: {', '.join(aside)[:200] or 'nothing'}.")
    return Columns(places, aside, len(header))


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
