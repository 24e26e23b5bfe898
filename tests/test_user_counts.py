"""How many users there are is known without counting them: whatever happens to accounts, and whoever folds meanwhile."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.database import connect, tenancy
from portal.database.reading import Reading
from portal.testing.browser import Browser
from portal.users import finding
from portal.users.commands import FindUsers
from portal.users.models import STATE
from portal.worker.cleanup import ADDED, clean_up, fold
from tests.crowd import NOW, crowd, person, put
from tests.steps import users_shown

DAY = "CASE WHEN {day} = '-infinity' THEN 'never' ELSE to_char({day}, CASE WHEN {day} < current_date - 120 THEN 'YYYY' ELSE 'YYYY-MM-DD' END) END"
SIGNED_IN_ON = DAY.format(day="coalesce((last_sign_in_at AT TIME ZONE 'UTC')::date, '-infinity')")
REAL = f"""
    SELECT tenant_id, role, {STATE} AS state, is_verified, NULL AS day, count(*) FROM users GROUP BY 1, 2, 3, 4
    UNION ALL SELECT tenant_id, NULL, NULL, NULL, {SIGNED_IN_ON}, count(*) FROM users WHERE removed_at IS NULL GROUP BY 1, 5"""
KNOWN = f"""
    SELECT tenant_id, role, state, is_verified, CASE WHEN signed_in_on IS NOT NULL THEN {DAY.format(day="signed_in_on")} END AS day, sum(number)
    FROM user_counts GROUP BY 1, 2, 3, 4, 5 HAVING sum(number) <> 0"""
# What happens to some accounts at once; {some} is a condition that takes a part of them.
CHANGES = [
    "UPDATE users SET role = CASE role WHEN 'user' THEN 'org_admin' ELSE 'user' END WHERE {some}",
    "UPDATE users SET is_active = NOT is_active WHERE {some} AND accepted_at IS NOT NULL AND removed_at IS NULL",
    "UPDATE users SET is_verified = NOT is_verified, role = 'user' WHERE {some}",
    "UPDATE users SET last_sign_in_at = now() - random() * interval '900 days' WHERE {some}",
    "UPDATE users SET last_sign_in_at = NULL WHERE {some}",
    "UPDATE users SET density = 'compact' WHERE {some}",
    "UPDATE users SET removed_at = now(), is_active = false, first_name = NULL, last_name = NULL, username = NULL, username_key = NULL,"
    " email = NULL, email_key = NULL, hashed_password = NULL, search_text = NULL WHERE {some}",
    "DELETE FROM users WHERE {some}",
    "DELETE FROM users WHERE false",
]
FILTERS = {
    "role": ("", "user", "org_admin"),
    "state": ("", "active", "deactivated", "invited", "removed"),
    "verified": ("", "yes", "no"),
    "signed_in": ("", *finding.SIGNED_IN),
}


def wrong(cursor: Any) -> list[Any]:
    """What is known and not so, or so and not known, in one snapshot."""
    cursor.execute(f"(({REAL}) EXCEPT ({KNOWN})) UNION ALL (({KNOWN}) EXCEPT ({REAL}))")
    return list(cursor.fetchall())


@pytest.fixture
def crowds(owner: Any, cast: SimpleNamespace) -> list[UUID]:
    """Two organizations of five hundred; nobody else refers to these accounts."""
    tenants = [cast.acme.id, cast.globex.id]
    for number, tenant in enumerate(tenants):
        put(owner, crowd(tenant, 500, seed=number))
    return tenants


def test_what_happens_to_accounts_is_known(owner: Any, cast: SimpleNamespace, crowds: list[UUID], worker: Any) -> None:
    dice = random.Random(11)
    people = ", ".join(f"'{one.id}'" for organization in vars(cast).values() for one in organization.people.values())
    for change in [*CHANGES, *dice.choices(CHANGES, k=40)]:
        owner.execute(change.format(some=f"id NOT IN ({people}) AND hashtext(id::text) % 10 = {dice.randrange(10)}"))
        assert wrong(owner) == [], change
        if dice.random() < 0.3:
            fold(worker)
            assert wrong(owner) == [], "after folding"
        put(owner, [person(crowds[0], 10_000 + dice.getrandbits(40)) for _ in range(5)])
    assert wrong(owner) == []


def test_nothing_is_known_of_what_was_rolled_back(owner: Any, crowds: list[UUID]) -> None:
    owner.execute(f"BEGIN; DELETE FROM users WHERE tenant_id = '{crowds[0]}' AND last_name = 'Ortiz'")
    assert wrong(owner) == []
    owner.execute("ROLLBACK")
    assert wrong(owner) == []


def test_the_worker_folds_for_organizations_that_were_added_to_often(owner: Any, worker: Any, crowds: list[UUID]) -> None:
    clean_up(worker)
    for number in range(ADDED):
        owner.execute(
            f"UPDATE users SET is_verified = NOT is_verified WHERE tenant_id = '{crowds[0]}' AND hashtext(id::text) % 7 = {number % 7}"
        )
    owner.execute(f"UPDATE users SET role = 'org_admin' WHERE tenant_id = '{crowds[1]}' AND last_name = 'Ortiz'")
    clean_up(worker)
    owner.execute("SELECT tenant_id::text, count(*) FROM user_counts WHERE NOT is_folded GROUP BY 1")
    left = dict(owner.fetchall())
    assert str(crowds[0]) not in left
    assert str(crowds[1]) in left
    assert all(number < ADDED for number in left.values())
    owner.execute(
        f"SELECT count(*), count(DISTINCT (role, state, is_verified, signed_in_on)) FROM user_counts WHERE tenant_id = '{crowds[0]}'"
    )
    rows, different = owner.fetchone()
    assert rows == different > 0
    assert wrong(owner) == []


def test_sums_that_nothing_was_added_to_stay(owner: Any, worker: Any, crowds: list[UUID]) -> None:
    def sums() -> dict[str, str]:
        owner.execute("SELECT id::text, concat_ws(' ', role, state, is_verified, signed_in_on) FROM user_counts WHERE is_folded")
        return dict(owner.fetchall())

    for number in range(2 * ADDED):
        days = f"interval '{number % 2 + 1} days'"
        owner.execute(f"UPDATE users SET last_sign_in_at = now() - {days} WHERE tenant_id = '{crowds[0]}' AND last_name = 'Ortiz'")
        if number == ADDED - 1:
            fold(worker)
            before = sums()
    fold(worker)
    after = sums()
    written_anew = {what for id, what in before.items() if id not in after}
    assert len(written_anew) == 1 < len(before), "the day on which they all signed in last"
    assert wrong(owner) == []


def test_no_day_that_is_stored_keeps_the_worker_from_folding(owner: Any, worker: Any, crowds: list[UUID]) -> None:
    for number in range(ADDED):
        day = ("4714-12-01 00:00+00 BC", "0001-01-01 00:00+00", "294276-12-31 00:00+00", "2000-02-29 00:00+00")[number % 4]
        owner.execute("UPDATE users SET last_sign_in_at = %s WHERE tenant_id = %s AND last_name = 'Ortiz'", [day, str(crowds[0])])
    fold(worker)
    owner.execute("SELECT count(*) FROM user_counts WHERE NOT is_folded AND tenant_id = %s", [str(crowds[0])])
    assert owner.fetchone() == (0,)


def test_many_who_change_and_fold_at_once_wait_for_nobody_and_lose_nothing(
    cluster: Any, database: str, owner: Any, crowds: list[UUID]
) -> None:
    """Four change accounts of their own, two fold, and somebody looks all the while."""
    urls, done = cluster.urls(database), threading.Event()

    def change(part: int) -> None:
        with closing(connect(urls["owner"])) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for number in range(60):
                some = f"tenant_id = '{crowds[number % 2]}' AND hashtext(id::text) % 8 IN ({part}, -{part + 1})"
                cursor.execute(CHANGES[number % 5].format(some=some))

    def keep_folding(_: int) -> None:
        with closing(connect(urls["worker"])) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not done.is_set():
                cursor.execute("SELECT fold_user_counts(2, 100)")

    with ThreadPoolExecutor(6) as threads:
        folding = [threads.submit(keep_folding, number) for number in range(2)]
        changing = [threads.submit(change, part) for part in range(4)]
        looks = 0
        while looks < 5 or not all(one.done() for one in changing):
            assert wrong(owner) == []
            looks += 1
        done.set()
        for one in (*changing, *folding):
            one.result()
    assert wrong(owner) == []


@pytest.fixture
def told(app: Flask, cast: SimpleNamespace) -> Callable[..., tuple[int | None, int]]:
    """`told(role="user")`: what is surely known of those who are asked for, None where nothing is; and how many there are."""

    def ask(**asked: str) -> tuple[int | None, int]:
        find = FindUsers.model_validate(asked)
        with app.app_context(), tenancy.bound(cast.acme.id, user=cast.acme.admin.id, role="org_admin"):
            shape, parameters = finding._shape(find), {"tenant": cast.acme.id, **finding._given(find)}
            known = Reading(f"SELECT {shape.at_least} AS number").one(**parameters).number if shape.at_least else None
            return known, finding.find(cast.acme.id, find, 25).total or 0

    return ask


def test_what_is_surely_known_is_so_and_only_days_in_part_are_left_out(told: Any, owner: Any, cast: SimpleNamespace) -> None:
    put(owner, crowd(cast.acme.id, 400))
    put(owner, [person(cast.acme.id, 2000 + hours, last_sign_in_at=NOW - timedelta(hours=hours)) for hours in range(0, 24 * 95, 5)])
    asked = [{name: value for name, value in zip(FILTERS, values, strict=True) if value} for values in product(*FILTERS.values())]
    exact = 0
    for word in asked:
        known, real = told(**word)
        if "signed_in" in word and len(word) > 1:
            assert known is None, word
        elif word.get("signed_in") in ("week", "quarter", "longer"):
            assert 0 < real - 40 <= known <= real, word
        else:
            assert (known or 0) == real, word
            exact += bool(real)
    assert exact > 30


@pytest.mark.parametrize(
    "asked", [{}, {"role": "org_admin"}, {"state": "removed"}, {"verified": "no"}, {"signed_in": "never"}, {"signed_in": "week"}]
)
def test_a_page_says_more_than_ten_thousand_by_what_is_known_and_counts_where_nothing_is(
    app: Flask, owner: Any, cast: SimpleNamespace, asked: dict[str, str]
) -> None:
    put(owner, crowd(cast.acme.id, 60))
    browser = Browser(app).sign_in(cast.acme.admin)
    counted = users_shown(browser.get("users.index", **asked))
    assert " of " in counted
    owner.execute("UPDATE user_counts SET number = number + 10000 WHERE tenant_id = %s", [str(cast.acme.id)])
    assert "more than 10,000" in users_shown(browser.get("users.index", **asked))
    owner.execute("DELETE FROM user_counts")
    assert users_shown(browser.get("users.index", **asked)) == counted
