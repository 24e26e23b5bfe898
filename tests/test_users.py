"""What administrators do with the accounts of their organization, and what the rules keep from them."""

from collections.abc import Callable
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.audit import services as audit
from portal.database import tenancy
from portal.errors import Conflict
from portal.testing.browser import Browser, Page
from portal.testing.cast import PASSWORD
from portal.users import services
from tests.attack.furniture import FREE_AGENT, agent, rows_of
from tests.attack.furniture import put as put_row
from tests.crowd import INVITED, REMOVED, person, put
from tests.steps import ACTS, act_on_user, acts_in_the_log, attempt, door_of_act, grow_stale, stored_user


@pytest.fixture
def target(owner: Any) -> Callable[..., SimpleNamespace]:
    """`target(organization, role, state)` puts an account there and returns it."""

    def made(organization: Any, role: str, state: str = "active") -> SimpleNamespace:
        states: dict[str, dict[str, Any]] = {"active": {}, "deactivated": {"is_active": False}, "invited": INVITED, "removed": REMOVED}
        id_ = uuid4()
        unlike_others = {"username": f"u{id_.hex}", "email": f"u{id_.hex}@crowd.example"}
        row = person(organization.id, 0, **{"id": id_, "role": role, **unlike_others, **states[state]})
        put(owner, [row])
        return SimpleNamespace(**row)

    return made


# Who may do what to whom: "yes", or a part of the sentence that refuses. The targets stand in the actor's own organization, active but
# for those who are reactivated and removed.
NOT_ADMIN = "Only administrators of the organization see this."
ABOVE = "Only a super admin may change"
NOT_HERE = "is not given in this organization"
NOTHING = "nothing to hand over"
BY_SUPER = "Only a super admin may make somebody"
YES = "yes"
#                 actor, target:          change to user, org_admin, admin,    super_admin, deactivate, reactivate, sign out, remove, hand over
MATRIX: dict[tuple[str, str], tuple[str, ...]] = {
    ("acme.user", "user"):                (NOT_ADMIN,) * 9,
    ("acme.user", "org_admin"):           (NOT_ADMIN,) * 9,
    ("acme.user", "admin"):               (NOT_ADMIN,) * 9,
    ("acme.user", "super_admin"):         (NOT_ADMIN,) * 9,
    ("acme.admin", "user"):               (YES,       YES,       NOT_HERE, NOT_HERE,    YES,        YES,        YES,      YES,    YES),
    ("acme.admin", "org_admin"):          (YES,       YES,       NOT_HERE, NOT_HERE,    YES,        YES,        YES,      YES,    YES),
    ("acme.admin", "admin"):              (ABOVE,) * 9,
    ("acme.admin", "super_admin"):        (ABOVE,) * 9,
    ("platform.admin", "user"):           (NOT_HERE,  NOT_HERE,  BY_SUPER, BY_SUPER,    YES,        YES,        YES,      YES,    NOTHING),
    ("platform.admin", "org_admin"):      (NOT_HERE,  NOT_HERE,  BY_SUPER, BY_SUPER,    YES,        YES,        YES,      YES,    NOTHING),
    ("platform.admin", "admin"):          (ABOVE,) * 9,
    ("platform.admin", "super_admin"):    (ABOVE,) * 9,
    ("platform.super", "user"):           (NOT_HERE,  NOT_HERE,  YES,      YES,         YES,        YES,        YES,      YES,    YES),
    ("platform.super", "org_admin"):      (NOT_HERE,  NOT_HERE,  YES,      YES,         YES,        YES,        YES,      YES,    YES),
    ("platform.super", "admin"):          (NOT_HERE,  NOT_HERE,  YES,      YES,         YES,        YES,        YES,      YES,    YES),
    ("platform.super", "super_admin"):    (NOT_HERE,  NOT_HERE,  YES,      YES,         YES,        YES,        YES,      YES,    YES),
}  # fmt: skip
LOGGED = {
    "deactivate": ("user_deactivated", {"state": ["active", "deactivated"]}),
    "reactivate": ("user_reactivated", {"state": ["deactivated", "active"]}),
    "sign out": ("user_signed_out", {}),
    "remove": ("user_removed", {"state": ["deactivated", "removed"]}),
}


def state_before(act: str) -> str:
    return "deactivated" if act in ("reactivate", "remove") else "active"


def actor_of(cast: SimpleNamespace, who: str) -> tuple[Any, Any]:
    tenant, name = who.split(".")
    return getattr(cast, tenant), getattr(getattr(cast, tenant), name)


@pytest.mark.parametrize(("who", "role"), MATRIX, ids=str)
def test_who_may_do_what_to_whom(app: Flask, cast: SimpleNamespace, owner: Any, target: Any, who: str, role: str) -> None:
    organization, actor = actor_of(cast, who)
    for act, answer in zip(ACTS, MATRIX[who, role], strict=True):
        browser, one = Browser(app).sign_in(actor), target(organization, role, state_before(act))
        owner.execute("TRUNCATE audit_entries")
        before = stored_user(owner, one)
        done = YES if f"change to {role}" != act else "already"
        if answer != YES:
            page = act_on_user(browser, act, one.id, expect=403 if answer == NOT_ADMIN else 422)
            assert answer in page.text, act
            assert stored_user(owner, one) == before, act
            assert [action for action, *_ in acts_in_the_log(owner)] == (["refused"] if answer == NOT_ADMIN else []), act
        elif done == "already":
            act_on_user(browser, act, one.id, expect=303)
            assert "already; nothing was changed" in browser.follow().text
            assert (stored_user(owner, one), acts_in_the_log(owner)) == (before, []), act
        else:
            act_on_user(browser, act, one.id, expect=303)
            expect_done(owner, act, one, actor, before)


