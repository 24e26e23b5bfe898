"""What people do with the accounts of their organization."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import IntegrityError

from portal import policy
from portal.actor import Actor
from portal.audit import services as audit
from portal.auth import services as auth
from portal.auth.models import SignInSession
from portal.errors import Conflict, Forbidden, Invalid, Unauthenticated
from portal.extensions import constraint_of, db
from portal.mail import services as mail
from portal.organizations.models import Tenant
from portal.policy import Answer, Denied
from portal.users.commands import ChangeRole, ChooseColumns, HandOver, RemoveUser
from portal.users.models import TAKEN, Role, User
from portal.values import email_key, folded, username_key

# Of what may be empty: when the account was what.
TIMES_KEPT = {"created_at", "updated_at", "accepted_at", "last_sign_in_at", "removed_at"}
# What becomes empty when somebody is removed: everything else, also what another revision adds.
ERASED = tuple(name for name, column in User.__table__.columns.items() if column.nullable and name not in TIMES_KEPT)

STILL_ACTS = "SELECT true FROM users WHERE tenant_id = :tenant AND id = :me AND role = :role AND is_active"
# By what they handed out while they might, people who no longer may would come back: under another name, or under somebody else's.
# The role is looked up row by row, so that no plan goes through a table again for every row of the other.
END_WHAT_WAS_MADE = text("""
    UPDATE mail_links SET used_at = now() WHERE tenant_id = :tenant AND made_by = ANY(CAST(:by AS uuid[])) AND used_at IS NULL;
    UPDATE invitations SET expires_at = now()
    WHERE tenant_id = :tenant AND invited_by = ANY(CAST(:by AS uuid[])) AND accepted_at IS NULL AND expires_at > now()
      AND (SELECT role FROM users WHERE users.tenant_id = :tenant AND users.id = user_id) = ANY(:hurting)""")


def account(tenant_id: UUID, user_id: UUID) -> User | None:
    """The account within the tenant; None for unknown and foreign ids alike."""
    return db.session.execute(select(User).where(User.tenant_id == tenant_id, User.id == user_id)).scalar_one_or_none()


def lock_account(tenant_id: UUID, user_id: UUID) -> User | None:
    """The account as it is now, locked until the transaction ends.

    None where it is gone, or where row level security does not let the actor change it.
    """
    found = select(User).where(User.tenant_id == tenant_id, User.id == user_id)
    return db.session.execute(found.with_for_update(key_share=True).execution_options(populate_existing=True)).scalar_one_or_none()


def taken(error: IntegrityError) -> str | None:
    """Of a flush that failed: `username` or `email`, whichever another account of the tenant has; None where it failed otherwise."""
    return TAKEN.get(constraint_of(error) or "")


def new_account(
    *,
    user_id: UUID,
    tenant_id: UUID,
    role: Role,
    username: str,
    email: str,
    first_name: str,
    last_name: str,
    hashed_password: str,
    last_sign_in_at: datetime | None = None,
) -> User:
    """An account with the keys that it is found by, written into the running transaction."""
    user = User(
        id=user_id,
        tenant_id=tenant_id,
        role=role,
        hashed_password=hashed_password,
        username=username,
        username_key=username_key(username),
        email=email,
        email_key=email_key(email),
        first_name=first_name,
        last_name=last_name,
        last_sign_in_at=last_sign_in_at,
    )
    db.session.add(user)
    db.session.flush()
    return user


def change_role(command: ChangeRole, user: User, *, by: Actor) -> bool:
    """Give another role; whoever has it signs in anew. False where the account had it already, and nothing was changed.

    Raises Invalid(role=…) with the rule and who can help, or when nobody would be left to administer the organization;
    Invalid(password=…) where a role from org_admin on is given without a fresh password.
    """
    demand_allowed(policy.can_grant(by, user, command.role))
    if policy.asks_for_password(command.role):
        auth.confirm(command, by=by)
    user, _ = locked(user, by, lambda actor, account: policy.can_grant(actor, account, command.role))
    until_now, becomes = str(user.role), str(command.role)
    if until_now == becomes:
        return False
    if policy.administers(user.role) and not policy.administers(command.role):
        keep_one_administrator(by.tenant_id, {user.id})
    changes = {"role": [until_now, becomes]}
    user.role = Role(command.role)
    _sign_out(user)
    audit.record("role_changed", tenant_id=by.tenant_id, by=by, object_type="user", object_id=user.id, changes=changes)
    return True


def hand_over(command: HandOver, user: User, *, by: Actor) -> None:
    """Make somebody else an administrator and step down, in one act; both sign in anew.

    Raises Invalid with the rule, Invalid(password=…) without a fresh password.
    """
    demand_allowed(policy.can_hand_over(by, user))
    auth.confirm(command, by=by)
    user, me = locked(user, by, policy.can_hand_over)
    weaker = policy.grantable_roles(me)[0]
    changes = {"role": [str(user.role), str(me.role)], "own role": [str(me.role), str(weaker)]}
    user.role, me.role = me.role, weaker
    for person in (user, me):
        _sign_out(person)
    audit.record("administration_handed_over", tenant_id=by.tenant_id, by=by, object_type="user", object_id=user.id, changes=changes)


def deactivate(user: User, *, by: Actor) -> None:
    """Keep somebody from signing in, and end every session at once. Raises Invalid with the rule."""
    user, _ = locked(user, by, policy.can_deactivate)
    if policy.administers(user.role):
        keep_one_administrator(by.tenant_id, {user.id})
    user.is_active = False
    _sign_out(user)
    _note("user_deactivated", user, by, {"state": ["active", "deactivated"]})


def reactivate(user: User, *, by: Actor) -> None:
    """Let somebody sign in again. Raises Invalid with the rule."""
    user, _ = locked(user, by, policy.can_reactivate)
    user.is_active = True
    _note("user_reactivated", user, by, {"state": ["deactivated", "active"]})


def sign_out_everywhere(user: User, *, by: Actor) -> None:
    """End every session of somebody at once. Raises Invalid with the rule."""
    user, _ = locked(user, by, policy.can_manage)
    _sign_out(user)
    _note("user_signed_out", user, by)


def remove(command: RemoveUser, user: User, *, by: Actor) -> None:
    """Erase names, username, address and password of somebody who was deactivated, the address in mails and links too; the row and the
    audit entries stay.

    Raises Invalid(name=…) unless the user's full name was typed, Invalid with the rule.
    """
    user, _ = locked(user, by, policy.can_remove)
    if not command.name or folded(command.name) != folded(user.full_name):
        raise Invalid(name=f"This is not the name. Type “{user.full_name}” to remove this account for good.")
    mail.forget(user.id, "the account was removed")
    for name in ERASED:
        setattr(user, name, None)
    user.is_verified, user.sort_key, user.removed_at = False, "", datetime.now(UTC)
    _sign_out(user)
    _note("user_removed", user, by, {"state": ["deactivated", "removed"]})


def choose_columns(command: ChooseColumns, *, by: Actor) -> None:
    """Keep which columns of the table the actor sees, and how many rows."""
    chosen = {"table_columns": ",".join(command.columns), "table_rows": int(command.rows)}
    db.session.execute(update(User).where(User.tenant_id == by.tenant_id, User.id == by.id).values(**chosen))


def keep_one_administrator(tenant_id: UUID, leaving: Collection[UUID]) -> None:
    """Raises Invalid unless somebody administers the organization (for the platform: a super_admin) when `leaving` no longer do.

    Every path that lowers an administrator goes through here: the organization's row is locked first, then it is counted.
    """
    lock_organization(tenant_id)
    roles = [role for role in policy.LADDER if policy.administers(role)]
    stay = (User.tenant_id == tenant_id, User.role.in_(roles), User.state == "active", User.id.not_in(list(leaving)))
    if not db.session.execute(select(func.count()).select_from(User).where(*stay)).scalar_one():
        raise Invalid(role="One administrator must stay in office. Make somebody else an administrator first.")


def lock_organization(tenant_id: UUID) -> None:
    """Let nobody else change a role or a state in this organization until the transaction ends."""
    db.session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))


def demand_office(by: Actor, *, hold: bool = True) -> None:
    """Raises Forbidden where the actor's own account was changed just before; with `hold` whoever changes it waits until we are done.

    For what outlives the request: a link, a code, somebody who is let in. Whoever has the organization's lock need not hold.
    """
    asked = text(f"{STILL_ACTS} FOR SHARE" if hold else STILL_ACTS)
    still_acts = db.session.execute(asked, {"tenant": by.tenant_id, "me": by.id, "role": str(by.role)}).first()
    if still_acts is None:
        raise Forbidden("Your own role was changed at this moment. Nothing was done.")


def locked(user: User, by: Actor, rule: Callable[[Any, User], Answer]) -> tuple[User, User]:
    """The account and the actor's own as they are now, locked, if the rule allows the act; raises Invalid(role=…) with the reason.

    The organization is locked first, so that two who act on each other cannot meet halfway. The rule is asked before, because the
    database does not lock what the actor may not change, and after, because either may have changed: whoever was lowered or
    deactivated while waiting for the lock does nothing any more.
    """
    demand_allowed(rule(by, user))
    lock_organization(by.tenant_id)
    both = select(User).where(User.tenant_id == by.tenant_id, User.id.in_((by.id, user.id))).with_for_update(key_share=True)
    now = {one.id: one for one in db.session.execute(both.execution_options(populate_existing=True)).scalars()}
    me, fresh = now.get(by.id), now.get(user.id)
    if me is None or me.state != "active":
        raise Unauthenticated
    if fresh is None:
        raise Conflict("This account was given a higher role at this moment. Nothing was changed.")
    demand_allowed(rule(me, fresh))
    return fresh, me


def demand_allowed(answer: Answer) -> None:
    """Raises Invalid(role=…) with the rule, and who can help, unless the answer is yes."""
    if isinstance(answer, Denied):
        raise Invalid(role=answer.words)


def _sign_out(user: User) -> None:
    """Everything that was issued to the account before is dead at its next use."""
    user.auth_epoch += 1
    db.session.execute(delete(SignInSession).where(SignInSession.tenant_id == user.tenant_id, SignInSession.user_id == user.id))
    end_what_was_made(user.tenant_id, [user.id])


def end_what_was_made(tenant_id: UUID, by: Collection[UUID | str]) -> None:
    """Links for other people's passwords and invitations to administer that these accounts have made are dead with what they were.

    Those invitations can be sent again by whoever may.
    """
    hurting = [str(role) for role in policy.LADDER if policy.asks_for_password(role)]
    db.session.execute(END_WHAT_WAS_MADE, {"tenant": tenant_id, "by": [str(one) for one in by], "hurting": hurting})


def _note(action: str, user: User, by: Actor, changes: dict[str, list[str]] | None = None) -> None:
    audit.record(action, tenant_id=by.tenant_id, by=by, object_type="user", object_id=user.id, changes=changes)
