"""Two states of an agent, compared: what is told, what is left out, and how it is drawn."""

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from portal import differences
from portal.agents import comparing
from portal.agents.comparing import Comparison, compare
from portal.differences import Difference, Effort, Lines, difference

CHANCE = 2_000  # what a test of chance repeats


def state(configuration: Any = None, **said: Any) -> SimpleNamespace:
    """An agent; a configuration is written unless it is written already."""
    written = configuration if isinstance(configuration, str) else json.dumps(configuration or {}, ensure_ascii=False)
    return SimpleNamespace(
        **{"name": "Flowers", "agent_type": "FLOWERS", "description": None, "capabilities": [], "configuration": written, **said}
    )


def lines(old: list[str], new: list[str]) -> Difference:
    return difference(Lines("Text", old, new), Effort())


def told(rows: Any) -> list[str]:
    """Rows as one reads them: words that changed in brackets, what was skipped as a number."""
    shown = []
    for row in rows:
        old, new = (
            "".join(f"[{text}]" if is_changed and row.kind == "changed" else text for text, is_changed in side)
            for side in (row.old, row.new)
        )
        shown += {
            "same": [f"  {old}"],
            "removed": [f"- {old}"],
            "added": [f"+ {new}"],
            "changed": [f"- {old}", f"+ {new}"],
            "skipped": [f"… {row.skipped}"],
        }[row.kind]
    return shown


def only(found: Comparison) -> Difference:
    """The one field that differs."""
    (one,) = found.fields
    return one


# What differs


def test_equal_states_have_no_difference() -> None:
    found = compare(state({"a": [1, {"b": "c"}]}, capabilities=["x"]), state({"a": [1, {"b": "c"}]}, capabilities=["x"]))
    assert found == Comparison((), (), 0, None)
    assert not found.differs


def test_no_description_is_an_empty_one() -> None:
    assert not compare(state(description=None), state(description="")).differs


def test_words_that_changed_are_told_within_their_line() -> None:
    one = only(compare(state(description="Opens at nine, closes at five."), state(description="Opens at ten, closes at half past five.")))
    assert one.label == "What it is for"
    assert told(one.rows) == ["- Opens at [nine], closes at five.", "+ Opens at [ten], closes at[ half past] five."]
    assert [(row.kind, row.old_number, row.new_number) for row in one.rows] == [("changed", 1, 1)]


def test_a_line_that_has_little_in_common_with_the_other_is_changed_as_a_whole() -> None:
    found = compare(state(name="The good old flowers"), state(name="The best of stones"))
    assert told(only(found).rows) == ["- [The good old flowers]", "+ [The best of stones]"]


def test_changed_words_that_follow_each_other_are_one_change() -> None:
    shown = told(lines(["We open at nine in the morning."], ["We open after lunch, in the afternoon."]).rows)
    assert shown == ["- We open [at nine] in the [morning].", "+ We open [after lunch,] in the [afternoon]."]


def test_words_of_languages_without_spaces_and_letters_with_marks_stay_readable() -> None:
    assert told(lines(["我们星期一开门"], ["我们星期二开门"]).rows) == ["- 我们星期[一]开门", "+ 我们星期[二]开门"]
    assert told(lines(["यह किताब है"], ["यह किताबें है"]).rows) == ["- यह [किताब] है", "+ यह [किताबें] है"]


def test_a_line_put_in_does_not_make_its_neighbours_other_lines() -> None:
    old = ["Answer in short sentences.", "Ask one question at a time."]
    new = ["Never give advice.", "Answer in very short sentences.", "Ask one question at any time."]
    assert told(lines(old, new).rows) == [
        "+ Never give advice.",
        "- Answer in short sentences.",
        "+ Answer in [very ]short sentences.",
        "- Ask one question at [a] time.",
        "+ Ask one question at [any] time.",
    ]


def test_capabilities_are_compared_one_by_one() -> None:
    one = only(compare(state(capabilities=["stock", "graves", "rooms"]), state(capabilities=["stock", "rooms", "vehicles"])))
    assert told(one.rows) == ["  stock", "- graves", "  rooms", "+ vehicles"]
    assert [(row.old_number, row.new_number) for row in one.rows] == [(1, 1), (2, None), (3, 2), (None, 3)]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [("Be brief.", "Be brief.\u200b", "⟨U+200B⟩"), ("no\u00a0one", "no one", "⟨U+00A0⟩"), ("one\r\ntwo", "one\ntwo", "⟨U+000D⟩")],
)
def test_what_nobody_can_see_is_named(old: str, new: str, named: str) -> None:
    rows = only(compare(state(description=old), state(description=new))).rows
    assert named in "".join(told(rows))


