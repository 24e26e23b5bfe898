"""The editor of agents: its form and its JSON are two views of one document."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal.testing.browser import Browser, Page
from portal.values import fingerprint
from tests.attack.furniture import id_of, put, rows_of

WRITTEN = (
    '{\n  "tone" : "calm",\n  "temperature": 0.30,\n  "limits": {"turns": 4, "odd": [1e2]},\n  "instructions": "Be kind.\\nBe short."\n}'
)


@pytest.fixture
def admin(app: Flask, cast: SimpleNamespace, owner: Any) -> Browser:
    put(owner, "agents", rows_of(cast.acme)["agents"])
    put(owner, "agent_versions", rows_of(cast.acme)["agent_versions"])
    owner.execute("UPDATE agents SET configuration_template = %s", (WRITTEN,))
    return Browser(app).sign_in(cast.acme.admin)


@pytest.fixture
def own(cast: SimpleNamespace) -> str:
    return id_of(cast.acme, "agent")


def opened(admin: Browser, own: str) -> dict[str, str]:
    return form_of(admin.get("agents.edit", agent_id=own), own)


def form_of(page: Page, own: str) -> dict[str, str]:
    form = page.form(f"main form[action='/agents/{own}/edit']")
    return {**form, "configuration": form["configuration"].removeprefix("\n")}


def send(admin: Browser, own: str, *, expect: int = 303, **typed: str) -> Page:
    return admin.post("agents.edit", {**opened(admin, own), "publish": "y", **typed}, agent_id=own, expect=expect)


def kept(owner: Any) -> str:
    owner.execute("SELECT configuration_template::text FROM agents WHERE owner_tenant_id IS NOT NULL")
    return str(owner.fetchone()[0])


def test_the_form_shows_the_document_and_says_nothing_of_what_it_does_not_know(admin: Browser, own: str) -> None:
    form = opened(admin, own)
    assert form["settings-instructions"].lstrip("\n") == "Be kind.\nBe short."
    assert (form["settings-temperature"], form["settings-limits_turns"], form["settings-greeting"].strip()) == ("0.30", "4", "")
    assert form["configuration"] == WRITTEN


def test_a_field_that_is_changed_changes_nothing_else_of_the_document(admin: Browser, own: str, owner: Any) -> None:
    send(admin, own, **{"settings-temperature": "0.5"})
    assert kept(owner) == WRITTEN.replace("0.30", "0.5")
    send(admin, own, **{"settings-temperature": "0.30", "name": "Another name"})
    assert kept(owner) == WRITTEN


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("[" * 30_000 + "]" * 30_000, "nested deeper than 20 levels"),
        ('{"a": ' * 30 + "1" + "}" * 30, "nested deeper than 20 levels"),
        ("[1]", "has to be an object"),
        ("null", "has to be an object"),
        (" \n null", "has to be an object"),
        ("{" + ", ".join(f'"{key}": 1' for key in range(5_000)) + "}", "more than 1,000 keys"),
        ('{"a": ' + "[" + "1," * 300_000 + "1]}", "larger than 64 KiB"),
        ("{'a': 1}", "a key in double quotes is missing here"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": 1, "a": 2}', "this key stands twice in one object"),
        ('{"a": "sk-proj-abcdefghijklmnopqrstuvwx"}', "this looks like a secret key"),
        (f'{{"a": "{"x" * 65_536}"}}', "larger than 64 KiB"),
        ("", "a value is missing here"),
    ],
    ids=range(13),
)
@pytest.mark.parametrize("typed", ["", "Hello"])
def test_a_document_that_cannot_be_kept_is_seen_as_json_whatever_is_typed(
    admin: Browser, own: str, owner: Any, document: str, sentence: str, typed: str
) -> None:
    """Beside the digest that says that the form has shown it, as only a program sends it."""
    drawn = fingerprint(document).hex()[:16]
    page = send(admin, own, expect=422, configuration=document, drawn=drawn, **{"settings-greeting": typed})
    assert sentence in page.fault("configuration")
    again = form_of(page, own)
    assert (again["view"], again["configuration"]) == ("json", document)
    assert kept(owner) == WRITTEN


def test_a_document_that_what_was_typed_mends_is_taken(admin: Browser, own: str, owner: Any) -> None:
    document = '{"greeting": "sk-proj-abcdefghijklmnopqrstuvwx"}'
    send(admin, own, configuration=document, drawn=fingerprint(document).hex()[:16], **{"settings-greeting": "Hello"})
    assert kept(owner).startswith('{"greeting": "Hello", "instructions"')
    assert "sk-" not in kept(owner)


def test_line_breaks_of_browsers_change_nothing(admin: Browser, own: str, owner: Any) -> None:
    form = {name: text.replace("\n", "\r\n") for name, text in opened(admin, own).items()}
    admin.post("agents.edit", {**form, "settings-greeting": "Hello", "publish": "y"}, agent_id=own, expect=303)
    assert kept(owner) == WRITTEN.replace('short."\n}', 'short.",\n  "greeting": "Hello"\n}')


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("temperature", "2.1", "Between 0 and 2, for example 0.3."),
        ("temperature", "warm", "Between 0 and 2, for example 0.3."),
        ("limits_turns", "0", "A whole number from 1 to 1,000"),
        ("language", "German", "the tag of a language"),
        ("instructions", "sk-proj-abcdefghijklmnopqrstuvwx", "looks like a secret key"),
    ],
)
def test_what_a_setting_cannot_be_is_said_beside_it_and_stays_typed(
    admin: Browser, own: str, owner: Any, field: str, typed: str, sentence: str
) -> None:
    page = send(admin, own, expect=422, **{f"settings-{field}": typed, "name": "Typed too"})
    assert sentence in page.fault(f"settings-{field}")
    again = form_of(page, own)
    assert (again[f"settings-{field}"].lstrip("\n"), again["name"], again["configuration"]) == (typed, "Typed too", WRITTEN)
    assert kept(owner) == WRITTEN


def test_the_other_view_shows_what_was_typed_in_this_one_and_saves_nothing(admin: Browser, own: str, owner: Any) -> None:
    page = send(admin, own, expect=200, show="json", **{"settings-temperature": "0.5"})
    as_json = form_of(page, own)
    assert as_json["configuration"] == WRITTEN.replace("0.30", "0.5")
    assert not page.soup.select("[name^=settings-]")
    typed = as_json["configuration"].replace("calm", "warm").replace("0.5", "0.7")
    page = admin.post("agents.edit", {**as_json, "configuration": typed, "show": "form"}, agent_id=own, expect=200)
    as_form = form_of(page, own)
    assert as_form["settings-temperature"] == "0.7"
    assert kept(owner) == WRITTEN
    admin.post("agents.edit", {**as_form, "publish": "y"}, agent_id=own, expect=303)
    assert kept(owner) == WRITTEN.replace("calm", "warm").replace("0.30", "0.7")


def test_json_that_cannot_be_read_stays_json_until_it_can(admin: Browser, own: str) -> None:
    as_json = form_of(send(admin, own, expect=200, show="json"), own)
    page = admin.post("agents.edit", {**as_json, "configuration": '{"a": }', "show": "form"}, agent_id=own, expect=422)
    assert "Line 1, column 7" in page.fault("configuration")
    assert form_of(page, own)["configuration"] == '{"a": }'


def test_a_form_view_with_a_fault_stays_the_form(admin: Browser, own: str) -> None:
    page = send(admin, own, expect=422, show="json", **{"settings-temperature": "9"})
    assert "Between 0 and 2" in page.fault("settings-temperature")


def test_known_keys_are_checked_in_json_too(admin: Browser, own: str, owner: Any) -> None:
    as_json = form_of(send(admin, own, expect=200, show="json"), own)
    page = admin.post("agents.edit", {**as_json, "configuration": WRITTEN.replace("0.30", '"warm"')}, agent_id=own, expect=422)
    assert "Line 3, column 18 (temperature): between 0 and 2" in page.fault("configuration")
    assert kept(owner) == WRITTEN


def test_what_only_json_can_say_is_left_alone_by_the_form(admin: Browser, own: str, owner: Any) -> None:
    odd = '{"instructions": "a\\u0085b", "greeting": "Hi"}'
    owner.execute("UPDATE agents SET configuration_template = %s", (odd,))
    page = admin.get("agents.edit", agent_id=own)
    assert "written as JSON in a way that the form cannot show" in page.text
    admin.post("agents.edit", {**form_of(page, own), "settings-greeting": "Hello", "publish": "y"}, agent_id=own, expect=303)
    assert kept(owner) == odd.replace("Hi", "Hello")


def test_a_document_that_cannot_be_read_opens_as_json_with_its_fault(admin: Browser, own: str, owner: Any) -> None:
    owner.execute("UPDATE agents SET configuration_template = %s", ('{"a": 1, "a": 2}',))
    page = admin.get("agents.edit", agent_id=own)
    assert "this key stands twice" in page.fault("configuration")
    assert not page.soup.select("[name^=settings-]")


def test_whoever_sends_another_document_than_the_form_showed_means_that_one(admin: Browser, own: str, owner: Any) -> None:
    send(admin, own, configuration='{"instructions": "Written by a program."}')
    assert kept(owner) == '{"instructions": "Written by a program."}'


def test_two_editors_of_different_settings_see_both_documents(
    app: Flask, admin: Browser, own: str, owner: Any, cast: SimpleNamespace
) -> None:
    mine = {**opened(admin, own), "settings-temperature": "1"}
    send(Browser(app).sign_in(cast.acme.admin2), own, **{"settings-greeting": "From the other"})
    page = admin.post("agents.edit", mine, agent_id=own, expect=409)
    told = {table.caption.get_text().partition(",")[0]: table.get_text() for table in page.select("#conflict table.diff")}
    assert told.keys() == {"Temperature", "Greeting"}
    assert "From the other" in told["Greeting"]
    again = form_of(page, own)
    assert again["settings-temperature"] == "1"
    admin.post("agents.edit", {**again, "publish": "y"}, agent_id=own, expect=303)
    assert kept(owner) == WRITTEN.replace("0.30", "1")
