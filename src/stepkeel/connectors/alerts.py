"""Where alerts go: a webhook, people by e-mail, or both. A service: `Engine(url, [...], services={Alerts: Alerts(...)})`."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from stepkeel.errors import BadRequest
from stepkeel.extra import needing

if TYPE_CHECKING:
    from stepkeel.connectors.mail import Mail

__all__ = ["Alerts", "Notice"]

SIGNATURE = "X-Stepkeel-Signature"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is sent: that something is wrong since then, or is over. `id` is the same of both, and of a notice sent again."""

    id: str
    status: Literal["firing", "resolved"]
    alert: str
    subject: str
    severity: str
    summary: str
    since: datetime
    fleet: str


class Alerts:
    """Who is told of what is wrong, by the oldest worker that has this service.

    webhook  a URL that is sent each notice by POST, as JSON; any 2xx says it was taken
    secret   the header X-Stepkeel-Signature is `sha256=` and the HMAC-SHA-256 of the body with it, in hexadecimal
    mail     a server that takes letters; to: whom they are sent to
    fleet    a name for what is watched, in each notice
    every    seconds between two looks; timeout: of the webhook; transport: of httpx2, for tests and proxies. Raises BadRequest.
    """

    def __init__(
        self,
        *,
        webhook: str = "",
        secret: str = "",
        mail: Mail | None = None,
        to: Sequence[str] = (),
        fleet: str = "stepkeel",
        every: float = 60.0,
        timeout: float = 10.0,
        transport: Any = None,
    ) -> None:
        parts = urlsplit(webhook)
        if webhook and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise BadRequest("webhook= is no URL", remedy="https://alerts.example.com/stepkeel")
        if (mail is None) != (not to) or isinstance(to, str):
            raise BadRequest(
                "mail= is a server and to= a list of people, both or none", remedy='mail=Mail(...), to=["ops@example.com"]'
            )
        if not webhook and mail is None:
            raise BadRequest("nobody is told", remedy="webhook=, or mail= and to=")
        if not 1 <= every <= 3600:
            raise BadRequest(f"every={every}", remedy="1 to 3,600 seconds")
        if webhook:
            with needing("httpx2", "alerts by webhook", "http"):
                from httpx2 import AsyncClient
            self._open: Any = AsyncClient
        self._webhook, self._secret = webhook, secret.encode()
        self._mail, self._to = mail, tuple(to)
        self.fleet, self.every, self._timeout, self._transport = fleet, every, timeout, transport

    def __repr__(self) -> str:
        told = [*(["a webhook"] if self._webhook else []), *self._to]
        return f"Alerts({', '.join(told)})"

    def ways(self) -> tuple[str, ...]:
        """How notices are sent: each way has its own failures."""
        return (*(("webhook",) if self._webhook else ()), *(("mail",) if self._mail else ()))

    async def send(self, way: str, notice: Notice) -> None:
        """Raises what goes wrong: it was not taken then, as far as is known."""
        if way == "webhook":
            await self._post(notice)
        else:
            await asyncio.to_thread(self._deliver, notice)

    async def _post(self, notice: Notice) -> None:
        body = msgspec.json.encode(notice)
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{notice.id}/{notice.status}"}
        if self._secret:
            headers[SIGNATURE] = "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        async with self._open(timeout=self._timeout, transport=self._transport) as client:
            answer = await client.post(self._webhook, content=body, headers=headers)
        if not 200 <= answer.status_code < 300:
            raise OSError(f"it answered {answer.status_code}")

    def _deliver(self, notice: Notice) -> None:
        from email.message import EmailMessage  # every process imports this file, few send mail

        assert self._mail is not None
        letter = EmailMessage()
        word = notice.severity if notice.status == "firing" else "resolved"
        letter["From"], letter["To"] = self._mail.sender, ", ".join(self._to)
        letter["Subject"] = f"[{notice.fleet}] {word}: {notice.alert} {' '.join(notice.subject.split())}"
        letter["Message-ID"] = f"<{notice.id}.{notice.status}@{self._mail.sender.rpartition('@')[2].strip('> ')}>"
        letter.set_content(f"{notice.summary}\n\nsince {notice.since:%Y-%m-%d %H:%M} UTC\n")
        self._mail.deliver(letter)
