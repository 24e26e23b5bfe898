"""What an organization says about itself: changed, cleared, disputed, and written down."""

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal.testing.browser import Browser
from tests.statements import counted
from tests.steps import DUBLIN

FORM = "main form[action='/settings']"
SAID = {
    "name": "Acme House",
    "full_name": "Acme House Limited",
    "description": "Answer gently.",
    **DUBLIN,
    "organization_email": "office@acme.example",
}


def save(browser: Browser, *, expect: int = 303, page: Any = None, **changes: str) -> Any:
    form = (page or browser.get("organizations.settings")).form(FORM)
    named = {name.replace("address_", "address-", 1) if name.startswith("address_") else name: value for name, value in changes.items()}
    return browser.post("organizations.settings", {**form, **named}, expect=expect)


def stored(owner: Any, cast: SimpleNamespace) -> dict[str, Any]:
    owner.execute("SELECT to_jsonb(t) FROM tenants t WHERE id = %s", (str(cast.acme.id),))
    return dict(owner.fetchone()[0])


def test_an_administrator_changes_every_field_and_the_log_says_what(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    save(admin, **SAID)
    assert "Saved." in admin.follow().text
    row = stored(owner, cast)
    assert (row["name"], row["full_name"], row["phone"], row["organization_email"]) == (
        "Acme House",
        "Acme House Limited",
        "+35314960000",
        "office@acme.example",
    )
    assert row["address"] == {"country": "IE", "street_address": "4 Harbour Road", "city": "Dublin", "postal_code": "D13 X285"}
    assert (row["version"], row["updated_at"] is not None) == (2, True)
    owner.execute("SELECT changes FROM audit_entries WHERE action = 'organization_changed'")
    (changes,) = owner.fetchone()
    assert changes["name"] == ["CANARY-acme House", "Acme House"]
    assert set(changes) == {"name", "full_name", "description", "address", "phone", "organization_email"}
    assert "changed name of your organization" in admin.get("organizations.settings").text


def test_a_field_can_be_cleared_and_the_name_cannot(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    save(admin, **SAID)
    empty = {name: "" for name in SAID if name != "name"}
    save(admin, **empty)
    row = stored(owner, cast)
    for field in ("full_name", "description", "address", "phone", "organization_email"):
        assert row[field] is None, field
    page = save(admin, expect=422, name="")
    assert page.fault("name")
    assert stored(owner, cast)["name"] == "Acme House"


def test_saving_without_a_change_writes_nothing(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    save(admin, **SAID)
    before = stored(owner, cast)
    save(admin)
    assert stored(owner, cast) == before
    owner.execute("SELECT count(*) FROM audit_entries WHERE action = 'organization_changed'")
    assert owner.fetchone() == (1,)


def test_parts_of_an_address_that_no_form_shows_survive_and_legacy_words_are_read(
    admin: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    legacy = {"street": "1 Main St", "city": "Springfield", "state": "IL", "country": "US", "postal_code": "62701", "gate": {"code": 7}}
    owner.execute("UPDATE tenants SET address = %s WHERE id = %s", (json.dumps(legacy), str(cast.acme.id)))
    page = admin.get("organizations.settings")
    assert page.select_one("[name='address-street_address']").get_text().strip() == "1 Main St"
    save(admin, page=page, address_city="Chicago", address_postal_code="60601")
    address = stored(owner, cast)["address"]
    assert address == {
        "gate": {"code": 7},
        "country": "US",
        "street_address": "1 Main St",
        "city": "Chicago",
        "country_area": "IL",
        "postal_code": "60601",
    }


def test_the_second_of_two_editors_sees_both_versions_and_keeps_the_typing(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    first, second = Browser(app).sign_in(cast.acme.admin), Browser(app).sign_in(cast.acme.admin2)
    page = second.get("organizations.settings")
    save(first, name="Acme of the first", full_name="First Limited")
    conflict = save(second, page=page, expect=409, name="Acme of the second", description="Typed with care")
    assert "faults-conflict" in conflict.select_one("#conflict")["class"], "a warning, no fault"
    rows = {
        row.select_one("th").get_text(strip=True): [cell.get_text(strip=True) for cell in row.select("td")]
        for row in conflict.select("#conflict tbody tr")
    }
    assert rows["Name of your organization"] == ["Acme of the first", "Acme of the second"]
    assert rows["Full legal name"] == ["First Limited"]  # left alone by the second, so the first's is taken over
    form = conflict.form(FORM)
    assert (form["name"], form["full_name"], form["description"]) == ("Acme of the second", "First Limited", "Typed with care")
    assert stored(owner, cast)["name"] == "Acme of the first"
    second.post("organizations.settings", form)
    row = stored(owner, cast)
    assert (row["name"], row["full_name"], row["description"], row["version"]) == (
        "Acme of the second",
        "First Limited",
        "Typed with care",
        3,
    )


def test_an_address_that_was_left_alone_is_taken_over_whole(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    first, second = Browser(app).sign_in(cast.acme.admin), Browser(app).sign_in(cast.acme.admin2)
    page = second.get("organizations.settings")
    save(first, **SAID)
    conflict = save(second, page=page, expect=409, name="Acme of the second")
    assert "4 Harbour Road" in conflict.select_one("#conflict").get_text()
    second.post("organizations.settings", conflict.form(FORM))
    row = stored(owner, cast)
    assert (row["name"], row["address"]["city"], row["phone"]) == ("Acme of the second", "Dublin", "+35314960000")


def test_a_page_that_does_not_say_what_it_showed_overwrites_nothing_unseen(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    first, second = Browser(app).sign_in(cast.acme.admin), Browser(app).sign_in(cast.acme.admin2)
    for seen in ("", "[]", "{", "[" * 5000, '{"name": 1}'):
        page = second.get("organizations.settings")
        save(first, full_name=f"First {len(seen)}")
        conflict = save(second, page=page, expect=409, seen=seen, full_name="")
        assert f"First {len(seen)}" in conflict.select_one("#conflict").get_text()


def test_a_newer_version_that_says_the_same_on_every_field_is_no_conflict(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    page = browser.get("organizations.settings")
    owner.execute("UPDATE tenants SET version = version + 5 WHERE id = %s", (str(cast.acme.id),))
    save(browser, page=page, name="Mine")
    assert (stored(owner, cast)["name"], stored(owner, cast)["version"]) == ("Mine", 7)


def test_of_ten_who_save_one_version_at_once_one_is_stored(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browsers = [Browser(app).sign_in(cast.acme.admin) for _ in range(10)]
    forms = [browser.get("organizations.settings").form(FORM) for browser in browsers]
    statuses: list[int] = []

    def work(number: int) -> None:
        data = {**forms[number], "name": f"Acme {number}"}
        statuses.append(browsers[number].client.post("/settings", data=data).status_code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [303] + [409] * 9
    assert stored(owner, cast)["version"] == 2


REFUSED = [
    ("phone", "not a phone", "phone"),
    ("organization_email", "nobody", "organization_email"),
    ("address-country", "XX", "address-country"),
    ("name", "bidi\u202e", "name"),
    ("description", "nul\x00", "description"),
]


@pytest.mark.parametrize(("field", "value", "beside"), REFUSED, ids=[field for field, _, _ in REFUSED])
def test_what_is_refused_is_said_beside_the_field(
    admin: Browser, cast: SimpleNamespace, owner: Any, field: str, value: str, beside: str
) -> None:
    save(admin, **SAID)
    before = stored(owner, cast)
    page = admin.get("organizations.settings")
    page = admin.post("organizations.settings", {**page.form(FORM), field: value}, expect=422)
    assert page.fault(beside)
    assert stored(owner, cast) == before


@pytest.mark.parametrize("version", ["", "x", "-1", "999", "9" * 40])
def test_a_version_that_nobody_saw_saves_nothing(admin: Browser, cast: SimpleNamespace, owner: Any, version: str) -> None:
    page = admin.get("organizations.settings")
    data = {**page.form(FORM), "name": "Changed", "version": version, "seen": ""}
    assert admin.client.post("/settings", data=data).status_code in (409, 422)
    assert stored(owner, cast)["name"] == "CANARY-acme House"


def test_what_is_not_in_the_form_cannot_be_changed_by_posting_it(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    before = stored(owner, cast)
    extras = {"subdomain": "taken-over", "is_active": "", "id": str(cast.globex.id), "tenant_id": str(cast.globex.id), "access_code": "x"}
    save(admin, name="Changed", **extras)
    row = stored(owner, cast)
    assert {key: row[key] for key in ("id", "subdomain", "is_active")} == {key: before[key] for key in ("id", "subdomain", "is_active")}
    owner.execute("SELECT name FROM tenants WHERE id = %s", (str(cast.globex.id),))
    assert owner.fetchone() == ("CANARY-globex House",)


def test_a_plain_user_is_refused_and_told_who_helps(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.user)
    page = browser.get("organizations.settings", expect=403)
    assert "Ask an administrator of your organization." in page.text
    browser.post("organizations.settings", {"name": "Mine now"}, expect=403)
    browser.post("organizations.settings_address", {}, expect=403)
    assert "Settings" not in browser.get("/").text


def test_changing_the_country_swaps_the_fields_by_htmx_and_without(admin: Browser) -> None:
    save(admin, **SAID)
    form = admin.get("organizations.settings").form(FORM)
    page = admin.post("organizations.settings_address", {**form, "address-country": "JP"}, expect=200, htmx=True)
    assert page.select_one("[name='address-country_area']").name == "select"
    page = admin.post("organizations.settings", {**form, "address-country": "JP", "name": "Half typed", "change_country": "1"}, expect=200)
    assert page.form(FORM)["name"] == "Half typed"
    assert page.select_one("[name='address-country_area']").name == "select"


def test_the_page_keeps_to_its_number_of_statements(app: Flask, admin: Browser) -> None:
    with counted(app) as seen:
        admin.get("organizations.settings")
    assert len(seen) <= 4, seen


def test_writing_instructions_is_a_first_step_until_it_is_done(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    owner.execute("UPDATE tenants SET description = NULL")
    assert "Write instructions for your agents" in admin.get("/").text
    save(admin, description="Answer gently.")
    assert "Write instructions for your agents" not in admin.get("/").text
