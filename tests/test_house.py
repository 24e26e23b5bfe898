"""The layers of the house, kept by reading every import, every template and every name."""

import ast
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.audit.sentences import SENTENCES
from portal.bulk.acting import ENTRIES

ROOT = Path(__file__).parents[1]
PORTAL, TEMPLATES, STATIC = ROOT / "portal", ROOT / "templates", ROOT / "static"

BASE = {"errors", "config", "actor"}
WORK = {"models", "commands", "services", "versions", "drafts", "clones", "acting", "undoing", "matching"}  # what a noun does
DOORS = {
    *WORK,
    *(
        "access",
        "policy",
        "responses",
        "forms",
        "configuration",
        "extensions",
        "values",
        "throttle",
        "finding",
        "rows",
        "health",
        "tenancy",
    ),
    *("sentences", "words", "charts", "comparing"),
}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors", "system"},
    "actor": {"values"},
    "values": {"errors", "values"},
    "models": {"extensions", "models", "values"},
    "policy": {"models", "extensions"},
    "sentences": set(),
    "configuration": {"errors", "values"},
    "shipped": {"values", "configuration"},
    "comparing": {"differences", "values"},
    "differences": set(),
    "commands": {"values", "errors", "sentences", "commands", "configuration"},
    "passwords": {"errors"},
    "throttle": {"extensions", "errors", "values"},
    "finding": {"extensions", "models", "commands", "errors", "values", "reading"},
    "versions": {"extensions", "policy", "models", "commands", "services", "values", "reading", *BASE},
    "drafts": {"extensions", "models", "services", "versions", *BASE},
    "lists": {"extensions", "models", "finding"},
    "matching": {"commands", "errors", "values"},
    "importing": {"policy", "models", "services", "acting", "matching", "extensions", "reading", "values", *BASE},
    "acting": {"policy", "models", "services", "lists", "finding", "extensions", *BASE},
    "undoing": {"policy", "models", "services", "acting", "lists", "finding", "extensions", *BASE},
    "clones": {"policy", "models", "commands", "services", "versions", "extensions", *BASE},
    "services": {
        *("extensions", "policy", "models", "commands", "services", "finding", "values", "tenancy", "reading", "passwords", "throttle"),
        *("work", "outbox", "letters", "servers", "versions", "drafts", "configuration", "acting", "undoing", "matching", "importing"),
        *BASE,
    },
    "work": {"actor", "extensions", "models", "policy"},
    # what the worker sends mail with: none of it knows the application, which takes long to load
    "outbox": {"database"},
    "letters": set(),
    "servers": {"config", "letters"},
    "forms": {"forms", "commands", "configuration", "extensions", "errors", "signing", "values"},
    "pages": {*DOORS, *BASE},
    "version_pages": {"pages", *DOORS, *BASE},
    "api": {*DOORS, *BASE},
    "access": {"extensions", "policy", "services", *BASE},
    "responses": {"extensions", "errors", "config"},
    "headers": {"extensions", "errors"},
    "words": {"config", "policy", "sentences", "signing", "rendering", "values"},
    "rows": {"policy", "actor", "finding", "signing"},
    "signing": set(),
    "charts": set(),
    "assets": set(),
    "compiled": {"system"},
    "rendering": set(),
    "controls": {"rendering"},
    "extensions": {"config", "tenancy", "values"},
    "cli": {"extensions", "errors", "system", "services", "commands", "config", "database", "shipped", "lists"},
}
# The processes around the application, the rooms below it, which look at each other only, and the testers' kit, which nothing else uses.
MACHINERY = {"__init__", "application", "framework", "serve", "processes", "web", "handover", "slow_clients", "system"}
MACHINE_ROOMS = {"database", "worker", "testing"}
PRIVATE = {"pages", "version_pages", "api", "forms"}
ALL = [path for path in PORTAL.rglob("*.py") if path.parent.name not in MACHINE_ROOMS and path.stem not in MACHINERY]
LAYERS = [*ALL, *(PORTAL / "values").glob("__init__.py")]
WEB = {"flask", "werkzeug", "flask_wtf", "wtforms", "flask_login"}


