"""How templates become pages: their indentation stays here, and addresses that never differ are built once."""

import re
from typing import Any

from flask import Flask
from flask.globals import request_ctx
from flask.templating import Environment
from jinja2.ext import Extension

INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
ALONE = re.compile(r"^(\{(%|#)-?)((?:(?!\2\}).)*\2\})[ \t]*\n", re.MULTILINE | re.DOTALL)  # a statement or comment with a line of its own


class Outdented(Extension):
    """Takes out what stands in a page's source for its readers only: indentation, and lines that hold nothing but a statement.

    To HTML any run of white space is one; what a <textarea> holds comes from values, not from a source. Lines keep their numbers.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        if not (name or "").endswith(".html"):
            return source
        return ALONE.sub(r"\1\n\3", INDENTATION.sub("", source))


class Templates(Environment):
    """One dictionary of what every template may use; Jinja makes a chain of two for each and looks through it at every import."""

    def make_globals(self, d: Any) -> Any:
        return self.globals if not d else super().make_globals(d)


class Addresses:
    """`url_for` of templates, which are asked for the same few doors on every page."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.known: dict[str, str] = {}

    def __call__(self, endpoint: str, **values: Any) -> str:
        context: Any = request_ctx._get_current_object() if request_ctx else None  # type: ignore[attr-defined]
        if values or context is None or context.url_adapter is None or context.url_adapter.script_name != "/":
            return self.app.url_for(endpoint, **values)
        found = self.known.get(endpoint)
        if found is None:
            found = self.known[endpoint] = self.app.url_for(endpoint)
        return found


def init_app(app: Flask) -> None:
    app.jinja_env.add_extension(Outdented)
    app.jinja_env.globals["url_for"] = Addresses(app)
