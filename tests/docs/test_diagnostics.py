"""The examples of docs/diagnostics.md: each YAML, decoded, gives exactly the lines below it."""

import re

import pytest

from mizzen.config.decode import decode
from tests.support.pages import DOCS

PAGE = (DOCS / "diagnostics.md").read_text()
_SECTION = re.compile(r"^### (?P<code>(?:MZ|IST)\d{4}) .*?(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"```yaml\n(?P<yaml>.*?)```\n\n```text\n(?P<lines>.*?)```", re.DOTALL)

EXAMPLES = {
    section["code"]: (example["yaml"], example["lines"])
    for section in _SECTION.finditer(PAGE)
    for example in _EXAMPLE.finditer(section.group())
}


def test_there_are_examples():
    assert len(EXAMPLES) > 15


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example(code):
    text, lines = EXAMPLES[code]
    found = decode(text, "hello.yaml").diagnostics
    assert [str(one) for one in found] == lines.splitlines()
    assert code in {one.code for one in found}
