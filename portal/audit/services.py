"""Writing the audit log, and proving that nobody changed it since."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from portal.actor import Actor
from portal.audit.commands import LookThrough
from portal.audit.models import AuditEntry
from portal.database.reading import Reading, Writing
from portal.extensions import db
from portal.organizations.models import Tenant
from portal.values import zone

BATCH = 1000  # entries that are recomputed or exported at a time
PAGE = 25  # as of users
# Of an entry about somebody else's account, the name that the account bears now; the entry itself keeps none.
WHOM = """
    (SELECT CASE WHEN u.removed_at IS NOT NULL THEN 'a removed user'
                 ELSE coalesce(nullif(concat_ws(' ', u.first_name, u.last_name), ''), u.username, u.email) END
     FROM users u WHERE u.tenant_id = e.tenant_id AND e.object_type = 'user' AND u.id = e.object_id
     AND u.id IS DISTINCT FROM e.actor_id)"""
# The newest entries as one column of another statement, to be read by `entries`; `about` narrows them down.
LATEST = f"""
    (SELECT json_agg(json_build_array(at, actor_name, action, fields, whom)) FROM (
        SELECT at, actor_name, action, ARRAY (SELECT jsonb_object_keys(changes)) AS fields, {WHOM} AS whom FROM audit_entries e
        WHERE tenant_id = %(tenant)s {{about}} ORDER BY seq DESC LIMIT {{limit}}) AS latest)"""


# The lock and the look are one round trip but two statements, so that the look sees what the lock waited for.
NEWEST = Writing("""
    SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s, 0));
    SELECT seq, hash FROM audit_entries WHERE tenant_id = CAST(%(tenant)s AS uuid) ORDER BY seq DESC LIMIT 1""")

COLUMNS = [column.name for column in AuditEntry.__table__.columns]
ADD = Writing(f"INSERT INTO audit_entries ({', '.join(COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in COLUMNS)})")


def record(
    action: str,
    *,
    tenant_id: UUID,
    by: Actor | None = None,
    actor_id: UUID | None = None,
    actor_name: str | None = None,
    network: str | None = None,
    object_type: str | None = None,
    object_id: UUID | None = None,
    changes: dict[str, Any] | None = None,
) -> None:
    """Append an entry to the tenant's chain; call it last, because the chain is locked until the transaction ends.

    `changes` maps a field's name to [old, new]; never a password, token or code.
    """
    about = {"object_type": object_type, "actor_id": actor_id, "actor_name": actor_name, "network": network}
    _append([(action, object_id, changes or {})], tenant_id=tenant_id, **(about | _whose(by) if by else about))


Act = tuple[str, UUID | None, dict[str, Any]]  # action, object_id, changes


def record_each(acts: Iterable[Act], *, by: Actor, object_type: str) -> None:
    """As `record`, of several acts in their order, with one look at the chain."""
    _append(acts, tenant_id=by.tenant_id, object_type=object_type, **_whose(by))


def _append(acts: Iterable[Act], *, tenant_id: UUID, **about: Any) -> None:
    db.session.flush()
    newest = NEWEST.one(tenant=str(tenant_id))
    seq, previous = (newest.seq, bytes(newest.hash)) if newest else (0, None)
    for action, object_id, changes in acts:
        seq += 1
        entry = {"tenant_id": tenant_id, "seq": seq, "at": datetime.now(UTC), "action": action, "object_id": object_id, **about}
        entry |= {"changes": _plain(changes), "previous_hash": previous}
        previous = hash_of(entry)
        # One by one: the policy asks of each whether it follows those before it.
        ADD(**entry | {"changes": json.dumps(entry["changes"]), "hash": previous})


def _whose(by: Actor) -> dict[str, Any]:
    return {"actor_id": by.id, "actor_name": by.full_name, "network": by.origin.network}


def record_once(action: str, *, tenant_id: UUID, object_id: UUID, **about: Any) -> None:
    """As `record`, of what may happen to an object once: nothing where the chain tells of it already."""
    NEWEST(tenant=str(tenant_id))  # for its lock: whoever writes the same waits here
    mine = (AuditEntry.tenant_id == tenant_id, AuditEntry.object_id == object_id, AuditEntry.action == action)
    if db.session.execute(select(AuditEntry.seq).where(*mine)).first() is None:
        record(action, tenant_id=tenant_id, object_id=object_id, **about)


def hash_of(entry: dict[str, Any]) -> bytes:
    """SHA-256 over the canonical JSON of an entry and the hash before it."""
    plain = {name: _plain(entry[name]) for name in sorted(entry) if name != "hash"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()).digest()


class Entry(NamedTuple):
    """An entry as LATEST tells it: `fields` are the names of those that it changed, `whom` it was about, if that is somebody else."""

    at: datetime
    actor_name: str | None
    action: str
    fields: list[str]
    whom: str | None


def entries(latest: list[list[Any]] | None) -> list[Entry]:
    """What a LATEST has found, newest first."""
    return [Entry(datetime.fromisoformat(at), *others) for at, *others in latest or []]


def about(tenant_id: UUID, object_id: UUID, limit: int, also: str = "") -> list[Any]:
    """The newest entries about this object and those that `also` finds: a SELECT of their ids, with the same parameters. One statement."""
    return _about(also)(tenant=tenant_id, object=object_id, limit=limit)


def look_through(tenant_id: UUID, asked: LookThrough, *, limit: int | None = None, days_in: str = "UTC") -> list[Any]:
    """The newest entries that were asked for: `limit` (a page) and one more where there are further ones. One statement.

    Their `changes` are None where there are none. `days_in` is the time zone (IANA) in which a day begins.
    """
    since = _midnight(asked.since, days_in) if asked.since else None
    until = _midnight(asked.until + timedelta(days=1), days_in) if asked.until else None
    given = {"who": asked.who, "action": asked.action, "about": asked.about, "since": since, "until": until, "before": asked.before}
    narrowed = {name: value for name, value in given.items() if value is not None}
    return _entries(tuple(narrowed))(tenant=tenant_id, limit=(limit or PAGE) + 1, **narrowed)


NARROWED_BY = {
    "who": "position(lower(%(who)s) IN lower(actor_name)) > 0",
    "action": "action = %(action)s",
    "about": "object_type = %(about)s",
    "since": "at >= %(since)s",
    "until": "at < %(until)s",
    "before": "seq < %(before)s",
}


@cache
def _entries(narrowed_by: tuple[str, ...]) -> Reading:
    """The statement for a search by these; it asks about nothing that was not asked for."""
    return _newest(*(NARROWED_BY[name] for name in narrowed_by))


@cache
def _about(also: str) -> Reading:
    others = f" || ARRAY ({also})" if also else ""
    return _newest(f"object_id = ANY (ARRAY[CAST(%(object)s AS uuid)]{others})")


def _newest(*conditions: str) -> Reading:
    mine = " AND ".join(("tenant_id = %(tenant)s", *conditions))
    columns = f"seq, at, actor_id, actor_name, action, nullif(changes, '{{}}') AS changes, network, object_id, {WHOM} AS whom"
    return Reading(f"SELECT {columns} FROM audit_entries e WHERE {mine} ORDER BY seq DESC LIMIT %(limit)s")


def _midnight(day: date, days_in: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone(days_in))


@dataclass(frozen=True)
class Chain:
    """What a look at one organization's chain has shown: how many entries are whole, and the first that is not."""

    subdomain: str
    whole: int
    broken: int | None


