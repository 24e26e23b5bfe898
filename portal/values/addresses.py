"""Postal addresses of any country: read, checked by its rules, and kept without loss."""

import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from portal.values.address_rules import address_fields, check_for_country
from portal.values.countries import country_codes, find_country
from portal.values.texts import clean_line, clean_lines, harmful_sentence

LARGEST = 8 * 1024
DEEPEST = 20
LONGEST_NUMBER = 1_000  # bits
LEGACY_KEYS = {"street": "street_address", "state": "country_area"}
READERS = {
    "country": partial(clean_line, limit=100),
    "country_area": partial(clean_line, limit=100),
    "city": partial(clean_line, limit=100),
    "city_area": partial(clean_line, limit=100),
    "street_address": partial(clean_lines, limit=1_000),
    "postal_code": partial(clean_line, limit=40),
    "sorting_code": partial(clean_line, limit=40),
}
TOO_LARGE = "This address is too large to keep. Leave out what does not belong to it; 8 KB fit in."
Faults = dict[str, str]  # field → sentence; "" for the address as a whole


class Address(BaseModel):
    """A postal address. `country`, and `country_area` where the country has a list, are codes; further keys are kept.

    All faults are raised at once, each at its own key, in words of the country. Dumps leave out what was not given.
    """

    model_config = ConfigDict(extra="allow")

    country: str
    country_area: str | None = None
    city: str | None = None
    city_area: str | None = None
    street_address: str | None = None
    postal_code: str | None = None
    sorting_code: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, typed: object) -> object:
        if isinstance(typed, Address):
            return typed
        address, faults = read_address(typed)
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, [_located(key, fault) for key, fault in faults.items()])
        return address

    @model_serializer(mode="wrap")
    def _without_blanks(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None}


def _located(key: str, sentence: str) -> InitErrorDetails:
    fault = PydanticCustomError("address", "{sentence}", {"sentence": sentence})
    return InitErrorDetails(type=fault, loc=(key,) if key else (), input=None)


def read_address(typed: object) -> tuple[dict[str, Any], Faults]:
    """The tidied address and what is wrong with it."""
    if not isinstance(typed, Mapping):
        return {}, {"": "Write the address as an object with its parts, for example country, street_address and city."}
    if len(typed) > LARGEST or not all(isinstance(key, str) for key in typed):
        return {}, {"": TOO_LARGE if len(typed) > LARGEST else "Write each key of the address as text."}
    given = _with_known_keys(typed)
    address, faults = _read_parts(given)
    extra = {key: value for key, value in given.items() if key not in READERS and value not in (None, "", [], {})}
    faults |= _extra_faults(extra)
    if "country" not in faults:
        address, country_faults = check_for_country(address)
        faults = country_faults | faults
    if not faults and len(json.dumps(address | extra, ensure_ascii=False).encode()) > LARGEST:
        faults[""] = TOO_LARGE
    return address | extra, _in_order(address.get("country", ""), faults)


def _in_order(country: str, faults: Faults) -> Faults:
    """The faults as the form has its fields."""
    parts = [field.key for field in address_fields(country)] if country in country_codes() else READERS
    return {key: faults[key] for key in ["country", *parts, *faults] if key in faults}


def known_parts(stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """A stored address by the names that forms use: the legacy system's street and state are read as what they are."""
    return _with_known_keys(stored or {})


def _with_known_keys(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Legacy keys under their new names; where both are given, the legacy one stays as it is."""
    renamed = {old: new for old, new in LEGACY_KEYS.items() if old in typed and not typed.get(new)}
    return {renamed.get(key, key): value for key, value in typed.items() if key not in renamed.values()}


def _read_parts(given: Mapping[str, Any]) -> tuple[dict[str, Any], Faults]:
    address: dict[str, Any] = {}
    faults: Faults = {}
    for key, read in READERS.items():
        try:
            if text := read(given.get(key)):
                address[key] = text
        except ValueError as error:
            faults[key] = str(error)
    if "country" not in faults:
        code = find_country(address.get("country", ""))
        if code:
            address["country"] = code
        else:
            faults["country"] = _unknown_country(address.get("country"))
    return address, faults


def _unknown_country(typed: str | None) -> str:
    if not typed:
        return "Choose a country from the list."
    return f"“{typed}” is not a country of the list. Choose one, or give its code of two letters, for example IE."


def _extra_faults(extra: Mapping[str, Any]) -> Faults:
    """What keeps further keys from being stored as JSON. Ends at the first fault, before looking through much."""
    left = LARGEST
    for key, value in extra.items():
        for node, depth in _walk(value):
            left -= _least_size(key) + _least_size(node)
            if left < 0:
                return {"": TOO_LARGE}
            if sentence := harmful_sentence(key):
                return {"": sentence}
            if sentence := _json_fault(node, depth):
                return {key: sentence}
    return {}


def _walk(value: object) -> Iterator[tuple[object, int]]:
    """Everything in a JSON value, keys too, with its depth."""
    waiting = [(value, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        inner = [*node, *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else []
        waiting.extend((child, depth + 1) for child in inner)


def _least_size(node: object) -> int:
    return len(node) + 1 if isinstance(node, str | list | dict) else 1


def _json_fault(node: object, depth: int) -> str | None:
    if depth > DEEPEST:
        return f"This is nested too deeply. Keep to {DEEPEST} levels."
    if isinstance(node, str):
        return harmful_sentence(node)
    if isinstance(node, float) and not math.isfinite(node):
        return "This number cannot be kept. Write an ordinary number, or text."
    if isinstance(node, int) and node.bit_length() > LONGEST_NUMBER:
        return "This number is too long to keep. Write it as text."
    wrong_key = isinstance(node, dict) and not all(isinstance(key, str) for key in node)
    if wrong_key or not isinstance(node, dict | list | int | float | None):
        return "This cannot be kept as JSON. Write it as text, a number, a list or an object."
    return None
