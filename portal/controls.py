"""The controls of forms as templates show them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from flask import Flask
from markupsafe import Markup

from portal.rendering import escaped

KINDS = {"PasswordField": "password", "TextAreaField": "textarea", "SelectField": "select"}


class Control(NamedTuple):
    """What a field's control needs: all of it at once, because each look of a template costs."""

    kind: str
    type: str
    id: str
    label: str
    value: str
    refused: str
    attributes: Markup
    help: str | None
    optional: bool
    half: bool
    choices: list[tuple[str, str]] | None
    options: Markup | None


def control(
    field: Any,
    *,
    label: str | None = None,
    help: str | None = None,
    optional: bool = False,
    autocomplete: str | None = None,
    kind: str | None = None,
    type: str | None = None,
    choices: list[tuple[str, str]] | None = None,
    options: Markup | None = None,
    half: bool = False,
    described_by: str = "",
    attributes: dict[str, Any] | None = None,
) -> Control:
    """A field as its page shows it.

    `kind` (input, password, textarea, select), `type` and `label` override what the field itself says; `choices` are (value, label) of
    a select, `options` its options as they are; `half` shares a row with its neighbour, with the help below, so that the controls stay
    level; `attributes` are further attributes: their names come from the templates, their values from anywhere, None leaves one away.
    """
    kind = kind or KINDS.get(field.type, "input")
    id, refused = field.id, " ".join(field.errors)
    described = f"{id}-help" if help else ""
    described += f" {described_by}" if described_by else ""
    described += f" {id}-error" if refused else ""
    all_attributes = {
        "id": id,
        "name": field.name,
        "rows": "3" if kind == "textarea" else None,
        "autocomplete": autocomplete,
        "required": None if optional else "",
        "aria-describedby": described.strip() or None,
        "aria-invalid": "true" if refused else None,
    }
    if attributes:
        all_attributes |= attributes
    return Control(
        kind,
        type or str(getattr(field.widget, "input_type", "text")),
        id,
        label or str(field.label.text),
        field._value() if kind in ("input", "textarea") else "",
        refused,
        Markup("".join([f' {name}="{escaped(value)}"' for name, value in all_attributes.items() if value is not None])),  # noqa: S704
        help,
        optional,
        half,
        choices,
        options,
    )


def options(choices: Iterable[tuple[str, str]], chosen: str | None) -> Markup:
    """The options of a choice: (value, words), the chosen one selected."""
    told = [
        f'<option value="{escaped(value)}"{" selected" if value == chosen else ""}>{escaped(words)}</option>' for value, words in choices
    ]
    return Markup("".join(told))  # noqa: S704  (escaped above)


def options_among(choices: list[tuple[str, str]], typed: str) -> Markup:
    """Options where the value may be a code, a name, or something typed before the list was known: that stays, as what it is."""
    low = typed.lower()
    known = [code for code, name in choices if low in (code.lower(), name.lower())] if typed else [""]
    unknown = [] if known else [(typed, f"{typed} (not in this list)")]
    return options([("", "Choose one"), *unknown, *choices], known[-1] if known else typed)


def hidden_fields(form: Any) -> list[tuple[str, str]]:
    """(name, value) of what a form carries unseen."""
    return [(field.name, field._value()) for field in form if getattr(field.widget, "input_type", "") == "hidden"]


def init_app(app: Flask) -> None:
    looks = (control, hidden_fields, options, options_among)
    app.jinja_env.globals.update({look.__name__: look for look in looks})
