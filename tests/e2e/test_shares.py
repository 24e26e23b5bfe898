"""Sharing in a real browser: an agent is offered, accepted by another organization, used there, and ended."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.attack.furniture import agent, id_of, put
from tests.e2e.conftest import Open
from tests.e2e.steps import LOOKS, sign_in, sound_in_every_look


@pytest.fixture(autouse=True)
def flowers(owner: Any, cast: SimpleNamespace) -> str:
    """The path of an agent of acme's that is in use."""
    id_ = id_of(cast.acme, "agent")
    row = agent(id_, "acme", cast.acme.id)
    put(owner, "agents", {**row, "name": "Flower advice", "description": "Which flowers, and when.", "sort_key": "flower advice"})
    return f"/agents/{id_}"


def offer(page: Page, agent_path: str) -> None:
    page.goto(agent_path)
    page.get_by_role("link", name="Offer to an organization").click()
    page.get_by_label("Short name of the organization").fill("globex")
    page.get_by_role("button", name="Offer it").click()
    expect(page.locator("#said")).to_contain_text("Flower advice is offered to “globex”.")


def test_an_agent_is_offered_accepted_used_and_ended(
    tab: Open, app: Flask, cast: SimpleNamespace, flowers: str, picture: Callable[..., None]
) -> None:
    page, theirs = tab(), tab()

    def look(at: Page, what: str) -> None:
        sound_in_every_look(at, what)
        for name, size, dark in LOOKS:
            at.set_viewport_size(size)
            at.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
            picture(at, f"{what.replace(' ', '-')}-{name}")
        at.set_viewport_size(LOOKS[0][1])

    sign_in(page, cast.acme.admin)
    page.goto(f"{flowers}/offer")
    page.get_by_label("Short name of the organization").fill("Globex House")
    page.get_by_role("button", name="Offer it").click()
    expect(page.get_by_role("alert")).to_contain_text("A short name cannot have spaces.")
    look(page, "an offer that is refused")
    offer(page, flowers)
    expect(page.get_by_role("region", name="Shared with")).to_contain_text("Offered")
    look(page, "an agent that is offered")

    sign_in(theirs, cast.globex.admin)
    theirs.get_by_role("navigation", name="Organization").get_by_role("link", name="Agents").click()
    expect(theirs.get_by_text("One agent is offered to you.")).to_be_visible()
    look(theirs, "the list with an offer")
    theirs.get_by_role("link", name="See the offer").click()
    look(theirs, "the offers")
    theirs.locator("summary", has_text="Refuse").click()
    look(theirs, "refusing an offer")
    theirs.get_by_role("button", name="Accept Flower advice of CANARY-acme House").click()
    expect(theirs.get_by_text("Flower advice is shared with your organization; your people can use it.")).to_be_visible()
    look(theirs, "what was accepted")
    theirs.get_by_role("link", name="Flower advice").click()
    expect(theirs.get_by_role("heading", name="Flower advice", level=1)).to_be_visible()
    expect(theirs.get_by_text("CANARY-acme House shares this agent with your organization")).to_be_visible()
    look(theirs, "a shared agent at its partner")

    people = tab()
    sign_in(people, cast.globex.user)
    people.goto("/agents")
    expect(people.get_by_role("row", name="Flower advice")).to_contain_text("Shared with you")

    page.reload()
    expect(page.get_by_role("region", name="Shared with")).to_contain_text("CANARY-globex House")
    look(page, "an agent that is shared")
    page.locator("summary", has_text="End sharing").click()
    page.get_by_role("button", name="End sharing Flower advice with CANARY-globex House").click()
    expect(page.get_by_text("CANARY-globex House has Flower advice no longer.")).to_be_visible()
    people.get_by_role("link", name="Flower advice").click()
    expect(people.get_by_role("heading", name="Nothing here", level=1)).to_be_visible()
    people.goto("/agents")
    expect(people.get_by_text("There is no agent.")).to_be_visible()


def test_without_script_all_of_it_works(tab: Open, cast: SimpleNamespace, flowers: str) -> None:
    page, theirs = tab(script=False), tab(script=False)
    sign_in(page, cast.acme.admin)
    sign_in(theirs, cast.globex.admin)
    offer(page, flowers)
    theirs.goto("/agents/offers")
    refuse = theirs.get_by_role("button", name="Refuse the offer of Flower advice by CANARY-acme House")
    expect(refuse).to_be_hidden()
    theirs.locator("summary", has_text="Refuse").click()
    expect(theirs.get_by_text("your people do not get Flower advice")).to_be_visible()
    refuse.click()
    expect(theirs.get_by_text("Flower advice was refused.")).to_be_visible()
    offer(page, flowers)
    theirs.goto("/agents")
    theirs.get_by_role("link", name="See the offer").click()
    theirs.get_by_role("button", name="Accept Flower advice").click()
    theirs.goto(flowers)
    theirs.locator("summary", has_text="End sharing").click()
    theirs.get_by_role("button", name="End sharing Flower advice of CANARY-acme House").click()
    expect(theirs.get_by_text("Your organization uses Flower advice no longer.")).to_be_visible()
