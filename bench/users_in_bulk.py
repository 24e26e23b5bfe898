"""Many users at once: exporting a million, looking at whom an act on all would change, and importing a hundred thousand and more."""

import asyncio
import csv
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import product
from typing import Any
from uuid import uuid4

from bench import proc, running
from bench.crowds import BEGINNINGS, ENDINGS, FIRST_NAMES, HOUSES, fill_crowds
from bench.filling import PASSWORD
from bench.load import HEADERS, Visitor, always, load
from bench.report import Table, told, verdict
from portal.database import connect, first_row

SIZE = 1_000_000
IMPORTS = {"invited": 100_000, "deactivated": 200_000}  # the second is the largest file that is taken
IMPORT_SECONDS, IMPORT_MIB, PROMISED_ROWS = 90, 200, 100_000
EXPORTS = 2
WATCHED = 0.2  # seconds between looks at the memory
PATIENCE = 900  # seconds that a job may take
JOB = "SELECT state, error, report, extract(epoch FROM finished_at - started_at) FROM jobs ORDER BY created_at DESC LIMIT 1"


@dataclass
class Watched:
    """What some processes took within a while: seconds, those on a processor, and the most memory (MiB) that one of them had."""

    seconds: float = 0
    processor: float = 0
    before: float = 0
    peaks: list[float] = field(default_factory=list)

    @property
    def peak(self) -> float:
        return max(self.peaks)


@contextmanager
def watching(pids: Callable[[], list[int]]) -> Iterator[Watched]:
    found, over, processes = Watched(), threading.Event(), pids()

    def look() -> None:
        while not over.wait(WATCHED):
            found.peaks.append(_mebibytes(processes))

    found.before = _mebibytes(processes)
    found.peaks.append(found.before)
    began, on_processor = time.perf_counter(), proc.processor_seconds(processes)
    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
        found.seconds = time.perf_counter() - began
        found.processor = proc.processor_seconds(processes) - on_processor


def _mebibytes(pids: list[int]) -> float:
    return max(proc.proportional_bytes(pid) for pid in pids) / 2**20


def measure(repeats: int) -> list[Table]:
    with running.instance() as place, running.portal(place) as served:
        superuser = place.urls()["superuser"]
        login = fill_crowds(superuser, {"million": SIZE})["million"]
        admin = Visitor(served.port).sign_in("million", login, PASSWORD)
        with closing(connect(superuser)) as connection:
            connection.autocommit = True
            return [_export(served, admin), _preview(served, admin, repeats), _imports(served, admin, connection)]


def _export(served: running.Served, admin: Visitor) -> Table:
    rows = []
    for number in range(EXPORTS):
        with watching(served.workers) as took:
            lines = _downloaded(admin, "/users/export.csv") - 1  # the header
        memory = f"{took.before:.1f} → {took.peak:.1f}"
        rows.append((f"{number + 1}", f"{lines:,}", f"{took.seconds:.1f}", f"{lines / took.seconds:,.0f}", f"{took.processor:.1f}", memory))
    note = f"`/users/export.csv` of {SIZE:,} users, who are all but those that were removed, read by one client as quickly as it comes."
    columns = ("time", "rows", "seconds", "rows/s", "web workers' processor seconds", "largest worker's PSS, MiB: before → most")
    return Table("Export", note, columns, rows)


def _downloaded(visitor: Visitor, path: str) -> int:
    """How many lines the file has."""
    lines = 0
    with _asked(visitor, "GET", path) as response:
        if response.status != 200:
            raise RuntimeError(f"{path} was answered by {response.status}")
        while part := response.read(1 << 16):
            lines += part.count(b"\n")
    return lines


