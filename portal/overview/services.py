"""The overview's figures, read from the database and nowhere else."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from portal.actor import Actor
from portal.audit import services as audit
from portal.auth import services as auth
from portal.database.reading import Reading
from portal.policy import LADDER, is_platform
from portal.users.models import Role

DAYS = 30
# Everything in one row: the parts of several rows come as JSON.
FIGURES = Reading(f"""
    SELECT (SELECT json_agg(json_build_array(role, is_active, people)) FROM (
               SELECT role, is_active, count(*) AS people FROM users
               WHERE tenant_id = %(tenant)s GROUP BY role, is_active) counted) AS roles,
           (SELECT json_object_agg(day, sign_ins) FROM (
               SELECT CAST(at AT TIME ZONE 'UTC' AS date) AS day, count(*) AS sign_ins FROM audit_entries
               WHERE tenant_id = %(tenant)s AND action = 'signed_in' AND at >= %(since)s GROUP BY day) counted) AS sign_ins,
           (SELECT count(*) {auth.SESSIONS} WHERE s.tenant_id = %(tenant)s AND {auth.IS_OPEN}) AS open_sessions,
           (SELECT at FROM audit_entries WHERE tenant_id = %(tenant)s ORDER BY seq LIMIT 1) AS audited_since,
           EXISTS (SELECT 1 FROM audit_entries
                   WHERE tenant_id = %(tenant)s AND action = 'signed_in' AND actor_id = %(user)s) AS has_signed_in,
           EXISTS (SELECT 1 FROM tenants WHERE id = %(tenant)s AND description IS NOT NULL) AS has_description,
           {audit.LATEST.format(about="AND action <> 'refused'", limit=10)} AS changes""")
ADMINISTRATORS = Reading("""
    SELECT first_name, last_name, username, email FROM users
    WHERE tenant_id = %(tenant)s AND is_active AND role = %(role)s ORDER BY sort_key, id LIMIT 10""")
LAST_SIGN_IN = Reading("SELECT last_sign_in_at FROM users WHERE tenant_id = %(tenant)s AND id = %(user)s")


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
    changes: list[audit.Entry]
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
    """The organization's figures. One statement."""
    now = datetime.now(UTC)
    days = [now.date() - timedelta(days=ago) for ago in reversed(range(DAYS))]
    since = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC)
    found = FIGURES.one(tenant=tenant_id, user=by.id, since=since, **auth.open_parameters())
    return Overview(
        as_of=now,
        roles=_role_counts(found.roles or []),
        sign_ins=_per_day(days, found.sign_ins or {}, found.audited_since),
        audited_since=found.audited_since,
        open_sessions=found.open_sessions,
        changes=audit.entries(found.changes),
        has_signed_in=found.has_signed_in,
        has_description=found.has_description,
    )


def of_oneself(*, by: Actor) -> OwnOverview:
    """The actor's own things. Three statements."""
    return OwnOverview(
        last_sign_in_at=LAST_SIGN_IN.one(tenant=by.tenant_id, user=by.id).last_sign_in_at,
        sessions=auth.own_sessions(by=by),
        administrators=ADMINISTRATORS(tenant=by.tenant_id, role=str(Role.ORG_ADMIN)),
    )


def _role_counts(rows: list[tuple[str, bool, int]]) -> list[RoleCount]:
    counted = {(role, is_active): people for role, is_active, people in rows}
    counts = [RoleCount(role, counted.get((role, True), 0), counted.get((role, False), 0)) for role in LADDER]
    return [count for count in counts if count.active or count.inactive or not is_platform(count.role)]


def _per_day(days: list[date], counted: dict[str, int], audited_since: datetime | None) -> list[tuple[date, int | None]]:
    """Sign-ins of these days (UTC); None for a day before the audit log began."""
    began = audited_since.astimezone(UTC).date() if audited_since else None
    return [(day, counted.get(day.isoformat(), 0) if began and day >= began else None) for day in days]
