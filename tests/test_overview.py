"""The overview: figures from the database only, and what each role sees of them."""

import re
from types import SimpleNamespace
from typing import Any

from flask import Flask

from portal.testing.browser import Browser
from tests.statements import counted
from tests.steps import figure


def test_the_figures_are_those_of_the_database(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    Browser(app).sign_in(cast.acme.user)
    page = browser.get("/")
    assert figure(page, "Active users") == "4"
    assert figure(page, "Sessions open now") == "2"
    rows = [
        [cell.get_text(strip=True) for cell in row.select("th, td")] for row in page.select("section[aria-labelledby=users-title] tbody tr")
    ]
    assert ["User", "2", "1"] in rows
    assert ["Organization admin", "2", "1"] in rows
    owner.execute("UPDATE sessions SET expires_at = now() - interval '1 hour' WHERE user_id = %s", (str(cast.acme.user.id),))
    assert figure(browser.get("/"), "Sessions open now") == "1"


def test_each_figure_says_where_it_comes_from_and_when_it_was_counted(app: Flask, cast: SimpleNamespace) -> None:
    page = Browser(app).sign_in(cast.acme.admin).get("/")
    assert page.select(".figures > div")
    for tag in page.select(".figures > div"):
        assert "as of" in tag.get_text(" ", strip=True).lower()
        assert tag.select_one("time[datetime]")


def test_sign_ins_are_counted_per_day_and_days_before_the_audit_log_are_not_measured(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    owner.execute("UPDATE audit_entries SET at = at - interval '1 day'")
    table = browser.get("/").select_one("section[aria-labelledby=sign-ins-title] table")
    rows = [[cell.get_text(strip=True) for cell in row.select("th, td")] for row in table.select("tbody tr")]
    assert len(rows) == 30
    assert sum(row[1] == "not measured" for row in rows) == 28
    assert "not measured: the audit log began later" in browser.get("/").text
    assert [row[1] for row in rows if row[1] != "not measured"] == ["0", "1"]
    owner.execute("UPDATE audit_entries SET at = at - interval '2 days'")
    rows = [
        row.select("th, td")[1].get_text(strip=True)
        for row in browser.get("/").select_one("section[aria-labelledby=sign-ins-title] table").select("tbody tr")
    ]
    assert rows.count("0") == 3


def test_fewer_than_two_days_are_told_in_a_sentence_instead_of_a_chart(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)

    def shown() -> tuple[str, bool]:
        section = browser.get("/").select_one("section[aria-labelledby=sign-ins-title]")
        return section.select_one(".sheet-body").get_text(" ", strip=True), bool(section.select("svg, table"))

    told, is_drawn = shown()
    assert re.fullmatch(r"Sign-ins on \d+ \w+ \d{4}: 1\. A chart appears from the second day on\.", told)
    assert not is_drawn
    owner.execute("UPDATE audit_entries SET at = at - interval '1 day'")
    assert shown()[1]
    owner.execute("TRUNCATE audit_entries")
    assert shown() == ("Nothing was measured yet: there is no audit log yet. A chart appears from the second day on.", False)


def test_a_step_is_gone_once_the_facts_fulfil_it(app: Flask, cast: SimpleNamespace) -> None:
    from tests.steps import register, registration

    browser = Browser(app)
    register(browser, registration())
    assert "Keep the address of your sign-in page" in browser.get("/").text
    browser.post("auth.sign_out")
    browser.sign_in(SimpleNamespace(subdomain="quiet-harbour", email="mara", password=registration()["admin_password"]))
    assert "Keep the address of your sign-in page" not in browser.get("/").text


def test_a_plain_user_sees_the_own_things_and_no_figures_of_the_organization(app: Flask, cast: SimpleNamespace) -> None:
    page = Browser(app).sign_in(cast.acme.user).get("/")
    assert not page.select(".figures")
    assert "Sessions open now" not in page.text
    assert cast.acme.admin.email in page.text, "who helps"
    assert "gone_admin" not in page.text
    assert "this session" in page.text.lower() or "this one" in page.text.lower()


def test_nothing_of_another_organization_is_ever_shown(app: Flask, cast: SimpleNamespace) -> None:
    Browser(app).sign_in(cast.globex.admin)
    for person in (cast.acme.admin, cast.acme.user):
        assert "CANARY-globex" not in Browser(app).sign_in(person).get("/").response.get_data(as_text=True)


def test_markup_in_names_stays_text(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    owner.execute("UPDATE tenants SET name = '<script>alert(1)</script>' WHERE id = %s", (str(cast.acme.id),))
    page = Browser(app).sign_in(cast.acme.admin).get("/")
    assert "<script>alert(1)" not in page.response.get_data(as_text=True)
    assert "<script>alert(1)</script>" in page.text


def test_pages_keep_to_their_number_of_statements(app: Flask, cast: SimpleNamespace) -> None:
    limits = {"/register": 4, "/sign-in": 4, "/": 7}
    for person in (cast.acme.admin, cast.acme.user):
        browser = Browser(app).sign_in(person)
        for path, most in limits.items():
            with counted(app) as seen:
                browser.get(path)
            assert len(seen) <= most, f"{path} as {person.role}: {len(seen)} statements\n" + "\n".join(seen)
    with counted(app) as seen:
        Browser(app).get("/register")
    assert seen == [], "a visitor's page asks the database nothing"
