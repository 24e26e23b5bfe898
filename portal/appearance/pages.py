"""The door of the theme switch, open to visitors too."""

from flask import Blueprint, Response, request, url_for

from portal.access import own_page, public
from portal.errors import Invalid
from portal.extensions import settings
from portal.responses import leave_for, nothing_to_show
from portal.words import THEMES

blueprint = Blueprint("appearance", __name__)
A_YEAR = 60 * 60 * 24 * 365


@blueprint.post("/appearance")
@public
def choose() -> Response:
    theme = request.form.get("theme", "")
    if theme not in THEMES:
        raise Invalid("Choose light, dark or system.")
    response = nothing_to_show() or leave_for(own_page(request.form.get("next")) or url_for("overview.index"))
    response.set_cookie("theme", theme, max_age=A_YEAR, secure=not settings().insecure, httponly=True, samesite="Lax")
    return response
