"""What a hostile neighbour, administrator or admin tries at the doors of the users, and what becomes of it."""

import base64
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from flask import Flask

from portal.testing.browser import HTMX, Browser
from portal.users.commands import SORTS
from tests.attack.roles import DENIED, Role
from tests.crowd import crowd, person, put
from tests.steps import ACTS, WHO, act_on_user, acts_in_the_log, door_of_act, invite, link_in, stored_user, user_rows, users_shown

SMUGGLED = {
    "id": "", "user_id": "", "tenant_id": "", "owner_tenant_id": "", "hashed_password": "!", "email": "mine@elsewhere.example", "email_key": "mine",
    "username": "mine", "is_active": "", "is_verified": "1", "is_platform": "1", "auth_epoch": "0", "state": "active", "accepted_at": "2020-01-01",
    "removed_at": "", "version": "99", "confirmed": "1", "by": "super_admin", "actor": "super_admin", "role[]": "super_admin", "Role": "super_admin",
}  # fmt: skip


def everybody(owner: Any) -> list[Any]:
    owner.execute("SELECT to_jsonb(u) FROM users u ORDER BY id")
    return [row[0] for row in owner.fetchall()]


@pytest.mark.parametrize("act", ["change to org_admin", "sign out", "deactivate", "reactivate", "remove"])
def test_an_act_changes_what_it_says_and_nothing_that_was_smuggled_in(app: Flask, cast: SimpleNamespace, owner: Any, act: str) -> None:
    one = cast.acme.user
    if act in ("reactivate", "remove"):
        owner.execute("UPDATE users SET is_active = false WHERE id = %s", (str(one.id),))
    elsewhere = {"id": str(cast.globex.user.id), "user_id": str(cast.globex.user.id), "tenant_id": str(cast.globex.id)}
    browser = Browser(app).sign_in(cast.acme.admin)
    before = {row["id"]: row for row in everybody(owner)}
    act_on_user(browser, act, one.id, expect=303, **{**SMUGGLED, **elsewhere, **({"name": "CANARY-acme User"} if act == "remove" else {})})
    after = {row["id"]: row for row in everybody(owner)}
    changed = {name for name in after[str(one.id)] if after[str(one.id)][name] != before[str(one.id)][name]}
    bookkeeping, ended = {"version", "updated_at"}, {"version", "updated_at", "auth_epoch"}
    erased = {"first_name", "last_name", "username", "username_key", "email", "email_key", "hashed_password", "search_text", "sort_key"}
    assert (
        changed
        == {
            "change to org_admin": {"role", *ended},
            "sign out": {*ended},
            "deactivate": {"is_active", "state", *ended},
            "reactivate": {"is_active", "state", *bookkeeping},
            "remove": {"state", "is_verified", "removed_at", *erased, *ended},
        }[act]
    )
    assert {id_ for id_ in after if after[id_] != before[id_]} == {str(one.id)}


