"""What portal.rendering does to templates changes nothing that a reader sees."""

import errno
import os
import shutil
import tempfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template, render_template_string
from jinja2 import ChoiceLoader, DictLoader
from jinja2.bccache import bc_magic

from portal import compiled, create_app
from portal.extensions import db
from portal.rendering import Templates, drawn, rows_of
from portal.testing import Browser

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


def test_a_pattern_shows_each_cell_where_it_stands_and_none_where_none_does(write: Write) -> None:
    write(none="<b>…{{ kind.mark }}</b>", one="{{ cells.name }}", twice="{{ cells.name }}-{{ cells.id }}-{{ cells.name }}")
    cells = Cells("<1>", "Zoë")
    shown = {name: str(drawn(f"{name}.html", Kind("é"), cells)) for name in ("none", "one", "twice")}
    assert shown == {"none": "<b>&#8230;&#233;</b>", "one": "Zo&#235;", "twice": "Zo&#235;-&lt;1&gt;-Zo&#235;"}


def test_two_who_see_the_same_frame_are_each_told_of_themselves(app: Flask, cast: Any) -> None:
    """One pattern serves all who have a role, a theme and a door in common, whatever organization they are of."""
    people = [cast.acme.admin, cast.acme.admin2, cast.globex.admin]
    browsers = [Browser(app).sign_in(person) for person in people]
    for _ in range(2):
        pages = [browser.get("agents.index") for browser in browsers]
        tokens = {str(token["value"]) for page in pages for token in page.select(".topbar [name=csrf_token]")}
        assert len(tokens) == len(people)
        for person, page in zip(people, pages, strict=True):
            frame = page.select_one(".topbar").get_text(" ", strip=True)
            assert all((other.email in frame) == (other is person) for other in people)
    addresses = [
        browser.get("agents.index", q=word).select_one(".topbar [name=next]")["value"]
        for browser, word in zip(browsers[:2], "ab", strict=True)
    ]
    assert addresses == ["/agents?q=a", "/agents?q=b"]


@pytest.mark.parametrize("asks", ["{{ csrf_token() }}", "{{ request.path }}", "{{ session.get('x') }}", "{{ frame() }}"])
def test_a_pattern_knows_nothing_of_whoever_asks_first(write: Write, asks: str) -> None:
    write(row=asks)
    with pytest.raises(RuntimeError, match="context"):
        rows_of("row.html", [(Kind("a"), Cells("1", ""))])


# What templates were compiled to, kept from one start to the next


@pytest.fixture
def start(cluster: Any, database: str, tmp_path: Path) -> Iterator[Callable[[], Browser]]:
    """The portal over an instance, as another process would load it."""
    apps = []

    def started() -> Browser:
        apps.append(create_app(cluster.settings(database, tmp_path)))
        return Browser(apps[-1])

    yield started
    for app in apps:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


def test_what_was_compiled_once_is_not_compiled_at_the_next_start(
    start: Callable[[], Browser], cast: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start().get("/sign-in")
    kept = list((tmp_path / "compiled").glob("*/*"))
    assert len(kept) >= 3
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}

    def compile_again(*_: Any, **__: Any) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(Templates, "compile", compile_again)
    assert start().get("/sign-in").text == first.text


def test_another_source_is_compiled_anew_and_what_was_kept_of_the_old_goes(
    start: Callable[[], Browser], cast: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start().get("/sign-in")
    [before] = (tmp_path / "compiled").iterdir()
    one, packages = tmp_path / "source" / "within" / "one.html", tmp_path / "packages"
    one.parent.mkdir(parents=True)
    packages.touch()
    (one.parent / ".#one.html").symlink_to("nowhere")  # as an editor leaves it while it has a file open
    monkeypatch.setattr(compiled, "FOLDERS", (*compiled.FOLDERS, tmp_path / "source"))
    monkeypatch.setattr(compiled, "PACKAGES", packages)
    assert compiled.digest_of_sources("a") != compiled.digest_of_sources("b")
    digests = {before.name, compiled.digest_of_sources("a")}
    for path in (one, packages):
        for content in "12":
            path.write_text(content)
            os.utime(path, (1, 1))
            digests.add(compiled.digest_of_sources("a"))
    assert len(digests) == 6
    start().get("/sign-in")
    [after] = (tmp_path / "compiled").iterdir()
    assert after != before
    assert list(after.iterdir())


@pytest.mark.parametrize("damage", [b"", b"j2", b"\0" * 4_000, bc_magic, bc_magic + b"\x80", 0.5, 0.9], ids=str)
def test_a_damaged_copy_is_made_anew(start: Callable[[], Browser], cast: Any, tmp_path: Path, damage: bytes | float) -> None:
    start().get("/sign-in")
    whole = {path: path.read_bytes() for path in (tmp_path / "compiled").glob("*/*")}
    for path, content in whole.items():
        path.write_bytes(damage if isinstance(damage, bytes) else content[: int(len(content) * damage)])
    start().get("/sign-in")
    assert {path: len(path.read_bytes()) for path in whole} == {path: len(content) for path, content in whole.items()}


def test_a_full_disk_keeps_nobody_from_a_page(
    start: Callable[[], Browser], cast: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    browser = start()
    with monkeypatch.context() as disk:
        disk.setattr(tempfile, "NamedTemporaryFile", full)
        browser.get("/sign-in")
    assert not list((tmp_path / "compiled").glob("*/*"))
    shutil.rmtree(tmp_path / "compiled")
    with monkeypatch.context() as disk:
        disk.setattr(os, "mkdir", full)
        compiled.init_app(browser.app, tmp_path)
    assert not (tmp_path / "compiled").exists()


def test_code_is_taken_only_from_where_nobody_else_can_write(start: Callable[[], Browser], cast: Any, tmp_path: Path) -> None:
    browser = start()
    environment = browser.app.jinja_env
    [kept] = (tmp_path / "compiled").iterdir()

    def uses() -> bool:
        environment.bytecode_cache = None
        compiled.init_app(browser.app, tmp_path)
        return environment.bytecode_cache is not None

    assert uses()
    for folder in (tmp_path, kept.parent, kept):
        for open_to in (0o720, 0o702, 0o777):
            folder.chmod(open_to)
            assert not uses(), (folder, oct(open_to))
        folder.chmod(0o700)
        assert uses()
    for folder in (kept, kept.parent):
        folder.rename(tmp_path / "laid")
        folder.symlink_to(tmp_path / "laid")
        assert not uses(), folder
        folder.unlink()
        (tmp_path / "laid").rename(folder)
        assert uses()


def test_nothing_of_another_account_is_used_or_deleted(
    start: Callable[[], Browser], cast: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where root runs a command, the serving account could have laid a link there, or code to be run."""
    browser = start()
    stale = tmp_path / "compiled" / "of-another-day"
    stale.mkdir()
    with monkeypatch.context() as root:
        root.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        browser.app.jinja_env.bytecode_cache = None
        compiled.init_app(browser.app, tmp_path)
        assert browser.app.jinja_env.bytecode_cache is None
    assert stale.exists()
    compiled.init_app(browser.app, tmp_path)
    assert not stale.exists()
