"""Signing in as HTML fields."""

from wtforms import HiddenField, PasswordField, StringField

from portal.auth.commands import SignIn
from portal.forms import ModelForm


class SignInForm(ModelForm):
    command_type = SignIn

    organization = StringField("Organization")
    login = StringField("E-mail or username")
    password = PasswordField("Password")
    next = HiddenField()
