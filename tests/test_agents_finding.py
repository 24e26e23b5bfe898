"""Agents are found: by fragments, states, capabilities and page by page, whichever index is asked; and nobody else's."""

import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

import pytest
from flask import Flask

from portal.agents import finding
from portal.agents.commands import FindAgents
from portal.database import tenancy
from portal.testing.browser import Browser
from portal.testing.cast import NAMESPACE, Organization, Person
from portal.values import sort_key
from tests.attack.furniture import agent, put
from tests.attack.roles import DENIED, Role

THINGS = ("Harbour", "Flower", "Chapel", "Übergang", "100 % Rat")
STATES = ("on", "off", "unpublished", "withdrawn")
LONG = "Wreaths and more. " * 100  # more than an index can hold
FIND = """
    SELECT id FROM find_agents(%s, NULL, '{on,off,unpublished,withdrawn}', '{on,off,unpublished,withdrawn}', '{on,off,unpublished,withdrawn}',
        NULL, NULL, 1000, 1001)"""  # fmt: skip
Row = dict[str, Any]


def made(owner: Organization | None, number: int, name: str = "", state: str = "on", **said: Any) -> Row:
    whose = owner.subdomain if owner else "free"
    row = agent(str(uuid5(NAMESPACE, f"{whose} {number}")), f"{whose}_{number}", owner.id if owner else None)
    name = name or f"{THINGS[number % len(THINGS)]} {number}"
    row |= {"name": name, "sort_key": sort_key(name), "description": f"Helps people with {number % 7} things.", "capabilities": ["Answers"]}
    row |= {"is_active": state != "withdrawn", "is_enabled": state != "off"}
    return {**row, "published_version": None if state == "unpublished" else 1, **said}


def share(owner: Organization, with_whom: Organization, row: Row, state: str = "accepted") -> Row:
    return {
        "tenant_id": str(owner.id), "id": str(uuid5(NAMESPACE, f"share {row['id']}")), "agent_id": row["id"], "agent_name": row["name"],
        "owner_name": owner.name, "owner_subdomain": owner.subdomain, "partner_subdomain": with_whom.subdomain, "partner": str(with_whom.id),
        "partner_name": with_whom.name, "state": state, "offered_by": str(owner.admin.id), "expires_at": "2100-01-01Z",
    }  # fmt: skip


@pytest.fixture
def catalogue(owner: Any, cast: SimpleNamespace) -> dict[str, list[Row]]:
    """Who sees which: 260 of acme's own, of which few, many or all have a word; free ones and globex's, shared with acme or not."""
    acme, globex = cast.acme, cast.globex
    own = [made(acme, number, state=STATES[number % 13 % 4]) for number in range(240)]
    own += [
        made(acme, 240 + number, f"Rare {number}", description=f"{LONG}Zebra {number}" if number % 2 else "A zebra.")
        for number in range(16)
    ]
    own += [made(acme, 256 + number, "Same", capabilities=["Wreaths"] * 20 + ["x" * 600, "Zithers"]) for number in range(4)]
    free = [made(None, number, f"Free harbour {number}", state=STATES[number % 4]) for number in range(12)]
    theirs = [made(globex, number, f"Their harbour zebra {number}", state=STATES[number % 4]) for number in range(40)]
    for row in (*own, *free, *theirs, made(cast.hades, 1, "Zebra of others")):
        put(owner, "agents", row)
    for row in theirs[:16]:
        put(owner, "agent_shares", share(globex, acme, row, "accepted" if row in theirs[:8] else "ended"))
    off = {"tenant_id": str(acme.id), "is_on": False, "changed_by": str(acme.admin.id)}
    for row in (free[0], theirs[0]):
        put(owner, "tenant_agents", {**off, "agent_id": row["id"]})
        row["is_enabled"] = False
    owner.execute("ANALYZE agents")
    return {"own": own, "free": free, "shared": theirs[:8]}


@pytest.fixture
def find(app: Flask, cast: SimpleNamespace) -> Callable[..., finding.Found]:
    """`find(q=…, state=…)` as acme's administrator, in transactions of the role that the portal uses."""
    acme = cast.acme

    def found(sees_off: bool = True, sees_hidden_free: bool = False, role: str = "org_admin", **asked: Any) -> finding.Found:
        with app.app_context(), tenancy.bound(acme.id, user=acme.admin.id, role=role):
            return finding.find(acme.id, FindAgents.model_validate(asked), sees_off=sees_off, sees_hidden_free=sees_hidden_free)

    return found


