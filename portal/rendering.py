"""How templates become pages: what never differs is settled when they are compiled, and what is shown is escaped without a detour."""

import re
from typing import Any

from flask import Flask
from flask.templating import Environment
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from markupsafe import Markup, _escape_inner, escape

INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
ALONE = re.compile(r"^(\{(%|#)-?)((?:(?!\2\}).)*\2\})[ \t]*\n", re.MULTILINE | re.DOTALL)  # a statement or comment with a line of its own
CONSTANT = re.compile(r'\b(url_for|static_url)\(("[\w./-]+")\)')


class Settled(Extension):
    """Reads a page's source before Jinja does.

    Indentation, and lines that hold nothing but a statement, stand in it for its readers only: to HTML any run of white space is one.
    (What a <textarea> holds comes from values, not from a source.) Lines keep their numbers.
    An address without a variable part is the same on every page: as a filter of a constant, Jinja works it out while compiling.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        source = CONSTANT.sub(r"(\2|\1)", source)
        return ALONE.sub(r"\1\n\3", INDENTATION.sub("", source)) if (name or "").endswith(".html") else source


class Writer(CodeGenerator):
    """Compiles `{{ … }}` to `escaped`; what Jinja itself writes makes a Markup of each part, only to join it to the page."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.autoescape and not frame.eval_ctx.volatile and finalize.src is None:
            self.write("environment.escaped(")
        else:
            super()._output_child_pre(node, frame, finalize)


def escaped(shown: Any) -> str:
    """As markupsafe's `escape`, for what is about to be joined: there a third of a page's time went into Markup objects."""
    if type(shown) is str:
        return _escape_inner(shown)
    return shown if type(shown) is Markup else escape(shown)


def control(kind: str, field: Any, *, help: Any, optional: Any, autocomplete: Any, described_by: str, more: dict[str, Any]) -> Markup:
    """The attributes of a form's control: those of its field, then what the page says `more`; None leaves one away.

    Names come from the templates, values from anywhere.
    """
    described = (f"{field.id}-help" if help else "", described_by, f"{field.id}-error" if field.errors else "")
    given = {
        "id": field.id,
        "name": field.name,
        "rows": 3 if kind == "textarea" else None,
        "autocomplete": autocomplete,
        "required": None if optional else "",
        "aria-describedby": " ".join(filter(None, described)) or None,
        "aria-invalid": "true" if field.errors else None,
        **more,
    }
    return Markup("".join(f' {name}="{escaped(value)}"' for name, value in given.items() if value is not None))  # noqa: S704


class Templates(Environment):
    """Flask's templates, written by `Writer`.

    What every template may use is one dictionary; Jinja makes a chain of two for each template, and looks through it at every import.
    """

    code_generator_class = Writer
    escaped = staticmethod(escaped)

    def make_globals(self, d: Any) -> Any:
        return self.globals if not d else super().make_globals(d)


def init_app(app: Flask) -> None:
    app.jinja_env.add_extension(Settled)
    app.jinja_env.filters["url_for"] = app.url_map.bind("").build
    app.jinja_env.globals["control"] = control
