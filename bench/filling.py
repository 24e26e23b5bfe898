"""What the measured portal holds: an organization of a thousand people with a long audit log, and neighbours."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg2.extras import Json, execute_values, register_uuid
from uuid_utils.compat import uuid7

from portal.audit.services import hash_of
from portal.auth.passwords import hashed
from portal.database import connect
from portal.values import email_key, fingerprint, sort_key, username_key

PASSWORD = "a lantern over the quiet harbour"  # noqa: S105
PEOPLE, ENTRIES, NEIGHBOURS = 1000, 5000, 20
FIRST_NAMES = ("Mara", "Séan", "Aoife", "Yuki", "João", "Ingrid", "Omar", "Chloé", "Tadeusz", "Niamh")
LAST_NAMES = ("Ortiz", "Ó Briain", "Tanaka", "Silva", "Lindqvist", "Haddad", "Moreau", "Kowalski", "Byrne", "Okafor", "Nguyen")
ADDRESS = {"country": "IE", "street_address": "4 Harbour Road", "city": "Dublin", "postal_code": "D13 X285"}


@dataclass(frozen=True)
class Account:
    """Somebody of a filled organization."""

    id: UUID
    role: str
    first_name: str
    last_name: str
    username: str
    email: str


def fill(superuser_url: str) -> list[str]:
    """Write everything past the portal's own roles; returns the logins of the large organization, its administrator's first."""
    with closing(connect(superuser_url)) as connection, connection, connection.cursor() as cursor:
        register_uuid(conn_or_curs=connection)
        password = hashed(PASSWORD)
        people = _organization(cursor, "harbour", PEOPLE, ENTRIES, password)
        for number in range(NEIGHBOURS):
            _organization(cursor, f"neighbour-{number}", PEOPLE // 20, ENTRIES // 20, password)
    with closing(connect(superuser_url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("VACUUM ANALYZE")
    return [person.username for person in people]


def organization(cursor: Any, subdomain: str) -> UUID:
    """Write an organization with nobody in it; returns its id."""
    return organizations(cursor, [subdomain])[subdomain]


def organizations(cursor: Any, subdomains: Iterable[str]) -> dict[str, UUID]:
    """Write organizations with nobody in them; returns their ids."""
    tenants = {subdomain: uuid7() for subdomain in subdomains}
    columns = "id, subdomain, name, full_name, description, address, phone, organization_email"
    rows = [(tenant, *_about(subdomain)) for subdomain, tenant in tenants.items()]
    execute_values(cursor, f"INSERT INTO tenants ({columns}) VALUES %s", rows, page_size=1000)
    return tenants


def _about(subdomain: str) -> tuple[Any, ...]:
    names = (subdomain, f"{subdomain} House", f"{subdomain} House Limited")
    return (*names, "Answer gently.", Json(ADDRESS), "+35314960000", f"office@{subdomain}.example")


def _organization(cursor: Any, subdomain: str, count: int, entries: int, password: str) -> list[Account]:
    tenant = organization(cursor, subdomain)
    people = [_account(subdomain, number) for number in range(count)]
    columns = "id, tenant_id, role, hashed_password, username, username_key, email, email_key, first_name, last_name, sort_key, is_verified"
    execute_values(cursor, f"INSERT INTO users ({columns}) VALUES %s", [_row(person, tenant, password) for person in people])
    columns = "tenant_id, id, user_id, secret_hash, auth_epoch, expires_at, user_agent, network"
    execute_values(cursor, f"INSERT INTO sessions ({columns}) VALUES %s", [_session(person, tenant) for person in people[::4]])
    log = list(_log(tenant, people, entries))
    columns = ", ".join(log[0])
    execute_values(cursor, f"INSERT INTO audit_entries ({columns}) VALUES %s", [_plain(entry) for entry in log], page_size=1000)
    return people


def _account(subdomain: str, number: int) -> Account:
    first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[number % len(LAST_NAMES)]
    name = f"person-{number}"
    return Account(uuid7(), "org_admin" if number % 50 == 0 else "user", first, last, name, f"{name}@{subdomain}.example")


def _row(person: Account, tenant: UUID, password: str) -> tuple[Any, ...]:
    keys = (person.username, username_key(person.username), person.email, email_key(person.email))
    names = (person.first_name, person.last_name, sort_key(f"{person.last_name} {person.first_name}"))
    return (person.id, tenant, person.role, password, *keys, *names, True)


def _session(person: Account, tenant: UUID) -> tuple[Any, ...]:
    secret = fingerprint(person.email)  # of a session that nobody holds the cookie of
    return (tenant, uuid7(), person.id, secret, 0, datetime.now(UTC) + timedelta(hours=12), "Firefox on Linux", "192.0.2.7")


def _log(tenant: UUID, people: list[Account], count: int) -> Iterator[dict[str, Any]]:
    """A whole chain over the last 40 days: mostly people who sign in and out, now and then a change of the settings."""
    previous, began = None, datetime.now(UTC) - timedelta(days=40)
    for number in range(1, count + 1):
        person = people[number * 7 % len(people)]
        action, kind, object_id, changes = _act(number, person, tenant)
        entry = {
            "tenant_id": tenant,
            "seq": number,
            "at": began + timedelta(days=40) * (number / (count + 1)),
            "actor_id": person.id,
            "actor_name": f"{person.first_name} {person.last_name}",
            "action": action,
            "object_type": kind,
            "object_id": object_id,
            "changes": changes,
            "network": f"192.0.2.{number % 250}",
            "previous_hash": previous,
        }
        entry["hash"] = previous = hash_of(entry)
        yield entry


def _act(number: int, person: Account, tenant: UUID) -> tuple[str, str | None, UUID | None, dict[str, Any]]:
    if number % 10 == 0:
        changes = {
            "name": [f"House {number - 10}", f"House {number}"],
            "address": [None, ADDRESS],
            "phone": ["+35314960001", "+35314960000"],
        }
        return "organization_changed", "organization", tenant, changes
    if number % 10 == 9:
        return (
            "refused",
            None,
            None,
            {"request": [None, "GET /settings"], "reason": [None, "Only administrators of the organization see this."]},
        )
    return "signed_out" if number % 3 == 0 else "signed_in", "user", person.id, {}


def _plain(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(Json(value) if isinstance(value, dict) else value for value in entry.values())
