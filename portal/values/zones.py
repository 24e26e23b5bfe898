"""Time zones that people live in, by their IANA names."""

from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator

AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@lru_cache
def time_zones() -> tuple[tuple[str, str, str], ...]:
    """(IANA name, area, what people call the place) of every zone that people live in, sorted; UTC is the first."""
    parts = [(name, *name.partition("/")[::2]) for name in sorted(available_timezones())]
    places = [(name, area, place.replace("_", " ").replace("/", ", ")) for name, area, place in parts if area in AREAS]
    return (("UTC", "", "UTC"), *places)


@lru_cache
def zone_names() -> frozenset[str]:
    return frozenset(name for name, _, _ in time_zones())


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The zone of a name that `time_zones` knows; raises ZoneInfoNotFoundError (a KeyError) for others."""
    return ZoneInfo(name)


def known_zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError("Choose a time zone from the list.")
    return name


TimeZone = Annotated[str, AfterValidator(known_zone)]
