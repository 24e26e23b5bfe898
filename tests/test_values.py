"""What people type is tidied, or refused with a sentence that helps; measured on texts that break others."""

import json
import re
import sys
import unicodedata

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from zxcvbn import zxcvbn
from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

from portal.values import (
    Address,
    EmailAddress,
    LongText,
    Name,
    OptionalText,
    PersonName,
    Subdomain,
    Username,
    address_fields,
    clean_name,
    clean_person_name,
    clean_subdomain,
    countries,
    country_name,
    device_name,
    email_key,
    example_phone,
    folded,
    format_address,
    format_phone,
    likely_country,
    network_of,
    parse_phone,
    password_fault,
    password_strength,
    read_configuration,
    reserved_subdomains,
    sort_key,
    suggest_subdomain,
    username_key,
)
from portal.values.address_rules import address_rules, find_region, regions
from portal.values.countries import country_codes, find_country


class Unread(str):
    """A text that must be refused by its length alone: reading it fails the test."""

    def _read(self, *_args, **_kwargs):
        raise AssertionError("a huge text was read")

    __iter__ = strip = split = replace = encode = lower = casefold = translate = expandtabs = _read

    def __getitem__(self, part):
        assert isinstance(part, slice)
        assert part.stop is not None
        return str.__getitem__(self, part)


HUGE = Unread("x" * 5_000_000)
ONE_LINE = [Name, PersonName, Subdomain, Username, EmailAddress]
EVERY_TYPE = [*ONE_LINE, LongText]
SHARED_HARM = {
    "NUL": "Ac\0me",
    "lone surrogate": "Ac\ud800me",
    "escape": "Ac\x1bme",
    "right-to-left override": "Ac\u202eme",
    "right-to-left mark": "Ac\u200fme",
    "isolate": "Ac\u2066me",
    "replacement character": "Ac\ufffdme",
    "no character": "Ac\uffffme",
}
HARM_IN_LINES = SHARED_HARM | {
    "zero-width space": "Ac\u200bme",
    "byte order mark": "\ufeffAcme",
    "soft hyphen": "Ac\u00adme",
    "joiner without need": "Ac\u200dme",
    "joiner between Arabic letters": "علی\u200dرضا",
    "Hangul filler": "Ac\u3164me",
    "tag": "Ac\U000e0041me",
}


def accepted(kind, text):
    return TypeAdapter(kind).validate_python(text)


