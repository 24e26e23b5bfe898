"""Importing people from CSV: looked through first, every fault named with its line, then all or nothing."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal.auth import passwords
from portal.config import Settings
from portal.imports import commands, importing, services
from portal.imports.matching import COLUMN_OF, MOST_COLUMNS, matched, suggested
from portal.jobs import services as jobs
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from portal.values import SheetFault, read_csv
from portal.worker.cleanup import clean_up
from tests.attack.furniture import put, rows_of
from tests.steps import at_once, doing, lease_is_over, posting, until, upload, workers

HEADER = "e-mail,first name,last name,role\n"


@pytest.fixture
def work(app: Flask, settings: Settings, worker: Any) -> Any:
    return lambda: doing(app, settings).act(worker)


def looked_through(browser: Browser, work: Any, content: bytes | str, **more: str) -> Any:
    """The page of the job that looked through the file."""
    upload(browser, content, **more)
    work()
    return browser.follow()


def begin(browser: Browser, page: Any, *, expect: int = 303, **sent: str) -> Any:
    """As the page does that the report leads to."""
    path = page.select_one("#report a")["href"]
    return browser.post(f"{path}/begin", {**browser.get(path).form(), **sent}, expect=expect)


def imported(browser: Browser, work: Any, content: str, **more: str) -> Any:
    begin(browser, looked_through(browser, work, content, **more))
    work()
    return browser.follow()


def faults(page: Any) -> list[str]:
    return [item.get_text(" ", strip=True) for item in page.select("#report li")]


def number(owner: Any, what: str) -> int:
    owner.execute(f"SELECT count(*) FROM {what}")
    return int(owner.fetchone()[0])


def nothing_changed(owner: Any) -> bool:
    return number(owner, "users") == 22 and not any(
        number(owner, table) for table in ("invitations", "outbox", "bulk_acts", "bulk_changes")
    )


# Reading


def test_records_are_read_with_the_line_in_which_they_begin() -> None:
    data = '\ufeffa,b\r\n"two\nlines",x\n\n,\n"say ""hi""",y'.encode()
    assert list(read_csv(data)) == [(1, ["a", "b"]), (2, ["two\nlines", "x"]), (6, ['say "hi"', "y"])]
    assert list(read_csv(b"a;b\n1,5;2\n")) == [(1, ["a", "b"]), (2, ["1,5", "2"])]
    assert list(read_csv(b"a\tb\n1\t2\n")) == [(1, ["a", "b"]), (2, ["1", "2"])]


