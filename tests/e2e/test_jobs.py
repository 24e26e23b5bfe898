"""Somebody watches a job in a real browser: the bar moves by itself, and the page asks no further when it is over."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from psycopg2.extras import Json

from tests import kinds  # noqa: F401  (its kinds have titles)
from tests.attack.furniture import put, rows_of
from tests.e2e.conftest import Open
from tests.e2e.steps import LOOKS, overflow, sign_in, sound

CHANGE = "UPDATE jobs SET {} WHERE id = %s"


def put_job(owner: Any, cast: SimpleNamespace, **values: Any) -> str:
    texts = {"kind": "tests.add", "error": None, "report": None, "checkpoint": None, "state": "queued"}
    row = {**rows_of(cast.acme)["jobs"], **texts, **values}
    put(owner, "jobs", row)
    return str(row["id"])


def test_the_bar_moves_by_itself_until_the_report_is_there(
    tab: Open, cast: SimpleNamespace, owner: Any, picture: Callable[[Page, str], None]
) -> None:
    page, asked = tab(), []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/progress") else None)
    sign_in(page, cast.acme.admin)
    job_id = put_job(owner, cast)
    page.goto(f"/jobs/{job_id}")
    expect(page.locator("#job")).to_contain_text("It waits to be taken up")
    begun = "state = 'running', started_at = now() - interval '10 seconds', beat_at = now(), done = 500, total = 2000"
    owner.execute(CHANGE.format(begun), [job_id])
    expect(page.locator("#job progress")).to_have_attribute("value", "500")
    expect(page.locator("#job")).to_contain_text("50 per second")
    sound(page, "a job that is done now")
    picture(page, "job-running")
    owner.execute(CHANGE.format("done = 1500, beat_at = now()"), [job_id])
    expect(page.locator("#job progress")).to_have_attribute("value", "1500")
    report = Json({"users_added": 2000, "lines_with_a_warning": ["Line 7: no first name", "Line 12: no last name"]})
    owner.execute("UPDATE jobs SET state = 'done', done = 2000, finished_at = now(), report = %s WHERE id = %s", [report, job_id])
    expect(page.locator("#report")).to_contain_text("2,000")
    expect(page.locator("#announcer")).to_have_text("Adding users: done.")
    sound(page, "a job that is done")
    picture(page, "job-done")
    over = len(asked)
    assert over >= 3
    page.wait_for_timeout(5000)
    assert len(asked) == over, "it asks no further"


def test_without_script_the_page_says_how_far_it_is_when_it_is_opened_again(tab: Open, cast: SimpleNamespace, owner: Any) -> None:
    page = tab(script=False)
    sign_in(page, cast.acme.user)
    job_id = put_job(owner, cast)
    page.goto(f"/jobs/{job_id}")
    owner.execute(CHANGE.format("state = 'failed', finished_at = now(), error = 'Line 7 has no e-mail address.'"), [job_id])
    page.get_by_role("link", name="Look again").click()
    expect(page.locator("#job .refused")).to_have_text("Line 7 has no e-mail address.")


@pytest.mark.parametrize(("name", "size", "dark"), LOOKS, ids=[look[0] for look in LOOKS])
def test_a_job_in_each_state_is_sound(
    tab: Open, cast: SimpleNamespace, owner: Any, picture: Callable[[Page, str], None], name: str, size: dict[str, int], dark: bool
) -> None:
    page = tab(size=size, dark=dark)
    sign_in(page, cast.acme.admin)
    job_id = put_job(owner, cast, done=100)
    for state, change in {
        "again": "error = 'server closed the connection unexpectedly'",
        "without a total": "state = 'running', started_at = now() - interval '1 minute', beat_at = now()",
        "failed": "state = 'failed', finished_at = now(), error = 'Line 7 of the file “people of the second office.csv” has no e-mail.'",
    }.items():
        owner.execute(CHANGE.format(change), [job_id])
        page.goto(f"/jobs/{job_id}")
        sound(page, f"a job that is {state}")
        assert overflow(page) <= 0
        picture(page, f"job-{state.replace(' ', '-')}-{name}")
