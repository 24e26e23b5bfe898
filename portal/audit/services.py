"""Writing the audit log."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text

from portal.actor import Actor
from portal.audit.models import AuditEntry
from portal.extensions import db

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
        "changes": changes or {},
        "network": by.origin.network if by else network,
        "previous_hash": bytes(newest.hash) if newest else None,
    }
    db.session.execute(insert(AuditEntry).values(**entry, hash=hash_of(entry)))


def hash_of(entry: dict[str, Any]) -> bytes:
    """SHA-256 over the canonical JSON of an entry and the hash before it."""
    plain = {name: _plain(entry[name]) for name in sorted(entry) if name != "hash"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value) if isinstance(value, UUID) else value
