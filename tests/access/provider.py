"""An identity provider on this machine: publishes its keys, makes tokens, good and bad ones, and has a page to sign in at."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

NOW = 1_767_225_600  # 2026-01-01, where a virtual clock begins
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
FOREIGN = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})


class Provider:
    """`keys` are those it publishes now; `asked` counts requests; `answer` None: as it should be, else this status."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[Any] = [RSA, EC]
        self.asked: list[str] = []
        self.status = 200
        self.says: dict[str, Any] = {
            "issuer": url, "jwks_uri": f"{url}/keys", "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
        }  # fmt: skip
        self.now: Callable[[], int] = lambda: NOW
        self.lasts = 300  # seconds: its tokens
        self.asks: dict[str, dict[str, str]] = {}  # what was asked at its page, by the code that it gave
        self.forms: list[dict[str, str]] = []  # what its token endpoint was sent
        self.refresh = "again-1"  # the token that renews; another one each time
        self.grants: dict[str, Any] = {}  # more that the token endpoint says, or None to leave it out

    def body(self, path: str) -> bytes:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return json.dumps(self.says).encode()
        return json.dumps({"keys": [k.as_dict(private=False) for k in self.keys]}).encode()

    def come_in(self, asked: dict[str, str]) -> str:
        """The page, where nobody has to be asked who they are: the address that it leads back to."""
        code = f"code-{len(self.asks)}"
        self.asks[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def grant(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """RFC 6749, 4.1.3 and 6; RFC 7636, 4.6."""
        self.forms.append(form)
        if form["grant_type"] == "refresh_token":
            fits = form["refresh_token"] == self.refresh
        else:
            asked = self.asks.pop(form["code"], {})
            digest = _part(hashlib.sha256(form["code_verifier"].encode()).digest())
            known = {"code_challenge": digest, "redirect_uri": form["redirect_uri"], "client_id": form["client_id"]}
            fits = bool(asked) and known.items() <= asked.items()
        if not fits:
            return 400, {"error": "invalid_grant", "error_description": "the code does not fit"}
        self.refresh = f"again-{len(self.forms) + 1}"
        told = {"access_token": self.token(), "id_token": self.token(aud=form["client_id"]), "refresh_token": self.refresh}
        return 200, {k: v for k, v in {**told, **self.grants}.items() if v is not None}

    def claims(self, **more: Any) -> dict[str, Any]:
        made = {
            "iss": self.url,
            "aud": "stepkeel",
            "sub": "ann",
            "exp": self.now() + self.lasts,
            "iat": self.now(),
            "roles": ["operator"],
            **more,
        }
        return {k: v for k, v in made.items() if v is not None}

    def token(self, key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **more: Any) -> str:
        head = {"alg": alg, "kid": key.kid, **(header or {})}
        return jwt.encode({k: v for k, v in head.items() if v is not None}, self.claims(**more), key, algorithms=[alg])

    def by_hand(self, header: dict[str, Any], secret: bytes = b"", **more: Any) -> str:
        """Whatever no library makes: unsigned, or signed with a published key as if it were a shared secret."""
        parts = [_part(json.dumps(header).encode()), _part(json.dumps(self.claims(**more)).encode())]
        made = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest() if secret else b""
        return ".".join([*parts, _part(made)])


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@contextmanager
def running() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/authorize?"):
                self.send_response(302)
                self.send_header("Location", provider.come_in(dict(parse_qsl(self.path.partition("?")[2]))))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = provider.body(self.path)
            self.send_response(provider.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

            return

        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            kind, _, shown = self.headers.get("Authorization", "").partition(" ")
            if kind == "Basic":
                names = map(unquote_plus, base64.b64decode(shown).decode().split(":"))
                form |= zip(("client_id", "client_secret"), names, strict=True)
            form["shown"] = kind or "in the form"
            status, told = provider.grant(form)
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
