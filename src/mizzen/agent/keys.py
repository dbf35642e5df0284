"""Makes a private key and the certificate signing request for it, in a process that ends at once.

`python -m mizzen.agent.keys` reads the identity (a SPIFFE URI) from its input and writes key and CSR as JSON to its
output: neither a command line nor an environment ever holds the key, and the agent need not carry the cryptography
package (10 MB) for its life. It imports nothing else, to end soon.
"""

import json
import sys


def generate(identity: str) -> dict[str, str]:
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
    json.dump(generate(sys.stdin.read().strip()), sys.stdout)