def expect_done(owner: Any, act: str, one: Any, actor: Any, before: dict[str, Any]) -> None:
    after, ((action, by, on, changes),) = stored_user(owner, one), acts_in_the_log(owner)
    assert (by, on) == (str(actor.id), str(one.id))
    if act == "hand over":
        weaker = {"org_admin": "user", "super_admin": "admin"}[actor.role]
        assert (after["role"], stored_user(owner, actor)["role"]) == (actor.role, weaker)
        assert (action, changes) == ("administration_handed_over", {"role": [one.role, actor.role], "own role": [actor.role, weaker]})
        owner.execute("UPDATE users SET role = %s WHERE id = %s", (actor.role, str(actor.id)))
    elif act in LOGGED:
        assert (action, changes) == LOGGED[act]
        assert after["state"] == (changes.get("state") or [None, "active"])[1]
    else:
        assert after["role"] == act.removeprefix("change to ")
        assert (action, changes) == ("role_changed", {"role": [before["role"], after["role"]]})
    assert after["auth_epoch"] == before["auth_epoch"] + (act != "reactivate")


@pytest.mark.parametrize("who", ["acme.admin", "platform.super", "platform.admin"])
def test_nobody_changes_the_own_account_here(app: Flask, cast: SimpleNamespace, owner: Any, who: str) -> None:
    _, actor = actor_of(cast, who)
    browser = Browser(app).sign_in(actor)
    before = stored_user(owner, actor)
    for act in ACTS:
        assert "Nobody changes their own role or state." in act_on_user(browser, act, actor.id, expect=422, name=actor.username).text
    assert stored_user(owner, actor) == before
    assert acts_in_the_log(owner) == []


@pytest.mark.parametrize("who", ["acme.admin", "platform.super", "platform.admin"])
def test_unknown_foreign_and_malformed_ids_are_all_nothing(app: Flask, cast: SimpleNamespace, owner: Any, who: str) -> None:
    organization, actor = actor_of(cast, who)
    browser = Browser(app).sign_in(actor)
    others = [getattr(cast, name) for name in ("acme", "globex", "hades", "platform") if name != organization.subdomain]
    foreign = [one.id for other in others for one in list(other.people.values())[::2]]
    before = [stored_user(owner, SimpleNamespace(id=id_)) for id_ in foreign]
    answers = set()
    for id_ in (
        *foreign,
        uuid4(),
        "00000000-0000-0000-0000-000000000000",
        "x",
        "1",
        f"{actor.id}0",
        str(actor.id).replace("-", ""),
        "..%2f",
    ):
        for act in ACTS:
            answers.add(act_on_user(browser, act, id_, expect=404).select_one("main").get_text())
        for path in ("", "/deactivate", "/remove", "/hand-over"):
            answers.add(browser.get(f"/users/{id_}{path}", expect=404).select_one("main").get_text())
    assert len(answers) == 1
    assert [stored_user(owner, SimpleNamespace(id=id_)) for id_ in foreign] == before
    assert acts_in_the_log(owner) == []


REFUSED_BY_STATE = {
    ("active", "reactivate"): "Only a deactivated account can be reactivated.",
    ("active", "remove"): "Deactivate the account first; then it can be removed.",
    ("deactivated", "deactivate"): "Only an active account can be deactivated.",
    ("deactivated", "hand over"): "Only an active account can take over.",
    ("invited", "deactivate"): "Only an active account can be deactivated.",
    ("invited", "reactivate"): "Only a deactivated account can be reactivated.",
    ("invited", "remove"): "Deactivate the account first; then it can be removed.",
    ("invited", "hand over"): "Only an active account can take over.",
    **{("removed", act): "This account was removed; nothing of it can be changed." for act in ACTS},
}


@pytest.mark.parametrize(("state", "act"), REFUSED_BY_STATE, ids=str)
def test_what_an_accounts_state_does_not_allow(app: Flask, cast: SimpleNamespace, owner: Any, target: Any, state: str, act: str) -> None:
    one = target(cast.acme, "user", state)
    before, browser = stored_user(owner, one), Browser(app).sign_in(cast.acme.admin)
    assert REFUSED_BY_STATE[state, act] in act_on_user(browser, act, one.id, expect=422).text
    assert (stored_user(owner, one), acts_in_the_log(owner)) == (before, [])


def test_the_role_of_somebody_who_was_invited_or_deactivated_can_be_changed(
    app: Flask, cast: SimpleNamespace, owner: Any, target: Any
) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    for state in ("invited", "deactivated"):
        one = target(cast.acme, "user", state)
        act_on_user(browser, "change to org_admin", one.id, expect=303)
        assert (stored_user(owner, one)["role"], stored_user(owner, one)["state"]) == ("org_admin", state)


# What a refusal looks like


def row(page: Page, one: Any) -> Any:
    return page.select_one(f"#user-{one.id}")


def test_a_refusal_stands_in_the_row_for_htmx_and_on_the_users_page_without_script(app: Flask, cast: SimpleNamespace) -> None:
    browser, one = Browser(app).sign_in(cast.acme.admin), cast.acme.admin2
    sentence = "The role super admin is not given in this organization."
    fragment = act_on_user(browser, "change to super_admin", one.id, expect=422, htmx=True)
    assert fragment.soup.html is None
    assert [tag.name for tag in fragment.soup.find_all(recursive=False)] == ["tr"]
    assert sentence in row(fragment, one).select_one("[role=alert]").get_text()
    page = act_on_user(browser, "change to super_admin", one.id, expect=422)
    assert page.heading == "CANARY-acme Admin2"
    assert sentence in page.select_one("#faults").get_text()
    assert page.form("form[action$='/role']")["role"] == "org_admin"


@pytest.mark.parametrize("act", ["reactivate", "remove", "hand over", "deactivate"])
def test_a_refused_act_leaves_the_rows_role_as_it_is(app: Flask, cast: SimpleNamespace, target: Any, act: str) -> None:
    browser, one = Browser(app).sign_in(cast.acme.admin), target(cast.acme, "org_admin", "invited")
    page = act_on_user(browser, act, one.id, expect=422, htmx=True)
    if act in ("reactivate", "deactivate"):
        assert page.select_one(".role").get_text() == "Organization admin"
        assert page.select_one(".refused").get_text() == REFUSED_BY_STATE["invited", act]