def test_an_emoji_or_a_joined_letter_is_not_taken_to_pieces_where_one_sees_what_changed() -> None:
    assert "⟨" not in "".join(told(lines(["Hello 👩‍👧 there"], ["Hello 👨‍👧 there"]).rows))


# What is alike


@pytest.mark.parametrize("skipped", [1, 2, 12])
def test_long_stretches_alike_are_skipped_but_for_their_ends(skipped: int) -> None:
    alike = [f"line {number}" for number in range(6 + skipped)]
    shown = told(lines(["old", *alike, "past"], ["new", *alike, "future"]).rows)
    assert (f"… {skipped}" in shown) is (skipped > 1)
    assert shown[2:5] == ["  line 0", "  line 1", "  line 2"]
    assert shown[-3] == f"  line {5 + skipped}"


def test_before_the_first_and_after_the_last_difference_three_lines_are_shown() -> None:
    alike = [str(number) for number in range(10)]
    shown = told(lines([*alike, "old", *alike], [*alike, "new", *alike]).rows)
    assert shown == ["… 7", "  7", "  8", "  9", "- [old]", "+ [new]", "  0", "  1", "  2", "… 7"]


def test_what_is_told_leads_from_the_old_to_the_new_with_the_fewest_changes() -> None:
    chance = random.Random(5)
    for _ in range(CHANCE):
        letters = chance.choice(("ab", "abc", "abcdefgh"))
        old, new = ([chance.choice(letters) for _ in range(chance.randrange(12))] for _ in range(2))
        changes = differences._changes(old, new, Effort())
        built, at = [], 0
        for old_from, old_to, new_from, new_to in changes:
            built += [*old[at:old_from], *new[new_from:new_to]]
            at = old_to
        assert [*built, *old[at:]] == new
        assert sum(b - a + d - c for a, b, c, d in changes) == len(old) + len(new) - 2 * longest_in_common(old, new)


def longest_in_common(old: list[str], new: list[str]) -> int:
    row = [0] * (len(new) + 1)
    for one in old:
        before, row = row, [0]
        for at, other in enumerate(new):
            row.append(before[at] + 1 if one == other else max(row[at], before[at + 1]))
    return row[-1]


# The configuration


def test_texts_of_the_configuration_are_compared_by_their_own_lines_and_the_document_by_lines_of_json() -> None:
    old = {"instructions": "Be kind.\nBe brief.", "temperature": 0.5}
    new = {"instructions": "Be kind.\nBe very brief.", "temperature": 0.7}
    found = compare(state(old), state(new))
    assert [(key.label, key.is_json, told(key.rows)) for key in found.keys] == [
        ("Instructions", False, ["  Be kind.", "- Be brief.", "+ Be [very ]brief."]),
        ("Temperature", True, ["- 0.[5]", "+ 0.[7]"]),
    ]
    assert found.document
    assert told(found.document.rows) == [
        "  {",
        r'-   "instructions": "Be kind.\nBe brief.",',
        r'+   "instructions": "Be kind.\nBe [very ]brief.",',
        '-   "temperature": 0.[5]',
        '+   "temperature": 0.[7]',
        "  }",
    ]


def test_keys_that_came_or_went_and_kinds_that_changed_are_told() -> None:
    found = compare(state('{"gone": "a\\nb", "kind": 1, "same": 1}'), state('{"same": 1, "kind": "1", "new": [1.50]}'))
    assert [(key.label, told(key.rows)) for key in found.keys] == [
        ("Gone", ["- a", "- b"]),
        ("Kind", ["- 1", '+ ["]1["]']),
        ("New", ["+ [", "+   1.50", "+ ]"]),
    ]


def test_another_order_of_keys_is_a_difference_of_the_document_alone() -> None:
    found = compare(state('{"a": 1, "b": 2}'), state('{"b": 2, "a": 1}'))
    assert not found.keys
    assert found.document
    assert found.document.rows


def test_numbers_are_compared_as_they_were_written() -> None:
    found = compare(state('{"a": 1.0}'), state('{"a": 1.00}'))
    assert told(found.keys[0].rows) == ["- 1.[0]", "+ 1.[00]"]


def test_a_sign_that_is_written_otherwise_is_told_as_it_is_written() -> None:
    found = compare(state('{"a": ["é"]}'), state('{"a": ["\\u00e9"]}'))
    assert found.document
    assert told(found.document.rows)[2:4] == ['- [    "é"]', '+ [    "\\u00e9"]']


