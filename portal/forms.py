"""Forms: WTForms renders them, the pydantic command behind them checks what was typed."""

import json
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from types import FunctionType
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from flask import request
from flask_wtf import FlaskForm
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict
from wtforms import Field, Form, FormField, HiddenField, PasswordField
from wtforms.fields.core import Label
from wtforms.meta import DefaultMeta

from portal.errors import Conflict, Invalid, faults_of
from portal.values import fingerprint

Command = TypeVar("Command", bound=BaseModel)
AS_SENT: Any = object()  # what the request sent


class FieldsMadeOnce(DefaultMeta):
    """WTForms works out for each form what its class says of its fields; here that is worked out once, and kept in a field's own class.

    So attributes of a field are set, never changed in place (`field.render_kw[…] = …`, `field.choices.append(…)`): the next request would
    see it. A field's __init__ sees no form. Form classes are made once, or kept: for each field of each class one is kept here.
    """

    def bind_field(self, form: Any, unbound_field: Any, options: Any) -> Any:
        own = _own_class(unbound_field, options["name"], options["prefix"])
        field = object.__new__(own)
        field._form, field.meta, field.label = form, self, Label(own.id, own.label.text)
        return field


@cache
def _own_class(unbound_field: Any, name: str, prefix: str) -> Any:
    """Its attributes are what WTForms gives to each field that it makes of this one."""
    made = unbound_field.bind(None, name, prefix, _meta=DefaultMeta())
    given = {key: staticmethod(value) if isinstance(value, FunctionType) else value for key, value in vars(made).items()}
    return type(type(made).__name__, (type(made),), given)


class NestedForm(Form):
    """A form within a form, as the address is."""

    Meta = FieldsMadeOnce


