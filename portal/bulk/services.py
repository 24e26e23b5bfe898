"""What people do with many accounts at once: see whom an act would change, and do it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.audit import services as audit
from portal.auth import services as auth
from portal.bulk.commands import MOST, ActOnMany
from portal.bulk.lists import PROOF, hash_of_list
from portal.bulk.models import BulkAct
from portal.errors import Invalid
from portal.extensions import db
from portal.jobs import services as jobs
from portal.jobs.models import Job
from portal.jobs.services import Work
from portal.policy import Answer, Denied
from portal.users import finding
from portal.users import services as users
from portal.users.commands import FindUsers

ENTRIES = {
    "role": "roles_changed",
    "deactivate": "users_deactivated",
    "reactivate": "users_reactivated",
    "sign_out": "users_signed_out",
}
CHANGES = {
    "role": "role = :new_role, auth_epoch = auth_epoch + 1",
    "deactivate": "is_active = false, auth_epoch = auth_epoch + 1",
    "reactivate": "is_active = true",
    "sign_out": "auth_epoch = auth_epoch + 1",
}
STATE_AFTER = {"deactivate": "deactivated", "reactivate": "active"}
CHOSEN = "tenant_id = :tenant AND id = ANY(CAST(:ids AS uuid[]))"
# Who was changed at this moment, by whoever did not ask for the organization's lock, is left alone.
AS_SEEN = "role = :old_role AND state = :old_state"
END_SESSIONS = text("DELETE FROM sessions WHERE tenant_id = :tenant AND user_id = ANY(CAST(:ids AS uuid[]))")
NOTE = text("""
    INSERT INTO bulk_changes (tenant_id, act_id, user_id, old_role, old_state, new_role, new_state)
    SELECT :tenant, :act, unnest(CAST(:ids AS uuid[])), :old_role, :old_state, :new_role, :new_state""")
# For `audit.about` an account: the latest acts on many that changed it.
ACTS_ON = """
    SELECT act_id FROM bulk_changes WHERE tenant_id = %(tenant)s AND user_id = %(object)s ORDER BY act_id DESC LIMIT %(limit)s"""
CHANGED_MEANWHILE = "The account was changed by somebody else at this moment."
NOBODY = "Nobody is changed by this: {}"
LOOK_FIRST = "Look first at whom this would change."
UNSEEN = (
    "{then:,} accounts fitted when you looked at them, and your page showed {shown:,}: an import, or another change of many, was under way"
    " then. Look once more at whom this would change."
)
ONLY_SO_MANY = f"On the platform at most {MOST:,} accounts are changed at once. Narrow the search."


@dataclass(frozen=True)
class Fate:
    """What an act would do to one account."""

    user: finding.Row
    answer: Answer


@dataclass(frozen=True)
class Group:
    """What an act would do to accounts that are alike."""

    role: str
    state: str
    number: int
    answer: Answer


@dataclass(frozen=True)
class Plan:
    """Who would be changed by an act and who not, and why: each account; of more than MOST `groups`, as of a moment."""

    fates: list[Fate] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    as_of: datetime | None = None

    @property
    def in_a_job(self) -> bool:
        return bool(self.groups)

    @property
    def changed(self) -> int:
        return sum(bool(fate.answer) for fate in self.fates) + sum(group.number for group in self.groups if group.answer)

    @property
    def total(self) -> int:
        return len(self.fates) + sum(group.number for group in self.groups)


@dataclass
class Tally:
    """What an act has done so far.

    `changed` is the number of accounts that it changed, `hurting` are the ids of those of them that could administer, `left` counts the
    accounts that it left alone by the reason, `seen` all that it looked at.
    """

    changed: int = 0
    hurting: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    seen: int = 0

    @property
    def reasons(self) -> list[str]:
        return [f"{number:,} × {reason}" for reason, number in self.left.most_common()]


@dataclass(frozen=True)
class Done:
    """An act that was carried out."""

    act_id: UUID
    changed: int
    reasons: list[str]


def plan(command: ActOnMany, *, by: Actor) -> Plan:
    """Who would be changed and who not, asked of the rules as they are now. At most three statements."""
    rows = _chosen(command, by)
    if rows is not None:
        return Plan([Fate(row, answer(command.kind, command.role, row, by)) for row in rows])
    assert command.search is not None
    found = finding.groups(by.tenant_id, command.search, by.id)
    return Plan(groups=[_group(command, group, by) for group in found], as_of=found[0].looked_at if found else None)


def _group(command: ActOnMany, group: finding.Group, by: Actor) -> Group:
    somebody = policy.Somebody(policy.Role(group.role), group.state, group.id or uuid7())
    return Group(group.role, group.state, group.number, answer(command.kind, command.role, somebody, by))


def answer(kind: str, role: str | None, user: policy.Account, by: Actor) -> Answer:
    """Whether an act may be done to an account: the same rule as for one account alone."""
    if kind == "role":
        return policy.can_change_to(by, user, str(role))
    rules = {"deactivate": policy.can_deactivate, "reactivate": policy.can_reactivate, "sign_out": policy.can_manage}
    return rules[kind](by, user)


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


def act(command: ActOnMany, *, by: Actor) -> Done | Job:
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
    lock(by)
    return _carried_out(command.kind, command.role, [finding.chosen(by.tenant_id, command.users)], by)


@jobs.kind("users.bulk", title="Change of many accounts", question=policy.administers_organization, report="bulk/_report.html")
def act_on_all(work: Work) -> dict[str, Any]:
    """All or nothing: everybody who fitted the search when the preview was shown, and whom nobody has changed since.

    Rows tell only when they came and were changed, not when that could be seen. So nothing is done where more fitted by their rows than
    the preview has shown: a transaction was under way then.
    """
    command = ActOnMany.model_validate(work.arguments)
    assert command.search is not None
    assert command.shown is not None
    search, shown, by = _in_a_steady_order(command.search), command.shown, work.by
    lock(by)
    found = finding.groups(by.tenant_id, search, by.id, shown.as_of)
    then, later = (sum(group.number for group in found if group.as_it_was is as_it_was) for as_it_was in (True, False))
    if then > shown.number:
        raise Invalid(UNSEEN.format(then=then, shown=shown.number))
    done = _carried_out(command.kind, command.role, finding.batches(by.tenant_id, search, shown.as_of), by, work, then)
    return {**report_of(done), "shown": shown.number, "later": later, "gone": shown.number - then}


def report_of(done: Done) -> dict[str, Any]:
    """What the report of a job says of it (bulk/_report.html)."""
    return {"act": str(done.act_id), "changed": done.changed, "not_changed": done.reasons}


def _carried_out(
    kind: str,
    role: str | None,
    batches: Iterable[list[finding.Row]],
    by: Actor,
    work: Work | None = None,
    total: int | None = None,
) -> Done:
    """Within the organization's lock: change whom the rules let, write down what was done to whom, and one entry in the audit log."""
    act_id, tally = uuid7(), Tally()
    begin_act(BulkAct(tenant_id=by.tenant_id, id=act_id, act=kind, role=role, made_by=by.id))
    for rows in batches:
        turn(act_id, kind, role, rows, by, tally)
        if work:
            work.progress(tally.seen, total)
    end_act(act_id, ENTRIES[kind], by, tally, {"role": [None, role]} if role else {})
    return Done(act_id, tally.changed, tally.reasons)


