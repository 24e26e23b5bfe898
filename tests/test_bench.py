"""The measuring itself: what it reads from the kernel, what it serves beside the portal, what it writes down. No figure is asserted."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from bench import filling, proc, running
from bench.__main__ import PARTS
from bench.load import Load, Visitor, always, load
from bench.report import DOCUMENT, Table, put, told, verdict, written
from portal.config import ROOT
from portal.system import StartRefused
from portal.testing import Browser, Cluster

Smallest = tuple[running.Served, Visitor]


def finished(loading: Coroutine[Any, Any, Load]) -> Load:
    """In a thread of its own: a browser of earlier tests keeps a running event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, loading).result()


@pytest.fixture(scope="module")
def smallest(cluster: Cluster) -> Iterator[Smallest]:
    with running.smallest_page(cluster.instance, rows=100) as (served, cookie):
        name, _, value = cookie.partition("=")
        yield served, Visitor(served.port, {name: value})
    cluster.drop_database("smallest")


def test_processor_time_is_that_of_the_process() -> None:
    before, began = proc.processor_seconds([os.getpid()]), time.process_time()
    while time.process_time() - began < 0.2:
        pass
    assert proc.processor_seconds([os.getpid()]) - before == pytest.approx(time.process_time() - began, abs=0.05)


def test_a_process_that_is_gone_has_no_figure() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(OSError, match=str(gone.pid)):
        proc.processor_seconds([gone.pid])


def test_memory_is_counted_by_the_share_in_it() -> None:
    before, mine = proc.proportional_bytes(os.getpid()), bytearray(b"x") * (64 * 2**20)
    assert 60 * 2**20 < proc.proportional_bytes(os.getpid()) - before < 80 * 2**20
    assert len(mine) < proc.memory_bytes()


def test_the_workers_are_those_of_the_web_server(smallest: Smallest) -> None:
    served, _visitor = smallest
    assert len(served.workers()) == 2
    assert served.process.pid in proc.children(os.getpid())
    with pytest.raises(RuntimeError, match="with 0 workers"):
        proc.web_workers(served.workers()[0])


def test_the_smallest_page_shows_25_rows_to_who_is_signed_in(smallest: Smallest) -> None:
    served, visitor = smallest
    rows = [[cell.text for cell in row.select("td")] for row in visitor.get("/?after=50").select("tbody tr")]
    assert [row[0] for row in rows] == [str(number) for number in range(51, 76)]
    assert {len(row) for row in rows} == {6}
    for cookies in ({}, {"session": visitor.cookies["session"][:-1]}):
        with pytest.raises(RuntimeError, match="401"):
            Visitor(served.port, cookies).get("/")


def test_the_client_counts_answers_and_takes_no_refusal_for_one(smallest: Smallest) -> None:
    served, visitor = smallest
    answers = finished(load(served.port, always(visitor.request("/")), at_once=3, seconds=60, most=20))
    assert len(answers.waited) == 20
    assert answers.size > 1000
    with pytest.raises(RuntimeError, match="401 instead of 200"):
        finished(load(served.port, always(Visitor(served.port).request("/")), at_once=1, seconds=60, most=1))


def test_what_is_filled_in_is_a_portal_that_people_can_use(
    app: Flask, cluster: Cluster, database: str, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "PEOPLE", 40)
    monkeypatch.setattr(filling, "ENTRIES", 60)
    monkeypatch.setattr(filling, "NEIGHBOURS", 2)
    logins = filling.fill(cluster.superuser_url(database))
    assert len(logins) == len(set(logins)) == 40
    told = app.test_cli_runner().invoke(args=["verify-audit"]).output
    assert "harbour: 60 entries, whole" in told
    assert "neighbour-1: 3 entries, whole" in told
    admin = Browser(app).sign_in(SimpleNamespace(subdomain="harbour", email=logins[0], password=filling.PASSWORD))
    assert "from 40 accounts" in admin.get("/").text
    assert admin.get("/settings").form()["full_name"] == "harbour House Limited"


def test_a_database_of_somebody_is_never_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "PLATFORM_DATABASE_URL", "WORKER_DATABASE_URL"):
        monkeypatch.setenv(name, "postgresql://portal_app@localhost/real")
    monkeypatch.setenv("SECRET_KEY", "a key that only these tests use, 32+")
    with pytest.raises(StartRefused, match="DATABASE_URL"), running.instance():
        pass


def test_a_median_stands_between_the_least_and_the_most() -> None:
    assert told([3.0, 1.0, 2.5], 1) == "2.5 (1.0–3.0)"
    assert [verdict([1.0, 2.0, 9.0], 2.0), verdict([2.1], 2.0)] == ["≤ 2, kept", "≤ 2, missed"]
    assert [verdict([0.7], 0.7, least=True), verdict([0.69], 0.7, least=True)] == ["≥ 0.7, kept", "≥ 0.7, missed"]


def test_a_run_replaces_its_own_part_of_the_document_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("Above\n<!-- one: begin -->\nold\n<!-- one: end -->\nBetween\n<!-- two: begin -->\n<!-- two: end -->\nBelow\n")
    put(document, "one", "new")
    put(document, "two", "newer")
    assert document.read_text() == (
        "Above\n<!-- one: begin -->\nnew\n<!-- one: end -->\nBetween\n<!-- two: begin -->\nnewer\n<!-- two: end -->\nBelow\n"
    )
    with pytest.raises(ValueError, match="no place for three"):
        put(document, "three", "new")


def test_what_is_written_names_machine_day_and_command() -> None:
    text = written("foundation", 7, [Table("Pages", "How.", ("page", "µs"), [("overview", "1")])], 0.25)
    assert "`make bench PART=foundation`" in text
    assert f"{os.cpu_count()} × " in text
    assert "| page | µs |\n| --- | --- |\n| overview | 1 |" in text
    assert "--repeats 3" in written("foundation", 3, [], 0.25)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_its_place_in_the_document_and_in_the_list(part: str) -> None:
    assert f"<!-- {part}: begin -->" in DOCUMENT.read_text()
    listed = subprocess.run([sys.executable, "-m", "bench"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"  {part} " in listed
    assert f"PART={part}" in (ROOT / "Makefile").read_text()
