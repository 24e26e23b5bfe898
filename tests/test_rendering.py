"""What portal.rendering does to templates changes nothing that a reader sees."""

from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, render_template, render_template_string
from jinja2 import ChoiceLoader, DictLoader

from portal.rendering import rows_of

Kind, Cells = namedtuple("Kind", "mark"), namedtuple("Cells", "id name")
Write = Callable[..., None]


@pytest.fixture
def write(app: Flask) -> Iterator[Write]:
    """Further templates, by their names without the ending."""
    environment, written = app.jinja_env, dict[str, str]()
    before, environment.loader = (
        environment.loader,
        ChoiceLoader([DictLoader(written), *([environment.loader] if environment.loader else [])]),
    )

    def templates(**sources: str) -> None:
        written.update({f"{name}.html": source for name, source in sources.items()})

    with app.test_request_context("/"):
        yield templates
    environment.loader = before
    environment.pattern.cache_clear()  # type: ignore[attr-defined]
    if environment.cache is not None:
        environment.cache.clear()


def test_a_part_sees_what_its_page_sees_and_leaves_nothing_behind(write: Write) -> None:
    write(
        part="{% set word = word|upper %}{{ word }}{{ loop.index }}{% if odd is defined %}!{% endif %}",
        whole="{% set word = 'page' %}{% for word in words %}{% with odd = 1 %}{% include 'part.html' %}{% endwith %} {% endfor %}{{ word }}{{ odd is defined }}",
    )
    assert render_template("whole.html", words=["a", "<b>"]) == "A1! &lt;B&gt;2! pageFalse"


def test_a_part_within_a_part_and_one_that_imports(write: Write) -> None:
    write(
        macros="{% macro strong(text) %}<b>{{ text }}</b>{% endmacro %}",
        inner="{% from 'macros.html' import strong %}{{ strong(name) }}",
        outer="({% include 'inner.html' %})",
        page="{% extends 'layout.html' %}{% block main %}{% include 'outer.html' %}{% endblock %}",
        layout="<main>{% block main %}{% endblock %}</main>",
    )
    assert render_template("page.html", name="<Ó>") == "<main>(<b>&lt;Ó&gt;</b>)</main>"


def test_a_part_that_is_chosen_while_drawing_is_one_still(write: Write) -> None:
    write(one="1{{ name }}", two="2{{ name }}", page="{% include which %}")
    assert [render_template("page.html", which=which, name="&") for which in ("one.html", "two.html")] == ["1&amp;", "2&amp;"]


def test_letters_of_the_source_leave_as_references_and_those_of_values_as_they_are(write: Write) -> None:
    write(page="<p>“{{ name }}” … {{ 'né' }}</p>")
    assert render_template("page.html", name="“ó”") == "<p>&#8220;“ó”&#8221; &#8230; né</p>"
    assert render_template_string("“{{ name }}”", name="…") == "“…”"  # a text, or a mail's


def test_rows_are_drawn_once_a_kind_and_every_cell_is_escaped(app: Flask, write: Write) -> None:
    write(row="<tr class='{{ kind.mark }}{x}'>{{ cells.name }}|{{ cells.id }}|{{ cells.name }}%s\\1</tr>")
    rows = [(Kind(mark), Cells(str(number), name)) for mark in ("a", "b") for number, name in enumerate(("{0}", "<i>", "Ó “", "\0001\0"))]
    environment: Any = app.jinja_env
    environment.pattern.cache_clear()
    told = rows_of("row.html", rows)
    assert environment.pattern.cache_info().misses == 2
    names = ("{0}", "&lt;i&gt;", "&#211; &#8220;", "\0001\0")
    assert told == "".join(f"<tr class='{mark}{{x}}'>{name}|{n}|{name}%s\\1</tr>" for mark in ("a", "b") for n, name in enumerate(names))


@pytest.mark.parametrize(
    "decides", ["{% if cells.name %}x{% endif %}", "{{ 'x' if cells.name == 'y' }}", "{{ cells.name or 'x' }}", "{{ cells.name|length }}"]
)
def test_a_row_cannot_decide_by_its_cells(write: Write, decides: str) -> None:
    write(row=decides)
    with pytest.raises(TypeError, match="by the kind"):
        rows_of("row.html", [(Kind("a"), Cells("1", ""))])


@pytest.mark.parametrize("asks", ["{{ csrf_token() }}", "{{ request.path }}", "{{ session.get('x') }}", "{{ frame() }}"])
def test_a_pattern_knows_nothing_of_whoever_asks_first(write: Write, asks: str) -> None:
    write(row=asks)
    with pytest.raises(RuntimeError, match="context"):
        rows_of("row.html", [(Kind("a"), Cells("1", ""))])
