"""The certificate authority: it turns "who are you?" into a certificate that every proxy of the mesh believes.

A workload proves who it is once, with a join token that the daemon has given out (`tokens`), and from then on with
the certificate it got for it (`service`). It makes its key itself and sends a CSR; the CSR proves that it possesses
the key, and nothing else in it is read (`csr`). The identity, `spiffe://<trust domain>/ns/<namespace>/sa/<service
account>`, comes from the proof alone. The certificate lives for hours (`authority`), and its subject carries what
the metrics of the other side show about the workload (`subject`), never what anything is authorised by.

The CA is the user's, plugged in as an intermediate, or a self-signed root made at the first start (`plugged`). The
daemon serves with a certificate of the same CA (`server_identity`).

    authority = open_authority(state / "ca", "cluster.local", now=clock(), random_bytes=os.urandom)
    token_key = JoinTokenKey.open(state / "join-token.key", os.urandom)
    service = CertificateService(authority, token_key, CertificatePolicy(...), clock)
    server_identity = ServerIdentity(authority, ServedAs("cluster.local", addresses=(...)), clock=clock)
    server = RpcServer([service, ...], tls=server_identity.context)

What holds, each with a test:

- The certificate carries the caller's identity and no rights of a CA, whatever the CSR claims.
- Nothing outlives the CA: lives are clamped to its expiry. An expired CA signs nothing.
- Secrets (`keys.PrivateKey`, `tokens.JoinTokenKey`) cannot be printed, logged, copied or pickled. `reveal_pem` is
  the one way out, used to write the root's key at its making and to load the server's key into TLS.
- Files with secrets are 0600 in a folder of 0700 and whole or absent; a key that others can read is refused.
- Clock and randomness come from outside, but for the making of keys, which is OpenSSL's.
- No caller can keep the event loop busy: sizes are limited, signatures take turns, callers have an allowance
  (`admission`). A P-256 signature takes 0.1 ms; an RSA-4096 key that a user plugs in takes some milliseconds each.

A rotation of the root comes in by `Authority.roots`, which is a bundle: verifiers get all of it.
"""
