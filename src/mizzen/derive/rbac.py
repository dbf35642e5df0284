"""Kubernetes' RBAC, as far as the mesh asks: may a service account read the secrets of its namespace?

Source: Istio asks the API server whether the account of a proxy may list secrets, before it serves one to it.
"""

from collections.abc import Iterator

from mizzen.config.resource import ResourceKey
from mizzen.config.types.rbac import PolicyRule, Role, RoleBinding, RoleRef, Subject
from mizzen.derive.inputs import BY_KIND, BY_NAMESPACE, RESOURCES
from mizzen.incremental import Database, query


@query
def may_list_secrets(db: Database, namespace: str, service_account: str) -> bool:
    """Whether a service account of a namespace may list all secrets there."""
    return any(_lists_secrets(db, ref, namespace) for ref in _roles(db, namespace, service_account))


def _roles(db: Database, namespace: str, service_account: str) -> Iterator[RoleRef]:
    keys = (*BY_NAMESPACE(db, ("RoleBinding", namespace)), *BY_KIND(db, "ClusterRoleBinding"))
    for key in keys:
        resource = RESOURCES(db, key)
        binding = resource.spec if resource else None
        if isinstance(binding, RoleBinding) and any(
            _is(subject, key.namespace, namespace, service_account) for subject in binding.subjects
        ):
            yield binding.role_ref


def _is(subject: Subject, owner: str, namespace: str, service_account: str) -> bool:
    if subject.kind == "ServiceAccount":
        return (subject.namespace or owner, subject.name) == (namespace, service_account)
    if subject.kind == "User":
        return subject.name == f"system:serviceaccount:{namespace}:{service_account}"
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return subject.kind == "Group" and subject.name in groups


def _lists_secrets(db: Database, ref: RoleRef, namespace: str) -> bool:
    key = ResourceKey(ref.kind, namespace if ref.kind == "Role" else "", ref.name)
    resource = RESOURCES(db, key)
    role = resource.spec if resource else None
    return isinstance(role, Role) and any(map(_allows_listing, role.rules))


def _allows_listing(rule: PolicyRule) -> bool:
    """A rule for single secrets allows no list of them."""
    return (
        not rule.resource_names
        and not {"*", "list"}.isdisjoint(rule.verbs)
        and not {"*", "secrets"}.isdisjoint(rule.resources)
        and not {"*", ""}.isdisjoint(rule.api_groups)
    )
