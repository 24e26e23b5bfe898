"""The catalogue of agents: lists, searches and filters among a million of a hundred thousand organizations, and saving 64 KiB."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from statistics import median
from typing import NamedTuple
from urllib.parse import urlencode

from bench import proc, running
from bench.catalogues import FEW, FREE, PHRASES, RARE, SHARED, agent, fill_catalogue
from bench.filling import PASSWORD
from bench.load import Visitor, load
from bench.report import REFERENCE, Table, there, told, verdict
from bench.users import Figures, Question, Server, statements_of, status_of
from portal.agents.commands import as_written
from portal.database import connect
from portal.database.cluster import Instance
from portal.testing import Browser
from portal.testing.browser import values_of
from portal.values import fingerprint

SMALL = {"harbour": 1_000 - FREE - SHARED}  # own agents
LARGE = {**SMALL, "orchard": 5_000}
AGENTS, TENANTS = 1_000_000, 100_000
TIMES, GROWTH, STATEMENTS, SAVING_MS = 3.0, 1.3, 4, 20
AT_ONCE, SECONDS = 8, 1.5  # for the processors' time beside the smallest page
ALONE_SECONDS = 0.4  # that each question is asked for, by one person, per turn
SAVES = 40  # of each document, per turn
SIZE = 64 * 1024
DEPTH = 0.9


class Catalogue(NamedTuple):
    """A portal over a database of agents, and an administrator of each named organization."""

    place: Instance
    server: Server
    readers: dict[str, Visitor]


class Asked(NamedTuple):
    """An organization's list, as the tables call it."""

    title: str
    catalogue: Catalogue
    organization: str

    @property
    def reader(self) -> Visitor:
        return self.catalogue.readers[self.organization]


def measure(repeats: int) -> list[Table]:
    with _catalogue(SMALL, 1, 1_000) as small, _catalogue(LARGE, TENANTS - len(LARGE), AGENTS) as large:
        lists = [
            Asked("1,000 in all", small, "harbour"),
            Asked(f"the same among {AGENTS:,}", large, "harbour"),
            Asked(f"5,000 own among {AGENTS:,}", large, "orchard"),
        ]
        with running.smallest_page(large.place) as (smallest, cookie):
            beside = Server(smallest, large.place.urls("smallest")["superuser"])
            floor = Visitor(smallest.port, dict([cookie.split("=", 1)])).request("/?after=500000")
            ask = partial(beside.ask, floor, seconds=SECONDS)
            return [
                _beside_the_smallest(lists[-1], partial(ask, at_once=AT_ONCE), repeats),
                _questions(lists, repeats),
                _saving(large, partial(ask, at_once=1), repeats),
            ]


@contextmanager
def _catalogue(own: dict[str, int], neighbours: int, agents: int) -> Iterator[Catalogue]:
    with running.instance() as place, running.portal(place) as served:
        superuser = place.urls()["superuser"]
        logins = fill_catalogue(superuser, own, neighbours, agents)
        readers = {name: Visitor(served.port).sign_in(name, login, PASSWORD) for name, login in logins.items()}
        yield Catalogue(place, Server(served, superuser), readers)


def _beside_the_smallest(asked: Asked, smallest: Callable[[Figures], Figures], turns: int) -> Table:
    """The most usual questions to the largest list, the smallest page before each."""
    words = _all_questions(asked)
    words = {word: words[word] for word in list(words)[:4]}
    floors, figures = Figures(), {word: Figures() for word in words}
    for turn in range(turns + 1):
        if turn == 1:  # before it everything was loaded and built once
            floors, figures = Figures(), {word: Figures() for word in words}
        for word, question in words.items():
            least = smallest(floors).web[-1]
            request = asked.reader.request(_address(question))
            found = asked.catalogue.server.ask(request, figures[word], at_once=AT_ONCE, seconds=SECONDS)
            found.times.append(found.web[-1] / least)
    rows = [("**the smallest honest page**", told(floors.web), told(floors.postgres), "", "")]
    for word, found in figures.items():
        rows.append((word, told(found.web), told(found.postgres), told(found.times, 2), verdict(found.times, TIMES)))
    note = (
        f"`/agents` of an organization with {LARGE['orchard']:,} agents of its own, {SHARED} shared with it and {FREE} free ones, in a "
        f"database of {AGENTS:,} agents of {TENANTS:,} organizations; uncompressed as the smallest page is, over {AT_ONCE} connections "
        f"again and again, {SECONDS:g} s for each in turn, {turns} turns: median (least–most). The ratio is that of the web workers' "
        "processor time, to the smallest page just before."
    )
    return Table("Beside the smallest page", note, ("asked", "web workers, µs", "PostgreSQL, µs", "times the smallest", "promised"), rows)


