"""Does a proxy run an Envoy with a published vulnerability?"""

from dataclasses import dataclass
from typing import Final

from mizzen.analysis.inputs import ENVOY_VERSIONS
from mizzen.analysis.posture.check import Weaknesses, check
from mizzen.config.diagnostics import Finding
from mizzen.incremental import Database

Version = tuple[int, int, int]

AS_OF: Final = "2025-10"
"""The month to which ADVISORIES is complete for what it lists. It is no list of everything: see Envoy's security page."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """A vulnerability of Envoy. `fixed`: the first release of each line that has the fix; later lines have it."""

    cve: str
    published: str
    what: str
    fixed: tuple[Version, ...]

    def affects(self, version: Version) -> bool:
        line = next((fixed for fixed in self.fixed if fixed[:2] == version[:2]), None)
        return version < (line if line is not None else max(self.fixed))


ADVISORIES: Final = (
    Advisory(
        "CVE-2023-44487",
        "2023-10-10",
        "HTTP/2 Rapid Reset: streams that are opened and reset exhaust the processor",
        ((1, 24, 11), (1, 25, 10), (1, 26, 5), (1, 27, 1)),
    ),
    Advisory(
        "CVE-2024-23324",
        "2024-02-09",
        "a crafted PROXY protocol header passes external authorization by",
        ((1, 26, 7), (1, 27, 3), (1, 28, 1), (1, 29, 1)),
    ),
    Advisory(
        "CVE-2024-30255",
        "2024-04-04",
        "a flood of HTTP/2 CONTINUATION frames exhausts the processor",
        ((1, 26, 8), (1, 27, 4), (1, 28, 2), (1, 29, 3)),
    ),
    Advisory(
        "CVE-2025-62409",
        "2025-10-16",
        "large requests or responses can crash the TCP connection pool",
        ((1, 33, 10), (1, 34, 9), (1, 35, 5), (1, 36, 1)),
    ),
)


@check(
    "Is Envoy free of the vulnerabilities that this release knows?",
    why="everything that reaches a workload passes Envoy first, from outside the mesh too",
    codes="MZ0312",
)
def envoy_versions(db: Database) -> Weaknesses:
    for runner in ENVOY_VERSIONS.keys(db):
        text = ENVOY_VERSIONS(db, runner) or ""
        version = parse_version(text)
        for advisory in ADVISORIES if version else ():
            if version is not None and advisory.affects(version):
                message = (
                    f"{runner} runs Envoy {text}: {advisory.cve} ({advisory.published}), {advisory.what}"
                )
                fixed = " or ".join(".".join(map(str, each)) for each in advisory.fixed)
                yield None, Finding("MZ0312", (), message, f"upgrade to {fixed}, or newer")


def parse_version(text: str) -> Version | None:
    """1.40.0, 1.40.0-dev; None for what is no version."""
    parts = text.split("-", maxsplit=1)[0].removeprefix("v").split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
        return None
    major, minor, patch = map(int, parts)
    return major, minor, patch
