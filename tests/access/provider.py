"""An identity provider on this machine: publishes its keys, and makes tokens, good and bad ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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
        self.says: dict[str, Any] = {"issuer": url, "jwks_uri": f"{url}/keys"}

    def body(self, path: str) -> bytes:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return json.dumps(self.says).encode()
        return json.dumps({"keys": [k.as_dict(private=False) for k in self.keys]}).encode()

    def claims(self, **more: Any) -> dict[str, Any]:
        made = {"iss": self.url, "aud": "stepkeel", "sub": "ann", "exp": NOW + 300, "iat": NOW, "roles": ["operator"], **more}
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
            body = provider.body(self.path)
            self.send_response(provider.status)
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
