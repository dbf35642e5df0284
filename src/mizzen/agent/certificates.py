"""Gets the workload's certificate from the daemon and renews it, for as long as the agent runs."""

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mizzen.agent.credentials import Credentials, PrivateKeyPem, validity
from mizzen.agent.daemon import DaemonError, Daemons
from mizzen.agent.settings import Settings
from mizzen.errors import UserError
from mizzen.processes import BackOff, Command, run
from mizzen.proto.api import IstioCertificateRequest, IstioCertificateResponse

_METHOD: Final = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
_WORKLOAD_NAME: Final = (
    "WorkloadName"  # in the request's metadata: whose telemetry the certificate's subject carries
)
_RETRY: Final = BackOff(first_seconds=0.1, max_seconds=10.0)

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class KeyAndRequest:
    key: PrivateKeyPem
    csr_pem: str


async def make_key(identity: str) -> KeyAndRequest:
    """A new key with its CSR, from the helper process. Raises UserError where the helper fails."""
    finished = await run(
        Command(name="the key helper", argv=(sys.executable, "-m", "mizzen.agent.keys")), identity.encode()
    )
    if not finished.exit.ok:
        raise UserError(
            f"cannot make a key: the helper {finished.exit}: {finished.stderr.rpartition(chr(10))[2]}"
        )
    made = json.loads(finished.stdout)
    return KeyAndRequest(PrivateKeyPem(made["key"]), made["csr"])


def renewal_pause_seconds(credentials: Credentials, now: float, chance: float) -> float:
    """How long to wait with the renewal of what was issued just now: until 40 to 50 % of the life are over, so that half a
    life is left to try again in, and workloads that started together do not ask together. What lies behind does not count:
    for clocks that are slow a certificate is valid from before it was issued, and a short life would be over at once.
    """
    life = credentials.not_after - max(now, credentials.not_before)
    return max(0.0, life * (0.4 + 0.1 * chance))


class Certificates:
    """Keeps one valid certificate at hand. Each new one goes to `publish`.

    The first is asked for with the join token, the next with the certificate before. After a refusal the other proof
    is tried, so that neither an expired certificate nor a daemon with another root needs a restart of the agent.
    """

    def __init__(
        self,
        settings: Settings,
        daemons: Daemons,
        publish: Callable[[Credentials], None],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._daemons = daemons
        self._publish = publish
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        self.current: Credentials | None = None
        self.issued = 0

    async def keep(self) -> None:
        """Run until cancelled; failures are logged and tried again for ever."""
        while True:
            self.current = await self._obtain()
            self.issued += 1
            self._publish(self.current)
            pause = renewal_pause_seconds(self.current, self._clock(), self._chance())
            remaining = self.current.not_after - self._clock()
            _log.info(
                "certificate number %d: valid for %.0f s, renewed in %.0f s", self.issued, remaining, pause
            )
            # Not even a clock that is wrong by a life may turn this into a busy loop.
            await self._sleep(max(pause, 0.1))

    async def _obtain(self) -> Credentials:
        """A new certificate, however long it takes."""
        failures = 0
        by_token = self.current is None
        while True:
            try:
                return await self._request(by_token=by_token or self._expired())
            except (UserError, DaemonError) as error:
                failures += 1
                delay = _RETRY.delay_seconds(failures, self._chance())
                _log.warning("no certificate: %s; next attempt in %.1f s", error, delay)
            if self.current is not None and self._settings.token_file is not None:
                by_token = not by_token
            await self._sleep(delay)

    def _expired(self) -> bool:
        return self.current is None or self._clock() >= self.current.not_after

    async def _request(self, *, by_token: bool) -> Credentials:
        made = await make_key(str(self._settings.identity))
        request = IstioCertificateRequest(
            csr=made.csr_pem,
            validity_duration=self._settings.cert_ttl_seconds,
            metadata={_WORKLOAD_NAME: self._settings.name},
        )
        reply = await self._daemons.call(
            _METHOD,
            request,
            IstioCertificateResponse,
            credentials=None if by_token else self.current,
            metadata={"authorization": f"Bearer {self._token()}"} if by_token else None,
        )
        *chain, roots = reply.cert_chain or [""]
        try:
            not_before, not_after = validity("".join(chain))
        except ValueError as error:
            raise DaemonError(f"the daemon sent something that is no certificate: {error}") from None
        return Credentials(made.key, "".join(chain), roots, not_before, not_after)

    def _token(self) -> str:
        path = self._settings.token_file
        if path is None:
            raise UserError("a join token is needed for the first certificate", "give one with --token-file")
        try:
            token = path.read_text().strip()
        except OSError as error:
            raise UserError(f"cannot read the join token {path}: {error.strerror}") from None
        if not token.isascii() or not token.isprintable() or not token:
            raise UserError(f"{path} holds no join token", "make one with the daemon's host")
        return token
