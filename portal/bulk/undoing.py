"""Looking back at an act on many accounts, and taking it back."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.audit import services as audit
from portal.auth import services as auth
from portal.bulk.commands import MOST, Undo
from portal.bulk.lists import changes_of
from portal.bulk.models import BulkAct, BulkChange
from portal.bulk.services import ENTRIES, Done, Tally, begin_act, bulk_act, end_act, lock, report_of, turn
from portal.errors import Invalid
from portal.extensions import db
from portal.jobs import services as jobs
from portal.jobs.models import Job
from portal.jobs.services import Work
from portal.users import finding
from portal.users import services as users

UNDO_FOR = timedelta(minutes=10)
BACK = {"role": "role", "deactivate": "reactivate", "reactivate": "deactivate"}  # what takes an act back; a sign-out nothing


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
    changes = (BulkChange.tenant_id == act.tenant_id, BulkChange.act_id == act.id)
    changed = db.session.execute(select(func.count()).select_from(BulkChange).where(*changes)).scalar_one()
    undone_by = _undone_by(act)
    open_ = act.act in BACK and act.undoes is None and undone_by is None
    until = entry.at + UNDO_FOR if entry and open_ else None
    return Told(act, entry, changed, until if until and until > datetime.now(UTC) else None, undone_by)


def changed_users(act: BulkAct, limit: int) -> list[tuple[BulkChange, finding.Row | None]]:
    """Some of the accounts that the act has changed, each with how it is now; None where it is gone. Two statements."""
    of_act = select(BulkChange).where(BulkChange.tenant_id == act.tenant_id, BulkChange.act_id == act.id)
    changes = list(db.session.execute(of_act.order_by(BulkChange.user_id).limit(limit)).scalars())
    rows = {row.id: row for row in finding.chosen(act.tenant_id, [change.user_id for change in changes])}
    return [(change, rows.get(change.user_id)) for change in changes]


def _undone_by(act: BulkAct) -> UUID | None:
    undoing = select(BulkAct.id).where(BulkAct.tenant_id == act.tenant_id, BulkAct.undoes == act.id)
    return db.session.execute(undoing).scalar_one_or_none()


def undo(command: Undo, act: BulkAct, *, by: Actor) -> Done | Job:
    """Take an act back for everybody who is still as it left them: at once, or in a job where it changed more than MOST.

    Raises Invalid where its time is over, it was undone already or nothing is as it left it; Invalid(password=…) where a role from
    org_admin on is given back without a fresh password.
    """
    users.demand_allowed(policy.administers_organization(by))
    seen = told(act)
    _demand_open(seen)
    roles = select(BulkChange.old_role).where(BulkChange.tenant_id == act.tenant_id, BulkChange.act_id == act.id).distinct()
    if act.act == "role" and policy.some_ask_for_password(map(str, db.session.execute(roles).scalars())):
        auth.confirm(command, by=by)
    if seen.changed > MOST:
        return jobs.ask("users.undo_bulk", by=by, arguments={"act": str(act.id)})
    return _undone(act, by)


@jobs.kind(
    "users.undo_bulk", title="Undoing a change of many accounts", question=policy.administers_organization, report="bulk/_report.html"
)
def undo_all(work: Work) -> dict[str, Any]:
    """As `undo`, for more than MOST; its ten minutes are those in which it was asked for. Raises Invalid likewise."""
    act = bulk_act(work.by.tenant_id, UUID(work.arguments["act"]))
    assert act is not None
    return report_of(_undone(act, work.by, work))


def _demand_open(seen: Told) -> None:
    if seen.undone_by:
        raise Invalid("This was undone already.")
    if seen.undo_until is None:
        raise Invalid("This cannot be undone: it is more than ten minutes ago, or an undoing or a sign-out itself.")


def _undone(act: BulkAct, by: Actor, work: Work | None = None) -> Done:
    act_id, tally = uuid7(), Tally()
    lock(by)
    if work is None:
        _demand_open(told(act))  # somebody may have been faster
    elif _undone_by(act):
        raise Invalid("This was undone already.")
    total = db.session.execute(
        select(func.count()).select_from(BulkChange).where(BulkChange.tenant_id == act.tenant_id, BulkChange.act_id == act.id)
    ).scalar_one()
    kind = BACK[act.act]
    begin_act(BulkAct(tenant_id=by.tenant_id, id=act_id, act=kind, undoes=act.id, made_by=by.id))
    for changes in changes_of(act.tenant_id, act.id):
        _turn_back(act_id, kind, changes, by, tally)
        if work:
            work.progress(tally.seen, total)
    end_act(act_id, "bulk_undone", by, tally, {"what": [None, ENTRIES[act.act].replace("_", " ")]})
    return Done(act_id, tally.changed, tally.reasons)


def _turn_back(act_id: UUID, kind: str, changes: list[Any], by: Actor, tally: Tally) -> None:
    """Those who are still as the act left them, each back to what was before it."""
    left = {change.user_id: change for change in changes}
    before = {change.user_id: change.old_role for change in changes}
    rows = finding.chosen(by.tenant_id, before)
    same = [row for row in rows if policy.is_still(row, left[row.id].new_role, left[row.id].new_state)]
    if other := len(changes) - len(same):
        tally.left["The account is not as the act left it."] += other
        tally.seen += other
    by_role = sorted(same, key=lambda row: str(before[row.id]))
    for old_role, group in groupby(by_role, key=lambda row: before[row.id]):
        turn(act_id, kind, old_role if kind == "role" else None, list(group), by, tally)