def _questions(lists: list[Asked], turns: int) -> Table:
    """Every question to each list in turn, so that a busy moment of the machine meets all."""
    questions = {asked.title: _all_questions(asked) for asked in lists}
    largest = lists[-1]
    addresses = {word: _address(question) for word, question in questions[largest.title].items()}
    said = {word: status_of(largest.reader, address) for word, address in addresses.items()}
    statements = statements_of(largest.catalogue.place, largest.reader, addresses)
    figures = {(word, asked.title): Figures() for word in addresses for asked in lists}
    for _ in range(turns):
        for word in addresses:
            for asked in lists:
                found, request = figures[word, asked.title], asked.reader.request(_address(questions[asked.title][word]))
                asked.catalogue.server.ask(request, found, at_once=1, seconds=ALONE_SECONDS)
                found.times.append(found.both[-1] / figures[word, lists[0].title].both[-1])
    rows = [_question_row(word, said[word], statements[word], [figures[word, asked.title] for asked in lists]) for word in addresses]
    columns = (
        *("asked", "with 5,000 own the page says", "statements"),
        *(f"wait, ms: {lists[0].title}", *(asked.title for asked in lists[1:])),
        *(f"times that of {lists[0].title}: {lists[1].title}", lists[2].title, "promised"),
        *(f"web workers, µs: {lists[0].title}", *(asked.title for asked in lists[1:])),
        *(f"PostgreSQL, µs: {lists[0].title}", *(asked.title for asked in lists[1:])),
    )
    note = (
        f"Three lists. “{lists[0].title}”: a database of its own, with an organization of {SMALL['harbour']} own agents, {SHARED} that "
        f"others share with it and {FREE} free ones. “{lists[1].title}”: an organization of the same size in the database of {AGENTS:,} "
        f"agents of {TENANTS:,} organizations; what it takes more is what the others' agents cost. “{lists[2].title}”: an organization "
        "with five times as many, in that same database; what it takes more is its own size too, and it is held against the promise. "
        f"25 rows a page, asked for by one administrator, one request after the other, {ALONE_SECONDS:g} s for each list in turn, {turns} "
        "turns: median (least–most) of the turns' medians. Compared is processor time, that of web workers and PostgreSQL together, of "
        "the same turn. Statements are counted as in the part users; they include the one that finds out who asks."
    )
    return Table("Three lists", note, columns, rows)


def _all_questions(asked: Asked) -> dict[str, Question]:
    """What stands in the addresses, by what it is called in the tables; the first four are what is asked most."""
    return {
        "first page": {},
        f"search “{RARE}”: {FEW} agents by a word of their descriptions": {"q": RARE},
        "search “harbour advice”: two words that many have": {"q": "harbour advice"},
        "only own": {"owner": "own"},
        f"page at {DEPTH:.0%} of the rows": {"after": _place(asked)},
        "search “a”: a single letter": {"q": "a"},
        "search “nothing of the kind”: nobody": {"q": "nothing of the kind"},
        f"only what can do “{PHRASES[3]}”": {"capability": PHRASES[3]},
        **{f"only {owner}": {"owner": owner} for owner in ("free", "shared")},
        **{f"only {state}": {"state": state} for state in ("on", "off", "unpublished", "withdrawn")},
    }


def _place(asked: Asked) -> str:
    """The place of the row that stands behind so many of all, as the link to the next page says it."""
    own = "FROM agents JOIN tenants ON tenants.id = owner_tenant_id WHERE subdomain = %s"
    deep = f"SELECT sort_key, agents.id {own} ORDER BY sort_key, agents.id OFFSET (SELECT count(*) * {DEPTH} {own}) LIMIT 1"
    with closing(connect(asked.catalogue.server.database)) as connection, connection.cursor() as cursor:
        cursor.execute(deep, [asked.organization] * 2)
        return " ".join(map(str, cursor.fetchone()))


def _address(question: Question) -> str:
    return f"/agents?{urlencode(question)}" if question else "/agents"


def _question_row(word: str, said: str, statements: int, figures: list[Figures]) -> tuple[str, ...]:
    waits = [told(found.wait, 1) for found in figures]
    times = [told(found.times, 2) for found in figures[1:]]
    web, postgres = ([f"{median(getattr(found, name)):,.0f}" for found in figures] for name in ("web", "postgres"))
    return (
        word,
        said,
        f"{statements}, {verdict([statements], STATEMENTS)}",
        *waits,
        *times,
        verdict(figures[-1].times, GROWTH),
        *web,
        *postgres,
    )


@dataclass
class Saved:
    """What saving a document took in each turn: milliseconds, of one save."""

    bare: list[float] = field(default_factory=list)
    web: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    wait: list[float] = field(default_factory=list)
    smallest: list[float] = field(default_factory=list)  # microseconds of the smallest page, asked for by one just before

    @property
    def both(self) -> list[float]:
        return [web + postgres for web, postgres in zip(self.web, self.postgres, strict=True)]


