"""Writing the audit log, and proving that nobody changed it since."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, text

from portal.actor import Actor
from portal.audit.models import AuditEntry
from portal.extensions import db
from portal.organizations.models import Tenant

BATCH = 1000  # entries

# The lock and the look are one round trip but two statements, so that the look sees what the lock waited for.
NEWEST = text("""
    SELECT pg_advisory_xact_lock(hashtextextended(:tenant, 0));
    SELECT seq, hash FROM audit_entries WHERE tenant_id = CAST(:tenant AS uuid) ORDER BY seq DESC LIMIT 1""")


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
    db.session.flush()
    newest = db.session.execute(NEWEST, {"tenant": str(tenant_id)}).first()
    entry = {
        "tenant_id": tenant_id,
        "seq": newest.seq + 1 if newest else 1,
        "at": datetime.now(UTC),
        "actor_id": by.id if by else actor_id,
        "actor_name": by.full_name if by else actor_name,
        "action": action,
        "object_type": object_type,
        "object_id": object_id,
        "changes": _plain(changes or {}),
        "network": by.origin.network if by else network,
        "previous_hash": bytes(newest.hash) if newest else None,
    }
    db.session.execute(insert(AuditEntry).values(**entry, hash=hash_of(entry)))


def hash_of(entry: dict[str, Any]) -> bytes:
    """SHA-256 over the canonical JSON of an entry and the hash before it."""
    plain = {name: _plain(entry[name]) for name in sorted(entry) if name != "hash"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()).digest()


def latest(tenant_id: UUID, object_type: str, limit: int = 10) -> list[Any]:
    """The newest entries about one kind of object that changed fields: at, actor_name, action, changes. One statement."""
    columns = (AuditEntry.at, AuditEntry.actor_name, AuditEntry.action, AuditEntry.changes)
    about = (AuditEntry.tenant_id == tenant_id, AuditEntry.object_type == object_type, AuditEntry.changes != {})
    return list(db.session.execute(select(*columns).where(*about).order_by(AuditEntry.seq.desc()).limit(limit)).all())


@dataclass(frozen=True)
class Chain:
    """What a look at one organization's chain has shown: how many entries are whole, and the first that is not."""

    subdomain: str
    whole: int
    broken: int | None


def verify() -> Iterator[Chain]:
    """Recompute every organization's chain, in batches; for a transaction that is bound to none (the platform's)."""
    for tenant_id, subdomain in db.session.execute(select(Tenant.id, Tenant.subdomain).order_by(Tenant.subdomain)).all():
        whole, previous, broken = 0, None, None
        for entry in _entries(tenant_id):
            if entry["seq"] != whole + 1 or _bytes(entry["previous_hash"]) != previous or hash_of(entry) != _bytes(entry["hash"]):
                broken = int(entry["seq"])
                break
            whole, previous = whole + 1, _bytes(entry["hash"])
        yield Chain(subdomain, whole, broken)


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


def _entries(tenant_id: UUID) -> Iterator[dict[str, Any]]:
    after = 0
    columns = AuditEntry.__table__.columns
    while (
        batch := db.session.execute(
            select(*columns).where(AuditEntry.tenant_id == tenant_id, AuditEntry.seq > after).order_by(AuditEntry.seq).limit(BATCH)
        )
        .mappings()
        .all()
    ):
        yield from map(dict, batch)
        after = batch[-1]["seq"]


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
