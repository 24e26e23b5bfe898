"""The page of users as its templates draw it: what is asked for, the table, the acts on many, and what may be chosen."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from markupsafe import Markup

from portal import policy
from portal.actor import Actor
from portal.signing import csrf_token
from portal.users import finding


class Filters(NamedTuple):
    """The selects above the table, as users/_filters.html draws them: name, label, the words of none, and value, words, chosen of each."""

    selects: tuple[tuple[str, str, str, tuple[tuple[str, str, bool], ...]], ...]
    rows: str


class Typed(NamedTuple):
    """What was typed beside them."""

    q: str


class Choices(NamedTuple):
    """What the reader may keep for herself, as users/_choices.html draws it: value, words, whether it is so now."""

    columns: tuple[tuple[str, str, bool], ...]
    rows: tuple[tuple[int, bool], ...]


class Token(NamedTuple):
    csrf_token: str


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
    """The head of the table: name and label of each column, which of them it is sorted by (None where it has no order) and how."""

    columns: tuple[tuple[str, str], ...]
    sorted_by: str | None
    falling: bool


class Others(NamedTuple):
    """What the list is asked for besides its order: what stands in the address before that, with its `&`, or empty."""

    others: str


class Bar(NamedTuple):
    """The acts on many below the table: the roles that the reader may give."""

    roles: tuple[policy.Role, ...]


class ActedOn(NamedTuple):
    """Whom the acts of a Bar are for: those on this page, with spaces between, or all that fit the search, which are `fitting` in words."""

    csrf_token: str
    search: str
    on_page: str
    fitting: str


def others(query: str) -> Others:
    """For a list that is asked for by this query, its order left away."""
    return Others(f"{query}&" if query else "")


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