def _saving(catalogue: Catalogue, smallest: Callable[[Figures], Figures], turns: int) -> Table:
    """Each document saved again and again, each time as another version of an agent that is only this document's."""
    admin = catalogue.readers["harbour"]
    editors = [Editor(admin, place) for place in range(4)]
    kinds = {
        "prose, as JSON": (_prose, editors[0], editors[0].as_json),
        "prose, in the form": (_prose, editors[1], editors[1].as_form),
        "many keys, as JSON": (_keys, editors[2], editors[2].as_json),
        "numbers, as JSON": (_numbers, editors[3], editors[3].as_json),
    }
    figures = {kind: Saved() for kind in kinds}
    for turn in range(turns + 1):
        for kind, (document, editor, form) in kinds.items():
            documents = [document(turn * SAVES + number) for number in range(SAVES + 1)]
            requests = [admin.request(editor.path, sent) for sent in form(documents)]
            found = figures[kind] if turn else Saved()  # before it everything was loaded and built once
            found.bare.append(_bare(documents[1:]))
            found.smallest.append(smallest(Figures()).web[-1])
            _note(found, catalogue.server, requests)
    rows = [
        (
            kind,
            f"{len(kinds[kind][0](0).encode()):,}",
            *(told(one, 1) for one in (found.bare, found.web, found.postgres, found.both)),
            verdict(found.both, SAVING_MS),
            told(there(found.both, found.smallest), 1),
            verdict(there(found.both, found.smallest), SAVING_MS),
            told(found.smallest),
            told(found.wait, 1),
        )
        for kind, found in figures.items()
    ]
    note = (
        f"The editor's form, sent by one administrator, {SAVES} saves of each document in turn, {turns} turns: median (least–most) of "
        "milliseconds for one save. Each says something new and becomes a version that is not published. Bare is the validation alone, in "
        f"the measuring process. The promise was made for a machine where the smallest page takes {REFERENCE:,} µs with many at once; "
        "here it is asked for by one before each, who finds it cheaper. The wait is for the whole answer, with what the database waits for "
        "its disk."
    )
    columns = (
        *("document", "bytes", "bare validation", "web workers", "PostgreSQL", "together", "promised"),
        *(f"where the smallest page takes {REFERENCE:,} µs", "promised", "the smallest page here, µs", "wait"),
    )
    return Table("Saving a configuration", note, columns, rows)


def _bare(documents: list[str]) -> float:
    """Milliseconds for validating one of them."""
    began = time.process_time()
    for document in documents:
        as_written(document)
    return (time.process_time() - began) / len(documents) * 1000


def _note(figures: Saved, server: Server, requests: list[bytes]) -> None:
    web, postgres = server.served.workers(), running.backends(server.database)
    before = proc.processor_seconds(web), proc.processor_seconds(postgres)
    answers = asyncio.run(load(server.served.port, iter(requests), at_once=1, seconds=600, status=303, most=len(requests)))
    figures.web.append((proc.processor_seconds(web) - before[0]) / len(requests) * 1000)
    figures.postgres.append((proc.processor_seconds(postgres) - before[1]) / len(requests) * 1000)
    figures.wait.append(answers.median * 1000)


class Editor:
    """The editor's form of an agent, as a browser would send it for one version after the other."""

    def __init__(self, reader: Visitor | Browser, place: int = 0) -> None:
        """Of the agent at this place of the list of own ones that are on."""
        link = reader.get("/agents?owner=own&state=on").select("tbody th a")[place]
        self.path = f"{link['href']}/edit"
        form = reader.get(self.path).select_one(f"form[action='{self.path}']")
        assert form is not None
        self.form = values_of(form)
        self.version = int(self.form["version"])

    def as_json(self, documents: list[str]) -> Iterator[dict[str, str]]:
        """Each but the first, as it was written in the view JSON."""
        plain = {name: text for name, text in self.form.items() if not name.startswith("settings-")}
        for document in documents[1:]:
            yield {**plain, "view": "json", "configuration": document, "version": self._next()}

    def as_form(self, documents: list[str]) -> Iterator[dict[str, str]]:
        """Each but the first, by the instructions that a form asks for over the one before it."""
        for before, document in pairwise(documents):
            drawn = {"view": "form", "configuration": before, "drawn": fingerprint(before).hex()[:16]}
            yield {**self.form, **drawn, "settings-instructions": json.loads(document)["instructions"], "version": self._next()}

    def _next(self) -> str:
        self.version += 1
        return str(self.version - 1)


def _prose(number: int) -> str:
    """Instructions as people write them, as long as they may be."""
    dice, lines = random.Random(number), list[str]()  # noqa: S311
    while sum(map(len, lines)) < SIZE * 0.97:
        said = agent(dice, None, number, "on")
        lines.append(f"– {json.loads(said['configuration_template'])['instructions']} {said['description']}\n")
    return _within({"language": "auto", "temperature": 0.3, "instructions": f"{number}\n{''.join(lines)}"})


def _keys(number: int) -> str:
    """As many keys as a document may have."""
    dice = random.Random(number)  # noqa: S311
    rules = {f"rule_{key}": agent(dice, None, number, "on")["description"][:48] for key in range(994)}
    return _within({"number": number, "language": "auto", "rules": rules})


def _numbers(number: int) -> str:
    dice = random.Random(number)  # noqa: S311
    return _within({"number": number, "weights": [round(dice.uniform(-9, 9), 4) for _ in range(7_600)]})


def _within(document: object) -> str:
    text = json.dumps(document, ensure_ascii=False)
    if len(text.encode()) > SIZE:
        raise ValueError(f"{len(text.encode())} bytes are more than may be saved")
    return text