def lock(by: Actor) -> None:
    """Until the end of the transaction whoever else changes a role or a state in this organization waits.

    Raises Forbidden where the actor's own was changed just before.
    """
    users.lock_organization(by.tenant_id)
    users.demand_office(by, hold=False)


def begin_act(made: BulkAct) -> None:
    """Write the act down, for what it does to each account to refer to."""
    db.session.add(made)
    db.session.flush()


def turn(act_id: UUID, kind: str, role: str | None, rows: list[finding.Row], by: Actor, tally: Tally) -> None:
    """Change those of the rows whom the rules let, each group of equals by one statement."""
    tally.seen += len(rows)
    answers = [(row, answer(kind, role, row, by)) for row in rows]
    tally.left.update(said.reason for _, said in answers if isinstance(said, Denied))
    for (old_role, old_state), group in _alike(row for row, said in answers if said):
        values: dict[str, Any] = {
            "tenant": by.tenant_id,
            "act": act_id,
            "ids": [str(row.id) for row in group],
            "old_role": old_role,
            "old_state": old_state,
            "new_role": role or old_role,
            "new_state": STATE_AFTER.get(kind, old_state),
        }
        changed = f"UPDATE users SET {CHANGES[kind]}, version = version + 1, updated_at = now() WHERE {CHOSEN} AND {AS_SEEN} RETURNING id"
        values["ids"] = [str(one) for one in db.session.execute(text(changed), values).scalars()]
        if meanwhile := len(group) - len(values["ids"]):
            tally.left[CHANGED_MEANWHILE] += meanwhile
        if kind != "reactivate":
            db.session.execute(END_SESSIONS, values)
        db.session.execute(NOTE, values)
        tally.changed += len(values["ids"])
        tally.hurting += values["ids"] if policy.asks_for_password(old_role) else []


