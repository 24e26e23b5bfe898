"""What a request tells of its sender: a likely country, a network, a device."""

import ipaddress
import re
from collections.abc import Iterator

from portal.values.countries import country_codes

LONGEST_HEADER = 1_000
TAG = re.compile(
    r"\s*([a-z]{2,8})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?(?:-[a-z0-9]{1,8})*\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?",
    re.IGNORECASE | re.ASCII,
)
SAYS_NOTHING = {"Mozilla", "AppleWebKit", "Gecko", "KHTML", "Version", "Mobile"}
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Opera", "Opera"),
    ("Vivaldi", "Vivaldi"),
    ("SamsungBrowser", "Samsung Internet"),
    ("YaBrowser", "Yandex Browser"),
    ("DuckDuckGo", "DuckDuckGo"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chromium", "Chromium"),
    ("HeadlessChrome", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
    ("MSIE", "Internet Explorer"),
    ("Trident", "Internet Explorer"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
)


def likely_country(accept_language: str | None) -> str | None:
    """A guess from Accept-Language: the region of the best tag that names one, else the home of the best language."""
    tags = _by_preference((accept_language or "")[:LONGEST_HEADER])
    named = (region for _, _, region in tags if region in country_codes())
    return next(named, None) or next((home for tag in tags if (home := _home_of(*tag[:2]))), None)


def _by_preference(header: str) -> list[tuple[str, str, str]]:
    """(language, script, region) of each tag, best first."""
    tags = []
    for match in filter(None, map(TAG.fullmatch, header.split(","))):
        language, script, region, weight = (part or "" for part in match.groups())
        tags.append((float(weight or 1), (language.lower(), script.title(), region.upper())))
    best_first = sorted(tags, key=lambda tag: -tag[0])
    return [tag for weight, tag in best_first if weight]


def _home_of(language: str, script: str) -> str | None:
    """The country where most readers of a language (in that script) live, from Babel's likely subtags."""
    from babel.core import get_global

    likely = get_global("likely_subtags")
    country = str(likely.get(f"{language}_{script}") or likely.get(language) or "").rpartition("_")[2]
    return country if country in country_codes() else None


def network_of(ip: str | None) -> str:
    """The network whose attempts are counted together: an IPv4 address, an IPv6 address's /64, else "unknown"."""
    try:
        address = ipaddress.ip_address((ip or "")[:100].partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def device_name(user_agent: str | None) -> str:
    """A device as its owner would call it ("Firefox on Linux"); "unknown device" only when nothing is told."""
    text = (user_agent or "")[:LONGEST_HEADER]
    browser = next((name for token, name in BROWSERS if re.search(rf"\b{token}\w*[/ ;]", text)), None)
    system = next((name for token, name in SYSTEMS if token in text), None)
    program = browser or next(_programs(text), None)
    if program and system:
        return f"{program} on {system}"
    return program or (f"a browser on {system}" if system else "unknown device")


def _programs(text: str) -> Iterator[str]:
    """The names of programs other than browsers, such as curl."""
    names = re.findall(r"^[A-Za-z][\w.+-]*|\b[A-Za-z][\w.+-]*(?=/)", text)
    return (name[:40] for name in names if name not in SAYS_NOTHING)