@dataclass(frozen=True)
class Slice:
    """A part of a chain that was recomputed: up to which entry it is whole, the newest entry, and the first broken one."""

    whole: int
    newest: int
    broken: int | None

    @property
    def done(self) -> bool:
        return self.broken is not None or self.whole >= self.newest


def verify() -> Iterator[Chain]:
    """Recompute every organization's chain, in slices; for a transaction that is bound to none (the platform's)."""
    for tenant_id, subdomain in db.session.execute(select(Tenant.id, Tenant.subdomain).order_by(Tenant.subdomain)).all():
        part = verify_slice(tenant_id, 0)
        while not part.done:
            part = verify_slice(tenant_id, part.whole)
        yield Chain(subdomain, part.whole, part.broken)


def verify_slice(tenant_id: UUID, after: int) -> Slice:
    """Recompute at most BATCH entries that follow entry number `after`, which a slice before has found whole. Two statements."""
    newest = db.session.execute(select(func.max(AuditEntry.seq)).where(AuditEntry.tenant_id == tenant_id)).scalar() or 0
    mine = (AuditEntry.tenant_id == tenant_id, AuditEntry.seq >= after)
    rows = select(*AuditEntry.__table__.columns).where(*mine).order_by(AuditEntry.seq).limit(BATCH + bool(after))
    entries = [dict(row) for row in db.session.execute(rows).mappings()]
    whole, previous = 0, None
    if after:
        if not entries or entries[0]["seq"] != after:
            return Slice(0, newest, after)  # it went since the slice before
        whole, previous = after, _bytes(entries.pop(0)["hash"])
    for entry in entries:
        if entry["seq"] != whole + 1 or _bytes(entry["previous_hash"]) != previous or hash_of(entry) != _bytes(entry["hash"]):
            return Slice(whole, newest, int(entry["seq"]))
        whole, previous = whole + 1, _bytes(entry["hash"])
    return Slice(whole, max(newest, whole), None)


def heads() -> list[tuple[str, int, str]]:
    """Subdomain, number and hash (hexadecimal) of every organization's newest entry, to be kept elsewhere: entries cut off
    at the end leave a chain that is whole, and only a kept head shows it."""
    newest = select(AuditEntry.tenant_id, func.max(AuditEntry.seq).label("seq")).group_by(AuditEntry.tenant_id).subquery()
    rows = (
        select(Tenant.subdomain, AuditEntry.seq, AuditEntry.hash)
        .join(newest, newest.c.tenant_id == Tenant.id)
        .join(AuditEntry, (AuditEntry.tenant_id == newest.c.tenant_id) & (AuditEntry.seq == newest.c.seq))
        .order_by(Tenant.subdomain)
    )
    return [(subdomain, seq, bytes(hash_).hex()) for subdomain, seq, hash_ in db.session.execute(rows)]


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, UUID) else value
