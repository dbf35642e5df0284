"""Makes a private key and the certificate signing request for it, in a process that ends at once.

`python -m mizzen.agent.keys` reads the identity (a SPIFFE URI) from its input and writes key and CSR as JSON to its
output: neither a command line nor an environment ever holds the key, and the agent need not carry the cryptography
package (10 MB) for its life.
"""

import json
import sys
from dataclasses import dataclass

from mizzen.agent.credentials import PrivateKeyPem
from mizzen.errors import UserError
from mizzen.processes import Command, run


@dataclass(frozen=True, slots=True)
class KeyAndRequest:
    key: PrivateKeyPem
    csr_pem: str


async def make_key(identity: str) -> KeyAndRequest:
    """A new P-256 key with its CSR, from the helper process. Raises UserError where the helper fails."""
    finished = await run(
        Command(name="the key helper", argv=(sys.executable, "-m", "mizzen.agent.keys")), identity.encode()
    )
    if not finished.exit.ok:
        last_line = finished.stderr.rpartition("\n")[2]
        raise UserError(f"cannot make a key: the helper {finished.exit}: {last_line}")
    made = json.loads(finished.stdout)
    return KeyAndRequest(PrivateKeyPem(made["key"]), made["csr"])


def _generate(identity: str) -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    csr = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(name, critical=True)
    )
    return {
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "csr": csr.sign(key, SHA256()).public_bytes(Encoding.PEM).decode(),
    }


if __name__ == "__main__":
    json.dump(_generate(sys.stdin.read().strip()), sys.stdout)
