"""The cast: two organizations and a half, an account per role and state, and the platform above them."""

from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

import psycopg2
import psycopg2.extras

from portal.auth.passwords import hashed
from portal.database import connect
from portal.users.models import keys_of
from portal.values import email_key, username_key

NAMESPACE = UUID("6f1c1a52-7a0e-4a57-9a3b-0d7f6a2b9c11")
PASSWORD = "a lantern over the quiet harbour"  # noqa: S105
TENANTS = {"acme": True, "globex": True, "hades": False, "platform": True}
PEOPLE = {
    "user": ("user", True),
    "user2": ("user", True),
    "admin": ("org_admin", True),
    "admin2": ("org_admin", True),
    "gone": ("user", False),
    "gone_admin": ("org_admin", False),
}
PLATFORM_PEOPLE = {"admin": ("admin", True), "admin2": ("admin", True), "super": ("super_admin", True), "super2": ("super_admin", True)}


@dataclass(frozen=True)
class Person:
    id: UUID
    tenant_id: UUID
    subdomain: str
    username: str
    email: str
    role: str
    is_active: bool
    password: str = PASSWORD


@dataclass
class Organization(SimpleNamespace):
    id: UUID
    subdomain: str
    name: str
    is_active: bool
    people: dict[str, Person] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Person:
        try:
            return self.__dict__["people"][name]
        except KeyError:
            raise AttributeError(name) from None


def the_cast() -> SimpleNamespace:
    return SimpleNamespace(**{subdomain: organization(subdomain, active) for subdomain, active in TENANTS.items()})


def organization(subdomain: str, active: bool) -> Organization:
    tenant = Organization(uuid5(NAMESPACE, subdomain), subdomain, f"CANARY-{subdomain} House", active)
    for name, (role, is_active) in (PLATFORM_PEOPLE if subdomain == "platform" else PEOPLE).items():
        email = f"{name}@{subdomain}.example"
        tenant.people[name] = Person(uuid5(tenant.id, name), tenant.id, subdomain, name, email, role, is_active)
    return tenant


@cache
def password_hash() -> str:
    return hashed(PASSWORD)


def write_cast(owner_url: str, cast: SimpleNamespace) -> None:
    """Put the cast into an empty database, from the owner's side. Raises RuntimeError where organizations are already: they may be real."""
    tenants: list[tuple[Any, ...]] = []
    people: list[tuple[Any, ...]] = []
    for tenant in vars(cast).values():
        tenants.append((str(tenant.id), tenant.name, tenant.subdomain, tenant.is_active, f"CANARY-{tenant.subdomain} instructions"))
        people += [row_of(person) for person in tenant.people.values()]
    with connect(owner_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM tenants)")
        if cursor.fetchone()[0]:
            raise RuntimeError("This database holds organizations; the cast belongs into an empty one.")
        insert = psycopg2.extras.execute_values
        insert(cursor, "INSERT INTO tenants (id, name, subdomain, is_active, description) VALUES %s", tenants)
        insert(cursor, f"INSERT INTO users ({COLUMNS}) VALUES %s", people)
    connection.close()


COLUMNS = """
    id, tenant_id, role, is_active, hashed_password, username, username_key, email, email_key,
    first_name, last_name, is_verified, sort_key, search_text"""


def row_of(person: Person) -> tuple[Any, ...]:
    names = {"first_name": f"CANARY-{person.subdomain}", "last_name": person.username.title()}
    keys = keys_of(**names, username=person.username, email=person.email)
    account = str(person.id), str(person.tenant_id), person.role, person.is_active, password_hash()
    known = person.username, username_key(person.username), person.email, email_key(person.email)
    return (*account, *known, *names.values(), True, *keys.values())