def layer_of(path: Path) -> str:
    return "values" if path.parent.name == "values" else path.stem


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def imported_modules(path: Path) -> Iterator[list[str]]:
    """The portal's modules that a file imports, as their parts below portal/."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "portal":
            inner = (node.module or "").split(".")[1:]
            for alias in node.names:
                parts = [*inner, alias.name]
                found = [
                    p for p in (parts, inner) if p and (PORTAL.joinpath(*p).with_suffix(".py").exists() or PORTAL.joinpath(*p).is_dir())
                ]
                yield found[0] if found else parts


@pytest.mark.parametrize("path", LAYERS, ids=names(LAYERS))
def test_each_file_imports_only_the_layers_below_it(path: Path) -> None:
    allowed = MAY_IMPORT[layer_of(path)]
    for module in imported_modules(path):
        layer = (
            module[0] if module[0] in {"values", "database"} and layer_of(path) != "services" and module[-1] not in allowed else module[-1]
        )
        layer = "values" if module[0] == "values" else layer
        assert layer in allowed, f"{path.relative_to(ROOT)} imports {'.'.join(module)}"
        if layer in PRIVATE and len(module) == 2:
            assert module[0] == path.parent.name, f"{path.parent.name} reaches into {'.'.join(module)}"


RULES = [path for path in LAYERS if layer_of(path) in {*WORK, "importing", "lists", "policy", "errors", "values", "config"}]


@pytest.mark.parametrize("path", RULES, ids=names(RULES))
def test_rules_know_nothing_of_the_web(path: Path) -> None:
    roots = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert not roots & WEB


def calls(name: str) -> set[str]:
    """The files in which something called `name` is called as a method of the session, or a header of that name is read."""
    return {str(path.relative_to(PORTAL)) for path in PORTAL.rglob("*.py") if path.parent.name != "testing" and name in path.read_text()}


def test_only_the_policy_compares_roles() -> None:
    for path in PORTAL.rglob("*.py"):
        if path.stem == "policy":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                operands = [ast.unparse(part) for part in (node.left, *node.comparators)]
                assert not any(re.search(r"\.role\b|Role[.(]", part) for part in operands), f"{path}: {ast.unparse(node)}"


def test_only_the_responses_look_at_htmx() -> None:
    assert calls('"HX-Request') == {"responses.py"}


def test_only_the_database_room_opens_connections() -> None:
    assert {name.split("/")[0] for name in calls("psycopg2.connect(") | calls("create_engine(")} == {"database"}


def test_only_the_extensions_commit() -> None:
    assert calls("session.commit(") == {"extensions.py"}


def test_nothing_that_serves_uses_the_testers_kit() -> None:
    users = {str(path.relative_to(PORTAL)) for path in PORTAL.rglob("*.py") for module in imported_modules(path) if module[0] == "testing"}
    assert {name.split("/")[0] for name in users} == {"testing"}


PAGES = sorted(path for path in TEMPLATES.rglob("*.html") if path.parent.name not in {"layouts", "components", "mail"})


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_pages_extend_a_layout_and_fragments_do_not(path: Path) -> None:
    assert ("{% extends" in path.read_text()) != path.name.startswith("_")


ALL_TEMPLATES = sorted(TEMPLATES.rglob("*.html"))


@pytest.mark.parametrize("path", ALL_TEMPLATES, ids=names(ALL_TEMPLATES))
def test_templates_use_nothing_that_the_content_security_policy_or_htmx_4_leaves_dead(path: Path) -> None:
    text = path.read_text()
    if path.parent.name == "mail":
        return
    for dead in ("hx-on", "js:", "hx-disabled-elt", "hx-ext=", "onclick=", "onchange=", "<style", 'style="', "|safe", "| safe", "hx-vars"):
        assert dead not in text, f"{path.relative_to(ROOT)} holds {dead}"


def test_vendored_files_are_what_the_manifest_says() -> None:
    manifest = json.loads((STATIC / "vendor" / "MANIFEST.json").read_text())
    for entry in manifest:
        file = STATIC / "vendor" / entry["file"] if not entry["file"].startswith("static/") else ROOT / entry["file"]
        digest = b64encode(hashlib.sha384(file.read_bytes()).digest()).decode()
        assert entry["sha384"].removeprefix("sha384-") in (digest, hashlib.sha384(file.read_bytes()).hexdigest()), f"{file} was changed"
    vendored = {path.name for path in (STATIC / "vendor").rglob("*.min.*")}
    assert vendored == {Path(entry["file"]).name for entry in manifest}


def test_the_dark_of_the_system_is_the_dark_that_is_chosen() -> None:
    css = (STATIC / "portal.css").read_text()
    chosen = re.search(r'\n\[data-bs-theme="?dark"?\][^{]*\{([^}]*)\}', css)
    system = re.search(r":root:not\(\[data-bs-theme\]\)[^{]*\{([^}]*)\}", css)
    assert chosen
    assert system
    assert tokens(chosen[1]) == tokens(system[1])
    assert tokens(chosen[1])


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", block))


def called(function: str, position: int = 0) -> set[str]:
    """The texts that may stand in this place wherever something of this name is called."""
    found: set[str] = set()
    for path in PORTAL.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == function and len(node.args) > position:
                argument = node.args[position]
                either = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
                found |= {part.value for part in either if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return found


def test_everything_that_is_recorded_has_its_words_and_no_words_are_left_over() -> None:
    acts = {*called("record"), *called("act"), *called("note"), *called("_note"), *called("finish", 1), *ENTRIES.values()}
    assert acts == SENTENCES.keys()


def test_every_mail_has_text_and_html_and_no_template_is_left_over() -> None:
    mails = called("queue") | called("queue_many") | called("_rendered")
    assert {path.name for path in (TEMPLATES / "mail").iterdir()} == {f"{name}.{kind}" for name in mails for kind in ("txt", "html")}


def test_every_template_is_used() -> None:
    texts = [path.read_text() for path in (*PORTAL.rglob("*.py"), *TEMPLATES.rglob("*.html"))]
    used = {name for text in texts for name in re.findall(r'"([\w/]+\.html)"', text)}
    assert {str(path.relative_to(TEMPLATES)) for path in ALL_TEMPLATES if path.parent.name != "mail"} == used - {"mail/{template}.html"}


def test_every_module_says_in_one_sentence_what_it_is_for() -> None:
    for path in PORTAL.rglob("*.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, f"{path.relative_to(ROOT)} does not say what it is for"
