"""The lists of accounts that acts have changed, and their proof in the audit log."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from portal.bulk.models import BulkChange
from portal.extensions import db
from portal.users import finding

PROOF = "fingerprint of the list"
PROVED = text("""
    SELECT t.subdomain, e.tenant_id, e.seq, e.object_id, e.changes -> :proof ->> 1 AS proof
    FROM audit_entries e JOIN tenants t ON t.id = e.tenant_id WHERE e.changes ? :proof ORDER BY t.subdomain, e.seq""")


def changes_of(tenant_id: UUID, act_id: UUID) -> Iterator[list[Any]]:
    """Who was changed by an act and how, by id, in batches."""
    columns = [column for column in BulkChange.__table__.columns if column.name not in ("tenant_id", "act_id")]
    of_act = select(*columns).where(BulkChange.tenant_id == tenant_id, BulkChange.act_id == act_id)
    batch = of_act.order_by(BulkChange.user_id).limit(finding.BATCH)
    found = list(db.session.execute(batch))
    while found:
        yield found
        found = list(db.session.execute(batch.where(BulkChange.user_id > found[-1].user_id)))


def hash_of_list(tenant_id: UUID, act_id: UUID) -> str:
    """SHA-256, hexadecimal, over the lines `id old_role old_state new_role new_state` of an act's changes by id, - for what was not.

    Read in batches, for acts on a million.
    """
    proof, between = hashlib.sha256(), b""
    for changes in changes_of(tenant_id, act_id):
        for change in changes:
            said = (str(change.user_id), change.old_role or "-", change.old_state or "-", change.new_role, change.new_state)
            proof.update(between + " ".join(said).encode())
            between = b"\n"
    return proof.hexdigest()


@dataclass(frozen=True)
class Lists:
    """How many lists of accounts that acts have changed are as their entries in the audit log say, and the first entry whose is not."""

    subdomain: str
    whole: int
    broken: int | None


def verify() -> Iterator[Lists]:
    """Recompute the lists of every organization that has some; for a transaction that is bound to none (the platform's)."""
    entries = db.session.execute(PROVED, {"proof": PROOF}).all()
    for subdomain, of_one in groupby(entries, key=lambda entry: entry.subdomain):
        told = [(entry.seq, hash_of_list(entry.tenant_id, entry.object_id) == entry.proof) for entry in of_one]
        yield Lists(subdomain, sum(whole for _, whole in told), next((seq for seq, whole in told if not whole), None))
