"""SPIFFE identities in Istio's form: spiffe://<trust domain>/ns/<namespace>/sa/<service account>."""

import re
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(r"spiffe://([^/]+)/ns/([^/]+)/sa/([^/]+)")

CLUSTER_ID = "Kubernetes"
"""Of the one cluster that there is: Istio's default."""


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """Who a workload is. `str()` gives the URI that stands in its certificate."""

    trust_domain: str
    namespace: str
    service_account: str

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Raises ValueError where the URI has not Istio's form."""
        found = _FORM.fullmatch(uri)
        if found is None:
            raise ValueError(f"{uri!r} is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>")
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"
