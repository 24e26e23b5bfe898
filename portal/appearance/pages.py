"""The door of the theme switch, open to visitors too."""

from flask import Blueprint, Response, request, url_for
from flask_login import current_user

from portal.access import own_page, public
from portal.account import services as account
from portal.errors import Invalid
from portal.responses import keep_theme, leave_for, nothing_to_show
from portal.words import THEMES

blueprint = Blueprint("appearance", __name__)


@blueprint.post("/appearance")
@public
def choose() -> Response:
    """Kept in the browser, and for whoever is signed in on the account."""
    theme = request.form.get("theme", "")
    if theme not in THEMES:
        raise Invalid("Choose light, dark or system.")
    if current_user.is_authenticated:
        account.choose_theme(theme, by=current_user._get_current_object())
    response = nothing_to_show() or leave_for(own_page(request.form.get("next")) or url_for("overview.index"))
    keep_theme(response, theme)
    return response
