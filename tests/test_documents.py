"""What the documents say is so."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from portal.agent_files.commands import CONTENT, read_file
from portal.agents.configuration import fields
from portal.config import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_something(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} names {target}"


def test_every_setting_is_described_and_nothing_else() -> None:
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert described - {"PORTAL_PG_BIN"} == {name.upper() for name in Settings.model_fields}


REFUSING = [*(ROOT / "portal" / name for name in ("config.py", "system.py", "handover.py", "processes.py", "serve.py"))]
REFUSING += [ROOT / "portal" / "worker" / "__main__.py", *(ROOT / "portal" / "database").glob("*.py")]
GATHERED = {"config.py": " is missing| is plain http", "health.py": "^The (database|table) "}
RAISED = {"StartRefused", "SettingsRefused", "ValueError", "say"}


def sentence(node: ast.AST) -> str:
    """What the code says, with "…" for what it fills in; '' for what is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join("…" if isinstance(part, ast.FormattedValue) else str(part.value) for part in node.values)
    return ""


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All below a node, texts with placeholders as a whole."""
    yield node
    if not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from nodes(child)


def refusals(path: Path) -> set[str]:
    """The sentences that a file refuses with: what it raises or says, and what `config` and `health` gather as faults."""
    told = set()
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED:
            named = "…: " if node.func.id == "ValueError" else ""  # by its setting
            told |= {named + sentence(argument) for argument in node.args if sentence(argument)}
        elif path.name in GATHERED and re.search(GATHERED[path.name], sentence(node)):
            told.add(sentence(node))
    return {one for one in told if re.search("[a-z]{2}", one)} - WHILE_SERVING


WHILE_SERVING = {
    "The … ended; it is started again in … s.",
    "The worker could not do its work (…); it tries again in … s.",
    "… is out of reach for the account …, so the data is kept in ….",
}
TABLES = re.findall(r"^\| it says \| do \|\n.*\n((?:\|.*\n)+)", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)
BEGINNINGS = [row.split(" | ")[0].removeprefix("| ") for table in TABLES for row in table.splitlines()]


def test_every_refusal_to_start_is_explained_and_nothing_else() -> None:
    told = {one for path in REFUSING for one in refusals(path)}
    assert len(told) > 50
    assert not {one for one in told if not one.startswith(tuple(BEGINNINGS))}
    assert not {beginning for beginning in BEGINNINGS if not any(one.startswith(beginning) for one in told)}


def test_the_example_of_settings_names_only_settings() -> None:
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert named <= {name.upper() for name in Settings.model_fields}
    assert named


COMMANDS = {command for document in DOCUMENTS for command in re.findall(r"\bflask ([a-z][a-z-]+)", document.read_text())}


def test_every_command_is_told_of_and_every_command_that_is_told_of_exists(running_app: Flask) -> None:
    assert running_app.cli.commands.keys() == COMMANDS


USUAL = {"__init__.py", "models.py", "commands.py", "services.py", "forms.py", "pages.py"}


def test_the_rooms_are_on_the_map() -> None:
    rooms, overview = (ROOT / "CONTRIBUTING.md").read_text(), (ROOT / "README.md").read_text()
    nouns = {path.parent for path in (ROOT / "portal").glob("*/*.py") if path.name in USUAL - {"__init__.py"}}
    for path in (ROOT / "portal").glob("*.py"):
        assert path.name in rooms, f"CONTRIBUTING.md does not know {path.name}"
    for noun in nouns:
        assert f"{noun.name}/" in overview, f"README.md does not know {noun.name}/"
        for path in noun.glob("*.py"):
            assert path.name in USUAL or re.search(rf"{noun.name}/ also .*\b{path.name}", rooms), f"CONTRIBUTING.md does not know {path}"


def test_every_file_that_contributing_names_is_there() -> None:
    named = re.findall(r"`((?:portal|tests|templates|migrations|static|docs|bench)/[\w/.-]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 10
    assert not [path for path in named if not (ROOT / path).exists()]


EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "testing.md").read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_for_testers_run(number: int, tmp_path: Path) -> None:
    example = tmp_path / "test_example.py"
    example.write_text(EXAMPLES[number])
    run = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(example)] if "def test_" in EXAMPLES[number] else [str(example)]
    done = subprocess.run([sys.executable, *run], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def environment() -> dict[str, str]:
    """As a stranger's shell would have it: nothing of this test run, the project found from its folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_TEST", "PYTEST"))}
    return {**kept, "PYTHONPATH": str(ROOT)}


def test_testers_are_shown_every_way_of_driving_the_portal() -> None:
    assert len(EXAMPLES) == 3


def test_every_field_of_a_configuration_and_of_a_file_is_described_and_nothing_else() -> None:
    text = (ROOT / "docs" / "agents.md").read_text()
    known = [f"| `{one.name}` | {one.kind} | {one.label}. {one.help} |" for one in fields()]
    assert re.findall(r"^\| `.*` \| (?:(?:long|whole) )?(?:text|number|lines) \| .*$", text, flags=re.MULTILINE) == known
    file = re.search(r"```json\n(.*?)```", text, flags=re.DOTALL)
    assert file
    (agent,) = read_file(file[1].encode()).agents
    assert agent.agent_type == "FLOWER_ADVICE"
    keys = {"schema", "schema_version", "agents", *CONTENT, "configuration"}
    assert (
        keys
        == set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", text, flags=re.MULTILINE))
        == {*json.loads(file[1]), *json.loads(file[1])["agents"][0]}
    )
