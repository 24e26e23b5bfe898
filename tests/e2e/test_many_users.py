"""An administrator imports two thousand people, finds one, changes many at once and takes it back, with a real worker beside the portal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.crowd import INVITED, person, put
from tests.e2e.conftest import Open
from tests.e2e.steps import sign_in, sound_in_every_look
from tests.e2e.test_registration import register
from tests.steps import workers

FIRST = [
    "Aoife", "Brendan", "Ciara", "Dermot", "Eimear", "Fionn", "Gráinne", "Hugh", "Isolde", "Jarlath", "Kathleen", "Lorcan", "Mairéad",
    "Niall", "Orla", "Pádraig", "Róisín", "Seán",
]  # fmt: skip
LAST = [
    "Ahern", "Brady", "Casey", "Doyle", "Egan", "Fahy", "Gallagher", "Hayes", "Keane", "Lynch", "Moran", "Nolan", "Power", "Reilly",
    "Shaughnessy", "Tierney", "Walsh",
]  # fmt: skip
HEADER = "Mail;Vorname;Surname;Rolle;Department\n"
PEOPLE = [
    f"person{number}@lantern-hill.example;{FIRST[number % 18]};{LAST[number % 17]};{'org_admin' if number % 500 == 1 else 'user'};Office\n"
    for number in range(1, 2_000)
]
EVERYBODY = HEADER + "".join(PEOPLE) + "zita@lantern-hill.example;Zita;Quirke;user;Garden\n"
FAULTY = f"{HEADER}{PEOPLE[0]}nobody;Ola;Berg;user;\n{PEOPLE[1]}{PEOPLE[0]}wei@lantern-hill.example;Wei;Li;king;\n"
BAR = """
new MutationObserver(() => {
  const bar = document.querySelector("#job progress[value]");
  if (bar && bar.value !== window.last) barStands((window.last = bar.value));
}).observe(document, { childList: true, subtree: true, attributes: true });"""
# What an undoing has to bring back; that an account was changed is not undone.
SNAPSHOT = """
    SELECT id::text, role, state, is_active, email, username, first_name, last_name, is_verified, hashed_password, accepted_at, removed_at
    FROM users ORDER BY id"""


@pytest.fixture
def worker(cluster: Any, database: str, address: str, cast: SimpleNamespace) -> Iterator[None]:
    """The worker's own process."""
    with workers(1, cluster, database, PUBLIC_URL=address):
        yield


@pytest.fixture
def busy(owner: Any) -> Callable[..., Any]:
    """Within `with busy(seconds):` the database takes so long for each statement that writes users, as one does with a lot to do."""

    @contextmanager
    def slow(seconds: float) -> Iterator[None]:
        owner.execute(f"""
            CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END';
            CREATE TRIGGER slowly BEFORE INSERT OR UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION slowly()""")
        try:
            yield
        finally:
            owner.execute("DROP TRIGGER slowly ON users; DROP FUNCTION slowly()")

    return slow


def watched(page: Page) -> list[float]:
    """Every value that the progress bar has from now on, on whichever page of this tab."""
    values: list[float] = []
    page.expose_function("barStands", lambda value: values.append(value))
    page.add_init_script(BAR)
    return values


def moved(values: list[float], least: int, total: int) -> None:
    """The bar rose, without a step back, and stood at so many places at least between its ends."""
    assert values == sorted(values), values
    assert len({value for value in values if 0 < value < total}) >= least, values


