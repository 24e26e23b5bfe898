"""Looking back at an act on many accounts, and giving each account back what it had before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from portal import policy
from portal.actor import Actor
from portal.audit import services as audit
from portal.bulk import acting
from portal.bulk.acting import ENTRIES, Result, Tally
from portal.bulk.lists import changes_of
from portal.bulk.models import BulkAct, BulkChange
from portal.errors import Invalid
from portal.extensions import db
from portal.users import finding

UNDO_FOR = timedelta(minutes=10)
BACK = {"role": "role", "deactivate": "reactivate", "reactivate": "deactivate"}  # what takes an act back; a sign-out nothing
UNDONE = "This was undone already."
TOO_LATE = "This cannot be undone: it is more than ten minutes ago, or an undoing or a sign-out itself."
CHANGED_SINCE = "The account is not as the act left it."


@dataclass(frozen=True)
class Told:
    """An act as its page shows it: how many accounts it changed, when, by whom, and until when it can be undone (None: not any more)."""

    act: BulkAct
    entry: Any
    changed: int
    undo_until: datetime | None
    undone_by: UUID | None


def told(act: BulkAct) -> Told:
    """What the act's page shows. Three statements."""
    entry = next(iter(audit.about(act.tenant_id, act.id, 1)), None)
    undone_by = _undone_by(act)
    open_ = act.act in BACK and act.undoes is None and undone_by is None
    until = entry.at + UNDO_FOR if entry and open_ else None
    return Told(act, entry, _number_changed(act), until if until and until > datetime.now(UTC) else None, undone_by)


def changed_users(act: BulkAct, limit: int) -> list[tuple[BulkChange, finding.Row | None]]:
    """Some of the accounts that the act has changed, each with how it is now; None where it is gone. Two statements."""
    changes = list(db.session.execute(select(BulkChange).where(*_of(act)).order_by(BulkChange.user_id).limit(limit)).scalars())
    rows = {row.id: row for row in finding.chosen(act.tenant_id, [change.user_id for change in changes])}
    return [(change, rows.get(change.user_id)) for change in changes]


def gives_back_administrators(act: BulkAct) -> bool:
    """Whether an undoing gives somebody a role from org_admin on."""
    roles = select(BulkChange.old_role).where(*_of(act)).distinct()
    return act.act == "role" and policy.some_ask_for_password(map(str, db.session.execute(roles).scalars()))


def demand_open(act: BulkAct) -> Told:
    """What the act's page shows; raises Invalid where the act cannot be undone any more."""
    seen = told(act)
    if seen.undone_by:
        raise Invalid(UNDONE)
    if seen.undo_until is None:
        raise Invalid(TOO_LATE)
    return seen


def demand_not_undone(act: BulkAct) -> None:
    """Raises Invalid where somebody was faster."""
    if _undone_by(act):
        raise Invalid(UNDONE)


def give_back(act: BulkAct, by: Actor, progress: Callable[[int, int], None] | None = None) -> Result:
    """Within the organization's lock: take the act back for everybody who is still as it left them, as an act of its own.

    `progress` is told how many accounts were looked at, of how many.
    """
    kind, total = BACK[act.act], _number_changed(act)
    tally = acting.begin(kind, by, undoes=act.id)
    for changes in changes_of(act.tenant_id, act.id):
        _give_back(tally, kind, changes, by)
        if progress:
            progress(tally.processed, total)
    return acting.finish(tally, "bulk_undone", {"what": [None, ENTRIES[act.act].replace("_", " ")]}, by)


def _give_back(tally: Tally, kind: str, changes: list[Any], by: Actor) -> None:
    """Those who are still as the act left them, each back to what was before it."""
    left = {change.user_id: change for change in changes}
    before = {change.user_id: change.old_role for change in changes}
    rows = finding.chosen(by.tenant_id, before)
    same = [row for row in rows if policy.is_still(row, left[row.id].new_role, left[row.id].new_state)]
    if other := len(changes) - len(same):
        tally.skipped[CHANGED_SINCE] += other
        tally.processed += other
    by_role = sorted(same, key=lambda row: str(before[row.id]))
    for old_role, group in groupby(by_role, key=lambda row: before[row.id]):
        acting.change(tally, kind, old_role if kind == "role" else None, list(group), by)


def _of(act: BulkAct) -> tuple[Any, ...]:
    return BulkChange.tenant_id == act.tenant_id, BulkChange.act_id == act.id


def _number_changed(act: BulkAct) -> int:
    return int(db.session.execute(select(func.count()).select_from(BulkChange).where(*_of(act))).scalar_one())


def _undone_by(act: BulkAct) -> UUID | None:
    undoing = select(BulkAct.id).where(BulkAct.tenant_id == act.tenant_id, BulkAct.undoes == act.id)
    return db.session.execute(undoing).scalar_one_or_none()
