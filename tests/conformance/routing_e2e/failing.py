"""The cases that are known to fail, each with the reason. One that passes all the same fails the run."""

from collections.abc import Mapping

FAILING: Mapping[str, str] = {}
