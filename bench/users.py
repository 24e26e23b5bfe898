"""The table of users: pages, orders, filters and searches among a thousand, a hundred thousand and a million."""

import asyncio
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import product
from statistics import median
from typing import Any
from urllib.parse import urlencode

from bench import proc, running
from bench.crowds import FEW, IN_EVERY_ADDRESS, RARE_HOUSE, RARE_NAME, fill_crowds
from bench.filling import PASSWORD
from bench.load import Visitor, always, load
from bench.report import Table, told, verdict
from portal import create_app
from portal.config import load_settings
from portal.database import connect, reading
from portal.database.cluster import Instance
from portal.extensions import db
from portal.users.commands import SORTS, Cursor
from portal.users.models import ORDERS
from tests.statements import counted

SIZES = {"thousand": 1_000, "hundred-thousand": 100_000, "million": 1_000_000}
FILTERS = {
    "role": ("user", "org_admin"),
    "state": ("active", "deactivated", "invited", "waiting", "removed"),
    "verified": ("yes", "no"),
    "signed_in": ("never", "week", "quarter", "longer"),
}
SEARCHES = {  # what is typed: whom it finds
    RARE_NAME[2:9].lower(): f"{FEW} people by a fragment of their name",
    f"@{RARE_HOUSE[:4]}": f"{FEW} people by a fragment of their e-mail address",
    "harbour": "the house of every twelfth",
    IN_EVERY_ADDRESS: "what nearly everybody's address holds",
    "a": "a single letter",
}
COMMON = tuple(SEARCHES)[2:]
DEPTH = 0.9
FIRST_PAGE, GROWTH, COMMON_MS, STATEMENTS = 2.0, 1.3, 150, 4
AT_ONCE, SECONDS = 8, 1.5  # for the processors' time of a first page
TRIES = 3  # where a process of the server or of the database ends while it is watched
ALONE_SECONDS = 0.4  # that each question is asked for, by one person, per turn
Question = dict[str, str]


@dataclass
class Figures:
    """What the turns gave for one question to one organization."""

    wait: list[float] = field(default_factory=list)  # milliseconds, median
    web: list[float] = field(default_factory=list)  # microseconds of the web workers per request
    postgres: list[float] = field(default_factory=list)  # microseconds of the database's processes per request
    times: list[float] = field(default_factory=list)  # what it is compared with, in the same turn: the smallest page, or the thousand

    @property
    def both(self) -> list[float]:
        """Microseconds of the web workers and the database together."""
        return [web + postgres for web, postgres in zip(self.web, self.postgres, strict=True)]


@dataclass(frozen=True)
class Server:
    """A web server that was started, and the address of its database."""

    served: running.Served
    database: str

    def ask(self, request: bytes, figures: Figures, *, at_once: int, seconds: float) -> Figures:
        """Ask for a while, and add what it took; again where a process ended meanwhile, whose time nobody knows then."""
        for _ in range(TRIES - 1):
            with suppress(FileNotFoundError, ProcessLookupError):
                return self._ask(request, figures, at_once, seconds)
        return self._ask(request, figures, at_once, seconds)

    def _ask(self, request: bytes, figures: Figures, at_once: int, seconds: float) -> Figures:
        web, postgres = self.served.workers(), running.backends(self.database)
        before = proc.processor_seconds(web), proc.processor_seconds(postgres)
        answers = asyncio.run(load(self.served.port, always(request), at_once=at_once, seconds=seconds))
        spent = proc.processor_seconds(web) - before[0], proc.processor_seconds(postgres) - before[1]
        asked = len(answers.waited)
        figures.wait.append(answers.median * 1000)
        figures.web.append(spent[0] / asked * 1e6)
        figures.postgres.append(spent[1] / asked * 1e6)
        return figures


def measure(repeats: int) -> list[Table]:
    with running.instance() as place, running.portal(place) as served:
        superuser = place.urls()["superuser"]
        logins = fill_crowds(superuser, SIZES)
        readers = {name: Visitor(served.port).sign_in(name, login, PASSWORD) for name, login in logins.items()}
        portal = Server(served, superuser)
        with running.smallest_page(place) as (smallest, cookie):
            beside = Server(smallest, place.urls("smallest")["superuser"])
            first = _first_pages(portal, readers, beside, Visitor(smallest.port, dict([cookie.split("=", 1)])), repeats)
        return [first, _questions(place, portal, readers, repeats)]


def _first_pages(portal: Server, readers: dict[str, Visitor], smallest: Server, visitor: Visitor, turns: int) -> Table:
    """The first page of each organization, the smallest one before each, as in the part foundation."""
    floor, floors, figures = visitor.request("/?after=500000"), Figures(), {name: Figures() for name in readers}
    for turn in range(turns + 1):
        if turn == 1:  # before it everything was loaded and built once
            floors, figures = Figures(), {name: Figures() for name in readers}
        for name, reader in readers.items():
            least = smallest.ask(floor, floors, at_once=AT_ONCE, seconds=SECONDS).web[-1]
            found = portal.ask(reader.request("/users"), figures[name], at_once=AT_ONCE, seconds=SECONDS)
            found.times.append(found.web[-1] / least)
    rows = [("**the smallest honest page**", told(floors.web), told(floors.postgres), "", "")]
    for name, found in figures.items():
        promised = verdict(found.times, FIRST_PAGE) if SIZES[name] == max(SIZES.values()) else ""
        rows.append((f"of {SIZES[name]:,}", told(found.web), told(found.postgres), told(found.times, 2), promised))
    note = (
        f"`/users`, uncompressed as the smallest page is, asked for over {AT_ONCE} connections again and again, {SECONDS:g} s for each in "
        f"turn, {turns} turns: median (least–most). The ratio is that of the web workers' processor time, to the smallest page just before."
    )
    return Table("First page", note, ("page", "web workers, µs", "PostgreSQL, µs", "times the smallest", "promised"), rows)


