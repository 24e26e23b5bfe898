"""Making links, looking at what they open, and using them up."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from uuid_utils.compat import uuid7

from portal.database import tenancy
from portal.errors import NotFound
from portal.extensions import db, release
from portal.mail.models import OutboxMail
from portal.mail_links.models import MailLink
from portal.users.models import User
from portal.values import credential_parts, new_credential

Kind = Literal["password", "email"]
# A link for a new password dies with its address too; one for an address, when another one is waited for, or none any more.
OPEN = text("""
    SELECT l.user_id, l.email, l.auth_epoch, l.expires_at, l.tenant_id, u.role, u.first_name, u.last_name, u.username,
           u.email AS account_email, u.pending_email, t.name AS organization, t.subdomain
    FROM mail_links l
    JOIN users u ON u.tenant_id = l.tenant_id AND u.id = l.user_id
    JOIN tenants t ON t.id = l.tenant_id
    WHERE l.tenant_id = :tenant AND l.secret_hash = :hash AND l.kind = :kind AND l.used_at IS NULL AND l.expires_at > now()
      AND l.auth_epoch = u.auth_epoch AND t.is_active
      AND CASE l.kind WHEN 'password'
          THEN u.is_active AND (l.email IS NULL OR l.email = u.email)
          ELSE u.state IN ('active', 'waiting') AND (l.email = u.pending_email OR l.email = u.email AND NOT u.is_verified) END""")


@dataclass(frozen=True)
class Made:
    """A link that was just made; its credential's secret is kept nowhere else."""

    id: UUID
    credential: str
    expires_at: datetime


def make(
    kind: Kind,
    *,
    tenant_id: UUID,
    user_id: UUID,
    auth_epoch: int,
    life: timedelta,
    email: str | None = None,
    made_by: UUID | None = None,
) -> Made:
    """A new link: one that is mailed to `email`, or one that `made_by` hands over."""
    credential, secret_hash = new_credential(tenant_id)
    made = Made(uuid7(), credential, datetime.now(UTC) + life)
    link = {"id": made.id, "kind": kind, "user_id": user_id, "secret_hash": secret_hash, "auth_epoch": auth_epoch, "email": email}
    db.session.execute(insert(MailLink).values(tenant_id=tenant_id, made_by=made_by, expires_at=made.expires_at, **link))
    return made


def note_mail(made: Made, sent: OutboxMail) -> None:
    """Keep which mail a link went out with, so that screens can tell how far it is."""
    mine = (MailLink.tenant_id == sent.tenant_id, MailLink.id == made.id)
    db.session.execute(update(MailLink).where(*mine).values(mailed_as=sent.id))


def open_mail(kind: Kind, *, tenant_id: UUID, user_id: UUID, email: str) -> UUID | None:
    """The mail of the newest link that still works for this address; None where there is none."""
    open_ = (MailLink.tenant_id == tenant_id, MailLink.user_id == user_id, MailLink.kind == kind, MailLink.email == email)
    lives = (MailLink.used_at.is_(None), MailLink.expires_at > func.now(), MailLink.auth_epoch == User.auth_epoch)
    own = (User.tenant_id == MailLink.tenant_id) & (User.id == MailLink.user_id)
    newest = select(MailLink.mailed_as).join(User, own).where(*open_, *lives).order_by(MailLink.created_at.desc()).limit(1)
    found: UUID | None = db.session.execute(newest).scalar()
    return found


def end_all(kind: Kind, *, tenant_id: UUID, user_id: UUID) -> None:
    """What was made before is dead."""
    open_ = (MailLink.tenant_id == tenant_id, MailLink.user_id == user_id, MailLink.kind == kind, MailLink.used_at.is_(None))
    db.session.execute(update(MailLink).where(*open_).values(used_at=func.now()))


def opened(kind: Kind, credential: str, *, dead: str) -> Any:
    """What a link opens, bound to its organization; raises NotFound with the sentence `dead` for one that does not work, whyever."""
    tenant, secret_hash = credential_parts(credential)
    if tenant is None:
        raise NotFound(dead)
    release()
    tenancy.bind(tenant)
    found = db.session.execute(OPEN, {"tenant": tenant, "hash": secret_hash, "kind": kind}).mappings().first()
    if found is None:
        raise NotFound(dead)
    return found


def use(kind: Kind, credential: str, *, dead: str) -> Any:
    """Use a link up, bound to its account; returns what it opens. Of several who use one at once all but one get NotFound(dead)."""
    tenant, secret_hash = credential_parts(credential)
    found = opened(kind, credential, dead=dead)
    release()
    tenancy.bind(tenant, user=found["user_id"], role=found["role"])
    account = select(User.id).where(User.tenant_id == tenant, User.id == found["user_id"])
    db.session.execute(account.with_for_update(key_share=True))  # first, as whoever changes the account and ends its links
    unused = (MailLink.tenant_id == tenant, MailLink.secret_hash == secret_hash, MailLink.used_at.is_(None))
    if db.session.execute(update(MailLink).where(*unused).values(used_at=func.now()).returning(MailLink.id)).first() is None:
        raise NotFound(dead)
    return found