class ModelForm(FlaskForm):
    """A form over a command: its fields bear the command's names, its faults stand beside them.

    Its token was looked at with the request, as that of all that is unsafe; pages write it with the macro `hidden`, where a form has
    nothing else by hand.
    """

    class Meta(FieldsMadeOnce, FlaskForm.Meta):
        csrf = False

    command_type: type[BaseModel]
    command: Any
    result: Any
    shows_conflicts = False  # whether its page has words for somebody who was faster; else that is a page of its own
    conflict: Conflict | None = None

    def __init__(self, formdata: Any = AS_SENT, *, data: Mapping[str, Any] | None = None) -> None:
        """`data` is what the form shows before it is sent; of a form that was sent, only what was sent counts.

        What is shown beside a form that was sent takes nothing from it: `formdata=None`.
        """
        self._sent = request.method == "POST"
        if formdata is AS_SENT:
            formdata, data = (request.form, None) if self._sent else (None, data)
        super().__init__(formdata=formdata, data=data)

    def is_submitted(self) -> bool:
        return self._sent

    def fill(self, typed: Mapping[str, str]) -> None:
        """Show what was typed before, as if it had just been sent; a field that is not among it shows what it showed."""
        super().process(MultiDict(typed), data=self.data)

    def context(self) -> dict[str, Any]:
        """What the command's rules need to know besides what was typed: pydantic's context, and each command says what it may hold."""
        return {}

    def typed(self) -> dict[str, Any]:
        """What stands in the fields that the command knows."""
        return typed(self, self.command_type)

    def validate(self, extra_validators: Mapping[str, Any] | None = None) -> bool:
        """Whether the command is in order; it is then in `command`, else the faults stand beside their fields."""
        valid = bool(super().validate(extra_validators))
        try:
            self.command = self.command_type.model_validate(self.typed(), context=self.context())
        except ValidationError as error:
            for location, sentence in faults_of(error):
                self.blame(location, sentence)
            return False
        return valid

    def carry_out(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """True when the form was sent, the command is in order and `act(command, …)` did it; the answer is then in `result`.

        False with `conflict` when somebody else was faster and the page shows it; else Conflict is raised on.
        """
        if not self.validate_on_submit():
            return False
        try:
            self.result = act(self.command, *args, **kwargs)
        except Conflict as conflict:
            if not self.shows_conflicts:
                raise
            self.conflict = conflict
            return False
        except Invalid as refusal:
            for name, message in refusal.fields.items():
                self.blame(name.split("."), message)
            if not refusal.fields:
                self.form_errors.append(refusal.message)
            return False
        return True

    @property
    def status(self) -> int:
        """Of the page that shows this form: 200 until it is sent, then 409 where somebody else was faster, else 422."""
        return 409 if self.conflict else 422 if self.is_submitted() else 200

    def blame(self, location: list[str], message: str) -> None:
        """Put a sentence beside the field it is about, or on top of the form."""
        field = field_at(self, location)
        if field is None:
            self.form_errors.append(message)
        else:
            field.errors = [*field.errors, message]


class CreatingForm(ModelForm):
    """A form that makes something: its nonce lets the same form, sent twice, make it once."""

    shows_conflicts = True
    nonce = HiddenField(default=lambda: secrets.token_urlsafe(16))


class ConfirmingForm(ModelForm):
    """A form for what hurts, whose command is a `Confirmed`: the page asks for the password where it was not typed a moment ago."""

    password = PasswordField("Your password")


class EditingForm(ModelForm):
    """A form over what others may change too; when somebody else was faster, nothing that was typed is lost.

    `version` is the one that the person saw, `seen` a digest of every field as it was shown. After a conflict, fields that she left
    alone have taken the newer value (`taken_over`), and those that both changed (`clashes`) keep her typing, for the page to show
    beside what stands in the form `newer`.
    """

    shows_conflicts = True
    version = HiddenField()
    seen = HiddenField()
    newer: Any = None
    clashes: list[str] = []
    taken_over: list[str] = []

    def __init__(self, formdata: Any = AS_SENT, *, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(formdata=formdata, data=data)
        if not self.is_submitted():
            self.seen.data = json.dumps(self.digests())

    def digests(self) -> dict[str, str]:
        """A short digest of what stands in each field of the command; line breaks and empty parts count for nothing."""
        names = [name for name in self.command_type.model_fields if name != "version" and name in self._fields]
        return {name: fingerprint(json.dumps(_plain(self._fields[name].data))).hex()[:12] for name in names}

    def carry_out(self, act: Callable[..., Any], *args: Any, now: Callable[[], dict[str, Any]] | None = None, **kwargs: Any) -> bool:
        """As ModelForm's; `now()` tells, after a conflict, what is stored by then, version included."""
        if super().carry_out(act, *args, **kwargs):
            return True
        if self.conflict is None or now is None:
            return False
        self.newer = type(self)(formdata=None, data=now())
        stored, seen = self.newer.digests(), self._seen()
        changed = [name for name in stored if stored[name] != seen.get(name)]
        self.version.data = self.newer.version.data
        if not changed:  # the other changed nothing that stood on her page
            self.conflict = None
            return self.carry_out(act, *args, now=now, **kwargs)
        self._meet(changed, stored, seen)
        return False

    def _meet(self, changed: list[str], stored: dict[str, str], seen: dict[str, str]) -> None:
        mine = self.digests()
        self.taken_over = [name for name in changed if mine[name] == seen.get(name)]
        self.clashes = [name for name in changed if mine[name] not in (seen.get(name), stored[name])]
        for name in self.taken_over:
            self._fields[name].process(None, self.newer._fields[name].data)
        self.seen.data = json.dumps(stored)

    def _seen(self) -> dict[str, str]:
        """What the page said that it showed; nothing where it said nothing that can be read: then every field counts as changed."""
        try:
            seen = json.loads(self.seen.data or "")
        except (ValueError, RecursionError):
            return {}
        return {str(name): str(digest) for name, digest in seen.items()} if isinstance(seen, dict) else {}


def _plain(data: Any) -> Any:
    """A field's data as it counts when two are compared."""
    if isinstance(data, dict):
        return {name: part for name in sorted(data) if (part := _plain(data[name]))}
    return "\n".join(str(data or "").splitlines()).strip()


def asked_for(command_type: type[Command]) -> Command:
    """What an address asks for behind its `?`, as a command; raises Invalid with each fault under its name."""
    try:
        return command_type.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise Invalid.by(error) from None


def sent(command_type: type[Command]) -> Command:
    """What a form without fields of its own sends, as a command; raises Invalid with each fault under its name."""
    try:
        return command_type.model_validate(request.form.to_dict())
    except ValidationError as error:
        raise Invalid.by(error) from None


def asked_before(command_type: type[BaseModel], back: str) -> dict[str, str]:
    """The page of a list that an act was asked for on, as its query; the first page where `back` says nothing that can be read."""
    asked = dict(parse_qsl(back))
    try:
        command_type.model_validate(asked)
    except ValidationError:
        return {}
    return {name: value for name, value in asked.items() if name in command_type.model_fields}


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
    """The field of these names, from the outermost inwards; of a nested form that has no such field its first, None where there is none."""
    field = form._fields.get(location[0]) if location else None
    if isinstance(field, FormField):
        inner = field_at(field.form, location[1:])
        return inner if inner is not None else next(iter(field.form._fields.values()), None)
    return field
