"""Tools that are described and never run, to make tasks of: what one can ask of them, and the call that answers it.

A request is written from a template whose slots say each value as the tool takes it or in plain words that leave no
choice, so that exactly one call is right. What a template does not mention, the call does not send.
"""

from dataforge.verifiers.calling.catalogue import goods, house, journeys, office, people
from dataforge.verifiers.calling.catalogue.offers import Offer, Request, request

OFFERS: tuple[Offer, ...] = (
    *journeys.OFFERS,
    *goods.OFFERS,
    *people.OFFERS,
    *house.OFFERS,
    *office.OFFERS,
)
"""Every tool of the catalogue, in a fixed order."""

DOMAINS: tuple[str, ...] = tuple(dict.fromkeys(offer.domain for offer in OFFERS))

__all__ = ["DOMAINS", "OFFERS", "Offer", "Request", "request"]
