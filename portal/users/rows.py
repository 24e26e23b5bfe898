"""Rows of the table of users as their template shows them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from portal import policy
from portal.actor import Actor
from portal.signing import csrf_token


class Kind(NamedTuple):
    """What decides how a row looks; `refusal` says why the reader may change nothing there, and is empty where she may."""

    role: str
    state: str
    has_email: bool
    is_verified: bool
    is_reader: bool
    refusal: str
    columns: tuple[str, ...]


class Cells(NamedTuple):
    """What stands in a row; `back_query` is what leads an act back to the page that it was asked for on, `?` included, or empty."""

    id: str
    name: str
    username: str
    email: str
    last_sign_in: str | Markup
    since: str | Markup
    back_query: str
    csrf_token: str


def to_draw(
    users: Iterable[Any], actor: Actor, columns: Iterable[str], tell: Callable[[datetime], Markup], back_query: str
) -> list[tuple[Kind, Cells]]:
    """Each user (a `finding.Row` or a `User`) as (kind, cells) for `rows_of`, as `actor` reads them.

    `columns` are those that are shown; `tell` is how the reader is told times (`words.times`); `back_query` as in Cells.
    """
    columns, token, refusals = tuple(columns), csrf_token(), dict[Any, str]()
    told = []
    for user in users:
        asked = (user.role, user.state, user.id == actor.id)
        if asked not in refusals:
            may = policy.can_manage(actor, user)
            refusals[asked] = may.words if isinstance(may, policy.Denied) else ""
        kind = Kind(user.role, user.state, bool(user.email), user.is_verified, asked[2], refusals[asked], columns)
        cells = Cells(
            str(user.id),
            user.full_name,
            user.username or ("erased" if user.state == "removed" else "none yet"),
            user.email or "erased",
            tell(user.last_sign_in_at) if user.last_sign_in_at else "never",
            tell(user.created_at) if user.created_at else "not known",
            back_query,
            token,
        )
        told.append((kind, cells))
    return told
