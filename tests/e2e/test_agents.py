"""Agents in a real browser: the list, the switch, a clone from its first mistake to its fourth version, drafts, and two editors at once."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.attack.furniture import FREE_AGENT, agent, put
from tests.e2e.conftest import WIDE, Open
from tests.e2e.steps import LOOKS, sign_in, sound, sound_in_every_look

WRITTEN = '{\n  "instructions": "Answer gently.",\n  "temperature": 0.30\n}'


@pytest.fixture(autouse=True)
def free(owner: Any, cast: SimpleNamespace) -> None:
    put(owner, "agents", {**agent(FREE_AGENT, "free", None), "name": "The free one", "sort_key": "the free one"})


def signed_in(tab: Open, person: Any, path: str = "/agents", **how: Any) -> Page:
    page = tab(**how)
    sign_in(page, person)
    page.goto(path)
    return page


def cloned(page: Page) -> None:
    """The free agent, cloned; its editor is open."""
    page.goto(f"/agents/{FREE_AGENT}")
    page.get_by_role("button", name="Make your own copy").click()
    expect(page.get_by_role("heading", name="Edit The free one (copy)", level=1)).to_be_visible()


def kept(page: Page) -> None:
    """Wait until what was typed last is kept."""
    expect(page.locator("#draft-kept")).to_contain_text("Draft kept")


def test_a_free_agent_is_switched_off_and_its_clone_edited_compared_restored_and_published(tab: Open, cast: SimpleNamespace) -> None:
    page = signed_in(tab, cast.acme.admin, "/")
    page.get_by_role("navigation", name="Organization").get_by_role("link", name="Agents").click()
    page.get_by_role("button", name="Switch off The free one").click()
    expect(page.locator("tbody .mark")).to_have_text("Off")
    expect(page.get_by_role("button", name="Switch on The free one")).to_be_visible()
    page.get_by_label("Name, type or what it is for").press_sequentially("free")
    expect(page).to_have_url("/agents?q=free&owner=&state=&capability=")
    expect(page.get_by_text("1 shown of 1")).to_be_visible()
    sound(page, "the list of agents")

    page.get_by_role("link", name="The free one").click()
    cloned(page)
    page.get_by_label("Name", exact=True).fill("Flower advice")
    page.get_by_role("button", name="Edit as JSON").click()
    page.get_by_label("Configuration").fill('{\n "tone": "calm",\n "tone": "loud"\n}')
    expect(page.get_by_text("Line 3, column 2 (tone): this key stands twice in one object.")).to_be_visible()
    sound(page, "a mistake that is told while it is typed")
    page.get_by_role("button", name="Save and publish").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 3, column 2 (tone)")
    page.get_by_label("Configuration").fill(WRITTEN)
    expect(page.get_by_text("This is a document that can be kept.")).to_be_visible()
    page.get_by_label("What is new").fill("Made our own")
    page.get_by_role("button", name="Save and publish").click()
    expect(page.get_by_role("heading", name="Flower advice", level=1)).to_be_visible()
    expect(page.get_by_text("Version 2 was saved and is in use.")).to_be_visible()
    expect(page.get_by_text("Answer gently.", exact=True)).to_be_visible()
    page.get_by_text("The whole document").click()
    assert page.locator("pre").inner_text() == WRITTEN

    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Temperature").fill("0.40")
    page.get_by_role("button", name="Save without publishing").click()
    expect(page.get_by_text("Version 3 is saved, but not published; version 2 is in use, and is what this page shows.")).to_be_visible()
    sound_in_every_look(page, "an agent with a version that waits")
    page.get_by_role("link", name="See what is new").click()
    expect(page.get_by_role("table", name="Temperature").locator("del")).to_contain_text("30")
    expect(page.get_by_role("table", name="Temperature").locator("ins")).to_contain_text("40")
    sound_in_every_look(page, "two versions side by side")
    page.get_by_role("link", name="In one column").click()
    expect(page).to_have_url(re.compile("layout=column"))
    sound_in_every_look(page, "two versions in one column")
    page.get_by_role("button", name="Restore version 2").click()
    expect(page.get_by_text("What version 2 said is saved again, as version 4. Publish it to use it.")).to_be_visible()
    expect(page.get_by_role("row", name="Made our own")).to_contain_text("In use")
    sound_in_every_look(page, "the versions of an agent")
    page.get_by_label("Compare version").select_option("1")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Versions 1 and 4 of Flower advice", level=1)).to_be_visible()
    page.get_by_role("link", name="Versions", exact=True).click()
    page.get_by_role("button", name="Publish version 4").click()
    expect(page.get_by_text("Version 4 is in use.")).to_be_visible()
    expect(page.get_by_role("row", name="what version 2 said")).to_contain_text("In use")


def test_typing_survives_a_closed_tab(tab: Open, cast: SimpleNamespace) -> None:
    page = signed_in(tab, cast.acme.admin)
    cloned(page)
    address = page.url
    page.get_by_role("button", name="Edit as JSON").click()
    page.get_by_label("Name", exact=True).press("End")
    page.get_by_label("Name", exact=True).press_sequentially(" and more")
    with page.expect_response(lambda answer: answer.url.endswith("/draft") and "finished" in (answer.request.post_data or "")):
        page.get_by_label("Configuration").fill('{\n "not finished')
    kept(page)
    reopened = page.context.new_page()
    page.close()
    reopened.goto(address)
    expect(reopened.get_by_text("This is your draft of")).to_be_visible()
    expect(reopened.get_by_label("Name", exact=True)).to_have_value("The free one (copy) and more")
    expect(reopened.get_by_label("Configuration")).to_have_value('{\n "not finished')
    sound_in_every_look(reopened, "a draft")
    reopened.get_by_role("button", name="Discard draft").click()
    expect(reopened.get_by_text("The draft was discarded.")).to_be_visible()
    expect(reopened.get_by_label("Name", exact=True)).to_have_value("The free one (copy)")


def test_of_two_editors_the_second_loses_no_word(tab: Open, cast: SimpleNamespace) -> None:
    page = signed_in(tab, cast.acme.admin)
    cloned(page)
    other = signed_in(tab, cast.acme.admin2, page.url)
    other.get_by_label("What it is for").fill("For the spring")
    other.get_by_label("Name", exact=True).fill("Theirs")
    other.get_by_role("button", name="Save and publish").click()
    expect(other.get_by_role("heading", name="Theirs", level=1)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Mine")
    kept(page)
    page.reload()
    expect(page.get_by_text("Somebody has saved another version since; when you save, you see both.")).to_be_visible()
    page.get_by_role("button", name="Save without publishing").click()
    expect(page.get_by_text("Somebody else saved this agent while you were writing")).to_be_visible()
    expect(page.get_by_label("What it is for")).to_have_value("For the spring")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Mine")
    sound(page, "two editors")
    page.get_by_role("button", name="Save and publish").click()
    expect(page.get_by_role("heading", name="Mine", level=1)).to_be_visible()


def test_an_agent_is_unpublished_after_a_question(tab: Open, cast: SimpleNamespace, picture: Callable[..., None]) -> None:
    page = signed_in(tab, cast.acme.admin)
    cloned(page)
    page.get_by_role("button", name="Save and publish").click()
    ways = page.get_by_role("region", name="Availability")
    expect(ways.get_by_role("button", name="Unpublish it")).to_be_hidden()
    ways.get_by_text("Unpublish …").click()
    sound_in_every_look(page, "unpublishing an agent")
    for name, size, dark in LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        picture(page, f"unpublishing-an-agent-{name}")
    page.set_viewport_size(WIDE)
    ways.get_by_role("button", name="Unpublish it").click()
    expect(page.get_by_text("Nobody uses The free one (copy) until a version is published again.")).to_be_visible()
    expect(ways.get_by_text("Unpublish …")).to_have_count(0)


def test_an_agent_that_nobody_used_is_removed(tab: Open, cast: SimpleNamespace) -> None:
    page = signed_in(tab, cast.acme.admin)
    cloned(page)
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Remove …").click()
    sound_in_every_look(page, "removing an agent")
    page.get_by_role("button", name="Remove for good").click()
    expect(page.get_by_text("The free one (copy) was removed.")).to_be_visible()
    expect(page.get_by_text("1 shown of 1")).to_be_visible()


def test_without_script_all_of_it_works(tab: Open, cast: SimpleNamespace) -> None:
    page = signed_in(tab, cast.acme.admin, script=False)
    page.get_by_role("button", name="Switch off The free one").click()
    expect(page.locator("tbody .mark")).to_have_text("Off")
    page.goto("/agents/new")
    page.get_by_label("Name", exact=True).fill("Flower advice")
    page.get_by_role("button", name="Edit as JSON").click()
    page.get_by_label("Configuration").fill("{")
    page.get_by_role("button", name="Keep as a draft").click()
    expect(page.get_by_text("This is your draft of")).to_be_visible()
    expect(page.get_by_label("Configuration")).to_have_value("{")
    page.get_by_role("button", name="Make, publish later").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 1, column 2")
    page.get_by_label("Configuration").fill("{}")
    page.get_by_role("button", name="Make, publish later").click()
    expect(page.get_by_role("heading", name="Flower advice", level=1)).to_be_visible()
    page.get_by_role("button", name="Publish version 1").click()
    expect(page.get_by_text("Version 1 is in use.")).to_be_visible()
    page.goto("/agents")
    page.get_by_role("link", name="Flower advice").click()
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("What it is for").fill("For the spring")
    page.get_by_role("button", name="Save without publishing").click()
    page.get_by_role("link", name="See what is new").click()
    page.get_by_role("button", name="Restore version 1").click()
    expect(page.get_by_text("What version 1 said is saved again, as version 3.")).to_be_visible()
    page.get_by_role("button", name="Publish version 2").click()
    expect(page.get_by_text("Version 2 is in use.")).to_be_visible()
