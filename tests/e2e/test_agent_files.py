"""Files of agents in a real browser: exported, changed by hand, looked through, imported; refused, and without script."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.attack.furniture import put, rows_of
from tests.e2e.conftest import Open
from tests.e2e.steps import sign_in, sound, sound_in_every_look

WRITTEN = '{\n  "instructions": "Answer gently.\\nAsk one question at a time.",\n  "temperature": 0.30\n}'


@pytest.fixture(autouse=True)
def own(owner: Any, cast: SimpleNamespace) -> None:
    for table in ("agents", "agent_versions"):
        put(owner, table, rows_of(cast.acme)[table])
    owner.execute("UPDATE agents SET agent_type = 'FLOWERS', name = 'Flower advice', configuration_template = %s", (WRITTEN,))
    owner.execute("UPDATE agent_versions SET agent_type = 'FLOWERS', name = 'Flower advice', configuration = %s", (WRITTEN,))


def taken_along(page: Page) -> str:
    page.goto("/agents")
    page.get_by_role("link", name="Import and export").click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export all agents").click()
    assert downloading.value.suggested_filename.startswith("agents-acme-as-of-")
    return Path(downloading.value.path()).read_text("utf-8")


def choose(page: Page, document: str) -> None:
    page.get_by_label("File to import").set_input_files(
        {"name": "agents.json", "mimeType": "application/json", "buffer": document.encode()}
    )
    page.get_by_role("button", name="Check the file").click()


def changed(document: str) -> str:
    assert WRITTEN in document
    document = document.replace("Answer gently", "Answer gently, and briefly").replace("0.30", "0.50")
    return document.replace("\n  ]\n}", ',\n{"name": "Stones", "agent_type": "STONES", "configuration": {"tone": "calm"}}\n  ]\n}')


def test_a_file_is_taken_along_changed_looked_through_and_brought_in(
    tab: Open, cast: SimpleNamespace, owner: Any, picture: Callable[[Page, str], None]
) -> None:
    page = tab()
    sign_in(page, cast.acme.admin)
    document = taken_along(page)
    picture(page, "agent-files")
    sound_in_every_look(page, "files of agents")

    choose(page, changed(document).replace('"calm"', '"calm",'))
    expect(page.get_by_role("alert")).to_contain_text("a key in double quotes is missing here")
    expect(page.get_by_label("File to import")).to_have_attribute("aria-invalid", "true")
    sound(page, "a file that cannot be read")

    choose(page, changed(document))
    expect(page.get_by_role("row", name="Flower advice")).to_contain_text("Different")
    expect(page.get_by_role("row", name="Stones")).to_contain_text("New")
    expect(page.locator("ins").first).to_contain_text(", and briefly")
    sound_in_every_look(page, "what is in a file")
    for dark in (False, True):
        for width in (1280, 375):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if dark else "light")
            picture(page, f"agent-file-{'dark' if dark else 'light'}-{width}")
    page.set_viewport_size({"width": 1280, "height": 900})

    owner.execute("SELECT count(*) FROM agent_versions")
    assert owner.fetchone() == (1,)
    other = tab()
    sign_in(other, cast.acme.admin2)
    other.goto("/agents")
    other.get_by_role("link", name="Flower advice").click()
    other.get_by_role("link", name="Edit", exact=True).click()
    other.get_by_label("Name", exact=True).fill("Theirs")
    other.get_by_role("button", name="Save without publishing").click()
    expect(other.get_by_text("Version 2 was saved;")).to_be_visible()

    page.get_by_label("Publish what is imported at once").check()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was imported")
    expect(page.locator("del").first).to_contain_text("Theirs")
    expect(page.get_by_label("Publish what is imported at once")).to_be_checked()
    sound(page, "somebody was faster")
    picture(page, "agent-file-faster")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("1 agent was made and 1 agent was changed; all of it is in use.")).to_be_visible()
    expect(page.get_by_role("link", name="Stones")).to_be_visible()


def test_without_script_all_of_it_works(tab: Open, cast: SimpleNamespace) -> None:
    page = tab(script=False)
    sign_in(page, cast.acme.admin)
    document = taken_along(page)
    choose(page, document)
    expect(page.locator("tbody .mark")).to_have_text(["The same"])
    page.get_by_role("link", name="Import and export").click()
    choose(page, changed(document))
    expect(page.locator("ins").first).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("1 agent was made and 1 agent was changed; what is new is used once it is published.")).to_be_visible()
    page.get_by_role("link", name="Flower advice").click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export as a file").click()
    assert "gently, and briefly" in Path(downloading.value.path()).read_text("utf-8")
