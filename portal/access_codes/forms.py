"""Access codes as HTML fields."""

from typing import Any

from wtforms import BooleanField, EmailField, PasswordField, StringField

from portal.access_codes.commands import Join, MakeCode, ShowCode
from portal.extensions import settings
from portal.forms import CreatingForm, ModelForm


class CodeForm(CreatingForm):
    command_type = MakeCode

    label = StringField("What it is for")
    days = StringField("Days until it ends", default="30")
    max_uses = StringField("How many may use it")
    needs_approval = BooleanField("Whoever joins waits until an administrator accepts", default=True)


class ShowCodeForm(ModelForm):
    command_type = ShowCode

    organization = StringField("Organization")
    code = StringField("Access code")


class JoinForm(ModelForm):
    command_type = Join

    organization = StringField("Organization")
    code = StringField("Access code")
    first_name = StringField("First name")
    last_name = StringField("Last name")
    username = StringField("Username")
    email = EmailField("Your e-mail")
    password = PasswordField("Password")

    def context(self) -> dict[str, Any]:
        return {"password_minimum": settings().password_min_length}
