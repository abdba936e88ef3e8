"""An authorisation server on loopback, with TLS, that plays by RFC 6749, 7636, 8628."""

import datetime
import json
import ssl
import threading
from base64 import urlsafe_b64encode
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> Path:
    """Write a key and a certificate for localhost to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + cert.public_bytes(serialization.Encoding.PEM)
    )
    return path


class AuthorisationServer:
    """Grants codes, tokens and refreshes; rotates refresh tokens; refuses the rest."""

    def __init__(self, folder: Path) -> None:
        path = certificate(folder)
        self.client_context = ssl.create_default_context(cafile=str(path))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._httpd = HTTPServer(("127.0.0.1", 0), self._handler())
        self._httpd.socket = context.wrap_socket(self._httpd.socket, server_side=True)
        self.issuer = f"https://localhost:{self._httpd.server_port}"
        self.forms: list[dict[str, str]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh = "refresh-0"
        self.count = 0
        self.pending = 0  # polls to be told to wait
        self.override: tuple[int, bytes] | None = None
        self.rotates = True
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> "AuthorisationServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()

    def agree(self, url: str, **more: str) -> str:
        """Be the person and the browser: return the address it ends at."""
        asked = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], **more}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def _tokens(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        match form["grant_type"]:
            case "authorization_code":
                asked = self.codes.pop(form["code"], None)
                made = sha256(form["code_verifier"].encode()).digest()
                challenge = urlsafe_b64encode(made).decode().rstrip("=")
                if asked is None or asked["code_challenge"] != challenge:
                    return 400, {"error": "invalid_grant"}
                if asked["redirect_uri"] != form["redirect_uri"]:
                    return 400, {"error": "invalid_grant"}
            case "refresh_token":
                if form["refresh_token"] != self.refresh:
                    return 400, {
                        "error": "invalid_grant",
                        "error_description": "revoked",
                    }
            case "urn:ietf:params:oauth:grant-type:device_code":
                if self.pending:
                    self.pending -= 1
                    error = (
                        "slow_down" if self.pending == 1 else "authorization_pending"
                    )
                    return 400, {"error": error}
        self.count += 1
        answer: dict[str, object] = {
            "access_token": f"access-{self.count}",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        if self.rotates or form["grant_type"] != "refresh_token":
            self.refresh = f"refresh-{self.count}"
            answer["refresh_token"] = self.refresh
        return 200, answer

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        if self.override is not None:
            return self.override
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "device_authorization_endpoint": f"{self.issuer}/device",
                }
            ).encode()
        self.forms.append(form)
        if form.get("client_id") != "id" or form.get("client_secret") != "shh":
            return 401, b'{"error": "invalid_client"}'
        if path == "/device":
            return 200, json.dumps(
                {
                    "device_code": "device-code",
                    "user_code": "ABCD-EFGH",
                    "verification_uri": f"{self.issuer}/go",
                    "expires_in": 300,
                    "interval": 5,
                }
            ).encode()
        status, data = self._tokens(form)
        return status, json.dumps(data).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(*outer.answer(self.path, {}))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                form = {k: v[0] for k, v in parse_qs(raw.decode()).items()}
                self._send(*outer.answer(self.path, form))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body.decode())
                    body = b""
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
