"""A populated database of the legacy system, with all the dirt that was found in such, and what an upgrade must make of it."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

SCHEMA = (Path(__file__).parent / "legacy_schema.sql").read_text()
TAKEN_OVER = ("tenants", "users", "refresh_tokens", "conversations", "conversation_users", "conversation_agents")
NEIGHBOURS = ("alembic_version", "participants", "conversation_participants", "messages", "usage_records", "system_metrics")
NEW_YEAR = datetime(2024, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


def id_of(kind: str, name: object) -> UUID:
    """An id without order, as the legacy system's are, but the same in every run."""
    return UUID(bytes=hashlib.sha256(f"{kind} {name}".encode()).digest()[:16], version=4)


def tenant(subdomain: str) -> UUID:
    return id_of("tenant", subdomain)


def user(name: str) -> UUID:
    return id_of("user", name)


def conversation(name: str) -> UUID:
    return id_of("conversation", name)


def day(number: int | None) -> datetime | None:
    return None if number is None else NEW_YEAR + timedelta(days=number)


ACME, GLOBEX = tenant("ACME"), tenant("globex")

# subdomain as typed: (name, the day it was made, the subdomain after the upgrade)
SUBDOMAINS: dict[str, tuple[str, int | None, str]] = {
    "ACME": ("Acme Funerals", 1, "acme"),
    "acme": ("Acme, the younger", 2, "acme-2"),
    "Acme": ("Acme, the youngest", 3, "acme-3"),
    "globex": ("Globex", 1, "globex"),
    "a b": ("Two words", 1, "a-b-2"),
    "a-b": ("Well formed, hence before the older", 9, "a-b"),
    "admin.evil.com": ("Dots", 4, "admin-evil-com"),
    "<b>bold</b>": ("Markup", 4, "b-bold-b"),
    "../../x": ("Path", 4, "x-organization"),
    "-x-y-": ("Hyphens", 4, "x-y"),
    "www": ("A reserved word", 4, "www"),
    "xn--mnchen-3ya": ("An encoded name", 4, "xn--mnchen-3ya"),
    "ab": ("Too short", 4, "ab-organization"),
    "Ärzte Köln": ("Accents", 4, "arzte-koln"),
    "\u212aelvin": ("The Kelvin sign", 4, "kelvin"),
    "w" * 80: ("Too long", 4, "w" * 60),
    "w" * 70: ("Too long as well", 5, "w" * 60 + "-2"),
    "": ("Meadow & Sons", 4, "meadow-sons"),
    "殡葬": ("殡葬", 4, f"organization-{tenant('殡葬').hex[-8:]}"),
    "platform": ("Platform Ltd", 0, "platform-2"),
    " trimmed ": ("Blanks", 4, "trimmed"),
    "undated": ("Of unknown age", None, "undated-2"),
    "UNDATED": ("Of known age", 400, "undated"),
}
TENANT_ACTIVITY = {"globex": False, "www": None}

ROLES = {
    "user": "user",
    "org_admin": "org_admin",
    " Org_Admin\t": "org_admin",
    "admin": "org_admin",
    "ADMIN": "org_admin",
    "super_admin": "org_admin",
    "SUPER_ADMIN ": "org_admin",
    "member": "user",
    "root": "user",
    "<b>": "user",
    "  ": "user",
    "": "user",
    None: "user",
}

