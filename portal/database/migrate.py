"""Revisions run from the programs and the tests, by Alembic's own commands and without Flask."""

from portal.system import ROOT


def upgrade(owner_url: str, to: str = "head") -> None:
    """Bring the database at this address, given as portal_owner, to a revision; nothing happens when it is there."""
    from alembic import command
    from alembic.config import Config

    config = Config(ROOT / "migrations" / "alembic.ini")
    config.attributes["url"] = owner_url
    command.upgrade(config, to)