def _questions(place: Instance, portal: Server, readers: dict[str, Visitor], turns: int) -> Table:
    """Every question to each organization in turn, so that a busy moment of the machine meets all."""
    with closing(connect(portal.database)) as connection:
        asked = {name: _all_questions(connection, name) for name in readers}
    words = list(asked["million"])
    addresses = {(word, name): f"/users?{urlencode(asked[name][word])}" for word, name in product(words, readers)}
    said = {word: status_of(readers["million"], addresses[word, "million"]) for word in words}
    statements = statements_of(place, readers["million"], {word: addresses[word, "million"] for word in words})
    figures = {key: Figures() for key in addresses}
    for _ in range(turns):
        for word in words:
            for name, reader in readers.items():
                found = figures[word, name]
                portal.ask(reader.request(addresses[word, name]), found, at_once=1, seconds=ALONE_SECONDS)
                found.times.append(found.both[-1] / figures[word, "thousand"].both[-1])
    rows = [_question_row(word, said[word], statements[word], [figures[word, name] for name in readers]) for word in words]
    columns = (
        *(
            "asked",
            "at 1,000,000 the page says",
            "statements",
            "wait, ms: 1,000",
            "100,000",
            "1,000,000",
            "times that of 1,000",
            "promised",
        ),
        *("web workers, µs: 1,000", "1,000,000", "PostgreSQL, µs: 1,000", "1,000,000"),
    )
    note = (
        f"25 rows a page, asked for by one administrator, one request after the other, {ALONE_SECONDS:g} s for each organization in turn, "
        f"{turns} turns: median (least–most) of the turns' medians. The wait is for the whole page, and is others' too where the machine "
        "has more to do; so what a page takes is compared by processor time, that of web workers and PostgreSQL together, with that of the "
        "organization of 1,000 in the same turn. Statements are counted in an application of the measuring process, over the same "
        "database; they include the one that finds out who asks."
    )
    return Table("Questions", note, columns, rows)


def _all_questions(connection: Any, organization: str) -> dict[str, Question]:
    """What stands in the addresses, by what it is called in the table."""
    questions: dict[str, Question] = {"first page": {}}
    for sort in ("name", "email"):
        place = _place(connection, organization, sort)
        questions[f"page at {DEPTH:.0%} of the rows by {sort}"] = {"sort": sort, "after": place}
        questions[f"the page before it by {sort}"] = {"sort": sort, "before": place}
    for sort in SORTS:
        questions |= {f"by {sort}{', falling' if way else ''}": {"sort": way + sort} for way in ("", "-") if way + sort != "name"}
    questions |= {f"only {name} {value}": {name: value} for name, values in FILTERS.items() for value in values}
    return questions | {f"search “{typed}”: {whom}": {"q": typed} for typed, whom in SEARCHES.items()}


def _place(connection: Any, organization: str, sort: str) -> str:
    """The cursor of the row that stands behind so many of all, as the link to the next page says it."""
    key = ORDERS[sort][0]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {key}, users.id FROM users JOIN tenants ON tenants.id = tenant_id WHERE subdomain = %s AND removed_at IS NULL "
            f"ORDER BY {key}, users.id OFFSET %s LIMIT 1",
            [organization, round(SIZES[organization] * DEPTH * 0.97) - 1],  # of those who were not removed
        )
        return Cursor(values=list(map(str, cursor.fetchone()))).written()


def status_of(reader: Visitor, address: str) -> str:
    """What the page of a list says of how much it shows."""
    status = reader.get(address).select_one(".counted p[role=status]")
    return " ".join(status.get_text(" ").split()) if status else "nothing"


def statements_of(place: Instance, reader: Visitor, addresses: dict[str, str]) -> dict[str, int]:
    """How many statements each page asks of the database, counted in an application of this process that reads the same one."""
    app = create_app(load_settings(env_file=None, instance_path=place.path, public_url=f"http://localhost:{reader.port}"))
    client, asked = app.test_client(), {}
    for name, value in reader.cookies.items():
        client.set_cookie(name, value)
    for word, address in addresses.items():
        with counted(app) as seen:
            if client.get(address, base_url=f"http://localhost:{reader.port}").status_code != 200:
                raise RuntimeError(f"{address} was refused")
        asked[word] = len(seen)
    reading.close(app)
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
    return asked


def _question_row(word: str, said: str, statements: int, figures: list[Figures]) -> tuple[str, ...]:
    least, _, most = figures
    common = any(f"“{typed}”" in word for typed in COMMON)
    promised = f"{verdict(most.wait, COMMON_MS)} (ms)" if common else verdict(most.times, GROWTH)
    waits = [told(found.wait, 1) for found in figures]
    web, postgres = ([f"{median(getattr(found, name)):,.0f}" for found in (least, most)] for name in ("web", "postgres"))
    return (word, said, f"{statements}, {verdict([statements], STATEMENTS)}", *waits, told(most.times, 2), promised, *web, *postgres)
