"""Finding users in an organization, ten or a million: filters, any order, pages by the place between two rows, or all of them."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from portal.database.reading import Reading
from portal.errors import Invalid
from portal.users.commands import Cursor, FindUsers
from portal.users.models import ORDERS
from portal.values import full_name

Id = TypeVar("Id", UUID, str)
COUNTED = 10_000  # no count goes further
CANDIDATES = 1_000  # of a search that finds more, the first
ROWS = 25
BATCH = 1_000  # rows that are looked at at a time where all are wanted
COLUMNS = """
    {id} AS id, u.first_name, u.last_name, u.username, u.email, u.is_verified, u.role, u.state, u.last_sign_in_at, {since} AS created_at"""
ROW = COLUMNS.format(id="u.id", since="u.created_at")
FILTERS = {
    "role": "u.role = %(role)s",
    "state": "u.state = %(state)s",
    "verified": "u.is_verified = (%(verified)s = 'yes')",
}
KNOWN = {"role", "state", "verified"}  # of these, what user_counts has
LAST_SIGN_IN = ORDERS["last_sign_in"][0]
# {now} is the moment that the days are counted from. IS NOT NULL repeats the condition of the index users_signed_in, else it is not used.
SIGNED_IN = {
    "never": "u.last_sign_in_at IS NULL",
    "week": f"u.last_sign_in_at IS NOT NULL AND {LAST_SIGN_IN} > {{now}} - interval '7 days'",
    "quarter": f"u.last_sign_in_at IS NOT NULL AND {LAST_SIGN_IN} > {{now}} - interval '90 days'",
    # a pair, because of two plain bounds PostgreSQL believes that nearly nobody stands between them
    "longer": f"u.last_sign_in_at IS NOT NULL AND {LAST_SIGN_IN} <= {{now}} - interval '90 days'"
    f" AND ({LAST_SIGN_IN}, u.id) > ('-infinity', '{UUID(int=2**128 - 1)}')",
}
# The days (UTC) of which everybody fits, as columns of user_counts; the day in which the time begins or ends is left out, so that the sum
# is never too high. No time may begin or end more than 120 days ago: fold_user_counts sums up by year what is older, under its first day.
WHOLE_DAYS = {
    "never": "u.signed_in_on = '-infinity'",
    "week": "u.signed_in_on > CAST((now() - interval '7 days') AT TIME ZONE 'UTC' AS date)",
    "quarter": "u.signed_in_on > CAST((now() - interval '90 days') AT TIME ZONE 'UTC' AS date)",
    "longer": "u.signed_in_on > '-infinity' AND u.signed_in_on < CAST((now() - interval '90 days') AT TIME ZONE 'UTC' AS date)",
}
AS_OF = "CAST(%(as_of)s AS timestamptz)"
# Who fitted at a moment of the past as far as rows tell: whoever was here then and was not changed since.
AS_IT_WAS = f"(u.created_at IS NULL OR u.created_at <= {AS_OF}) AND (u.updated_at IS NULL OR u.updated_at <= {AS_OF})"
SIGNED_IN_BEFORE = f"(u.last_sign_in_at IS NULL OR u.last_sign_in_at <= {AS_OF})"  # a sign-in changes only whether they fit such a filter
CHOSEN = Reading(f"""
    SELECT {ROW} FROM users u WHERE u.tenant_id = %(tenant)s AND u.id = ANY(CAST(%(ids)s AS uuid[])) ORDER BY u.sort_key, u.id""")
# What find_users() asks of a row, asked of the row itself, a microsecond for each: see _fitting.
FITS = """
    u.search_text IS NOT NULL AND %(finds)s AND u.search_text LIKE ALL(CAST(%(anywhere)s AS text[]))
    AND u.search_text ~ ALL(CAST(%(beginning)s AS text[]))"""
SIGNS = "@._-'"  # besides spaces, what parts a text into pieces
BEGINNING = "(^|[ @._'-])"  # of a piece
LIKE, ESCAPED = re.compile(r"([\\%_])"), r"\\\1"
APART = str.maketrans(SIGNS, " " * len(SIGNS))
# A removed account has no column left to sort it by; it stands in the order in which it was removed.
REMOVED_FIRST = ("removed_at",)


class Row(NamedTuple, Generic[Id]):
    """One user as the table shows it; its id is a UUID for acting on, its text for showing."""

    id: Id
    first_name: str | None
    last_name: str | None
    username: str | None
    email: str | None
    is_verified: bool
    role: str
    state: str
    last_sign_in_at: datetime | None
    created_at: datetime | None

    @property
    def full_name(self) -> str:
        """As User's."""
        return full_name(self.first_name, self.last_name, self.username or self.email or "Removed user")


WIDTH = len(Row._fields)  # of COLUMNS; what a statement gives behind them is what the row is sorted by


