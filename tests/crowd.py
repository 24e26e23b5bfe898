"""Many accounts in one organization, put there from the owner's side: with ties, empty parts, accents, twins, and every state."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg2.extras import execute_values

from portal.users.models import keys_of
from portal.values import email_key, username_key

FIRST = ["Mara", "mara", "MÁRA", "Ábel", "abel", "Zoë", "Øystein", "Łukasz", "結衣", "О́льга", "İpek", "ßigrid", None]
LAST = ["Ortiz", "ORTIZ", "Ó Briain", "O'Briain", "van 't Hoff", "d’Ávila", "Straße", "佐藤", "Ivanova", "", None]
PASSWORD = "!"  # nobody's
COLUMNS = (
    "id", "tenant_id", "first_name", "last_name", "username", "username_key", "email", "email_key", "sort_key", "search_text", "role",
    "hashed_password", "is_active", "is_verified", "accepted_at", "removed_at", "last_sign_in_at", "created_at",
)  # fmt: skip
NOW = datetime.now(UTC).replace(microsecond=123456)


def person(tenant: UUID, number: int, **given: Any) -> dict[str, Any]:
    """A row of the table of users; what is not given follows from the number."""
    names = {"first_name": "Person", "last_name": f"{number:05}", "username": f"person{number}", "email": f"person{number}@crowd.example"}
    row: dict[str, Any] = {
        **names, "id": UUID(int=(number << 64) | (tenant.int & 0xFFFFFFFFFFFFFFFF)), "tenant_id": tenant, "role": "user", "hashed_password": PASSWORD, "is_active": True,
        "is_verified": True, "accepted_at": NOW, "removed_at": None, "last_sign_in_at": None, "created_at": NOW, **given,
    }  # fmt: skip
    row |= keys_of(**{name: row[name] for name in names})
    row.setdefault("username_key", row["username"] and username_key(row["username"]))
    if "email_key" not in row:
        row["email_key"] = row["email"] and email_key(row["email"])
    row["state"] = state_of(row)
    return row


def state_of(row: dict[str, Any]) -> str:
    if row["removed_at"]:
        return "removed"
    if row["accepted_at"] is None:
        return "invited"
    return "active" if row["is_active"] else "deactivated"


INVITED = {"accepted_at": None, "is_active": False, "hashed_password": None}
REMOVED = {
    "first_name": None, "last_name": None, "username": None, "email": None, "hashed_password": None, "is_active": False,
    "is_verified": False, "removed_at": NOW,
}  # fmt: skip


def crowd(tenant: UUID, size: int, seed: int = 4) -> list[dict[str, Any]]:
    """Different people, the same at every call; few values in each column, so that many rows are equal but for their ids."""
    dice = random.Random(seed)
    return [_somebody(tenant, number, dice) for number in range(1, size + 1)]


def _somebody(tenant: UUID, number: int, dice: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": UUID(int=dice.getrandbits(128)),
        "first_name": dice.choice(FIRST),
        "last_name": dice.choice(LAST),
        "username": f"{dice.choice(['Mara', 'mara', 'ábel', 'x_y', 'o.b'])}-{number}",
        "email": f"{dice.choice(['Mara', 'office', 'o_b', '100%'])}+{number}@{dice.choice(['crowd.example', 'bücher.example'])}",
        "role": dice.choice(["user", "user", "org_admin"]),
        "is_active": dice.random() < 0.7,
        "is_verified": dice.random() < 0.5,
        "last_sign_in_at": dice.choice([None, NOW, NOW - timedelta(days=8), NOW - timedelta(days=91), NOW - timedelta(days=number)]),
        "created_at": dice.choice([None, NOW, NOW - timedelta(days=400), NOW - timedelta(hours=number)]),
    }
    if number % 7 == 0:  # a legacy twin: somebody else has the keys
        row |= {"username_key": None, "email_key": None}
    if number % 11 == 0:
        row |= {**INVITED, "first_name": None, "last_name": None, "username": None}
    if number % 13 == 0:
        row |= {**REMOVED, "removed_at": NOW - timedelta(minutes=number % 3)}
    return person(tenant, number, **row)


def put(owner: Any, rows: list[dict[str, Any]]) -> None:
    """Written as the tables' owner; psycopg2 sends 1,000 rows at a time."""
    values = [tuple(str(row[name]) if isinstance(row[name], UUID) else row[name] for name in COLUMNS) for row in rows]
    execute_values(owner, f"INSERT INTO users ({', '.join(COLUMNS)}) VALUES %s", values, page_size=1000)
