"""Telephone numbers: understood as people of a country write them, kept as E.164, shown readably."""

import re
import unicodedata
from typing import TYPE_CHECKING

from portal.values.countries import country_name, find_country
from portal.values.texts import text_of

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

LONGEST = 60
WRITTEN = re.compile(r"[\d\s()\[\]+./·~‐-―−-]*")
EXTENSION = re.compile(r"\d[\s.()]*(?:[,;#x]|ext)", re.IGNORECASE)
COUNT_WORDS = ("", "one digit", "two digits", "three digits", "four digits", "five digits", "six digits")


def parse_phone(text: object, country: str | None) -> str:
    """The E.164 form ("+35314960000") of a number as written in `country` (code or name), or with any + code.

    ValueError with a sentence for people, which shows an example of the country.
    """
    import phonenumbers

    code = find_country(country or "")
    number_text = _digits_and_signs(text, code)
    region = code if code in phonenumbers.SUPPORTED_REGIONS else None
    if region is None and not number_text.startswith("+"):
        raise ValueError("Begin the number with + and the code of its country, for example +353 1 496 0000.")
    try:
        number = phonenumbers.parse(number_text, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError(_unreadable(error, region)) from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError(_invalid(number))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _digits_and_signs(value: object, country: str | None) -> str:
    """What was typed, in ASCII digits; refuses what parsing would quietly leave out."""
    typed = text_of(value, LONGEST)
    # Numbers copied from a telephone's address book come wrapped in invisible direction marks.
    seen = (char for char in unicodedata.normalize("NFKC", typed) if unicodedata.category(char) != "Cf")
    text = "".join(seen).replace("ー", "-").strip()
    if not text:
        raise ValueError(f"Enter a phone number{_such_as(country)}.")
    if len(text) > LONGEST:
        raise ValueError(f"This is too long for a phone number. Write one number{_such_as(country)}.")
    if EXTENSION.search(text):
        raise ValueError(f"Leave the extension out and write the number alone{_such_as(country)}.")
    if any(char.isalpha() for char in text):
        raise ValueError(f"Write the number in digits, without letters{_such_as(country)}.")
    if not WRITTEN.fullmatch(text):
        raise ValueError(f"Write the number in digits and spaces only{_such_as(country)}.")
    return text


def _such_as(country: str | None) -> str:
    example = example_phone(country)
    return f", for example {example}" if example else ""


def example_phone(country: str | None) -> str:
    """A number of the country as it is written from abroad ("+353 22 12345"); "" for a country without telephones."""
    import phonenumbers

    if country not in phonenumbers.SUPPORTED_REGIONS:
        return ""
    fixed = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.FIXED_LINE)
    number = fixed or phonenumbers.example_number(country)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL) if number else ""


def _unreadable(error: Exception, region: str | None) -> str:
    import phonenumbers

    if isinstance(error, phonenumbers.NumberParseException) and error.error_type == error.INVALID_COUNTRY_CODE:
        return f"No country has this code after the +. Check it{_such_as(region)}."
    return f"This is not a phone number. Check it{_such_as(region)}."


def _invalid(number: "PhoneNumber") -> str:
    import phonenumbers

    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    name, example = country_name(region, article=True), example_phone(region)
    if not name:
        return "This number is not in use in its country. Check its digits."
    missing = _digits_missing(number)
    if missing:
        off = f"{COUNT_WORDS[abs(missing)]} {'short' if missing > 0 else 'too long'}"
        return f"This number is {off} for {name}. A whole one looks like {example}."
    return f"This number is not in use in {name}. Check its digits; a number there looks like {example}."


def _digits_missing(number: "PhoneNumber") -> int:
    """How many digits more (or, negative, fewer) would make it a number; 0 where no count does."""
    import phonenumbers

    national = phonenumbers.national_significant_number(number)
    for count in range(1, len(COUNT_WORDS)):
        if any(_is_number(number, national + digit * count) for digit in "0123456789"):
            return count
        if len(national) > count and _is_number(number, national[:-count]):
            return -count
    return 0


def _is_number(like: "PhoneNumber", national: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(f"+{like.country_code}{national}"))
    except phonenumbers.NumberParseException:
        return False


def format_phone(e164: str, country: str | None) -> str:
    """A stored number for reading: as written within `country` where it belongs there, else with its country code.

    Legacy text that is no number comes back unchanged. `parse_phone(format_phone(n, c), c) == n`.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    at_home = country in phonenumbers.SUPPORTED_REGIONS and phonenumbers.country_code_for_region(country) == number.country_code
    style = phonenumbers.PhoneNumberFormat.NATIONAL if at_home else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, style)