UNREADABLE = {
    "not in UTF-8": (b"email\nmara@x.example\nj\xf6rg@x.example\n", "Line 3 is not in UTF-8"),
    "UTF-16": ("email\nmara@x.example\n".encode("utf-16"), "Line 1 is not in UTF-8"),
    "a NUL": (b"email\nmara@x.example\nol\0a@x.example\n", "Line 3 holds a NUL"),
    "a quote never closed": (b'email\n"mara@x.example\nola@x.example\n', "Line 2: a quotation mark"),
    "text after a quote": (b'email\nola@x.example\n"mara"@x.example\n', "Line 3: the quotation marks"),
    "an endless cell": (b"email\n" + b"x" * 140_000, "Line 2: a cell is longer"),
    "cells without end": (b"email" + b"," * 250_000 + b"\nmara@x.example\n", "Line 1 is longer than 250,000 bytes"),
    "cells without end over many lines": (b"email\nola@x.example\n" + b'"\n",' * 62_501, "Line 3 is longer than 250,000 bytes"),
    "ends of lines of old": (b"email\rmara@x.example\r", "Line 1: the lines end"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_cannot_be_read_names_the_line(admin: Browser, work: Any, owner: Any, case: str) -> None:
    data, words = UNREADABLE[case]
    with pytest.raises(SheetFault, match=words):
        list(read_csv(data))
    assert words in upload(admin, data, expect=422).fault("file")
    assert number(owner, "uploads") == 0


def test_what_cannot_be_read_further_down_is_told_by_the_job(admin: Browser, work: Any, owner: Any) -> None:
    page = looked_through(admin, work, "email\n" + "".join(f"n{one}@x.example\n" for one in range(5)) + "ol\0a@x.example\n")
    assert "Line 7 holds a NUL" in page.select_one("#job .refused").text
    assert nothing_changed(owner)


@pytest.mark.parametrize(
    "header", ["E-Mail;Vorname;Nachname;Rolle", "EMAIL ADDRESS,Given Name,Surname,ROLE", "e_mail,first_name,last_name,role"]
)
def test_columns_are_found_in_any_spelling(header: str) -> None:
    separator = ";" if ";" in header else ","
    names = header.split(separator)
    assert matched(suggested(names, "invited"), names, "invited").places == {"email": 0, "first_name": 1, "last_name": 2, "role": 3}
    assert all(name.isalnum() and name == name.lower() for name in COLUMN_OF)


def test_a_file_of_nobody_is_refused(admin: Browser, work: Any, owner: Any) -> None:
    assert "There is nobody in this file" in upload(admin, "\n \n", expect=422).fault("file")
    assert number(owner, "uploads") == 0
    assert "There is nobody in this file" in looked_through(admin, work, "email\n").select_one("#job .refused").text
    assert nothing_changed(owner)


def test_an_empty_a_too_large_and_no_file_are_refused_at_the_door(admin: Browser, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Choose a file" in upload(admin, b"", expect=422).text
    assert "Choose a file" in admin.post("imports.new", {"become": "invited"}, expect=422).text
    assert "Choose one of those that are offered." in upload(admin, HEADER, become="kings", expect=422).text
    page = upload(admin, b"x" * (commands.LARGEST + 1), expect=422)
    assert "at most 20,000,000" in page.text
    assert number(owner, "uploads") == 0


def test_only_whoever_may_import_sends_large_bodies_and_only_to_this_door(app: Flask, cast: SimpleNamespace, admin: Browser) -> None:
    large = b"email\n" + b"x@x.example\n" * 160_000
    for browser in (Browser(app), Browser(app).sign_in(cast.acme.user), Browser(app).sign_in(cast.platform.super)):
        upload(browser, large, expect=413)
    admin.post("bulk.preview", {"file": (io.BytesIO(large), "x")}, expect=413)
    upload(admin, large)
    upload(admin, b"x" * 23_000_000, expect=413)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("people.csv", "people.csv"),
        ("/home/mara/people.csv", "people.csv"),
        ("C:\\fakepath\\people.csv", "people.csv"),
        ("a\x00\u202e.csv", "a.csv"),
        ("", "a file without a name"),
        ("a/", "a file without a name"),
    ],
)
def test_of_a_files_name_its_last_part_is_kept(sent: str, kept: str) -> None:
    assert commands.TakeFile(name=sent, file=b"e-mail", become="invited").name == kept


def test_too_many_people_are_refused(admin: Browser, work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST", 3)
    content = "email\n" + "".join(f"n{one}@x.example\n" for one in range(4))
    assert "This file has 4 lines of people; at most 3" in looked_through(admin, work, content).text


# The dry run


def test_the_dry_run_tells_the_fate_of_every_line_and_changes_nothing(admin: Browser, work: Any, cast: SimpleNamespace, owner: Any) -> None:
    content = (
        "Role,E-Mail,Vorname,shoe size\n"
        "user,mara@x.example,Mara,38\n"
        ",ola@x.example,,\n"
        "org_admin,wei@x.example,Wei,\n"
        "admin,high@x.example,High,\n"
        "king,king@x.example,King,\n"
        "user,not an address,Nobody,\n"
        "user,MARA@X.EXAMPLE,Twin,\n"
        f"user,{cast.acme.gone.email.upper()},Here,\n"
        f"user,{cast.globex.user.email},Elsewhere,\n"
        "user,few@x.example\n"
        "user,hid@x.example,Hid\u200bden,\n"
    )
    page = looked_through(admin, work, content)
    assert "4 of 11 people in people.csv would be invited; 7 lines are refused." in page.text
    told = faults(page)
    assert [fault.split(",")[0] for fault in told] == [f"Line {line}" for line in (5, 6, 7, 8, 9, 11, 12)]
    for fault, words in zip(
        told,
        [
            "role admin is not given",
            "no role “king”",
            "has an @",
            "stands in line 2",
            "is here already",
            "2 cells, the header 4",
            "hidden",
        ],
        strict=True,
    ):
        assert words in fault
    assert "Not used shoe size" in page.text
    lines = admin.get(page.select_one("#report a")["href"])
    fates = {row.select_one("th").get_text(strip=True): row.select_one(".mark").get_text(strip=True) for row in lines.select("tbody tr")}
    assert fates == {str(line): "refused" if line in (5, 6, 7, 8, 9, 11, 12) else "good" for line in range(2, 13)}
    assert not lines.select("form[action$=begin]")
    for preview in (page.response.request.path.rpartition("/")[2], str(cast.acme.id), ""):
        admin.post(f"{lines.response.request.path}/begin", {"preview": preview}, expect=422)
    assert nothing_changed(owner)


def test_what_is_told_of_a_line_is_short_however_long_the_line_is(admin: Browser, work: Any) -> None:
    page = looked_through(admin, work, f"email,role\n{'x' * 100_000},user\nmara@x.example,{'y' * 100_000}\n")
    shown = admin.get(page.select_one("#report a")["href"])
    assert [len(row.select_one("[data-label=Address]").get_text(strip=True)) for row in shown.select("tbody tr")] == [254, 14]
    assert max(len(page.text), len(shown.text)) < 5_000
    upload(admin, f"email{'-' * 100_000},e-mail{'-' * 100_000}\n{'x' * 100_000},y\n")
    twins = admin.follow()
    assert "2 columns are said to hold the e-mail" in twins.text
    assert len(twins.text) < 5_000


def test_a_long_list_of_fates_has_parts(admin: Browser, work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    page = looked_through(admin, work, "email\n" + "".join(f"n{one}@x.example\n" for one in range(5)))
    seen, page = [], admin.get(page.select_one("#report a")["href"])
    while True:
        seen += [row.select_one("th").get_text(strip=True) for row in page.select("tbody tr")]
        following = page.select("a[rel=next]")
        if not following:
            break
        page = admin.get(following[0]["href"])
    assert seen == ["2", "3", "4", "5", "6"]
    for part in ("99999999", "-1", "x"):
        admin.get(f"{page.response.request.path}?part={part}", expect=404)


# Matching by hand

UNCLEAR = "Adresse;Given name;Team;Kontakt\n mara@x.example ;Mara;Blue;1\nola@x.example;Ola;;2\nwei@x.example;Wei;Red;3\nzoe@x.example;Zoe;Red;4\n"


def matching(browser: Browser, content: str, **more: str) -> Any:
    """The page on which the columns of a file are matched."""
    upload(browser, content, **more)
    assert browser.page.location.endswith("/columns")
    return browser.follow()


def match(browser: Browser, page: Any, holds: list[str], *, expect: int = 303) -> Any:
    return browser.post(page.select_one("main form")["action"], {"columns": holds}, expect=expect)


def proposed(page: Any) -> list[tuple[str, str, str]]:
    """Name, first values and what is chosen for each column."""
    rows = page.select("tbody tr")
    for row in rows:
        assert row.select_one("label")["for"] == row.select_one("select")["id"]
    cells = [(row.select_one("th"), row.select_one("[data-label='First values']"), row.select_one("option[selected]")) for row in rows]
    return [
        (name.get_text(strip=True), values.get_text(" ", strip=True), chosen["value"] if chosen else "") for name, values, chosen in cells
    ]


def test_a_header_that_does_not_tell_is_matched_by_hand(admin: Browser, work: Any, owner: Any) -> None:
    page = matching(admin, UNCLEAR)
    assert number(owner, "jobs") == 0, "nothing is looked through before"
    assert "No column holds the e-mail; choose one." in page.text
    assert proposed(page) == [
        ("Adresse", "mara@x.example , ola@x.example , wei@x.example", ""),
        ("Given name", "Mara , Ola , Wei", "first_name"),
        ("Team", "Blue , empty , Red", ""),
        ("Kontakt", "1 , 2 , 3", ""),
    ]
    assert [option["value"] for option in page.select("#column-1 option")] == ["", "email", "first_name", "last_name", "role"]
    match(admin, page, ["email", "first_name", "", ""])
    work()
    page = admin.follow()
    assert "4 of 4 people in people.csv would be invited" in page.text
    assert "Not used Team, Kontakt" in page.text
    begin(admin, page)
    work()
    assert "4 people were imported and invited." in admin.follow().text
    owner.execute("SELECT email, first_name, last_name FROM users WHERE email LIKE '%@x.example' ORDER BY email LIMIT 2")
    assert owner.fetchall() == [("mara@x.example", "Mara", None), ("ola@x.example", "Ola", None)]


def test_where_no_mail_is_sent_an_import_promises_none(admin: Browser, mailing: Flask, cast: SimpleNamespace) -> None:
    without = admin.get("imports.new").text
    assert "so nobody is mailed: make each of the invited a link and hand it over." in without
    assert "by mail" not in without
    with_mail = Browser(mailing).sign_in(cast.acme.admin).get("imports.new").text
    assert "The invited are mailed a link." in with_mail
    assert "No mail server" not in with_mail


@pytest.mark.parametrize(
    ("content", "become", "words"),
    [
        ("name,role\nMara,user\n", "invited", ["No column holds the e-mail; choose one."]),
        ("email,first name\nmara@x.example,Mara\n", "deactivated", ["No column holds the username; choose one."]),
        ("one,two\nmara@x.example,Mara\n", "deactivated", ["No column holds the e-mail;", "No column holds the username;"]),
        ("email,E-Mail\nmara@x.example,ola@x.example\n", "invited", ["2 columns are said to hold the e-mail: “email”, “E-Mail”."]),
    ],
)
def test_the_page_names_what_the_header_leaves_open(admin: Browser, content: str, become: str, words: list[str]) -> None:
    page = matching(admin, content, become=become)
    assert all(word in page.text for word in words)


@pytest.mark.parametrize(
    ("holds", "words"),
    [
        (["", "first_name", "", ""], "No column holds the e-mail; choose one."),
        (["email", "role", "role", "role"], "3 columns are said to hold the role: “Given name”, “Team”, “Kontakt”. Choose one of them."),
        (["email", "username", "", ""], "Whoever is invited chooses the username"),
        (["email", "king", "", ""], "Choose one of those that are offered."),
        (["email", "", ""], "The file has 4 columns."),
        ([], "The file has 4 columns."),
    ],
)
def test_a_choice_that_does_not_do_is_refused_and_stays(admin: Browser, owner: Any, holds: list[str], words: str) -> None:
    page = match(admin, matching(admin, UNCLEAR), holds, expect=422)
    assert words in page.select_one("#faults").text
    if len(holds) == 4 and "king" not in holds and "username" not in holds:
        assert [chosen for *_, chosen in proposed(page)] == holds
    assert number(owner, "jobs") == 0


def test_a_clear_file_can_be_matched_anew_and_is_imported_as_its_preview_said(
    app: Flask, admin: Browser, work: Any, cast: SimpleNamespace, owner: Any
) -> None:
    page = looked_through(admin, work, "email,first name,last name\nmara@x.example,Ortiz,Mara\n")
    lines = admin.get(page.select_one("#report a")["href"])
    stale = lines.form()
    page = admin.get(lines.select_one("main a[href$=columns]")["href"])
    assert [chosen for *_, chosen in proposed(page)] == ["email", "first_name", "last_name"]
    assert "does not tell" not in page.text
    job = match(admin, page, ["email", "last_name", "first_name"]).location
    assert "is being looked through" in match(admin, page, ["email", "", ""], expect=422).text
    assert "not looked through to its end" in admin.get(lines.response.request.path).text
    work()
    again = admin.get(job)
    assert admin.get(lines.select_one("main a[href$=columns]")["href"]).select_one("#column-2 option[selected]")["value"] == "last_name"
    assert number(owner, "upload_parts WHERE kind = 'fates'") == 1, "what was told with other columns is gone"
    refused = admin.post(f"{lines.response.request.path}/begin", stale, expect=422)
    assert "The columns of this file were matched anew since this page was shown." in refused.text
    begin(admin, again)
    assert "is being imported already" in match(admin, page, ["email", "", ""], expect=422).text
    work()
    owner.execute("SELECT first_name, last_name FROM users WHERE email = 'mara@x.example'")
    assert owner.fetchall() == [("Mara", "Ortiz")]


def test_of_two_who_match_a_file_at_once_one_is_told(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    path = matching(admin, UNCLEAR).select_one("main form")["action"]
    both = (admin, Browser(app).sign_in(cast.acme.admin2))
    choice = {"columns": ["email", "", "", ""]}
    assert sorted(at_once(*(posting(one, path, {"csrf_token": one.token(), **choice}) for one in both))) == [303, 422]
    assert number(owner, "jobs") == 1


def test_files_of_very_many_columns_are_matched_by_their_header_only(admin: Browser, work: Any, owner: Any) -> None:
    names, cells = ",".join(f"c{one}" for one in range(MOST_COLUMNS)), ",x" * MOST_COLUMNS
    assert "this one has 101." in upload(admin, f"address,{names}\nmara@x.example{cells}\n", expect=422).fault("file")
    assert number(owner, "uploads") == 0
    page = looked_through(admin, work, f"email,{names}\nmara@x.example{cells}\n")
    assert "1 of 1 people" in page.text
    path = page.select_one("#report a")["href"]
    assert "this one has 101." in admin.get(f"{path}/columns", expect=422).text


# Importing


def test_people_are_invited_with_mails_as_if_one_by_one(app: Flask, admin: Browser, work: Any, cast: SimpleNamespace, owner: Any) -> None:
    page = imported(admin, work, HEADER + "mara@x.example,Mara,Ortiz,user\nOla@X.example,,,organization admin\n")
    assert "2 people were imported and invited." in page.text
    owner.execute(
        "SELECT email, email_key, first_name, role, state, sort_key, search_text FROM users WHERE email ILIKE '%@x.example' ORDER BY role"
    )
    assert owner.fetchall() == [
        ("Ola@X.example", "ola@x.example", None, "org_admin", "invited", "ola@x.example", "ola@x.example"),
        ("mara@x.example", "mara@x.example", "Mara", "user", "invited", "ortiz mara", "mara ortiz mara@x.example"),
    ]
    owner.execute("SELECT body_text, body_html, subject FROM outbox WHERE recipient = 'mara@x.example'")
    text, html, subject = owner.fetchone()
    assert subject == "CANARY-acme Admin invites you to CANARY-acme House"
    browser = Browser(app)
    link = "/join/" + text.partition("/join/")[2].split()[0]
    assert f'{link}">Accept' in html
    assert "\0" not in text + html
    form = browser.get(link).form()
    assert (form["first_name"], form["last_name"]) == ("Mara", "Ortiz")
    browser.post(link, {**form, "username": "mara.ortiz", "password": PASSWORD})
    assert "Welcome to CANARY-acme House" in browser.follow().text
    assert "mara@x.example" not in admin.get("invitations.index").text
    assert "Ola@X.example" in admin.get("invitations.index").text
    assert number(owner, "uploads") == number(owner, "upload_parts") == 0, "the file goes when its import is over"


def test_what_people_are_called_is_kept_as_it_is_written(admin: Browser, work: Any, owner: Any) -> None:
    said = {"O'Neil": "Zoë", '“Quoted” \\ "plain"': "100 % {sure}", "日本語": "\\x41 \\u0041 %s"}
    lines = "".join(f'n{place}@x.example,"{quoted(first)}","{quoted(last)}",\n' for place, (last, first) in enumerate(said.items()))
    imported(admin, work, HEADER + lines)
    owner.execute("SELECT last_name, first_name FROM users WHERE email LIKE 'n%@x.example' ORDER BY email")
    assert owner.fetchall() == list(said.items())


def quoted(cell: str) -> str:
    return cell.replace('"', '""')


def test_deactivated_accounts_get_no_mail_and_a_password_that_nobody_knows(
    admin: Browser, app: Flask, work: Any, cast: SimpleNamespace, owner: Any
) -> None:
    imported(admin, work, "email,username\nmara@x.example,mara.ortiz\nola@x.example,Ola\n", become="deactivated")
    owner.execute(
        "SELECT id::text, state, username_key, is_verified, hashed_password FROM users WHERE email LIKE '%@x.example' ORDER BY email"
    )
    rows = owner.fetchall()
    assert [row[1:4] for row in rows] == [("deactivated", "mara.ortiz", False), ("deactivated", "ola", False)]
    assert number(owner, "outbox") == number(owner, "invitations") == 0
    admin.post("users.reactivate", user_id=rows[0][0])
    for guess in ("", "!", rows[0][4]):
        assert not passwords.verified(guess, rows[0][4])[0]
    somebody = SimpleNamespace(subdomain="acme", email="mara@x.example", password=PASSWORD)
    Browser(app).sign_in(somebody, expect=422)


def test_the_import_is_one_entry_that_stands_in_each_history(admin: Browser, work: Any, owner: Any) -> None:
    page = imported(admin, work, HEADER + "mara@x.example,Mara,Ortiz,user\nola@x.example,Ola,,user\n")
    owner.execute("SELECT changes->'accounts'->>1, changes->'file'->>1 FROM audit_entries WHERE action = 'users_imported'")
    assert owner.fetchall() == [("2", "people.csv")]
    owner.execute("SELECT id::text FROM users WHERE email LIKE '%@x.example'")
    for (user_id,) in owner.fetchall():
        assert "imported several accounts" in admin.get("users.show", user_id=user_id).text
    act = admin.get(page.select_one("#report a")["href"])
    assert "Undo" not in [button.text for button in act.select("main button")]
    assert "all intact" in admin.post("audit.verify", {"after": "0"}, expect=200).text


def test_administrators_in_the_file_ask_for_the_password(admin: Browser, work: Any, owner: Any) -> None:
    page = looked_through(admin, work, HEADER + "mara@x.example,Mara,Ortiz,org_admin\n")
    owner.execute("UPDATE sessions SET confirmed_at = '2020-01-01'")
    assert "Enter it once more" in begin(admin, page, expect=422).fault("password")
    begin(admin, page, expect=422, password="wrong")
    begin(admin, page, password=PASSWORD)


def test_what_changed_since_the_dry_run_refuses_all(admin: Browser, work: Any, cast: SimpleNamespace, owner: Any) -> None:
    page = looked_through(admin, work, HEADER + "mara@x.example,Mara,Ortiz,user\nola@x.example,Ola,,user\n")
    owner.execute("UPDATE users SET email = 'ola@x.example', email_key = 'ola@x.example' WHERE id = %s", (str(cast.acme.gone.id),))
    begin(admin, page)
    work()
    page = admin.follow()
    assert "Line 3: Somebody with this e-mail address is here already." in page.select_one("#job .refused").text
    assert "Nothing was changed." in page.text
    assert nothing_changed(owner)
    assert number(owner, "uploads") == 1


def test_a_file_is_imported_once(app: Flask, admin: Browser, work: Any, cast: SimpleNamespace, owner: Any) -> None:
    page = looked_through(admin, work, HEADER + "mara@x.example,Mara,Ortiz,user\n")
    path = page.select_one("#report a")["href"]
    both = (admin, Browser(app).sign_in(cast.acme.admin2))
    assert sorted(at_once(*(posting(one, f"{path}/begin", one.get(path).form()) for one in both))) == [303, 422]
    work()
    assert number(owner, "users WHERE email = 'mara@x.example'") == 1
    admin.post(f"{path}/begin", {}, expect=404)


def test_whose_role_was_taken_away_meanwhile_imports_nobody(admin: Browser, work: Any, cast: SimpleNamespace, owner: Any) -> None:
    begin(admin, looked_through(admin, work, HEADER + "mara@x.example,Mara,Ortiz,user\n"))
    owner.execute("UPDATE users SET role = 'user' WHERE id = %s", (str(cast.acme.admin.id),))
    work()
    assert nothing_changed(owner)


# Who, and for how long


def test_nobody_else_uploads_or_sees_a_file(app: Flask, admin: Browser, work: Any, cast: SimpleNamespace) -> None:
    page = looked_through(admin, work, HEADER + "mara@x.example,Mara,Ortiz,user\n")
    path = page.select_one("#report a")["href"]
    for person, status in ((cast.acme.user, 403), (cast.globex.admin, 404), (cast.platform.super, 404)):
        for where in (path, f"{path}/columns"):
            Browser(app).sign_in(person).get(where, expect=status)
        Browser(app).sign_in(person).post(f"{path}/columns", {"columns": ["email"]}, expect=status)
    for person in (cast.acme.user, cast.platform.super, cast.platform.admin):
        upload(Browser(app).sign_in(person), HEADER, expect=403)


def test_an_organization_fills_no_disk_and_no_queue_with_files(
    app: Flask, admin: Browser, work: Any, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "BYTES_WAITING", 3 * len(HEADER))
    for _ in range(3):
        upload(admin, HEADER)
    assert "Each is deleted once it is imported, or a day after" in upload(
        Browser(app).sign_in(cast.acme.admin2), HEADER, expect=422
    ).fault("file")
    upload(Browser(app).sign_in(cast.globex.admin), HEADER)
    owner.execute("UPDATE uploads SET expires_at = now() WHERE tenant_id = %s", (str(cast.acme.id),))
    upload(admin, HEADER)
    assert number(owner, "uploads") == number(owner, "jobs") == 5
    monkeypatch.setattr(jobs, "MOST_WAITING", 4)
    assert "4 jobs of your organization wait already." in upload(admin, HEADER, expect=422).text
    assert number(owner, "uploads") == number(owner, "jobs") == 5, "a file that nobody looks through is not kept"
    work()
    upload(admin, HEADER)


def test_a_file_that_nobody_imports_is_deleted_after_a_day(admin: Browser, owner: Any, worker: Any, cast: SimpleNamespace) -> None:
    upload(admin, HEADER)
    put(owner, "uploads", rows_of(cast.globex)["uploads"])
    owner.execute("SELECT extract(epoch FROM expires_at - created_at)::int FROM uploads WHERE tenant_id = %s", (str(cast.acme.id),))
    assert abs(owner.fetchone()[0] - 86_400) < 60
    owner.execute("UPDATE uploads SET expires_at = now() WHERE tenant_id = %s", (str(cast.acme.id),))
    clean_up(worker)
    owner.execute("SELECT tenant_id::text FROM uploads")
    assert owner.fetchall() == [(str(cast.globex.id),)]
    assert number(owner, "upload_parts") == 0


def test_a_worker_that_is_killed_in_the_middle_leaves_nothing_and_the_import_goes_on(
    admin: Browser, work: Any, cluster: Any, database: str, owner: Any
) -> None:
    content = HEADER + "".join(f"n{one}@x.example,Made,N{one},user\n" for one in range(6000))
    page = looked_through(admin, work, content)
    begin(admin, page)
    job_id = admin.page.location.rpartition("/")[2]

    def in_the_middle() -> bool:
        owner.execute("SELECT state, done FROM jobs WHERE id = %s", (job_id,))
        state, done = owner.fetchone()
        assert state in ("queued", "running"), "it is to be killed in its middle"
        return bool(done >= 1000)

    with workers(1, cluster, database) as (process,):
        assert until(in_the_middle, 120)
        process.kill()
        process.wait()
    assert nothing_changed(owner)
    lease_is_over(owner)

    def went_on() -> bool:
        work()  # takes up nothing as long as PostgreSQL has not noticed that the other is gone
        return "6,000 people were imported" in admin.get("jobs.show", job_id=job_id).text

    assert until(went_on, 60)
    owner.execute("SELECT attempts FROM jobs WHERE id = %s", (job_id,))
    assert owner.fetchone() == (2,)
    assert number(owner, "users WHERE email LIKE 'n%@x.example'") == number(owner, "invitations") == number(owner, "outbox") == 6000
