"""Users are found: in every order, page by page, by filters and by fragments, and nobody else's."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID
from zlib import crc32

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from portal.database import tenancy
from portal.testing.browser import Browser, Page
from portal.users import finding
from portal.users.commands import SORTS, FindUsers
from tests.attack.roles import DENIED, Role
from tests.crowd import NOW, crowd, person, put
from tests.statements import counted
from tests.steps import user_rows, users_shown

EVER = datetime.min.replace(tzinfo=NOW.tzinfo)
KEYS: dict[str, Callable[[dict[str, Any]], tuple[Any, ...]]] = {
    "name": lambda row: (row["sort_key"],),
    "username": lambda row: (row["username_key"] or "",),
    "email": lambda row: (row["email_key"] or "",),
    "verified": lambda row: (row["is_verified"], row["sort_key"]),
    "role": lambda row: (row["role"], row["sort_key"]),
    "state": lambda row: (row["state"], row["sort_key"]),
    "last_sign_in": lambda row: (row["last_sign_in_at"] or EVER,),
    "since": lambda row: (row["created_at"] or EVER,),
}
ORDERS = [way + sort for sort in KEYS for way in ("", "-")]


def in_order(rows: list[dict[str, Any]], sort: str, removed: bool = False) -> list[UUID]:
    """The ids in the order in which Python puts the rows."""
    key = (lambda row: (row["removed_at"],)) if removed else KEYS[sort.removeprefix("-")]
    return [row["id"] for row in sorted(rows, key=lambda row: (*key(row), row["id"].int), reverse=sort.startswith("-"))]


@pytest.fixture
def find(app: Flask, cast: SimpleNamespace) -> Callable[..., finding.Found]:
    """`find(q=…, sort=…, size=25)` as acme's administrator, in transactions of the role that the portal uses."""
    acme = cast.acme

    def found(size: int = 25, **asked: Any) -> finding.Found:
        with app.app_context(), tenancy.bound(acme.id, user=acme.admin.id, role="org_admin"):
            return finding.find(acme.id, FindUsers.model_validate(asked), size)

    return found