@dataclass(frozen=True)
class Found:
    """A page of users: the rows; how many fit in all (None beyond 10,000); the number of the first row on this page (None likewise).

    `candidates` is true where a search found more than 1,000 and looked at the first ones only. `newer` and `older` lead to the pages
    before and after this one.
    """

    rows: list[Row[str]]
    total: int | None
    first: int | None
    candidates: bool
    newer: str | None
    older: str | None


def find(tenant_id: UUID, asked: FindUsers, rows: int, *, since: bool = True) -> Found:
    """The users of a tenant that were asked for; without `since` when they came is left away, and None.

    One statement, two where there are none. Raises Invalid for a cursor of another order.
    """
    backwards = bool(asked.before and not asked.after)
    cursor = Cursor.read(asked.after or asked.before or "") if asked.after or asked.before else None
    shape = _shape(asked, searched=bool(asked.words), backwards=backwards, paged=cursor is not None)
    parameters = {"tenant": tenant_id, "words": asked.words, "limit": rows + 1, **_given(asked), **_places(shape, cursor)}
    found = page_of(shape, since)(**parameters)
    counted = found[0] if found else count_of(shape).one(**parameters)
    further, found = len(found) > rows, found[:rows]
    if backwards:
        found.reverse()
    return _found(shape, found, counted, cursor is not None, further, backwards)


@dataclass(frozen=True)
class Batch:
    """Some of all the users that were asked for, and the place after the last one that was looked at; None at the end."""

    rows: list[Row[UUID]]
    after: str | None


def batch(tenant_id: UUID, asked: FindUsers, after: str | None = None, as_of: datetime | None = None) -> Batch:
    """The next of all the users that were asked for, of a search not only its first candidates. One statement, of bounded work.

    It looks at BATCH users from `after` on, in the order that was asked for, and gives those that fit; with `as_of` those that fitted at
    that moment and were not changed since.
    """
    cursor = Cursor.read(after) if after else None
    shape = _shape(asked, paged=cursor is not None, looks_back=as_of is not None)
    parameters = {
        "tenant": tenant_id,
        "limit": BATCH,
        **_fitting(asked),
        "as_of": as_of,
        **_given(asked),
        **_places(shape, cursor),
    }
    found = batch_of(shape, bool(asked.words))(**parameters)
    last = found[-1] if len(found) == BATCH else None
    return Batch([Row._make(row[:WIDTH]) for row in found if row.fits], _place(_keys(shape, last), last.id) if last is not None else None)


def batches(tenant_id: UUID, asked: FindUsers, as_of: datetime | None = None) -> Iterator[list[Row[UUID]]]:
    """All the users that were asked for, as of a moment as `batch` does, batch by batch, within the running transaction."""
    after = None
    while True:
        found = batch(tenant_id, asked, after, as_of)
        yield found.rows
        after = found.after
        if after is None:
            return


def chosen(tenant_id: UUID, ids: Iterable[UUID]) -> list[Row[UUID]]:
    """The users of a tenant with these ids, in the order of their names; of unknown and foreign ids nothing is said. One statement."""
    return [Row._make(row) for row in CHOSEN(tenant=tenant_id, ids=[str(one) for one in ids])]


@dataclass(frozen=True)
class Group:
    """How many of the users that were asked for are alike in what rules ask of them; `id` is None but for one that stands alone.

    `looked_at` is the moment of the look; `as_it_was` is false for those who came, or were changed, after an earlier one.
    """

    role: str
    state: str
    number: int
    looked_at: datetime
    as_it_was: bool = True
    id: UUID | None = None


def groups(tenant_id: UUID, asked: FindUsers, alone: UUID, as_of: datetime | None = None) -> list[Group]:
    """All the users that were asked for by role and state, and `alone` by itself; with `as_of` apart by what they were at that moment.

    One statement.
    """
    shape = _shape(asked, looks_back=as_of is not None)
    parameters = {"tenant": tenant_id, "alone": alone, "as_of": as_of, **_fitting(asked), **_given(asked)}
    found = groups_of(shape, bool(asked.words))(**parameters)
    return [Group(row.role, row.state, row.number, row.looked_at, row.as_it_was, alone if row.is_alone else None) for row in found]


def _shape(asked: FindUsers, *, searched: bool = False, backwards: bool = False, paged: bool = False, looks_back: bool = False) -> "Shape":
    """Of a statement; `searched` for one that looks at the candidates of a search only, `looks_back` for one about an earlier moment."""
    return Shape(
        searched=searched,
        filters=tuple(name for name in FILTERS if getattr(asked, name)),
        signed_in=asked.signed_in,
        removed=asked.state == "removed",
        column=asked.column,
        falling=asked.falling,
        backwards=backwards,
        paged=paged,
        looks_back=looks_back,
    )


