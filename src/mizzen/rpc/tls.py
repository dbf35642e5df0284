"""The server's side of TLS: a client certificate is verified if there is one, and asked of nobody.

A workload proves itself by a token first and by its certificate ever after, on the same port; that is why the
certificate is optional here and each handler looks at the peer.
"""

import ssl
from pathlib import Path


def server_context(chain_file: Path, key_file: Path, roots_pem: str) -> ssl.SSLContext:
    """A context for RpcServer. Make a new one when the certificate or the trusted roots change.

    Raises OSError or ssl.SSLError where the files cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain_file, key_file)
    context.load_verify_locations(cadata=roots_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2"])
    # A resumed session skips the verification of the client's certificate. In TLS 1.2 OpenSSL resumes by a session's ID, too,
    # and nothing in Python forbids it. All clients are ours: agents, and Envoys with a bootstrap of ours.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    return context
