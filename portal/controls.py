"""The controls of forms as templates show them."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Flask
from markupsafe import Markup

from portal.rendering import drawn, escaped

ELEMENTS = {"PasswordField": "password", "TextAreaField": "textarea", "SelectField": "select"}


class Control(NamedTuple):
    """How a field looks, whatever stands in it: components/_field.html is rendered once for each, and that is kept."""

    element: str
    type: str
    id: str
    label: str
    attributes: Markup
    helped: bool
    optional: bool
    half: bool
    refused: bool


class Held(NamedTuple):
    """What stands in it; `options` and `more` are HTML already, the others are escaped."""

    value: str
    options: Markup | str
    help: str
    refused: str
    more: Markup | str


def field(
    field: Any,
    *,
    label: str | None = None,
    help: str | None = None,
    optional: bool = False,
    autocomplete: str | None = None,
    element: str | None = None,
    type: str | None = None,
    choices: list[tuple[str, str]] | None = None,
    options: Markup | None = None,
    half: bool = False,
    described_by: str = "",
    attributes: dict[str, Any] | None = None,
    caller: Callable[[], str] | None = None,
) -> Markup:
    """A control with its label, help and error sentence, for a WTForms field of text or a choice; what its caller writes stands under it.

    `element` (input, password, textarea, select), `type` and `label` override what the field itself says; `choices` are (value, label)
    of a select, `options` its options as they are; `half` shares a row with its neighbour, with the help below, so that the controls stay
    level; `attributes` are further attributes, None leaves one away. Labels and attributes make a pattern that is kept: they are few, and
    nothing of a person. The macro `radios` draws a choice of a few; checkboxes and files are written by hand.
    """
    refused = " ".join(field.errors)
    control = _control(
        field.id,
        field.name,
        element=element or ELEMENTS.get(field.type, "input"),
        type=type or getattr(field.widget, "input_type", "text"),
        label=label or field.label.text,
        helped=bool(help),
        optional=optional,
        autocomplete=autocomplete,
        half=half,
        described_by=described_by,
        refused=bool(refused),
        attributes=tuple([(name, None if value is None else str(value)) for name, value in attributes.items()]) if attributes else (),
    )
    value = field._value() if control.element in ("input", "textarea") else ""
    if control.element == "select":
        options = options or (options_among(choices, field.data or "") if choices else _options_of(field))
    return drawn("components/_field.html", control, Held(value, options or "", help or "", refused, caller() if caller else ""))


@lru_cache(maxsize=1024)
def _control(
    id: str,
    name: str,
    *,
    element: str,
    type: str,
    label: str,
    helped: bool,
    optional: bool,
    autocomplete: str | None,
    half: bool,
    described_by: str,
    refused: bool,
    attributes: tuple[tuple[str, str | None], ...],
) -> Control:
    described = [f"{id}-help" if helped else "", described_by, f"{id}-error" if refused else ""]
    all_attributes = {
        "id": id,
        "name": name,
        "rows": "3" if element == "textarea" else None,
        "autocomplete": autocomplete,
        "required": None if optional else "",
        "aria-describedby": " ".join(filter(None, described)) or None,
        "aria-invalid": "true" if refused else None,
        **dict(attributes),
    }
    written = "".join([f' {name}="{escaped(value)}"' for name, value in all_attributes.items() if value is not None])
    return Control(element, type, id, label, Markup(written), helped, optional, half, refused)  # noqa: S704  (escaped above)


def options(choices: Iterable[tuple[str, str]], chosen: str | None) -> Markup:
    """The options of a choice: (value, words), the chosen one selected."""
    return _written((value, words, value == chosen) for value, words in choices)


def options_among(choices: list[tuple[str, str]], typed: str) -> Markup:
    """Options where the value may be a code, a name, or something typed before the list was known: that stays, as what it is."""
    low = typed.lower()
    known = [code for code, name in choices if low in (code.lower(), name.lower())] if typed else [""]
    unknown = [] if known else [(typed, f"{typed} (not in this list)")]
    return options([("", "Choose one"), *unknown, *choices], known[-1] if known else typed)


def _options_of(field: Any) -> Markup:
    """The options that a select of WTForms has by itself."""
    return _written((value, words, chosen) for value, words, chosen, *_ in field.iter_choices())


def _written(choices: Iterable[tuple[str, str, bool]]) -> Markup:
    told = [
        f'<option value="{escaped(value)}"{" selected" if chosen else ""}>{escaped(words)}</option>' for value, words, chosen in choices
    ]
    return Markup("".join(told))  # noqa: S704  (escaped above)


def hidden_fields(form: Any) -> list[tuple[str, str]]:
    """(name, value) of what a form carries unseen."""
    return [(field.name, field._value()) for field in form if getattr(field.widget, "input_type", "") == "hidden"]


def init_app(app: Flask) -> None:
    looks = (field, hidden_fields, options)
    app.jinja_env.globals.update({look.__name__: look for look in looks})