@pytest.fixture
def only(owner: Any, cast: SimpleNamespace) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """`only(rows)` leaves acme with these users and no others."""

    def left(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        owner.execute("DELETE FROM users WHERE tenant_id = %s", (str(cast.acme.id),))
        put(owner, rows)
        return rows

    return left


def ids(found: finding.Found) -> list[UUID]:
    return [UUID(row.id) for row in found.rows]


def walk(find: Callable[..., finding.Found], expected: list[UUID], size: int = 25, **asked: Any) -> None:
    """To the end and back again: each row once, and the numbers that stand above the table are right on every page."""
    found, place = find(size, **asked), 0
    while True:
        assert ids(found) == expected[place : place + size]
        assert (found.total, found.first) == (len(expected), place + 1 if found.rows else None)
        assert (found.newer is None, found.older is None) == (place == 0, place + size >= len(expected))
        if found.older is None:
            break
        found, place = find(size, **asked, after=found.older), place + size
    while found.newer is not None:
        found, place = find(size, **asked, before=found.newer), place - size
        assert ids(found) == expected[place : place + size]
        assert (found.total, found.first) == (len(expected), place + 1)
        assert found.older is not None
    assert place <= 0


# Order and pages


@pytest.mark.parametrize("sort", ORDERS)
def test_every_order_is_pythons_own_and_its_pages_hold_each_row_once(find: Any, only: Any, cast: SimpleNamespace, sort: str) -> None:
    rows = [row for row in only(crowd(cast.acme.id, 130)) if row["state"] != "removed"]
    walk(find, in_order(rows, sort), sort=sort)


def test_names_stand_as_people_look_for_them(find: Any, only: Any, cast: SimpleNamespace) -> None:
    typed = [
        ("Zoë", "Abel"),
        ("abel", "ÁBEL"),
        ("Bo", "Ábele"),
        ("Ann", "d'Ávila"),
        ("Øystein", "Moe"),
        ("Oz", "moe"),
        ("", "Straße"),
        ("A", "Strasz"),
    ]
    only([person(cast.acme.id, number, first_name=first, last_name=last) for number, (first, last) in enumerate(typed)])
    assert [(row.first_name, row.last_name) for row in find().rows] == [
        ("abel", "ÁBEL"), ("Zoë", "Abel"), ("Bo", "Ábele"), ("Ann", "d'Ávila"), ("Øystein", "Moe"), ("Oz", "moe"), ("", "Straße"), ("A", "Strasz"),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [25, 50, 100])
@pytest.mark.parametrize(
    "narrowed", [{"role": "org_admin"}, {"state": "removed"}, {"verified": "no", "signed_in": "longer"}, {"q": "mara"}], ids=str
)
def test_pages_of_every_size_hold_each_row_once_with_filters_too(
    find: Any, only: Any, cast: SimpleNamespace, size: int, narrowed: dict[str, str]
) -> None:
    rows = [row for row in only(crowd(cast.acme.id, 700)) if fits(row, **narrowed)]
    assert len(rows) > 25
    for sort in ("name", "-name", "-since"):
        walk(find, in_order(rows, sort, removed=narrowed.get("state") == "removed"), size, sort=sort, **narrowed)


def test_a_page_that_ends_with_the_last_row_leads_no_further(find: Any, only: Any, cast: SimpleNamespace) -> None:
    rows = only([person(cast.acme.id, number) for number in range(50)])
    walk(find, in_order(rows, "name"))
    only([])
    assert find() == finding.Found([], 0, None, False, None, None)


def test_rows_that_come_and_go_between_two_pages_are_not_doubled(find: Any, only: Any, owner: Any, cast: SimpleNamespace) -> None:
    rows = only([person(cast.acme.id, number * 10) for number in range(60)])
    first = find()
    put(owner, [person(cast.acme.id, number) for number in (5, 245, 255)])  # before, on, and after the page that was seen
    gone = [rows[24], rows[30]]  # the cursor's own row among them
    owner.execute("DELETE FROM users WHERE id = ANY (%s::uuid[])", ([str(row["id"]) for row in gone],))
    second = find(after=first.older)
    assert [row.last_name for row in second.rows][:6] == ["00245", "00250", "00255", "00260", "00270", "00280"]
    assert not set(ids(first)) & set(ids(second))
    assert second.first == 26  # 25 stand before it now: one came, one went
    back = find(before=second.newer)
    assert back.first == 1
    assert ids(back)[0] == ids(find())[0]


def test_rows_that_moved_to_another_place_do_not_disturb(find: Any, only: Any, owner: Any, cast: SimpleNamespace) -> None:
    rows = only([person(cast.acme.id, number) for number in range(60)])
    first = find(sort="last_sign_in")
    owner.execute("UPDATE users SET last_sign_in_at = now() WHERE id = %s", (str(rows[24]["id"]),))
    second = find(sort="last_sign_in", after=first.older)
    assert ids(second) == [row["id"] for row in rows[25:50]]
    assert second.first == 25


def test_a_page_that_has_emptied_says_so_and_leads_back(app: Flask, only: Any, owner: Any, cast: SimpleNamespace) -> None:
    put(owner, [person(cast.acme.id, number, last_name=f"z{number:02}") for number in range(30)])
    browser = Browser(app).sign_in(cast.acme.admin)
    second = browser.get("users.index").select_one("a[rel=next]")["href"]
    owner.execute("DELETE FROM users WHERE last_name ~ '^z'")
    page = browser.get(second)
    assert "Nobody stands on this page any more." in page.text
    assert page.select_one("nav[aria-label=Pages] a")["href"] == "/users"


@pytest.mark.parametrize("signs", ["é", "x"])
def test_a_legacy_username_of_a_thousand_letters_can_be_paged_past(find: Any, only: Any, cast: SimpleNamespace, signs: str) -> None:
    names = [
        f"{number:02}" + "".join(chr(ord(signs) + (crc32(b"%d" % (number * 1000 + place)) % 16)) for place in range(990))
        for number in range(40)
    ]
    rows = only([person(cast.acme.id, number, username=name, username_key=name) for number, name in enumerate(names)])
    walk(find, in_order(rows, "username"), sort="username")


# Filters


def fits(row: dict[str, Any], *, q: str = "", role: str = "", state: str = "", verified: str = "", signed_in: str = "") -> bool:
    ago = None if row["last_sign_in_at"] is None else NOW - row["last_sign_in_at"]
    times = {
        "never": ago is None,
        "week": ago is not None and ago < timedelta(days=7),
        "quarter": ago is not None and ago < timedelta(days=90),
        "longer": ago is not None and ago >= timedelta(days=90),
    }
    return (
        (row["state"] == state if state else row["state"] != "removed")
        and (not q or q in (row["search_text"] or ""))
        and role in ("", row["role"])
        and verified in ("", "yes" if row["is_verified"] else "no")
        and (not signed_in or times[signed_in])
    )


def test_every_combination_of_filters_finds_whom_it_says(find: Any, only: Any, cast: SimpleNamespace) -> None:
    rows = only(crowd(cast.acme.id, 300))
    found = 0
    for role in ("", "user", "org_admin", "super_admin"):
        for state in ("", "active", "deactivated", "invited", "removed"):
            for verified in ("", "yes", "no"):
                for signed_in in ("", "never", "week", "quarter", "longer"):
                    asked = {"role": role, "state": state, "verified": verified, "signed_in": signed_in}
                    expected = {row["id"] for row in rows if fits(row, **asked)}
                    page = find(300, **asked)
                    assert set(ids(page)) == expected, asked
                    assert page.total == len(expected)
                    found += bool(expected)
    assert found > 100


def test_a_removed_account_is_found_under_its_own_filter_only_and_by_nothing_it_was_called(
    find: Any, only: Any, cast: SimpleNamespace
) -> None:
    rows = only(crowd(cast.acme.id, 200))
    removed = {row["id"] for row in rows if row["state"] == "removed"}
    assert removed
    for sort in SORTS:
        assert not removed & set(ids(find(200, sort=sort)))
    assert set(ids(find(200, state="removed"))) == removed
    assert not ids(find(200, state="removed", q="mara"))


# Searching


PEOPLE = [
    ("Mara", "Ortiz", "mara.ortiz", "mara.ortiz@example.org"),
    ("Seán", "Ó Briain", "sean", "sean@briain.example"),
    ("SEÁN", "O'BRIAIN", "obriain", "o'briain@example.org"),
    ("Jan", "van ’t Hoff", "vanthoff", "jan_van-t@example.org"),
    ("John Q.", "Public", "j_p", "100%@example.org"),
    ("結衣", "佐藤", "佐藤", "yui@bücher.example"),
    ("Straße", "Müller", "back\\slash", 'quo"te@example.org'),
    ("😀 Smiley", "Şahin", "smile", "şahin@example.org"),
]  # fmt: skip
AT_EXAMPLE_ORG = {"Ortiz", "O'BRIAIN", "van ’t Hoff", "Public", "Müller", "Şahin"}
BOTH = {"Ó Briain", "O'BRIAIN"}
FRAGMENTS: dict[str, set[str]] = {
    # as long or as short as people type; one letter or two are the beginning of a word, or of what stands between . @ _ - and '
    "m": {"Ortiz", "Müller"}, "ma": {"Ortiz"}, "mar": {"Ortiz"}, "mara": {"Ortiz"}, "ar": set(), "ara": {"Ortiz"}, "rtiz": {"Ortiz"},
    "or": AT_EXAMPLE_ORG, "ort": {"Ortiz"}, "yu": {"佐藤"}, "ui": set(), "q": {"Public", "Müller"},
    # several words, in any order and spacing
    "mara ortiz": {"Ortiz"}, "ortiz mara": {"Ortiz"}, " Ortiz \t MARA ": {"Ortiz"}, "mara briain": set(), "mar o": {"Ortiz"}, "m m": {"Ortiz", "Müller"},
    "mara.ortiz@example.org": {"Ortiz"}, "a.ortiz@ex": {"Ortiz"}, "ortiz@": {"Ortiz"}, "@example": AT_EXAMPLE_ORG, "example.org": AT_EXAMPLE_ORG,
    # accents and case, both ways
    "briain": BOTH, "BRIAIN": BOTH, "Ó Briain": BOTH, "ó BRIAIN": BOTH, "séan": BOTH, "strasse": {"Müller"}, "STRASSE": {"Müller"}, "straße": {"Müller"},
    "muller": {"Müller"}, "MÜLLER": {"Müller"}, "bucher": {"佐藤"}, "sahin": {"Şahin"}, "ŞAHİN": {"Şahin"},
    # apostrophes, points and hyphens within words, also while the word is still short
    "o'briain": {"O'BRIAIN"}, "o’briain": {"O'BRIAIN"}, "O‘BRIAIN": {"O'BRIAIN"}, "o'": {"O'BRIAIN"}, "sean o'": {"O'BRIAIN"},
    "van 't hoff": {"van ’t Hoff"}, "van ’t": {"van ’t Hoff"}, "'t": {"van ’t Hoff"}, "-t": {"van ’t Hoff"}, "n-t": {"van ’t Hoff"}, "hoff.": set(),
    "john q.": {"Public"}, "q.": {"Public"}, "m.": set(), "a.": set(), "j_": {"Public"}, "j_p": {"Public"}, "mara - ortiz": {"Ortiz"}, "jan -t": {"van ’t Hoff"},
    "jan - hoff": {"van ’t Hoff"},
    # signs that mean something elsewhere
    "%": set(), "100%": {"Public"}, "100": {"Public"}, "0%": set(), "00%": {"Public"}, "%%%": set(), "1_0": set(), "j__": set(),
    "\\": set(), "ck\\sl": {"Müller"}, "back\\\\": set(), '"': set(), 'quo"': {"Müller"}, "quo'": set(), "';--": set(), "') OR 1=1": set(),
    "mara\x00": {"Ortiz"}, "\x00mara": {"Ortiz"}, "mara | briain": set(), "mara & ortiz": set(), "{mara}": set(), "^ma": set(), "mar*": set(), "mara?": set(),
    # other alphabets, and what nobody sees
    "佐": {"佐藤"}, "佐藤": {"佐藤"}, "結衣 佐藤": {"佐藤"}, "😀": {"Şahin"}, "😀 sm": {"Şahin"}, "\u200fmara": {"Ortiz"}, "ma\u200bra": {"Ortiz"},
    "\u202eziort": set(), "x" * 100: set(), "m " * 50: {"Ortiz", "Müller"}, "ﷺ" * 100: set(),
}  # fmt: skip


@pytest.fixture
def people(only: Any, cast: SimpleNamespace) -> None:
    accounts = [{**dict(zip(("first_name", "last_name", "username", "email"), one, strict=True)), "email_key": None} for one in PEOPLE]
    only([person(cast.acme.id, number, **account) for number, account in enumerate(accounts)])


@pytest.mark.usefixtures("people")
def test_a_search_finds_fragments_of_every_kind(find: Any) -> None:
    found = {typed: {row.last_name for row in find(q=typed).rows} for typed in FRAGMENTS}
    assert {typed: names for typed, names in found.items() if names != FRAGMENTS[typed]} == {}


@pytest.mark.parametrize("signs", ["", " ", "@", "_ -", "___", "'", "’", ". .", "\x00", "\u200f", "\t\n"])
def test_signs_alone_narrow_nothing_and_are_called_no_filter(app: Flask, cast: SimpleNamespace, signs: str) -> None:
    page = Browser(app).sign_in(cast.acme.admin).get("users.index", q=signs)
    assert users_shown(page) == "1–6 of 6"
    assert not page.soup.select(".chips")


SIGNS = str.maketrans("@._-'", "     ")
TEXTS = [
    "Mara Ortiz",
    "Ó B",
    "o'b.c",
    "a_b@c-d.example",
    "100% b",
    "ß \\ b",
    'é"é',
    "佐藤 b",
    "😀'a",
    "a" * 90,
    "b b-b",
    "-a",
    "..",
    "b\u0301o",
]
TYPED = st.text(st.sampled_from("aAáÁbc O'’.@_-%\\\"ß佐😀\x00\u200f\u0301"), max_size=8)


def reference(text: str, typed: str) -> bool:
    """Whether a search for folded words finds a folded text, in the plainest Python."""
    beginnings = text.translate(SIGNS).split()
    for word in typed.split():
        parts = word.translate(SIGNS).split()
        short = len(word) < 3 and parts == [word]
        if parts and not short and word not in text:
            return False
        if len(word) < 3 and not all(any(one.startswith(part) for one in beginnings) for part in parts):
            return False
    return True


@given(
    st.one_of(
        TYPED, st.builds(lambda text, begin, end: text[begin : begin + end], st.sampled_from(TEXTS), st.integers(0, 6), st.integers(1, 8))
    )
)
@tried(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def searched_as_in_plain_python(find: Any, rows: list[dict[str, Any]], typed: str) -> None:
    words = FindUsers(q=typed).words
    expected = {row["id"] for row in rows if reference(row["search_text"], words)}
    assert set(ids(find(100, q=typed))) == expected, words


def test_a_search_finds_what_plain_python_finds(find: Any, only: Any, cast: SimpleNamespace) -> None:
    searched_as_in_plain_python(find, only([person(cast.acme.id, number, first_name=text) for number, text in enumerate(TEXTS)]))


def test_a_search_that_finds_more_than_a_thousand_says_so_and_shows_the_first(
    app: Flask, find: Any, owner: Any, cast: SimpleNamespace
) -> None:
    put(owner, [person(cast.acme.id, number, first_name="Common", id=UUID(int=number + 1)) for number in range(1000)])
    found = find(q="common")
    assert (found.total, found.candidates) == (1000, False)
    put(owner, [person(cast.acme.id, 1000, first_name="Common", is_verified=False)])
    found = find(q="common")
    assert (found.total, found.candidates) == (1000, True)
    page = Browser(app).sign_in(cast.acme.admin).get("users.index", q="common")
    assert "1–25 of 1,000" in users_shown(page)
    assert "more than 1,000 fit what you typed" in users_shown(page)
    seen, after = [], None
    for _ in range(11):
        found = find(100, q="common", after=after)
        seen, after = [*seen, *ids(found)], found.older
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 1000


def test_beyond_ten_thousand_no_count_is_made(app: Flask, find: Any, owner: Any, cast: SimpleNamespace) -> None:
    there = len(cast.acme.people)
    put(owner, [person(cast.acme.id, number, first_name=None, last_name=None) for number in range(10_000 - there)])
    browser = Browser(app).sign_in(cast.acme.admin)
    assert users_shown(browser.get("users.index")) == "1–25 of 10,000"
    put(owner, [person(cast.acme.id, 10_000)])
    page = browser.get("users.index")
    assert users_shown(page) == "25 shown of more than 10,000"
    second = browser.get(page.select_one("a[rel=next]")["href"])
    assert users_shown(second) == "25 shown of more than 10,000"
    assert user_rows(browser.get(second.select_one("a[rel=prev]")["href"])) == user_rows(page)
    assert users_shown(browser.get("users.index", role="org_admin")) == "1–3 of 3"
    assert users_shown(browser.get("users.index", sort="-name", rows=100)) == "100 shown of more than 10,000"


# The page


def what_the_search_sends(page: Page) -> dict[str, str]:
    beside = {str(control["name"]): str(control["value"]) for control in page.select("[form=users-search]")}
    return {name: value for name, value in {**page.form("#users-search"), **beside}.items() if value}


def chips(page: Page) -> list[str]:
    return [chip.get_text() for chip in page.soup.select(".chips bdi")]


def sorted_by(page: Page) -> tuple[str, str]:
    column = page.select_one("th[aria-sort]")
    return column.get_text(strip=True).strip("↑↓ "), str(column["aria-sort"])


STATES_OF_THE_PAGE = [
    {}, {"q": "Crowd & Ó=1#x", "sort": "-since", "rows": "50"}, {"role": "user", "state": "active", "signed_in": "longer"},
    {"q": "crowd.example", "sort": "username", "role": "user"}, {"sort": "-last_sign_in", "rows": "50", "verified": "no"},
]  # fmt: skip


@pytest.fixture
def crowded(app: Flask, owner: Any, cast: SimpleNamespace) -> Browser:
    """acme's administrator among 250 others."""
    rows = crowd(cast.acme.id, 250)
    put(owner, rows)
    return Browser(app).sign_in(cast.acme.admin)


@pytest.mark.parametrize("asked", STATES_OF_THE_PAGE, ids=str)
def test_the_state_of_the_page_is_wholly_in_its_address(crowded: Browser, asked: dict[str, str]) -> None:
    page = crowded.get("users.index", **asked)
    typed = what_the_search_sends(page)
    assert typed == {"sort": "name", **asked}
    assert crowded.get("users.index", **typed).text == page.text
    assert crowded.get("users.index", htmx=True, **asked).text == page.select_one("#users").get_text(" ", strip=True)
    assert len(chips(page)) == len(asked.keys() - {"sort", "rows"})


@pytest.mark.parametrize("asked", STATES_OF_THE_PAGE, ids=str)
def test_each_link_of_the_page_leads_to_what_it_says(crowded: Browser, asked: dict[str, str]) -> None:
    page = crowded.get("users.index", **asked)
    for chip in page.soup.select(".chips a:has(bdi)"):
        word = chip.select_one("bdi").get_text()
        assert chips(crowded.get(chip["href"])) == [other for other in chips(page) if other != word]
    for link in page.soup.select("th a.sort"):
        word, way = link.get_text(strip=True).strip("↑↓ "), "descending" if "↑" in link.get_text() else "ascending"
        other = crowded.get(link["href"])
        assert sorted_by(other) == (word, way)
        assert (chips(other), users_shown(other)) == (chips(page), users_shown(page))


@pytest.mark.parametrize("asked", STATES_OF_THE_PAGE, ids=str)
def test_next_previous_and_first_lead_through_the_pages_that_were_asked_for(crowded: Browser, asked: dict[str, str]) -> None:
    first = crowded.get("users.index", **asked)
    if "Ó" in asked.get("q", ""):
        assert not first.soup.select("nav[aria-label=Pages]")
        return
    second = crowded.get(first.select_one("a[rel=next]")["href"])
    assert users_shown(second).startswith(f"{len(user_rows(first)) + 1}–")
    assert not set(user_rows(second)) & set(user_rows(first))
    assert what_the_search_sends(second) == what_the_search_sends(first)
    back = crowded.get(second.select_one("a[rel=prev]")["href"])
    assert (user_rows(back), users_shown(back)) == (user_rows(first), users_shown(first))
    assert crowded.get(second.select_one("nav[aria-label=Pages] a")["href"]).text == first.text


def test_removed_accounts_stand_in_the_order_of_their_removal_and_no_column_claims_another(crowded: Browser) -> None:
    page = crowded.get("users.index", state="removed")
    assert not page.soup.select("thead a, th[aria-sort]")
    assert user_rows(page)
    assert {row.select_one("th").get_text(" ", strip=True) for row in page.select("tbody tr")} == {"Removed user"}
    assert not page.soup.select("#bulk"), "nothing can be changed of them"


def test_the_columns_and_rows_that_a_person_chose_are_kept_on_the_account(
    app: Flask, crowded: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    crowded.post("users.columns", {"columns": ["email", "since"], "rows": "50"})
    page = crowded.follow()
    assert "Saved." in page.text
    elsewhere = Browser(app).sign_in(cast.acme.admin).get("users.index")
    for one in (page, elsewhere):
        assert [th.get_text(strip=True).strip("↑ ") for th in one.select("thead th")] == ["Name", "E-mail", "Account created", "Actions"]
        assert len(user_rows(one)) == 50
        assert {box["value"] for box in one.select("[name=columns][checked]")} == {"email", "since"}
    assert len(user_rows(crowded.get("users.index", rows=25))) == 25  # what the address says comes first
    colleague = Browser(app).sign_in(cast.acme.admin2).get("users.index")
    at_first = ["Name", "E-mail", "Role", "State", "Last sign-in", "Actions"]
    assert [th.get_text(strip=True).strip("↑ ") for th in colleague.select("thead th")] == at_first
    crowded.post("users.columns", {"rows": "25"})
    assert [th.get_text(strip=True).strip("↑ ") for th in crowded.follow().select("thead th")] == ["Name", "Actions"]


UNKNOWN = [
    {"columns": "hashed_password", "rows": "25"}, {"columns": ["email", "name"], "rows": "25"}, {"columns": "email,role", "rows": "25"},
    {"columns": "email", "rows": "26"}, {"columns": "email", "rows": ""}, {"columns": "email"}, {"columns": "", "rows": "25"},
    {"columns": ["email"] * 7, "rows": "25"},
]  # fmt: skip


@pytest.mark.parametrize("chosen", UNKNOWN, ids=str)
def test_unknown_columns_and_rows_are_refused_and_change_nothing(
    app: Flask, cast: SimpleNamespace, owner: Any, chosen: dict[str, Any]
) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    page = browser.post("users.columns", chosen, expect=422)
    assert "Choose columns from the list" in page.text
    owner.execute("SELECT count(*) FROM users WHERE table_columns IS NOT NULL OR table_rows IS NOT NULL")
    assert owner.fetchone() == (0,)


def test_a_page_asks_at_most_four_things_of_the_database(app: Flask, crowded: Browser, cast: SimpleNamespace) -> None:
    second = str(crowded.get("users.index").select_one("a[rel=next]")["href"])
    for address in (
        "/users",
        second,
        "/users?q=mara",
        "/users?q=mara&role=user&sort=-since",
        "/users?state=removed",
        f"/users/{cast.acme.user.id}",
    ):
        with counted(app) as seen:
            crowded.get(address)
        assert len(seen) <= 4, seen


def test_people_of_the_platform_ask_one_thing_more_to_act_as_its_role(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.platform.super)
    with counted(app) as seen:
        browser.get("users.index", q="super")
    assert len(seen) <= 5, seen


# What is damaged, foreign or too large


def written(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


ID = "00000000-0000-4000-8000-000000000000"
DAMAGED = {
    "nothing of ours": ["x", "====", "%", "\x00", "é", "-", "null", "AAAA", "bnVsbA", "e30", "W10", "W1tb" * 400, "OTk5" * 400, "a" * 4001, "MWU5OTk"],
    "a list of something else": [written(), written(ID), written("a"), written("a", ID, ID), written(["a"], ID), written({"a": 1}, ID), written(None, ID)],
    "no id": [written("a", "a"), written("a", ""), written("a", f"urn:uuid:{ID}\x00"), written("a", "0_" + ID[2:]), written("a", ID[:-1]), written("a", True)],
    "a text that no row has": [written("\x00", ID), written("\ud800", ID), written(True, ID), written(1, ID), written(1.5, ID)],
}  # fmt: skip
MOMENTS = [
    "", "now", "2026-W01-1", "2026-01-01", "2026-01-01 00:00", "2026-01-01T00", "infinity", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00",
    "2026-01-01 00:00:00+99:99", "-infinity\x00", "10000-01-01 00:00:00+00", "2026-02-30 00:00:00+00",
]  # fmt: skip


@pytest.mark.parametrize("way", ["after", "before"])
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_cursor_that_we_have_not_written_is_refused_in_words(app: Flask, cast: SimpleNamespace, kind: str, way: str) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    for cursor in DAMAGED[kind]:
        for sort in ("name", "-email"):
            page = browser.get("users.index", sort=sort, **{way: cursor}, expect=422)
            assert "Begin with the first page." in page.text, cursor
            browser.get("users.index", sort=sort, **{way: cursor}, expect=422, htmx=True)


@pytest.mark.parametrize("sort", ["since", "-last_sign_in"])
def test_a_cursor_between_two_moments_names_a_moment(app: Flask, cast: SimpleNamespace, sort: str) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    for moment in MOMENTS:
        assert "Begin with the first page." in browser.get("users.index", sort=sort, after=written(moment, ID), expect=422).text, moment
    for moment in ("-infinity", "2026-01-01 00:00:00+00", "2026-01-01 00:00:00.5+05:30", "0001-01-01 00:00:00+00"):
        browser.get("users.index", sort=sort, after=written(moment, ID))
    assert browser.get("users.index", state="removed", after=written("a", ID), expect=422)


def test_a_cursor_of_another_order_is_refused_and_one_of_a_neighbour_shows_the_own_rows(
    app: Flask, crowded: Browser, cast: SimpleNamespace, owner: Any
) -> None:
    put(owner, [person(cast.globex.id, number, last_name=f"CANARY-globex {number}") for number in range(60)])
    theirs = Browser(app).sign_in(cast.globex.admin)
    for sort in ("name", "role", "verified", "since"):
        cursor = parse_qs(urlsplit(str(theirs.get("users.index", sort=sort).select_one("a[rel=next]")["href"])).query)["after"][0]
        for other in SORTS:
            alike = KIND[other] == KIND[sort] or (KIND[other], KIND[sort]) == ("text", "moment")
            page = crowded.get("users.index", sort=other, after=cursor, expect=200 if alike else 422)
            assert "CANARY-globex" not in page.response.get_data(as_text=True)


KIND = {
    "name": "text", "username": "text", "email": "text", "role": "two texts", "state": "two texts", "verified": "a yes and a text",
    "last_sign_in": "moment", "since": "moment",
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"q": "x" * 101}, {"role": "owner"}, {"role": "USER"}, {"state": "suspended"}, {"verified": "maybe"}, {"signed_in": "yesterday"}, {"sort": "hashed_password"},
        {"sort": "--name"}, {"sort": "name, hashed_password"}, {"sort": "name DESC"}, {"sort": ""}, {"rows": "26"}, {"rows": "-1"}, {"rows": "1000000"},
        {"rows": "25.0"}, {"rows": "٢٥"}, {"role": "user\x00"}, {"sort": "id"}, {"sort": "tenant_id"},
    ],
    ids=str,
)  # fmt: skip
def test_a_parameter_that_the_page_does_not_offer_is_refused(app: Flask, cast: SimpleNamespace, wrong: dict[str, str]) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    browser.get("users.index", expect=422, **wrong)
    notice = browser.get("users.index", expect=422, htmx=True, **wrong)
    assert notice.response.headers["HX-Retarget"] == "#notices"


ANYTHING = st.one_of(st.none(), st.text(max_size=40), st.sampled_from(["user", "name", "-since", "removed", "yes", "25", "never"]))
CURSORS = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
    st.lists(
        st.one_of(st.text(max_size=20), st.booleans(), st.integers(), st.floats(), st.uuids().map(str), st.datetimes().map(str)), max_size=4
    ).map(lambda values: written(*values)),
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("q", "role", "state", "verified", "signed_in", "sort", "rows"), ANYTHING),
            "after": CURSORS,
            "before": CURSORS,
        },
    )
)
@tried(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def whatever_is_asked_is_answered_or_refused(browser: Browser, asked: dict[str, str | None]) -> None:
    plain = {name: value.encode("utf-8", "surrogatepass") for name, value in asked.items() if value is not None}
    response = browser.client.get("/users?" + urlencode(plain))
    assert response.status_code in (200, 422), asked


def test_no_address_of_the_page_is_a_fault(crowded: Browser) -> None:
    whatever_is_asked_is_answered_or_refused(crowded)


# Nobody else's


@pytest.fixture
def roles(cluster: Any, database: str, cast: SimpleNamespace) -> Iterator[SimpleNamespace]:
    made = {name: Role(cluster.urls(database)[name]) for name in ("app", "platform", "worker")}
    yield SimpleNamespace(**made)
    for role in made.values():
        role.connection.close()


FIND = "SELECT id FROM find_users(%s, 1000000)"


@pytest.mark.parametrize("role", ["app", "platform"])
def test_the_search_finds_people_of_the_bound_organization_only(roles: Any, cast: SimpleNamespace, role: str) -> None:
    searcher = getattr(roles, role)
    for words in ("canary", "c", "globex.example", "user", "admin@globex.example", "hades"):
        for tenant in (cast.acme, cast.globex, cast.hades, cast.platform):
            found = {UUID(row[0]) for row in searcher.do(FIND, [words], tenant=tenant.id).rows}
            assert found <= {one.id for one in tenant.people.values()}
    assert len(searcher.do(FIND, ["canary"], tenant=cast.acme.id).rows) == len(cast.acme.people)
    for nobody in (None, "", ID):
        assert searcher.do(FIND, ["canary"], tenant=nobody).rows == []
    assert searcher.do(FIND, ["canary"], tenant="not-a-uuid").refused == "22P02"


@pytest.mark.parametrize("words", ["", None, " ", "%", "%%%", "_", "___", "\\", "' OR true --", "can%", "c_n", "*", "{}", "x" * 10_000])
def test_the_search_takes_no_pattern_and_no_statement(roles: Any, cast: SimpleNamespace, words: str | None) -> None:
    outcome = roles.app.do(FIND, [words], tenant=cast.acme.id)
    assert (outcome.rows, outcome.refused) == ([], "")


def test_the_search_gives_at_most_a_thousand_and_one_whoever_asks_for_more(roles: Any, owner: Any, cast: SimpleNamespace) -> None:
    put(owner, [person(cast.acme.id, number, first_name="Common") for number in range(1100)])
    for most in ("1000000", "NULL", "2147483647"):
        assert roles.app.do(f"SELECT id FROM find_users('common', {most})", tenant=cast.acme.id).touched == 1001


def test_what_nearly_everybody_has_is_found_among_the_first_by_name_without_the_index(
    roles: Any, owner: Any, cast: SimpleNamespace
) -> None:
    put(owner, [person(cast.acme.id, number, first_name="Common") for number in range(1100)])
    put(owner, [person(cast.globex.id, number, first_name="Common") for number in range(1100)])
    owner.execute("ANALYZE users")
    owner.execute(
        "SELECT id FROM users WHERE tenant_id = %s AND first_name = 'Common' ORDER BY sort_key, id LIMIT 1001", [str(cast.acme.id)]
    )
    first = {row[0] for row in owner.fetchall()}
    with roles.app.connection, roles.app.connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.tenant_id = %s", [str(cast.acme.id)])
        cursor.execute("SELECT id FROM find_users('common perso', 1001)")
        assert {row[0] for row in cursor.fetchall()} == first
        assert scans(cursor, "users_by_grams")[0] == 0
        assert scans(cursor, "users") == (0, 0)


def test_what_most_of_the_first_but_few_of_all_have_is_found_whole(roles: Any, owner: Any, cast: SimpleNamespace) -> None:
    put(owner, [person(cast.acme.id, number, first_name="Aaron", last_name="Aaron") for number in range(150)])
    put(owner, [person(cast.acme.id, 10_000 + number, first_name="Zoë") for number in range(1200)])
    assert roles.app.do("SELECT id FROM find_users('aar', 1001)", tenant=cast.acme.id).touched == 150


@pytest.mark.parametrize(("function", "beginnings"), [("search_grams", True), ("agent_grams", False)])
@pytest.mark.parametrize(
    "said",
    ["mara ortiz mara.ortiz@example.org", "a", "ab", "o'neil  -x_y@ ", "日本語の名 zoë", "a\nb\tcde", ".@._-'", "", " ", None, "x" * 400],
)
def test_the_fragments_of_a_text_are_all_that_a_search_may_ask_for(
    owner: Any, cast: SimpleNamespace, function: str, beginnings: bool, said: str | None
) -> None:
    grams = {word[place : place + 3] for word in (said or "").split(" ") for place in range(len(word) - 2)}
    if beginnings:
        pieces = (said or "").translate(str.maketrans("@._-'", "     ")).split(" ")
        grams |= {f"^{piece[:size]}" for piece in pieces for size in (1, 2) if len(piece) >= size}
    owner.execute(f"SELECT {function}(%s, %s)", [str(cast.acme.id), said])
    [found] = owner.fetchone()
    owner.execute("SELECT search_gram(%s, gram) FROM unnest(%s::text[]) AS gram", [str(cast.acme.id), list(grams)])
    assert set(found) == {row[0] for row in owner.fetchall()}
    assert len(set(found)) == len(grams)


def test_grams_made_by_hand_lead_to_nobody_else(roles: Any, cast: SimpleNamespace) -> None:
    theirs = f"search_grams('{cast.globex.id}', 'canary-globex user user@globex.example')"
    for statement in (
        f"SELECT tenant_id FROM users WHERE search_grams(tenant_id, search_text) && {theirs}",
        f"SELECT tenant_id FROM users WHERE search_text IS NOT NULL AND search_grams(tenant_id, search_text) @> {theirs}",
        "SELECT tenant_id FROM users WHERE search_text LIKE '%globex%'",
        f"SELECT tenant_id FROM users WHERE tenant_id = '{cast.globex.id}' AND search_text LIKE '%'",
    ):
        assert roles.app.do(statement, tenant=cast.acme.id).rows == [], statement
        assert roles.app.do(statement).rows == [], statement
    assert roles.app.do("SELECT wanted_grams(app_tenant(), 'canary')", tenant=cast.acme.id).refused == DENIED
    for statement in (FIND, f"SELECT {theirs}, %s"):
        assert roles.worker.do(statement, ["canary"], tenant=cast.acme.id).refused == DENIED


def test_words_that_another_organization_has_in_common_find_each_its_own(app: Flask, cast: SimpleNamespace) -> None:
    for tenant in (cast.acme, cast.globex):
        page = Browser(app).sign_in(tenant.admin).get("users.index", q="user2")
        assert user_rows(page) == [str(tenant.user2.id)]


LOOKED_AT = "SELECT pg_stat_get_xact_numscans('{0}'::regclass), pg_stat_get_xact_tuples_returned('{0}'::regclass)"


def scans(cursor: Any, name: str) -> tuple[int, int]:
    """How often this transaction has begun to read a table from end to end, or an index, and how many rows or entries it read there."""
    cursor.execute(LOOKED_AT.format(name))
    found: tuple[int, int] = cursor.fetchone()
    return found


def test_grams_are_asked_of_their_index_also_before_the_table_was_ever_analysed(roles: Any, owner: Any, cast: SimpleNamespace) -> None:
    put(owner, crowd(cast.acme.id, 100))
    with roles.app.connection, roles.app.connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.tenant_id = %s", [str(cast.acme.id)])
        for words in ("mara", "m", "ortiz mara"):
            cursor.execute("SELECT id FROM find_users(%s, 1001)", [words])
        assert scans(cursor, "users_by_grams")[0] == 3
        assert scans(cursor, "users") == (0, 0)


def test_a_neighbours_many_users_are_not_looked_at(app: Flask, roles: Any, owner: Any, cast: SimpleNamespace) -> None:
    """What a neighbour has would cost nothing were it a million: the indexes begin with the organization, and the role really uses them."""
    put(owner, [person(cast.globex.id, number, first_name="Common") for number in range(6_000)])
    put(owner, [person(cast.acme.id, number, first_name="Common") for number in range(40)])
    owner.execute("ANALYZE users")
    with roles.app.connection, roles.app.connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.tenant_id = %s", [str(cast.acme.id)])
        cursor.execute("SELECT count(*) FROM find_users('common', 1001)")
        assert cursor.fetchone() == (40,)
        assert scans(cursor, "users_by_grams") == (1, 40)
        assert scans(cursor, "users") == (0, 0)
    acme = str(cast.acme.id)
    for sort, index in {"name": "users_by_name", "-email": "users_by_email", "-since": "users_by_since", "role": "users_by_role"}.items():
        with roles.app.connection, roles.app.connection.cursor() as cursor:
            cursor.execute("SET LOCAL app.tenant_id = %s", [acme])
            cursor.execute("EXPLAIN " + page_statement(sort), {"tenant": acme, "limit": 26})
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert f"using {index}" in plan, plan
        assert "Sort" not in plan, plan


def page_statement(sort: str) -> str:
    asked = FindUsers(sort=sort)
    shape = finding.Shape(
        searched=False,
        filters=(),
        signed_in=None,
        removed=False,
        column=asked.column,
        falling=asked.falling,
        backwards=False,
        paged=False,
        looks_back=False,
    )
    return finding.page_of(shape, since=True).statement
