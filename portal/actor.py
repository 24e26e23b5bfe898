"""The user who is acting now, as a small frozen object that outlives every transaction."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from flask_login import UserMixin

from portal.values import full_name


@dataclass(frozen=True)
class Origin:
    """Where a request came from: the network address and the device's own words; None where nothing was told."""

    network: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, eq=False)
class Actor(UserMixin):
    """An account that acts, signed in by a session or through a job that it asked for; every service takes it as `by=`.

    `session_id`, `signed_in_at` and `credential` are None where a job acts for somebody who may have signed out since. `confirmed` is
    true while the password was typed in this session in the last five minutes, `is_verified` once `email` was confirmed. `theme`,
    `time_zone`, `density` and what the table of users shows are None where the person has chosen nothing.
    """

    id: UUID
    tenant_id: UUID
    role: str
    username: str
    email: str
    is_verified: bool
    first_name: str | None
    last_name: str | None
    organization_name: str
    subdomain: str
    session_id: UUID | None
    signed_in_at: datetime | None
    confirmed: bool
    theme: str | None
    time_zone: str | None
    density: str | None
    table_columns: str | None
    table_rows: int | None
    credential: str | None = field(repr=False)
    origin: Origin

    def get_id(self) -> str | None:
        return self.credential

    @property
    def full_name(self) -> str:
        return full_name(self.first_name, self.last_name, self.username)


@dataclass(frozen=True, eq=False)
class Ticket(UserMixin):
    """A credential that was just made: all that Flask-Login needs to keep somebody signed in."""

    credential: str = field(repr=False)

    def get_id(self) -> str:
        return self.credential