def _found(shape: "Shape", rows: list[Any], counted: Any, paged: bool, further: bool, backwards: bool) -> Found:
    total = None if counted.total > COUNTED else int(counted.total)
    first = None if total is None else int(counted.before) + 1 - (len(rows) if backwards else 0)
    return Found(
        rows=[Row._make(row[:WIDTH]) for row in rows],
        total=total,
        first=first if rows else None,
        candidates=bool(counted.candidates > CANDIDATES),
        newer=_cursor(shape, rows[0]) if rows and (paged if not backwards else further) else None,
        older=_cursor(shape, rows[-1]) if rows and (further if not backwards else True) else None,
    )


def _cursor(shape: "Shape", row: Any) -> str:
    return _place(_keys(shape, row), row.id)


def _keys(shape: "Shape", row: Any) -> Any:
    return row[WIDTH : WIDTH + len(shape.order)]


def _place(keys: Iterable[Any], row_id: UUID | str) -> str:
    return Cursor(values=[value if isinstance(value, bool) else str(value) for value in (*keys, row_id)]).written()


def _fitting(asked: FindUsers) -> dict[str, Any]:
    """What FITS asks for: each word stands somewhere in the text; of one or two letters, each piece begins a piece of the text, and with
    signs it stands so somewhere too; signs alone find nobody."""
    words = asked.words.split()
    anywhere = [word for word in words if len(word) > 2 or set(word) & set(SIGNS)]
    pieces = [piece for word in words if len(word) <= 2 for piece in word.translate(APART).split()]
    return {
        "finds": any(len(word) > 2 or word.strip(SIGNS) for word in words),
        "anywhere": [f"%{LIKE.sub(ESCAPED, word)}%" for word in anywhere],
        "beginning": [BEGINNING + re.escape(piece) for piece in pieces],
    }


def _given(asked: FindUsers) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in FILTERS if getattr(asked, name)}


def _places(shape: "Shape", cursor: Cursor | None) -> dict[str, Any]:
    """What the cursor's row is sorted by, as parameters; raises Invalid for a cursor of another order, or a damaged one."""
    if cursor is None:
        return {}
    try:
        places = [understood(value) for value, understood in zip(cursor.values, shape.kinds, strict=True)]
    except (ValueError, OverflowError):
        raise Invalid("This link to a page of the list belongs to another order, or is damaged. Begin with the first page.") from None
    return {f"place{number}": place for number, place in enumerate(places)}


# What a cursor's values are for the database, which reads times and ids in fewer ways than Python; ValueError for another kind of value.


def _text(value: str | bool) -> str:
    if isinstance(value, bool) or "\x00" in value:
        raise ValueError
    value.encode()  # a half of a surrogate pair is no text
    return value


def _yes_or_no(value: str | bool) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _moment(value: str | bool) -> str | datetime:
    if value == "-infinity":
        return "-infinity"
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


def _id(value: str | bool) -> str:
    id_ = str(UUID(_text(value)))
    if id_ != value:
        raise ValueError
    return id_


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
    looks_back: bool

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
    def kinds(self) -> list[Callable[[str | bool], Any]]:
        """What each value of a cursor is."""
        first = _moment if self.moments else _yes_or_no if self.column == "verified" else _text
        return [first, *[_text] * (len(self.order) - 1), _id]

    @property
    def places(self) -> str:
        """The cursor's values, as parameters of their kinds."""
        first = "CAST(%(place0)s AS timestamptz)" if self.moments else "%(place0)s"
        return ", ".join(
            [first, *(f"%(place{number})s" for number in range(1, len(self.order))), f"CAST(%(place{len(self.order)})s AS uuid)"]
        )

    @property
    def filtered(self) -> list[str]:
        """What the filters by a column of the row ask; whoever was removed has no other state."""
        return [FILTERS[name] for name in self.filters if not (self.removed and name == "state")]

    @property
    def where(self) -> str:
        """Everything but what was typed and the page."""
        conditions = ["u.tenant_id = %(tenant)s", f"u.removed_at IS {'NOT ' if self.removed else ''}NULL"]
        conditions += self.filtered
        conditions += [SIGNED_IN[self.signed_in].format(now=AS_OF if self.looks_back else "now()")] if self.signed_in else []
        return " AND ".join(conditions)

    @property
    def as_it_was(self) -> str:
        """Whether a row was so at the moment that is looked back to."""
        if not self.looks_back:
            return "true"
        return f"{AS_IT_WAS} AND {SIGNED_IN_BEFORE}" if self.signed_in else AS_IT_WAS

    @property
    def at_least(self) -> str | None:
        """A statement for how many fit at least, by user_counts, NULL where nothing is kept; None where only the rows can tell."""
        if self.searched or set(self.filters) - KNOWN or (self.signed_in and (self.filters or self.removed)):
            return None
        if self.signed_in:
            conditions = [WHOLE_DAYS[self.signed_in]]
        else:
            conditions = ["u.signed_in_on IS NULL", f"u.state {'=' if self.removed else '<>'} 'removed'", *self.filtered]
        return f"(SELECT sum(u.number) FROM user_counts u WHERE u.tenant_id = %(tenant)s AND {' AND '.join(conditions)})"

    @property
    def source(self) -> str:
        """The table, and what fits in it; of a search those who were found."""
        return "fits u WHERE true" if self.searched else f"users u WHERE {self.where}"

    @property
    def found(self) -> str:
        """What is looked at once and asked twice, for the page and for the numbers above it."""
        if not self.searched:
            return ""
        first = f"(SELECT id FROM found LIMIT {CANDIDATES}) AS first JOIN users u ON u.id = first.id"
        return f"""
            found AS MATERIALIZED (SELECT id FROM find_users(%(words)s, {CANDIDATES + 1})),
            fits AS MATERIALIZED (SELECT u.* FROM {first} WHERE {self.where}), """


