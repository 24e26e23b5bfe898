"""Importing the lines of a file: understood one by one, judged by the rules and the accounts that are here, and written as accounts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import text
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.bulk import services as bulk
from portal.bulk.acting import Tally
from portal.database.reading import add_rows
from portal.errors import Invalid
from portal.extensions import db
from portal.imports.matching import NOBODY, Columns, columns_at
from portal.invitations import services as invitations
from portal.users.models import User, keys_of
from portal.values import SheetFault, clean_email_and_key, clean_person_name, clean_username, folded, read_csv, username_key

MOST = 200_000  # people in a file
BATCH = 1_000  # people who are written by one statement
SHOWN = 254  # characters of a cell that is no address
ROLES = {
    "": "user",
    "user": "user",
    "org admin": "org_admin",
    "organization admin": "org_admin",
    "admin": "admin",
    "super admin": "super_admin",
}
HERE = {
    "email_key": text("SELECT email_key FROM users WHERE tenant_id = :tenant AND email_key = ANY(CAST(:keys AS text[]))"),
    "username_key": text("SELECT username_key FROM users WHERE tenant_id = :tenant AND username_key = ANY(CAST(:keys AS text[]))"),
}
WHAT = {"email_key": "e-mail address", "username_key": "username"}


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


@dataclass(frozen=True)
class Line:
    """A line of the file: who is meant, or why it cannot be."""

    number: int
    cells: list[str]
    person: Person | None
    fault: str | None

    @property
    def email(self) -> str:
        """As the file has it where nobody could be understood, its beginning only; '' where it has none."""
        return self.person.email if self.person else "".join(self.cells[:1])[:SHOWN]


@dataclass
class Seen:
    """The line in which each address and username of the file stands first."""

    email_key: dict[str, int] = field(default_factory=dict)
    username_key: dict[str, int] = field(default_factory=dict)


def read(file: bytes, places: dict[str, int], by: Actor) -> tuple[Columns, Iterator[list[Line]], int]:
    """The file's columns, its lines in batches, and how many they are; raises Invalid for what cannot be read, or is too much."""
    try:
        total = sum(1 for _ in read_csv(file)) - 1  # every line can be read, or none is looked at
    except SheetFault as fault:
        raise Invalid(file=str(fault)) from None
    if total > MOST:
        raise Invalid(file=f"This file has {total:,} lines of people; at most {MOST:,} are imported at a time. Divide it.")
    if total < 1:
        raise Invalid(file=NOBODY)
    records = read_csv(file)
    _, header = next(records)
    columns = columns_at(places, header)
    return columns, _in_batches(_understood(records, columns, by)), total


def _understood(records: Iterator[tuple[int, list[str]]], columns: Columns, by: Actor) -> Iterator[Line]:
    """Each line by itself and among the lines before it."""
    seen, may = Seen(), {str(role): policy.can_invite(by, role) for role in policy.LADDER}
    for number, cells in records:
        try:
            person = person_of(cells, columns)
        except ValueError as fault:
            place = columns.places["email"]
            yield Line(number, cells[place : place + 1], None, str(fault))
            continue
        allowed = may[person.role]
        fault_ = None if not isinstance(allowed, policy.Denied) else allowed.reason
        yield Line(number, cells, person, fault_ or _double(person, number, seen))


def _double(person: Person, number: int, seen: Seen) -> str | None:
    for name, what in WHAT.items():
        key = getattr(person, name)
        first = getattr(seen, name).setdefault(key, number) if key else number
        if first != number:
            return f"The same {what} stands in line {first:,}."
    return None


def person_of(cells: list[str], columns: Columns) -> Person:
    """What a line says; raises ValueError with everything that is wrong with it, in words."""
    if len(cells) != columns.width:
        raise ValueError(f"This line has {len(cells)} cells, the header {columns.width}.")
    faults: list[str] = []
    given = {name: cells[place] for name, place in columns.places.items()}
    email, key = _cleaned(lambda: clean_email_and_key(given["email"]), faults) or ("", "")
    first_name, last_name = (_name(given.get(name, ""), faults) for name in ("first_name", "last_name"))
    username = _cleaned(lambda: clean_username(given["username"]), faults) if "username" in given else None
    role = ROLES.get(folded(given.get("role", "")).replace("_", " "))
    if role is None:
        faults.append(f"There is no role “{given['role'].strip()[:40]}”. Write user or org_admin.")
    if faults:
        raise ValueError(" ".join(faults))
    return Person(email, key, first_name, last_name, username, username_key(username) if username else None, str(role))


def _name(cell: str, faults: list[str]) -> str | None:
    return _cleaned(lambda: clean_person_name(cell), faults) if cell.strip() else None


def _cleaned(read: Callable[[], Any], faults: list[str]) -> Any:
    try:
        return read()
    except ValueError as fault:
        faults.append(str(fault))
        return None


def _in_batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, BATCH)):
        yield batch


def judge(batch: list[Line], by: Actor) -> None:
    """Each line against the accounts that are here. Two statements."""
    for name, what in WHAT.items():
        keys = [key for line in batch if line.person and (key := getattr(line.person, name))]
        here = set(db.session.execute(HERE[name], {"tenant": by.tenant_id, "keys": keys}).scalars()) if keys else set()
        for place, line in enumerate(batch):
            if line.person and not line.fault and getattr(line.person, name) in here:
                batch[place] = Line(line.number, line.cells, line.person, f"Somebody with this {what} is here already.")


def write(people: list[Person], nobodys: str | None, tally: Tally, by: Actor) -> None:
    """The accounts, and for those who are invited their invitations and mails; `nobodys` is the hash of a password that nobody knows."""
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "id": uuid7(),
            "tenant_id": by.tenant_id,
            "role": person.role,
            "email": person.email,
            "email_key": person.email_key,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "username": person.username,
            "username_key": person.username_key,
            "hashed_password": nobodys,
            "is_active": False,
            "accepted_at": now if nobodys else None,
            **keys_of(first_name=person.first_name, last_name=person.last_name, username=person.username, email=person.email),
        }
        for person in people
    ]
    add_rows(User.__table__, rows)
    if nobodys is None:
        invitations.send_to_many([(row["id"], row["email"]) for row in rows], by=by)
    bulk.note_import(tally, [(row["role"], str(row["id"])) for row in rows], "deactivated" if nobodys else "invited", by=by)