def upload(page: Page, content: str, name: str) -> None:
    page.get_by_label("CSV file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content.encode()})
    page.get_by_role("button", name="Look through the file").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check a file of people")


def snapshot(owner: Any) -> list[tuple[Any, ...]]:
    owner.execute(SNAPSHOT)
    return list(owner.fetchall())


def look_again_until(page: Page, css: str) -> None:
    """What a person without script does."""
    for _ in range(60):
        if page.locator(css).count():
            return
        page.wait_for_timeout(500)
        page.get_by_role("link", name="Look again").click()
    raise AssertionError(f"{css} does not come:\n{page.locator('main').inner_text()}")


def preview_of_all(page: Page, act: str) -> None:
    page.get_by_label("Change several people").select_option(label=act)
    page.get_by_role("button", name="Preview for all").click()


def test_two_thousand_people_are_imported_and_one_is_found_by_three_letters(
    tab: Open, worker: None, busy: Callable[..., Any], picture: Callable[[Page, str], None]
) -> None:
    page = tab()
    values = watched(page)
    register(page)
    page.get_by_role("link", name="Users", exact=True).first.click()
    page.get_by_role("link", name="Import people").click()
    sound_in_every_look(page, "importing people")
    upload(page, FAULTY, "people of the second office.csv")
    report = page.locator("#report")
    expect(report).to_contain_text("2 of 5 people in people of the second office.csv would be invited; 3 lines are refused.")
    expect(report.locator("li")).to_have_text(
        [
            "Line 3, nobody: An e-mail address has an @ in it, for example mara@example.org.",
            f"Line 5, {PEOPLE[0].partition(';')[0]}: The same e-mail address stands in line 2.",
            "Line 6, wei@lantern-hill.example: There is no role “king”. Write user or org_admin.",
        ]
    )
    sound_in_every_look(page, "a file with faults")
    page.get_by_role("link", name="See every line").click()
    expect(page.locator("tbody tr", has_text="refused")).to_have_count(3)
    sound_in_every_look(page, "every line of a file with faults")
    picture(page, "import-refused")
    page.get_by_role("link", name="Upload it again").click()

    upload(page, EVERYBODY, "everybody.csv")
    expect(report).to_contain_text("2,000 of 2,000 people in everybody.csv would be invited; 0 lines are refused.")
    expect(report.locator("dd")).to_have_text(["e-mail, first name, last name, role", "Department"])
    page.get_by_role("link", name="See every line, and import").click()
    expect(page.locator("tbody tr").first).to_contain_text("2 person1@lantern-hill.example good would be invited", use_inner_text=True)
    expect(page.locator("main")).to_contain_text("2,000 people would be invited: 1,996 as user, 4 as organization admin.")
    page.get_by_role("navigation", name="Parts").get_by_role("link", name="Next").click()
    expect(page.locator("tbody tr").last).to_contain_text("2,001 zita@lantern-hill.example", use_inner_text=True)

    with busy(3):
        page.get_by_role("button", name="Import 2,000 people").click()
        expect(page.locator("#job progress")).to_have_attribute("max", "2000")
        expect(page.locator("#job progress")).to_have_attribute("value", "1000")
        picture(page, "import-running")
        sound_in_every_look(page, "an import that is under way")
        running = page.url
        page.get_by_role("link", name="Overview").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        page.goto(running)
        expect(report).to_have_text("2,000 people were imported and invited. See them")
    expect(page.locator("#job")).to_contain_text("2,000 of 2,000")
    expect(page.locator("#job progress")).to_have_count(0)
    moved(values, 1, 2_000)
    report.get_by_role("link", name="See them").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Several people imported")
    expect(page.get_by_role("heading", level=2).first).to_have_text("2,000 accounts")
    sound_in_every_look(page, "what was imported")

    page.get_by_role("link", name="Users", exact=True).first.click()
    expect(page.locator(".counted [role=status]")).to_have_text("1–25 of 2,001")
    page.wait_for_load_state()  # with its script, which the key asks
    page.keyboard.press("/")
    page.keyboard.type("qui", delay=60)
    expect(page.locator(".counted [role=status]")).not_to_have_text("1–25 of 2,001")
    found = page.locator("#users tbody tr", has_text="Zita Quirke")
    expect(found).to_be_visible()
    expect(found).to_contain_text("Invited")
    assert page.url.endswith("q=qui&role=&state=&verified=&signed_in=&sort=name")


@pytest.mark.parametrize("script", [True, False])
def test_columns_that_the_header_does_not_tell_are_matched_by_hand(
    tab: Open, worker: None, cast: SimpleNamespace, picture: Callable[[Page, str], None], script: bool
) -> None:
    page = tab(script=script)
    sign_in(page, cast.acme.admin)
    page.goto("/users/import")
    content = b"Kontakt;Vorname;Zuname;Abteilung\nmara@x.example;Mara;Ortiz;Office\nola@x.example;Ola;Berg;\n"
    page.get_by_label("CSV file").set_input_files({"name": "people.csv", "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="Look through the file").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What the columns hold")
    expect(page.locator("main")).to_contain_text("We could not tell what every column holds. No column holds the e-mail; choose one.")
    expect(page.get_by_label("Vorname")).to_have_value("first_name")
    expect(page.locator("tbody tr").first).to_contain_text("mara@x.example, ola@x.example")
    if script:
        sound_in_every_look(page, "matching columns")
        picture(page, "import-columns")
    page.get_by_label("Zuname").select_option(label="Last name")
    page.get_by_role("button", name="Look through the file").click()
    expect(page.locator("#faults")).to_contain_text("No column holds the e-mail; choose one.")
    expect(page.get_by_label("Zuname")).to_have_value("last_name")
    page.get_by_label("Kontakt").select_option(label="E-mail")
    page.get_by_role("button", name="Look through the file").click()
    if not script:
        look_again_until(page, "#report")
    expect(page.locator("#report")).to_contain_text("2 of 2 people in people.csv would be invited; 0 lines are refused.")
    expect(page.locator("#report dd")).to_have_text(["e-mail, first name, last name", "Abteilung"])


@pytest.fixture
def family(owner: Any, cast: SimpleNamespace) -> None:
    """Twelve of one name, two of whom no act of deactivation changes, among others."""
    states: dict[int, dict[str, Any]] = {3: {**INVITED}, 7: {"is_active": False}}
    put(owner, [person(cast.acme.id, number, last_name="Ó Briain", **states.get(number, {})) for number in range(12)])
    put(owner, [person(cast.acme.id, number) for number in range(12, 40)])


def test_all_that_fit_a_search_are_deactivated_and_undone_exactly(
    tab: Open, cast: SimpleNamespace, owner: Any, family: None, picture: Callable[[Page, str], None]
) -> None:
    page, theirs = tab(), tab()
    sign_in(theirs, cast.acme.user)
    sign_in(page, cast.acme.admin)
    page.goto("/users")
    page.get_by_label("Name, username or e-mail").fill("briain")
    expect(page.locator(".counted [role=status]")).to_have_text("1–12 of 12")
    before = snapshot(owner)
    preview_of_all(page, "Deactivate")
    expect(page.get_by_role("heading", level=1)).to_have_text("Deactivate 10 of 12 accounts")
    expect(page.locator("tbody tr", has_text="Person Ó Briain")).to_have_count(12)
    expect(page.locator("tbody tr", has_text="stays as it is")).to_have_count(2)
    expect(page.locator("tbody tr", has_text="person3").locator("td").last).to_contain_text("Only an active account can be deactivated.")
    sound_in_every_look(page, "whom an act would change")
    picture(page, "bulk-preview")
    assert snapshot(owner) == before, "a look changes nothing"
    page.get_by_role("button", name="Deactivate 10 accounts").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Several people deactivated")
    expect(page.locator("#said")).to_contain_text("Done: 10 accounts changed. Not changed: 2 × Only an active account can be deactivated.")
    expect(page.locator(".facts")).to_contain_text("Can be undone")
    expect(page.locator("tbody tr", has_text="Active → Deactivated")).to_have_count(10)
    sound_in_every_look(page, "what an act has changed")
    picture(page, "bulk-done")
    after = snapshot(owner)
    assert len([one for one, other in zip(before, after, strict=True) if one != other]) == 10
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Several people reactivated")
    expect(page.locator("#said")).to_contain_text("Done: 10 accounts changed.")
    assert snapshot(owner) == before
    page.get_by_role("link", name="another change").click()
    expect(page.locator(".facts")).to_contain_text("by a later change")
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    theirs.goto("/account")
    expect(theirs.get_by_role("heading", level=1)).to_have_text("Your account")  # nobody else was signed out


def test_only_the_selected_are_changed_and_the_bar_stays_in_sight(tab: Open, cast: SimpleNamespace, owner: Any, family: None) -> None:
    page = tab()
    sign_in(page, cast.acme.admin)
    page.goto("/users?q=person&sort=email")
    bar = page.locator("#bulk")
    assert not page.evaluate("(bar => bar.getBoundingClientRect().bottom <= innerHeight)(document.querySelector('#bulk'))")
    for number in (12, 13):
        page.get_by_label(f"Select Person 000{number}").check()
    assert page.evaluate("(bar => bar.getBoundingClientRect().bottom <= innerHeight)(document.querySelector('#bulk'))")
    bar.get_by_label("Change several people").select_option(label="Sign out everywhere")
    bar.get_by_role("button", name="Preview for the selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign out 2 of 2 accounts everywhere")
    expect(page.locator("main")).to_contain_text("This cannot be undone.")
    page.get_by_role("button", name="Sign out 2 accounts everywhere").click()
    expect(page.locator("#said")).to_contain_text("Done: 2 accounts changed.")
    expect(page.locator("tbody th")).to_have_text(["Person 00012", "Person 00013"])
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)


def test_above_a_thousand_an_act_is_a_job_with_a_bar_and_so_is_its_undoing(
    tab: Open, cast: SimpleNamespace, owner: Any, worker: None, busy: Callable[..., Any]
) -> None:
    put(owner, [person(cast.acme.id, number, **({"is_active": False} if number % 100 == 0 else {})) for number in range(3_400)])
    page = tab()
    values = watched(page)
    sign_in(page, cast.acme.admin)
    page.goto("/users?q=person")
    before = snapshot(owner)
    preview_of_all(page, "Deactivate")
    expect(page.get_by_role("heading", level=1)).to_have_text("Deactivate 3,366 of 3,400 accounts")
    fates = ["User Active 3,366 will change", "User Deactivated 34 stays as it is Only an active account can be deactivated."]
    expect(page.locator("tbody tr")).to_have_text(fates, use_inner_text=True)
    sound_in_every_look(page, "whom an act on thousands would change")
    with busy(2.5):
        page.get_by_role("button", name="Deactivate 3,366 accounts").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Change several people")
        expect(page.locator("#report")).to_contain_text("3,366 accounts were changed.", timeout=60_000)
        expect(page.locator("#report li")).to_have_text("34 × Only an active account can be deactivated.")
        moved(values, 2, 3_400)
        values.clear()
        page.get_by_role("link", name="See the change").click()
        expect(page.get_by_role("heading", level=2).first).to_have_text("3,366 accounts")
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Undo a change of several people")
        expect(page.locator("#report")).to_contain_text("3,366 accounts were changed.", timeout=60_000)
        moved(values, 2, 3_366)
    assert snapshot(owner) == before


def test_import_act_and_undoing_are_done_without_script(tab: Open, cast: SimpleNamespace, owner: Any, worker: None) -> None:
    page = tab(script=False)
    sign_in(page, cast.acme.admin)
    page.goto("/users")
    page.get_by_role("link", name="Import people").click()
    upload(page, EVERYBODY, "everybody.csv")
    look_again_until(page, "#report")
    expect(page.locator("#report")).to_contain_text("2,000 of 2,000 people in everybody.csv would be invited; 0 lines are refused.")
    page.get_by_role("link", name="See every line, and import").click()
    page.get_by_role("button", name="Import 2,000 people").click()
    look_again_until(page, "#report")
    expect(page.locator("#report")).to_have_text("2,000 people were imported and invited. See them")
    page.goto("/users")
    page.get_by_label("Name, username or e-mail").fill("user@acme")
    page.get_by_role("button", name="Search").click()
    before = snapshot(owner)
    page.get_by_label("Change several people").select_option(label="Make them organization admin")
    page.get_by_role("button", name="Preview for this page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Make 1 of 1 accounts organization admin")
    page.get_by_role("button", name="Make 1 account organization admin").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Several roles changed")
    assert snapshot(owner) != before
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("tbody tr")).to_contain_text("Organization admin → User")
    assert snapshot(owner) == before
    page.goto("/users?q=lantern-hill")
    preview_of_all(page, "Make them organization admin")
    expect(page.get_by_role("heading", level=1)).to_have_text("Make 1,996 of 2,000 accounts organization admin")
    page.get_by_role("button", name="Make 1,996 accounts organization admin").click()
    look_again_until(page, "#report")
    page.get_by_role("link", name="See the change").click()
    page.get_by_role("button", name="Undo").click()
    look_again_until(page, "#report")
    expect(page.locator("#report")).to_contain_text("1,996 accounts were changed.")
    assert snapshot(owner) == before
