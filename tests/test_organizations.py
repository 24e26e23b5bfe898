"""Registering an organization: services, pages, fragments."""

import re
import threading
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from tests.steps import register, registration

ELSEWHERE: dict[str, dict[str, str]] = {
    "Hong Kong, no postal code": {
        "address-country": "HK", "address-street_address": "1 Queen's Road Central", "address-city": "Central",
        "address-country_area": "Hong Kong Island", "phone": "2123 4567",
    },
    "Singapore, no region": {"address-country": "SG", "address-street_address": "1 Raffles Place", "address-postal_code": "048616", "phone": "6123 4567"},
    "United States, a region": {
        "address-country": "US", "address-street_address": "1 Main St", "address-city": "Springfield",
        "address-country_area": "IL", "address-postal_code": "62701", "phone": "(217) 782-2000",
    },
    "Brazil, a region": {
        "address-country": "BR", "address-street_address": "Rua Augusta 1", "address-city": "São Paulo",
        "address-country_area": "SP", "address-postal_code": "01305-000", "phone": "(11) 3123-4567",
    },
    "Japan, a prefecture": {
        "address-country": "JP", "address-street_address": "1-1 Chiyoda", "address-city": "Chiyoda-ku",
        "address-country_area": "東京都", "address-postal_code": "100-0001", "phone": "03-3213-1111",
    },
}  # fmt: skip


def test_an_organization_registers_itself_and_stands_on_its_overview(browser: Browser, owner: Any) -> None:
    register(browser, registration())
    page = browser.follow()
    assert "Quiet Harbour" in page.text
    owner.execute(
        "SELECT full_name, address, phone, organization_email, description, is_active FROM tenants WHERE subdomain = 'quiet-harbour'"
    )
    full_name, address, phone, email, description, active = owner.fetchone()
    assert (full_name, phone, email, description, active) == (
        "Quiet Harbour Funeral Directors Limited", "+35314960000", "office@quietharbour.example", "Answer gently.", True,
    )  # fmt: skip
    assert address == {"country": "IE", "street_address": "4 Harbour Road", "city": "Dublin", "postal_code": "D13 X285"}
    owner.execute(
        "SELECT role, username, email, email_key, is_verified, hashed_password, last_sign_in_at IS NULL FROM users WHERE username = 'mara'"
    )
    role, username, email, key, verified, stored, never_signed_in = owner.fetchone()
    assert not never_signed_in, "whoever registers is signed in at once"
    assert (role, username, email, key, verified) == ("org_admin", "mara", "Mara@QuietHarbour.example", "mara@quietharbour.example", False)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_registering_writes_the_audit_entry_and_the_welcome_mail_in_the_same_transaction(browser: Browser, owner: Any) -> None:
    register(browser, registration())
    owner.execute(
        "SELECT a.action, a.seq, a.actor_name, a.network FROM audit_entries a JOIN tenants t ON t.id = a.tenant_id WHERE t.subdomain = 'quiet-harbour'"
    )
    assert owner.fetchall() == [("organization_registered", 1, "Mara Ortiz", "127.0.0.1")]
    owner.execute("SELECT recipient, subject, body_text, sent_at FROM outbox")
    recipient, subject, body, sent_at = owner.fetchone()
    assert recipient == "Mara@QuietHarbour.example"
    assert "Quiet Harbour" in subject
    assert "http://localhost:8000/sign-in?organization=quiet-harbour" in body
    assert sent_at is None


@pytest.mark.parametrize("country", ELSEWHERE)
def test_any_countrys_address_and_phone_are_taken(browser: Browser, owner: Any, country: str) -> None:
    fields = {name: "" for name in registration() if name.startswith("address-")} | ELSEWHERE[country]
    register(browser, registration() | fields)
    owner.execute("SELECT address, phone FROM tenants WHERE subdomain = 'quiet-harbour'")
    address, phone = owner.fetchone()
    assert address["country"] == fields["address-country"]
    assert address["street_address"] == fields["address-street_address"]
    assert re.fullmatch(r"\+\d{8,15}", phone)


