"""What people type, understood once for forms, API and command line: tidied or refused in words, and shown readably."""

from portal.values.accounts import EmailAddress, Username, clean_email, clean_email_and_key, clean_username, email_key, username_key
from portal.values.address_rules import AddressField, address_fields
from portal.values.addresses import Address, known_parts
from portal.values.configurations import fault_of_text, json_sentence, line_and_column, read_configuration, seems_readable
from portal.values.countries import countries, country_codes, country_name
from portal.values.credentials import code_hash, credential_parts, new_code, new_credential
from portal.values.documents import Member, member, members, pretty, rewritten
from portal.values.envelope import format_address
from portal.values.passwords import Strength, password_fault, password_strength, strong_password
from portal.values.phones import example_phone, format_phone, parse_phone
from portal.values.sheets import SheetFault, csv_line, harmless, read_csv
from portal.values.subdomains import Subdomain, clean_subdomain, reserved_subdomains, suggest_subdomain
from portal.values.texts import (
    LongText,
    MayBeCleared,
    Name,
    OptionalText,
    PersonName,
    clean_line,
    clean_lines,
    clean_long_text,
    clean_name,
    clean_person_name,
    fingerprint,
    folded,
    full_name,
    sort_key,
    unseen_sentence,
)
from portal.values.visitors import device_name, likely_country, network_of
from portal.values.zones import TimeZone, time_zones, zone

__all__ = [
    "Address",
    "AddressField",
    "EmailAddress",
    "LongText",
    "MayBeCleared",
    "Member",
    "Name",
    "OptionalText",
    "PersonName",
    "SheetFault",
    "Strength",
    "Subdomain",
    "TimeZone",
    "Username",
    "address_fields",
    "clean_email",
    "clean_email_and_key",
    "clean_line",
    "clean_lines",
    "clean_long_text",
    "clean_name",
    "clean_person_name",
    "clean_subdomain",
    "clean_username",
    "code_hash",
    "countries",
    "country_codes",
    "country_name",
    "credential_parts",
    "csv_line",
    "device_name",
    "email_key",
    "example_phone",
    "fault_of_text",
    "fingerprint",
    "folded",
    "format_address",
    "format_phone",
    "full_name",
    "harmless",
    "json_sentence",
    "known_parts",
    "likely_country",
    "line_and_column",
    "member",
    "members",
    "network_of",
    "new_code",
    "new_credential",
    "parse_phone",
    "password_fault",
    "password_strength",
    "pretty",
    "read_configuration",
    "read_csv",
    "reserved_subdomains",
    "rewritten",
    "seems_readable",
    "sort_key",
    "strong_password",
    "suggest_subdomain",
    "time_zones",
    "unseen_sentence",
    "username_key",
    "zone",
]
