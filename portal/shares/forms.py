"""Sharing as HTML fields."""

from wtforms import StringField

from portal.forms import CreatingForm
from portal.shares.commands import OfferAgent


class OfferForm(CreatingForm):
    command_type = OfferAgent
    subdomain = StringField("Short name of the organization")