REFUSED = [
    ("subdomain", "", "subdomain"),
    ("subdomain", "a b", "subdomain"),
    ("subdomain", "../../x", "subdomain"),
    ("subdomain", "admin.evil.com", "subdomain"),
    ("subdomain", "-x-", "subdomain"),
    ("subdomain", "www", "subdomain"),
    ("subdomain", "api", "subdomain"),
    ("subdomain", "demo", "subdomain"),
    ("subdomain", "platform", "subdomain"),
    ("subdomain", "'; drop table users;--", "subdomain"),
    ("subdomain", "a/b", "subdomain"),
    ("subdomain", "xn--caf-dma", "subdomain"),
    ("subdomain", "аcme", "subdomain"),
    ("subdomain", "a" * 64, "subdomain"),
    ("subdomain", "ab\x00cd", "subdomain"),
    ("subdomain", "acme", "subdomain"),
    ("subdomain", "ACME", "subdomain"),
    ("name", "", "name"),
    ("name", "nul\x00name", "name"),
    ("name", "bidi\u202egnp.exe", "name"),
    ("name", "x" * 201, "name"),
    ("full_name", "", "full_name"),
    ("phone", "not a phone <b>", "phone"),
    ("phone", "+353 1 496 000", "phone"),
    ("phone", "\x00", "phone"),
    ("organization_email", "nobody", "organization_email"),
    ("admin_email", "a@b", "admin_email"),
    ("admin_username", "a b", "admin_username"),
    ("admin_first_name", "\u202e", "admin_first_name"),
    ("admin_password", "password", "admin_password"),
    ("admin_password", "quietharbour1", "admin_password"),
    ("admin_password", "nul\x00 in a long password", "admin_password"),
    ("admin_password", "x" * 129, "admin_password"),
    ("address-postal_code", "12345", "address-postal_code"),
    ("address-street_address", "", "address-street_address"),
    ("address-country", "", "address-country"),
    ("address-country", "XX", "address-country"),
    ("description", "bidi \u2066 in instructions", "description"),
]


@pytest.mark.parametrize(("field", "value", "beside"), REFUSED, ids=[f"{field}={value[:20]!r}" for field, value, _ in REFUSED])
def test_what_is_refused_is_said_beside_the_field_and_nothing_typed_is_lost(
    browser: Browser, owner: Any, field: str, value: str, beside: str
) -> None:
    owner.execute("SELECT count(*) FROM tenants")
    before = owner.fetchone()
    data = registration() | {field: value}
    page = register(browser, data, expect=422)
    assert page.fault(beside), f"no sentence beside {beside}: {page.text[:600]}"
    assert page.select_one(".faults, [role=alert]").select_one(f"a[href='#{page.select_one(f'[name={beside!r}]')['id']}']")
    kept = page.form("main form[action='/register']")
    for name in set(data) - {field, "admin_password"}:
        if name in kept:
            assert kept[name] == data[name], name
    assert kept["admin_password"] == ""
    assert PASSWORD not in page.response.get_data(as_text=True)
    owner.execute("SELECT count(*) FROM tenants")
    assert owner.fetchone() == before


def test_all_faults_are_named_at_once(browser: Browser, app: Flask) -> None:
    page = register(
        browser,
        {**registration(), "name": "", "subdomain": "acme", "phone": "1", "admin_password": "short", "address-city": ""},
        expect=422,
    )
    for field in ("name", "subdomain", "phone", "admin_password", "address-city"):
        assert page.fault(field), field


