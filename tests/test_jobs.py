"""Jobs: asked for in a request, done by a worker as whoever asked, all or nothing, whatever becomes of the worker meanwhile."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from portal.config import Settings
from portal.database import connect, tenancy
from portal.errors import Forbidden, Invalid
from portal.extensions import transaction
from portal.jobs import services as jobs
from portal.system import ROOT
from portal.testing import Browser, do_jobs
from portal.worker import jobs as duty
from portal.worker.cleanup import clean_up
from tests import kinds
from tests.attack.furniture import put, rows_of
from tests.steps import actor, doing, lease_is_over, until, workers


def ask(app: Flask, person: Any, kind: str, **arguments: Any) -> UUID:
    with app.app_context():
        with tenancy.bound(person.tenant_id):
            by = actor(person)
        with tenancy.bound(person.tenant_id, user=person.id, role=person.role), transaction():
            return jobs.ask(kind, by=by, arguments=arguments).id


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    kinds.gate.clear()
    kinds.reached.clear()
    yield kinds.gate
    kinds.gate.set()


def row(owner: Any, job_id: UUID) -> SimpleNamespace:
    owner.execute("SELECT to_jsonb(jobs) FROM jobs WHERE id = %s", [str(job_id)])
    return SimpleNamespace(**owner.fetchone()[0])


def made(owner: Any) -> int:
    owner.execute("SELECT count(*) FROM users WHERE username LIKE 'made%' OR username = 'thief'")
    return int(owner.fetchone()[0])


# Asking and doing


def test_a_job_is_done_and_its_page_tells_how_far_it_is_and_what_came_of_it(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    job_id = ask(app, cast.acme.admin, "tests.add", number=1200)
    page = admin.get("jobs.show", job_id=job_id)
    assert page.heading == "Adding users"
    assert "waits" in page.select_one("#job .mark").text
    assert page.select_one("#job")["hx-get"] == f"/jobs/{job_id}/progress"
    assert made(owner) == 0
    doing(app, settings).act(worker)
    assert made(owner) == 1200
    page = admin.get("jobs.progress", job_id=job_id, htmx=True)
    assert page.soup.html is None
    assert page.select_one("#job .mark").text == "done"
    assert "hx-get" not in page.select_one("#job").attrs, "it asks no further"
    assert page.select_one("#job")["data-announce"] == "Adding users: done."
    told = {term.text: term.find_next("dd").get_text(" ", strip=True) for term in page.select("#report dt")}
    assert told == {"Users added": "1,200", "In the attempt": "1", "Names": "made1 made1200"}
    assert "1,200 of 1,200" in page.text
    owner.execute("SELECT finished_at > (SELECT created_at FROM users WHERE username = 'made1') FROM jobs WHERE id = %s", [str(job_id)])
    assert owner.fetchone() == (True,), "it ended when it was done, not when its transaction began"
    owner.execute("SELECT actor_name, network FROM audit_entries WHERE action = 'tried'")
    assert owner.fetchall() == [("CANARY-acme Admin", "203.0.113.9")]


def test_a_job_begins_only_when_what_asked_for_it_is_done(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    person = cast.acme.admin

    def ask_and_fail() -> None:
        jobs.ask("tests.add", by=actor(person), arguments={"number": 1})
        _ = 1 // 0

    bound = tenancy.bound(person.tenant_id, user=person.id, role=person.role)
    with app.app_context(), bound, pytest.raises(ZeroDivisionError), transaction():
        ask_and_fail()
    owner.execute("SELECT count(*) FROM jobs")
    assert owner.fetchone() == (0,)


def test_what_one_may_not_do_one_may_not_ask_for(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    with pytest.raises(Forbidden, match="administrators"):
        ask(app, cast.acme.user, "tests.add", number=1)
    with pytest.raises(ValueError, match="small"):
        ask(app, cast.acme.admin, "tests.add", number=1, more="x" * 70_000)
    owner.execute("SELECT count(*) FROM jobs")
    assert owner.fetchone() == (0,)


@pytest.mark.parametrize("who", ["acme.user", "globex.admin", "platform.super"])
def test_the_work_sees_what_its_asker_sees(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, who: str
) -> None:
    tenant, _, name = who.partition(".")
    person = getattr(vars(cast)[tenant], name)
    job_id = ask(app, person, "tests.look")
    doing(app, settings).act(worker)
    assert row(owner, job_id).report == {
        "acts_as": "portal_app",
        "tenants": [tenant],
        "tenant_id": str(person.tenant_id),
        "user_id": str(person.id),
        "role": person.role,
        "by": f"CANARY-{tenant} {name.title()}",
        "network": "203.0.113.9",
    }


def test_the_work_reaches_nothing_of_another_organization(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    put(owner, "jobs", rows_of(cast.globex)["jobs"] | {"take_after": "2100-01-01"})
    job_id = ask(app, cast.acme.admin, "tests.trespass", other=str(cast.globex.id))
    doing(app, settings).act(worker)
    assert (row(owner, job_id).state, row(owner, job_id).error) == ("failed", jobs.FAULT)
    assert made(owner) == 0
    owner.execute("SELECT done FROM jobs WHERE tenant_id = %s", [str(cast.globex.id)])
    assert owner.fetchone() == (0,)


# Failing


FAILING = {"tests.refuse": "Line 7 has no e-mail address.", "tests.fault": jobs.FAULT, "tests.unwritable": jobs.FAULT}


@pytest.mark.parametrize("kind", FAILING)
def test_what_fails_changes_nothing_and_says_why(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, kind: str
) -> None:
    job_id = ask(app, cast.acme.user, kind)
    following = ask(app, cast.acme.user, "tests.look")
    doing(app, settings).act(worker)
    page = Browser(app).sign_in(cast.acme.user).get("jobs.show", job_id=job_id)
    assert page.select_one("#job .refused").text == FAILING[kind]
    assert "ZeroDivision" not in page.text
    assert "Nothing was changed." in page.text
    assert page.select_one("#job .mark").text == "failed"
    assert made(owner) == 0
    assert row(owner, following).state == "done", "the next one is done all the same"


@pytest.mark.parametrize(
    ("change", "words"),
    {
        "UPDATE users SET role = 'user' WHERE username = 'admin'": "Only administrators of the organization see this.",
        "UPDATE users SET is_active = false WHERE username = 'admin'": jobs.GONE,
        "UPDATE tenants SET is_active = false WHERE subdomain = 'acme'": jobs.GONE,
    }.items(),
)
def test_who_may_no_longer_do_it_has_it_done_by_no_job(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, change: str, words: str
) -> None:
    job_id = ask(app, cast.acme.admin, "tests.add", number=3)
    owner.execute(change)
    doing(app, settings).act(worker)
    assert (row(owner, job_id).state, row(owner, job_id).error, made(owner)) == ("failed", words, 0)


def test_a_database_that_goes_away_under_the_work_gets_it_again(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, cluster: Any, database: str, gate: threading.Event
) -> None:
    job_id = ask(app, cast.acme.admin, "tests.wait")
    thread = threading.Thread(target=doing(app, settings).act, args=[worker])
    thread.start()
    assert kinds.reached.wait(10)
    with closing(connect(cluster.superuser_url(database))) as eyes, eyes.cursor() as seen:
        under_way = "usename = 'portal_app' AND state = 'idle in transaction' AND datname = current_database()"
        seen.execute(f"SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE {under_way}")
        assert seen.fetchone() == (1,)
    gate.set()
    thread.join(10)
    again = row(owner, job_id)
    assert (again.state, again.attempts, made(owner)) == ("queued", 1, 0)
    assert again.take_after > again.beat_at
    page = Browser(app).sign_in(cast.acme.admin).get("jobs.show", job_id=job_id)
    assert f"It was begun before and did not come to its end: {jobs.AWAY}" in page.text
    lease_is_over(owner)
    doing(app, settings).act(worker)
    assert (row(owner, job_id).state, row(owner, job_id).attempts, made(owner)) == ("done", 2, 1)


def test_what_ends_the_worker_again_and_again_is_given_up(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    job_id = ask(app, cast.acme.admin, "tests.add", number=1)
    owner.execute("UPDATE jobs SET state = 'running', attempts = %s, take_after = now()", [duty.ATTEMPTS])
    doing(app, settings).act(worker)
    assert (row(owner, job_id).state, row(owner, job_id).error, made(owner)) == ("failed", duty.WORN_OUT, 0)


# What is owed


@pytest.mark.parametrize("gone", ["UPDATE users SET is_active = false", "UPDATE tenants SET is_active = false WHERE subdomain = 'acme'"])
def test_what_is_owed_is_done_whatever_became_of_whoever_asked(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, gone: str
) -> None:
    job_id = ask(app, cast.acme.user, "tests.owe")
    owner.execute(gone)
    doing(app, settings).act(worker)
    assert (row(owner, job_id).state, made(owner)) == ("done", 1)


def test_what_is_owed_is_asked_for_beside_a_full_queue_and_fills_none(
    app: Flask, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_WAITING", 2)
    for _ in range(3):
        ask(app, cast.acme.user, "tests.owe")
    for _ in range(2):
        ask(app, cast.acme.user, "tests.look")
    with pytest.raises(Invalid, match="2 jobs of your organization wait already"):
        ask(app, cast.acme.user, "tests.look")
    ask(app, cast.acme.user, "tests.owe")
    owner.execute("SELECT count(*) FROM jobs WHERE kind = 'tests.owe'")
    assert owner.fetchone() == (4,)


def test_what_is_owed_is_shown_to_nobody(app: Flask, cast: SimpleNamespace) -> None:
    asked, owed = ask(app, cast.acme.admin, "tests.look"), ask(app, cast.acme.admin, "tests.owe")
    admin = Browser(app).sign_in(cast.acme.admin)
    assert [link["href"] for link in admin.get("jobs.index").select("tbody a")] == [f"/jobs/{asked}"]
    for door in ("jobs.show", "jobs.progress"):
        admin.get(door, job_id=owed, expect=404)


@pytest.mark.parametrize("trouble", ["away", "fault"])
def test_what_is_owed_is_given_up_never_and_tried_again_before_long(
    trouble: str, app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    job_id = ask(app, cast.acme.admin, "tests.owe", **{trouble: True})
    owner.execute("UPDATE jobs SET state = 'running', attempts = 70, take_after = now()")
    doing(app, settings).act(worker)
    assert (row(owner, job_id).state, row(owner, job_id).attempts, made(owner)) == ("queued", 71, 0)
    owner.execute("SELECT take_after <= now() + make_interval(secs => %s) FROM jobs", [duty.LONGEST_PAUSE])
    assert owner.fetchone() == (True,)
    owner.execute("UPDATE jobs SET arguments = '{}'")
    lease_is_over(owner)
    doing(app, settings).act(worker)
    assert (row(owner, job_id).state, made(owner)) == ("done", 1)


# How far it is


def test_progress_is_seen_while_nothing_of_the_work_is(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, gate: threading.Event
) -> None:
    job_id, user = ask(app, cast.acme.user, "tests.wait"), Browser(app).sign_in(cast.acme.user)
    thread = threading.Thread(target=doing(app, settings).act, args=[worker])
    thread.start()
    assert until(lambda: row(owner, job_id).done == 3)
    assert made(owner) == 0
    page = user.get("jobs.progress", job_id=job_id, htmx=True)
    assert (page.select_one("progress")["value"], page.select_one("progress")["max"]) == ("3", "10")
    assert "3 of 10" in page.text
    before = row(owner, job_id).take_after
    assert until(lambda: row(owner, job_id).take_after > before), "it says again and again that it lives"
    gate.set()
    thread.join(10)
    assert (row(owner, job_id).state, made(owner)) == ("done", 1)


def shown(app: Flask, owner: Any, cast: SimpleNamespace, **values: Any) -> dict[str, str]:
    job_row = {**rows_of(cast.acme)["jobs"], "error": None, "report": None, **values}
    owner.execute("DELETE FROM jobs")
    put(owner, "jobs", job_row)
    page = Browser(app).sign_in(cast.acme.user).get("jobs.show", job_id=job_row["id"])
    facts = page.select_one("#job .facts")
    return {term.text: term.find_next("dd").get_text(" ", strip=True) for term in facts.select("dt")}


def test_rate_and_remaining_time_are_measured_or_said_to_be_not(app: Flask, owner: Any, cast: SimpleNamespace) -> None:
    begun = {"started_at": "2026-01-05T10:00:00Z", "beat_at": "2026-01-05T10:00:50Z"}
    half = shown(app, owner, cast, **begun, done=50_000, total=100_000)
    assert (half["Rate"], half["Remaining"]) == ("1,000 per second", "less than a minute")
    resumed = shown(app, owner, cast, **begun, done=50_100, done_before=50_000, total=100_000)
    assert (resumed["Rate"], resumed["Remaining"]) == ("120 per minute", "about 7 hours")
    no_total = shown(app, owner, cast, **begun, done=50_000)
    assert (no_total["Done"].split(" as")[0], no_total["Remaining"]) == ("50,000", "not measured")
    for unknown in ({"done": 0, "total": 10}, {**begun, "done": 0, "total": 10}, {**begun, "beat_at": begun["started_at"], "done": 5}):
        assert {shown(app, owner, cast, **unknown)[name] for name in ("Rate", "Remaining")} == {"not measured"}


def test_one_finds_the_way_back_to_a_job(app: Flask, cast: SimpleNamespace) -> None:
    of_user, of_admin = ask(app, cast.acme.user, "tests.look"), ask(app, cast.acme.admin, "tests.add", number=1)
    ask(app, cast.globex.admin, "tests.look")

    def listed(person: Any) -> dict[str, str]:
        page = Browser(app).sign_in(person).get("jobs.index")
        return {row.select_one("a")["href"]: row.select_one(".mark").get_text(strip=True) for row in page.select("tbody tr")}

    assert list(listed(cast.acme.admin).items()) == [(f"/jobs/{of_admin}", "waits"), (f"/jobs/{of_user}", "waits")]
    assert listed(cast.acme.user) == {f"/jobs/{of_user}": "waits"}
    assert listed(cast.acme.user2) == {}
    do_jobs(app)
    assert set(listed(cast.acme.admin).values()) == {"done"}


def test_a_job_stands_behind_the_door_of_the_users_and_ends_with_a_result(app: Flask, cast: SimpleNamespace) -> None:
    job_id, admin = ask(app, cast.acme.admin, "tests.look"), Browser(app).sign_in(cast.acme.admin)
    for path in ("/jobs", f"/jobs/{job_id}", "/users"):
        page = admin.get(path)
        assert [door.get_text() for door in page.select("nav.sidenav [aria-current]")] == ["Users"]
        assert page.select_one("details.fold > summary").get_text() == "Users"
    page = Browser(app).sign_in(cast.acme.user).get("/jobs")
    assert not page.soup.select("nav.sidenav [aria-current]")
    assert admin.get(f"/jobs/{job_id}").select_one("#job-title").get_text() == "Progress"
    do_jobs(app)
    assert admin.get(f"/jobs/{job_id}").select_one("#job-title").get_text() == "Result"


# The doors


def test_a_job_is_seen_by_whoever_asked_and_by_administrators_and_by_no_neighbour(app: Flask, cast: SimpleNamespace) -> None:
    job_id = ask(app, cast.acme.user, "tests.look")
    for door in ("jobs.show", "jobs.progress"):
        for person, status in {
            cast.acme.user: 200,
            cast.acme.admin: 200,
            cast.acme.user2: 403,
            cast.globex.admin: 404,
            cast.platform.super: 404,
        }.items():
            page = Browser(app).sign_in(person).get(door, job_id=job_id, expect=status)
            assert ("Looking around" in page.text) is (status == 200)
    Browser(app).sign_in(cast.acme.admin).get("jobs.show", job_id=uuid4(), expect=404)


def test_a_job_of_a_kind_that_is_not_known_here_waits_and_is_shown_by_its_name(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any
) -> None:
    put(owner, "jobs", rows_of(cast.acme)["jobs"] | {"state": "queued", "kind": "from.the.future"})
    doing(app, settings).act(worker)
    owner.execute("SELECT state, attempts FROM jobs")
    assert owner.fetchone() == ("queued", 0)
    page = Browser(app).sign_in(cast.acme.admin).get("jobs.show", job_id=rows_of(cast.acme)["jobs"]["id"])
    assert page.heading == "from.the.future"


def test_asking_how_far_it_is_is_no_activity(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    job_id, user = ask(app, cast.acme.user, "tests.look"), Browser(app).sign_in(cast.acme.user)

    def seen() -> Any:
        owner.execute("SELECT seen_at FROM sessions")
        return owner.fetchone()[0]

    owner.execute("UPDATE sessions SET seen_at = now() - interval '5 minutes'")
    before = seen()
    for htmx in (True, False):
        user.get("jobs.progress", job_id=job_id, htmx=htmx)
        assert seen() == before
    user.get("jobs.show", job_id=job_id)
    assert seen() > before, "looking at the page is"
    owner.execute("UPDATE sessions SET seen_at = now() - interval '61 minutes'")
    assert user.get("jobs.progress", job_id=job_id, htmx=True, expect=401).location.startswith("/sign-in")


# One worker and another


def test_another_who_has_taken_it_up_meanwhile_is_not_interfered_with(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, gate: threading.Event
) -> None:
    job_id = ask(app, cast.acme.admin, "tests.wait")
    thread = threading.Thread(target=doing(app, settings).act, args=[worker])
    thread.start()
    assert kinds.reached.wait(10)
    owner.execute("UPDATE jobs SET attempts = attempts + 1, done = 7")
    gate.set()
    thread.join(10)
    assert (row(owner, job_id).state, row(owner, job_id).done, made(owner)) == ("running", 7, 0)


def test_a_worker_that_has_lost_the_job_stops_working_on_it(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, gate: threading.Event
) -> None:
    ask(app, cast.acme.admin, "tests.wait")
    thread = threading.Thread(target=doing(app, settings).act, args=[worker])
    thread.start()
    assert kinds.reached.wait(10)
    owner.execute("UPDATE jobs SET attempts = attempts + 1")
    thread.join(10)
    assert not thread.is_alive(), "without the gate being opened"
    assert made(owner) == 0


def test_within_an_organization_one_after_the_other_and_nobody_waits_for_another_organization(
    app: Flask, settings: Settings, cast: SimpleNamespace, owner: Any, worker: Any, cluster: Any, database: str, gate: threading.Event
) -> None:
    first, second = ask(app, cast.acme.admin, "tests.wait"), ask(app, cast.acme.admin, "tests.look")
    thread = threading.Thread(target=doing(app, settings).act, args=[worker])
    thread.start()
    assert kinds.reached.wait(10)
    theirs = ask(app, cast.globex.admin, "tests.look")
    with closing(connect(cluster.urls(database)["worker"])) as other:
        other.autocommit = True
        doing(app, settings).act(other)
    assert [row(owner, job_id).state for job_id in (first, second, theirs)] == ["running", "queued", "done"]
    gate.set()
    thread.join(10)
    assert [row(owner, job_id).state for job_id in (first, second)] == ["done", "done"]


def test_jobs_and_their_reports_are_deleted_when_they_have_expired(app: Flask, cast: SimpleNamespace, owner: Any, worker: Any) -> None:
    old, recent = ask(app, cast.acme.admin, "tests.look"), ask(app, cast.acme.admin, "tests.look")
    owner.execute("UPDATE jobs SET expires_at = now() - interval '1 minute' WHERE id = %s", [str(old)])
    assert clean_up(worker) == 1
    owner.execute("SELECT id::text FROM jobs")
    assert owner.fetchall() == [(str(recent),)]


# Real workers


def with_kinds(number: int, cluster: Any, database: str, tmp_path: Any) -> Any:
    return workers(number, cluster, database, "tests.kinds", INSTANCE_PATH=str(tmp_path))


@pytest.mark.parametrize("kind", ["tests.add", "tests.add_in_steps"])
def test_a_job_whose_worker_was_killed_is_done_once_by_another(
    app: Flask, cast: SimpleNamespace, owner: Any, cluster: Any, database: str, tmp_path: Any, kind: str
) -> None:
    job_id = ask(app, cast.acme.admin, kind, number=40, pause=0.05)
    with with_kinds(1, cluster, database, tmp_path) as (killed,):
        assert until(lambda: row(owner, job_id).done >= 5)
        killed.kill()
        killed.wait()
    assert row(owner, job_id).state == "running"
    in_steps = kind == "tests.add_in_steps"
    assert until(lambda: made(owner) >= 5) if in_steps else made(owner) == 0
    lease_is_over(owner)
    with with_kinds(1, cluster, database, tmp_path):
        assert until(lambda: row(owner, job_id).state == "done")
    after = row(owner, job_id)
    assert (made(owner), after.done, after.total, after.attempts) == (40, 40, 40, 2)
    if in_steps:
        assert after.report["begun_at"] >= 5
        assert after.done_before >= 5
    else:
        assert after.done_before == 0


@pytest.mark.parametrize("kind", ["tests.add", "tests.sleep"])
def test_a_worker_that_is_to_end_gives_its_job_back_at_once(
    app: Flask, cast: SimpleNamespace, owner: Any, cluster: Any, database: str, tmp_path: Any, kind: str
) -> None:
    job_id = ask(app, cast.acme.admin, kind, number=1000, pause=0.05)
    with with_kinds(1, cluster, database, tmp_path) as (process,):
        assert until(lambda: row(owner, job_id).state == "running")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    given_back = row(owner, job_id)
    assert (given_back.state, given_back.attempts, given_back.error, made(owner)) == ("queued", 1, None, 0)
    owner.execute("SELECT take_after <= now() FROM jobs")
    assert owner.fetchone() == (True,)


def test_the_application_is_loaded_when_the_first_job_comes_and_not_before() -> None:
    program = """
import sys
from portal.config import load_settings
from portal.worker.__main__ import loops
from portal.worker.stopping import Stop
loops(load_settings(env_file=None, mail_url="smtp://localhost", mail_from="portal@example.org"), Stop())
print(sorted({"flask", "sqlalchemy", "babel", "phonenumbers"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