@pytest.mark.parametrize("spelled", ['{\n  "a": ["é"]\n}', '{"a":["é"]}'])
def test_other_white_space_is_told_without_a_line_that_differs(spelled: str) -> None:
    found = compare(state('{"a": ["é"]}'), state(spelled))
    assert found.differs
    assert found.keys == ()
    assert found.document == Difference("Configuration", (), 0, True)


def test_a_document_that_cannot_be_read_is_compared_as_it_was_written() -> None:
    found = compare(state('{"a": 1,\n "a": 2}'), state('{"a": 1,\n "b":  2}'))
    assert found.keys == ()
    assert found.document
    assert told(found.document.rows) == ['  {"a": 1,', '-  "[a]":[ ]2}', '+  "[b]":[  ]2}']


# Bounds


def test_a_document_of_thirty_thousand_other_lines_is_one_replaced_block_of_which_the_beginning_is_told() -> None:
    chance = random.Random(1)
    old, new = (["x", *(chance.choice("ab") for _ in range(30_000)), "z"] for _ in range(2))
    (change,) = differences._changes(old, new, Effort())
    found = lines(old, new)
    drawn = [row.kind for row in found.rows if row.kind in ("removed", "added")]
    assert len(found.rows) == differences.ROWS
    assert {"removed", "added"} == set(drawn)
    assert found.left_out + len(drawn) == change[1] - change[0] + change[3] - change[2] > 59_000


def test_a_thousand_lines_of_which_few_stayed_are_one_replaced_block() -> None:
    old = [f"line {number}" for number in range(1_000)]
    new = [line if number % 10 == 5 else f"other {number}" for number, line in enumerate(old)]
    assert differences._changes(old, new, Effort()) == [(0, 1_000, 0, 1_000)]
    assert len(differences._changes(old, new, Effort(10_000_000))) == 101


def test_a_few_changes_in_thirty_thousand_lines_are_found() -> None:
    old = ["a"] * 30_000
    new = [*old[:10_000], "b", *old[10_000:20_000], "c", *old[20_001:]]
    assert [row.kind for row in lines(old, new).rows if row.kind not in ("same", "skipped")] == ["added", "changed"]


def test_more_than_four_hundred_rows_are_counted_instead() -> None:
    old = [f"line {number}" for number in range(1_000)]
    new = [line.replace("line", "a line") if number % 10 == 0 else line for number, line in enumerate(old)]
    found = lines(old, new)
    shown = 2 * sum(row.kind == "changed" for row in found.rows)
    assert len(found.rows) == 400
    assert 0 < shown < 200
    assert found.left_out == 200 - shown


def test_words_are_not_compared_where_that_would_take_too_long() -> None:
    chance = random.Random(3)
    old, new = (" ".join(chance.choice("abcdef") for _ in range(20_000)) for _ in range(2))
    (row,) = lines([old], [new]).rows
    assert row.kind == "changed"
    assert [segment.is_changed for segment in row.old if len(segment.text) > 1000] == [True]


def test_a_field_that_takes_too_long_leaves_half_of_the_effort_to_the_next() -> None:
    chance = random.Random(4)
    long = [[chance.choice("ab") for _ in range(20_000)] for _ in range(2)]
    effort = Effort()
    difference(Lines("Text", *long), effort)
    assert effort.left >= differences.STEPS // 4
    assert told(difference(Lines("Text", ["one two"], ["one three"]), effort).rows) == ["- one [two]", "+ one [three]"]


def test_of_very_many_keys_the_others_are_counted() -> None:
    found = compare(state({f"k{number}": 1 for number in range(300)}), state({f"k{number}": 2 for number in range(300)}))
    assert (len(found.keys), found.more_keys) == (comparing.KEYS, 200)
    long = compare(state({f"k{number}": "a\n" * 300 for number in range(50)}), state({f"k{number}": "b\n" * 300 for number in range(50)}))
    assert sum(len(key.rows) for key in long.keys) <= comparing.ROWS_OF_KEYS
    assert len(long.keys) + long.more_keys == 50


# On the screen


DRAWN = '{% from "components/comparison.html" import comparison %}{{ comparison(found, sides, layout) }}'


