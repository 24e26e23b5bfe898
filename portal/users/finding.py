"""Finding users in an organization, ten or a million: filters, any order, pages by the place between two rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from portal.errors import Invalid
from portal.extensions import db
from portal.users.commands import Cursor, FindUsers
from portal.users.models import ORDERS
from portal.values import full_name

COUNTED = 10_000  # no count goes further
CANDIDATES = 1_000  # of a search that finds more, the first
ROWS = 25
COLUMNS = """
    u.id, u.first_name, u.last_name, u.username, u.email, u.is_verified, u.role, u.state, u.last_sign_in_at, u.accepted_at, u.created_at"""
FILTERS = {
    "role": "u.role = :role",
    "state": "u.state = :state",
    "verified": "u.is_verified = (:verified = 'yes')",
}
SIGNED_IN = {
    "never": "u.last_sign_in_at IS NULL",
    "week": "u.last_sign_in_at > now() - interval '7 days'",
    "quarter": "u.last_sign_in_at > now() - interval '90 days'",
    "longer": "u.last_sign_in_at <= now() - interval '90 days'",
}
# A removed account has no column left to sort it by; it stands in the order in which it was removed.
REMOVED_FIRST = ("removed_at",)


@dataclass(frozen=True)
class Row:
    """One user as the table shows it."""

    id: UUID
    first_name: str | None
    last_name: str | None
    username: str | None
    email: str | None
    is_verified: bool
    role: str
    state: str
    last_sign_in_at: datetime | None
    accepted_at: datetime | None
    created_at: datetime | None

    @property
    def full_name(self) -> str:
        return full_name(self.first_name, self.last_name, self.username or self.email or "Removed user")


@dataclass(frozen=True)
class Found:
    """A page of users: the rows; how many fit in all (None beyond 10,000); the number of the first row on this page (None likewise).

    `candidates` is true where a search found more than 1,000 and looked at the first ones only. `newer` and `older` lead to the pages
    before and after this one.
    """

    rows: list[Row]
    total: int | None
    first: int | None
    candidates: bool
    newer: str | None
    older: str | None


def find(tenant_id: UUID, asked: FindUsers, rows: int) -> Found:
    """The users of a tenant that were asked for. Two statements. Raises Invalid for a cursor of another order."""
    backwards = bool(asked.before and not asked.after)
    cursor = Cursor.read(asked.after or asked.before or "") if asked.after or asked.before else None
    shape = Shape(
        searched=bool(asked.words),
        filters=tuple(name for name in FILTERS if getattr(asked, name)),
        signed_in=asked.signed_in,
        removed=asked.state == "removed",
        column=asked.column,
        falling=asked.falling,
        backwards=backwards,
        paged=cursor is not None,
    )
    parameters = {"tenant": tenant_id, "words": asked.words, "limit": rows + 1, **_given(asked), **_places(shape, cursor)}
    found = list(db.session.execute(page_of(shape), parameters).all())
    counted = db.session.execute(count_of(shape), parameters).one()
    further, found = len(found) > rows, found[:rows]
    if backwards:
        found.reverse()
    return _found(found, counted, cursor is not None, further, backwards)


def _found(rows: list[Any], counted: Any, paged: bool, further: bool, backwards: bool) -> Found:
    total = None if counted.total > COUNTED else int(counted.total)
    first = None if total is None else int(counted.before) + 1 - (len(rows) if backwards else 0)
    return Found(
        rows=[Row(*row[:11]) for row in rows],
        total=total,
        first=first if rows else None,
        candidates=bool(counted.candidates > CANDIDATES),
        newer=_cursor(rows[0]) if rows and (paged if not backwards else further) else None,
        older=_cursor(rows[-1]) if rows and (further if not backwards else True) else None,
    )


def _cursor(row: Any) -> str:
    return Cursor(values=[value if isinstance(value, bool) else str(value) for value in (*row[11:], row.id)]).written()


def _given(asked: FindUsers) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in FILTERS if getattr(asked, name)}


def _places(shape: "Shape", cursor: Cursor | None) -> dict[str, Any]:
    """What the cursor's row is sorted by, as parameters; raises Invalid for a cursor of another order, or a damaged one."""
    if cursor is None:
        return {}
    try:
        for value, is_one in zip(cursor.values, shape.kinds, strict=True):
            if not is_one(value):
                raise ValueError
    except ValueError:
        raise Invalid("This link to a page of the list belongs to another order, or is damaged. Begin with the first page.") from None
    return {f"place{number}": value for number, value in enumerate(cursor.values)}


