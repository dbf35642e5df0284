"""Collects *.md: one heading, one test. `--update-specs` fills the snapshots, never in CI."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import specs
from tests.support.select import SelectError


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-specs", action="store_true", help="write what is into the snapshots of tests/specs"
    )


def _updating(config: pytest.Config) -> bool:
    if not config.getoption("update_specs", default=False):
        return False
    if os.environ.get("CI"):
        raise pytest.UsageError("snapshots are never filled in CI: run `make specs-update` and read the diff")
    return True


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.File | None:
    if file_path.suffix != ".md" or file_path.parent != Path(__file__).parent:
        return None
    found: pytest.File = SpecFile.from_parent(parent, path=file_path)
    return found


class SpecFile(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        text = self.path.read_text()
        try:
            found = specs.parse(text)
            if _updating(self.config):
                self.path.write_text(specs.filled(text, found))
                found = specs.parse(self.path.read_text())
        except (specs.SpecError, SelectError) as error:
            raise self.CollectError(f"{self.path.name}: {error}") from None
        for spec in found:
            yield SpecItem.from_parent(self, name=spec.title, spec=spec)


class SpecItem(pytest.Item):
    def __init__(self, *, spec: specs.Spec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec

    def runtest(self) -> None:
        for check in self.spec.checks:
            made = self.spec.evaluate(check)
            assert check.snapshot is not None, f"{check.path}: no snapshot yet: run `make specs-update`"
            assert made == check.snapshot, check.path

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.spec.line, f"{self.path.name}: {self.spec.title}"
