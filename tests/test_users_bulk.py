"""Acts on many accounts: seen before they are done, by the rules for every row, found in every history, undone for a while."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from portal.bulk import acting
from portal.config import Settings
from portal.database import connect
from portal.testing.browser import Browser
from portal.testing.cast import PASSWORD
from portal.users import finding
from portal.values import fingerprint
from tests.steps import add_users, at_once, doing

CHANGES = ("deactivate", "reactivate", "sign_out", "role:user", "role:org_admin")


def ids(*people: Any) -> list[str]:
    return [str(person.id) for person in people]


def preview(browser: Browser, act: str, users: list[str] | None = None, *, expect: int = 200, **more: str) -> Any:
    return browser.post("bulk.preview", {"act": act, "users": users or [], **more}, expect=expect)


def do(browser: Browser, act: str, users: list[str] | None = None, *, expect: int = 303, **more: str) -> Any:
    return browser.post("bulk.act", {"act": act, "users": users or [], **more}, expect=expect)


def do_all(browser: Browser, act: str, search: str = "") -> Any:
    """What is done to all that fit a search, as the preview's form asks for it; returns the preview."""
    page = preview(browser, act, all="1", search=search)
    browser.post("bulk.act", page.form())
    return page


def fates(page: Any) -> dict[str, str]:
    return {
        row.select_one("[data-label=Username]").get_text(strip=True): row.select("td")[-1].get_text(" ", strip=True)
        for row in page.select("tbody tr")
    }


def states(owner: Any, tenant: Any) -> dict[str, tuple[str, str]]:
    owner.execute("SELECT username, role, state FROM users WHERE tenant_id = %s AND username NOT LIKE 'made%%'", (str(tenant.id),))
    return {username: (role, state) for username, role, state in owner.fetchall()}


def number(owner: Any, what: str) -> int:
    owner.execute(f"SELECT count(*) FROM {what}")
    return int(owner.fetchone()[0])


# Selecting, and seeing what follows


def test_the_table_lets_one_select_rows_without_script(admin: Browser, cast: SimpleNamespace) -> None:
    page = admin.get("users.index")
    boxes = page.select('input[type=checkbox][form="bulk"][name=users]')
    assert {box["value"] for box in boxes} == set(ids(*cast.acme.people.values()))
    assert page.select_one("form#bulk")["action"] == "/users/bulk"
    words = {button.get("name"): button.get_text() for button in page.select("form#bulk button")}
    assert words == {None: "Preview for the selected", "page": "Preview for this page", "all": "Preview for all 6"}
    offered = [option["value"] for option in page.select("form#bulk option")]
    assert offered == ["", "role:user", "role:org_admin", "deactivate", "reactivate", "sign_out"]


