"""What people do with their own account."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Update, exists, select, update
from sqlalchemy.exc import IntegrityError

from portal.account.commands import ChangeEmail, ChoosePreferences, EditProfile
from portal.actor import Actor
from portal.audit import services as audit
from portal.auth import services as auth
from portal.errors import Conflict, Invalid
from portal.extensions import constraint_of, db, rollback
from portal.users.models import User
from portal.values import email_key, username_key

PROFILE = ("first_name", "last_name", "username")
USERNAME_IS_TAKEN = {"_username_tenant_uc", "users_tenant_id_username_key_key"}


def account(*, by: Actor) -> User:
    """The actor's account as it is stored."""
    return db.session.execute(_mine(by)).scalar_one()


def profile_of(user: User) -> dict[str, Any]:
    """What the form of the profile shows."""
    return {**{name: getattr(user, name) for name in PROFILE}, "version": user.version}


def edit_profile(command: EditProfile, *, by: Actor) -> None:
    """Change names and username, and write what changed into the audit log.

    Raises Conflict when somebody saved another version meanwhile, Invalid(username=…) when it is taken in this organization.
    """
    user = db.session.execute(_mine(by).with_for_update(key_share=True).execution_options(populate_existing=True)).scalar_one()
    if user.version != command.version:
        raise Conflict("Your account was changed while you were writing.")
    changes = {name: [getattr(user, name), getattr(command, name)] for name in PROFILE if getattr(user, name) != getattr(command, name)}
    if not changes:
        return
    for name, (_, becomes) in changes.items():
        setattr(user, name, becomes)
    if "username" in changes:
        user.username_key = username_key(command.username)
    try:
        db.session.flush()
    except IntegrityError as error:
        rollback()
        if constraint_of(error) not in USERNAME_IS_TAKEN:
            raise
        raise Invalid(username=f"“{command.username}” is taken in your organization. Choose another one.") from None
    audit.record("profile_changed", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id, changes=changes)


def ask_for_email(command: ChangeEmail, *, by: Actor) -> None:
    """Keep another address beside the one that holds, until it is confirmed; the one that holds stays for signing in.

    Raises Invalid(email=…) for the own address and for one that another account of the organization has, and as auth.confirm does.
    """
    auth.confirm(command, by=by)
    if command.email == by.email:
        raise Invalid(email="This is your address already.")
    others = exists().where(User.tenant_id == by.tenant_id, User.email_key == email_key(command.email), User.id != by.id)
    if db.session.execute(select(others)).scalar_one():
        raise Invalid(email="Another account of your organization has this address. Choose another one.")
    db.session.execute(_my_update(by).values(pending_email=command.email, pending_email_at=datetime.now(UTC)))
    changes = {"e-mail": [by.email, command.email]}
    audit.record("email_change_asked", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id, changes=changes)


def keep_email(*, by: Actor) -> None:
    """Forget the address that waits to be confirmed."""
    waiting = _my_update(by).where(User.pending_email.is_not(None)).values(pending_email=None, pending_email_at=None).returning(User.id)
    if db.session.execute(waiting).first():
        audit.record("email_change_dropped", tenant_id=by.tenant_id, by=by, object_type="user", object_id=by.id)


def choose_preferences(command: ChoosePreferences, *, by: Actor) -> None:
    """Keep how the actor reads the portal, on every device."""
    db.session.execute(_my_update(by).values(**command.model_dump()))


def choose_theme(theme: str, *, by: Actor) -> None:
    """Keep one of light, dark and system for the actor, on every device."""
    db.session.execute(_my_update(by).values(theme=theme))


def _mine(by: Actor) -> Any:
    return select(User).where(User.tenant_id == by.tenant_id, User.id == by.id)


def _my_update(by: Actor) -> Update:
    """A plain update, which raises no version: nobody else edits what it sets."""
    return update(User).where(User.tenant_id == by.tenant_id, User.id == by.id)
