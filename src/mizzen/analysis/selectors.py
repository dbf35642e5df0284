"""Label selectors as text."""

from collections.abc import Mapping


def selector_text(labels: Mapping[str, str]) -> str:
    """As people write it: app=web,version=v1."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items())) or "(all)"