@contextmanager
def _asked(visitor: Visitor, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """The answer, to be read part by part."""
    with closing(HTTPConnection("localhost", visitor.port, timeout=120)) as connection:
        connection.request(method, path, body, {**HEADERS, **visitor.cookie(), **(headers or {})})
        yield connection.getresponse()


def _preview(served: running.Served, admin: Visitor, turns: int) -> Table:
    """Whom an act on all that fit would change: nobody is changed."""
    rows = []
    for name, search in {"all": "", "all of one role and state": "role=user&state=active", "all whom a search finds": "q=harbour"}.items():
        form = {"csrf_token": _token(admin, "/users"), "act": "sign_out", "all": "1", "search": search}
        heading = str(getattr(admin.post("/users/bulk", form).h1, "text", ""))
        answers = asyncio.run(load(served.port, always(admin.request("/users/bulk", form)), at_once=1, seconds=PATIENCE, most=turns))
        rows.append((name, f"`{search}`" if search else "", heading, told([waited * 1000 for waited in answers.waited])))
    note = f"`/users/bulk` with “Preview for all”, {turns} times one after the other: median (least–most). The page counts everybody."
    return Table("Preview of an act on all that fit", note, ("whom", "search", "the page says", "wait, ms"), rows)


def _imports(served: running.Served, admin: Visitor, database: Any) -> Table:
    rows = []
    for become, count in IMPORTS.items():
        _upload(admin, _file(count, become), become)
        looked, report = _done(served, database)
        path = f"/users/import/{report['upload']}"
        preview = admin.get(path).select_one("#content [name=preview]")
        admin.post(f"{path}/begin", {"csrf_token": _token(admin, path), "preview": str(preview["value"]) if preview else ""})
        imported, _ = _done(served, database)
        together, most = looked.seconds + imported.seconds, max(looked.peak, imported.peak)
        promised = (verdict([together], IMPORT_SECONDS), verdict([most], IMPORT_MIB)) if count == PROMISED_ROWS else ("", "")
        took = (
            f"{looked.seconds:.1f}",
            f"{imported.seconds:.1f}",
            f"{together:.1f}",
            promised[0],
            f"{looked.processor + imported.processor:.1f}",
        )
        rows.append((f"{count:,} as {become}", *took, f"{looked.before:.1f} → {most:.1f}", promised[1]))
    note = (
        f"`/users/import` into the organization of {SIZE:,}: the file is uploaded through the form, looked through and imported by the "
        "worker, each in a job that is measured from its beginning to its end; once each. What lasts besides, the database does."
    )
    columns = (
        *("people", "looked through, s", "imported, s", "together, s", "promised", "worker's processor seconds"),
        *("worker's PSS, MiB: before → most", "promised"),
    )
    return Table("Import", note, columns, rows)


def _file(count: int, become: str) -> bytes:
    """A file of people whom nobody knows yet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("e-mail", "first name", "last name", "username", "role"))
    lasts = [beginning + ending for beginning, ending in product(BEGINNINGS, ENDINGS)]
    for number in range(count):
        first, last = FIRST_NAMES[number % len(FIRST_NAMES)], lasts[number % len(lasts)]
        name = f"{become}.{number}"
        writer.writerow((f"{name}@{HOUSES[number % len(HOUSES)]}.example", first, last, name, "user"))
    return out.getvalue().encode()


def _upload(visitor: Visitor, file: bytes, become: str) -> None:
    edge = uuid4().hex
    parts = {"csrf_token": _token(visitor, "/users/import"), "become": become}
    fields = "".join(f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts.items())
    head = f'{fields}--{edge}\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\nContent-Type: text/csv\r\n\r\n'
    body = head.encode() + file + f"\r\n--{edge}--\r\n".encode()
    with _asked(visitor, "POST", "/users/import", body, {"Content-Type": f"multipart/form-data; boundary={edge}"}) as response:
        if response.status != 303:
            raise RuntimeError(f"the file was answered by {response.status}")


def _done(served: running.Served, database: Any) -> tuple[Watched, dict[str, Any]]:
    """The youngest job, once it is over, and its report; the seconds are those that the worker had it for."""
    with watching(lambda: [proc.child_of(served.process.pid, "portal.worker")]) as took:
        until = time.monotonic() + PATIENCE
        while (job := first_row(database, JOB))[0] in ("queued", "running"):
            if time.monotonic() > until:
                raise RuntimeError("a job takes too long")
            time.sleep(0.1)
    state, error, report, seconds = job
    if state != "done":
        raise RuntimeError(f"a job failed: {error}")
    took.seconds = float(seconds)
    return took, dict(report)


def _token(visitor: Visitor, path: str) -> str:
    token = visitor.get(path).select_one("#content [name=csrf_token]")
    if token is None:
        raise RuntimeError(f"{path} has no form")
    return str(token["value"])
