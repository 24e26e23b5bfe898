"""What people do with many accounts at once: see whom an act would change, do it, and take it back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.auth import services as auth
from portal.bulk import acting, undoing
from portal.bulk.acting import Result, Tally
from portal.bulk.commands import MOST, ActOnMany, Undo
from portal.bulk.models import BulkAct
from portal.errors import Invalid
from portal.extensions import db
from portal.jobs import services as jobs
from portal.jobs.models import Job
from portal.jobs.services import Work
from portal.policy import Answer
from portal.users import finding
from portal.users import services as users
from portal.users.commands import FindUsers

# For `audit.about` an account: the latest acts on many that changed it.
ACTS_ON = """
    SELECT act_id FROM bulk_changes WHERE tenant_id = %(tenant)s AND user_id = %(object)s ORDER BY act_id DESC LIMIT %(limit)s"""
LOOK_FIRST = "Look first at whom this would change."
UNSEEN = (
    "{then:,} accounts fitted when you looked at them, and your page showed {shown:,}: an import, or another change of several people, was "
    "under way then. Look once more at whom this would change."
)
ONLY_SO_MANY = f"On the platform at most {MOST:,} accounts are changed at once. Narrow the search."


@dataclass(frozen=True)
class Outcome:
    """What an act would do to one account."""

    user: finding.Row
    answer: Answer


@dataclass(frozen=True)
class GroupOutcome:
    """What an act would do to accounts of one role and state."""

    role: str
    state: str
    number: int
    answer: Answer


@dataclass(frozen=True)
class Preview:
    """Who would be changed by an act and who not, and why: each account; of more than MOST `groups`, as of a moment."""

    outcomes: list[Outcome] = field(default_factory=list)
    groups: list[GroupOutcome] = field(default_factory=list)
    as_of: datetime | None = None

    @property
    def in_a_job(self) -> bool:
        return bool(self.groups)

    @property
    def changed(self) -> int:
        return sum(bool(outcome.answer) for outcome in self.outcomes) + sum(group.number for group in self.groups if group.answer)

    @property
    def total(self) -> int:
        return len(self.outcomes) + sum(group.number for group in self.groups)


def preview(command: ActOnMany, *, by: Actor) -> Preview:
    """Who would be changed and who not, asked of the rules as they are now. At most three statements."""
    rows = _chosen(command, by)
    if rows is not None:
        return Preview([Outcome(row, acting.answer(command.kind, command.role, row, by)) for row in rows])
    assert command.search is not None
    found = finding.groups(by.tenant_id, command.search, by.id)
    return Preview(groups=[_of_group(command, group, by) for group in found], as_of=found[0].looked_at if found else None)


def _of_group(command: ActOnMany, group: finding.Group, by: Actor) -> GroupOutcome:
    somebody = policy.Somebody(policy.Role(group.role), group.state, group.id or uuid7())
    return GroupOutcome(group.role, group.state, group.number, acting.answer(command.kind, command.role, somebody, by))


def _chosen(command: ActOnMany, by: Actor) -> list[finding.Row] | None:
    """The accounts that were asked for, in the order of their names; None where there are more than MOST."""
    if command.search is None:
        return finding.chosen(by.tenant_id, command.users)
    found = finding.find(by.tenant_id, _in_a_steady_order(command.search), MOST)
    if found.candidates or found.total is None or found.total > MOST:
        return None
    return [finding.Row(UUID(row.id), *row[1:]) for row in found.rows]


def _in_a_steady_order(search: FindUsers) -> FindUsers:
    """By name: no act moves an account in it."""
    return search.model_copy(update={"sort": "name", "after": None, "before": None})


def run(command: ActOnMany, *, by: Actor) -> Result | Job:
    """Do it to everybody who was asked for and may be changed: at once to chosen accounts, in a job to all that fit a search.

    Raises Invalid for a search of which no preview was shown, where nobody would be changed or no administrator left,
    Invalid(password=…) where a role from org_admin on is given without a fresh password, Forbidden where the actor's own role was taken
    away at this moment.
    """
    users.demand_allowed(policy.administers_organization(by))
    if command.role and policy.asks_for_password(command.role):
        auth.confirm(command, by=by)
    if command.search is not None:
        if policy.is_platform(by.role):
            raise Invalid(ONLY_SO_MANY)  # a job works as the app, whose row level security keeps the platform's accounts
        if command.shown is None:
            raise Invalid(LOOK_FIRST)
        return jobs.ask("users.bulk", by=by, arguments=command.model_dump(mode="json", include={"act", "search", "shown"}))
    acting.lock(by)
    return _run(command, [finding.chosen(by.tenant_id, command.users)], by)


@jobs.kind("users.bulk", title="Change several people", question=policy.administers_organization, report="bulk/_report.html")
def run_in_job(work: Work) -> dict[str, Any]:
    """All or nothing: everybody who fitted the search when the preview was shown, and whom nobody has changed since.

    Rows tell only when they came and were changed, not when that could be seen. So nothing is done where more fitted by their rows than
    the preview has shown: a transaction was under way then.
    """
    command = ActOnMany.model_validate(work.arguments)
    assert command.search is not None
    assert command.shown is not None
    search, shown, by = _in_a_steady_order(command.search), command.shown, work.by
    acting.lock(by)
    found = finding.groups(by.tenant_id, search, by.id, shown.as_of)
    then, later = (sum(group.number for group in found if group.as_it_was is as_it_was) for as_it_was in (True, False))
    if then > shown.number:
        raise Invalid(UNSEEN.format(then=then, shown=shown.number))
    batches = finding.batches(by.tenant_id, search, shown.as_of)
    result = _run(command, batches, by, lambda processed: work.progress(processed, then))
    return {**result.report, "shown": shown.number, "later": later, "gone": shown.number - then}


def _run(command: ActOnMany, batches: Iterable[list[finding.Row]], by: Actor, progress: Callable[[int], None] | None = None) -> Result:
    """Within the organization's lock: change whom the rules let; `progress` is told how many accounts were looked at."""
    tally = acting.begin(command.kind, by, role=command.role)
    for rows in batches:
        acting.change(tally, command.kind, command.role, rows, by)
        if progress:
            progress(tally.processed)
    return acting.finish(tally, acting.ENTRIES[command.kind], {"role": [None, command.role]} if command.role else {}, by)