def _is_text(value: str | bool) -> bool:
    return isinstance(value, str) and "\x00" not in value


def _is_yes_or_no(value: str | bool) -> bool:
    return isinstance(value, bool)


def _is_moment(value: str | bool) -> bool:
    return value == "-infinity" or bool(datetime.fromisoformat(str(value)))


def _is_id(value: str | bool) -> bool:
    return bool(UUID(str(value)))


@dataclass(frozen=True)
class Shape:
    """What a statement depends on; there is one for each shape, built once."""

    searched: bool
    filters: tuple[str, ...]
    signed_in: str | None
    removed: bool
    column: str
    falling: bool
    backwards: bool
    paged: bool

    @property
    def order(self) -> tuple[str, ...]:
        return REMOVED_FIRST if self.removed else ORDERS[self.column]

    @property
    def keys(self) -> list[str]:
        """What makes the order, its id last; made of the table's own columns, so that an index has it ready."""
        return [*self.order, "id"]

    @property
    def moments(self) -> bool:
        """Whether the rows are sorted by a time."""
        return self.removed or self.column in ("last_sign_in", "since")

    @property
    def kinds(self) -> list[Callable[[str | bool], bool]]:
        """What each value of a cursor must be."""
        first = _is_moment if self.moments else _is_yes_or_no if self.column == "verified" else _is_text
        return [first, *[_is_text] * (len(self.order) - 1), _is_id]

    @property
    def places(self) -> str:
        first = "CAST(:place0 AS timestamptz)" if self.moments else ":place0"
        return ", ".join([first, *(f":place{number}" for number in range(1, len(self.order))), f"CAST(:place{len(self.order)} AS uuid)"])

    @property
    def where(self) -> str:
        conditions = ["u.tenant_id = :tenant", f"u.removed_at IS {'NOT ' if self.removed else ''}NULL"]
        conditions += [FILTERS[name] for name in self.filters if not (self.removed and name == "state")]
        conditions += [SIGNED_IN[self.signed_in]] if self.signed_in else []
        return " AND ".join(conditions)

    @property
    def source(self) -> str:
        return "found JOIN users u ON u.id = found.id" if self.searched else "users u"

    @property
    def found(self) -> str:
        return f"WITH found AS MATERIALIZED (SELECT id FROM find_users(:words, {CANDIDATES + 1})) " if self.searched else ""


@lru_cache(maxsize=512)
def page_of(shape: Shape) -> TextClause:
    """The statement of one page, and one row more where there are further ones."""
    down = shape.falling != shape.backwards
    order = ", ".join(f"{key}{' DESC' if down else ''}" for key in _named(shape.keys))
    beyond = f" AND ({', '.join(_named(shape.keys))}) {'<' if down else '>'} ({shape.places})" if shape.paged else ""
    keys = "".join(f", {_shown(shape, key)} AS key{number}" for number, key in enumerate(_named(list(shape.order))))
    return text(f"{shape.found}SELECT {COLUMNS}{keys} FROM {shape.source} WHERE {shape.where}{beyond} ORDER BY {order} LIMIT :limit")


@lru_cache(maxsize=512)
def count_of(shape: Shape) -> TextClause:
    """How many fit, how many of them stand before this page's cursor, how many candidates a search had; none beyond its limit."""
    candidates = "(SELECT count(*) FROM found)" if shape.searched else "0"
    before = "0"
    if shape.paged:  # after a cursor the row it was made of stands before the page; before a cursor it does not
        compare = ("<" if shape.backwards else "<=") if not shape.falling else (">" if shape.backwards else ">=")
        before = _counted(shape, f" AND ({', '.join(_named(shape.keys))}) {compare} ({shape.places})")
    return text(f"""
        {shape.found or "WITH "}{", " if shape.searched else ""}counts AS (SELECT {_counted(shape)} AS total, {candidates} AS candidates)
        SELECT total, candidates, CASE WHEN total <= {COUNTED} THEN {before} ELSE 0 END AS before FROM counts""")


def _counted(shape: Shape, further: str = "") -> str:
    return f"(SELECT count(*) FROM (SELECT FROM {shape.source} WHERE {shape.where}{further} LIMIT {COUNTED + 1}) AS counted)"


def _named(keys: list[str]) -> list[str]:
    """The keys as columns of `u`: the expressions stand in parentheses and name their columns without a table, as their index does."""
    return [key if key.startswith("(") else f"u.{key}" for key in keys]


def _shown(shape: Shape, key: str) -> str:
    return f"CAST({key} AS text)" if shape.moments else key
