"""What the documents say is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_example_of_settings_names_only_settings() -> None:
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert named <= {name.upper() for name in Settings.model_fields}
    assert named


def test_the_rooms_are_on_the_map() -> None:
    rooms = (ROOT / "CONTRIBUTING.md").read_text()
    for path in (ROOT / "portal").glob("*.py"):
        assert path.name in rooms, f"CONTRIBUTING.md does not know {path.name}"


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
