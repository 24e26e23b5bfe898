"""What people ask for about sharing agents."""

from pydantic import BaseModel

from portal.values import Subdomain


class OfferAgent(BaseModel):
    """To whom an agent is offered, by its short name; no rule here tells whether there is such an organization."""

    subdomain: Subdomain
