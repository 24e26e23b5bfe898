"""Flask as the portal uses it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

from portal.rendering import Templates
from portal.signing import Sessions


class Portal(Flask):
    """Flask with our templates and our cookies; none of its functions is a coroutine, so it need not look at each at every call."""

    jinja_environment = Templates
    session_interface = Sessions()

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