def test_lone_surrogates_and_huge_fields_are_refused_without_a_fault_of_ours(browser: Browser) -> None:
    token = browser.token()
    body = f"csrf_token={token}&name=%ED%A0%80&subdomain=surrogate".encode()
    browser.client.post("/register", data=body, content_type="application/x-www-form-urlencoded")
    response = browser.client.post("/register", data=body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 422
    response = browser.client.post("/register", data={"csrf_token": token, "address-street_address": "x" * 5_000_000})
    assert response.status_code == 413
    assert "Too large" in response.get_data(as_text=True)


def test_upper_case_in_a_subdomain_is_written_small(browser: Browser, owner: Any) -> None:
    register(browser, registration(subdomain="Quiet-Harbour"))
    owner.execute("SELECT count(*) FROM tenants WHERE subdomain = 'quiet-harbour'")
    assert owner.fetchone() == (1,)


def test_twenty_registrations_of_one_subdomain_at_once_make_one_organization(app: Flask, owner: Any) -> None:
    answers: list[tuple[int, str]] = []
    start = threading.Barrier(20)

    def register(number: int) -> None:
        browser = Browser(app, f"192.0.2.{number}")
        page = browser.get("organizations.register")
        data = {
            **page.form("main form[action='/register']"),
            **registration(admin_username=f"mara{number}", admin_email=f"mara{number}@one.example"),
        }
        start.wait()
        response = browser.client.post("/register", data=data)
        answers.append((response.status_code, response.get_data(as_text=True)))

    together(register, 20)
    assert sorted(status for status, _ in answers) == [303] + [422] * 19
    assert all("is taken" in text for status, text in answers if status == 422)
    owner.execute("SELECT count(*) FROM tenants WHERE subdomain = 'quiet-harbour'")
    assert owner.fetchone() == (1,)
    owner.execute("SELECT count(*) FROM users WHERE username LIKE 'mara%%'")
    assert owner.fetchone() == (1,)


def test_the_same_form_sent_twice_makes_one_organization_and_signs_in_both_times(browser: Browser, owner: Any) -> None:
    page = browser.get("organizations.register")
    data = {**page.form("main form[action='/register']"), **registration()}
    second = Browser(browser.app)
    second.get("organizations.register")
    browser.post("organizations.register", data)
    second.post("organizations.register", {**data, "csrf_token": second.token()})
    assert "Quiet Harbour" in browser.get("/").text
    assert "Quiet Harbour" in second.get("/").text
    owner.execute("SELECT count(*) FROM tenants WHERE subdomain = 'quiet-harbour'")
    assert owner.fetchone() == (1,)
    owner.execute("SELECT count(*) FROM outbox")
    assert owner.fetchone() == (1,)


def test_a_double_click_makes_one_organization(app: Flask, owner: Any) -> None:
    browsers = [Browser(app) for _ in range(4)]
    nonce = browsers[0].get("organizations.register").form("main form[action='/register']")["nonce"]
    tokens = [browser.token() for browser in browsers]
    statuses: list[int] = []

    def register(number: int) -> None:
        response = browsers[number].client.post("/register", data={**registration(), "nonce": nonce, "csrf_token": tokens[number]})
        statuses.append(response.status_code)

    together(register, 4)
    assert statuses == [303] * 4
    owner.execute("SELECT count(*) FROM tenants WHERE subdomain = 'quiet-harbour'")
    assert owner.fetchone() == (1,)


def test_another_form_or_another_password_does_not_open_a_taken_subdomain(browser: Browser, app: Flask) -> None:
    page = browser.get("organizations.register")
    data = {**page.form("main form[action='/register']"), **registration()}
    browser.post("organizations.register", data)
    stranger = Browser(app)
    assert "is taken" in register(stranger, registration(), expect=422).text
    stolen = {**data, "csrf_token": stranger.token(), "admin_password": "another lantern over the harbour"}
    assert "is taken" in stranger.post("organizations.register", stolen, expect=422).text


def test_one_email_may_administer_twenty_organizations_registered_at_once(app: Flask, owner: Any) -> None:
    statuses: list[int] = []

    def register(number: int) -> None:
        browser = Browser(app)
        page = browser.get("organizations.register")
        email = "mara@quietharbour.example" if number % 2 else "MARA@QuietHarbour.example"
        data = {**page.form("main form[action='/register']"), **registration(subdomain=f"harbour-{number}", admin_email=email)}
        statuses.append(browser.client.post("/register", data=data).status_code)

    together(register, 20)
    assert statuses == [303] * 20
    owner.execute("SELECT count(DISTINCT tenant_id), count(*) FROM users WHERE email_key = 'mara@quietharbour.example'")
    assert owner.fetchone() == (20, 20)


def test_one_email_by_whatever_case_is_one_account_in_an_organization(app: Flask, cast: SimpleNamespace) -> None:
    from sqlalchemy.exc import IntegrityError

    from portal.database import tenancy
    from portal.extensions import db
    from portal.users.models import Role
    from portal.users.services import new_account

    with app.app_context():
        tenancy.bind(cast.acme.id)
        person = {"username": "twin", "first_name": "T", "last_name": "W", "hashed_password": "!"}
        with pytest.raises(IntegrityError, match="users_tenant_id_email_key_key"):
            new_account(user_id=uuid4(), tenant_id=cast.acme.id, role=Role.USER, email="ADMIN@Acme.Example", **person)
        db.session.rollback()


def test_registrations_are_limited_per_network(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Any) -> None:
    from portal import create_app

    app = create_app(cluster.settings(database, tmp_path, registration_limit="2 per hour"))
    for _ in range(2):
        register(Browser(app, "203.0.113.5"), registration(name=""), expect=422)
    register(Browser(app, "203.0.113.5"), registration(), expect=429)
    register(Browser(app, "203.0.113.6"), registration())


def test_the_country_is_guessed_from_the_browsers_languages(browser: Browser) -> None:
    page = browser.get("organizations.register", headers={"Accept-Language": "ja-JP,ja;q=0.9"})
    assert page.form("main form[action='/register']")["address-country"] == "JP"
    assert page.select_one("[name='address-country_area']").name == "select"
    page = browser.get("organizations.register")
    assert page.form("main form[action='/register']")["address-country"] == ""


def test_changing_the_country_without_script_keeps_what_was_typed(browser: Browser) -> None:
    data = {**registration(), "address-country": "US", "change_country": "1"}
    page = register(browser, data, expect=200)
    kept = page.form("main form[action='/register']")
    assert page.select_one("[name='address-country_area']").name == "select"
    for name in set(data) - {"change_country", "admin_password"}:
        assert kept[name] == data[name], name
    assert not page.select(".faults"), "a change of country is no fault"


def test_changing_the_country_by_htmx_swaps_the_fieldset_and_keeps_what_no_field_shows(browser: Browser) -> None:
    data = {**registration(), "address-country": "HK"}
    page = browser.post("organizations.register_address", data, expect=200, htmx=True)
    assert page.soup.html is None
    hidden = page.select_one("[name='address-postal_code']")
    assert (hidden["type"], hidden["value"]) == ("hidden", "D13 X285")
    assert page.select_one("[name='address-street_address']").get_text().strip() == "4 Harbour Road"


@pytest.mark.parametrize(
    ("subdomain", "said"),
    [
        ("quiet-harbour", "free"),
        ("acme", "taken"),
        ("ACME", "taken"),
        ("hades", "taken"),
        ("www", "kept for the portal itself"),
        ("a b", ""),
        ("-x", ""),
    ],
)
def test_a_subdomain_is_checked_while_it_is_typed(browser: Browser, subdomain: str, said: str) -> None:
    page = browser.get("organizations.check_subdomain", subdomain=subdomain, htmx=True)
    assert said in page.text
    assert page.text


def test_a_subdomain_is_suggested_from_the_name(browser: Browser) -> None:
    page = browser.get("organizations.check_subdomain", name="Ärzte & Söhne, Köln", htmx=True)
    assert "arzte-sohne-koln" in page.response.get_data(as_text=True)


def test_a_suggestion_that_is_taken_gets_a_number_and_a_name_without_letters_of_ours_gets_words(browser: Browser) -> None:
    page = browser.get("organizations.check_subdomain", name="Acme", htmx=True)
    assert page.select_one("[data-suggestion]")["data-suggestion"] == "acme-2"
    page = browser.get("organizations.check_subdomain", name="静葬祭", htmx=True)
    assert "Type one" in page.text


def test_what_was_typed_under_another_countrys_fields_is_not_stored(browser: Browser, owner: Any) -> None:
    register(browser, {**registration(), **ELSEWHERE["Hong Kong, no postal code"], "address-postal_code": "D13 X285"})
    owner.execute("SELECT address FROM tenants WHERE subdomain = 'quiet-harbour'")
    assert "postal_code" not in owner.fetchone()[0]


def test_a_password_gets_a_hint_and_is_not_repeated(browser: Browser) -> None:
    weak = browser.post("organizations.password_strength", {"admin_password": "harbour2024", "name": "harbour"}, expect=200, htmx=True)
    strong = browser.post("organizations.password_strength", {"admin_password": PASSWORD}, expect=200, htmx=True)
    assert weak.text != strong.text
    assert PASSWORD not in strong.response.get_data(as_text=True)


def test_closed_registration_says_whom_to_ask_and_takes_nothing(cluster: Any, database: str, cast: SimpleNamespace, tmp_path: Any) -> None:
    from portal import create_app

    settings = cluster.settings(database, tmp_path, registration="closed", registration_contact="office@portal.example")
    browser = Browser(create_app(settings))
    assert "office@portal.example" in browser.get("organizations.register").text
    browser.post("organizations.register", registration(), expect=403)
    assert "office@portal.example" in browser.get("organizations.check_subdomain", name="Quiet", expect=403).text
    browser.post("organizations.register_address", registration(), expect=403)
    browser.post("organizations.password_strength", registration(), expect=403)


def together(act: Any, count: int) -> None:
    threads = [threading.Thread(target=act, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
