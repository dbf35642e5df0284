"""A field of the API that nothing reads has no effect; then something must say so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mizzen.config.support import UNSUPPORTED
from scripts.support_page import EFFECTIVE, OF_KUBERNETES, fields, is_below

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["support_page.py", "analysis_page.py"])
def test_the_page_says_what_the_code_says(script):
    done = subprocess.run(
        [sys.executable, f"scripts/{script}", "--check"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def words_of_the_road():
    """What the code behind `config` reads as an attribute, or names in a text. Common names hide behind others."""
    text = "\n".join(
        path.read_text()
        for part in (
            "derive/**/*.py",
            "translate/**/*.py",
            "daemon/proxy_start.py",
            "daemon/registration.py",
            "agent/probe.py",
            "config/credentials.py",
        )
        for path in (ROOT / "src/mizzen").glob(part)
    )
    return set(re.findall(r'[."](\w+)\b', text))


@pytest.mark.parametrize("kind", EFFECTIVE, ids=lambda kind: kind.name)
def test_no_field_is_ignored_in_silence(kind, words_of_the_road):
    told = tuple(path for table in (UNSUPPORTED, OF_KUBERNETES) for path in table.get(kind.name, ()))
    ignored = [
        field.path
        for field in fields(kind)
        if field.attribute not in words_of_the_road
        and not is_below(field.path, told)
        and not any(path.startswith(f"{field.path}.") for path in told)  # told member by member
    ]
    assert ignored == [], "implement these, or name them in config/support.py"
