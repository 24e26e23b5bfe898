"""The foundation: its pages, the memory of its web workers, its cold start, and signing in while others read."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median

from bench import proc, running
from bench.filling import ENTRIES, PASSWORD, PEOPLE, fill
from bench.load import Load, Visitor, always, load
from bench.report import REFERENCE, Table, there, told, verdict
from portal.auth import passwords
from portal.database.cluster import Instance

PAGES = {  # path: (what it is called, the most that it may cost in smallest pages; None where nothing was promised)
    "/": ("overview of an org_admin", 2.5),
    "/settings": ("settings", 2.0),
    "/audit": ("audit log", 2.0),
    "/account/sessions": ("own sessions", None),
    "/sign-in": ("sign-in, a visitor", None),
}
MEMORY_MIB = 100
LEGACY_COLD_START, COLD_START = 8.6, 1 / 6  # seconds, and the part of them
SIGN_INS, OTHERS = 0.7, 2.0
SECONDS = 1.5  # that each page is asked for, per turn
AT_ONCE = 8
SIGNING = 4  # people who sign in at once, without a pause
READING = 0.1  # seconds between the pages of the one who reads meanwhile


@dataclass
class Figures:
    """What the turns gave for one page."""

    cpu: list[float] = field(default_factory=list)  # microseconds of the web workers per request
    times: list[float] = field(default_factory=list)  # the same in smallest pages, measured just before
    packed: list[float] = field(default_factory=list)  # the same, compressed
    rate: list[float] = field(default_factory=list)
    wait: list[float] = field(default_factory=list)  # milliseconds, median
    size: int = 0
    packed_size: int = 0


def measure(repeats: int) -> list[Table]:
    with running.instance() as place:
        with running.portal(place) as served:
            logins = fill(place.urls()["superuser"])
            admin = _signed_in(served, logins)
            with running.smallest_page(place) as (smallest, cookie):
                pages = _pages(served, admin, smallest, cookie, repeats)
            signing = _signing(served, admin, logins, repeats)
        return [pages, _memory(place, logins), _cold_start(place, repeats), signing]


def _signed_in(served: running.Served, logins: list[str]) -> Visitor:
    return Visitor(served.port).sign_in("harbour", logins[0], PASSWORD)


def _pages(served: running.Served, admin: Visitor, smallest: running.Served, cookie: str, turns: int) -> Table:
    """Every page in turn, the smallest one before each, so that a busy moment of the machine meets both."""
    floor = _floor(smallest, cookie)
    visitors = {path: Visitor(served.port) if path == "/sign-in" else admin for path in PAGES}
    for path, visitor in visitors.items():  # everything is loaded and built once before it counts
        _asked(served, visitor.request(path))
    figures, floors = {path: Figures() for path in PAGES}, Figures()
    for _ in range(turns):
        for path, visitor in visitors.items():
            least = _note(floors, *_asked(smallest, floor))
            plain = _note(figures[path], *_asked(served, visitor.request(path)))
            answers, packed = _asked(served, visitor.request(path, compressed=True))
            figures[path].times.append(plain / least)
            figures[path].packed.append(packed / least)
            figures[path].packed_size = answers.size
    rows = [_page_row("**the smallest honest page**", "", floors, None)]
    rows += [_page_row(name, path, figures[path], limit) for path, (name, limit) in PAGES.items()]
    columns = (
        "page",
        "address",
        "CPU, µs",
        "times the smallest",
        "promised",
        "times, compressed",
        "requests/s",
        "wait, ms",
        "bytes",
    )
    note = (
        f"{AT_ONCE} connections that ask again when the answer is there, {SECONDS:g} s for each page in turn, {turns} turns: median "
        f"(least–most). The organization has {PEOPLE:,} people and {ENTRIES:,} audit entries. CPU is that of the web workers per request, "
        "PostgreSQL's is not counted; each ratio is to the smallest page as it was just before. The smallest page does not compress, so "
        "the promise is held against pages that are asked for without; what they cost compressed as browsers ask for stands beside it."
    )
    return Table("Pages", note, columns, rows)


def _floor(smallest: running.Served, cookie: str) -> bytes:
    """The request for the smallest page."""
    return Visitor(smallest.port, dict([cookie.split("=", 1)])).request("/?after=500000")


def _asked(server: running.Served, request: bytes) -> tuple[Load, float]:
    """What the answers were, and the processor time of the web workers for each in microseconds."""
    workers = server.workers()
    before = proc.processor_seconds(workers)
    answers = asyncio.run(load(server.port, always(request), at_once=AT_ONCE, seconds=SECONDS))
    return answers, (proc.processor_seconds(workers) - before) / len(answers.waited) * 1e6


def _note(figures: Figures, answers: Load, cpu: float) -> float:
    figures.cpu.append(cpu)
    figures.rate.append(answers.per_second)
    figures.wait.append(answers.median * 1000)
    figures.size = answers.size
    return cpu


def _page_row(name: str, path: str, figures: Figures, limit: float | None) -> tuple[str, ...]:
    times, packed = (told(found, 2) if found else "" for found in (figures.times, figures.packed))
    sizes = f"{figures.size:,}" + (f", compressed {figures.packed_size:,}" if figures.packed else "")
    promised = verdict(figures.times, limit) if limit else ""
    return (name, f"`{path}`" if path else "", told(figures.cpu), times, promised, packed, told(figures.rate), told(figures.wait, 1), sizes)


def _memory(place: Instance, logins: list[str]) -> Table:
    """Each worker's own share, after the start and after a thousand requests for all pages in turn."""
    with running.portal(place) as served:
        admin = _signed_in(served, logins)
        idle = _mebibytes(served)
        mixed = cycle([admin.request(path, compressed=True) for path in PAGES])
        asyncio.run(load(served.port, mixed, at_once=AT_ONCE, seconds=600, most=1000))
        used = _mebibytes(served)
    rows = [
        ("started", told(idle, 1), ""),
        ("after 1,000 requests for the pages above in turn", told(used, 1), verdict([max(used)], MEMORY_MIB)),
    ]
    return Table(
        "Memory", "The proportional set size (PSS) of each web worker, in MiB: median (least–most).", ("", "MiB", "promised"), rows
    )