def state_of(row: Row) -> str:
    if not row["is_active"]:
        return "withdrawn"
    return "unpublished" if row["published_version"] is None else "on" if row["is_enabled"] else "off"


def expected(catalogue: dict[str, list[Row]], sees_off: bool, sees_hidden_free: bool, asked: FindAgents) -> list[str]:
    """The ids of whatever fits, in the order in which Python puts them."""
    fitting = []
    for whose, rows in catalogue.items():
        seen = {"on"} if not sees_off else set(STATES) if whose == "own" or (whose == "free" and sees_hidden_free) else {"on", "off"}
        for row in rows:
            said = f"{row['sort_key']} {row['agent_type'].lower()} {row['description'].lower()}"
            can = "\n".join(row["capabilities"]).lower()
            if (
                asked.owner in (None, whose)
                and state_of(row) in seen
                and asked.state in (None, state_of(row))
                and all(word in said for word in asked.words)
                and (asked.capability or "").lower() in can
            ):
                fitting.append(row)
    return [row["id"] for row in sorted(fitting, key=lambda row: (row["sort_key"].encode(), UUID(row["id"]).int))]


QUESTIONS: list[dict[str, str]] = [
    {},
    *({"owner": whose} for whose in ("own", "free", "shared")),
    *({"state": state} for state in STATES),
    *({"q": word} for word in ("zebra", "harbour", "helps", "elp", "a", "e", "zz", "7 t", "100 %", "% 100", "_", "e_1", "\\", "'", "ÜBER")),
    *({"q": word} for word in ("acme_24", "zebra wreaths more", "zebra w", "rare 1 zebra", "nothing of the kind", "same", "x" * 90)),
    *({"capability": part} for part in ("wreath", "Answers", "wers", "ths\nwre", "xxxxx", "zither", "%", "none")),
    {"q": "zebra", "state": "on", "owner": "own"},
    {"q": "helps", "state": "off"},
    {"q": "same", "capability": "zither"},
    {"q": "a", "capability": "zither"},
    {"q": "harbour", "owner": "shared"},
    {"q": "harbour", "state": "off"},
]


@pytest.mark.parametrize(
    "eyes", [{}, {"sees_off": False}, {"sees_hidden_free": True, "role": "super_admin"}], ids=["admin", "user", "super"]
)
def test_whatever_is_asked_is_found_whole_and_in_order(
    find: Any, catalogue: dict[str, list[Row]], monkeypatch: pytest.MonkeyPatch, eyes: dict[str, Any]
) -> None:
    monkeypatch.setattr(finding, "ROWS", 70)
    shared = {row["id"] for row in catalogue["shared"]}
    for asked in QUESTIONS:
        wanted = expected(catalogue, eyes.get("sees_off", True), eyes.get("sees_hidden_free", False), FindAgents.model_validate(asked))
        page = find(**eyes, **asked)
        totals, seen = [page.total], page.rows
        while page.after:
            page = find(**eyes, **asked, after=page.after)
            totals, seen = [*totals, page.total], seen + page.rows
        assert [str(row.id) for row in seen] == wanted, asked
        assert set(totals) == {len(wanted)}, asked
        assert {str(row.id) for row in seen if row.is_shared} == shared & set(wanted), asked


@pytest.mark.parametrize("asked", [{}, {"owner": "own"}, {"q": "helps"}, {"q": "zebra"}, {"capability": "answers"}], ids=str)
def test_no_count_goes_further_than_it_must(
    app: Flask, find: Any, cast: SimpleNamespace, catalogue: dict[str, list[Row]], monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]
) -> None:
    wanted = len(expected(catalogue, True, False, FindAgents.model_validate(asked)))
    limit, other = ("COUNTED_IN_SEARCH", "COUNTED") if {"q", "capability"} & asked.keys() else ("COUNTED", "COUNTED_IN_SEARCH")
    monkeypatch.setattr(finding, other, 1)
    monkeypatch.setattr(finding, limit, wanted)
    assert (find(**asked).total, find(**asked).counted) == (wanted, wanted)
    monkeypatch.setattr(finding, limit, wanted - 1)
    assert (find(**asked).total, find(**asked).counted) == (None, wanted - 1)
    told = Browser(app).sign_in(cast.acme.admin).get("agents.index", **asked).select_one("#agents [role=status]").get_text(" ", strip=True)
    assert told == f"{min(wanted, 25)} shown of more than {wanted - 1}"