def refusal(kind, value):
    """The sentence a type refuses a value with."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    [fault] = caught.value.errors(include_url=False)
    return fault["msg"].removeprefix("Value error, ")


def sentence(act, *args):
    with pytest.raises(ValueError, match=r".") as caught:
        act(*args)
    return str(caught.value)


def for_people(text):
    """True for a sentence; what it quotes from the person does not count."""
    own_words = re.sub("“.*”|'.*'", "", text, flags=re.DOTALL)
    return (text[0].isupper() or text[0] == "“") and text.endswith(".") and "!" not in own_words


def judged(check, *args):
    """(result, None) of what was accepted, (None, sentences) of what was refused."""
    try:
        return check(*args), None
    except ValidationError as error:
        return None, [fault["msg"].removeprefix("Value error, ") for fault in error.errors(include_url=False)]


# Every text


@pytest.mark.parametrize("kind", ONE_LINE, ids=lambda kind: str(kind.__metadata__[0].func.__name__))
@pytest.mark.parametrize("harm", HARM_IN_LINES.values(), ids=HARM_IN_LINES)
def test_no_line_takes_characters_that_nobody_sees(kind, harm):
    text = f"{harm}@example.org" if kind is EmailAddress else harm
    assert for_people(refusal(kind, text))


@pytest.mark.parametrize("harm", SHARED_HARM.values(), ids=SHARED_HARM)
def test_long_texts_take_no_controls_and_no_bidi_marks(harm):
    assert for_people(refusal(LongText, harm))


def test_a_name_takes_no_control_or_format_character_of_all_unicode():
    quiet = {"\t", "\n", "\r"}
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(char := chr(code)) in {"Cc", "Cf", "Cs"} and char not in quiet:
            assert "character" in sentence(clean_name, f"Ac{char}me"), f"U+{code:04X}"


@pytest.mark.parametrize("kind", EVERY_TYPE, ids=lambda kind: str(kind.__metadata__[0].func.__name__))
@pytest.mark.parametrize("huge", [HUGE, Unread(" " * 5_000_000), Unread("\u0301" * 10**6 + "@x.org")], ids=range(3))
def test_five_megabytes_are_refused_unread(kind, huge):
    assert refusal(kind, huge).startswith("Shorten this to")


@pytest.mark.parametrize("kind", EVERY_TYPE, ids=lambda kind: str(kind.__metadata__[0].func.__name__))
@pytest.mark.parametrize("value", [5, True, 1.5, ["Acme"], {"a": 1}, b"Acme"])
def test_what_is_no_text_is_refused(kind, value):
    assert refusal(kind, value) == "Write this as text."


@pytest.mark.parametrize("kind", ONE_LINE, ids=lambda kind: str(kind.__metadata__[0].func.__name__))
@pytest.mark.parametrize("empty", ["", "   ", "\n", None])
def test_nothing_typed_is_asked_for(kind, empty):
    assert refusal(kind, empty).startswith(("Enter", "Choose"))


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_is_tidied_once_or_refused_in_words(text):
    for kind in EVERY_TYPE:
        tidied, refused = judged(accepted, kind, text)
        if refused:
            assert all(map(for_people, refused))
        else:
            assert accepted(kind, tidied) == tidied
            assert "\0" not in (tidied or "").encode().decode()


# Names


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Quiet \t Harbour\r\n Ltd ", "Quiet Harbour Ltd"),
        ("Cafe\u0301", "Café"),
        ("Acme\u00a0Ltd", "Acme Ltd"),
        ("Müller & Söhne <b>", "Müller & Söhne <b>"),
        ("3", "3"),
        ("❤️ Care", "❤️ Care"),
        ("ශ්\u200dරී ලංකා", "ශ්\u200dරී ලංකා"),
        ("علی\u200cرضا", "علی\u200cرضا"),
        ("辻󠄀葬儀", "辻󠄀葬儀"),
    ],
)
def test_a_name_is_tidied_and_kept(typed, kept):
    assert accepted(Name, typed) == kept


@pytest.mark.parametrize("typed", ["---", "🙂", "<>", "\u0301\u0301", "."])
def test_a_name_needs_a_letter_or_digit(typed):
    assert refusal(Name, typed) == "A name needs at least one letter or digit."


def test_names_have_a_length():
    assert accepted(Name, "x" * 200) == "x" * 200
    assert refusal(Name, "x" * 201) == "Shorten this to 200 characters; it has 201."
    assert accepted(PersonName, "x" * 100) == "x" * 100
    assert refusal(PersonName, "x" * 101) == "Shorten this to 100 characters; it has 101."
    assert clean_person_name(" Mara ") == "Mara"


def test_the_place_of_a_hidden_character_is_told():
    assert refusal(Name, "Quiet\u200bHarbour") == ("There is a hidden character (U+200B) after “Quiet”. Delete it, or type the text again.")
    assert "(U+FEFF) at the start" in refusal(Name, "\ufeffAcme")
    assert "broken character (U+D83D)" in refusal(Name, "Acme \ud83d")


def test_long_texts_keep_their_lines_and_empty_ones_are_none():
    assert accepted(LongText, " one\r\ntwo\rthree\u2028four\n\n five \n") == "one\ntwo\nthree\nfour\n\n five"
    assert accepted(OptionalText, "a\tb 👨\u200d👩\u200d👧") == "a   b 👨\u200d👩\u200d👧"
    assert [accepted(LongText, empty) for empty in ("", " \r\n ", None)] == [None, None, None]
    assert accepted(LongText, "x" * 10_000) == "x" * 10_000
    assert refusal(LongText, "x" * 10_001) == "Shorten this to 10,000 characters; it has 10,001."
    assert "tag" not in refusal(LongText, "hidden orders \U000e0041")


def test_names_sort_without_accents_and_case():
    names = ["Zoë", "Ørsted", "Ärzte", "abel", "Łódź", "Émile", "straße", "Strasse"]
    assert sorted(names, key=sort_key) == ["abel", "Ärzte", "Émile", "Łódź", "Ørsted", "straße", "Strasse", "Zoë"]
    assert sort_key("  Ärzte   KÖLN ") == "arzte koln"
    assert sort_key("ガス") == "ガス"
    assert sort_key("हिन्दी") == "हिन्दी"
    assert sort_key("A\0\ud800\u202eb") == "ab"
    assert len(sort_key(Unread("ﷺ" * 5_000_000))) == 200


@given(st.text())
def test_anything_has_a_sort_key_that_is_stable(text):
    key = sort_key(text)
    assert len(key) <= 200
    assert "\0" not in key.encode().decode()


@given(st.text(st.characters(max_codepoint=127), max_size=150))
def test_the_short_way_to_the_keys_of_plain_letters_is_the_long_one(text):
    unseen = "\u200b"  # stands in no key, and is not plain
    assert (sort_key(text), folded(text)) == (sort_key(unseen + text), folded(unseen + text))


# Subdomains


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("  Acme ", "acme"), ("QUIET-Harbour", "quiet-harbour"), ("a1b", "a1b"), ("0-0", "0-0"), ("a" * 63, "a" * 63)],
)
def test_a_subdomain_is_trimmed_and_lower_cased(typed, kept):
    assert accepted(Subdomain, typed) == kept


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("quiet harbour", "spaces. Put hyphens in their place. For example quiet-harbour."),
        ("admin.evil.com", "dots"),
        ("../../x", "dots"),
        ("quiet_harbour", "underscores. Put hyphens in their place. For example quiet-harbour."),
        ("a/b", "cannot have “/”"),
        ("'; drop table users;--", "cannot have “'”"),
        ("<b>", "cannot have “<”"),
        ("\u0430cme", "“\u0430” (U+0430) is not one of the letters a to z"),
        ("AcmeЯ", "“Я” (U+042F)"),
        ("kelvin-\u212a", "(U+212A)"),
        ("ａｃｍｅ", "(U+FF41)"),
        (
            "ärzte",
            "“ä” (U+00E4) is not one of the letters a to z, though it may look like one. Use a to z. For example arzte.",
        ),
        ("xn--acme-9ua", "“xn--” at the start"),
        ("XN--acme", "“xn--” at the start"),
        ("ab--cd", "third and fourth place. Use one. For example ab-cd."),
        ("-acme", "begins and ends with"),
        ("acme-", "begins and ends with"),
        ("-x-", "begins and ends with"),
        ("ab", "at least 3"),
        ("a" * 64, "at most 63 characters; this one has 64"),
        ("www", "“www” is kept for the portal itself"),
    ],
)
def test_a_malformed_subdomain_is_refused_for_its_own_reason(typed, says):
    text = refusal(Subdomain, typed)
    assert says in text
    assert for_people(text)


def test_no_example_is_given_that_lacks_a_letter():
    assert "cme" not in refusal(Subdomain, "\u0430cme").replace("acme", "")


RESERVED = """
    register sign-in sign-out sign-up signin signup settings users agents conversations audit account platform api
    static healthz readyz appearance join www admin mail login logout app support status root localhost demo
    organizations docs assets auth webmaster postmaster hostmaster abuse security smtp imap ftp ns1 autoconfig
    autodiscover wpad isatap test portal thanotopolis super-admin tokens invitations jobs metrics favicon robots
    well-known oauth sso null undefined
