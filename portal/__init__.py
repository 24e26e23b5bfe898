"""The Thanotopolis Portal: many organizations on one PostgreSQL."""

import os
from typing import TYPE_CHECKING

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # none is used, and to look for some it opens every package installed

if TYPE_CHECKING:  # portal.serve, which serves nothing itself, starts without Flask
    from flask import Flask

    from portal.config import Settings


def create_app(settings: "Settings | None" = None) -> "Flask":
    """The application; without `settings` they are read from the environment. Raises SettingsRefused."""
    from portal import application

    return application.create_app(settings)
