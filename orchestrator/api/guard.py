"""Who may ask: the Host and Origin checks, the key, and the headers that keep the page to itself."""

import hmac
import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.problems import problem

OPEN_PATHS = frozenset({"/", "/docs", "/healthz", "/readyz", "/favicon.ico"})
"""Served without a key: the page asks for the key itself, and a kubelet has none."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # plotly.js sets styles from script
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

MAX_BODY_BYTES = 4 * 1024 * 1024
"""10,000 price rows of the longest form are some 2 MB."""

_TOO_LARGE = f"The body is too large; at most {MAX_BODY_BYTES:,} bytes are taken."

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class KeyRequiredError(Exception):
    """The API was to be opened to a network without a key."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own: `localhost`, 127.0.0.0/8 or ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_key_unless_loopback(host: str, api_key: str | None) -> None:
    """Raise KeyRequiredError where `host`, the address to listen on, is not loopback and there is no key."""
    if not api_key and not is_loopback(host):
        raise KeyRequiredError(
            f"refusing to listen on {host} without an API key: whoever reaches it could curtail the site; "
            "set one as WATTSHIFT_API_KEY, or listen on 127.0.0.1"
        )


class Guard:
    """ASGI middleware. Without a key only requests addressed to loopback pass, so that no page of another site,
    by DNS rebinding or a cross-site form, can speak to the controller through the operator's browser."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self.app = app
        self.api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        taken = 0

        async def receive_within_limit() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
            return message

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive_within_limit, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path, method = Headers(scope=scope), str(scope["path"]), str(scope["method"])
        if self.api_key is None and not is_loopback(_host_name(headers.get("host", ""))):
            return problem(
                path,
                HTTPStatus.MISDIRECTED_REQUEST,
                f"Host {headers.get('host', '')!r} is not this machine; without an API key only localhost, "
                "127.0.0.1 and [::1] are answered.",
            )
        if self.api_key is not None and not (path in OPEN_PATHS or path.startswith("/static/")):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            # compared as the bytes on the wire; compare_digest refuses text beyond ASCII
            right = hmac.compare_digest(given.strip().encode("latin-1"), self.api_key.encode())
            if scheme.lower() != "bearer" or not right:
                return problem(
                    path,
                    HTTPStatus.UNAUTHORIZED,
                    "The API key is missing or wrong; send `Authorization: Bearer <key>`.",
                    headers={"WWW-Authenticate": 'Bearer realm="wattshift"'},
                )
        return None if method in _SAFE_METHODS else _unsafe_write(headers, path, method)


def _unsafe_write(headers: Headers, path: str, method: str) -> Response | None:
    """Refuse a write that a page of another site could have sent, or that is too large."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        return problem(
            path, HTTPStatus.FORBIDDEN, f"Origin {origin!r} is foreign; only this server's own pages may write."
        )
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if method != "DELETE" and media_type != "application/json":
        return problem(
            path,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {media_type!r} is not taken; send application/json.",
            headers={"Accept": "application/json"},
        )
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        return problem(path, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
    return None


def _host_name(host: str) -> str:
    """The name in a Host header, without its port; empty if it has none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
