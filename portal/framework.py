"""Flask as the portal uses it."""

import re
from binascii import a2b_qp
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from flask import Flask, Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.routing import Rule

from portal.rendering import Templates
from portal.signing import Sessions

AS_QUOTED_PRINTABLE = bytes.maketrans(b"+%", b" =")
STRAY = re.compile(rb"%(?![0-9A-Fa-f]{2})")
MOST_FIELDS = 5_000  # of a form that is no multipart; the largest names 1,000 accounts


class FormParser(FormDataParser):
    """Werkzeug's, which takes each encoded sign of a document by itself: here a field is decoded at once, and what is no UTF-8 is U+FFFD.

    Raises RequestEntityTooLarge for more than MOST_FIELDS: werkzeug would take seconds for a body of nothing but empty ones.
    """

    def _parse_urlencoded(self, stream: Any, *how: Any) -> Any:
        sent = stream.read()
        if sent.count(b"&") >= MOST_FIELDS:
            raise RequestEntityTooLarge
        fields = [field.partition(b"=") for field in sent.split(b"&") if field]
        return stream, self.cls([(_decoded(name), _decoded(value)) for name, _, value in fields]), self.cls()


def _decoded(sent: bytes) -> str:
    """What an encoded text says. Read as quoted-printable, which differs from it in two signs, and in what a % means that begins none."""
    plain = a2b_qp(_quoted(sent))
    if len(plain) != len(sent) - 2 * sent.count(b"%") or b"\n" in sent or b"\r" in sent:
        plain = a2b_qp(_quoted(STRAY.sub(b"%25", sent)))
    return plain.decode(errors="replace")


def _quoted(sent: bytes) -> bytes:
    return sent.replace(b"=", b"=3D").translate(AS_QUOTED_PRINTABLE)


class PortalRequest(Request):
    form_data_parser_class = FormParser


class Door(Rule):
    """Werkzeug's, which writes a function for each address and compiles it, twice: here this waits until a page leads there."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled = cache(lambda: super(Door, self)._compile_builder(append_unknown))
        return lambda rule, /, **values: compiled()(rule, **values)


class Portal(Flask):
    """Flask with our templates and our cookies; none of its functions is a coroutine, so it need not look at each at every call."""

    jinja_environment = Templates
    session_interface = Sessions()
    request_class = PortalRequest
    url_rule_class = Door

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


@contextmanager
def unhooked(app: Flask) -> Iterator[None]:
    """Leave out again what an extension puts around every request and into every template: the portal asks it where it must."""
    hooks: tuple[Any, ...] = (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.template_context_processors,
    )
    kept = [list(hook[None]) for hook in hooks]
    yield
    for hook, was in zip(hooks, kept, strict=True):
        hook[None] = was
