"""What people do who have forgotten something, and what the worker does for them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select, text, update

from portal import policy
from portal.actor import Actor, Origin
from portal.audit import services as audit
from portal.auth import passwords
from portal.auth import services as auth
from portal.auth.models import SignInSession
from portal.auth.throttle import AskedToMail
from portal.database import tenancy
from portal.errors import Invalid, NotFound
from portal.extensions import db, release, settings, transaction
from portal.forgotten.commands import ChoosePassword, FindOrganizations, ForgotPassword, MakeLink
from portal.forgotten.models import AskedMail
from portal.mail import services as mail
from portal.mail_links import services as mail_links
from portal.organizations.models import Tenant
from portal.users import services as users
from portal.users.models import User
from portal.values import email_key, full_name

LIFE = timedelta(hours=1)  # of a link
DEAD = "This link does not work: it was used or replaced, its time is over, or the account has changed since. Ask for a new one."
NOT_SENT = "This portal sends no mail: no mail server is configured. Ask an administrator of your organization for a link."
FIND_ACCOUNT = text("""
    SELECT u.id, u.tenant_id, u.role, u.email, u.first_name, u.auth_epoch, t.name AS organization, t.subdomain
    FROM users u JOIN tenants t ON t.id = u.tenant_id
    WHERE u.tenant_id = :tenant AND (u.email_key = :email_key OR u.username_key = :username_key) AND u.is_active AND t.is_active
    ORDER BY u.email_key IS NOT DISTINCT FROM :email_key DESC LIMIT 1""")


def ask_for_link(command: ForgotPassword, *, origin: Origin) -> None:
    """Note that a link for a new password was asked for; nobody is looked up here. Raises Invalid where no mail is sent, TooMany."""
    _ask("password", auth.account_key(command), origin, organization=command.organization, login=command.login)


def ask_for_organizations(command: FindOrganizations, *, origin: Origin) -> None:
    """Note that an address asks for its organizations; nobody is looked up here. Raises as `ask_for_link`."""
    _ask("organizations", email_key(command.email), origin, login=command.email)


def _ask(kind: str, whom: str, origin: Origin, **typed: str) -> None:
    if not mail.is_configured():
        raise Invalid(NOT_SENT)
    AskedToMail(f"{kind}|{whom}", origin.network).count()
    release()
    tenancy.bind(None)
    db.session.execute(insert(AskedMail).values(kind=kind, network=origin.network, **typed))


def mail_link(organization: str, login: str, network: str | None) -> None:
    """The worker's part: mail a link for a new password to the account that is meant, if there is one that may sign in.

    An earlier link stays, because anybody may ask; all of them die together when one is used.
    """
    tenant = auth.organization_id(organization.lower()) or uuid4()
    with tenancy.bound(tenant):
        found = db.session.execute(FIND_ACCOUNT, {"tenant": tenant, **auth.login_keys(login)}).mappings().first()
        account = dict(found) if found else None
    if account is None:
        return
    with tenancy.bound(tenant, user=account["id"], role=account["role"]), transaction():
        about = {"tenant_id": tenant, "user_id": account["id"], "auth_epoch": account["auth_epoch"]}
        made = mail_links.make("password", **about, email=account["email"], life=LIFE)
        sent = mail.queue(
            "password_link",
            tenant_id=tenant,
            to=account["email"],
            subject=f"A new password for {account['organization']}",
            expires_at=made.expires_at,
            organization_name=account["organization"],
            first_name=account["first_name"],
            link=link_of(made.credential),
        )
        mail_links.note_mail(made, sent)
        audit.record("password_link_mailed", tenant_id=tenant, network=network, object_type="user", object_id=account["id"])


def mail_organizations(tenants: list[UUID], address: str) -> None:
    """The worker's part: a mail from each of these organizations, so that what one knows stays within it."""
    for tenant_id in tenants:
        with tenancy.bound(tenant_id), transaction():
            tenant = db.session.execute(select(Tenant).where(Tenant.id == tenant_id)).scalar_one()
            mail.queue(
                "known_here",
                tenant_id=tenant_id,
                to=address,
                subject=f"You have an account at {tenant.name}",
                organization_name=tenant.name,
                subdomain=tenant.subdomain,
                sign_in_url=auth.sign_in_url(tenant.subdomain),
            )


def make_link(command: MakeLink, user: User, *, by: Actor) -> str:
    """A link for somebody's new password, shown once to whoever made it; an earlier one is dead.

    Raises Invalid with the rule, Invalid(password=…) without a fresh password, Conflict where the account rose at this moment.
    """
    users.demand_allowed(policy.can_make_password_link(by, user))
    auth.confirm(command, by=by)
    user, _ = users.locked(user, by, policy.can_make_password_link)
    mail_links.end_all("password", tenant_id=by.tenant_id, user_id=user.id)
    made = mail_links.make("password", tenant_id=by.tenant_id, user_id=user.id, auth_epoch=user.auth_epoch, made_by=by.id, life=LIFE)
    audit.record("password_link_made", tenant_id=by.tenant_id, by=by, object_type="user", object_id=user.id)
    return link_of(made.credential)


def opened(credential: str) -> Any:
    """Whose new password a link is for; raises NotFound for one that does not work, whyever."""
    return mail_links.opened("password", credential, dead=DEAD)


def choose_password(command: ChoosePassword, credential: str, *, origin: Origin) -> str:
    """Store a new password and end every session of the account; signs nobody in. Returns the organization's subdomain.

    Raises NotFound for a link that does not work (any more).
    """
    opened(credential)
    release()  # no connection is held while hashing
    password = passwords.hashed(command.password.get_secret_value())
    found = mail_links.use("password", credential, dead=DEAD)
    tenant, user_id = found["tenant_id"], found["user_id"]
    as_it_was = (User.tenant_id == tenant, User.id == user_id, User.auth_epoch == found["auth_epoch"], User.is_active)
    changed = update(User).where(*as_it_was).values(hashed_password=password, auth_epoch=User.auth_epoch + 1).returning(User.id)
    if db.session.execute(changed).first() is None:
        raise NotFound(DEAD)  # another link, or an administrator, was faster
    db.session.execute(delete(SignInSession).where(SignInSession.tenant_id == tenant, SignInSession.user_id == user_id))
    audit.record(
        "password_chosen_by_link",
        tenant_id=tenant,
        actor_id=user_id,
        actor_name=full_name(found["first_name"], found["last_name"], str(found["username"])),
        network=origin.network,
        object_type="user",
        object_id=user_id,
    )
    return str(found["subdomain"])


def link_of(credential: str) -> str:
    """Where a new password is chosen, to be written into pages and mails."""
    return f"{settings().public_url}/reset/{credential}"