def test_of_several_roles_that_are_sent_none_is_taken_by_stealth(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    for sent in (["user", "super_admin"], ["super_admin", "user"], ["org_admin", "admin"]):
        browser.client.post(f"/users/{cast.acme.user.id}/role", data={"role": sent, "csrf_token": browser.token()})
        assert stored_user(owner, cast.acme.user)["role"] in ("user", "org_admin")
    for role in (
        "SUPER_ADMIN",
        "super_admin ",
        " super_admin",
        "super_admin\x00",
        "Role.SUPER_ADMIN",
        "3",
        "owner",
        "",
        "ſuper_admin",
        "super-admin",
    ):
        act_on_user(browser, f"change to {role}", cast.acme.user2.id, expect=422)
    assert stored_user(owner, cast.acme.user2)["role"] == "user"


def test_every_act_needs_the_token_of_the_own_session(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin, neighbour = Browser(app).sign_in(cast.acme.admin), Browser(app).sign_in(cast.globex.admin)
    before = everybody(owner)
    for act in ACTS:
        last, data = door_of_act(act)
        for token in (None, "", "x", neighbour.token(), Browser(app).token()):
            for headers in ({}, HTMX):
                sent = data if token is None else {**data, "csrf_token": token}
                assert admin.client.post(f"/users/{cast.acme.user.id}/{last}", data=sent, headers=headers).status_code == 400, (act, token)
        ours = {**data, "csrf_token": admin.token()}
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            assert admin.client.post(f"/users/{cast.acme.user.id}/{last}", data=ours, headers=headers).status_code == 403, act
    assert admin.client.post("/users/columns", data={"columns": "email", "rows": "25"}).status_code == 400
    assert everybody(owner) == before
    assert acts_in_the_log(owner) == []


def test_nothing_is_done_by_another_method_whatever_a_header_says(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    admin = Browser(app).sign_in(cast.acme.admin)
    before, token = everybody(owner), admin.token()
    for act in ACTS:
        last, data = door_of_act(act)
        path = f"/users/{cast.acme.user.id}/{last}"
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
            for headers in ({}, {"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "POST"}, HTMX):
                answer = admin.client.open(
                    path,
                    method=method,
                    query_string={**data, "_method": "POST", "csrf_token": token},
                    headers={"X-CSRFToken": token, **headers},
                )
                assert answer.status_code < 500, (method, path)
    assert admin.client.get(f"/users/{cast.acme.user.id}/role").status_code == 405
    for body in ('{"role": "org_admin"}', '[["role", "org_admin"]]'):
        answer = admin.client.post(
            f"/users/{cast.acme.user.id}/role", data=body, content_type="application/json", headers={"X-CSRFToken": token}
        )
        assert answer.status_code == 422
    for id_ in (cast.acme.user.id, cast.acme.admin2.id):
        assert admin.client.delete(f"/users/{id_}", headers={"X-CSRFToken": token}).status_code == 405
    assert everybody(owner) == before


def test_names_are_text_wherever_they_stand(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    evil = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7*7 }}"
    owner.execute(
        "UPDATE users SET first_name = %s, last_name = NULL, username = %s, email = %s WHERE id = %s",
        (evil, evil, evil, str(cast.acme.user.id)),
    )
    admin, one = Browser(app).sign_in(cast.acme.admin), cast.acme.user
    pages = [
        admin.get("users.index", q=evil[:100]), admin.get("users.index"), admin.get(f"/users/{one.id}"), admin.get(f"/users/{one.id}/deactivate"),
        admin.get(f"/users/{one.id}/deactivate", htmx=True, back=evil), admin.get(f"/users/{one.id}/hand-over"), admin.get(f"/users/{one.id}/remove"),
        act_on_user(admin, "sign out", one.id, expect=200, htmx=True, back=evil), act_on_user(admin, "change to org_admin", one.id, expect=200, htmx=True),
        act_on_user(admin, "reactivate", one.id, expect=422, htmx=True), act_on_user(admin, "change to " + evil, one.id, expect=422, htmx=True),
        act_on_user(admin, "deactivate", one.id, expect=200, htmx=True), act_on_user(admin, "remove", one.id, expect=422, name=evil + evil),
    ]  # fmt: skip
    for number, page in enumerate(pages):
        assert not page.soup.select("img[src=x], script:not([src]), [onerror]"), number
        assert "49" not in page.text.replace(str(one.id), ""), number
    assert sum("<img src=x onerror=alert(1)>" in page.text for page in pages) >= 10


# Reading what is not shown


def test_a_cursor_holds_what_the_row_shows_and_no_answer_holds_a_hash(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    put(owner, crowd(cast.acme.id, 60))
    admin = Browser(app).sign_in(cast.acme.admin)
    for sort in SORTS:
        page = admin.get("users.index", sort=sort)
        written = parse_qs(urlsplit(str(page.select_one("a[rel=next]")["href"])).query)["after"][0]
        *values, id_ = json.loads(base64.urlsafe_b64decode(written + "=" * (-len(written) % 4)))
        assert id_ == user_rows(page)[-1]
        row = stored_user(owner, SimpleNamespace(id=UUID(id_)))
        may_tell = {str(row[name] or "") for name in ("sort_key", "username_key", "email_key", "role", "state")} | {
            "True",
            "False",
            "-infinity",
        }
        assert {str(value) for value in values if not str(value).startswith("20")} <= may_tell
        assert "argon2" not in page.response.get_data(as_text=True)
    for path in ("", f"/{cast.acme.user.id}", f"/{cast.acme.user.id}/remove", "/access"):
        assert "argon2" not in admin.client.get(f"/users{path}").text


def test_what_neighbours_have_changes_no_count_and_no_sentence(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    put(owner, [person(cast.acme.id, number, first_name="Common") for number in range(30)])
    admin = Browser(app).sign_in(cast.acme.admin)
    asked = [{"q": "common"}, {"q": "globex"}, {"q": "c"}, {}, {"state": "removed"}, {"role": "org_admin"}]
    before = [admin.get("users.index", **one).select_one("#users").get_text() for one in asked]
    put(owner, [person(cast.globex.id, number, first_name="Common") for number in range(1_500)])
    assert [admin.get("users.index", **one).select_one("#users").get_text() for one in asked] == before
    assert "1–25 of 30" in before[0]
    assert "Nobody fits this search." in before[1]


# Undoing, by whoever could not have done it


def undoes(app: Flask, act: str, who: Any, *, expect: int) -> str:
    return Browser(app).sign_in(who).post(f"{act}/undo", expect=expect).text


def test_undoing_follows_the_ranks_of_its_own_moment(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    people = cast.platform
    above = Browser(app).sign_in(people.super)
    ids = [str(people.admin2.id), str(people.super2.id)]
    act = above.post("bulk.act", {"act": "deactivate", "users": ids}).location
    assert "Only a super admin may change a super admin." in undoes(app, act, people.admin, expect=422)
    undoes(app, act, cast.acme.admin, expect=404)
    owner.execute("UPDATE users SET role = 'admin' WHERE id = %s", (str(people.super.id),))
    owner.execute("UPDATE users SET is_active = true WHERE id = %s", (str(people.super2.id),))
    assert "Only a super admin may change an admin." in above.post(f"{act}/undo", expect=422).text
    assert [stored_user(owner, SimpleNamespace(id=UUID(one)))["is_active"] for one in ids] == [False, True]


def test_undoing_raises_nobody_beyond_what_the_rules_give_now(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    """The list of an act is what somebody wrote down; that it says admin makes nobody one."""
    browser, one = Browser(app).sign_in(cast.acme.admin), cast.acme.admin2
    act = browser.post("bulk.act", {"act": "role:user", "users": [str(one.id)]}).location
    for role in ("admin", "super_admin"):
        owner.execute("UPDATE bulk_changes SET old_role = %s", (role,))
        assert "is not given in this organization" in browser.post(f"{act}/undo", expect=422).text
    assert stored_user(owner, one)["role"] == "user"


# What was handed out before


WAYS = {
    "alone": lambda browser, act, one: act_on_user(browser, act, one.id, expect=303),
    "with others": lambda browser, act, one: browser.post(
        "bulk.act", {"act": {"change to user": "role:user", "sign out": "sign_out"}.get(act, act), "users": [str(one.id)]}
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("act", ["change to user", "deactivate", "sign out"])
def test_nobody_comes_back_by_what_was_handed_out_before(app: Flask, cast: SimpleNamespace, act: str, way: str) -> None:
    leaving, staying = Browser(app).sign_in(cast.acme.admin2), Browser(app).sign_in(cast.acme.admin)
    kept = {browser: link_in(invite(browser, f"{name}@x.example", role=role))
            for browser, name, role in ((leaving, "plain", "user"), (staying, "boss", "org_admin"))}  # fmt: skip
    back = link_in(invite(leaving, "me@x.example", role="org_admin"))
    takeover = link_in(leaving.post("forgotten.make_link", user_id=cast.acme.admin.id, expect=200))
    own = link_in(staying.post("forgotten.make_link", user_id=cast.acme.user.id, expect=200))
    for path in (back, takeover):
        Browser(app).get(path)
    WAYS[way](staying, act, cast.acme.admin2)
    visitor = Browser(app)
    for path in (back, takeover):
        visitor.get(path, expect=404)
        visitor.post(path, WHO, expect=404)
    for path in (*kept.values(), own):
        visitor.get(path)
    page = staying.get("invitations.index")
    (row,) = [row for row in page.select("tbody tr") if "me@x.example" in row.text]
    again = staying.post(str(row.select_one("form[action$=send-again]")["action"]), expect=200)
    visitor.get(link_in(again))


# From above


def test_people_of_the_platform_see_the_platforms_people_only_and_leave_no_door_open(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    people = {
        name: Browser(app).sign_in(one)
        for name, one in (("acme", cast.acme.admin), ("platform", cast.platform.super), ("globex", cast.globex.admin))
    }
    admin = Browser(app).sign_in(cast.platform.admin)
    for _ in range(3):  # the same connections serve them in turn
        for name, browser in people.items():
            assert {UUID(id_) for id_ in user_rows(browser.get("users.index"))} == {one.id for one in vars(cast)[name].people.values()}
            admin.get(f"/users/{cast.acme.user.id}", expect=404)
        for q in ("acme", "canary-acme", "user@acme.example"):
            assert users_shown(admin.get("users.index", q=q)) == "Nobody fits this search."
        for sort in SORTS:
            assert len(user_rows(admin.get("users.index", sort=sort, after=cursor_before_all(sort)))) == 4
    assert acts_in_the_log(owner) == []


def cursor_before_all(sort: str) -> str:
    first = {"verified": [False, ""], "role": ["", ""], "state": ["", ""], "last_sign_in": ["-infinity"], "since": ["-infinity"]}.get(
        sort, [""]
    )
    plain = json.dumps([*first, "00000000-0000-0000-0000-000000000000"])
    return base64.urlsafe_b64encode(plain.encode()).decode()


def test_a_refused_or_failing_request_from_above_leaves_no_connection_unbound(
    app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.users import finding

    above, below = Browser(app).sign_in(cast.platform.super), Browser(app).sign_in(cast.acme.admin)
    real = finding.find
    for _ in range(6):
        monkeypatch.setattr(finding, "find", lambda *_args: 1 // 0)
        above.get("users.index", expect=500)
        monkeypatch.setattr(finding, "find", real)
        above.get(f"/users/{cast.acme.user.id}", expect=404)
        act_on_user(above, "change to user", cast.platform.admin.id, expect=422)
        assert len(user_rows(below.get("users.index"))) == len(cast.acme.people)
        assert len(user_rows(above.get("users.index"))) == len(cast.platform.people)


def test_the_platform_gets_no_users_and_no_org_admins_by_any_of_these_doors(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.platform.super)
    for role in ("user", "org_admin"):
        for one in (cast.platform.admin, cast.platform.super2):
            act_on_user(browser, f"change to {role}", one.id, expect=422)
    act_on_user(browser, "hand over", cast.platform.admin.id, expect=303)
    owner.execute("SELECT DISTINCT role FROM users WHERE tenant_id = %s", (str(cast.platform.id),))
    assert {row[0] for row in owner.fetchall()} == {"admin", "super_admin"}


def test_an_org_admin_within_the_platform_would_change_nobody_above(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    """There is none; were there one, by hand, the rules and the database would hold."""
    moved = "UPDATE users SET tenant_id = %s, username = 'odd', username_key = 'odd' WHERE id = %s"
    owner.execute(moved, (str(cast.platform.id), str(cast.acme.admin.id)))
    odd = SimpleNamespace(**{**vars(cast.acme.admin), "subdomain": "platform"})
    browser, before = Browser(app).sign_in(odd), stored_user(owner, cast.platform.admin)
    for act in ACTS:
        act_on_user(browser, act, cast.platform.admin.id, expect=422)
        act_on_user(browser, act, cast.platform.super.id, expect=422)
    assert stored_user(owner, cast.platform.admin) == before


def test_an_organization_that_was_suspended_has_no_administrator_any_more(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    browser = Browser(app).sign_in(cast.acme.admin)
    owner.execute("UPDATE tenants SET is_active = false WHERE id = %s", (str(cast.acme.id),))
    browser.get("users.index", expect=303)
    owner.execute("UPDATE tenants SET is_active = true WHERE id = %s", (str(cast.acme.id),))


# Directly at the database, as the role of the web


def test_the_database_lets_no_administrator_reach_what_the_doors_refuse(cluster: Any, database: str, cast: SimpleNamespace) -> None:
    role = Role(cluster.urls(database)["app"])
    own, theirs = cast.acme.user.id, cast.globex.user.id
    refused = {
        f"UPDATE users SET role = 'admin' WHERE id = '{own}'": DENIED,
        f"UPDATE users SET tenant_id = '{cast.globex.id}' WHERE id = '{own}'": DENIED,
        f"UPDATE users SET id = gen_random_uuid() WHERE id = '{own}'": DENIED,
        f"UPDATE users SET state = 'active' WHERE id = '{own}'": "428C9",
        f"UPDATE users SET removed_at = now(), is_active = false WHERE id = '{own}'": "23514",  # removed, and not erased
        f"UPDATE users SET hashed_password = NULL WHERE id = '{own}'": "23514",
        f"UPDATE users SET is_active = false WHERE id = '{theirs}'": 0,
        f"UPDATE users SET search_text = 'x' WHERE id = '{theirs}'": 0,
        f"SELECT id FROM users WHERE id = '{theirs}' FOR UPDATE": 0,
        f"SELECT id FROM audit_entries WHERE object_id = '{theirs}'": "42703",
        f"SELECT seq FROM audit_entries WHERE object_id = '{theirs}'": 0,
    }
    try:
        for statement, answer in refused.items():
            assert role.do_as(cast.acme.admin, statement).answer == answer, statement
    finally:
        role.connection.close()
