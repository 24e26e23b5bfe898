"""The rows of the table of users: accounts that are alike are drawn once, by their template, and what differs is filled in."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_plus
from uuid import UUID, uuid4

from flask import render_template
from markupsafe import Markup

from portal import policy
from portal.actor import Actor
from portal.rendering import escaped
from portal.signing import csrf_token
from portal.users.finding import Row
from portal.users.forms import RoleForm
from portal.words import times, when

# What stands in a drawing where something is filled in: nobody knows these texts, so that nothing else reads like them.
TEXTS = {name: uuid4().hex for name in ("full_name", "username", "email", "token", "back")}
SIGNED_IN, JOINED = datetime(2, 1, 1, tzinfo=UTC), datetime(2, 1, 2, tzinfo=UTC)
SOMEBODY, READER = uuid4(), uuid4()


class Kind(NamedTuple):
    """All that a drawing depends on: the account, what is known of it, who looks, and in which columns."""

    role: str
    state: str
    is_verified: bool
    lacks: tuple[bool, ...]
    own: bool
    reader: str
    shown: tuple[str, ...]


class Blank(NamedTuple):
    """An account with marks in the place of what differs."""

    id: UUID
    full_name: str
    username: str | None
    email: str | None
    is_verified: bool
    role: str
    state: str
    last_sign_in_at: datetime | None
    created_at: datetime | None


def drawn(rows: Iterable[Row], actor: Actor, *, shown: list[str], back: str) -> Markup:
    """The rows as users/_row.html draws one."""
    tell, columns_shown, reader = times(), tuple(shown), str(actor.role)
    places = {"token": escaped(csrf_token()), "back": escaped(back), "asked": f"?back={quote_plus(back, safe='/')}" if back else ""}
    filled = []
    for row in rows:
        lacks = (row.username is None, row.email is None, row.created_at is None)
        kind = Kind(row.role, row.state, row.is_verified, lacks, row.id == actor.id, reader, columns_shown)
        places["id"] = str(row.id)
        places["full_name"] = escaped(row.full_name)
        places["username"] = escaped(row.username)
        places["email"] = escaped(row.email)
        places["signed_in"] = tell(row.last_sign_in_at) if row.last_sign_in_at else when(None)
        places["joined"] = tell(row.created_at) if row.created_at else ""
        filled.append(_drawing(kind) % places)
    return Markup("".join(filled))  # noqa: S704  (every part was escaped)


@lru_cache(maxsize=512)
def _drawing(kind: Kind) -> str:
    """A row of this kind as a format: `%(name)s` where something differs."""
    reader = policy.Somebody(policy.Role(kind.reader), id=READER)
    html = render_template(
        "users/_row.html",
        user=_blank(kind),
        current_user=reader,
        shown=kind.shown,
        roles=policy.grantable_roles(reader),
        role_form=RoleForm(formdata=None),
        back=TEXTS["back"],
        csrf_token=lambda: TEXTS["token"],
    )
    marks = {str(READER if kind.own else SOMEBODY): "id", f"?back={TEXTS['back']}": "asked", **{mark: name for name, mark in TEXTS.items()}}
    marks |= {str(when(SIGNED_IN)): "signed_in", str(when(JOINED)): "joined"}
    html = html.replace("%", "%%")
    for mark, name in marks.items():
        html = html.replace(mark, f"%({name})s")
    return html


def _blank(kind: Kind) -> Blank:
    no_username, no_email, no_beginning = kind.lacks
    return Blank(
        id=READER if kind.own else SOMEBODY,
        full_name=TEXTS["full_name"],
        username=None if no_username else TEXTS["username"],
        email=None if no_email else TEXTS["email"],
        is_verified=kind.is_verified,
        role=kind.role,
        state=kind.state,
        last_sign_in_at=SIGNED_IN,
        created_at=None if no_beginning else JOINED,
    )