def _alike(rows: Iterable[finding.Row]) -> Iterator[tuple[tuple[str, str], list[finding.Row]]]:
    def now(row: finding.Row) -> tuple[str, str]:
        return str(row.role), row.state

    for alike, group in groupby(sorted(rows, key=now), key=now):
        yield alike, list(group)


def end_act(act_id: UUID, entry: str, by: Actor, tally: Tally, more: dict[str, Any]) -> None:
    """Raises Invalid where nobody was changed, or no administrator would be left. The entry proves the list of changes by its hash."""
    if not tally.changed:
        raise Invalid(NOBODY.format("; ".join(tally.reasons) or "nobody fits any more."))
    users.keep_one_administrator(by.tenant_id, ())
    if tally.hurting:
        users.end_what_was_made(by.tenant_id, tally.hurting)
    changes = {"accounts": [None, tally.changed], **more, PROOF: [None, hash_of_list(by.tenant_id, act_id)]}
    audit.record(entry, tenant_id=by.tenant_id, by=by, object_type="user", object_id=act_id, changes=changes)


def bulk_act(tenant_id: UUID, act_id: UUID) -> BulkAct | None:
    """The act within the tenant; None for unknown and foreign ids alike."""
    return db.session.execute(select(BulkAct).where(BulkAct.tenant_id == tenant_id, BulkAct.id == act_id)).scalar_one_or_none()


def begin_import(*, by: Actor) -> UUID:
    """The act that an import is, for every imported account's history."""
    act_id = uuid7()
    begin_act(BulkAct(tenant_id=by.tenant_id, id=act_id, act="import", made_by=by.id))
    return act_id


def note_import(act_id: UUID, made: Iterable[tuple[str, str]], state: str, tally: Tally, *, by: Actor) -> None:
    """Write down which accounts (role, id) the import has made. One statement for each role."""
    for role, group in groupby(sorted(made), key=lambda one: one[0]):
        ids = [one for _, one in group]
        values = {"tenant": by.tenant_id, "act": act_id, "ids": ids, "old_role": None, "old_state": None}
        db.session.execute(NOTE, {**values, "new_role": role, "new_state": state})
        tally.changed += len(ids)


def end_import(act_id: UUID, tally: Tally, changes: dict[str, Any], *, by: Actor) -> None:
    """The import's entry in the audit log. Raises Forbidden where the actor's role was changed meanwhile."""
    lock(by)
    end_act(act_id, "users_imported", by, tally, changes)
