"""An agent's configuration as a form and as JSON: two views of one document, and the text of it that nothing else moves in."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from portal.agents.configuration import Configuration, fields, merged, refuse_wrong_values, shown
from portal.agents.shipped import shipped
from portal.errors import Invalid
from portal.values import member, members, pretty, read_configuration, rewritten

# A document in any layout, written by what remembers where each value stands.

NUMBERS = ["0", "-0", "0.30", "1.50", "2", "1E0", "3e-1", "40", "1000", "100000000000000000000001", "-7.0", "1e300"]
WORDS = ["auto", "de", "", " ", "web_search", "a\nb", 'say "no"', "\\", "{", "],", "ä", "😀", "\r\n", "\x07", "\u2028", "null", "0.3"]
KNOWN = sorted({key for field in fields() for key in field.path})
LAYOUTS = {
    "compact": ("", "", ":"),
    "one line": ("", " ", ": "),
    "two": ("  ", "", ": "),
    "tabs": ("\t", "", ": "),
    "wide": ("    ", "", " : "),
}


def raw_value(written: str, path: tuple[str | int, ...]) -> str | None:
    """The text of what stands at a path."""
    found = member(written, path)
    return written[found.at : found.end] if found else None


class Written(str):
    """A number as it is written."""


class Writer:
    """Writes a document; `spans` tells where the value of each path came to stand."""

    def __init__(self, layout: str, chance: random.Random) -> None:
        self.text, self.chance, self.layout = "", chance, layout
        self.spans: dict[tuple[Any, ...], tuple[int, int]] = {}

    def document(self, value: Any) -> "Writer":
        self._gap()
        self._value(value, ())
        self._gap()
        return self

    def _value(self, value: Any, path: tuple[Any, ...]) -> None:
        start = len(self.text)
        if isinstance(value, dict | list):
            self._whole(value, path)
        elif isinstance(value, Written):
            self.text += value
        else:
            self.text += self._text(value) if isinstance(value, str) else json.dumps(value)
        self.spans[path] = start, len(self.text)

    def _whole(self, value: Any, path: tuple[Any, ...]) -> None:
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        self.text += "{" if isinstance(value, dict) else "["
        for place, (key, one) in enumerate(pairs):
            self.text += "," if place else ""
            self._break(len(path) + 1, first=place == 0)
            if isinstance(value, dict):
                self.text += self._text(key)
                self._colon()
            self._value(one, (*path, key))
        if pairs:
            self._break(len(path), first=True)
        self.text += "}" if isinstance(value, dict) else "]"

    def _text(self, text: str) -> str:
        if self.chance.random() < 0.7:
            return json.dumps(text, ensure_ascii=self.chance.random() < 0.5)
        units = text.encode("utf-16-be", "surrogatepass")
        return '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2)) + '"'

    def _break(self, depth: int, *, first: bool) -> None:
        if self.layout == "any":
            return self._gap()
        unit, between, _ = LAYOUTS[self.layout]
        self.text += "\n" + unit * depth if unit else "" if first else between

    def _colon(self) -> None:
        if self.layout != "any":
            self.text += LAYOUTS[self.layout][2]
            return
        self._gap()
        self.text += ":"
        self._gap()

    def _gap(self) -> None:
        if self.layout == "any":
            self.text += self.chance.choice(["", "", " ", "\n", "\t", "\n  ", "\r\n", "\n\n\t", "  "])


scalars = st.one_of(st.sampled_from(NUMBERS).map(Written), st.sampled_from(WORDS), st.booleans(), st.none())
scalars |= st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
keys = st.sampled_from([*KNOWN, "Temperature", "temperature ", "limits.turns", "", "ä", "a"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=4
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3), st.lists(st.sampled_from(WORDS), max_size=3)
    ),
    max_leaves=8,
)
some = {
    "temperature": st.sampled_from(NUMBERS).map(Written) | values,
    "tools": st.lists(st.sampled_from(["web_search", "calendar", "a b", " "]), max_size=3) | values,
    "instructions": st.sampled_from(WORDS) | values,
    "limits": st.dictionaries(st.sampled_from(["turns", "answer_tokens", "more"]), scalars, max_size=3) | values,
    "handover": st.dictionaries(st.sampled_from(["when", "to", "more"]), scalars, max_size=3) | values,
}
known = st.fixed_dictionaries({}, optional=some)


@st.composite
def documents(draw: Any) -> Writer:
    pairs = [*draw(known).items(), *draw(st.dictionaries(keys, values, max_size=4)).items()]
    layout = draw(st.sampled_from(["any", *LAYOUTS]))
    return Writer(layout, random.Random(draw(st.integers()))).document(dict(draw(st.permutations(pairs))))


def pairs_of(written: str) -> Any:
    """What a document says, with the order of its keys and its numbers as they are written."""
    return json.loads(written, object_pairs_hook=lambda pairs: ("object", pairs), parse_int=Written, parse_float=Written)


def put(document: Any, path: tuple[str, ...], value: Any) -> Any:
    """The same with another value there; `...` takes the key away, and an object that is empty by that."""
    pairs = [] if document is None else list(document[1])
    place = next((place for place, (key, _) in enumerate(pairs) if key == path[0]), len(pairs))
    held = pairs[place][1] if place < len(pairs) else None
    becomes = value if len(path) == 1 else put(held, path[1:], value)
    pairs[place : place + 1] = [] if becomes in (..., ("object", [])) and value is ... else [(path[0], becomes)]
    return "object", pairs


def unmoved(before: str, after: str) -> tuple[int, int]:
    """How much of two texts is alike at their beginnings, and at their ends."""
    start = next((at for at, pair in enumerate(zip(before, after, strict=False)) if len(set(pair)) > 1), min(len(before), len(after)))
    end = next(
        (at for at, pair in enumerate(zip(before[::-1], after[::-1], strict=False)) if len(set(pair)) > 1), min(len(before), len(after))
    )
    return start, end


# What is typed into a field of each kind, what the document says then, and what the form shows of it.
NEW = {
    "text": ("  el ", "el", "el"),
    "long text": (" a\r\nb “c” \\\r\n", " a\nb “c” \\\n", " a\nb “c” \\\n"),
    "number": ("0.70", Written("0.70"), "0.70"),
    "whole number": ("9", Written("9"), "9"),
    "lines": ("x\r\n\r\n y ", ["x", "y"], "x\ny"),
}


@tried(max_examples=400, deadline=None)
@given(documents())
def test_what_the_form_shows_and_nobody_changes_changes_nothing(document: Writer) -> None:
    seen = shown(document.text)
    assert merged(document.text, seen) == document.text
    as_a_browser = {
        name: text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n") for name, text in seen.items() if text is not None
    }
    assert merged(document.text, as_a_browser) == document.text
    assert merged(document.text, {}) == document.text


@tried(max_examples=800, deadline=None)
@given(documents(), st.sampled_from(fields()), st.booleans())
def test_one_field_that_is_changed_changes_its_value_and_nothing_else(document: Writer, field: Any, cleared: bool) -> None:
    written = document.text
    seen = shown(written)
    before = seen[field.name]
    typed, value, then = ("", ..., "") if cleared else NEW[field.kind]
    result = merged(written, {**seen, field.name: typed})
    if before is None or (cleared and not before.strip()):
        assert result == written
        return
    assert pairs_of(result) == put(pairs_of(written), field.path, value)
    read_configuration(result)
    assert shown(result) == {**seen, field.name: then}
    start, end = unmoved(written, result)
    holder = document.spans.get(field.path[:-1], (0, 0))
    if field.path in document.spans and not cleared:
        first, last = document.spans[field.path]
        assert start >= first
        assert end >= len(written) - last
    elif cleared:
        assert start + end >= len(result)
    elif written[slice(*holder)].strip("{} \t\r\n") not in ("", "null"):
        assert start + end >= len(written)


@tried(max_examples=300, deadline=None)
@given(documents())
def test_each_value_is_found_exactly_as_it_is_written(document: Writer) -> None:
    for path, (start, end) in document.spans.items():
        assert raw_value(document.text, path) == document.text[start:end]
        inside = {one.key: (one.at, one.end) for one in members(document.text, start)}
        assert inside == {other[-1]: span for other, span in document.spans.items() if other and other[:-1] == path}
    assert raw_value(document.text, ("nowhere", 3, "here")) is None


@tried(max_examples=300, deadline=None)
@given(documents())
def test_a_document_is_laid_out_without_another_sign_of_it(document: Writer) -> None:
    laid_out = pretty(document.text)
    assert pairs_of(laid_out) == pairs_of(document.text)
    assert pretty(laid_out) == laid_out
    assert len(laid_out.split("\n")) == len(json.dumps(json.loads(laid_out), indent=2).split("\n"))


# How a change is laid out

LAID_OUT = [
    ("{}", {("a",): "1"}, '{\n  "a": 1\n}'),
    (" {\n} ", {("a",): "[1]"}, ' {\n   "a": [\n     1\n   ]\n } '),
    ("{}", {("a", "b"): '"x"', ("c",): "2"}, '{\n  "a": {\n    "b": "x"\n  },\n  "c": 2\n}'),
    ('{"a": 1}', {("b",): "2"}, '{"a": 1, "b": 2}'),
    ('{"a":1}', {("b",): "2", ("c",): "3"}, '{"a":1,"b":2,"c":3}'),
    ('{ "a": 1, "b": {} }', {("b", "c"): "2", ("d", "e"): "3"}, '{ "a": 1, "b": {"c": 2}, "d": {"e": 3} }'),
    ('{\n\t"a": {\n\t\t"b": 1\n\t}\n}', {("a", "c"): "2", ("d", "e"): "[]"}, '{\n\t"a": {\n\t\t"b": 1,\n\t\t"c": 2\n\t},\n\t"d": {\n\t\t"e": []\n\t}\n}'),
    ('{\n    "a": {}\n}', {("a", "c"): "2"}, '{\n    "a": {\n        "c": 2\n    }\n}'),
    ('{\n  "a": null\n}', {("a", "c"): "2"}, '{\n  "a": {\n    "c": 2\n  }\n}'),
    ('{\r\n  "a" : 1\r\n}\r\n', {("b",): "[1, 2]"}, '{\r\n  "a" : 1,\r\n  "b" : [\r\n    1,\r\n    2\r\n  ]\r\n}\r\n'),
    ('{\n  "a": ["x"],\n  "b": [\n    "y"\n  ]\n}', {("a",): '["z", "u"]', ("b",): '["v"]'}, '{\n  "a": ["z", "u"],\n  "b": [\n    "v"\n  ]\n}'),
    ('{\n  "a": 0.30,\n\n  "b":\n    2\n}', {("c",): "3"}, '{\n  "a": 0.30,\n\n  "b":\n    2,\n  "c": 3\n}'),
    ('{"\\u0061": 1, "b": 2}', {("a",): "0.0"}, '{"\\u0061": 0.0, "b": 2}'),
    ('{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}', {("a",): None}, '{\n  "b": 2,\n  "c": 3\n}'),
    ('{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}', {("b",): None}, '{\n  "a": 1,\n  "c": 3\n}'),
    ('{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}', {("c",): None}, '{\n  "a": 1,\n  "b": 2\n}'),
    ('{\n  "a": {\n    "b": 1\n  }\n}', {("a", "b"): None, ("a", "c"): None, ("d", "e"): None}, '{\n  "a": {}\n}'),
    ('{ "a" : 1 , "b" : 2 }', {("b",): None}, '{ "a" : 1 }'),
    ('{"a":1}', {("a",): None}, "{}"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "changes", "becomes"), LAID_OUT)
def test_a_change_takes_the_layout_of_what_is_around_it(written: str, changes: Any, becomes: str) -> None:
    assert rewritten(written, changes) == becomes


def test_no_change_leads_through_what_is_no_object() -> None:
    with pytest.raises(ValueError, match=r"At a stands no object\."):
        rewritten('{"a": [1]}', {("a", "b"): "1"})


def test_a_document_of_one_line_is_laid_out_for_comparing() -> None:
    written = '{"b":0.30,"a":[],"c":{"d":[1,{"e":"{\\u0022,"}],"f":{ }}}'
    assert pretty(written) == (
        '{\n  "b": 0.30,\n  "a": [],\n  "c": {\n    "d": [\n      1,\n      {\n        "e": "{\\u0022,"\n      }\n    ],\n    "f": {}\n  }\n}'
    )


def test_a_configuration_within_an_export_is_taken_out_exactly() -> None:
    written = '{"schema": 1, "agents": [{"configuration": {}}, {"x": [], "configuration": {"a":  1.50,\n"b": {} }}]}'
    assert raw_value(written, ("agents", 1, "configuration")) == '{"a":  1.50,\n"b": {} }'
    assert raw_value(written, ("agents", 2, "configuration")) is None
    assert raw_value(written, ("schema", 0)) is None
    assert raw_value(written, ()) == written


# The form


def test_the_form_asks_for_what_the_model_documents() -> None:
    assert [field.name for field in fields()] == [
        "instructions", "greeting", "language", "model", "temperature", "tools",
        "limits.answer_tokens", "limits.turns", "handover.when", "handover.to",
    ]  # fmt: skip
    assert {field.kind for field in fields()} == NEW.keys()
    assert all(field.label and field.help.endswith(".") for field in fields())
    schema = Configuration.model_json_schema()
    assert all(one["title"] and one["description"] for part in (schema, *schema["$defs"].values()) for one in part["properties"].values())


def test_what_the_form_cannot_show_is_left_alone() -> None:
    written = (
        '{"instructions": ["a"], "greeting": "a\\u0007", "model": "a\\nb", "temperature": "0.3", "tools": [{"name": "x"}],'
        ' "language": null, "limits": 3, "handover": {"to": {"name": "Ann"}, "when": ""}}'
    )
    hidden = dict.fromkeys(
        ["instructions", "greeting", "model", "temperature", "tools", "limits.answer_tokens", "limits.turns", "handover.to"]
    )
    assert shown(written) == {**hidden, "language": "", "handover.when": ""}
    assert merged(written, dict.fromkeys(hidden, "1")) == written
    assert merged(written, dict.fromkeys(hidden, "")) == written


@pytest.mark.parametrize("names", ['["a", " b"]', '["a\\nb"]', '[""]', "[1]", '["a", null]', "{}", '"a"', "true"])
def test_tools_that_are_no_plain_names_are_not_shown(names: str) -> None:
    assert shown(f'{{"tools": {names}}}')["tools"] is None


def test_an_escaped_key_is_the_key() -> None:
    written = '{"\\u0074emperature": 0.30, "temperaturE": 1, "x": {"temperature": 2}}'
    assert shown(written)["temperature"] == "0.30"
    assert merged(written, {"temperature": "0.3"}) == written.replace("0.30", "0.3")


def test_an_object_that_was_emptied_goes_unless_it_holds_something_of_its_own() -> None:
    written = '{\n  "a": 1,\n  "handover": {\n    "when": "x",\n    "to": "y"\n  }\n}'
    assert merged(written, {"handover.when": "", "handover.to": " "}) == '{\n  "a": 1\n}'
    assert merged(written, {"handover.when": ""}) == '{\n  "a": 1,\n  "handover": {\n    "to": "y"\n  }\n}'
    own = '{"handover": {"when": "x", "hours": null}, "limits": {}}'
    assert merged(own, {"handover.when": ""}) == '{"handover": {"hours": null}, "limits": {}}'
    alone = '{"handover": {"when": "x"}}'
    assert merged(alone, {"handover.when": "", "handover.to": "y"}) == '{"handover": {"to": "y"}}'


@pytest.mark.parametrize(
    ("name", "typed", "sentence"),
    [
        *(("temperature", typed, "Between 0 and 2, for example 0.3.") for typed in ("2.1", "-0.1", "0,3", "1e400", "warm", ".5", "true", "٣", "NaN", "01")),
        *(("limits.turns", typed, "A whole number from 1 to 1,000, for example 40.") for typed in ("0", "1001", "1.0", "1e2", "many", "9" * 5_000)),
        ("limits.answer_tokens", "200001", "A whole number from 1 to 200,000, for example 1000."),
        *(("language", typed, "Write auto, or the tag of a language, for example de, pt-BR or sr-Latn.") for typed in ("German", "AUTO", "de_DE", "d", "de-")),
        ("model", "x" * 101, "Write the model's name as text, of at most 100 characters."),
        ("tools", "x" * 101, "Write each tool as its name, of at most 100 characters, for example web_search."),
        ("tools", "\n".join(map(str, range(51))), "These are 51; name at most 50."),
        ("instructions", "Good\x00 day", "There is a hidden character (U+0000) after “Good”. Delete it, or type the text again."),
        ("handover.to", "\ud800", "There is a broken character (U+D800) at the start. Delete it, or type the text again."),
        ("greeting", "AKIA" + "A" * 16, "This looks like a secret key. Whoever sees the agent reads this; keys belong into the settings of the server."),
        ("greeting", "x" * 66_000, "This is larger than 64 KiB. Shorten its texts."),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_beside_its_field(name: str, typed: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        merged('{"temperature": 1, "other": "stays"}', {name: typed})
    assert refused.value.fields == {"configuration" if "KiB" in sentence else name: sentence}


def test_a_secret_is_told_beside_its_field_together_with_wrong_values_and_before_the_size() -> None:
    secret = "AKIA" + "A" * 16
    for typed, beside in (
        ({"greeting": secret, "temperature": "9", "tools": secret}, {"greeting", "temperature", "tools"}),
        ({"greeting": secret, "instructions": "x" * 66_000}, {"greeting"}),
        ({"greeting": "", "model": secret}, {"model"}),
    ):
        with pytest.raises(Invalid) as refused:
            merged('{"greeting": "Good day"}', typed)
        assert set(refused.value.fields) == beside
        assert all("secret" in sentence for name, sentence in refused.value.fields.items() if name != "temperature")


@pytest.mark.parametrize("char", ["\x08", "\x1f", "\x7f", "\x80", "\x9f", "\ud83d"])
def test_what_a_browser_does_not_send_back_is_neither_taken_nor_shown(char: str) -> None:
    with pytest.raises(Invalid, match="Some answers") as refused:
        merged("{}", {"greeting": f"Good\u20ac{char}"})
    assert f"U+{ord(char):04X}" in refused.value.fields["greeting"]
    assert shown(json.dumps({"greeting": f"Good\u20ac{char}"}))["greeting"] is None


@pytest.mark.parametrize("char", ["\t", "\n", "\xa0", "\xbf", "\xc2", "\ud55c", "\U0001f56f"])
def test_what_a_browser_sends_back_is_taken_and_shown(char: str) -> None:
    assert shown(merged("{}", {"greeting": f"Good{char} day"}))["greeting"] == f"Good{char} day"


def test_all_faults_are_told_at_once_and_old_ones_only_where_they_were_touched() -> None:
    written = '{"temperature": 9, "limits": {"turns": 0}}'
    assert merged(written, {"temperature": "9", "limits.turns": "5"}) == written.replace(": 0", ": 5")
    with pytest.raises(Invalid) as refused:
        merged(written, {"temperature": "8", "limits.turns": "-1", "greeting": "\x07", "tools": "a"})
    assert set(refused.value.fields) == {"temperature", "limits.turns", "greeting"}


@pytest.mark.parametrize(
    "tag", ["auto", "de", "pt-BR", "sr-Latn-RS", "es-419", "de-CH-1996", "en-x-plain", "zh-cmn-Hans-CN", "en-u-ca-gregory"]
)
def test_tags_of_languages(tag: str) -> None:
    refuse_wrong_values(merged("{}", {"language": tag}))


# As JSON


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ('{\n  "a": 1,\n  "temperature": 3\n}', "Line 3, column 18 (temperature): between 0 and 2, for example 0.3."),
        ('{"\\u0074emperature": "0.3"}', "Line 1, column 22 (temperature): between 0"),
        ('{"temperature": true}', "(temperature): between"),
        (
            '{"tools": ["a", 1, 2]}',
            "Line 1, column 17 (tools[1]): write each tool as its name, of at most 100 characters, for example web_search.",
        ),
        ('{"tools": [{"name": "x"}]}', "Line 1, column 12 (tools[0]): write each"),
        ('{"tools": "a"}', "Line 1, column 11 (tools): write a list of names, in square brackets."),
        (f'{{"tools": {["a"] * 51}}}'.replace("'", '"'), "(tools): these are 51; name at most 50."),
        ('{"limits": 3}', "Line 1, column 12 (limits): write an object, in braces."),
        ('{"handover": {"to": 1}}', "Line 1, column 21 (handover.to): write this as text, in double quotes."),
        ('{"language": "German"}', "(language): write auto, or"),
        ('{"limits": {"turns": 1.0}}', "(limits.turns): a whole number from 1 to 1,000"),
        ('{"model": 1,\n "instructions": 2}', "Line 1, column 11 (model): write"),
        ('{"x": {"temperature": 9}, "limits": {"turns": 0}, "temperature": 9}', "Line 1, column 47 (limits.turns): a whole"),
        ('{"temperature": 9, "handover": 1, "greeting": 1}', "Line 1, column 17 (temperature): between"),
    ],
)
def test_a_known_key_that_holds_something_else_is_told_by_its_place(written: str, sentence: str) -> None:
    read_configuration(written)
    with pytest.raises(ValueError, match=r"^Line \d+, column \d+ \(") as fault:
        refuse_wrong_values(written)
    assert sentence in str(fault.value)


@pytest.mark.parametrize(
    "written",
    [
        "{}",
        '{"temperature": 2, "limits": null, "handover": {"hours": 9, "to": null}, "tools": null, "model": "", "language": ""}',
        '{"Temperature": "hot", "x": {"temperature": 9}, "model_config": 1, "limits.turns": "many", "model_dump": []}',
        '{"temperature": 0.0, "limits": {"turns": 1000, "answer_tokens": 200000}, "tools": []}',
    ],
)
def test_what_is_unknown_is_nobodys_business(written: str) -> None:
    refuse_wrong_values(written)


@pytest.mark.parametrize("agent", shipped(), ids=lambda agent: agent.agent_type)
def test_what_comes_with_the_portal_is_in_order(agent: Any) -> None:
    refuse_wrong_values(agent.configuration)
    seen = shown(agent.configuration)
    assert None not in seen.values()
    assert pretty(agent.configuration) == agent.configuration
    result = merged(agent.configuration, {**seen, "temperature": "0.30", "limits.turns": "20", "tools": "calendar\r\nmail"})
    becomes = {**json.loads(agent.configuration), "temperature": 0.3, "tools": ["calendar", "mail"], "limits": {"turns": 20}}
    assert result.replace("0.30", "0.3") == json.dumps(becomes, ensure_ascii=False, indent=2)


def test_the_largest_document_is_changed_like_a_small_one() -> None:
    rest = {f"key {number} ä": ["x" * 20, {"y": number}] for number in range(480)} | {"limits": {"own": 1}}
    deep = '{"d":' * 19 + "1e2" + "}" * 19
    written = json.dumps(rest, ensure_ascii=False)[:-1] + f', "deep": {deep}, "temperature": 1.0, "instructions": "'
    written += "y" * (64 * 1024 - len(written.encode()) - 40) + '"}'
    read_configuration(written)
    result = merged(written, {**shown(written), "temperature": "0.5", "limits.turns": "7"})
    assert result == written.replace("1.0,", "0.5,").replace('"own": 1}', '"own": 1, "turns": 7}')
    refuse_wrong_values(result)
    full = json.dumps({f"key {number}": number for number in range(1_000)})
    with pytest.raises(Invalid) as refused:
        merged(full, {"temperature": "1"})
    assert "(temperature): there are more than 1,000 keys." in refused.value.fields["configuration"]