def test_the_preview_says_who_changes_and_who_not_and_why_and_changes_nothing(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    before = states(owner, cast.acme)
    page = preview(admin, "deactivate", ids(*cast.acme.people.values()))
    assert page.heading == "Deactivate 3 of 6 accounts"
    told = fates(page)
    assert {name for name, fate in told.items() if fate == "will change"} == {"user", "user2", "admin2"}
    assert told["admin"] == "stays as it is Nobody changes their own role or state. Ask another administrator of your organization."
    assert told["gone"] == told["gone_admin"] == "stays as it is Only an active account can be deactivated."
    assert states(owner, cast.acme) == before
    assert number(owner, "bulk_acts") == 0


def test_this_page_and_all_that_fit_are_selections_too(admin: Browser, cast: SimpleNamespace) -> None:
    table = admin.get("users.index", role="user", state="active")
    on_page = table.form("#bulk")["on_page"]
    assert on_page.split() == [str(row["id"]).removeprefix("user-") for row in table.select("tbody tr")]
    assert table.select_one("#bulk [name=all]").get_text() == "Preview for all 2"
    for sent in (on_page, on_page.split()):  # as a page does that was opened before an upgrade
        assert set(fates(preview(admin, "sign_out", page="1", on_page=sent))) == {"user", "user2"}
    page = preview(admin, "reactivate", all="1", search="state=deactivated&role=user")
    assert fates(page) == {"gone": "will change"}
    assert set(fates(preview(admin, "sign_out", all="1", search="q=gone"))) == {"gone", "gone_admin"}
    assert len(fates(preview(admin, "sign_out", all="1", search=""))) == 6


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({}, "Choose what is to be done."),
        ({"act": "deactivate"}, "Select at least one account."),
        ({"act": "remove", "users": ["00000000-0000-0000-0000-000000000000"]}, "Choose one of those that are offered."),
        ({"act": "deactivate", "users": ["no id"]}, "no id of the portal"),
        ({"act": "deactivate", "page": "1", "on_page": "a " * 400_000}, "These are 400,000 accounts; select at most 1,000"),
        ({"act": "deactivate", "users": [f"00000000-0000-0000-0000-{one:012}" for one in range(1001)]}, "at most 1,000"),
        ({"act": "deactivate", "all": "1", "search": "role=god"}, "Choose one of those that are offered."),
        ({"act": "deactivate", "all": "1", "search": "after=%00"}, "not complete"),
        ({"act": "deactivate", "all": "1", "as_of": "yesterday", "number": "1"}, "does not say when the accounts were looked at"),
        ({"act": "deactivate", "all": "1", "as_of": "2026-11-24T10:00:00", "number": "1"}, "does not say when the accounts were looked at"),
        ({"act": "deactivate", "all": "1", "as_of": "2026-11-24T10:00:00Z", "number": "many"}, "whole number"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("door", ["bulk.preview", "bulk.act"])
def test_what_cannot_be_asked_for_is_refused_in_words(admin: Browser, door: str, sent: dict[str, Any], words: str, owner: Any) -> None:
    assert words in admin.post(door, sent, expect=422).text
    assert number(owner, "bulk_acts") == 0


@pytest.mark.parametrize("door", ["bulk.preview", "bulk.act"])
def test_a_search_of_many_parts_is_no_fault(admin: Browser, door: str, owner: Any) -> None:
    unknown = "&".join(f"unknown{number}=1" for number in range(5_000))
    assert "Choose one of those" in admin.post(door, {"act": "deactivate", "all": "1", "search": f"{unknown}&role=god"}, expect=422).text
    assert number(owner, "bulk_acts") == 0


# The acts


def test_many_are_deactivated_in_one_act_and_signed_out(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    user = Browser(app).sign_in(cast.acme.user)
    form = preview(admin, "deactivate", ids(cast.acme.user, cast.acme.user2, cast.acme.gone))
    do(admin, "deactivate", [field["value"] for field in form.select("main form [name=users]")])
    page = admin.follow()
    assert "Done: 2 accounts changed. Not changed: 1 × Only an active account can be deactivated." in page.text
    assert page.heading == "Several people deactivated"
    now = states(owner, cast.acme)
    assert now["user"] == now["user2"] == ("user", "deactivated")
    user.get("account.index", expect=303)
    owner.execute("SELECT action, changes->'accounts'->>1 FROM audit_entries WHERE object_id = (SELECT id FROM bulk_acts)")
    assert owner.fetchall() == [("users_deactivated", "2")]


def test_roles_are_given_to_many_and_the_password_is_asked_for(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    owner.execute("UPDATE sessions SET confirmed_at = '2020-01-01'")
    both = ids(cast.acme.user, cast.acme.user2)
    page = do(admin, "role:org_admin", both, expect=422)
    assert "Enter it once more" in page.fault("password")
    assert states(owner, cast.acme)["user"] == ("user", "active")
    do(admin, "role:org_admin", both, password="wrong", expect=422)
    do(admin, "role:org_admin", both, password=PASSWORD)
    assert states(owner, cast.acme)["user"] == states(owner, cast.acme)["user2"] == ("org_admin", "active")
    do(admin, "role:user", [*both, *ids(cast.acme.admin2, cast.acme.gone)])
    assert "1 × The account has this role already." in admin.follow().text
    assert states(owner, cast.acme)["admin2"] == ("user", "active")


def test_what_is_stored_for_one_is_stored_for_many(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    look = "SELECT auth_epoch, version, is_active, updated_at IS NOT NULL, (SELECT count(*) FROM sessions WHERE user_id = users.id) FROM users WHERE id = %s"
    for act in ("deactivate", "reactivate"):
        admin.post(f"users.{act}", user_id=cast.acme.user.id)
        do(admin, act, ids(cast.acme.user2))
        owner.execute(look, ids(cast.acme.user))
        alone = owner.fetchone()
        owner.execute(look, ids(cast.acme.user2))
        assert owner.fetchone() == alone, act


def test_an_act_that_changes_nobody_is_refused_and_leaves_no_entry(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    entries = number(owner, "audit_entries")
    page = do(admin, "deactivate", ids(cast.acme.admin, cast.acme.gone), expect=422)
    assert "Nobody changes their own role or state." in page.text
    assert (number(owner, "bulk_acts"), number(owner, "audit_entries")) == (0, entries)


@pytest.mark.parametrize("act", CHANGES)
def test_neighbours_that_are_smuggled_in_are_neither_changed_nor_told_about(
    admin: Browser, cast: SimpleNamespace, owner: Any, act: str
) -> None:
    neighbours = ids(*cast.globex.people.values(), *cast.platform.people.values())
    before = states(owner, cast.globex), states(owner, cast.platform)
    unknown = "00000000-0000-0000-0000-000000000000"
    told = preview(admin, act, neighbours)
    assert "Nobody was found." in told.text
    assert told.text == preview(admin, act, [unknown]).text, "foreign and unknown are alike"
    mixed = do(
        admin,
        act,
        [*neighbours, *ids(cast.acme.gone if act == "reactivate" else cast.acme.user2)],
        expect=422 if act == "role:user" else 303,
    )
    assert "globex" not in mixed.text
    assert (states(owner, cast.globex), states(owner, cast.platform)) == before
    assert number(owner, "bulk_changes WHERE tenant_id <> (SELECT id FROM tenants WHERE subdomain = 'acme')") == 0


@pytest.mark.parametrize(
    ("who", "act", "changed"),
    [
        ("acme.admin", "deactivate", {"user", "user2", "admin2"}),
        ("acme.admin", "reactivate", {"gone", "gone_admin"}),
        ("acme.admin", "role:org_admin", {"user", "user2", "gone"}),
        ("acme.admin", "role:user", {"admin2", "gone_admin"}),
        ("acme.admin", "role:admin", set()),
        ("acme.admin", "role:super_admin", set()),
        ("platform.super", "deactivate", {"admin", "admin2", "super2"}),
        ("platform.super", "role:super_admin", {"admin", "admin2"}),
        ("platform.super", "role:user", set()),
        ("platform.admin", "deactivate", set()),
        ("platform.admin", "role:super_admin", set()),
    ],
)
def test_rank_holds_for_every_row(app: Flask, cast: SimpleNamespace, owner: Any, who: str, act: str, changed: set[str]) -> None:
    tenant, _, name = who.partition(".")
    people = getattr(cast, tenant)
    browser, before = Browser(app).sign_in(people.people[name]), states(owner, people)
    do(browser, act, ids(*people.people.values()), expect=303 if changed else 422)
    after = states(owner, people)
    assert {name for name in after if after[name] != before[name]} == changed


@pytest.mark.parametrize("door", ["bulk.preview", "bulk.act"])
def test_plain_users_change_nobody(app: Flask, cast: SimpleNamespace, owner: Any, door: str) -> None:
    before = states(owner, cast.acme)
    Browser(app).sign_in(cast.acme.user).post(door, {"act": "deactivate", "users": ids(cast.acme.user2)}, expect=403)
    assert states(owner, cast.acme) == before


def test_a_role_that_was_taken_away_since_the_preview_does_nothing_any_more(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    preview(admin, "deactivate", ids(cast.acme.user))
    owner.execute("UPDATE users SET role = 'user' WHERE id = %s", ids(cast.acme.admin))
    do(admin, "deactivate", ids(cast.acme.user), expect=403)
    assert states(owner, cast.acme)["user"] == ("user", "active")


def test_a_row_that_changed_since_the_preview_is_asked_about_anew(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    preview(admin, "deactivate", ids(cast.acme.user, cast.acme.user2))
    owner.execute("UPDATE users SET role = 'admin' WHERE id = %s", ids(cast.acme.user2))
    do(admin, "deactivate", ids(cast.acme.user, cast.acme.user2))
    assert "1 × Only a super admin may change an admin." in admin.follow().text
    assert states(owner, cast.acme)["user2"] == ("admin", "active")


# At once


def sending(browser: Browser, act: str, users: list[str]) -> Any:
    data = {"act": act, "users": users, "csrf_token": browser.token()}
    return lambda: browser.client.post("/users/bulk/act", data=data)


@pytest.mark.parametrize("act", ["deactivate", "role:user"])
def test_administrators_who_act_on_each_other_at_once_leave_one_in_office(app: Flask, cast: SimpleNamespace, owner: Any, act: str) -> None:
    owner.execute("UPDATE users SET role = 'org_admin' WHERE id = ANY(%s::uuid[])", [ids(cast.acme.user, cast.acme.user2)])
    administrators = [cast.acme.admin, cast.acme.admin2, cast.acme.user, cast.acme.user2]
    for _ in range(5):
        owner.execute("UPDATE users SET role = 'org_admin', is_active = true WHERE id = ANY(%s::uuid[])", [ids(*administrators)])
        acts = [
            sending(Browser(app).sign_in(one), act, ids(*(other for other in administrators if other is not one))) for one in administrators
        ]
        answers = at_once(*acts)
        assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
        assert len([answer for answer in answers if (answer.location or "").startswith("/users/bulk/")]) == 1
        in_office = [name for name, now in states(owner, cast.acme).items() if now == ("org_admin", "active")]
        assert len(in_office) == 1


def test_two_acts_on_the_same_rows_at_once_change_each_row_once(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    add_users(owner, cast.acme, 200)
    owner.execute("SELECT id::text FROM users WHERE username LIKE 'made%'")
    rows = [row[0] for row in owner.fetchall()]
    both = [Browser(app).sign_in(one) for one in (cast.acme.admin, cast.acme.admin2)]
    assert sorted(answer.status_code for answer in at_once(*(sending(browser, "deactivate", rows) for browser in both))) == [303, 422]
    assert number(owner, "bulk_acts") == 1
    assert number(owner, "bulk_changes") == 200
    assert number(owner, "users WHERE username LIKE 'made%' AND auth_epoch = 1 AND NOT is_active") == 200


def test_a_row_that_changes_between_the_look_and_the_act_is_left_alone(
    admin: Browser, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody who does not wait for the organization's lock."""
    look = finding.chosen

    def look_and_lose(tenant_id: Any, chosen: Any) -> Any:
        found = look(tenant_id, chosen)
        owner.execute("UPDATE users SET role = 'org_admin' WHERE id = %s", ids(cast.acme.user2))
        return found

    monkeypatch.setattr(finding, "chosen", look_and_lose)
    do(admin, "deactivate", ids(cast.acme.user, cast.acme.user2))
    monkeypatch.undo()
    assert f"1 × {acting.CHANGED_MEANWHILE}" in admin.follow().text
    assert states(owner, cast.acme)["user2"] == ("org_admin", "active")


# Histories and the chain


def test_each_account_tells_in_its_history_of_the_act_and_no_other_does(admin: Browser, cast: SimpleNamespace) -> None:
    do(admin, "deactivate", ids(cast.acme.user, cast.acme.user2))
    for person, tells in ((cast.acme.user, True), (cast.acme.user2, True), (cast.acme.gone, False)):
        page = admin.get("users.show", user_id=person.id)
        assert ("deactivated several accounts" in page.text) is tells


def test_the_entry_proves_the_list_and_the_chain_stays_whole(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    do(admin, "deactivate", ids(cast.acme.user, cast.acme.user2))
    owner.execute("SELECT user_id::text, old_role, old_state, new_role, new_state FROM bulk_changes")
    lines = sorted(" ".join(row) for row in owner.fetchall())
    owner.execute("SELECT changes->'fingerprint of the list'->>1 FROM audit_entries WHERE action = 'users_deactivated'")
    assert owner.fetchone()[0] == fingerprint("\n".join(lines)).hex()
    assert len(lines) == 2
    assert "all intact" in admin.post("audit.verify", {"after": "0"}, expect=200).text


BREACHES = {
    "one said to have been something else": "UPDATE bulk_changes SET old_role = 'org_admin' WHERE user_id = %s",
    "one taken out": "DELETE FROM bulk_changes WHERE user_id = %s",
}


@pytest.mark.parametrize("breach", [None, *BREACHES])
def test_a_list_that_somebody_touched_is_found(
    app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any, monkeypatch: pytest.MonkeyPatch, breach: str | None
) -> None:
    monkeypatch.setattr(finding, "BATCH", 1)
    do(admin, "sign_out", ids(cast.acme.user))
    do(admin, "deactivate", ids(cast.acme.user, cast.acme.user2))
    owner.execute("SELECT seq FROM audit_entries WHERE action = 'users_deactivated'")
    (entry,) = owner.fetchone()
    if breach:
        owner.execute(
            BREACHES[breach] + " AND act_id = (SELECT object_id FROM audit_entries WHERE action = 'users_deactivated')",
            (str(cast.acme.user.id),),
        )
    told = app.test_cli_runner().invoke(args=["verify-audit"])
    assert told.exit_code == (1 if breach else 0), told.output
    expected = f"the list of accounts that entry {entry} proves is broken" if breach else "2 lists of accounts changed at once, whole"
    assert f"acme: {expected}" in told.output.splitlines()


# Undoing


def undo(browser: Browser, *, expect: int = 303, **more: str) -> Any:
    assert browser.page is not None
    act_id = browser.page.location.rpartition("/")[2]
    return browser.post("bulk.undo", more, act_id=act_id, expect=expect)


def test_undoing_reverts_exactly_what_is_still_as_the_act_left_it(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    add_users(owner, cast.acme, 3)
    owner.execute("SELECT username, id::text FROM users WHERE username LIKE 'made%'")
    made = dict(owner.fetchall())
    do(admin, "role:org_admin", [*made.values(), *ids(cast.acme.user)])
    location = admin.page.location
    admin.post("users.change_role", {"role": "user"}, user_id=made["made1"])
    admin.post("users.deactivate", user_id=made["made2"])
    page = admin.get(location)
    assert "Can be undone" in page.text
    admin.post("bulk.undo", {}, act_id=location.rpartition("/")[2])
    assert "2 × The account is not as the act left it." in admin.follow().text
    owner.execute("SELECT username, role, state FROM users WHERE username LIKE 'made%' OR username = 'user' ORDER BY 1")
    assert [row for row in owner.fetchall() if row[0] != "user" or row[1:]][:4] == [
        ("made1", "user", "active"), ("made2", "org_admin", "deactivated"), ("made3", "user", "active"), ("user", "user", "active"),
    ]  # fmt: skip
    owner.execute("SELECT action FROM audit_entries WHERE action IN ('roles_changed', 'bulk_undone') ORDER BY seq")
    assert [row[0] for row in owner.fetchall()] == ["roles_changed", "bulk_undone"]
    assert "undid a change of several accounts" in admin.get("users.show", user_id=made["made3"]).text


@pytest.mark.parametrize("act", ["deactivate", "reactivate"])
def test_states_go_back_too(admin: Browser, cast: SimpleNamespace, owner: Any, act: str) -> None:
    before = states(owner, cast.acme)
    do(admin, act, ids(*cast.acme.people.values()))
    assert states(owner, cast.acme) != before
    undo(admin)
    assert states(owner, cast.acme) == before


def test_an_act_is_undone_once_within_ten_minutes_and_a_sign_out_never(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    do(admin, "deactivate", ids(cast.acme.user))
    location = admin.page.location
    undo(admin)
    undoing = admin.page.location
    for where, words in ((location, "undone already"), (undoing, "cannot be undone")):
        assert words in admin.post(f"{where}/undo", {}, expect=422).text
    do(admin, "sign_out", ids(cast.acme.user))
    assert "cannot be undone" in undo(admin, expect=422).text
    do(admin, "deactivate", ids(cast.acme.user))
    owner.execute("UPDATE audit_entries SET at = at - interval '10 minutes' WHERE action = 'users_deactivated'")
    assert "more than ten minutes ago" in undo(admin, expect=422).text
    assert states(owner, cast.acme)["user"] == ("user", "deactivated")


def test_of_two_who_undo_at_once_one_does(app: Flask, admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    do(admin, "deactivate", ids(cast.acme.user))
    path = f"{admin.page.location}/undo"

    def undoing(browser: Browser) -> Any:
        token = browser.token()
        return lambda: browser.client.post(path, data={"csrf_token": token}).status_code

    assert sorted(at_once(undoing(admin), undoing(Browser(app).sign_in(cast.acme.admin2)))) == [303, 422]
    assert number(owner, "bulk_acts WHERE undoes IS NOT NULL") == 1


def test_giving_administration_back_asks_for_the_password(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    do(admin, "role:user", ids(cast.acme.admin2))
    owner.execute("UPDATE sessions SET confirmed_at = '2020-01-01'")
    location = admin.page.location
    assert "Enter it once more" in admin.post(f"{location}/undo", {}, expect=422).fault("password")
    admin.post(f"{location}/undo", {"password": PASSWORD})
    assert states(owner, cast.acme)["admin2"] == ("org_admin", "active")


def test_a_neighbours_act_is_not_found(admin: Browser, app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    do(admin, "deactivate", ids(cast.acme.user))
    other = Browser(app).sign_in(cast.globex.admin)
    other.get(admin.page.location, expect=404)
    other.post(f"{admin.page.location}/undo", {}, expect=404)


# More than a request takes


def test_above_a_thousand_it_is_a_job_that_reports_and_can_be_undone(
    admin: Browser,
    app: Flask,
    settings: Settings,
    cast: SimpleNamespace,
    owner: Any,
    worker: Any,
) -> None:
    add_users(owner, cast.acme, 1500)
    page = preview(admin, "deactivate", all="1", search="")
    assert page.heading == "Deactivate 1,503 of 1,506 accounts"
    admin.post("bulk.act", page.form())
    assert admin.page.location.startswith("/jobs/")
    assert number(owner, "users WHERE username LIKE 'made%' AND is_active") == 1500, "nothing is done before the worker does it"
    doing(app, settings).act(worker)
    page = admin.follow()
    assert "1,503 accounts were changed" in page.text
    assert "1 × Nobody changes their own role or state." in page.text
    assert "The preview showed 1,506 accounts that fitted. Since then nobody came or was changed." in " ".join(page.text.split())
    assert number(owner, "users WHERE username LIKE 'made%' AND is_active") == 0
    act = page.select_one("#report a")["href"]
    owner.execute("SELECT count(*) FROM audit_entries WHERE action = 'users_deactivated'")
    assert owner.fetchone() == (1,)
    admin.post(f"{act}/undo", {})
    doing(app, settings).act(worker)
    assert "1,503 accounts were changed" in admin.follow().text
    assert number(owner, "users WHERE username LIKE 'made%' AND is_active") == 1500


def test_a_search_with_more_hits_than_the_table_looks_at_changes_all_of_them(
    admin: Browser,
    app: Flask,
    settings: Settings,
    cast: SimpleNamespace,
    owner: Any,
    worker: Any,
) -> None:
    add_users(owner, cast.acme, 1200)
    do_all(admin, "deactivate", "q=made&role=user")
    doing(app, settings).act(worker)
    assert number(owner, "users WHERE username LIKE 'made%' AND is_active") == 0
    assert states(owner, cast.acme)["user"] == ("user", "active")


def test_a_job_whose_asker_lost_the_role_meanwhile_changes_nobody(
    admin: Browser,
    app: Flask,
    settings: Settings,
    cast: SimpleNamespace,
    owner: Any,
    worker: Any,
) -> None:
    add_users(owner, cast.acme, 1200)
    do_all(admin, "deactivate")
    owner.execute("UPDATE users SET role = 'user' WHERE id = %s", ids(cast.acme.admin))
    doing(app, settings).act(worker)
    assert number(owner, "users WHERE username LIKE 'made%' AND is_active") == 1200
    assert number(owner, "bulk_acts") == 0


def test_what_fits_a_search_is_not_changed_before_somebody_has_looked(admin: Browser, cast: SimpleNamespace, owner: Any) -> None:
    assert "Look first at whom this would change." in do(admin, "deactivate", all="1", search="", expect=422).text
    assert number(owner, "jobs") == 0
    assert states(owner, cast.acme)["user"] == ("user", "active")


LATER = "SELECT gen_random_uuid(), tenant_id, '!', 'came', 'came later', 'came@x.example', 'made came' FROM users WHERE id = %s"
MEANWHILE = {  # what happens between the preview and the job: what the report says of it
    "somebody comes": (
        f"INSERT INTO users (id, tenant_id, hashed_password, username, sort_key, email, search_text) {LATER}",
        "1,200 accounts were changed.",
        "The preview showed 1,200 accounts that fitted. 1 account was left alone because it came, or was changed, after it.",
    ),
    "somebody fits no more": (
        "UPDATE users SET role = 'org_admin', updated_at = now() WHERE username IN ('made1', 'made2') AND tenant_id = (SELECT tenant_id FROM users WHERE id = %s)",
        "1,198 accounts were changed.",
        "The preview showed 1,200 accounts that fitted; 2 of them were changed after it, or do not fit any more, and were left alone.",
    ),
    "somebody is changed and fits": (
        "UPDATE users SET first_name = 'Mara', updated_at = now() WHERE username = 'made1' AND tenant_id = (SELECT tenant_id FROM users WHERE id = %s)",
        "1,199 accounts were changed.",
        "1 of them was changed after it, or does not fit any more, and was left alone. "
        "1 account was left alone because it came, or was changed, after it.",
    ),
    "somebody fits who did not": (
        "UPDATE users SET search_text = search_text || ' made', updated_at = now() WHERE id = %s",
        "1,200 accounts were changed.",
        "1 account was left alone because it came, or was changed, after it.",
    ),
    "somebody signs in": (
        "UPDATE users SET last_sign_in_at = now() WHERE username = 'made1' AND tenant_id = (SELECT tenant_id FROM users WHERE id = %s)",
        "1,200 accounts were changed.",
        "Since then nobody came or was changed.",
    ),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_a_job_changes_whom_the_preview_has_shown_and_says_what_is_different(
    admin: Browser,
    app: Flask,
    settings: Settings,
    cast: SimpleNamespace,
    owner: Any,
    worker: Any,
    what: str,
) -> None:
    add_users(owner, cast.acme, 1200)
    statement, changed, told = MEANWHILE[what]
    page = preview(admin, "deactivate", all="1", search="q=made&role=user")
    owner.execute(statement, ids(cast.acme.user))
    admin.post("bulk.act", page.form())
    doing(app, settings).act(worker)
    report = admin.follow().select_one("#report").get_text(" ", strip=True)
    assert changed in report
    assert told in " ".join(report.split())
    assert states(owner, cast.acme)["user"] == ("user", "active")
    assert number(owner, "users WHERE username = 'came' AND NOT is_active") == 0


def test_filters_by_last_sign_in_ask_about_the_moment_of_the_preview(
    admin: Browser,
    app: Flask,
    settings: Settings,
    cast: SimpleNamespace,
    owner: Any,
    worker: Any,
) -> None:
    add_users(
        owner,
        cast.acme,
        1300,
        last_sign_in_at="CASE WHEN n <= 1250 THEN now() - interval '90 days 1 hour' ELSE now() - interval '1 day' END",
    )
    page = preview(admin, "deactivate", all="1", search="signed_in=longer")
    assert page.heading == "Deactivate 1,250 of 1,250 accounts"
    owner.execute("UPDATE users SET last_sign_in_at = now() WHERE username = 'made1'")
    owner.execute("UPDATE users SET last_sign_in_at = now() - interval '90 days' WHERE username = 'made1300'")  # a moment later they fit
    admin.post("bulk.act", page.form())
    doing(app, settings).act(worker)
    page = admin.follow()
    assert "1,249 accounts were changed." in page.text
    assert "1 of them was changed after it, or does not fit any more, and was left alone." in page.text
    owner.execute("SELECT username FROM users WHERE username IN ('made1', 'made2', 'made1300') AND NOT is_active")
    assert owner.fetchall() == [("made2",)]


def test_what_was_under_way_when_somebody_looked_is_noticed(
    admin: Browser,
    app: Flask,
    settings: Settings,
    cast: SimpleNamespace,
    owner: Any,
    cluster: Any,
    database: str,
    worker: Any,
) -> None:
    """An import that began before the preview ends after it: its accounts look as if they had been seen."""
    add_users(owner, cast.acme, 1200)
    other = connect(cluster.urls(database)["owner"])
    with other, other.cursor() as importing:
        add_users(importing, cast.acme, 5, username="'late' || n", email="'late' || n || '@many.example'", search_text="'made late' || n")
        page = preview(admin, "deactivate", all="1", search="q=made")
        assert page.heading == "Deactivate 1,200 of 1,200 accounts"
    other.close()
    admin.post("bulk.act", page.form())
    doing(app, settings).act(worker)
    page = admin.follow()
    assert "1,205 accounts fitted when you looked at them, and your page showed 1,200" in page.select_one("#job .refused").text
    assert number(owner, "users WHERE NOT is_active AND search_text LIKE 'made%'") == 0
    assert number(owner, "bulk_acts") == 0