@pytest.fixture(params=["beside", "column"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def drawn(app: Flask, old: Any, new: Any, layout: str) -> BeautifulSoup:
    with app.test_request_context("/"):
        template = app.jinja_env.from_string(DRAWN)
        return BeautifulSoup(template.render(found=compare(old, new), sides=("Version <1>", "Version 2"), layout=layout), "html.parser")


def test_a_comparison_is_drawn_readable_without_colour(running_app: Flask, layout: str) -> None:
    soup = drawn(running_app, state(description="It costs two."), state(description="It costs three."), layout)
    assert [part.get_text() for part in soup.select("del, ins")] == ["removed two", "added three"]
    old, new = soup.select_one(".diff-old"), soup.select_one(".diff-new")
    assert old.get_text() == "−Before: It costs removed two."
    assert new.get_text() == "+After: It costs added three."
    assert (old.parent is new.parent) is (layout == "beside")
    assert soup.caption.get_text() == "What it is for, Version <1> and Version 2"
    assert {head["scope"] for head in soup.select("thead th")} == {"col"}
    cells = {sum(int(cell.get("colspan", 1)) for cell in row.find_all(["th", "td"])) for row in soup.select("tr")}
    assert cells == {4 if layout == "beside" else 3}


def test_line_numbers_and_what_was_skipped_are_drawn(running_app: Flask, layout: str) -> None:
    alike = "\n".join(f"line {number}" for number in range(12))
    soup = drawn(running_app, state(description=f"{alike}\nold"), state(description=f"{alike}\nnew\nadded"), layout)
    assert soup.select_one(".diff-skipped").get_text() == "… 9 lines alike"
    numbers = [[cell.get_text() for cell in row.select(".diff-line")] for row in soup.select("tbody tr:not(.diff-skipped)")]
    assert numbers[:3] == [["10", "10"], ["11", "11"], ["12", "12"]]
    assert sorted(number for row in numbers[3:] for number in row if number) == ["13", "13", "14"]


def test_nothing_that_people_wrote_becomes_markup(running_app: Flask, layout: str) -> None:
    said = "<script>alert(1)</script>"
    old = state({said: said, "b": [said]}, name=said, description=said, capabilities=[said])
    new = state({said: f"{said} {said}", "b": [f"{said}!"]}, name=f"a {said}", description=f"{said}.", capabilities=[f"{said} c"])
    soup = drawn(running_app, old, new, layout)
    assert not soup.select("script")
    assert said in soup.get_text().replace("removed ", "").replace("added ", "")
    assert "Version <1>" in soup.select_one("thead").get_text()


@pytest.mark.parametrize(("old", "new"), [("<script>old</script>", "Flowers"), ("Flowers", "<script>new</script>")])
def test_nothing_that_changed_as_a_whole_becomes_markup(running_app: Flask, layout: str, old: str, new: str) -> None:
    soup = drawn(running_app, state(name=old), state(name=new), layout)
    assert [part.get_text() for part in soup.select("del, ins")] == [f"removed {old}", f"added {new}"]
    assert not soup.select("script")


def test_white_space_of_a_line_stays_and_nothing_is_added_to_it(running_app: Flask, layout: str) -> None:
    soup = drawn(running_app, state(description="  two\n\n  x"), state(description="  two\n\n  y"), layout)
    assert [cell.get_text() for cell in soup.select("tbody tr:first-child bdi")] == ["  two"] * (2 if layout == "beside" else 1)


def test_the_document_is_folded_below_its_keys_and_open_where_there_are_none(running_app: Flask, layout: str) -> None:
    assert drawn(running_app, state({"a": 1}), state({"a": 2}), layout).select("details .diff-json")
    unreadable = drawn(running_app, state("{'a'}"), state("{'b'}"), layout)
    assert unreadable.select(".diff-json")
    assert not unreadable.select("details")


def test_what_is_not_shown_is_said(running_app: Flask, layout: str) -> None:
    chance = random.Random(1)
    old, new = ("\n".join(chance.choice("ab") for _ in range(2_000)) for _ in range(2))
    keys = [{f"k{number}": value for number in range(101)} for value in (1, 2)]
    text = drawn(running_app, state(keys[0], description=old), state(keys[1], description=new), layout).get_text()
    assert "more lines differ and are not shown here" in text
    assert "1 more key differs; the whole document shows more." in text


def test_the_same_in_another_spelling_and_equal_states_are_said_in_words(running_app: Flask, layout: str) -> None:
    assert "Only white space differs" in drawn(running_app, state('{"a":1}'), state('{"a": 1}'), layout).get_text()
    assert drawn(running_app, state(), state(), layout).get_text().strip() == "Both say the same."
