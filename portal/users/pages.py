"""The doors of the users of an organization."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from portal import policy
from portal.access import go_on, requires, signed_in
from portal.actor import Actor
from portal.audit import services as audit
from portal.audit.sentences import in_words, sentence
from portal.bulk import services as bulk
from portal.errors import Invalid
from portal.extensions import release, rollback
from portal.forms import asked_before, asked_for
from portal.responses import address, download, go_to, inline, page, page_or_fragment, wants_fragment
from portal.users import finding, services
from portal.users.commands import ROWS, FindUsers
from portal.users.forms import ColumnsForm, HandOverForm, RemoveForm, RoleForm
from portal.users.models import User
from portal.users.rows import Bar, Choices, Filters, Head, Token, Typed, acted_on, others, to_draw
from portal.values import csv_line
from portal.words import times

blueprint = Blueprint("users", __name__, url_prefix="/users")
COLUMNS = {
    "name": "Name", "username": "Username", "email": "E-mail", "role": "Role", "state": "State",
    "last_sign_in": "Last sign-in", "since": "Account created",
}  # fmt: skip
AT_FIRST = ("name", "email", "role", "state", "last_sign_in")  # a line each in a window of 1280
STATES = {"active": "Active", "deactivated": "Deactivated", "invited": "Invited", "waiting": "Waiting to be accepted", "removed": "Removed"}
VERIFIED = {"yes": "E-mail confirmed", "no": "E-mail not confirmed"}
SIGNED_IN = {
    "never": "Never signed in",
    "week": "Signed in during the last 7 days",
    "quarter": "Signed in during the last 90 days",
    "longer": "Not for 90 days",
}
CONFIRMED = {"yes": "Yes", "no": "No"}
HISTORY = 50
EXPORTED = ("id", "first_name", "last_name", "username", "email", "email_confirmed", "role", "state", "last_sign_in", "since")


@blueprint.get("")
@requires(policy.administers_organization)
def index(actor: Actor) -> Response:
    asked = asked_for(FindUsers)
    rows = int(asked.rows or actor.table_rows or finding.ROWS)
    shown = _shown(actor)
    found = finding.find(actor.tenant_id, asked, rows, since="since" in shown)
    return page_or_fragment(
        "users/index.html",
        "users/_table.html",
        asked=asked,
        found=found,
        counted=finding.COUNTED,
        to_draw=to_draw(found.rows, actor, shown, times(), _back_query(request.query_string.decode("ascii", "ignore"))),
        rows=rows,
        head=_head(tuple(shown), None if asked.state == "removed" else asked.column, falling=asked.falling),
        others=others(urlencode(asked.query(sort=None))),
        bar=Bar(tuple(policy.grantable_roles(actor))),
        acted_on=acted_on(found, urlencode(asked.query(rows=None))),
        filters=_filters(asked.role, asked.state, asked.verified, asked.signed_in, asked.rows, above=policy.is_platform(actor.role)),
        typed=Typed(asked.q),
        choices=_choices(tuple(shown), rows),
        token=Token,
        chips=_chips(asked),
        to=lambda **other: _address(asked.query(**other)),
    )


@blueprint.get("/export.csv")
@requires(policy.administers_organization)
def export(actor: Actor) -> Response:
    """All that fit the search, also where the table shows its first candidates only."""
    asked, as_of = asked_for(FindUsers), datetime.now(UTC)
    return download(f"users-{actor.subdomain}-as-of-{as_of:%Y-%m-%dT%H%MZ}.csv", _exported(actor, asked))


@blueprint.post("/columns")
@signed_in
def columns(actor: Actor) -> Response:
    form = ColumnsForm()
    if not form.carry_out(services.choose_columns, by=actor):
        raise Invalid("Choose columns from the list, and 25, 50 or 100 rows.")
    return go_to("users.index", notice="Saved.")


@blueprint.get("/access")
@signed_in
def access(actor: Actor) -> Response:
    """Who may do what, asked of the rules themselves."""
    groups: dict[str, list[Any]] = {}
    for line in policy.table_of_roles():
        groups.setdefault(line[0], []).append(line)
    return page("users/access.html", groups=groups, ladder=policy.LADDER, why=_why_not(actor))


@blueprint.get("/<uuid:user_id>")
@requires(policy.administers_organization)
def show(user: User, actor: Actor) -> Response:
    return _user_page(user, actor)


@blueprint.get("/<uuid:user_id>/acts")
@requires(policy.can_manage)
def acts(user: User, actor: Actor) -> Response:
    """What a row's menu holds once it was opened; without script the user's page has it all."""
    if not wants_fragment():
        return go_to("users.show", user_id=user.id)
    return page("users/_acts.html", **_row(user, actor, RoleForm(formdata=None)))


@blueprint.post("/<uuid:user_id>/role")
@requires(policy.administers_organization)
def change_role(user: User, actor: Actor) -> Response:
    form = RoleForm()
    done = form.carry_out(services.change_role, user, by=actor)
    return _answer(done, form, user, actor, _what_became(user, changed=form.result) if done else "")


@blueprint.route("/<uuid:user_id>/deactivate", methods=["GET", "POST"])
@requires(policy.administers_organization)
def deactivate(user: User, actor: Actor) -> Response:
    if request.method != "POST":  # HEAD comes this way too, without a token
        may = policy.can_deactivate(actor, user)
        return page_or_fragment("users/deactivate.html", "users/_deactivate.html", user=user, may=may, back=_back(), index=_index())
    return _decided(services.deactivate, user, actor, "{} is deactivated and signed out everywhere.")


@blueprint.post("/<uuid:user_id>/reactivate")
@requires(policy.administers_organization)
def reactivate(user: User, actor: Actor) -> Response:
    return _decided(services.reactivate, user, actor, "{} can sign in again.")


@blueprint.post("/<uuid:user_id>/sign-out")
@requires(policy.administers_organization)
def sign_out(user: User, actor: Actor) -> Response:
    return _decided(services.sign_out_everywhere, user, actor, "{} is signed out everywhere.")


@blueprint.route("/<uuid:user_id>/remove", methods=["GET", "POST"])
@requires(policy.administers_organization)
def remove(user: User, actor: Actor) -> Response:
    form = RemoveForm()
    if form.carry_out(services.remove, user, by=actor):
        return go_to("users.index", notice="The account was removed. Its entries in the audit log stay.")
    return page("users/remove.html", status=form.status, user=user, form=form, may=policy.can_remove(actor, user))


@blueprint.route("/<uuid:user_id>/hand-over", methods=["GET", "POST"])
@requires(policy.administers_organization)
def hand_over(user: User, actor: Actor) -> Response:
    form = HandOverForm()
    if form.carry_out(services.hand_over, user, by=actor):
        return go_to("auth.sign_in", notice="You handed over the administration. Sign in to go on.", organization=actor.subdomain)
    return page("users/hand_over.html", status=form.status, user=user, form=form, may=policy.can_hand_over(actor, user))


def _exported(actor: Actor, asked: FindUsers) -> Iterator[str]:
    """The users as CSV in the order of the search, read in batches that are a bound transaction each, while the reader may see them."""
    yield csv_line(EXPORTED)
    after = None
    while True:
        go_on(actor, policy.administers_organization)
        found = finding.batch(actor.tenant_id, asked, after)
        release()
        yield "".join(csv_line(_cells(row)) for row in found.rows)
        after = found.after
        if after is None:
            return


def _cells(row: finding.Row) -> tuple[object, ...]:
    names = (row.id, row.first_name, row.last_name, row.username, row.email, "yes" if row.is_verified else "no", row.role, row.state)
    return (*names, row.last_sign_in_at and row.last_sign_in_at.isoformat(), row.created_at and row.created_at.isoformat())


def _shown(actor: Actor) -> list[str]:
    """The columns that the reader chose, some where she chose none; the name stands always."""
    if actor.table_columns is None:
        return list(AT_FIRST)
    chosen = actor.table_columns.split(",")
    return [name for name in COLUMNS if name == "name" or name in chosen]


@lru_cache(maxsize=1024)
def _filters(role: str, state: str, verified: str, signed_in: str, rows: str, *, above: bool) -> Filters:
    roles = {role.value: policy.ROLE_NAMES[role] for role in (policy.PLATFORM_ROLES if above else policy.LADDER[:2])}
    selects = (
        *(("role", "Role", "Any", roles, role), ("state", "State", "Not removed", STATES, state)),
        *(("verified", "E-mail confirmed", "Any", CONFIRMED, verified), ("signed_in", "Last sign-in", "Any", SIGNED_IN, signed_in)),
    )
    return Filters(
        tuple(
            (name, label, nothing, tuple((value, words, value == chosen) for value, words in choices.items()))
            for name, label, nothing, choices, chosen in selects
        ),
        str(rows or ""),
    )


@lru_cache(maxsize=1024)
def _head(shown: tuple[str, ...], sorted_by: str | None, *, falling: bool) -> Head:
    return Head(tuple((name, COLUMNS[name]) for name in shown), sorted_by, falling)


@lru_cache(maxsize=1024)
def _choices(shown: tuple[str, ...], rows: int) -> Choices:
    columns = tuple((name, label, name in shown) for name, label in COLUMNS.items() if name != "name")
    return Choices(columns, tuple((int(count), int(count) == rows) for count in ROWS))


def _chips(asked: FindUsers) -> list[tuple[str, str]]:
    """Each filter in words, and where the list without it is."""
    words = {
        "q": asked.words and f"“{asked.q.strip()}”",
        "role": asked.role and policy.ROLE_NAMES[policy.Role(asked.role)],
        "state": asked.state and STATES[asked.state],
        "verified": asked.verified and VERIFIED[asked.verified],
        "signed_in": asked.signed_in and SIGNED_IN[asked.signed_in],
    }
    return [(word, _address(asked.query(**{name: None}))) for name, word in words.items() if word]


def _address(query: dict[str, str]) -> str:
    """Where the list is that a query means; `url_for` takes its time, and a page leads to a dozen of them."""
    return f"{address('users.index')}?{urlencode(query)}" if query else address("users.index")


def _back() -> str:
    """Where an act was asked for: "user" for the page of one, else the address of a page of the table, without the path."""
    return request.values.get("back", "")


def _back_query(back: str) -> str:
    """What leads an address back to a page of the table."""
    return "?" + urlencode({"back": back}) if back else ""


def _index() -> dict[str, str]:
    return asked_before(FindUsers, _back())


def _decided(act: Callable[..., None], user: User, actor: Actor, notice: str) -> Response:
    """An act that needs nothing but the decision."""
    try:
        act(user, by=actor)
    except Invalid as refusal:
        rollback()
        form = RoleForm(formdata=None)
        form.blame(["role"], " ".join(refusal.fields.values()) or refusal.message)
        return _answer(False, form, user, actor, "")
    return _answer(True, RoleForm(formdata=None), user, actor, notice.format(user.full_name))


def _answer(done: bool, form: RoleForm, user: User, actor: Actor, notice: str) -> Response:
    """The row as it is now for htmx; a browser goes back to where it was, or sees the user's page with the reason."""
    fresh = services.account(actor.tenant_id, user.id)
    if done:
        where: tuple[str, dict[str, Any]] = ("users.show", {"user_id": user.id}) if _back() == "user" else ("users.index", _index())
        return inline("users/_row.html", where[0], where[1], notice=notice, **_row(fresh, actor, form))
    return page_or_fragment("users/show.html", "users/_row.html", status=422, **_row(fresh, actor, form), **_of_user(fresh, actor))


