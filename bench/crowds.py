"""Organizations of up to a million users, as the portal's services would have stored them, written by COPY."""

import io
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, islice
from typing import Any
from uuid import UUID

from psycopg2.extras import register_uuid
from uuid_utils.compat import uuid7

from bench.filling import PASSWORD, organization
from portal.auth.passwords import hashed
from portal.database import connect
from portal.users.models import keys_of
from portal.users.services import ERASED
from portal.values import folded

COLUMNS = (
    "id", "tenant_id", "role", "hashed_password", "first_name", "last_name", "username", "username_key", "email", "email_key", "sort_key",
    "search_text", "is_active", "is_verified", "accepted_at", "removed_at", "created_at", "updated_at", "last_sign_in_at", "auth_epoch",
    "version",
)  # fmt: skip
FIRST_NAMES = (
    "Mara", "Séan", "Aoife", "Yuki", "João", "Ingrid", "Omar", "Chloé", "Tadeusz", "Niamh", "José", "Fatima", "Anna", "Pieter", "Łukasz",
    "Zoë", "Oluwaseun", "Mei", "Giulia", "Henrik", "Saoirse", "Amadou", "Nora", "Viktor", "İpek", "Daniel", "Eilís", "Søren", "Priya",
    "Thomas", "Lena", "Mateo", "Hannah", "Ravi", "Brigid", "Claude", "Ewa", "Diarmuid", "Noor", "Karl", "Teresa", "Ahmed", "Björn",
    "Siobhán", "Paul", "Irena", "Ken", "Ada",
)  # fmt: skip
BEGINNINGS = (
    "Har", "Lind", "Kel", "Donn", "Mac", "Bren", "Stein", "Vas", "Tan", "Okon", "Silv", "Moor", "Berg", "Dal", "Fitz", "Gran", "Holm",
    "Iv", "Jans", "Kow", "Lam", "Mül", "Nak", "Ort", "Pet", "Quin", "Rus", "Sand", "Thor", "Ull", "Van", "Wes", "Yam", "Zel", "Ash",
    "Bla", "Cav", "Del", "Esp", "Fer",
)  # fmt: skip
ENDINGS = (
    "ley", "qvist", "ly", "nnell", "ara", "nan", "berg", "quez", "aka", "kwo", "eira", "ehouse", "mann", "ton", "gerald", "ville", "gren",
    "anov", "sen", "alski", "bert", "ler", "amura", "iz", "rov", "lan", "sell", "ström", "valdsson", "der",
)  # fmt: skip
HOUSES = (
    "harbour", "hillside", "riverside", "oakfield", "lantern", "stillwater", "kirkstone", "meadow", "larchwood", "northgate",
    "saint-anne", "quay",
)  # fmt: skip
FEW = 40  # people, in every organization, who bear a name that nobody else has, and write from a house that nobody else is of
RARE_NAME, RARE_HOUSE = "Thistlewhaite", "wexbury"
IN_EVERY_ADDRESS = "example"
ADMINISTRATOR = "administrator-of-{}"
STATES = ["active"] * 84 + ["removed"] * 3 + ["invited"] * 4 + ["waiting"] * 3 + ["deactivated"] * 6  # of a hundred
EPOCHS = {"deactivated": 1, "removed": 2}  # acts that have changed such an account
ERASURE = {**dict.fromkeys(ERASED), "is_verified": False, "sort_key": ""}
YEARS = 5  # that an organization is here
BATCH = 10_000
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename = ANY (%s) AND indexname NOT IN (SELECT conname FROM pg_constraint)"""
NOW = datetime.now(UTC).replace(microsecond=0)
Row = dict[str, Any]


def fill_crowds(superuser_url: str, sizes: dict[str, int]) -> dict[str, str]:
    """Write organizations, by subdomain, of so many users; returns the login of the administrator of each."""
    with writing_many(superuser_url, "users") as cursor:
        password = hashed(PASSWORD)
        return {subdomain: _crowd(cursor, subdomain, size, password) for subdomain, size in sizes.items()}


@contextmanager
def writing_many(superuser_url: str, *tables: str) -> Iterator[Any]:
    """A cursor to write many rows with, in one transaction; afterwards all is vacuumed and analysed.

    The indexes of these tables that keep no rule are made when all rows stand there, which is many times quicker.
    """
    with closing(connect(superuser_url)) as connection, connection, connection.cursor() as cursor:
        register_uuid(conn_or_curs=connection)
        cursor.execute("SET LOCAL maintenance_work_mem = '1GB'")
        cursor.execute(INDEXES, [list(tables)])
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield cursor
        for _, definition in indexes:
            cursor.execute(definition)
    with closing(connect(superuser_url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("VACUUM ANALYZE")


def copy(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        lines = "".join("\t".join(_cell(row[name]) for name in columns) + "\n" for row in batch)
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", io.StringIO(lines))


def _crowd(cursor: Any, subdomain: str, size: int, password: str) -> str:
    copy(cursor, "users", COLUMNS, people(organization(cursor, subdomain), subdomain, size, password))
    return ADMINISTRATOR.format(subdomain)


def _cell(value: object) -> str:
    """For COPY; no text here holds a sign that it would read in another way."""
    return "\\N" if value is None else str(value)


def people(tenant: UUID, subdomain: str, size: int, password: str) -> Iterator[Row]:
    """Different people, the same at every call but for their ids, the eldest account first: the one who administers."""
    dice = random.Random(size)  # noqa: S311
    lasts = [beginning + ending for beginning in BEGINNINGS for ending in ENDINGS]
    dice.shuffle(lasts)
    first_weights, last_weights = (list(accumulate(1 / (rank + 5) for rank in range(len(names)))) for names in (FIRST_NAMES, lasts))
    firsts = dice.choices(FIRST_NAMES, cum_weights=first_weights, k=size)
    surnames = dice.choices(lasts, cum_weights=last_weights, k=size)
    every = size // FEW
    for number, (first, last) in enumerate(zip(firsts, surnames, strict=True)):
        few = number % every
        name = RARE_NAME if few == 1 else last
        house = RARE_HOUSE if few == 2 else dice.choice(HOUSES)
        username = f"{_plain(first)}.{_plain(name)}.{number}" if number else ADMINISTRATOR.format(subdomain)
        email = f"{_plain(first)[0]}.{_plain(name)}{number}@{house}.{IN_EVERY_ADDRESS}"
        state = "active" if few < 3 else STATES[number % 100]
        yield account(dice, tenant, state, number / size, (first, name, username, email), password, administers=number % 25 == 0)


def account(
    dice: random.Random, tenant: UUID, state: str, age: float, known: tuple[str, str, str, str], password: str, *, administers: bool
) -> Row:
    """An account in the state that the portal's services would have brought it into, by what it was made with."""
    created = NOW - timedelta(days=YEARS * 365 * (1 - age), seconds=1)
    row: Row = {
        **dict(zip(("first_name", "last_name", "username", "email"), known, strict=True)),
        "id": uuid7(),
        "tenant_id": tenant,
        "role": "org_admin" if administers else "user",
        "hashed_password": password,
        "is_active": state == "active",
        "is_verified": state in ("active", "deactivated") and (administers or dice.random() < 0.85),
        "accepted_at": None if state in ("invited", "waiting") else created,
        "created_at": created,
        "last_sign_in_at": None if state in ("invited", "waiting") else _last_sign_in(dice, created),
        "auth_epoch": EPOCHS.get(state, 0),
        "version": EPOCHS.get(state, 0) + 1,
        "updated_at": created if state in EPOCHS else None,
        "removed_at": dice.uniform(0, 1) * (NOW - created) + created if state == "removed" else None,
    }
    if state == "invited":  # some by their address alone, most by a file that names them
        unknown = ("first_name", "last_name") if dice.random() < 0.25 else ()
        row |= dict.fromkeys(("username", "hashed_password", *unknown))
    keys = keys_of(first_name=row["first_name"], last_name=row["last_name"], username=row["username"], email=row["email"])
    row |= {**keys, "username_key": row["username"], "email_key": row["email"]}  # plain small letters are their own key
    return row | ERASURE if state == "removed" else row


def _last_sign_in(dice: random.Random, created: datetime) -> datetime | None:
    """Never, during the last week, the last quarter, or before."""
    days = dice.choice((None, (0, 7), (0, 7), (7, 90), (7, 90), (90, YEARS * 365)))
    return days and max(created, NOW - timedelta(days=dice.uniform(*days)))


@cache
def _plain(name: str) -> str:
    return "".join(sign for sign in folded(name) if sign.isalnum())
