"""An act on many accounts while it is carried out: whom the rules let be changed, the change, and what is written down of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.audit import services as audit
from portal.bulk.lists import PROOF, hash_of_list
from portal.bulk.models import BulkAct
from portal.errors import Invalid
from portal.extensions import db
from portal.policy import Answer, Denied
from portal.users import finding
from portal.users import services as users

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
RECORD_CHANGES = text("""
    INSERT INTO bulk_changes (tenant_id, act_id, user_id, old_role, old_state, new_role, new_state)
    SELECT :tenant, :act, unnest(CAST(:ids AS uuid[])), :old_role, :old_state, :new_role, :new_state""")
CHANGED_MEANWHILE = "The account was changed by somebody else at this moment."
NOBODY = "Nobody is changed by this: {}"


@dataclass
class Tally:
    """What an act has done so far.

    `changed` is the number of accounts that it changed, `administrators` are the ids of those of them that could administer, `skipped`
    counts the accounts that it left alone by the reason, `processed` all that it looked at.
    """

    act_id: UUID
    changed: int = 0
    administrators: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    processed: int = 0

    @property
    def reasons(self) -> list[str]:
        return [f"{number:,} × {reason}" for reason, number in self.skipped.most_common()]


@dataclass(frozen=True)
class Result:
    """An act that was carried out; `reasons` say why accounts were left alone, and how many."""

    act_id: UUID
    changed: int
    reasons: list[str]

    @property
    def report(self) -> dict[str, Any]:
        """What the report of a job says of it (bulk/_report.html)."""
        return {"act": str(self.act_id), "changed": self.changed, "not_changed": self.reasons}


def answer(kind: str, role: str | None, user: policy.Account, by: Actor) -> Answer:
    """Whether an act may be done to an account: the same rule as for one account alone."""
    if kind == "role":
        return policy.can_change_to(by, user, str(role))
    rules = {"deactivate": policy.can_deactivate, "reactivate": policy.can_reactivate, "sign_out": policy.can_manage}
    return rules[kind](by, user)


def lock(by: Actor) -> None:
    """Until the end of the transaction whoever else changes a role or a state in this organization waits.

    Raises Forbidden where the actor's own was changed just before.
    """
    users.lock_organization(by.tenant_id)
    users.demand_office(by, hold=False)


def begin(kind: str, by: Actor, *, role: str | None = None, undoes: UUID | None = None) -> Tally:
    """Write the act down, for what it does to each account to refer to."""
    act_id = uuid7()
    db.session.add(BulkAct(tenant_id=by.tenant_id, id=act_id, act=kind, role=role, undoes=undoes, made_by=by.id))
    db.session.flush()
    return Tally(act_id)


def change(tally: Tally, kind: str, role: str | None, rows: list[finding.Row], by: Actor) -> None:
    """Change those of the rows whom the rules let, each group of equals by one statement."""
    tally.processed += len(rows)
    answers = [(row, answer(kind, role, row, by)) for row in rows]
    tally.skipped.update(said.reason for _, said in answers if isinstance(said, Denied))
    for (old_role, old_state), equals in _by_role_and_state(row for row, said in answers if said):
        values: dict[str, Any] = {
            "tenant": by.tenant_id,
            "act": tally.act_id,
            "ids": [str(row.id) for row in equals],
            "old_role": old_role,
            "old_state": old_state,
            "new_role": role or old_role,
            "new_state": STATE_AFTER.get(kind, old_state),
        }
        changed = f"UPDATE users SET {CHANGES[kind]}, version = version + 1, updated_at = now() WHERE {CHOSEN} AND {AS_SEEN} RETURNING id"
        values["ids"] = [str(one) for one in db.session.execute(text(changed), values).scalars()]
        if meanwhile := len(equals) - len(values["ids"]):
            tally.skipped[CHANGED_MEANWHILE] += meanwhile
        if kind != "reactivate":
            db.session.execute(END_SESSIONS, values)
        db.session.execute(RECORD_CHANGES, values)
        tally.changed += len(values["ids"])
        tally.administrators += values["ids"] if policy.asks_for_password(old_role) else []


def _by_role_and_state(rows: Iterable[finding.Row]) -> Iterator[tuple[tuple[str, str], list[finding.Row]]]:
    def now(row: finding.Row) -> tuple[str, str]:
        return str(row.role), row.state

    for alike, group in groupby(sorted(rows, key=now), key=now):
        yield alike, list(group)


def record_imported(tally: Tally, imported: Iterable[tuple[str, str]], state: str, by: Actor) -> None:
    """Write down accounts (role, id) that an import has made. One statement for each role."""
    for role, group in groupby(sorted(imported), key=lambda one: one[0]):
        ids = [one for _, one in group]
        values = {"tenant": by.tenant_id, "act": tally.act_id, "ids": ids, "old_role": None, "old_state": None}
        db.session.execute(RECORD_CHANGES, {**values, "new_role": role, "new_state": state})
        tally.changed += len(ids)


def finish(tally: Tally, entry: str, changes: dict[str, Any], by: Actor) -> Result:
    """The act's entry in the audit log, which proves the list of accounts by its hash.

    Raises Invalid where nobody was changed, or no administrator would be left.
    """
    if not tally.changed:
        raise Invalid(NOBODY.format("; ".join(tally.reasons) or "nobody fits any more."))
    users.keep_one_administrator(by.tenant_id, ())
    if tally.administrators:
        users.end_what_was_made(by.tenant_id, tally.administrators)
    proved = {"accounts": [None, tally.changed], **changes, PROOF: [None, hash_of_list(by.tenant_id, tally.act_id)]}
    audit.record(entry, tenant_id=by.tenant_id, by=by, object_type="user", object_id=tally.act_id, changes=proved)
    return Result(tally.act_id, tally.changed, tally.reasons)