def _row(user: Any, actor: Actor, form: RoleForm) -> dict[str, Any]:
    back = _back()
    [(kind, cells)] = to_draw([user], actor, _shown(actor), times(), _back_query(back))
    return {"user": user, "kind": kind, "cells": cells, "role_form": form, "roles": policy.grantable_roles(actor), "back": back}


def _of_user(user: Any, actor: Actor) -> dict[str, Any]:
    entries = audit.about(actor.tenant_id, user.id, HISTORY, bulk.ACTS_ON)
    return {
        "states": STATES,
        "history": [{"entry": entry, "sentence": sentence(entry), "changes": in_words(entry.changes)} for entry in entries],
        "history_limit": HISTORY,
    }


def _user_page(user: User, actor: Actor) -> Response:
    return page("users/show.html", **_row(user, actor, RoleForm(formdata=None)), **_of_user(user, actor))


def _what_became(user: User, *, changed: bool) -> str:
    role = policy.ROLE_NAMES[policy.Role(user.role)].lower()
    return f"{user.full_name} is now {role}, and signs in anew." if changed else f"{user.full_name} is {role} already; nothing was changed."


def _why_not(actor: Actor) -> dict[str, list[str]]:
    """Each reason why the reader may not do something, and what it keeps the reader from, in the order of the table."""
    closed: dict[str, list[str]] = {}
    for line in policy.PERMISSIONS:
        if isinstance(answer := line.ask(actor), policy.Denied):
            closed.setdefault(answer.words, []).append(line.words)
    return closed
