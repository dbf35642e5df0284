"""The posture report: every check, what it found, and how many pass."""

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.analysis.posture.check import Check, Weakness
from mizzen.analysis.posture.default_deny import default_deny
from mizzen.analysis.posture.egress import egress
from mizzen.analysis.posture.envoy import envoy_versions
from mizzen.analysis.posture.expiry import certificate_expiry
from mizzen.analysis.posture.mutual_tls import mutual_tls
from mizzen.analysis.posture.tls import tls_ciphers, tls_verification, tls_versions
from mizzen.analysis.posture.wildcards import gateway_hosts, policy_principals
from mizzen.incremental import Database, query

CHECKS: tuple[Check, ...] = (
    mutual_tls,
    default_deny,
    policy_principals,
    egress,
    gateway_hosts,
    tls_versions,
    tls_ciphers,
    tls_verification,
    certificate_expiry,
    envoy_versions,
)
"""In the order in which one would mend them."""


@dataclass(frozen=True, slots=True)
class Posture:
    """What all checks found, check by check."""

    results: tuple[tuple[str, tuple[Weakness, ...]], ...]

    @property
    def passed(self) -> int:
        return sum(not found for _, found in self.results)

    @property
    def weaknesses(self) -> Iterable[Weakness]:
        return (weakness for _, found in self.results for weakness in found)

    @property
    def score(self) -> str:
        """The line that sums it up."""
        count = len(self.results)
        return f"posture: {self.passed} of {count} checks pass ({100 * self.passed // count} %)"


@query
def posture(db: Database) -> Posture:
    """All checks over the whole mesh."""
    return Posture(tuple((check.name, tuple(check.find(db))) for check in CHECKS))
