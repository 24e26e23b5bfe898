"""Agents in a real browser: the list, the switch, an agent made by hand with a mistake on the way, and two editors at once."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.attack.furniture import FREE_AGENT, agent, put
from tests.e2e.conftest import Open
from tests.e2e.steps import sign_in, sound

WRITTEN = '{\n  "instructions": "Answer gently.",\n  "temperature": 0.30\n}'


@pytest.fixture(autouse=True)
def free(owner: Any, cast: SimpleNamespace) -> None:
    put(owner, "agents", {**agent(FREE_AGENT, "free", None), "name": "The free one", "sort_key": "the free one"})


def test_an_agent_is_switched_off_found_made_and_edited_by_two(tab: Open, app: Flask, cast: SimpleNamespace) -> None:
    page: Page = tab()
    sign_in(page, cast.acme.admin)
    page.get_by_role("navigation", name="Organization").get_by_role("link", name="Agents").click()
    page.get_by_role("button", name="Switch off The free one").click()
    expect(page.locator("tbody .mark")).to_have_text("Off")
    expect(page.get_by_role("button", name="Switch on The free one")).to_be_visible()
    page.get_by_label("Name, type or what it is for").press_sequentially("free")
    expect(page).to_have_url("/agents?q=free&owner=&state=")
    expect(page.get_by_text("1 shown of 1")).to_be_visible()
    sound(page, "the list of agents")

    page.get_by_role("link", name="Make an agent").click()
    page.get_by_label("Name", exact=True).fill("Flower advice")
    page.get_by_label("Configuration").fill('{\n "tone": "calm",\n "tone": "loud"\n}')
    expect(page.get_by_text("Line 3, column 2 (tone): this key stands twice in one object.")).to_be_visible()
    sound(page, "a mistake that is told while it is typed")
    page.get_by_label("Configuration").fill(WRITTEN)
    expect(page.get_by_text("This is a document that can be kept.")).to_be_visible()
    page.get_by_role("button", name="Make the agent").click()
    expect(page.get_by_role("heading", name="Flower advice", level=1)).to_be_visible()
    expect(page.get_by_text("Answer gently.", exact=True)).to_be_visible()
    page.get_by_text("The whole document").click()
    assert page.locator("pre").inner_text() == WRITTEN
    sound(page, "the page of an agent")

    page.get_by_role("link", name="Edit", exact=True).click()
    other = tab()
    sign_in(other, cast.acme.admin2)
    other.goto(page.url)
    other.get_by_label("What it is for").fill("For the spring")
    other.get_by_label("Name", exact=True).fill("Theirs")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("heading", name="Theirs", level=1)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Somebody else saved this agent while you were writing")).to_be_visible()
    expect(page.get_by_label("What it is for")).to_have_value("For the spring")
    sound(page, "two editors")
    page.get_by_role("button", name="Save this").click()
    expect(page.get_by_role("heading", name="Mine", level=1)).to_be_visible()


def test_without_script_all_of_it_works(tab: Open, cast: SimpleNamespace) -> None:
    page = tab(script=False)
    sign_in(page, cast.acme.admin)
    page.goto("/agents")
    page.get_by_role("button", name="Switch off The free one").click()
    expect(page.locator("tbody .mark")).to_have_text("Off")
    page.goto("/agents/new")
    page.get_by_label("Name", exact=True).fill("Flower advice")
    page.get_by_label("Configuration").fill("{")
    page.get_by_role("button", name="Make the agent").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 1, column 2")
    page.get_by_label("Configuration").fill("{}")
    page.get_by_role("button", name="Make the agent").click()
    expect(page.get_by_role("heading", name="Flower advice", level=1)).to_be_visible()