"""


@pytest.mark.parametrize("word", RESERVED.split())
def test_the_portals_own_words_are_kept_back(word):
    assert word in reserved_subdomains
    assert "is kept for the portal itself" in refusal(Subdomain, word.upper())


def test_reserved_words_are_subdomains_else():
    assert isinstance(reserved_subdomains, frozenset)
    assert all(re.fullmatch("[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", word) for word in reserved_subdomains)


@pytest.mark.parametrize(
    ("name", "subdomain"),
    [
        ("Ärzte Köln", "arzte-koln"),
        ("O'Brien & Sons", "obrien-sons"),
        ("Łódź Øst Straße", "lodz-ost-strasse"),
        ("İstanbul", "istanbul"),
        ("  Quiet -- Harbour.  ", "quiet-harbour"),
        ("Quiet Harbour Funeral Directors Limited of Dublin", "quiet-harbour-funeral-directors-limited"),
        ("x" * 300, "x" * 40),
        ("Ритуал", ""),
        ("Ритуал Сервис Москва SA1", ""),
        ("HP", ""),
        ("Support", ""),
        ("---", ""),
        ("", ""),
        ("\0\ud800\u202e", ""),
    ],
)
def test_a_subdomain_is_suggested_from_the_name(name, subdomain):
    assert suggest_subdomain(name) == subdomain


@given(st.text())
def test_what_is_suggested_is_accepted(name):
    suggestion = suggest_subdomain(name)
    assert not suggestion or clean_subdomain(suggestion) == suggestion


def test_suggesting_reads_the_beginning_of_a_huge_name():
    assert suggest_subdomain(HUGE) == "x" * 40


# Accounts


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Mara.Ortiz", "Mara.Ortiz"),
        ("Ａｌｉｃｅ", "Alice"),
        ("日本太郎", "日本太郎"),
        ("हिन्दी", "हिन्दी"),
        ("админ", "админ"),
        ("1_-", "1_-"),
        ("x" * 64, "x" * 64),
    ],
)
def test_a_username_is_kept(typed, kept):
    assert accepted(Username, typed) == kept


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("ab", "at least 3"),
        ("x" * 65, "at most 64 characters; this one has 65"),
        ("-abc", "begins with a letter or a digit"),
        (".abc", "begins with a letter or a digit"),
        ("\u0301abc", "begins with a letter or a digit"),
        ("mara ortiz", "cannot have spaces"),
        ("mara@ortiz", "cannot have “@”"),
        ("mara/ortiz", "cannot have “/”"),
        ("\u0430dmin", "alphabets that look alike"),
        ("admin\u03bf", "alphabets that look alike"),
    ],
)
def test_a_malformed_username_is_refused(typed, says):
    assert says in refusal(Username, typed)


def test_usernames_that_look_the_same_share_a_key():
    assert username_key("Straße") == username_key("STRASSE") == "strasse"
    assert username_key("Ａlice") == username_key(" ALICE ") == "alice"
    assert username_key("legacy name / with: anything") == "legacy name / with: anything"
    for nobody in ("", "  ", HUGE):
        assert sentence(username_key, nobody) == "There is no such username."


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        (" Mara@Example.ORG ", "mara@example.org"),
        ("m.o+tag@EXÄMPLE.de", "m.o+tag@xn--exmple-cua.de"),
        ("m.o+tag@xn--exmple-cua.de", "m.o+tag@xn--exmple-cua.de"),
        ("mara@例え.jp", "mara@xn--r8jz45g.jp"),
        ("ZOE\u0308@example.org", "zoë@example.org"),
        ("mara@faß.de", "mara@xn--fa-hia.de"),
    ],
)
def test_an_email_address_is_kept_as_typed_and_known_by_its_key(typed, key):
    assert accepted(EmailAddress, typed) == unicodedata.normalize("NFC", typed.strip())
    assert email_key(typed) == key
    assert email_key(key) == key


def test_twins_by_case_share_a_key_and_others_do_not():
    assert email_key("aa78a0e@ex.com") == email_key("Aa78a0e@EX.com")
    assert email_key("mara@example.org") != email_key("mar\u0430@example.org")
    assert email_key("mara@faß.de") != email_key("mara@fass.de")


PARTS = st.text("abzAZ09_+-.!@\"'é\\", max_size=70)
DOMAINS = st.one_of(
    st.text("abZ09-.é@[]1:ßİ", max_size=20),
    st.sampled_from(
        ["example.org", "EXAMPLE.org.", "münchen.de", "xn--mnchen-3ya.de", "localhost", "[192.0.2.1]", f"{'é' * 60}.de", "a.b", ""]
    ),
    st.sampled_from(
        [".".join(["日" * 25] * 3) + ".de", ".".join(["xn--" + "wgv" * 8] * 3) + ".de", ".".join([("日" * 20).encode("idna").decode()] * 5)]
    ),
    st.integers(180, 250).map(lambda length: ("a" * 50 + ".") * (length // 51) + "a" * (length % 51) + ".org"),
)


@given(PARTS, DOMAINS)
@settings(max_examples=2_000, deadline=None)
def test_an_address_is_one_where_the_library_says_so(local: str, domain: str) -> None:
    typed = f"{local}@{domain}"
    assume(len(typed) <= 254)
    try:
        parts = validate_email(typed, check_deliverability=False)
        wanted = f"{unicodedata.normalize('NFC', parts.local_part.lower())}@{parts.ascii_domain.lower()}"
    except EmailNotValidError:
        wanted = None
    assert accepted_key(typed) == wanted


def accepted_key(typed: str) -> str | None:
    try:
        return email_key(typed)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("mara", "has an @ in it"),
        ("mara@@example.org", "one @ only"),
        ("mara@example.org, bo@example.org", "one @ only"),
        ("@example.org", "something before the @"),
        ("mara@", "something after the @"),
        ("mara@example", "should have a period"),
        ("mara ortiz@example.org", "before the @: SPACE"),
        ("Mara <mara@example.org>", "angle brackets"),
        ("mara@example..org", "two periods"),
        ("mara@company.local", "special-use"),
        ("mara@[192.0.2.1]", "bracketed IP address"),
        ("mara@example.org\r\nBcc: bo", "after the @"),
        (f"{'x' * 64}@{'y' * 190}.org", "Shorten this to 254 characters; it has 259."),
    ],
)
def test_a_malformed_email_address_is_refused(typed, says):
    text = refusal(EmailAddress, typed)
    assert says in text
    assert "email" not in text
    assert for_people(text)


def test_what_is_no_address_has_no_key():
    for text in ("mara", "", "a@b@c.org", "a\0@example.org", HUGE):
        sentence(email_key, text)


# Phones

PHONES = [
    ("01 496 0000", "IE", "+35314960000", "(01) 496 0000"),
    ("+353 (0)1 496 0000", "IE", "+35314960000", "(01) 496 0000"),
    ("00353 1 496 0000", "IE", "+35314960000", "(01) 496 0000"),
    ("(201) 555-0123", "US", "+12015550123", "(201) 555-0123"),
    ("1-201-555-0123", "US", "+12015550123", "(201) 555-0123"),
    ("030/123456", "DE", "+4930123456", "030 123456"),
    ("03-1234-5678", "JP", "+81312345678", "03-1234-5678"),
    ("０３ー１２３４ー５６７８", "JP", "+81312345678", "03-1234-5678"),
    ("011 2345 6789", "BR", "+551123456789", "(11) 2345-6789"),
    ("020 7946 0018", "GB", "+442079460018", "020 7946 0018"),
    ("02 234 5678", "AE", "+97122345678", "02 234 5678"),
    ("٠٢ ٢٣٤ ٥٦٧٨", "AE", "+97122345678", "02 234 5678"),
    ("6123 4567", "SG", "+6561234567", "6123 4567"),
    ("2123 4567", "HK", "+85221234567", "2123 4567"),
    ("\u202a+353 1 496 0000\u202c", "IE", "+35314960000", "(01) 496 0000"),
    ("+44 20 7946 0018", "IE", "+442079460018", "+44 20 7946 0018"),
    ("+353 1 496 0000", None, "+35314960000", "+353 1 496 0000"),
    ("+800 1234 5678", "AQ", "+80012345678", "+800 1234 5678"),
]


@pytest.mark.parametrize(("typed", "country", "e164", "shown"), PHONES)
def test_a_phone_number_is_understood_in_its_country(typed, country, e164, shown):
    assert parse_phone(typed, country) == e164
    assert format_phone(e164, country) == shown
    assert parse_phone(shown, country) == e164


@pytest.mark.parametrize("country", ["ie", "Ireland", "IRL"])
def test_the_country_of_a_phone_number_may_be_written_in_any_way(country):
    assert parse_phone("01 496 0000", country) == "+35314960000"


@pytest.mark.parametrize(
    ("typed", "country", "says"),
    [
        ("+353 1 496 000", "IE", "This number is one digit short for Ireland. A whole one looks like +353 22 12345."),
        ("01 496 00", "IE", "two digits short for Ireland"),
        ("(201) 555-012", "US", "one digit short for the United States"),
        ("201 555 01234", "US", "one digit too long for the United States"),
        ("6123 45678", "SG", "one digit too long for Singapore"),
        ("0176 1234", "DE", "three digits short for Germany"),
        ("+44 20 7946 001", "IE", "one digit short for the United Kingdom. A whole one looks like +44"),
        ("000 1234", "US", "not in use in the United States"),
        ("1-800-FLOWERS", "US", "without letters, for example +1 201-555-0123."),
        ("not a phone <b>", "GB", "without letters"),
        ("01 496 0000 ext. 12", "IE", "Leave the extension out"),
        ("01 496 0000 x12", "IE", "Leave the extension out"),
        ("01 496 0000;ext=12", "IE", "Leave the extension out"),
        ("01 496 0000 #12", "IE", "Leave the extension out"),
        ("01 496 0000 % 5", "IE", "digits and spaces only"),
        ("+999 1234567", "IE", "No country has this code"),
        ("+", "IE", "not a phone number"),
        ("12", None, "Begin the number with +"),
        ("12345", "AQ", "Begin the number with +"),
        ("", "IE", "Enter a phone number, for example +353 22 12345."),
        (None, None, "Enter a phone number."),
        (5, "IE", "Write this as text."),
        ("1" * 61, "IE", "too long for a phone number"),
        ("01 496\0 0000", "IE", "digits and spaces only"),
        ("01 496\ud800 0000", "IE", "digits and spaces only"),
    ],
)
def test_a_phone_number_is_refused_with_an_example(typed, country, says):
    text = sentence(parse_phone, typed, country)
    assert says in text
    assert for_people(text)


def test_huge_phone_numbers_are_refused_unread():
    for huge in (Unread("5" * 5_000_000), Unread("+" * 5_000_000), HUGE):
        assert sentence(parse_phone, huge, "IE").startswith("Shorten this")
    assert parse_phone("+35314960000", HUGE) == "+35314960000"


@pytest.mark.parametrize("country", sorted(country_codes()))
def test_each_countrys_example_can_be_typed_and_shown(country):
    if example := example_phone(country):
        number = parse_phone(example, country)
        assert parse_phone(format_phone(number, country), country) == number
    else:
        assert country in {"AQ", "BV", "GS", "HM", "PN", "TF", "UM"}


def test_a_legacy_phone_that_is_none_is_shown_as_it_is():
    assert format_phone("ask at the desk", "IE") == "ask at the desk"


# Addresses


class Holder(BaseModel):
    address: Address


def address(**parts):
    return Holder(address=parts).model_dump()["address"]


def address_faults(parts):
    """Field → sentence of a refused address."""
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"address": parts})
    faults = caught.value.errors(include_url=False)
    assert all(fault["loc"][0] == "address" and for_people(fault["msg"]) for fault in faults)
    return {".".join(map(str, fault["loc"][1:])): fault["msg"] for fault in faults}


DUBLIN = {"country": "IE", "street_address": "4 Harbour Road", "city": "Dublin"}
ADDRESSES = {
    "Ireland": (
        DUBLIN | {"country_area": "Co. Dublin", "postal_code": "D02 AF30"},
        ["4 Harbour Road", "Dublin", "Co. Dublin", "D02 AF30", "Ireland"],
    ),
    "Ireland without its optional parts": (DUBLIN, ["4 Harbour Road", "Dublin", "Ireland"]),
    "Hong Kong has no postal codes": (
        {"country": "HK", "country_area": "Kowloon", "street_address": "1 Nathan Road"},
        ["1 Nathan Road", "Kowloon", "Hong Kong"],
    ),
    "Singapore has no regions": (
        {"country": "SG", "street_address": "1 Raffles Place", "postal_code": "048616"},
        ["1 Raffles Place", "SINGAPORE 048616", "Singapore"],
    ),
    "United States": (
        {
            "country": "US",
            "street_address": "1 Main St\nSuite 5",
            "city": "Beverly Hills",
            "country_area": "CA",
            "postal_code": "90210-1234",
        },
        ["1 Main St", "Suite 5", "Beverly Hills, CA 90210-1234", "United States"],
    ),
    "Brazil": (
        {
            "country": "BR",
            "street_address": "Rua A, 1",
            "city_area": "Sé",
            "city": "São Paulo",
            "country_area": "SP",
            "postal_code": "01310-100",
        },
        ["Rua A, 1", "Sé", "São Paulo-SP", "01310-100", "Brazil"],
    ),
    "Japan": (
        {"country": "JP", "country_area": "東京都", "street_address": "千代田1-1", "postal_code": "100-0001"},
        ["〒100-0001", "東京都", "千代田1-1", "Japan"],
    ),
    "Japan in Latin letters": (
        {"country": "JP", "country_area": "東京都", "street_address": "1-1 Chiyoda", "postal_code": "100-0001"},
        ["1-1 Chiyoda, Tokyo", "100-0001", "Japan"],
    ),
    "Germany": (
        {"country": "DE", "street_address": "Weg 1", "city": "Köln", "postal_code": "50667"},
        ["Weg 1", "50667 Köln", "Germany"],
    ),
    "United Kingdom": (
        {"country": "GB", "street_address": "1 Quay", "city": "London", "postal_code": "SW1A 1AA"},
        ["1 Quay", "London", "SW1A 1AA", "United Kingdom"],
    ),
    "India": (
        {
            "country": "IN",
            "street_address": "1 Marg",
            "city": "New Delhi",
            "country_area": "Delhi",
            "postal_code": "110001",
        },
        ["1 Marg", "New Delhi 110001", "Delhi", "India"],
    ),
    "United Arab Emirates": (
        {"country": "AE", "street_address": "1 Sheikh Zayed Road", "country_area": "إمارة دبيّ"},
        ["1 Sheikh Zayed Road", "Dubai", "United Arab Emirates"],
    ),
    "Switzerland with its prefix": (
        {"country": "CH", "street_address": "Weg 1", "city": "Zürich", "postal_code": "CH-8001"},
        ["Weg 1", "CH-8001 Zürich", "Switzerland"],
    ),
    "Costa Rica has regions, but no list": (
        {"country": "CR", "street_address": "1", "city": "Escazú", "country_area": "San José"},
        ["1", "San José, Escazú", "Costa Rica"],
    ),
    "Andorra has a list, but no regions in its addresses": (
        {"country": "AD", "street_address": "1", "city": "Canillo", "country_area": "Canillo", "postal_code": "AD500"},
        ["1", "AD500 Canillo", "Canillo", "Andorra"],
    ),
}


@pytest.mark.parametrize(("parts", "lines"), ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_is_kept_exactly_and_shown_in_its_countrys_order(parts, lines):
    assert address(**parts) == parts
    assert json.loads(Holder(address=parts).model_dump_json())["address"] == parts
    assert format_address(parts) == lines


MISSING = {
    "IE": {
        "street_address": "Ireland's addresses need a street address.",
        "city": "Ireland's addresses need a town or city.",
    },
    "HK": {
        "country_area": "Hong Kong's addresses need an area.",
        "street_address": "Hong Kong's addresses need a street address.",
    },
    "SG": {
        "street_address": "Singapore's addresses need a street address.",
        "postal_code": "Singapore's addresses need a postal code.",
    },
    "US": {
        "street_address": "The United States' addresses need a street address.",
        "city": "The United States' addresses need a town or city.",
        "country_area": "The United States' addresses need a state.",
        "postal_code": "The United States' addresses need a ZIP code.",
    },
    "JP": {
        "postal_code": "Japan's addresses need a postal code.",
        "country_area": "Japan's addresses need a prefecture.",
        "street_address": "Japan's addresses need a street address.",
    },
    "AE": {
        "street_address": "The United Arab Emirates' addresses need a street address.",
        "country_area": "The United Arab Emirates' addresses need an emirate.",
    },
}


@pytest.mark.parametrize("country", MISSING)
def test_all_missing_parts_are_named_at_once_in_the_countrys_words_and_order(country):
    faults = address_faults({"country": country, "street_address": " - "})
    assert faults == MISSING[country]
    assert list(faults) == list(MISSING[country])


@pytest.mark.parametrize("country", ["IN", "BR", "DE", "GB"])
def test_each_required_part_of_a_country_is_required(country):
    required = {field.key for field in address_fields(country) if field.required}
    assert set(address_faults({"country": country})) == required
    assert "postal_code" in required


@pytest.mark.parametrize(
    ("country", "code", "says"),
    [
        ("IE", "D2", "An Eircode in Ireland looks like A65 F4E2."),
        ("US", "9021", "A ZIP code in the United States looks like 95014."),
        ("GB", "SW1A 1AA and more", "A postcode in the United Kingdom looks like EC1Y 8SY."),
        ("IN", "11000", "A PIN code in India looks like 110034."),
        ("DE", "5066", "A postal code in Germany looks like 26133."),
        ("SG", "0486160", "A postal code in Singapore looks like 546080."),
        ("DE", "{x}", "A postal code in Germany looks like 26133."),
    ],
)
def test_a_postal_code_of_another_shape_is_refused(country, code, says):
    assert address_faults({"country": country, "postal_code": code})["postal_code"] == says


@pytest.mark.parametrize(
    ("country", "code"),
    [
        ("IE", "d02af30"),
        ("GB", "sw1a1aa"),
        ("JP", "〒100-0001"),
        ("JP", "１００－０００１"),
        ("SE", "SE-113 55"),
        ("LU", "L-2998"),
    ],
)
def test_a_postal_code_may_be_typed_loosely(country, code):
    with pytest.raises(ValidationError) as caught:
        Address(country=country, postal_code=code)
    assert ("postal_code",) not in {fault["loc"] for fault in caught.value.errors()}


def test_a_postal_code_of_another_region_is_told_with_the_region():
    faults = address_faults({"country": "US", "street_address": "1", "city": "Albany", "country_area": "NY", "postal_code": "90210"})
    assert list(faults) == ["postal_code"]
    assert faults["postal_code"].startswith("“90210” is not a ZIP code of New York. Check both. There it looks like 1")


@pytest.mark.parametrize(
    ("country", "typed", "code"),
    [
        ("US", "california", "CA"),
        ("US", "ca", "CA"),
        ("BR", "sao paulo", "SP"),
        ("JP", "tokyo", "東京都"),
        ("JP", "東京都", "東京都"),
        ("HK", "九龍", "Kowloon"),
        ("IE", "CO. DUBLIN", "Co. Dublin"),
        ("AE", "Dubai", "إمارة دبيّ"),
        ("CA", "Colombie-Britannique", "BC"),
        ("TR", "istanbul", "İstanbul"),
    ],
)
def test_a_region_is_kept_by_its_code_however_it_was_named(country, typed, code):
    assert find_region(country, typed) == code


def test_a_region_that_is_not_on_the_list_is_refused_with_the_nearest():
    assert address_faults(DUBLIN | {"country_area": "Dublin"}) == {
        "country_area": "“Dublin” is not a county on Ireland's list. Choose one from it, for example Co. Dublin."
    }
    assert "for example" in address_faults(DUBLIN | {"country_area": "{x} ?"})["country_area"]


@pytest.mark.parametrize("typed", ["ie", " IE ", "IRL", "ireland", "Ireland"])
def test_a_country_may_be_named_in_any_way(typed):
    assert address(**DUBLIN | {"country": typed}) == DUBLIN


@pytest.mark.parametrize("typed", ["Narnia", "XX", "ZZ", "ALL", "../ie", "i", HUGE[:100]])
def test_an_unknown_country_is_refused(typed):
    faults = address_faults(DUBLIN | {"country": typed})
    assert faults == {"country": f"“{typed}” is not a country of the list. Choose one, or give its code of two letters, for example IE."}


@pytest.mark.parametrize("nothing", [{}, {"country": ""}, {"country": None}, {"city": "Dublin"}])
def test_an_empty_address_asks_for_the_country_first(nothing):
    assert address_faults(nothing) == {"country": "Choose a country from the list."}


@pytest.mark.parametrize("value", ["4 Harbour Road", None, [], 5])
def test_an_address_that_is_no_object_is_refused_as_a_whole(value):
    assert list(address_faults(value)) == [""]


def test_legacy_keys_are_read_and_both_are_kept_where_both_are_given():
    assert address(country="IE", street="4 Harbour Road", city="Dublin", state="co. dublin") == DUBLIN | {"country_area": "Co. Dublin"}
    assert address(**DUBLIN, street="5 Quay") == DUBLIN | {"street": "5 Quay"}
    assert address(**DUBLIN | {"street_address": "", "street": "5 Quay"}) == DUBLIN | {"street_address": "5 Quay"}
    assert address_faults({"country": "IE", "city": "Dublin", "street": ["x"]}) == {"street_address": "Write this as text."}


def test_further_keys_are_kept_as_they_came_and_empty_ones_dropped():
    extra = {
        "floor": 3,
        "gate": {"code": [1.5, None, True, "ä"], "note": ""},
        "model_dump": "x",
        "__class__": 1,
        "_private": 0,
        "open": False,
    }
    empty = {"a": "", "b": None, "c": [], "d": {}, "sorting_code": "  "}
    assert address(**DUBLIN, **extra, **empty) == DUBLIN | extra


def test_street_addresses_have_lines_and_parts_are_tidied():
    kept = address(**DUBLIN | {"street_address": " Unit 2 \r\n4  Harbour Road ", "city": " Du\u0301blin  8 "})
    assert kept["street_address"] == "Unit 2 \n4  Harbour Road"
    assert kept["city"] == "Dúblin 8"


@pytest.mark.parametrize("harm", SHARED_HARM.values(), ids=SHARED_HARM)
@pytest.mark.parametrize("key", ["country", "city", "street_address", "country_area", "postal_code", "city_area", "sorting_code", "gate"])
def test_no_part_of_an_address_takes_harmful_characters(key, harm):
    faults = address_faults(DUBLIN | {key: harm})
    assert list(faults) == [key]
    assert "character" in faults[key]


@pytest.mark.parametrize("harm", SHARED_HARM.values(), ids=SHARED_HARM)
def test_no_key_of_an_address_is_harmful(harm):
    assert list(address_faults(DUBLIN | {harm: 1})) == [""]
    assert list(address_faults(DUBLIN | {"gate": {harm: 1}})) == ["gate"]
    assert list(address_faults(DUBLIN | {"gate": [{"a": [harm]}]})) == ["gate"]


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 10**400, nested(100_000), {1: 2}, {1, 2}, object(), b"x"],
    ids=["NaN", "infinity", "401 digits", "nested", "number as key", "set", "object", "bytes"],
)
def test_what_json_cannot_keep_is_refused_at_its_key(value):
    assert list(address_faults(DUBLIN | {"gate": value})) == ["gate"]


@pytest.mark.parametrize(
    "parts",
    [
        {"gate": HUGE},
        {"gate": [None] * 5_000_000},
        {"gate": [[]] * 9_000},
        {HUGE: 1},
        {"gate": "é" * 4_100},
        {"gate": {"a": ["x" * 8_192]}},
        {str(number): 1 for number in range(10_000)},
        {str(number): "x" * 20 for number in range(400)},
    ],
    ids=["text", "list", "empty lists", "key", "bytes, not characters", "inside", "many keys", "many texts"],
)
def test_an_address_over_8_kib_is_refused_as_a_whole(parts):
    faults = address_faults(DUBLIN | parts)
    assert faults == {"": "This address is too large to keep. Leave out what does not belong to it; 8 KB fit in."}


def test_an_address_of_exactly_8_kib_is_kept():
    room = 8 * 1024 - len(json.dumps(DUBLIN | {"gate": ""}).encode())
    assert address(**DUBLIN, gate="x" * room)["gate"] == "x" * room
    assert list(address_faults(DUBLIN | {"gate": "x" * (room + 1)})) == [""]


@pytest.mark.parametrize("key", ["country", "country_area", "city", "city_area", "street_address", "postal_code", "sorting_code"])
def test_huge_parts_of_an_address_are_refused_unread_at_their_field(key):
    faults = address_faults(DUBLIN | {key: HUGE})
    assert list(faults) == [key]
    assert faults[key].startswith("Shorten this to")


def test_a_refused_address_does_not_carry_what_was_typed():
    with pytest.raises(ValidationError) as caught:
        Holder(address=DUBLIN | {"gate": HUGE})
    assert len(caught.value.json(include_url=False)) < 1_000


def test_an_address_that_was_read_once_is_taken_as_it_is():
    read = Address(**DUBLIN)
    assert Holder(address=read).address is read
    assert Address.model_validate(read.model_dump()) == read


SHORT = st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | SHORT


@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner) | st.dictionaries(SHORT, inner),
    )
)
@settings(max_examples=60, deadline=None)
def test_any_json_is_kept_exactly_or_refused_in_words(value):
    kept, refused = judged(lambda: address(**DUBLIN, gate=value))
    if refused:
        assert all(map(for_people, refused))
    else:
        assert kept.get("gate") == (value if value not in (None, "", [], {}) else None)
        assert json.loads(json.dumps(kept)) == kept
    assert isinstance(format_address(value), list)
    assert isinstance(format_address({"country": "US", "city": value, "postal_code": value, "country_area": value}), list)


def test_half_an_address_is_shown_without_dangling_separators():
    assert format_address({"country": "US", "city": "Albany"}) == ["Albany", "United States"]
    assert format_address({"country": "US", "country_area": "NY", "postal_code": "12207"}) == [
        "NY 12207",
        "United States",
    ]
    assert format_address({"country": "CH", "city": "Zürich"}) == ["Zürich", "Switzerland"]
    assert format_address({"country": "JP", "city": "Chiyoda", "street_address": "1-1"}) == ["1-1", "Chiyoda", "Japan"]
    assert format_address({"country": "Narnia", "city": "Cair Paravel"}) == ["Cair Paravel", "Narnia"]
    assert format_address({"city": 5, "street_address": ["x"]}) == []
    assert format_address(None) == []


# Countries and their fields


def test_fields_come_in_the_countrys_own_order_with_its_labels():
    shown = {code: [(field.key, field.label) for field in address_fields(code)] for code in ("IE", "JP", "GB", "HK")}
    assert shown["IE"] == [
        ("street_address", "Street address"),
        ("city_area", "Townland"),
        ("city", "Town or city"),
        ("country_area", "County"),
        ("postal_code", "Eircode"),
    ]
    assert shown["JP"] == [
        ("postal_code", "Postal code"),
        ("country_area", "Prefecture"),
        ("street_address", "Street address"),
    ]
    assert shown["GB"] == [("street_address", "Street address"), ("city", "Town or city"), ("postal_code", "Postcode")]
    assert shown["HK"] == [("country_area", "Area"), ("city", "District"), ("street_address", "Street address")]


def test_a_field_says_all_that_a_form_needs():
    fields = {field.key: field for field in address_fields("US")}
    state, zip_code, street = fields["country_area"], fields["postal_code"], fields["street_address"]
    assert ("CA", "California") in state.choices
    assert [name for _, name in state.choices] == sorted((name for _, name in state.choices), key=sort_key)
    assert (state.label, state.required, state.autocomplete, state.width) == ("State", True, "address-level1", "half")
    assert (zip_code.label, zip_code.example, zip_code.autocomplete, zip_code.choices) == (
        "ZIP code",
        "95014",
        "postal-code",
        None,
    )
    assert (street.autocomplete, street.width, street.example) == ("street-address", "full", "")
    assert not any(field.required for field in address_fields("IE") if field.key in {"postal_code", "country_area", "city_area"})


@pytest.mark.parametrize("country", ["", "XX", "ZZ", "ALL", "../ie", pytest.param(HUGE, id="huge")])
def test_fields_of_an_unknown_country_are_refused(country):
    assert sentence(address_fields, country) == "Choose a country from the list."


@pytest.mark.parametrize("country", sorted(country_codes()))
def test_every_country_has_fields_a_name_and_regions_that_can_be_chosen(country):
    fields = address_fields(country)
    assert fields[0].label
    assert "street_address" in {field.key for field in fields}
    assert country_name(country) not in {"", country}
    assert find_country(country_name(country)) == find_country(country.lower()) == country
    for code, name in regions(country).items():
        assert find_region(country, code) == find_region(country, name.upper()) == code
        address_rules(country, code)


def test_a_text_that_begins_like_a_country_is_none():
    assert find_country("Ireland") == "IE"
    assert find_country("Ireland" + " " * 300 + "and more") is None
    assert find_country(HUGE) is None


def test_countries_are_sorted_by_name_in_a_language():
    english, german = countries(), countries("de")
    assert len(english) == len(german) == len(country_codes()) > 240
    assert [name for _, name in english][:3] == ["Afghanistan", "Åland Islands", "Albania"]
    assert dict(german)["DE"] == "Deutschland"
    assert dict(countries("pt-BR"))["DE"] == "Alemanha"
    assert countries("nonsense!") == countries("") == countries(HUGE) == english
    assert "ZZ" not in dict(english)
    english.clear()
    assert countries()


@pytest.mark.parametrize(
    ("header", "country"),
    [
        ("en-IE,en;q=0.9", "IE"),
        ("de", "DE"),
        ("en,de-DE;q=0.8", "DE"),
        ("fr-CA;q=0.5, de-AT;q=0.9", "AT"),
        ("en-US;q=0,de-CH", "CH"),
        ("zh-Hant-HK", "HK"),
        ("zh-Hant", "TW"),
        ("ja", "JP"),
        ("pt", "BR"),
        ("EN-ie", "IE"),
        ("en-001", "US"),
        ("en-US;q=0", None),
        ("en-u-ca-gregory", "US"),
        ("eo", None),
        ("xx-XX", None),
        ("*", None),
        ("", None),
        (None, None),
        (";;q=,", None),
        ("en-IE\0", None),
        pytest.param(HUGE, None, id="huge"),
    ],
)
def test_a_country_is_guessed_from_the_browsers_languages(header, country):
    assert likely_country(header) == country


# Passwords


@pytest.mark.parametrize("password", ["correct horse battery staple", "pässwörtchen und mehr", "kV9#tqLw2!xZ", "x9" + "lkjQw8 z" * 15])
def test_a_good_password_is_taken(password):
    assert password_fault(password, []) is None
    assert password_strength(password, []).words in {"Strong", "Very strong"}
    assert password_strength(password, []).advice == ""


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("", "Choose a password of at least 12 characters"),
        (None, "Choose a password of at least 12 characters"),
        ("password", "This password has 8 characters. Use at least 12"),
        ("password1234", "very common password"),
        ("123456789012", "similar to a commonly used password"),
        ("aaaaaaaaaaaaaaaa", "Repeats"),
        ("            ", "Repeats"),
        ("abc\0defghijkl", "cannot be kept"),
        ("abc\ud800defghijkl", "cannot be kept"),
        ("x" * 129, "Shorten the password to 128 characters; it has 129."),
        pytest.param(HUGE, "Shorten the password to 128 characters", id="huge"),
    ],
)
def test_a_weak_password_is_refused_with_what_to_do(password, says):
    fault = password_fault(password, [])
    assert says in fault
    assert for_people(fault)
    assert password_strength(password, []).advice
    assert password_strength(password, []).words not in {"Strong", "Very strong"}


@pytest.mark.parametrize(
    "password",
    [
        "Quiet-Harbour-2026",
        "quietharbourdublin",
        "mara.ortiz.quiet",
        "M4raOrtiz!2026",
        "mara@example.org",
        "HARBOUR harbour Ortiz",
    ],
)
def test_a_password_made_of_known_names_is_refused(password):
    hints = ["Quiet Harbour", "quiet-harbour", "Mara", "Ortiz", "mara@example.org", "Dublin", ""]
    assert "made of names" in password_fault(password, hints)
    assert password_strength(password, hints).score < 3


def test_a_name_inside_a_good_password_does_no_harm():
    assert password_fault("harbour correct horse battery", ["Quiet Harbour"]) is None


def test_the_hints_of_one_call_do_not_reach_another():
    password_fault("zylophant-quarrel", ["zylophant", "quarrel"])
    assert password_fault("zylophant-quarrel", []) is None


def test_the_minimum_can_be_set():
    assert password_fault("kV9#tqLw2z", [], minimum=8) is None
    assert "Use at least 12" in password_fault("kV9#tqLw2z", [])
    assert "Use at least 16" in password_fault("kV9#tqLw2!xZ", [], minimum=16)
    assert password_strength("abc", [], minimum=16).words == "Too short"


@pytest.mark.parametrize("password", ["4@8({[<3691!|1|7$5+7%2" * 4, "a4@b8c({[<e3g69i1!|l1|7o0s$5t+7x%z2" * 2, "1!|7lit ab" * 12])
def test_signs_that_may_stand_for_letters_do_not_exhaust_the_server(password, monkeypatch):
    scored = []
    monkeypatch.setattr("zxcvbn.zxcvbn", lambda text, **kwargs: scored.append(text) or zxcvbn(text, **kwargs))
    assert password_fault(password[:128], ["Quiet Harbour"]) is None
    for text in scored:
        readings = len(enumerate_l33t_subs(relevant_l33t_subtable(text, L33T_TABLE)))
        assert len(text) <= 16 or readings * len(text) ** 2 <= 50_000


@given(st.text(min_size=12, max_size=80), st.lists(st.text(max_size=20), max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_password_is_judged(password, hints):
    fault = password_fault(password, hints)
    strength = password_strength(password, hints)
    assert (fault is None) == (strength.score >= 3)
    assert fault is None or for_people(fault)


# Visitors


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("unix:", "unknown"),
        pytest.param(HUGE, "unknown", id="huge"),
    ],
)
def test_attempts_are_counted_by_network(ip, network):
    assert network_of(ip) == network


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"{WEBKIT} Chrome/142.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edg/142.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {CHROME}", "Chrome on Android"),
        (
            f"Mozilla/5.0 (Linux; Android 14) {WEBKIT} SamsungBrowser/24.0 Chrome/117.0 Safari/537.36",
            "Samsung Internet on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 FxiOS/140 Safari/604.1",
            "Firefox on iPhone",
        ),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {CHROME} OPR/120.0", "Opera on macOS"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36", "Chrome on Linux"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (compatible; Examplebot/2.1; +https://example.org)", "Examplebot"),
        ("Mozilla/5.0 (Windows NT 10.0)", "a browser on Windows"),
        ("<script>", "unknown device"),
        ("", "unknown device"),
        (None, "unknown device"),
        pytest.param(HUGE, "x" * 40, id="huge"),
    ],
)
def test_a_device_is_named_as_its_owner_would(user_agent, device):
    assert device_name(user_agent) == device


CONFIGURATIONS = [
    ("{", "Line 1, column 2: a key in double quotes is missing here."),
    ('{"a": 1,}', "a key in double quotes is missing here."),
    ('{"a" 1}', "Line 1, column 6: a colon is missing here."),
    ('{"a": 1 "b": 2}', "a comma is missing here"),
    ('{"a": "x\ny"}', "Line 1, column 9: a line break"),
    ('{"a": "x}', "Line 1, column 7: the text that begins here has no closing quote."),
    ('{"a": "\\x"}', "follows a backslash"),
    ('{"a": 1} x', "Line 1, column 10: the document ends before this"),
    ("\ufeff{}", "invisible mark"),
    ("[]", "has to be an object"),
    ("12", "has to be an object"),
    ('{"a": {"b": 1,\n "c": [0, {"d": 1, "d": 2}]}}', "Line 2, column 20 (a.c[1].d): this key stands twice in one object."),
    ('{"NaN": "NaN", "x": -Infinity}', "Line 1, column 21: -Infinity is no number of JSON."),
    ('{"x": [1, 1e400]}', "Line 1, column 11 (x[1]): this number is too large."),
    ('{"x": ' + "9" * 5_000 + "}", "this number is too large."),
    ('{"x": "\\u0000"}', "U+0000"),
    ('{"\\u0000": 1}', "U+0000"),
    ('{"x": "\\ud800"}', "half a character"),
    ("[" * 10_000, "deeper than 20 levels"),
    ('{"a":' * 21 + "1" + "}" * 21, "Line 1, column 101 (" + ".".join("a" * 20) + "): this is nested deeper than 20 levels."),
    ("{" + ", ".join(f'"k{number}": 1' for number in range(1_001)) + "}", "(k1000): there are more than 1,000 keys."),
    ('{"x": "' + "ä" * 40_000 + '"}', "larger than 64 KiB"),
    ('{"x": "AKIA' + "A" * 16 + '"}', "(x): this looks like a secret key."),
    ('{"x": "-----BEGIN RSA PRIVATE KEY-----"}', "looks like a secret key"),
    ('{"x": [["ask sk-proj-' + "a" * 20 + '"]]}', "Line 1, column 9 (x[0][0]): this looks like a secret key."),
    ('{"a": 1, "ghp_' + "a" * 30 + '": 2}', "Line 1, column 10 (ghp_" + "a" * 30 + "): this looks like a secret key."),
    ('{"x": "xoxb-' + "1" * 10 + '", "y": "AIza' + "a" * 30 + '"}', "(x): this looks like a secret key."),
    ('{"x": "AIza' + "a" * 30 + '"}', "looks like a secret key"),
    ('{"x": "eyJ-eyJ-' + ".eyJ".join(["a" * 10] * 3) + '"}', "looks like a secret key"),
    ('{"x": ["a\\nsk-live-' + "a" * 20 + '"]}', "(x[0]): this looks like a secret key."),
    ('{"x": "\\u0073k-' + "a" * 20 + '"}', "(x): this looks like a secret key."),
    ('{"x": "AKI\\u0041' + "A" * 16 + '"}', "(x): this looks like a secret key."),
    ('{"x": "\u2013sk-' + "a" * 20 + '"}', "(x): this looks like a secret key."),
    ('{"x": "a\ud800"}', "half a character"),
    ('{"x": "a", "\\udfff": 1}', "Line 1, column 12 (\ufffd): a text holds half a character"),
    ('{"x": 0.' + "0" * 99 + ', "y": 1}', "Line 1, column 7 (x): this number is too large."),
    ('{"x": [[-1e309]]}', "Line 1, column 9 (x[0][0]): this number is too large."),
    *((f'{{"x": "a {begins}_' + "a" * 20 + '"}', "(x): this looks like a secret key.") for begins in ("sk", "pk", "rk")),
    ('{"x": [1, ' + "9" * 101 + "]}", "Line 1, column 11 (x[1]): this number is too large."),
    ('{"x": ' + "[" * 20 + "]" * 20 + "}", "Line 1, column 26 (x" + "[0]" * 20 + "): this is nested deeper than 20 levels."),
]


@pytest.mark.parametrize(("written", "sentence"), CONFIGURATIONS, ids=[sentence[:40] for _, sentence in CONFIGURATIONS])
def test_a_configuration_is_refused_with_the_place_of_the_fault(written: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence.rstrip("."))):
        read_configuration(written)


@pytest.mark.parametrize(
    "written",
    [
        *('{}', '{"a": [{"b": 1}, {"b": 2}], "b": "a \\" , {"}', '{"x": "\\ud83d\\ude00"}', '{"a":' * 20 + "1" + "}" * 20, '{"x": 1e308, "y": "sk-ip"}'),
        *('{"x": ["sk-", "' + "a" * 20 + '"]}', '{"x": "task-' + "a" * 20 + '"}', '{"x": "eyJ' + "a" * 20 + "." + "a" * 20 + '"}', '{"x": "\\\\u0000"}'),
        *('{"limits": {"turns": 7}, "x": 1.5, "y": "' + "9" * 101 + '", "z": -0.' + "0" * 97 + "}", '{"x": 1e-999}'),
        *('{"x": "\u00e9sk-' + "a" * 20 + '"}', '{"x": "AKIA' + "A" * 17 + '"}', '{"x": "\ud55c\ud7a3"}', '{"x": "a\\nrisk-' + "a" * 20 + '"}'),
        *('{"x": "a risk_' + "a" * 20 + '"}', '{"x": "' + "9" * 101 + '"}', '{"x": [true, null, [], {}, ""]}'),
        *('{"x": ' + "9" * 100 + "}", "{" + ", ".join(f'"k{number}": 1' for number in range(1_000)) + "}"),
    ],
)  # fmt: skip
def test_a_configuration_that_can_be_kept_is_read(written: str) -> None:
    read = read_configuration(written)
    assert json.dumps(read) == json.dumps(json.loads(written))