def test_a_refusal_stands_in_a_row_without_the_column_of_roles_too(app: Flask, cast: SimpleNamespace) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    browser.post("users.columns", {"columns": ["email"], "rows": "25"})
    fragment = act_on_user(browser, "reactivate", cast.acme.user.id, expect=422, htmx=True)
    assert fragment.select_one("tr [role=alert]").get_text() == "Only a deactivated account can be reactivated."
    assert len(fragment.select("td, th")) == 3


def test_a_row_says_why_it_cannot_be_changed_and_who_can_help(app: Flask, cast: SimpleNamespace, target: Any) -> None:
    page = Browser(app).sign_in(cast.acme.admin).get("users.index")
    own = row(page, cast.acme.admin)
    assert "Nobody changes their own role or state. Ask another administrator of your organization." in own.get_text(" ", strip=True)
    assert not own.select("form, button")
    page = Browser(app).sign_in(cast.platform.admin).get("users.index")
    for one, whom in ((cast.platform.super, "super admin"), (cast.platform.admin2, "admin")):
        said = row(page, one).select_one(".why").get_text(" ", strip=True)
        assert f"Only a super admin may change a{'n' if whom == 'admin' else ''} {whom}. Ask a super admin of the portal." in said
        assert not row(page, one).select("form, button")
    assert "Ask a super admin of the portal." in Browser(app).sign_in(cast.platform.super).get(f"/users/{cast.platform.super.id}").text


def test_an_admin_of_the_platform_is_offered_no_role_to_give_and_told_why(app: Flask, cast: SimpleNamespace, target: Any) -> None:
    browser, one = Browser(app).sign_in(cast.platform.admin), target(cast.platform, "user")
    assert not row(browser.get("users.index"), one).select("select")
    page = browser.get(f"/users/{one.id}")
    assert not page.soup.select("[name=role]")
    assert "Only a super admin gives roles in the organization of the platform. Ask a super admin of the portal." in page.text


def menu(browser: Browser, user_id: Any, back: str = "") -> Page:
    """What the menu of a row holds once it was opened."""
    return browser.get("users.acts", user_id=user_id, htmx=True, **({"back": back} if back else {}))


def test_a_rows_menu_is_the_users_page_where_there_is_no_script(app: Flask, cast: SimpleNamespace) -> None:
    browser, one = Browser(app).sign_in(cast.acme.admin), cast.acme.user
    closed = row(browser.get("users.index"), one).select_one("[popover]")
    assert closed["hx-get"] == f"/users/{one.id}/acts"
    assert [link["href"] for link in closed.select("a")] == [f"/users/{one.id}"]
    assert browser.get("users.acts", user_id=one.id, expect=303).location == f"/users/{one.id}"
    browser.get("users.acts", user_id=cast.acme.admin.id, htmx=True, expect=403)


@pytest.mark.parametrize(
    ("door", "words"),
    [("deactivate", "Deactivate"), ("remove", "Remove"), ("hand-over", "Hand over to"), ("password-link", "New password of")],
)
def test_a_page_that_asks_about_somebody_is_headed_by_the_name(app: Flask, cast: SimpleNamespace, door: str, words: str) -> None:
    one = cast.acme.user
    page = Browser(app).sign_in(cast.acme.admin).get(f"/users/{one.id}/{door}")
    assert page.heading == f"{words} CANARY-acme User"
    assert page.select_one("title").get_text().startswith(f"{words} CANARY-acme User ")
    assert [link["href"] for link in page.select(".breadcrumb a")] == ["/users", f"/users/{one.id}"]


def test_the_menu_keeps_its_places_and_what_leads_to_a_question_says_so(app: Flask, cast: SimpleNamespace) -> None:
    browser, one = Browser(app).sign_in(cast.acme.admin), cast.acme.user

    def offered(page: Any, css: str) -> list[str]:
        return [" ".join(act.get_text().replace(" CANARY-acme User", "").split()) for act in page.select(css)]

    active = offered(menu(browser, one.id), "button, a")
    assert active == ["Change the role of", "Sign out everywhere", "Deactivate …", "Open's page"]
    page = browser.get(f"/users/{one.id}")
    assert page.select_one("h1 + .mark").get_text() == "Active"
    acts = "section[aria-labelledby=acts-title] :is(button, a)"
    assert offered(page, acts) == [
        "Change role", "Sign out everywhere", "Reset password with a link …", "Hand over the administration …", "Deactivate …",
    ]  # fmt: skip
    assert offered(page, ".btn-quiet-danger") == ["Hand over the administration …", "Deactivate …"]
    act_on_user(browser, "deactivate", one.id, expect=303)
    assert offered(menu(browser, one.id), "button, a") == ["Change the role of", "Signed out everywhere", "Reactivate", "Open's page"]
    page = browser.get(f"/users/{one.id}")
    assert page.select_one("h1 + .mark").get_text() == "Deactivated"
    assert offered(page, acts) == ["Change role", "Reactivate", "Remove …"]


def test_only_roles_that_can_be_given_are_offered_and_the_present_one_is_chosen(app: Flask, cast: SimpleNamespace, target: Any) -> None:
    odd = target(cast.platform, "user")
    for actor, one, offered in (
        (cast.acme.admin, cast.acme.admin2, ["user", "org_admin"]),
        (cast.platform.super, cast.platform.super2, ["admin", "super_admin"]),
        (cast.platform.super, odd, ["admin", "super_admin", "user"]),
    ):
        browser = Browser(app).sign_in(actor)
        for page in (menu(browser, one.id), browser.get(f"/users/{one.id}")):
            select = page.select_one(f"form[action='/users/{one.id}/role'] select")
            assert [option["value"] for option in select.select("option")] == offered
            assert [option["value"] for option in select.select("option[selected]")] == [one.role]