# e-mail or username as typed: (whose account, the day it was made, whether it has the key)
EMAILS: dict[str, tuple[UUID, int | None, bool]] = {
    "Mara@Example.org": (ACME, 2, False),
    "mara@example.org": (ACME, 1, True),
    "MARA@EXAMPLE.ORG": (ACME, None, False),
    "mara@EXAMPLE.org": (GLOBEX, 3, True),
    "jürgen@münchen.de": (ACME, 1, True),
    "jürgen@xn--mnchen-3ya.de": (ACME, 2, False),
    "  Padded@example.org ": (ACME, 1, True),
    "not an address": (ACME, 1, False),
    "": (ACME, 1, False),
    "two@at@example.org": (ACME, 1, False),
    "hidden\u200b@example.org": (ACME, 1, False),
    "x" * 300 + "@example.org": (ACME, 1, False),
}
USERNAMES: dict[str, tuple[UUID, int | None, bool]] = {
    "Mara": (ACME, 2, False),
    "mara": (ACME, 1, True),
    "MARA ": (ACME, 3, False),
    "\uff4d\uff41\uff52\uff41": (ACME, None, False),
    "maRA": (GLOBEX, 4, True),
    "Straße": (ACME, 1, True),
    "STRASSE": (ACME, 2, False),
    " ": (ACME, 1, False),
    "": (ACME, 1, False),
    "u" * 1_001: (ACME, 1, False),
    "<b>somebody</b>": (ACME, 1, True),
}
TIES = ("tie@example.org", "Tie@example.org", "TIE@example.org")
# (first name, last name): what they sort by
NAMES: dict[tuple[str | None, str | None], str] = {
    ("Zoë", "Ångström"): "angstrom zoe",
    ("Jean-Luc", "  De  La   Tour "): "de la tour jean-luc",
    (None, "Øresund"): "oresund",
    ("Jan", "van ’t Hoff"): "van ’t hoff jan",
    ("Solo", ""): "solo",
    ("\u202eevil", "Name\u0007"): "name evil",
    ("A" * 300, "B" * 150): "b" * 150 + " " + "a" * 49,
}

# (conversation, agent type as typed, the day it was added): (owner or None for a free agent, type, name), None where it refers to no agent
FREE, LONG = None, "y" * 70
AGENTS: dict[tuple[str, str, int | None], tuple[UUID | None, str, str] | None] = {
    ("acme", "MODERATOR", 2): None,
    ("acme", "Moderator", 1): (FREE, "MODERATOR", "Moderator"),
    ("acme", "moderator ", None): None,
    ("acme", "web search", 1): (FREE, "WEB_SEARCH", "Web search"),
    ("globex", "GRIEF-SUPPORT", 1): (FREE, "GRIEF_SUPPORT", "Grief support"),
    ("globex", "moderator", 1): (FREE, "MODERATOR", "Moderator"),
    ("acme", "FLOWER_CONCIERGE", 1): (ACME, "FLOWER_CONCIERGE", "Flower concierge"),
    ("acme 2", "Flower concierge!", 2): (ACME, "FLOWER_CONCIERGE", "Flower concierge"),
    ("globex", "Flower  Concierge", 1): (GLOBEX, "FLOWER_CONCIERGE", "Flower Concierge"),
    ("acme", "Ärzte", 1): (ACME, "ARZTE", "Ärzte"),
    ("acme", "<b>bold</b>", 1): (ACME, "B_BOLD_B", "<b>bold</b>"),
    ("acme", "", 1): (ACME, "LEGACY_E3B0C442", "Legacy e3b0c442"),
    ("acme", "  ", 2): None,
    ("acme", "x", 1): (ACME, "LEGACY_2D711642", "X"),
    ("acme", "殡葬 help", 1): (ACME, "LEGACY_", "殡葬 help"),
    ("acme", "24h help", 1): (ACME, "LEGACY_", "24h help"),
    ("acme", LONG, 1): (ACME, "LEGACY_", "Y" + "y" * 69),
}
CONFIGURATIONS = (None, "", '{"broken": ', '{"b": 1.50, "a": "\\u00e9"}')


def populate(connection: Connection) -> None:
    """Make the legacy tables and their neighbours, and fill them."""
    with connection.connection.cursor() as cursor:
        cursor.execute(SCHEMA)
    for write in (_write_tenants, _write_users, _write_conversations, _write_neighbours):
        write(connection)


def insert(connection: Connection, table: str, **row: Any) -> None:
    columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)


def _write_tenants(connection: Connection) -> None:
    for number, (subdomain, (name, made, _)) in enumerate(SUBDOMAINS.items()):
        insert(
            connection,
            "tenants",
            id=tenant(subdomain),
            name=name,
            subdomain=subdomain,
            access_code=f"code-{number:06}",
            is_active=TENANT_ACTIVITY.get(subdomain, True),
            created_at=day(made),
            updated_at=day(number) if number % 2 else None,
        )


