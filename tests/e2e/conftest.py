"""A real Chromium in front of the running portal; every tab is listened to for complaints."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from werkzeug.serving import make_server

from portal import create_app
from tests.conftest import CHROMIUM

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PICTURES = os.environ.get("PORTAL_PICTURES")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 800}


expect.set_options(timeout=15_000)  # two cores, shared


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def serving(cluster: Any, database: str, instance: Path, **settings: object) -> Iterator[str]:
    """The portal served on a free port, on the worker's own database."""
    server = make_server("127.0.0.1", 0, None, threaded=True)
    address = f"http://localhost:{server.server_port}"
    server.app = create_app(cluster.settings(database, instance, public_url=address, pool_size=10, **settings))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield address
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def address(cluster: Any, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(cluster, database, tmp_path_factory.mktemp("served")) as address:
        yield address


Open = Callable[..., Page]


@pytest.fixture
def tab(chromium: Browser, address: str, cast: SimpleNamespace) -> Iterator[Open]:
    """`tab(size=…, dark=…, script=…)` opens a fresh browser window; what its console and its CSP complain about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_tab(*, size: Any = WIDE, dark: bool = False, script: bool = True, **options: Any) -> Page:
        context = chromium.new_context(
            base_url=options.pop("base_url", address), viewport=size, color_scheme="dark" if dark else "light", java_script_enabled=script,
            locale=options.pop("locale", "en-IE"), reduced_motion="reduce", **options,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(20_000)
        page.complaints = complaints
        return page

    yield open_tab
    for context in contexts:
        context.close()
    # A browser reports every answer of 4xx in its console; those that a test provokes are no complaint of ours.
    ours = [text for text in complaints if "Failed to load resource" not in text and "422" not in text]
    assert not ours, ours


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Keep a picture of the whole page where PORTAL_PICTURES names a folder."""

    def take(page: Page, name: str) -> None:
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)

    return take
