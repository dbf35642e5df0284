"""Kubernetes' RBAC: who may do what. Read for one question: may a service account read the secrets of a namespace?

Read as Kubernetes' other kinds are: what the mesh does not need is let through unread.
"""

from typing import Any

from msgspec import field

from mizzen.config.types.message import LenientMessage


class PolicyRule(LenientMessage):
    """Everything that is named: any of the verbs on any of the resources."""

    verbs: tuple[str, ...] = ()  # "*": all
    api_groups: tuple[str, ...] = ()  # "": core; "*": all
    resources: tuple[str, ...] = ()  # in the plural; "*": all
    resource_names: tuple[str, ...] = ()  # (): all objects
    non_resource_urls: Any = field(default=None, name="nonResourceURLs")  # paths of the API server itself


class Role(LenientMessage):
    """Role and ClusterRole. Read whole."""

    rules: tuple[PolicyRule, ...] = ()  # what it allows; any of them
    aggregation_rule: Any = None  # rules that a Kubernetes cluster collects into `rules`


class RoleRef(LenientMessage):
    name: str  # of the role
    kind: str = ""  # Role or ClusterRole
    api_group: str = ""  # rbac.authorization.k8s.io


class Subject(LenientMessage):
    name: str  # of the account, the user or the group
    kind: str = ""  # ServiceAccount, User or Group
    namespace: str = ""  # of a service account; "": the binding's
    api_group: str = ""  # of the kind


class RoleBinding(LenientMessage):
    """RoleBinding and ClusterRoleBinding. Read whole."""

    role_ref: RoleRef  # what is allowed
    subjects: tuple[Subject, ...] = ()  # to whom
