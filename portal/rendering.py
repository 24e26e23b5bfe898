"""How templates become pages: what never differs is settled when they are compiled, and what is shown is escaped without a detour."""

import contextvars
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from operator import itemgetter
from types import FunctionType
from typing import Any, cast

from flask import Flask, current_app
from flask.templating import Environment
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, Macro
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, _escape_inner, escape

INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
ALONE = re.compile(r"^(\{(%|#)-?)((?:(?!\2\}).)*\2\})[ \t]*\n", re.MULTILINE | re.DOTALL)  # a statement or comment with a line of its own
CONSTANT = re.compile(r'\b(url_for|static_url)\(("[\w./-]+")\)')


class Preprocessor(Extension):
    """Reads a page's source before Jinja does.

    Indentation, and lines that hold nothing but a statement, stand in it for its readers only: to HTML any run of white space is one.
    (What a <textarea> holds comes from values, not from a source.) Lines keep their numbers.
    An address without a variable part is the same on every page: as a filter of a constant, Jinja works it out while compiling.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        source = CONSTANT.sub(r"(\2|\1)", source)
        return ALONE.sub(r"\1\n\3", INDENTATION.sub("", source)) if (name or "").endswith(".html") else source

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        if not (stream.name or "").endswith(".html"):
            return stream
        return (token._replace(value=plain(token.value)) if token.type == "data" else token for token in stream)


class Writer(CodeGenerator):
    """Compiles `{{ … }}` to `escaped`; what Jinja itself writes makes a Markup of each part, only to join it to the page.

    Parts that follow each other leave together: each would pass through all the layouts of its page.
    """

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("escaped, together = environment.escaped, environment.together")

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        alone = frame.buffer is not None or len(node.nodes) == 1
        frame.buffer = frame.buffer if alone else "yield together"  # so that Jinja writes yield together.extend((…))
        super().visit_Output(node, frame)
        frame.buffer = frame.buffer if alone else None

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.autoescape and not frame.eval_ctx.volatile and finalize.src is None:
            self.write("escaped(")
        else:
            super()._output_child_pre(node, frame, finalize)


class Together:
    """What `Writer` takes for a list that parts are put into: Jinja writes `yield together.extend((…))`, and one text leaves."""

    append = staticmethod(str)
    extend = staticmethod("".join)


class Inliner(NodeTransformer):
    """Puts what a page includes by name into it, as if it had been written there: an include costs more than most parts themselves."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def visit_Include(self, node: nodes.Include) -> nodes.Node:
        if not isinstance(node.template, nodes.Const) or node.ignore_missing or not node.with_context:
            return node
        loader = self.environment.loader
        assert loader is not None
        source, filename, _ = loader.get_source(self.environment, node.template.value)
        part = self.visit(self.environment.parse(source, node.template.value, filename))
        return nodes.Scope(part.body).set_lineno(node.lineno, override=True)


def plain(html: str) -> str:
    """HTML with references in place of all that is not ASCII: one “ makes Python keep a whole page in two bytes a letter."""
    return html.encode("ascii", "xmlcharrefreplace").decode("ascii")


def escaped(shown: Any) -> str:
    """As markupsafe's `escape`, for what is about to be joined: there a third of a page's time went into Markup objects."""
    if type(shown) is str:
        return _escape_inner(shown)
    return shown if type(shown) is Markup else escape(shown)


class Placeholder(Markup):
    """Stands where the text of a cell will. A template may show it and nothing else: what it decides depends on the kind."""

    def __bool__(self, *other: object) -> bool:
        raise TypeError("Such a template decides by the kind, not by the cells.")

    __eq__ = __ne__ = __len__ = __iter__ = __bool__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


PLACEHOLDER = re.compile("\0([0-9]+)\0")


def drawn(template: str, kind: Any, cells: Any) -> Markup:
    """A part of a page: `template` is rendered once for each kind, and the cells, escaped, are put into that.

    Two named tuples, which the template sees as `kind` and `cells`; cells are texts. A kind is kept with its pattern (1,024 of all, the
    least used goes first) and is told from others by equality: hashable, no Markup made of what people type, nothing of a person.
    """
    return Markup(_patterns()(template, kind, type(cells))(cells))  # noqa: S704  (escaped cell by cell)


def rows_of(template: str, rows: Iterable[tuple[Any, Any]]) -> Markup:
    """The rows of a table, each (kind, cells), as `drawn` draws them; a page has dozens of rows, of a few kinds."""
    pattern = _patterns()
    return Markup("".join([pattern(template, kind, type(cells))(cells) for kind, cells in rows]))  # noqa: S704


def _patterns() -> Callable[[str, Any, Any], Callable[[Any], str]]:
    return cast(Templates, current_app.jinja_env).pattern


class Calls(Context):
    """Calls macros and plain functions, which are nearly all that is called, without first asking what else they might be."""

    def call(self, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        if type(called) is Macro:
            args = (self.eval_ctx, *args)
        elif type(called) is not FunctionType or hasattr(called, "jinja_pass_arg"):
            return super().call(called, *args, **kwargs)
        kwargs.pop("_block_vars", None)
        kwargs.pop("_loop_vars", None)
        return called(*args, **kwargs)


class Templates(Environment):
    """Flask's templates, written by `Writer`.

    What every template may use is one dictionary; Jinja makes a chain of two for each template, and looks through it at every import.
    """

    code_generator_class = Writer
    context_class = Calls
    escaped = staticmethod(escaped)
    together = Together

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pattern: Callable[[str, Any, Any], Callable[[Any], str]] = lru_cache(maxsize=1024)(self._pattern)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return str(super()._generate(Inliner(self).visit(source), *args, **kwargs))

    def _pattern(self, template: str, kind: Any, cells_type: Any) -> Callable[[Any], str]:
        """What fills in a part of this kind, escaping those cells that it shows.

        Rendered away from any request: a pattern knows nothing of whoever asks first.
        """
        placeholders = cells_type._make(Placeholder(f"\0{number}\0") for number in range(len(cells_type._fields)))
        html = contextvars.Context().run(self.get_template(template).render, kind=kind, cells=placeholders)
        texts, shown = [plain(text) for text in PLACEHOLDER.split(html)[::2]], list(map(int, PLACEHOLDER.findall(html)))
        if not shown:
            return lambda _: texts[0]
        used = sorted(set(shown))  # cells that are escaped, each once
        order = [place for at, number in enumerate(shown) for place in (at, len(texts) + used.index(number))]
        put = itemgetter(*order, len(texts) - 1)  # text, cell, text, …

        def fill(cells: Any) -> str:
            filled = "".join(put((*texts, *[escaped(cells[number]) for number in used])))
            return filled if filled.isascii() else plain(filled)

        return fill

    def make_globals(self, d: Any) -> Any:
        return self.globals if not d else super().make_globals(d)


def init_app(app: Flask) -> None:
    app.jinja_env.add_extension(Preprocessor)
    app.jinja_env.filters["url_for"] = cache(app.url_map.bind("").build)
    app.jinja_env.globals.update(drawn=drawn, rows_of=rows_of)
