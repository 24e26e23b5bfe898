"""Flask as the portal uses it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from flask import Flask, Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from portal.rendering import Templates
from portal.signing import Sessions

# What documents are full of, as forms send it. None of it stands between fields, and none reads on as part of another sign.
OFTEN_SENT = {b"%22": b'"', b"%2C": b",", b"%3A": b":", b"%0D%0A": b"\r\n"}
MOST_FIELDS = 5_000  # of a form that is no multipart; the largest names 1,000 accounts


class FormParser(FormDataParser):
    """Werkzeug's, which takes each encoded sign by itself: the most usual ones are put back before it, all of a kind at once.

    Raises RequestEntityTooLarge for more than MOST_FIELDS: werkzeug would take seconds for a body of nothing but empty ones.
    """

    def _parse_urlencoded(self, stream: Any, *how: Any) -> Any:
        sent = stream.read()
        if sent.count(b"&") >= MOST_FIELDS:
            raise RequestEntityTooLarge
        for encoded, sign in OFTEN_SENT.items():
            sent = sent.replace(encoded, sign)
        return super()._parse_urlencoded(BytesIO(sent), *how)


class PortalRequest(Request):
    form_data_parser_class = FormParser


class Portal(Flask):
    """Flask with our templates and our cookies; none of its functions is a coroutine, so it need not look at each at every call."""

    jinja_environment = Templates
    session_interface = Sessions()
    request_class = PortalRequest

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