def test_granting_administration_asks_for_a_fresh_password_and_keeps_the_typed_role(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser, one = Browser(app).sign_in(cast.acme.admin), cast.acme.user
    grow_stale(owner)
    fragment = act_on_user(browser, "change to org_admin", one.id, expect=422, htmx=True)
    assert "once more" in fragment.fault("password")
    assert fragment.form("form[action$='/role']")["role"] == "org_admin"
    wrong = act_on_user(browser, "change to org_admin", one.id, expect=422, htmx=True, password="not my password at all")
    assert "not your password" in wrong.fault("password")
    assert wrong.form("form[action$='/role']")["role"] == "org_admin"
    assert not wrong.select_one("[name=password]").get("value")
    page = act_on_user(browser, "change to org_admin", one.id, expect=422)
    assert page.form("form[action$='/role']")["role"] == "org_admin"
    assert (stored_user(owner, one)["role"], acts_in_the_log(owner)) == ("user", [])
    done = act_on_user(browser, "change to org_admin", one.id, expect=200, htmx=True, password=PASSWORD)
    assert "is now organization admin" in done.select_one("[role=status]").get_text()
    assert stored_user(owner, one)["role"] == "org_admin"
    act_on_user(browser, "change to org_admin", cast.acme.user2.id, expect=303)  # typed a moment ago


def test_lowering_deactivating_and_signing_out_ask_for_no_password_and_handing_over_does(
    app: Flask, cast: SimpleNamespace, owner: Any
) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    grow_stale(owner)
    for act, one in (
        ("change to user", cast.acme.admin2),
        ("sign out", cast.acme.user),
        ("deactivate", cast.acme.user),
        ("reactivate", cast.acme.user),
    ):
        act_on_user(browser, act, one.id, expect=303)
    page = act_on_user(browser, "hand over", cast.acme.user.id, expect=422)
    assert "once more" in page.fault("password")
    assert stored_user(owner, cast.acme.admin)["role"] == "org_admin"
    act_on_user(browser, "hand over", cast.acme.user.id, expect=303, password=PASSWORD)
    assert (stored_user(owner, cast.acme.admin)["role"], stored_user(owner, cast.acme.user)["role"]) == ("user", "org_admin")


def test_guessing_the_password_of_an_unwatched_browser_is_slowed_down(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    grow_stale(owner)
    for _ in range(10):
        act_on_user(browser, "change to org_admin", cast.acme.user.id, expect=422, htmx=True, password="a wrong guess at it")
    act_on_user(browser, "hand over", cast.acme.user.id, expect=429, password=PASSWORD)
    assert stored_user(owner, cast.acme.user)["role"] == "user"


def test_an_act_without_script_leads_back_to_the_page_of_the_table_it_was_asked_on(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    put(owner, [person(cast.acme.id, number) for number in range(40)])
    browser = Browser(app).sign_in(cast.acme.admin)
    first = browser.get("users.index", q="person", sort="-name")
    second = browser.get(first.select_one("a[rel=next]")["href"])
    here = browser.client.get(first.select_one("a[rel=next]")["href"]).request.full_path
    one = browser.get(second.select("tbody tr")[3].select_one("[popover]")["hx-get"], htmx=True)
    action = one.select_one("form[action$='/role']")["action"]
    browser.post(action, {**one.form(f"form[action='{action}']"), "role": "org_admin"})
    assert same_address(browser.page.location, here)
    dialog = browser.get(one.select_one("a[href*=deactivate]")["href"])
    assert same_address(dialog.select_one("a[data-closes]")["href"], here)
    browser.post(action.replace("role", "deactivate"), dialog.form())
    assert same_address(browser.page.location, here)
    for elsewhere in (
        "//evil.example",
        "https://evil.example/",
        "next=//evil.example",
        "sort=hashed_password",
        "after=x",
        "\x00",
        "a=b;c" * 1000,
    ):
        act_on_user(browser, "sign out", cast.acme.user.id, expect=303, back=elsewhere)
        assert browser.page.location == "/users"
    act_on_user(browser, "sign out", cast.acme.user.id, expect=303, back="user")
    assert browser.page.location == f"/users/{cast.acme.user.id}"


def same_address(one: str, other: str) -> bool:
    (path, _, query), (other_path, _, other_query) = one.partition("?"), other.partition("?")
    return path == other_path and sorted(query.split("&")) == sorted(other_query.split("&"))


# What follows for the target


@pytest.mark.parametrize("act", ["change to org_admin", "deactivate", "sign out", "hand over"])
def test_an_act_takes_effect_at_the_targets_next_request_everywhere(app: Flask, cast: SimpleNamespace, act: str) -> None:
    one = cast.acme.user
    there = [Browser(app).sign_in(one) for _ in range(3)]
    act_on_user(Browser(app).sign_in(cast.acme.admin), act, one.id, expect=303)
    for browser in there[:2]:
        assert browser.get("/", expect=303).location.startswith("/sign-in")
    assert there[2].get("/account", expect=401, htmx=True).location.startswith("/sign-in")


def test_an_administrator_who_is_lowered_or_deactivated_does_nothing_from_a_page_that_was_open(
    app: Flask, cast: SimpleNamespace, owner: Any
) -> None:
    for act in ("change to user", "deactivate"):
        lowered = Browser(app).sign_in(cast.acme.admin2)
        form = menu(lowered, cast.acme.user.id).form(f"form[action='/users/{cast.acme.user.id}/role']")
        act_on_user(Browser(app).sign_in(cast.acme.admin), act, cast.acme.admin2.id, expect=303)
        lowered.post(f"/users/{cast.acme.user.id}/role", {**form, "role": "org_admin"})
        assert lowered.page.location.startswith("/sign-in")
        assert stored_user(owner, cast.acme.user)["role"] == "user"
        owner.execute("UPDATE users SET role = 'org_admin', is_active = true WHERE id = %s", (str(cast.acme.admin2.id),))


def test_whoever_lost_a_role_signs_in_with_the_new_one_only(app: Flask, cast: SimpleNamespace) -> None:
    act_on_user(Browser(app).sign_in(cast.acme.admin), "change to user", cast.acme.admin2.id, expect=303)
    lowered = Browser(app).sign_in(cast.acme.admin2)
    for path in ("/users", f"/users/{cast.acme.user.id}", "/settings", "/audit"):
        lowered.get(path, expect=403)
    act_on_user(lowered, "deactivate", cast.acme.user.id, expect=403)


def test_a_deactivated_person_cannot_sign_in_until_reactivated(app: Flask, cast: SimpleNamespace) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    act_on_user(admin, "deactivate", cast.acme.user.id, expect=303)
    attempt(Browser(app), cast.acme.user, expect=422)
    act_on_user(admin, "reactivate", cast.acme.user.id, expect=303)
    attempt(Browser(app), cast.acme.user, expect=303)


def test_whoever_hands_over_steps_down_and_signs_in_anew(app: Flask, cast: SimpleNamespace) -> None:
    giver = Browser(app).sign_in(cast.acme.admin)
    elsewhere = Browser(app).sign_in(cast.acme.admin)
    page = giver.get(f"/users/{cast.acme.user.id}/hand-over")
    assert "becomes organization admin in your place" in page.text
    giver.post(f"/users/{cast.acme.user.id}/hand-over", page.form())
    page = giver.follow()
    assert page.heading == "Sign in"
    assert "You handed over the administration." in page.text
    elsewhere.get("/", expect=303)
    Browser(app).sign_in(cast.acme.admin).get("users.index", expect=403)
    Browser(app).sign_in(cast.acme.user).get("users.index")


def test_other_people_stay_signed_in(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    bystanders = [Browser(app).sign_in(one) for one in (cast.acme.user2, cast.acme.admin2, cast.globex.user)]
    admin = Browser(app).sign_in(cast.acme.admin)
    for act in ("change to org_admin", "sign out", "deactivate"):
        act_on_user(admin, act, cast.acme.user.id, expect=303)
    for browser in (*bystanders, admin):
        browser.get("/")


# Removing


def test_removing_erases_what_told_who_it_was_and_leaves_the_row_and_its_history(
    app: Flask, cast: SimpleNamespace, owner: Any, target: Any
) -> None:
    one = cast.acme.user
    session = Browser(app).sign_in(one)
    session.post("account.preferences", {"theme": "dark", "density": "compact", "time_zone": "Asia/Tokyo"})
    session.post("users.columns", {"columns": ["email"], "rows": "50"})
    session.post("account.email", {"email": "mara@elsewhere.example"})
    owner.execute(
        "INSERT INTO conversations (id, tenant_id, created_by_user_id) VALUES (gen_random_uuid(), %s, %s)", (str(cast.acme.id), str(one.id))
    )
    admin = Browser(app).sign_in(cast.acme.admin)
    act_on_user(admin, "deactivate", one.id, expect=303)
    before, entries = stored_user(owner, one), len(acts_in_the_log(owner))
    page = admin.get(f"/users/{one.id}/remove")
    admin.post(f"/users/{one.id}/remove", {**page.form(), "name": "CANARY-acme User"})
    assert "The account was removed." in admin.follow().text
    after = stored_user(owner, one)
    kept = {name for name, value in after.items() if value == before[name] and value is not None}
    assert kept == {"id", "tenant_id", "role", "is_active", "created_at", "accepted_at", "last_sign_in_at"}
    gone = {name: value for name, value in after.items() if name not in kept and value is not None}
    assert gone == {
        "is_verified": False, "sort_key": "", "state": "removed", "removed_at": after["removed_at"], "updated_at": after["updated_at"],
        "auth_epoch": before["auth_epoch"] + 1, "version": before["version"] + 1,
    }  # fmt: skip
    owner.execute("SELECT count(*) FROM conversations WHERE created_by_user_id = %s", (str(one.id),))
    assert owner.fetchone() == (1,)
    assert len(acts_in_the_log(owner)) == entries + 1
    owner.execute("SELECT count(*) FROM sessions WHERE user_id = %s", (str(one.id),))
    assert owner.fetchone() == (0,)


def mails_of(owner: Any, tenant: Any) -> list[tuple[Any, ...]]:
    owner.execute(
        "SELECT recipient, body_text IS NULL, sent_at IS NOT NULL, last_error FROM outbox WHERE tenant_id = %s ORDER BY subject",
        (str(tenant.id),),
    )
    return list(owner.fetchall())


def test_removing_erases_the_address_in_mails_and_links_and_keeps_that_they_were(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    one, other = cast.acme.user, cast.acme.user2
    person = Browser(mailing).sign_in(one)
    person.post("account.email", {"email": "Mara@Elsewhere.example"})  # one mail to each address
    owner.execute("UPDATE users SET email = 'User@acme.example' WHERE id = %s", (str(one.id),))  # in another spelling than the mail's
    neighbour = Browser(mailing).sign_in(cast.globex.user)
    neighbour.post("account.email", {"email": "Mara@Elsewhere.example"})
    Browser(mailing).sign_in(other).post("account.email", {"email": "ola@elsewhere.example"})
    theirs = mails_of(owner, cast.globex)
    over = "sent_at = now(), body_text = NULL, body_html = NULL"
    owner.execute(f"UPDATE outbox SET {over} WHERE recipient = %s AND tenant_id = %s", (one.email, str(cast.acme.id)))
    failed = {
        "id": str(uuid4()),
        "subject": "z",
        "body_text": None,
        "body_html": None,
        "failed_at": "2026-01-01Z",
        "last_error": f"550 <{one.email}>",
    }
    put_row(owner, "outbox", {**rows_of(cast.acme)["outbox"], "recipient": one.email, **failed})
    admin = Browser(mailing).sign_in(cast.acme.admin)
    act_on_user(admin, "deactivate", one.id, expect=303)
    act_on_user(admin, "remove", one.id, expect=303, name="CANARY-acme User")
    assert sorted(mails_of(owner, cast.acme), key=str) == sorted(
        [
            (None, True, True, None),
            (None, True, False, "the account was removed"),
            (None, True, False, "the account was removed"),
            (other.email, False, False, None),
            ("ola@elsewhere.example", False, False, None),
        ],
        key=str,
    )
    assert mails_of(owner, cast.globex) == theirs
    owner.execute("SELECT user_id::text FROM mail_links WHERE tenant_id = %s", (str(cast.acme.id),))
    assert owner.fetchall() == [(str(other.id),)]
    owner.execute("SELECT count(*) FROM outbox WHERE outbox::text ILIKE %s AND tenant_id = %s", (f"%{one.email}%", str(cast.acme.id)))
    assert owner.fetchone() == (0,)


def test_removing_leaves_the_mails_of_whoever_has_by_now_the_address_that_was_waited_for(
    mailing: Flask, cast: SimpleNamespace, owner: Any
) -> None:
    one, other = cast.acme.user, cast.acme.user2
    Browser(mailing).sign_in(one).post("account.email", {"email": "mara@elsewhere.example"})
    owner.execute("UPDATE users SET email = 'Mara@elsewhere.example' WHERE id = %s", (str(other.id),))
    put_row(owner, "outbox", {**rows_of(cast.acme)["outbox"], "recipient": "Mara@elsewhere.example", "subject": "theirs"})
    admin = Browser(mailing).sign_in(cast.acme.admin)
    act_on_user(admin, "deactivate", one.id, expect=303)
    act_on_user(admin, "remove", one.id, expect=303, name="CANARY-acme User")
    owner.execute("SELECT subject FROM outbox WHERE recipient IS NOT NULL")
    assert owner.fetchall() == [("theirs",)]


def test_removing_leaves_the_mails_of_whoever_waits_for_the_same_address(mailing: Flask, cast: SimpleNamespace, owner: Any) -> None:
    one, other = cast.acme.user, cast.acme.user2
    for asks in (other, one):
        Browser(mailing).sign_in(asks).post("account.email", {"email": "mara@elsewhere.example"})
    admin = Browser(mailing).sign_in(cast.acme.admin)
    act_on_user(admin, "deactivate", one.id, expect=303)
    act_on_user(admin, "remove", one.id, expect=303, name="CANARY-acme User")
    owner.execute("""
        SELECT o.recipient, l.user_id::text FROM outbox o LEFT JOIN mail_links l ON l.mailed_as = o.id WHERE failed_at IS NULL ORDER BY 2""")
    assert owner.fetchall() == [("mara@elsewhere.example", str(other.id)), (other.email, None)]


@pytest.fixture
def removed(app: Flask, cast: SimpleNamespace) -> tuple[Browser, Browser]:
    """acme's user was removed: the browser that was signed in as the user, and the administrator's."""
    there, admin = Browser(app).sign_in(cast.acme.user), Browser(app).sign_in(cast.acme.admin)
    act_on_user(admin, "deactivate", cast.acme.user.id, expect=303)
    act_on_user(admin, "remove", cast.acme.user.id, expect=303, name="CANARY-acme User")
    return there, admin


def test_a_removed_person_enters_by_no_name_and_no_session(app: Flask, cast: SimpleNamespace, removed: Any) -> None:
    there, _ = removed
    there.get("/", expect=303)
    for login in (cast.acme.user.email, cast.acme.user.username, "", str(cast.acme.user.id)):
        attempt(Browser(app), cast.acme.user, expect=422, login=login)


def test_a_removed_account_is_found_only_among_the_removed_and_shown_without_a_name(cast: SimpleNamespace, removed: Any) -> None:
    _, admin = removed
    for asked in ({}, {"q": "user@acme"}, {"q": "canary", "state": "deactivated"}, {"state": "removed", "q": "user"}):
        assert not admin.get("users.index", **asked).soup.select(f"#user-{cast.acme.user.id}")
    one = row(admin.get("users.index", state="removed"), cast.acme.user)
    assert [cell.get_text(strip=True) for cell in one.select("th, td")][:4] == ["Removed user", "erased", "User", "Removed"]
    assert not one.select("form, button")
    page = admin.get(f"/users/{cast.acme.user.id}")
    assert page.heading == "Removed user"
    assert "removed an account" in page.text
    for part in (page.select_one("dl").get_text(), page.heading):
        assert cast.acme.user.email not in part


def test_the_names_of_a_removed_account_are_free_for_somebody_else(app: Flask, cast: SimpleNamespace, owner: Any, removed: Any) -> None:
    heir = Browser(app).sign_in(cast.acme.user2)
    form = heir.get("account.index").form("form[action='/account/profile']")
    heir.post("account.profile", {**form, "username": cast.acme.user.username})
    heir.post("account.email", {"email": cast.acme.user.email})
    owner.execute("UPDATE users SET email = pending_email, email_key = pending_email WHERE id = %s", (str(cast.acme.user2.id),))
    assert stored_user(owner, cast.acme.user2)["username"] == cast.acme.user.username
    attempt(Browser(app), cast.acme.user, expect=303)  # the heir, who has the same password here
    owner.execute("SELECT DISTINCT user_id::text FROM sessions WHERE user_id <> %s", (str(cast.acme.admin.id),))
    assert owner.fetchall() == [(str(cast.acme.user2.id),)]


@pytest.mark.parametrize(
    "typed", ["", " ", "CANARY-acme", "CANARY-acme Use", "CANARY-acme User2", "user", "user@acme.example", "yes", "\x00", "x" * 4001]
)
def test_an_account_is_removed_by_its_full_name_only(app: Flask, cast: SimpleNamespace, owner: Any, typed: str) -> None:
    owner.execute("UPDATE users SET is_active = false WHERE id = %s", (str(cast.acme.user.id),))
    before = stored_user(owner, cast.acme.user)
    page = act_on_user(Browser(app).sign_in(cast.acme.admin), "remove", cast.acme.user.id, expect=422, name=typed)
    assert page.fault("name")
    assert (stored_user(owner, cast.acme.user), acts_in_the_log(owner)) == (before, [])


@pytest.mark.parametrize(
    ("first", "last", "typed"),
    [
        ("Seán", "Ó Briain", "seán  ó briain "),
        ("Seán", "Ó Briain", "Sea\u0301n O\u0301 Briain"),
        ("Jan", "van ’t Hoff", "Jan van 't Hoff"),
        ("A" * 300, "B" * 150, f"{'A' * 300} {'B' * 150}"),
        (None, None, "someone"),
    ],
)
def test_the_name_may_be_typed_as_keyboards_allow(
    app: Flask, cast: SimpleNamespace, owner: Any, first: str | None, last: str | None, typed: str
) -> None:
    named = person(cast.acme.id, 1, first_name=first, last_name=last, username="someone", is_active=False)
    put(owner, [named])
    act_on_user(Browser(app).sign_in(cast.acme.admin), "remove", named["id"], expect=303, name=typed)
    assert stored_user(owner, SimpleNamespace(**named))["state"] == "removed"


# The log, and the page of a user


def test_the_page_of_a_user_tells_the_accounts_history_and_nobody_elses(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    for act in ("change to org_admin", "change to user", "sign out", "deactivate", "reactivate"):
        act_on_user(admin, act, cast.acme.user.id, expect=303)
    act_on_user(admin, "deactivate", cast.acme.user2.id, expect=303)
    with app.app_context(), tenancy.bound(cast.globex.id, user=cast.globex.admin.id, role="org_admin"):
        audit.record("role_changed", tenant_id=cast.globex.id, object_type="user", object_id=cast.acme.user.id, actor_name="CANARY-globex")
        from portal.extensions import commit

        commit()
    page = admin.get(f"/users/{cast.acme.user.id}")
    told = [" ".join(item.select_one("p").get_text().split()) for item in page.select(".happened li")]
    assert told == [
        "CANARY-acme Admin reactivated an account; state: deactivated →became active",
        "CANARY-acme Admin deactivated an account; state: active →became deactivated",
        "CANARY-acme Admin signed an account out everywhere",
        "CANARY-acme Admin changed a role; role: org_admin →became user",
        "CANARY-acme Admin changed a role; role: user →became org_admin",
    ]
    with app.app_context(), tenancy.bound(cast.acme.id):
        chain = audit.verify_slice(cast.acme.id, 0)
    assert (chain.broken, chain.done) == (None, True)


# Roles and permissions, told and tried

NUMBERS = count(1)
ACTORS = {"user": "acme.user", "org_admin": "acme.admin", "admin": "platform.admin", "super_admin": "platform.super"}
NAMES = {"user": "a user", "org_admin": "an organization admin", "admin": "an admin", "super_admin": "a super admin"}
TRIED_ON = {  # a line of the table about an account of each role: what is tried, and on an account in which state
    "Change the role of {}": ([f"change to {role}" for role in NAMES], "active"),
    "Sign out {} everywhere": (["sign out"], "active"),
    "Deactivate {}": (["deactivate"], "active"),
    "Reactivate {} who was deactivated": (["reactivate"], "deactivated"),
    "Remove {} who was deactivated": (["remove"], "deactivated"),
    "Hand over one's own administration to {}": (["hand over"], "active"),
}


class Trying:
    """Somebody of a role who tries what the table of roles and permissions speaks of; whatever was reached is put back."""

    def __init__(self, app: Flask, cast: SimpleNamespace, owner: Any, target: Any, role: str) -> None:
        self.app, self.cast, self.owner, self.target = app, cast, owner, target
        self.organization, self.actor = actor_of(cast, ACTORS[role])
        self.sign_in()

    def sign_in(self) -> None:
        self.browser = Browser(self.app).sign_in(self.actor)
        self.token = self.browser.token()

    def lines(self) -> dict[str, Callable[[], bool]]:
        about = {
            words.format(name): partial(self.reaches, acts, role, state)
            for words, (acts, state) in TRIED_ON.items()
            for role, name in NAMES.items()
        }
        making = {f"Make somebody {name}": partial(self.makes_somebody, role) for role, name in NAMES.items()}
        return {
            "See the overview and one's own account, change names, e-mail, password and preferences": self.has_an_account,
            "See the overview's figures": lambda: bool(self.browser.get("/").soup.select("#overview-figures")),
            "See and change the settings": self.changes_settings,
            "Look through, export and check the audit log": lambda: (
                self.opens("/audit", "/audit/export.csv") and self.posts("/audit/verify")
            ),
            "See the users of the organization and their history": lambda: self.opens("/users", f"/users/{self.actor.id}"),
            "Make, see and withdraw access codes, accept who joined by one": lambda: self.opens("/users/codes"),
            "See the agents that are on, and export one as a file": lambda: self.opens("/agents"),
            "Switch agents on and off for the organization": lambda: self.posts(f"/agents/{FREE_AGENT}/switch", on="1"),
            "Make, copy, change, publish, withdraw and remove agents, and import them from a file; those of an organization are its own": self.makes_an_agent,
            "Offer own agents to other organizations, accept and end what is shared": self.shares_an_agent,
            "Change and withdraw free agents": lambda: self.posts(f"/agents/{FREE_AGENT}/bring-back"),
            "Import many people from a file": lambda: self.opens("/users/import"),
            "Have invitations mailed, once one's own e-mail address is confirmed": lambda: any(map(self.invites, NAMES)),
            **about,
            **making,
            **{f"Invite somebody as {name}": partial(self.invites, role) for role, name in NAMES.items()},
            **{f"Make a link for a new password of {name}": partial(self.makes_a_link, role) for role, name in NAMES.items()},
        }

    def invites(self, role: str) -> bool:
        return self.posts("/users/invite", addresses="somebody@x.example", role=role, days="7")

    def makes_a_link(self, role: str) -> bool:
        return self.posts(f"/users/{self.target(self.organization, role).id}/password-link")

    def makes_an_agent(self) -> bool:
        made = self.made_agent()
        return made is not None and self.posts(f"{made}/withdraw")

    def shares_an_agent(self) -> bool:
        made = self.made_agent() or f"/agents/{FREE_AGENT}"
        offered = self.posts(f"{made}/offer", subdomain="quiet-harbour", nonce=f"offer {next(NUMBERS)}")
        assert offered == self.opens("/agents/offers")
        return offered

    def made_agent(self) -> str | None:
        """The path of an agent that was just made and published."""
        number = str(next(NUMBERS))
        said = {"name": f"Agent {number}", "configuration": "{}", "publish": "y", "nonce": number, "csrf_token": self.token}
        answer = self.browser.client.post("/agents/new", data=said)
        return answer.location if answer.status_code < 400 else None

    def opens(self, *paths: str) -> bool:
        return all(self.browser.client.get(path).status_code == 200 for path in paths)

    def posts(self, path: str, **data: str) -> bool:
        return self.browser.client.post(path, data={**data, "csrf_token": self.token}).status_code < 400

    def has_an_account(self) -> bool:
        return self.opens("/", "/account", "/account/password") and self.posts(
            "/account/preferences", theme="dark", density="compact", time_zone=""
        )

    def changes_settings(self) -> bool:
        if not self.opens("/settings"):
            return self.posts("/settings", name="Another")
        form = self.browser.get("/settings").form("main form[action='/settings']")
        return self.posts("/settings", **{**form, "description": "tried"})

    def reaches(self, acts: list[str], role: str, state: str) -> bool:
        return any(self.did(act, self.target(self.organization, role, state)) for act in acts)

    def makes_somebody(self, role: str) -> bool:
        return any(self.did(f"change to {role}", self.target(self.organization, other)) for other in NAMES if other != role)

    def did(self, act: str, one: Any) -> bool:
        """Whether the act was answered as done and has changed the account, which must be the same."""
        before, (last, data) = stored_user(self.owner, one), door_of_act(act)
        answer = self.browser.client.post(f"/users/{one.id}/{last}", data={**data, "csrf_token": self.token})
        changed = stored_user(self.owner, one) != before
        assert changed or answer.status_code in (403, 422) or act == f"change to {one.role}", (act, one.role, answer.status_code)
        if act == "hand over" and changed:
            self.owner.execute("UPDATE users SET role = %s WHERE id = %s", (self.actor.role, str(self.actor.id)))
            self.sign_in()
        return changed


@pytest.mark.parametrize("role", ACTORS)
def test_the_table_of_roles_says_what_each_role_really_can_do(
    app: Flask, cast: SimpleNamespace, owner: Any, target: Any, role: str
) -> None:
    put_row(owner, "agents", agent(FREE_AGENT, "free", None))
    trying = Trying(app, cast, owner, target, role)
    page = trying.browser.get("users.access")
    columns = [th.get_text(strip=True) for th in page.select("thead th")]
    assert columns == ["Permission", "User", "Organization admin", "Admin", "Super admin"]
    told = {
        row.select_one("th").get_text(strip=True): row.select("td")[list(ACTORS).index(role)].get_text(strip=True)
        for row in page.select("tbody tr:not(.group)")
    }
    assert set(told) == set(trying.lines()), "a permission that nobody tries, or one that is not told"
    assert told == {words: "yes" if tries() else "no" for words, tries in trying.lines().items()}
    closed = [item.get_text() for item in page.soup.select("#why li")]
    assert len(closed) == len(set(closed))
    assert set(closed) == {words for words, answer in told.items() if answer == "no"}


def test_the_table_of_roles_says_why_not_and_who_helps(app: Flask, cast: SimpleNamespace) -> None:
    def why(person: Any) -> dict[str, str]:
        reasons = Browser(app).sign_in(person).get("users.access").soup.select("#why p")
        said = [reason.get_text().removesuffix(" So you cannot:") for reason in reasons]
        assert len(said) == len(set(said)), "each reason once"
        return {
            item.get_text(): words
            for words, reason in zip(said, reasons, strict=True)
            for item in reason.find_next_sibling("ul").select("li")
        }

    assert set(why(cast.acme.user).values()) == {
        "Only administrators of the organization see this. Ask an administrator of your organization.",
        "Only administrators of the organization make agents. Ask an administrator of your organization.",
        "Only administrators of the organization switch agents on and off. Ask an administrator of your organization.",
        "Only administrators of the organization share agents with others. Ask an administrator of your organization.",
        "Free agents belong to every organization; only a super admin changes them. Ask a super admin of the portal.",
    }
    assert why(cast.acme.admin)["Make somebody an admin"] == "The role admin is not given in this organization."
    assert (
        why(cast.platform.admin)["Make somebody an admin"]
        == "Only a super admin may make somebody an admin. Ask a super admin of the portal."
    )
    assert why(cast.platform.super) == {
        "Make somebody a user": "The role user is not given in this organization.",
        "Make somebody an organization admin": "The role organization admin is not given in this organization.",
        "Invite somebody as a user": "The role user is not given in this organization.",
        "Invite somebody as an organization admin": "The role organization admin is not given in this organization.",
        "Make, see and withdraw access codes, accept who joined by one": "Nobody joins the platform by a code.",
        "Import many people from a file": "Accounts of the platform are made one by one.",
        "Offer own agents to other organizations, accept and end what is shared": "The platform shares no agents; its own are free for every organization.",
    }


@pytest.mark.parametrize("door", ["role", "hand-over", "remove"])
def test_whoever_comes_a_moment_too_late_is_told_so(app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    def too_late(*_: Any, **__: Any) -> None:
        raise Conflict("This account was given a higher role at this moment.")

    for act in ("change_role", "hand_over", "remove"):
        monkeypatch.setattr(services, act, too_late)
    sent = {"role": "user", "name": "CANARY"}
    page = Browser(app).sign_in(cast.acme.admin).post(f"/users/{cast.acme.user.id}/{door}", sent, expect=409)
    assert "given a higher role at this moment" in page.text
