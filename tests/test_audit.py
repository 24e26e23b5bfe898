"""The audit log: an unbroken chain per organization, and what shows when somebody breaks it."""

import csv
import io
import re
import threading
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.audit import services as audit
from portal.audit.sentences import sentence
from portal.database import tenancy
from portal.extensions import transaction
from portal.testing.browser import Browser
from portal.values import harmless
from tests.statements import counted


def write(app: Flask, tenant: UUID, number: int, fail: bool = False) -> None:
    with app.app_context():
        tenancy.bind(tenant)
        try:
            with transaction():
                audit.record("tried", tenant_id=tenant, changes={"number": [None, number], "nested": {"of": [tenant]}})
                if fail:
                    raise RuntimeError
        except RuntimeError:
            pass


def said(app: Flask, command: str) -> Any:
    return app.test_cli_runner().invoke(args=[command])


def test_a_chain_that_nobody_touched_is_whole(app: Flask, cast: SimpleNamespace) -> None:
    for number in range(5):
        write(app, cast.acme.id, number)
    write(app, cast.globex.id, 1)
    answer = said(app, "verify-audit")
    assert answer.exit_code == 0, answer.output
    assert "acme: 5 entries, whole" in answer.output
    assert "globex: 1 entries, whole" in answer.output


BREACHES = {
    "an entry changed": ("UPDATE audit_entries SET changes = '{}' WHERE seq = 3 AND tenant_id = %s", 3),
    "somebody else put into it": ("UPDATE audit_entries SET actor_name = 'Nobody' WHERE seq = 2 AND tenant_id = %s", 2),
    "an entry taken out": ("DELETE FROM audit_entries WHERE seq = 3 AND tenant_id = %s", 4),
    "the first taken out": ("DELETE FROM audit_entries WHERE seq = 1 AND tenant_id = %s", 2),
    "its time moved": ("UPDATE audit_entries SET at = at - interval '1 microsecond' WHERE seq = 5 AND tenant_id = %s", 5),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found_at_its_entry(app: Flask, cast: SimpleNamespace, owner: Any, breach: str) -> None:
    for number in range(5):
        write(app, cast.acme.id, number)
    statement, entry = BREACHES[breach]
    owner.execute(statement, (str(cast.acme.id),))
    answer = said(app, "verify-audit")
    assert answer.exit_code == 1
    assert f"acme: entry {entry} is broken" in answer.output


def test_entries_cut_off_at_the_end_show_against_a_kept_head(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    for number in range(3):
        write(app, cast.acme.id, number)
    kept = said(app, "audit-head").output
    assert kept.startswith("acme 3 ")
    owner.execute("DELETE FROM audit_entries WHERE seq = 3")
    assert said(app, "verify-audit").exit_code == 0
    assert said(app, "audit-head").output != kept


def test_a_chain_longer_than_a_batch_is_read_whole(app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 3)
    for number in range(10):
        write(app, cast.acme.id, number)
    assert "acme: 10 entries, whole" in said(app, "verify-audit").output


def test_writers_at_once_who_sometimes_fail_leave_no_gap(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    def work(writer: int) -> None:
        for number in range(20):
            write(app, cast.acme.id, writer * 100 + number, fail=number % 5 == 0)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owner.execute("SELECT count(*), max(seq) FROM audit_entries")
    assert owner.fetchone() == (64, 64)
    assert "acme: 64 entries, whole" in said(app, "verify-audit").output


def said_in(page: Any) -> list[str]:
    return [entry.get_text(" ", strip=True) for entry in page.select("#entries li")]


def test_the_log_stands_newest_first_and_shows_old_and_new(admin: Browser, owner: Any) -> None:
    admin.post("organizations.settings", {**admin.get("organizations.settings").form("main form"), "full_name": "Acme House Limited"})
    entries = said_in(admin.get("audit.index"))
    assert "changed the organization's settings" in entries[0]
    assert "full name" in entries[0]
    assert "nothing → became Acme House Limited" in entries[0]
    assert "signed in" in entries[1]


def test_the_log_is_narrowed_by_who_what_and_when(admin: Browser, app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    Browser(app).sign_in(cast.acme.user)
    admin.post("account.end_other_sessions")
    write(app, cast.acme.id, 1)
    owner.execute("UPDATE audit_entries SET at = '2026-01-05T23:59:59.5Z' WHERE action = 'tried'")
    assert len(said_in(admin.get("audit.index"))) == 3
    assert ["User" in entry for entry in said_in(admin.get("audit.index", who="acme user"))] == [True]
    assert len(said_in(admin.get("audit.index", action="signed_in"))) == 2
    assert len(said_in(admin.get("audit.index", about="user"))) == 2
    assert len(said_in(admin.get("audit.index", about="organization"))) == 0
    assert len(said_in(admin.get("audit.index", since="2026-01-05", until="2026-01-05"))) == 1
    assert len(said_in(admin.get("audit.index", until="2026-01-04"))) == 0
    assert "Nothing in the log fits" in admin.get("audit.index", who="100%_").text
    fragment = admin.get("audit.index", action="signed_in", htmx=True)
    assert fragment.soup.html is None
    assert len(said_in(fragment)) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"before": "x"},
        {"before": "-1"},
        {"before": "9" * 30},
        {"action": "<b>"},
        {"who": "a\x00"},
        {"who": "x" * 101},
    ],
    ids=str,
)
def test_a_search_that_cannot_be_is_refused_in_words(admin: Browser, query: dict[str, str]) -> None:
    admin.get("audit.index", expect=422, **query)
    admin.get("audit.export", expect=422, **query)


def test_pages_lead_from_the_newest_to_the_oldest_without_a_gap(
    admin: Browser, app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 3)
    for number in range(7):
        write(app, cast.acme.id, number)
    seen, page = [], admin.get("audit.index")
    while True:
        seen += [int(entry.rsplit("entry ", 1)[1].split(",")[0]) for entry in said_in(page)]
        older = [link for link in page.select("#entries nav a") if link.get_text(strip=True) == "Older"]
        if not older:
            break
        page = admin.get(older[0]["href"])
    assert seen == list(range(8, 0, -1))


def test_nothing_of_a_neighbours_log_is_shown_searched_or_exported(admin: Browser, app: Flask, cast: SimpleNamespace) -> None:
    Browser(app).sign_in(cast.globex.admin)
    for path in ("/audit", "/audit?who=globex", "/audit/export.csv"):
        assert "CANARY-globex" not in admin.client.get(path).get_data(as_text=True)


def test_an_entry_about_somebody_else_says_whom_as_the_account_is_called_now(
    admin: Browser, app: Flask, cast: SimpleNamespace, owner: Any
) -> None:
    own, theirs = cast.acme.user, cast.globex.user
    with app.app_context():
        tenancy.bind(cast.acme.id)
        with transaction():
            for account in (own, theirs):
                audit.record("role_changed", tenant_id=cast.acme.id, object_type="user", object_id=account.id, actor_name="Somebody")

    def told() -> tuple[list[str], str, str]:
        exported = csv.DictReader(io.StringIO(admin.client.get("/audit/export.csv?action=role_changed").get_data(as_text=True)))
        return (
            [row["whom"] for row in exported],
            said_in(admin.get("audit.index", action="role_changed"))[1].split("about ")[-1],
            admin.get("/").select_one("main").get_text(" "),
        )

    owner.execute("SELECT concat_ws(' ', first_name, last_name) FROM users WHERE id = %s", (str(own.id),))
    called = owner.fetchone()[0]
    whom, entry, overview = told()
    assert whom == ["", called]  # a neighbour's account has no name here
    assert entry == called
    assert f"about {called}" in " ".join(overview.split())
    page = admin.get("audit.index")
    assert [link["href"] for link in page.select("#entries .sub a")] == [f"/users/{own.id}"]
    assert "about" not in said_in(page)[0]  # she signed in herself
    erased = ("first_name", "last_name", "username", "username_key", "email", "email_key", "hashed_password", "search_text")
    owner.execute(
        f"UPDATE users SET is_active = false, is_verified = false, sort_key = '', removed_at = now(), {', '.join(f'{name} = NULL' for name in erased)}"
        " WHERE id = %s",
        (str(own.id),),
    )
    assert told()[:2] == (["", "a removed user"], "a removed user")


def test_a_plain_user_does_not_see_the_log(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.user)
    browser.get("audit.index", expect=403)
    browser.get("audit.export", expect=403)
    browser.post("audit.verify", {"after": "0"}, expect=403)


def test_the_export_is_the_search_as_csv_in_batches_with_formulas_neutralised(
    admin: Browser, app: Flask, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    for number in range(5):
        write(app, cast.acme.id, number)
    owner.execute("UPDATE users SET first_name = '=HYPERLINK(1)' WHERE id = %s", (str(cast.acme.user.id),))
    Browser(app).sign_in(cast.acme.user)
    response = admin.client.get("/audit/export.csv")
    assert response.mimetype == "text/csv"
    assert "as-of-" in response.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    assert [int(row["number"]) for row in rows if row["field"] in ("", "number")] == [7, 6, 5, 4, 3, 2, 1]
    assert rows[0]["who"].startswith("'=HYPERLINK(1)")
    narrowed = admin.client.get("/audit/export.csv?action=signed_in").get_data(as_text=True)
    assert len(list(csv.DictReader(io.StringIO(narrowed)))) == 2


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\x00=1", "\x1f=1"])
def test_no_cell_begins_like_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("plain") == "plain"
    assert harmless("") == ""


@pytest.mark.parametrize("separator", [";", "\t", "\n", "\r\n", "; ", ';"', ';""'])
def test_no_cell_begins_like_a_formula_where_cells_are_parted_otherwise(separator: str) -> None:
    for sign in "=+-@":
        for text in (f"Mara{separator}", f"\x01{separator}", f"=1{separator}", f"{separator}Mara;"):
            kept = harmless(f"{text}{sign}1{separator}{sign}2")
            for cell in re.split(r"[;\t\r\n]", kept):
                assert cell.strip(' "')[:1] not in ("=", "+", "-", "@"), kept
    assert harmless("open; and-shut\n a=b") == "open; and-shut\n a=b"


def test_the_chain_is_looked_through_in_slices_by_a_button(
    admin: Browser, app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 3)
    for number in range(6):
        write(app, cast.acme.id, number)
    page = admin.get("audit.index")
    for whole in ("3 of 7", "6 of 7", "7 entries, all intact"):
        form = page.form("#chain form")
        page = admin.post("audit.verify", form, expect=200, htmx=True)
        assert whole in page.text
    assert page.form("#chain form")["after"] == "0"
    assert admin.post("audit.verify", {"after": "0"}, expect=200).soup.html is not None


def test_the_button_names_the_first_broken_entry(
    admin: Browser, app: Flask, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        write(app, cast.acme.id, number)
    owner.execute("UPDATE audit_entries SET action = 'signed_out' WHERE seq = 5")
    assert "Entry 5 is broken" in admin.post("audit.verify", {"after": "0"}, expect=200).text
    assert "Entry 99 is broken" in admin.post("audit.verify", {"after": "99"}, expect=200).text
    admin.post("audit.verify", {"after": "x"}, expect=422)


def test_the_page_keeps_to_its_number_of_statements(admin: Browser, app: Flask) -> None:
    with counted(app) as seen:
        admin.get("audit.index")
    assert len(seen) <= 4, seen


def test_days_begin_where_the_reader_lives(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    owner.execute("UPDATE audit_entries SET at = '2026-01-31 16:30:00+00'")
    assert admin.get("audit.index", since="2026-02-01").soup.select("#entries .empty")
    admin.post("account.preferences", {"theme": "system", "density": "comfortable", "time_zone": "Asia/Tokyo"})
    assert admin.get("audit.index", since="2026-02-01", until="2026-02-01").select("#entries li")
    assert not admin.get("audit.index", until="2026-01-31").soup.select("#entries li")


def test_the_last_day_of_the_calendar_is_no_fault(app: Flask, cast: SimpleNamespace) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    for days in ({"before": "", "who": " "}, {"until": "9999-12-31"}, {"since": "0001-01-01"}, {"since": "9999-12-31"}):
        assert admin.client.get("/audit", query_string=days).status_code in (200, 422)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"request": [None, "GET /users"], "reason": [None, "Only an administrator may."]},
            "was refused the page /users. Only an administrator may.",
        ),
        ({"request": [None, "POST /users"]}, "was refused an action at /users."),
        *(({"request": odd}, "was refused") for odd in (None, [], "GET", [None, None], 7, {"x": 1})),
        *((odd, "was refused") for odd in ({}, None, {"x": 1})),
    ],
)
def test_a_refusal_is_told_in_whatever_shape_it_was_kept(changes: Any, told: str) -> None:
    assert sentence(SimpleNamespace(action="refused", changes=changes)) == told