def _write_users(connection: Connection) -> None:
    for role in ROLES:
        _write_user(connection, f"role {role!r}", role=role)
    for email, (owner, made, _) in EMAILS.items():
        _write_user(connection, f"email {email}", tenant_id=owner, email=email, created_at=day(made))
    for username, (owner, made, _) in USERNAMES.items():
        _write_user(connection, f"username {username}", tenant_id=owner, username=username, created_at=day(made))
    for first, last in NAMES:
        _write_user(connection, f"name {first} {last}", first_name=first, last_name=last)
    for email in TIES:
        _write_user(connection, email, email=email)
    _write_user(connection, "undecided", is_active=None, is_verified=None)
    _write_user(connection, "inactive", is_active=False, is_verified=False)
    _write_user(connection, "colleague")
    _write_user(connection, "stranger", tenant_id=GLOBEX)
    insert(connection, "refresh_tokens", id=id_of("token", 1), token="in clear", user_id=user("undecided"), expires_at=NEW_YEAR)


def _write_user(connection: Connection, name: str, **row: Any) -> None:
    plain = re.sub(r"[^a-z]+", "-", name.lower())[:20].strip("-") + user(name).hex[:8]
    usual = {
        "id": user(name),
        "tenant_id": ACME,
        "email": f"{plain}@example.org",
        "username": plain,
        "hashed_password": "$2b$12$abcdefghijklmnopqrstuv",
        "is_active": True,
        "is_verified": True,
        "role": "user",
        "created_at": NEW_YEAR,
    }
    insert(connection, "users", **{**usual, **row})


def _write_conversations(connection: Connection) -> None:
    for name, owner, creator in (
        ("acme", ACME, "colleague"),
        ("acme 2", ACME, "stranger"),
        ("globex", GLOBEX, "stranger"),
        ("anonymous", GLOBEX, None),
    ):
        made_by = user(creator) if creator else None
        insert(connection, "conversations", id=conversation(name), tenant_id=owner, title=name, status="active", created_by_user_id=made_by)
    for place, (meeting, person, joined, is_active) in enumerate(
        (
            ("acme", "colleague", 1, True),
            ("acme", "stranger", 2, None),
            ("acme 2", "stranger", None, True),
            ("globex", "stranger", 1, False),
        )
    ):
        insert(
            connection,
            "conversation_users",
            id=id_of("member", place),
            conversation_id=conversation(meeting),
            user_id=user(person),
            joined_at=day(joined),
            is_active=is_active,
        )
    for place, (meeting, agent_type, added) in enumerate(AGENTS):
        insert(
            connection,
            "conversation_agents",
            id=id_of("agent in", (meeting, agent_type)),
            conversation_id=conversation(meeting),
            agent_type=agent_type,
            added_at=day(added),
            is_active=(True, False, None)[place % 3],
            configuration=CONFIGURATIONS[place % 4],
        )


def _write_neighbours(connection: Connection) -> None:
    insert(connection, "alembic_version", version_num="1f2e3d4c5b6a")
    caller = id_of("participant", 1)
    insert(connection, "participants", id=caller, tenant_id=ACME, participant_type="phone", identifier="+353 1 496 0000")
    insert(connection, "conversation_participants", id=id_of("call", 1), conversation_id=conversation("acme"), participant_id=caller)
    for number, (meeting, person) in enumerate((("acme", "colleague"), ("acme", "stranger"), ("anonymous", "undecided"))):
        insert(
            connection,
            "messages",
            id=id_of("message", number),
            conversation_id=conversation(meeting),
            content="Good morning",
            user_id=user(person),
            agent_type="moderator ",
        )
    insert(
        connection,
        "usage_records",
        id=id_of("usage", 1),
        tenant_id=ACME,
        user_id=user("stranger"),
        usage_type="tokens",
        amount=7,
        conversation_id=conversation("acme 2"),
    )
    insert(connection, "system_metrics", id=id_of("metric", 1), metric_type="load", value=1, tenant_id=GLOBEX)