@pytest.mark.parametrize("asked", [{}, {"q": "a"}, {"capability": "answers"}], ids=str)
def test_the_database_stops_counting_there(
    find: Any, catalogue: dict[str, list[Row]], monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]
) -> None:
    for limit in ("COUNTED", "COUNTED_IN_SEARCH"):
        monkeypatch.setattr(finding, limit, 100)
    assert find(owner="own", **asked).rows[0].total == 101


def test_what_was_changed_is_found_by_what_it_says_now(find: Any, owner: Any, catalogue: dict[str, list[Row]]) -> None:
    changed = catalogue["own"][0]["id"]
    owner.execute("UPDATE agents SET description = 'Lighthouses', capabilities = '{Lanterns}' WHERE id = %s", [changed])
    for asked in ({"q": "lighthouse"}, {"q": "ghtho harb"}, {"capability": "lantern"}):
        assert [str(row.id) for row in find(**asked).rows] == [changed]
    assert changed not in {str(row.id) for row in find(q="helps people with 0 things").rows}


def test_the_longest_that_an_index_holds_can_be_written(owner: Any, cast: SimpleNamespace, find: Any) -> None:
    """Of letters that take four bytes each, in no order that could be pressed together."""
    dice = random.Random(1)

    def letters(many: int) -> str:
        return "".join(chr(dice.randrange(0x20000, 0x2A000)) for _ in range(many))

    name = letters(200)
    row = made(cast.acme, 1, agent_type="A" * 64, name=name, sort_key=name, description=letters(83) + "ab", capabilities=[letters(125)])
    put(owner, "agents", row)
    owner.execute("SELECT octet_length(search_text), octet_length(capability_text) FROM agents")
    assert owner.fetchone() == (1200, 500)
    put(owner, "agents", {**made(cast.acme, 2, capabilities=[letters(60)] * 20), "description": letters(10_000)})
    owner.execute("SELECT count(*) FROM agents WHERE search_text IS NULL AND capability_text IS NULL")
    assert owner.fetchone() == (1,)
    assert find(q=name[100:150]).total == find(q=name[3]).total == find(capability=row["capabilities"][0][5:9]).total == 1


# Nobody else's


@pytest.fixture
def roles(cluster: Any, database: str) -> Iterator[SimpleNamespace]:
    made = {name: Role(cluster.urls(database)[name]) for name in ("app", "platform", "worker")}
    yield SimpleNamespace(**made)
    for role in made.values():
        role.connection.close()


@pytest.mark.parametrize("role", ["app", "platform"])
def test_the_search_gives_what_row_level_security_shows_and_nothing_else(
    roles: Any, owner: Any, cast: SimpleNamespace, catalogue: dict[str, list[Row]], role: str
) -> None:
    searcher, own = getattr(roles, role), {}
    people: list[Person] = [tenant.admin for tenant in vars(cast).values()]
    for person in (*people, cast.platform.super):
        shown = {row[0] for row in searcher.do_as(person, "SELECT id::text FROM agents").rows}
        found = {str(row[0]) for row in searcher.do_as(person, FIND, [[]]).rows}
        assert found == shown
        own[person.subdomain, person.role] = shown
        for words in (["zebra"], ["harbour"], ["a"], ["zebra", "a"]):
            assert {str(row[0]) for row in searcher.do_as(person, FIND, [words]).rows} <= shown
    assert own["acme", "org_admin"] & own["globex", "org_admin"] > {row["id"] for row in catalogue["shared"] if row["published_version"]}
    assert own["platform", "super_admin"] > own["platform", "admin"]
    for nobody in (None, "", str(uuid5(NAMESPACE, "no organization"))):
        seen = {str(row[0]) for row in searcher.do(FIND, [[]], tenant=nobody).rows}
        assert seen == (own["hades", "org_admin"] & own["platform", "admin"] if nobody else set())
    assert searcher.do(FIND, [[]], tenant="not-a-uuid").refused == "22P02"


