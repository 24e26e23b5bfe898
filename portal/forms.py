"""Forms: WTForms renders them, the pydantic command behind them checks what was typed."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from flask import request
from flask_wtf import FlaskForm
from pydantic import BaseModel, ValidationError
from wtforms import Field, Form, FormField, HiddenField

from portal.errors import Conflict, Invalid


class ModelForm(FlaskForm):
    """A form over a command: its fields bear the command's names, its faults stand beside them."""

    class Meta(FlaskForm.Meta):
        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            """Forms read what forms send; Flask-WTF would take a JSON body too, with values of any type."""
            return request.form if form.is_submitted() else None

    command_type: type[BaseModel]
    command: Any
    result: Any
    conflict: Conflict | None = None

    def context(self) -> dict[str, Any]:
        """What the command's rules need to know besides what was typed."""
        return {}

    def typed(self) -> dict[str, Any]:
        """What stands in the fields that the command knows."""
        return typed(self, self.command_type)

    def validate(self, extra_validators: Mapping[str, Any] | None = None) -> bool:
        valid = bool(super().validate(extra_validators))
        try:
            self.command = self.command_type.model_validate(self.typed(), context=self.context())
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False, include_context=False):
                self.blame([str(part) for part in fault["loc"]], fault["msg"].removeprefix("Value error, "))
            return False
        return valid

    def carry_out(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """True when the form was sent, the command is in order and `act(command, …)` did it; the answer is then in `result`.

        False with `conflict` when somebody else was faster.
        """
        if not self.validate_on_submit():
            return False
        try:
            self.result = act(self.command, *args, **kwargs)
        except Conflict as conflict:
            self.conflict = conflict  # the page shows both sides, with what was typed
            return False
        except Invalid as refusal:
            for name, message in refusal.fields.items():
                self.blame(name.split("."), message)
            if not refusal.fields:
                self.form_errors.append(refusal.message)
            return False
        return True

    def blame(self, location: list[str], message: str) -> None:
        """Put a sentence beside the field it is about, or on top of the form."""
        field = field_at(self, location)
        if field is None:
            self.form_errors.append(message)
        else:
            field.errors = [*field.errors, message]


class CreatingForm(ModelForm):
    """A form that makes something: its nonce lets the same form, sent twice, make it once."""

    nonce = HiddenField(default=lambda: secrets.token_urlsafe(16))


def typed(form: Form, model: type[BaseModel]) -> dict[str, Any]:
    """What stands in the form's fields that the command knows; a field that was not sent is an empty text, a nested form says it itself."""
    values: dict[str, Any] = {}
    for name in model.model_fields:
        field = form._fields.get(name)
        if isinstance(field, FormField):
            values[name] = field.form.typed()
        elif field is not None:
            values[name] = "" if field.data is None else field.data
    return values


def field_at(form: Form, location: list[str]) -> Field | None:
    field = form._fields.get(location[0]) if location else None
    if isinstance(field, FormField):
        inner = field_at(field.form, location[1:])
        return inner if inner is not None else next(iter(field.form._fields.values()), None)
    return field