def undo(command: Undo, act: BulkAct, *, by: Actor) -> Result | Job:
    """Take an act back for everybody who is still as it left them: at once, or in a job where it changed more than MOST.

    Raises Invalid where its time is over, it was undone already or nothing is as it left it; Invalid(password=…) where a role from
    org_admin on is given back without a fresh password.
    """
    users.demand_allowed(policy.administers_organization(by))
    seen = undoing.demand_open(act)
    if undoing.gives_back_administrators(act):
        auth.confirm(command, by=by)
    if seen.changed > MOST:
        return jobs.ask("users.undo_bulk", by=by, arguments={"act": str(act.id)})
    acting.lock(by)
    undoing.demand_open(act)  # somebody may have been faster
    return undoing.give_back(act, by)


@jobs.kind("users.undo_bulk", title="Undo a change of several people", question=policy.administers_organization, report="bulk/_report.html")
def undo_in_job(work: Work) -> dict[str, Any]:
    """As `undo`, for more than MOST; its ten minutes are those in which it was asked for. Raises Invalid likewise."""
    act = bulk_act(work.by.tenant_id, UUID(work.arguments["act"]))
    assert act is not None
    acting.lock(work.by)
    undoing.demand_not_undone(act)
    return undoing.give_back(act, work.by, work.progress).report


def bulk_act(tenant_id: UUID, act_id: UUID) -> BulkAct | None:
    """The act within the tenant; None for unknown and foreign ids alike."""
    return db.session.execute(select(BulkAct).where(BulkAct.tenant_id == tenant_id, BulkAct.id == act_id)).scalar_one_or_none()


def begin_import(*, by: Actor) -> Tally:
    """The act that an import is, for every imported account's history."""
    return acting.begin("import", by)


def note_import(tally: Tally, made: Iterable[tuple[str, str]], state: str, *, by: Actor) -> None:
    """Write down which accounts (role, id) the import has made."""
    acting.record_imported(tally, made, state, by)


def end_import(tally: Tally, changes: dict[str, Any], *, by: Actor) -> None:
    """The import's entry in the audit log. Raises Forbidden where the actor's role was changed meanwhile."""
    acting.lock(by)
    acting.finish(tally, "users_imported", changes, by)
