"""Signed requests to an S3 server that hide nothing: for what probes it, and for what only one kind of server knows."""

import hashlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

import urllib3
from minio.credentials.credentials import Credentials
from minio.signer import sign_v4_s3

from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput, StoreUnavailable

TIMEOUT_S = 10.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Refused(Exception):
    """The server answered, and said no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}" + (f": {message}" if message else ""))
        self.status, self.code = status, code


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def checked(self) -> "Reply":
        """Return it; raise Refused where it is no success."""
        if self.status < 300:
            return self
        code, message = self.text("Code") or "", self.text("Message") or ""
        raise Refused(self.status, code, message)

    def text(self, tag: str) -> str | None:
        """Return the first text of an XML element of that name."""
        return next(self.texts(tag), None)

    def texts(self, tag: str) -> Iterator[str]:
        """Yield the texts of all XML elements of that name, whatever their namespace."""
        try:
            root = ElementTree.fromstring(self.body)
        except ElementTree.ParseError:
            return
        for element in root.iter():
            if element.tag.rpartition("}")[2] == tag:
                yield element.text or ""


@dataclass(frozen=True)
class Wire:
    """A way to one bucket, for one user."""

    server: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    ca_file: str | None = None

    @classmethod
    def open(cls, settings: Settings) -> "Wire":
        """Read the settings; raise BadInput where the bucket's address is none."""
        parts = urlsplit(settings.s3_url or "")
        bucket = parts.path.strip("/")
        if parts.scheme not in ("http", "https") or not parts.hostname or not bucket or "/" in bucket:
            raise BadInput(f"settings: PORELAY_S3_URL is {settings.s3_url!r}, wanted http[s]://host:port/bucket.")
        access, secret = settings.s3_access_key, settings.s3_secret_key
        return cls(
            server=f"{parts.scheme}://{parts.netloc}",
            bucket=bucket,
            access_key=access.get_secret_value() if access else "",
            secret_key=secret.get_secret_value() if secret else "",
            region=settings.s3_region,
            ca_file=str(settings.s3_ca_file) if settings.s3_ca_file else None,
        )

    def ask(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send a request for an object, or for the bucket; raise StoreUnavailable where nobody answers."""
        return self.send(method, f"/{self.bucket}/{quote(key)}" if key else f"/{self.bucket}", query, headers, body)

    def form(self, fields: Mapping[str, str]) -> Reply:
        """Send a form to the server itself, as its notification interface wants it."""
        return self.send("POST", "/", None, FORM, urlencode(fields).encode())

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send a signed request."""
        url = urlsplit(self.server + path + ("?" + urlencode(query or {}, quote_via=quote) if query else ""))
        signed = self._signed(method, url, dict(headers or {}), body)
        try:
            with self._pool() as pool:
                got = pool.request(method, url.geturl(), headers=signed, body=body, redirect=False)
        except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
            raise StoreUnavailable(f"S3 server {self.server}: {_reason(error)}") from error
        return Reply(got.status, got.headers, got.data)

    def _signed(self, method: str, url: Any, headers: dict[str, Any], body: bytes) -> dict[str, Any]:
        now, digest = datetime.now(UTC), hashlib.sha256(body).hexdigest()
        headers |= {
            "Host": url.netloc,
            "x-amz-content-sha256": digest,
            "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        }
        return sign_v4_s3(
            method=method,
            url=url,
            region=self.region,
            headers=headers,
            credentials=Credentials(access_key=self.access_key or "none", secret_key=self.secret_key or "none"),
            content_sha256=digest,
            date=now,
        )

    def _pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(timeout=TIMEOUT_S, retries=False, ca_certs=self.ca_file, cert_reqs="CERT_REQUIRED")


def _reason(error: BaseException) -> str:
    """Return why nobody answered, and what to do."""
    text = " ".join(str(error).split())
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return "its certificate is not one that we trust. Set PORELAY_S3_CA_FILE to the authority that signed it."
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return "it does not speak TLS on that port. Write http:// in PORELAY_S3_URL, or give the port of its TLS."
    if "refused" in text:
        return "nothing listens there. Check PORELAY_S3_URL, and that the server runs."
    if "timed out" in text:
        return f"no answer within {TIMEOUT_S:g} s. Check PORELAY_S3_URL, the network and the server."
    return f"{text}. Check PORELAY_S3_URL, and that the server runs."