@lru_cache(maxsize=512)
def page_of(shape: Shape, since: bool) -> Reading:
    """The statement of one page, and one row more where there are further ones; each row says what was counted."""
    # an id that is only shown need not be taken apart and put together again
    columns = COLUMNS.format(id="CAST(u.id AS text)", since="u.created_at" if since else "NULL")
    counts = "".join(f", (SELECT {name} FROM counts) AS {name}" for name in ("total", "candidates", "before"))
    return Reading(f"WITH {shape.found}{_counts(shape)} {_page(shape, columns, counts)}")


@lru_cache(maxsize=512)
def count_of(shape: Shape) -> Reading:
    """What was counted, for a page without rows."""
    return Reading(f"WITH {shape.found}{_counts(shape)} SELECT * FROM counts")


@lru_cache(maxsize=512)
def batch_of(shape: Shape, searched: bool) -> Reading:
    """The statement of one batch of all; each row says whether it fits the search."""
    return Reading(_page(shape, ROW, f", {FITS if searched else 'true'} AND {shape.as_it_was} AS fits"))


@lru_cache(maxsize=512)
def groups_of(shape: Shape, searched: bool) -> Reading:
    """How many there are of each role and state."""
    where = f"{shape.where} AND {FITS}" if searched else shape.where
    return Reading(f"""
        SELECT u.role, u.state, u.id = %(alone)s AS is_alone, {shape.as_it_was} AS as_it_was, count(*) AS number,
               statement_timestamp() AS looked_at
        FROM users u WHERE {where} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""")


def _page(shape: Shape, columns: str, more: str) -> str:
    down = shape.falling != shape.backwards
    order = ", ".join(f"{key}{' DESC' if down else ''}" for key in _named(shape.keys))
    beyond = f" AND ({', '.join(_named(shape.keys))}) {'<' if down else '>'} ({shape.places})" if shape.paged else ""
    keys = "".join(f", {_shown(shape, key)} AS key{number}" for number, key in enumerate(_named(list(shape.order))))
    return f"SELECT {columns}{keys}{more} FROM {shape.source}{beyond} ORDER BY {order} LIMIT %(limit)s"


def _counts(shape: Shape) -> str:
    """How many fit, how many of them stand before this page's cursor, how many candidates a search had; none beyond its limit."""
    candidates = "(SELECT count(*) FROM found)" if shape.searched else "0"
    total = _counted(shape)
    if at_least := shape.at_least:
        total = f"CASE WHEN {at_least} > {COUNTED} THEN {COUNTED + 1} ELSE {total} END"
    before = "0"
    if shape.paged:  # after a cursor the row it was made of stands before the page; before a cursor it does not
        compare = ("<" if shape.backwards else "<=") if not shape.falling else (">" if shape.backwards else ">=")
        before = _counted(shape, f" AND ({', '.join(_named(shape.keys))}) {compare} ({shape.places})")
    return f"""
        counted AS MATERIALIZED (SELECT {total} AS total),
        counts AS MATERIALIZED (
            SELECT total, {candidates} AS candidates, CASE WHEN total <= {COUNTED} THEN {before} ELSE 0 END AS before FROM counted)"""


def _counted(shape: Shape, further: str = "") -> str:
    return f"(SELECT count(*) FROM (SELECT FROM {shape.source}{further} LIMIT {COUNTED + 1}) AS counted)"


def _named(keys: list[str]) -> list[str]:
    """The keys as columns of `u`: the expressions stand in parentheses and name their columns without a table, as their index does."""
    return [key if key.startswith("(") else f"u.{key}" for key in keys]


def _shown(shape: Shape, key: str) -> str:
    return f"CAST({key} AS text)" if shape.moments else key
