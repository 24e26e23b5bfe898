"""Rows of the table of users as their template shows them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from markupsafe import Markup

from portal import policy
from portal.actor import Actor
from portal.signing import csrf_token
from portal.users import finding


class Kind(NamedTuple):
    """What decides how a row looks; `refusal` says why not, empty where the reader may change it."""

    role: str
    state: str
    has_email: bool
    is_verified: bool
    is_reader: bool
    refusal: str
    columns: tuple[str, ...]


class Head(NamedTuple):
    """The head of the table: name and label of each column, which of them it is sorted by ("" where it has no order) and how."""

    columns: tuple[tuple[str, str], ...]
    column: str
    falling: bool


class Others(NamedTuple):
    """What the list is asked for besides its order: what stands in a query before it, with its `&`."""

    others: str


class Bar(NamedTuple):
    """The acts on many below the table: the roles that the reader may give."""

    roles: tuple[policy.Role, ...]


class ActedOn(NamedTuple):
    """Whom they are for: those on this page, with spaces between, or all that fit the search, which are `fitting` in words."""

    csrf_token: str
    search: str
    on_page: str
    fitting: str


def acted_on(found: finding.Found, search: str) -> ActedOn:
    """For a page of users that was found; `search` is the query that found them."""
    fitting = "that fit" if found.total is None or found.candidates else f"{found.total:,}"
    return ActedOn(csrf_token(), search, " ".join([row.id for row in found.rows]), fitting)


class Cells(NamedTuple):
    """What stands in a row, `since` where it is shown.

    `back_query` is what leads an act back to the page that it was asked for on, `?` included, or empty.
    """

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
    columns, token, reader, kinds = tuple(columns), csrf_token(), str(actor.id), dict[Any, Kind]()
    tells_since, told = "since" in columns, []
    for user in users:
        user_id = str(user.id)
        alike = (user.role, user.state, not user.email, user.is_verified, user_id == reader)
        if (kind := kinds.get(alike)) is None:
            may = policy.can_manage(actor, policy.Somebody(policy.Role(user.role), user.state, UUID(user_id)))
            refusal = may.words if isinstance(may, policy.Denied) else ""
            kind = kinds[alike] = Kind(user.role, user.state, bool(user.email), user.is_verified, alike[-1], refusal, columns)
        cells = Cells(
            user_id,
            user.full_name,
            user.username or ("erased" if user.state == "removed" else "none yet"),
            user.email or "erased",
            tell(user.last_sign_in_at) if user.last_sign_in_at else "never",
            "" if not tells_since else tell(user.created_at) if user.created_at else "not known",
            back_query,
            token,
        )
        told.append((kind, cells))
    return told