@pytest.mark.parametrize("words", [["%"], ["_"], ["\\"], ["' OR true --"], ["a", "%"], ["a", "_____"], ["a", "\\"], ["{}"], ["z" * 10_000]])
def test_the_search_takes_no_pattern_and_no_statement(roles: Any, owner: Any, cast: SimpleNamespace, words: list[str]) -> None:
    put(owner, "agents", made(cast.acme, 1, "Aaaa", agent_type="AAAA"))
    outcome = roles.app.do(FIND, [words], tenant=cast.acme.id)
    assert (outcome.rows, outcome.refused) == ([], "")


def test_grams_made_by_hand_lead_to_nobody_else(roles: Any, cast: SimpleNamespace, catalogue: dict[str, list[Row]]) -> None:
    said = "agent_grams(owner_tenant_id, agent_search_text(sort_key, agent_type, description))"
    theirs = f"agent_grams('{cast.globex.id}', 'their harbour zebra')"
    where = f"owner_tenant_id = '{cast.globex.id}' AND NOT is_shared_with_us(id)"
    for condition in (f"{said} @> {theirs}", f"{said} && {theirs}", "search_text LIKE '%zebra%'", "strpos(search_text, 'zebra') > 0"):
        for statement in (f"SELECT id FROM agents WHERE {where} AND {condition}", f"SELECT id FROM agents WHERE {condition} AND {where}"):
            assert roles.app.do(statement, tenant=cast.acme.id).rows == [], statement
            assert roles.app.do(statement).rows == [], statement
    for statement in (FIND, f"SELECT {theirs}, %s"):
        assert roles.worker.do(statement, [["zebra"]], tenant=cast.acme.id).refused == DENIED


LOOKED_AT = "SELECT pg_stat_get_xact_numscans('{0}'::regclass), pg_stat_get_xact_tuples_returned('{0}'::regclass)"


def looked_at(cursor: Any, name: str) -> tuple[int, int]:
    """How often this transaction has begun to read a table from end to end, or an index, and how many rows or entries it read there."""
    cursor.execute(LOOKED_AT.format(name))
    seen: tuple[int, int] = cursor.fetchone()
    return seen


@pytest.mark.parametrize("analysed", [True, False])
@pytest.mark.parametrize(
    ("words", "rows", "fragments"),
    [([], 270, None), (["zebra"], 100, 40), (["nowhere"], 100, 0), (["harbour"], 400, None), (["a"], 270, None)],
)
def test_a_neighbours_many_agents_are_not_looked_at(
    roles: Any, owner: Any, cast: SimpleNamespace, words: list[str], rows: int, fragments: int | None, analysed: bool
) -> None:
    """What a neighbour has would cost nothing were it a million. Only a word that few of the first hundred have is asked of the fragments."""
    for number in range(600):
        put(owner, "agents", made(cast.globex, number, f"Harbour zebra {number}"))
    for number in range(240):
        put(owner, "agents", made(cast.acme, number, f"{'Zebra' if number >= 200 else 'Harbour'} {number}"))
    if analysed:
        owner.execute("ANALYZE agents")
    with roles.app.connection, roles.app.connection.cursor() as cursor:
        cursor.execute("SET LOCAL app.tenant_id = %s", [str(cast.acme.id)])
        cursor.execute("SELECT id FROM find_agents(%s, NULL, '{on,off,unpublished,withdrawn}', '{}', '{}', NULL, NULL, 26, 1001)", [words])
        assert looked_at(cursor, "agents") == (0, 0)
        read = sum(looked_at(cursor, index)[1] for index in ("agents_by_name", "agents_by_text"))
        assert 0 < read <= rows
        assert looked_at(cursor, "agents_by_grams") == ((0, 0) if fragments is None else (1, fragments))


def test_an_empty_list_says_what_to_do_next(app: Flask, cast: SimpleNamespace) -> None:
    admin, user = Browser(app).sign_in(cast.acme.admin), Browser(app).sign_in(cast.acme.user)
    assert [link.get_text() for link in admin.get("agents.index").select(".empty a")] == ["Make the first one", "import agents from a file"]
    assert "Ask an administrator of your organization" in user.get("agents.index").select_one(".empty").get_text()
    for browser in (admin, user):
        [way_out] = browser.get("/agents?q=nothing&state=on").select(".empty a")
        assert (way_out.get_text(), way_out["href"]) == ("Clear the search and all filters", "/agents")