def _mebibytes(served: running.Served) -> list[float]:
    return [proc.proportional_bytes(pid) / 2**20 for pid in served.workers()]


def _cold_start(place: Instance, repeats: int) -> Table:
    took, floors = [], []
    for _ in range(repeats):
        with running.portal(place) as served:
            took.append(served.started_after)
            with running.smallest_page(place) as (smallest, cookie):
                floor = _floor(smallest, cookie)
                _asked(smallest, floor)  # everything is loaded and built once before it counts
                floors.append(_asked(smallest, floor)[1])
    limit = LEGACY_COLD_START * COLD_START
    rows = [
        (where, told(seconds, 2), verdict(seconds, round(limit, 2)), f"1/{LEGACY_COLD_START / median(seconds):.1f}")
        for where, seconds in (("here", took), (f"where the smallest page takes {REFERENCE:,} µs", there(took, floors)))
    ]
    note = (
        f"`python -m portal.serve` with an existing instance until `/sign-in` answers 200; {repeats} starts: median (least–most). The "
        f"legacy backend was measured where the smallest page takes {REFERENCE:,} µs; just after these starts it took {told(floors)}."
    )
    return Table("Cold start", note, ("portal", "seconds", "promised", f"of the legacy backend's {LEGACY_COLD_START} s"), rows)


def _signing(served: running.Served, admin: Visitor, logins: list[str], repeats: int) -> Table:
    """The bare hash, pages alone, and both at once, in turn."""
    bare, signed, alone, meanwhile = [], [], [], []
    page, forms = always(admin.request("/audit", compressed=True)), _sign_in_requests(served.port, logins)
    for _ in range(repeats):
        bare.append(_bare_hashes(SECONDS))
        alone.append(asyncio.run(load(served.port, page, at_once=1, seconds=SECONDS, every=READING)).median * 1000)
        both = asyncio.run(_at_once(served.port, page, forms))
        meanwhile.append(both[0].median * 1000)
        signed.append(both[1].per_second)
    part = [one / other for one, other in zip(signed, bare, strict=True)]
    slower = [one / other for one, other in zip(meanwhile, alone, strict=True)]
    rows = [
        ("bare argon2 hashes per second", told(bare, 1), "", ""),
        ("sign-ins per second", told(signed, 1), told(part, 2), verdict(part, SIGN_INS, least=True)),
        ("somebody else's page, ms", told(alone, 1), "", ""),
        ("somebody else's page while people sign in, ms", told(meanwhile, 1), told(slower, 2), verdict(slower, OTHERS)),
    ]
    note = (
        f"{SIGNING} people sign in through the form without a pause, each time another of {PEOPLE:,}, while somebody else asks for "
        f"`/audit` every {READING * 1000:g} ms; before that the same reader alone, and the bare hash on as many processors as may hash "
        f"at a time ({passwords.slots} of {os.cpu_count()}). {repeats} turns: median (least–most), ratios of one turn each."
    )
    return Table("Signing in", note, ("", "measured", "ratio", "promised"), rows)


async def _at_once(port: int, page: Iterator[bytes], forms: Iterator[bytes]) -> tuple[Load, Load]:
    seconds = 2 * SECONDS
    reading = load(port, page, at_once=1, seconds=seconds, every=READING)
    return await asyncio.gather(reading, load(port, forms, at_once=SIGNING, seconds=seconds, status=303))


def _sign_in_requests(port: int, logins: list[str]) -> Iterator[bytes]:
    """The form, filled in by one person after the other, from a browser that is new to each."""
    visitor = Visitor(port)
    form = visitor.sign_in_form("harbour")
    return (visitor.request("/sign-in", {**form, "login": login, "password": PASSWORD}) for login in cycle(logins))


def _bare_hashes(seconds: float) -> float:
    """How many passwords are verified in a second by as many processes as may hash at a time."""
    code = f"from bench.foundation import count_hashes; print(count_hashes({seconds}))"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(passwords.slots)]
    return sum(float(process.communicate()[0]) for process in started)


def count_hashes(seconds: float) -> float:
    """Passwords verified per second by this process, as the portal does it and with nothing around it."""
    verify: Callable[..., object] = passwords.hashers().verify_and_update
    stored = passwords.hashers().hash(PASSWORD)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        verify(PASSWORD, stored)
        done += 1
    return done / (time.perf_counter() - began)
