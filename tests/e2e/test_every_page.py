"""Every page of the portal in a real browser: accessible in both themes, whole in a narrow window and in large text, silent on the console."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page

from tests.attack.furniture import put, rows_of
from tests.e2e.conftest import Open
from tests.e2e.steps import LOOKS, overflow, sign_in, sound
from tests.test_doors import PUBLIC, path_of

# Doors that answer GET with something else than a page: fragments, files, what machines read; and pages that only a live link or an act
# leads to, which test_joining.py, test_links_by_mail.py and test_many_users.py look at.
ORIGIN = '{"name": "Before", "agent_type": "BEFORE", "description": null, "capabilities": [], "configuration": "{}"}'
NO_PAGES = {
    "invitations.accept",
    "forgotten.reset",
    "account.confirm",
    "organizations.check_subdomain",
    "audit.export",
    "users.export",
    "agent_files.export",
    "agent_files.export_all",
    "bulk.show",
    "imports.columns",
    "imports.show",
    "health.healthz",
    "health.readyz",
}


def pages(app: Flask, cast: SimpleNamespace) -> list[tuple[str, str]]:
    """(endpoint, path) of every page, one of the cast's objects in each address that names one."""
    rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ()) and rule.endpoint not in NO_PAGES]
    return sorted((rule.endpoint, path_of(app, rule, cast)) for rule in rules)


def walked(app: Flask, cast: SimpleNamespace, page: Page) -> Any:
    """Each page in turn: those for visitors first, then, signed in, the others; and the two pages that nobody has an address of."""
    for endpoint, path in pages(app, cast):
        if endpoint in PUBLIC:
            assert page.goto(path).status == 200, path
            yield path
    page.goto("/nowhere")
    yield "/nowhere"
    for person in (cast.acme.user, cast.acme.admin):
        sign_in(page, person)
        for endpoint, path in pages(app, cast):
            if endpoint not in PUBLIC:
                status = page.goto(path).status
                assert status == 200 or (status, person.role) == (403, "user"), f"{person.role} {path}: {status}"
                yield f"{path} as {person.role}"
        page.context.clear_cookies()


@pytest.fixture(autouse=True)
def furniture(owner: Any, cast: SimpleNamespace) -> None:
    """What the addresses of pages name besides people."""
    for table in ("jobs", "agents"):
        put(owner, table, rows_of(cast.acme)[table])
    put(owner, "agent_versions", rows_of(cast.acme)["agent_versions"])
    owner.execute("UPDATE agents SET origin_agent_id = id, origin_version = 1, origin_content = %s", (ORIGIN,))
    theirs = rows_of(cast.globex)
    put(owner, "agents", theirs["agents"])
    put(owner, "agent_shares", theirs["agent_shares"] | {"partner_subdomain": "acme"})


@pytest.mark.parametrize(("name", "size", "dark"), LOOKS, ids=[look[0] for look in LOOKS])
def test_no_page_has_a_fault_of_accessibility(
    tab: Open, app: Flask, cast: SimpleNamespace, picture: Callable[..., None], name: str, size: dict[str, int], dark: bool
) -> None:
    page = tab(size=size, dark=dark)
    for what in walked(app, cast, page):
        sound(page, what)
        picture(page, f"{what.strip('/').replace('/', '-') or 'overview'}-{name}")


def test_a_narrow_window_and_large_text_lose_nothing_of_any_page(tab: Open, app: Flask, cast: SimpleNamespace) -> None:
    page = tab(dark=True)
    for what in walked(app, cast, page):
        page.set_viewport_size({"width": 320, "height": 700})
        assert overflow(page) <= 0, what
        page.set_viewport_size({"width": 640, "height": 900})
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert overflow(page) <= 0, f"{what} in large text"
        page.set_viewport_size({"width": 1280, "height": 900})
