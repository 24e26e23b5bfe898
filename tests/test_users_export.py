"""The export of users: the whole search as CSV, in batches, harmless to spreadsheets."""

import csv
import io
import re
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.access import Ended
from portal.audit import services as audit
from portal.database import tenancy
from portal.testing.browser import Browser
from portal.users import finding
from portal.users.commands import SORTS, FindUsers
from tests.statements import counted
from tests.steps import add_users


def exported(browser: Browser, **query: str) -> list[dict[str, str]]:
    response = browser.client.get("/users/export.csv", query_string=query)
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))


def usernames(rows: list[dict[str, str]]) -> list[str]:
    return [row["username"] for row in rows]


def test_the_export_is_a_file_that_says_as_of_when(admin: Browser) -> None:
    response = admin.client.get("/users/export.csv")
    assert response.mimetype == "text/csv"
    assert re.fullmatch(r'attachment; filename="users-acme-as-of-\d{4}-\d\d-\d\dT\d{4}Z\.csv"', response.headers["Content-Disposition"])


def test_it_tells_of_each_user_what_the_table_tells(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    rows = {row["username"]: row for row in exported(admin)}
    assert set(rows) == set(cast.acme.people)
    assert rows["user"] | {"since": ""} == {
        "id": str(cast.acme.user.id), "first_name": "CANARY-acme", "last_name": "User", "username": "user", "email": "user@acme.example",
        "email_confirmed": "yes", "role": "user", "state": "active", "last_sign_in": "", "since": "",
    }  # fmt: skip
    assert rows["admin"]["last_sign_in"]
    assert rows["gone"]["state"] == "deactivated"


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{name}" for name in SORTS)])
def test_batches_lead_through_everybody_in_the_order_of_the_table(
    app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    asked = FindUsers(sort=sort)
    with app.app_context(), tenancy.bound(cast.acme.id):
        expected = [UUID(row.id) for row in finding.find(cast.acme.id, asked, 100).rows]
        monkeypatch.setattr(finding, "BATCH", 2)
        assert [row.id for rows in finding.batches(cast.acme.id, asked) for row in rows] == expected


def test_filters_narrow_it_as_they_narrow_the_table(admin: Browser) -> None:
    assert set(usernames(exported(admin, state="deactivated", role="org_admin"))) == {"gone_admin"}
    assert set(usernames(exported(admin, signed_in="week"))) == {"admin"}
    assert usernames(exported(admin, verified="no")) == []
    assert usernames(exported(admin, state="removed")) == []


@pytest.mark.parametrize(
    "words", ["adm", "ad", "g", "gone adm", "ACME user", "example", "ex", "2", "@a", "_a", "nobody", "o@b", "%", "min@"]
)
def test_a_search_finds_here_whom_it_finds_in_the_table(admin: Browser, app: Flask, cast: SimpleNamespace, words: str) -> None:
    with app.app_context(), tenancy.bound(cast.acme.id):
        expected = [row.username for row in finding.find(cast.acme.id, FindUsers(q=words), 100).rows]
    assert usernames(exported(admin, q=words)) == expected


def test_a_search_that_fits_more_than_the_table_looks_at_is_exported_whole(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    add_users(owner, cast.acme, 2300)
    page = admin.get("users.index", q="made")
    assert "more than 1,000 fit" in page.text
    assert "not only the first 1,000" in page.text
    rows = exported(admin, q="made")
    assert len(rows) == 2300
    assert len(set(usernames(rows))) == 2300


def test_each_batch_is_one_statement_of_bounded_length(admin: Browser, app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    add_users(owner, cast.acme, 2500)
    with counted(app) as statements:
        assert len(exported(admin)) == 2506
    assert len([statement for statement in statements if "FROM users u WHERE" in statement and "LIMIT" in statement]) == 3


def test_no_cell_is_a_formula(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    owner.execute("UPDATE users SET first_name = '=HYPERLINK(1)', last_name = E'\\t@x' WHERE id = %s", (str(cast.acme.user.id),))
    row = next(row for row in exported(admin) if row["username"] == "user")
    assert (row["first_name"], row["last_name"]) == ("'=HYPERLINK(1)", "'\t@x")


def test_the_link_below_the_table_exports_what_is_shown(admin: Browser) -> None:
    page = admin.get("users.index", state="deactivated", sort="-role", rows="25")
    link = page.select_one('a[href*="export.csv"]')["href"]
    assert usernames(list(csv.DictReader(io.StringIO(admin.client.get(link).get_data(as_text=True))))) == ["gone", "gone_admin"]


def test_nothing_of_a_neighbour_is_exported(admin: Browser, cast: SimpleNamespace) -> None:
    assert "globex" not in admin.client.get("/users/export.csv").get_data(as_text=True)
    assert exported(admin, q="globex") == []


def test_who_may_not_see_the_users_may_not_export_them(app: Flask, cast: SimpleNamespace) -> None:
    Browser(app).sign_in(cast.acme.user).get("users.export", expect=403)


@pytest.mark.parametrize("query", [{"sort": "password"}, {"role": "god"}, {"q": "x" * 101}])
def test_a_search_that_cannot_be_is_refused_in_words(admin: Browser, query: dict[str, str]) -> None:
    admin.get("users.export", expect=422, **query)


# What happens while somebody's export runs, of whom the first rows are sent by then.
ENDINGS = {
    "deactivated": "UPDATE users SET is_active = false WHERE id = %s",
    "lowered": "UPDATE users SET role = 'user' WHERE id = %s",
    "signed out": "DELETE FROM sessions WHERE user_id = %s",
    "a new password": "UPDATE users SET auth_epoch = auth_epoch + 1 WHERE id = %s",
    "the organization is closed": "UPDATE tenants SET is_active = false WHERE id = (SELECT tenant_id FROM users WHERE id = %s)",
}


@pytest.mark.parametrize("ending", [*ENDINGS, None])
@pytest.mark.parametrize(("path", "room"), [("/users/export.csv", finding), ("/audit/export.csv", audit)])
def test_an_export_is_cut_off_when_its_reader_may_not_see_it_any_more(
    admin: Browser, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch, path: str, room: Any, ending: str | None
) -> None:
    for _ in range(3):
        admin.post("users.sign_out", user_id=cast.acme.user.id)
    monkeypatch.setattr(room, "BATCH", 2)
    pieces = iter(admin.client.get(path, buffered=False).response)
    assert next(pieces).startswith((b"id,", b"number,"))
    assert next(pieces)
    if ending:
        owner.execute(ENDINGS[ending], (str(cast.acme.admin.id),))
    with pytest.raises(Ended) if ending else nullcontext():
        rest = list(pieces)
    if not ending:
        assert sum(piece.count(b"\r\n") for piece in rest) >= 2, "and goes on while nothing happens"
