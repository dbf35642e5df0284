"""Do gateways take every host, and do policies admit everybody?"""

from mizzen.analysis.objects import resources
from mizzen.analysis.posture.check import Weaknesses, check
from mizzen.config.diagnostics import Finding
from mizzen.config.types.security import Action, Rule
from mizzen.incremental import Database


@check(
    "Do gateways name the hosts that they serve?",
    why="any VirtualService can then take any host name, that of another team's application too",
    codes="MZ0305",
)
def gateway_hosts(db: Database) -> Weaknesses:
    for gateway in resources(db, "Gateway"):
        for index, server in enumerate(gateway.spec.servers):
            for number, host in enumerate(server.hosts):
                if host.rpartition("/")[2] == "*":
                    path = ("spec", "servers", index, "hosts", number)
                    message = f'port {server.port.number} takes every host ("{host}")'
                    yield gateway.key, Finding("MZ0305", path, message, "name the hosts that it serves")


@check(
    "Do policies say who is admitted?",
    why="everybody who gets a certificate of the mesh, or anybody at all, may do what the policy allows",
    codes="MZ0306",
)
def policy_principals(db: Database) -> Weaknesses:
    for policy in resources(db, "AuthorizationPolicy"):
        if policy.spec.action is not Action.ALLOW:
            continue
        for index, rule in enumerate(policy.spec.rules):
            path = ("spec", "rules", index)
            if rule == Rule():
                message = "an empty rule allows everything to everybody"
                yield policy.key, Finding("MZ0306", path, message, "say from whom, and to what")
            for number, origin in enumerate(rule.from_):
                if origin.source is not None and "*" in origin.source.principals:
                    where = (*path, "from", number, "source", "principals")
                    message = 'the principal "*" is every workload of the mesh'
                    yield (
                        policy.key,
                        Finding("MZ0306", where, message, "name the principals that need access"),
                    )
