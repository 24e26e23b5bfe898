"""The overview's figures, read from the database and nowhere else."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from portal.actor import Actor
from portal.audit import services as audit
from portal.audit.commands import LookThrough
from portal.auth import services as auth
from portal.extensions import db
from portal.policy import LADDER, is_platform
from portal.users.models import Role

DAYS = 30
LATEST = 10  # changes
ROLES = text("SELECT role, is_active, count(*) AS people FROM users WHERE tenant_id = :tenant GROUP BY role, is_active")
SIGN_INS = text("""
    SELECT CAST(at AT TIME ZONE 'UTC' AS date) AS day, count(*) AS sign_ins FROM audit_entries
    WHERE tenant_id = :tenant AND action = 'signed_in' AND at >= :since GROUP BY day""")
OPEN_SESSIONS = text(f"SELECT count(*) {auth.SESSIONS} WHERE s.tenant_id = :tenant AND {auth.IS_OPEN}")
FACTS = text("""
    SELECT (SELECT min(at) FROM audit_entries WHERE tenant_id = :tenant) AS audited_since,
           EXISTS (SELECT 1 FROM audit_entries WHERE tenant_id = :tenant AND action = 'signed_in' AND actor_id = :user) AS has_signed_in,
           EXISTS (SELECT 1 FROM tenants WHERE id = :tenant AND description IS NOT NULL) AS has_description""")
ADMINISTRATORS = text("""
    SELECT first_name, last_name, username, email FROM users
    WHERE tenant_id = :tenant AND is_active AND role = :role ORDER BY sort_key, id LIMIT 10""")
LAST_SIGN_IN = text("SELECT last_sign_in_at FROM users WHERE tenant_id = :tenant AND id = :user")


@dataclass(frozen=True)
class RoleCount:
    role: str
    active: int
    inactive: int


@dataclass(frozen=True)
class Overview:
    """What an administrator sees; every figure was counted at `as_of` (UTC)."""

    as_of: datetime
    roles: list[RoleCount]
    sign_ins: list[tuple[date, int | None]]
    audited_since: datetime | None
    open_sessions: int
    changes: list[Any]
    has_signed_in: bool
    has_description: bool

    @property
    def people(self) -> int:
        return sum(count.active + count.inactive for count in self.roles)

    @property
    def active_people(self) -> int:
        return sum(count.active for count in self.roles)


@dataclass(frozen=True)
class OwnOverview:
    """What every account sees of itself."""

    last_sign_in_at: datetime | None
    sessions: list[auth.OwnSession]
    administrators: list[Any]


def of_organization(tenant_id: UUID, *, by: Actor) -> Overview:
    """The organization's figures. Five statements."""
    now = datetime.now(UTC)
    tenant = {"tenant": tenant_id}
    facts = db.session.execute(FACTS, {**tenant, "user": by.id}).one()
    return Overview(
        as_of=now,
        roles=_role_counts(db.session.execute(ROLES, tenant).all()),
        sign_ins=_per_day(tenant_id, facts.audited_since, now.date()),
        audited_since=facts.audited_since,
        open_sessions=db.session.execute(OPEN_SESSIONS, {**tenant, **auth.open_parameters()}).scalar_one(),
        changes=audit.look_through(tenant_id, LookThrough(), limit=LATEST)[:LATEST],
        has_signed_in=facts.has_signed_in,
        has_description=facts.has_description,
    )


def of_oneself(*, by: Actor) -> OwnOverview:
    """The actor's own things. Three statements."""
    me = {"tenant": by.tenant_id, "user": by.id}
    return OwnOverview(
        last_sign_in_at=db.session.execute(LAST_SIGN_IN, me).scalar_one(),
        sessions=auth.own_sessions(by=by),
        administrators=list(db.session.execute(ADMINISTRATORS, {"tenant": by.tenant_id, "role": str(Role.ORG_ADMIN)}).all()),
    )


def _role_counts(rows: Any) -> list[RoleCount]:
    counted = {(row.role, row.is_active): row.people for row in rows}
    counts = [RoleCount(role, counted.get((role, True), 0), counted.get((role, False), 0)) for role in LADDER]
    return [count for count in counts if count.active or count.inactive or not is_platform(count.role)]


def _per_day(tenant_id: UUID, audited_since: datetime | None, today: date) -> list[tuple[date, int | None]]:
    """Sign-ins of the last 30 days (UTC), oldest first; None for a day before the audit log began."""
    first = today - timedelta(days=DAYS - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    counted = {row.day: row.sign_ins for row in db.session.execute(SIGN_INS, {"tenant": tenant_id, "since": since})}
    began = audited_since.astimezone(UTC).date() if audited_since else None
    days = [first + timedelta(days=offset) for offset in range(DAYS)]
    return [(day, counted.get(day, 0) if began and day >= began else None) for day in days]
