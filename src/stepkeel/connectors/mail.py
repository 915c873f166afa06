"""email.send: a message by SMTP. The server, and who it is from, says the service `Mail`."""

from __future__ import annotations

import contextlib
import hashlib
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, Literal

from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.errors import TransientError
from stepkeel.model.outcome import Fail
from stepkeel.model.policy import Retry

__all__ = ["Letter", "Mail", "send"]


@dataclass
class Letter:
    """`text` or `html`, or both, as two forms of the same."""

    to: str | list[str]
    subject: str
    text: str = ""
    html: str = ""
    cc: list[str] = field(default_factory=list[str])
    reply_to: str = ""


@dataclass(frozen=True)
class Mail:
    """A server that takes letters. `tls`: starttls (default), tls from the beginning, or none. `timeout` in seconds."""

    host: str
    sender: str
    port: int = 587
    username: str = ""
    password: str = field(default="", repr=False)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    timeout: float = 30.0

    def deliver(self, letter: EmailMessage) -> None:
        """Raises what smtplib does."""
        context = None if self.tls == "none" else ssl.create_default_context()
        kind: Any = smtplib.SMTP_SSL if self.tls == "tls" else smtplib.SMTP
        options: dict[str, Any] = {"context": context} if self.tls == "tls" else {}
        server = kind(self.host, self.port, timeout=self.timeout, **options)
        try:
            if self.tls == "starttls":
                server.starttls(context=context)
            if self.username:
                server.login(self.username, self.password)
            server.send_message(letter)
        finally:
            with contextlib.suppress(OSError, smtplib.SMTPException):  # what was taken is sent, however they part
                server.quit()


@activity(name="email.send", retry=Retry(attempts=5, delay=5.0, backoff="exponential", max_delay=300.0, retry_on=(TransientError,)))
def send(ctx: Context[Any, Letter], mail: Mail) -> str:
    """Send a message; gives its Message-ID, which is the same for every attempt."""
    said = ctx.input
    to = [said.to] if isinstance(said.to, str) else said.to
    if not to or not (said.text or said.html):
        raise Fail("MAIL_BAD_LETTER", "a letter has somebody that it is to, and a text")
    letter = EmailMessage()
    identity = f"<{hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32]}@{mail.sender.rpartition('@')[2].strip('> ')}>"
    headers = {"From": mail.sender, "To": ", ".join(to), "Cc": ", ".join(said.cc), "Subject": said.subject}
    headers |= {"Reply-To": said.reply_to, "Message-ID": identity, "Date": formatdate(ctx.now.timestamp())}
    try:
        for name, value in headers.items():
            if value:
                letter[name] = value
        letter.set_content(said.text or "This message is written in HTML.")
        if said.html:
            letter.add_alternative(said.html, subtype="html")
    except ValueError as error:  # a line break in a header: somebody wants to add another
        raise Fail("MAIL_BAD_LETTER", str(error)) from None
    try:
        mail.deliver(letter)
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        if any(400 <= code < 500 for code in codes):
            raise TransientError(f"{mail.host} refuses recipients for now") from None
        raise Fail("MAIL_REFUSED", f"{mail.host} refuses {', '.join(error.recipients)}") from None
    except smtplib.SMTPAuthenticationError:
        raise Fail("MAIL_NOT_ALLOWED", f"{mail.host} does not take user and password") from None
    except smtplib.SMTPResponseException as error:
        if 400 <= error.smtp_code < 500:
            raise TransientError(f"{mail.host}: {error.smtp_code}") from None
        raise Fail("MAIL_REFUSED", f"{mail.host}: {error.smtp_code}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise TransientError(f"{mail.host}: {type(error).__name__}") from None
    return identity
