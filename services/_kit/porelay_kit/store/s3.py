"""One bucket of an S3 server: objects in and out, and what the server's refusals mean to the user."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError, SSLError

from porelay_kit.settings import Settings
from porelay_kit.store.base import ObjectInfo, Sent, untold
from porelay_schemas.errors import BadInput, Denied, StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")

PART_BYTES = 8 * 2**20
"""Objects beyond this size travel in parts."""
PARTS = 10_000
"""S3 allows no more."""
TRANSFERS = 8
"""Objects that travel at once."""
WRITER = "x-amz-meta-writer"
"""Header that says who created an object: its value is what `create` was given."""
URL = re.compile(r"(?P<endpoint>https?://[^/@?#]+)/(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/?")

ABSENT = {"NoSuchKey", "ResourceNotFound", "NoSuchUpload"}
FULL = {"QuotaExceeded", "XAmzQuotaExceeded", "InsufficientStorage", "XMinioStorageFull"}
REFUSED = {
    "NoSuchBucket": "there is no such bucket. Make it with `porelay topology apply`, or correct PORELAY_S3_URL.",
    "InvalidAccessKeyId": "the server does not know this access key. Check PORELAY_S3_ACCESS_KEY.",
    "SignatureDoesNotMatch": "the secret key does not fit the access key. Check PORELAY_S3_SECRET_KEY.",
    "AccessDenied": "this user may not do that. Check PORELAY_S3_ACCESS_KEY and _SECRET_KEY, and the user's policy.",
    "RequestTimeTooSkewed": "this machine's clock and the server's are too far apart. Set both by NTP.",
    "AuthorizationHeaderMalformed": "the server expects another region. Set PORELAY_S3_REGION to the bucket's.",
    "PermanentRedirect": "the bucket is in another region, or at another address. Check PORELAY_S3_URL and _REGION.",
    "KeyTooLongError": "the key is longer than the server allows. Use a shorter name.",
    "MethodNotAllowed": "the server does not offer that. `porelay doctor` says what is missing.",
}
OF_THE_REQUEST = {"KeyTooLongError", "MethodNotAllowed"}
"""What of these no administrator can change."""
IGNORANT = {"NotImplemented", "InvalidArgument", "InvalidRequest"}
"""What servers answer that know of no conditional put and say so."""
ONCE = {"If-None-Match": "*"}


@dataclass(frozen=True)
class Address:
    """Where a bucket is, and who asks."""

    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    ca_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Address":
        """Return what the settings say; raise BadInput where they are not enough."""
        found = URL.fullmatch(settings.s3_url or "")
        if not found:
            raise BadInput("setting s3_url: wanted `http[s]://host:port/bucket`, without user or path. Correct it.")
        keys = {"S3_ACCESS_KEY": settings.s3_access_key, "S3_SECRET_KEY": settings.s3_secret_key}
        for name, key in keys.items():
            if key is None:
                raise BadInput(f"store {settings.s3_url}: PORELAY_{name} is not set. Set it, or PORELAY_{name}_FILE.")
        access, secret = (key.get_secret_value() for key in keys.values() if key is not None)
        return cls(found["endpoint"], found["bucket"], access, secret, settings.s3_region, settings.s3_ca_file)

    @property
    def url(self) -> str:
        """The bucket's address, without secrets."""
        return f"{self.endpoint}/{self.bucket}"


@dataclass(frozen=True)
class Upload:
    """An upload in parts that was begun and not completed."""

    key: str
    id: str
    begun: datetime


@dataclass(frozen=True)
class _Progress:
    """What the client tells of an upload."""

    sent: Sent

    def set_meta(self, object_name: str, total_length: int) -> None:
        """Hear how much there will be."""

    def update(self, length: int) -> None:
        """Hear of a part."""
        self.sent(length)


class _Client(Minio):
    """The client, and what its public methods cannot express: a put with headers of our own, uploads in parts."""

    def put_with(self, bucket: str, key: str, data: bytes, headers: dict[str, Any]) -> None:
        """Write an object."""
        self._put_object(bucket, key, data, headers)

    def uploads(self, bucket: str, prefix: str) -> Iterator[Upload]:
        """Yield the uploads of keys that begin so, each once: Ceph begins a page with the end of the last."""
        seen: set[Upload] = set()
        key = upload = None
        while True:
            page = self._list_multipart_uploads(bucket, prefix=prefix, key_marker=key, upload_id_marker=upload)
            told = [(one.object_name, str(one.upload_id), one.initiated_time) for one in page.uploads]
            new = [one for name, which, begun in told if begun and (one := Upload(name, which, begun)) not in seen]
            yield from new
            if not page.is_truncated or not new:
                return
            seen.update(new)
            key, upload = page.next_key_marker, page.next_upload_id_marker

    def uploaded_bytes(self, bucket: str, upload: Upload) -> int:
        """Return the size of the parts that have come, as far as a page of the server tells: a thousand."""
        return sum(int(part.size or 0) for part in self._list_parts(bucket, upload.key, upload.id).parts)

    def abort(self, bucket: str, upload: Upload) -> None:
        """Forget an upload and its parts."""
        self._abort_multipart_upload(bucket, upload.key, upload.id)


class Bucket:
    """A bucket. Raises KeyError for a key that is not there, StoreUnavailable where the server does not answer,
    BadInput where it refuses us.
    """

    def __init__(self, address: Address, *, timeout_s: float = 20.0) -> None:
        self.address = address
        self.enforces_create: bool | None = None
        """Whether the server honours If-None-Match; None until the first `create` has found out."""
        self._name = address.bucket
        self._client = _client(address, timeout_s)

    def get(self, key: str) -> bytes:
        """Return an object."""
        with self._explained(key):
            response = self._client.get_object(bucket_name=self._name, object_name=key)
            try:
                return bytes(response.read())
            finally:
                response.release_conn()

    def head(self, key: str) -> tuple[ObjectInfo, str]:
        """Return what is known of an object, and who created it ("" where nobody signed)."""
        with self._explained(key):
            try:
                found = self._client.stat_object(bucket_name=self._name, object_name=key)
            except S3Error as error:
                if error.code == "AccessDenied":  # the answer to HEAD has no room for the reason
                    self._client.get_object(bucket_name=self._name, object_name=key, length=1).close()
                raise
            writer = (found.metadata or {}).get(WRITER, "")
            return _info(found), writer

    def put(self, key: str, data: bytes) -> None:
        """Write an object, replacing it."""
        with self._explained(key):
            self._client.put_object(
                bucket_name=self._name, object_name=key, data=BytesIO(data), length=len(data), part_size=PART_BYTES
            )

    def create(self, key: str, data: bytes, writer: str = "") -> bool:
        """Write an object unless it is there; return whether it was this call that wrote it.

        The first call finds out whether the server honours `If-None-Match`, by offering its object twice. Where it
        does not, the object is looked for before it is written. That is advisory: of two that write at the same
        moment both may be told that they won, and the later one's object stays.
        """
        writer = writer or uuid4().hex
        if not self.enforces_create and self.exists(key):
            return False
        if not self._offer(key, data, writer):
            return self._wrote(key, writer)
        if self.enforces_create is None:
            self.enforces_create = not self._offer(key, data, writer)
        return True

    def _offer(self, key: str, data: bytes, writer: str) -> bool:
        """Write an object if the server does not find it there; return whether it was written."""
        headers = {WRITER: writer} | ({} if self.enforces_create is False else ONCE)
        with self._explained(key):
            try:
                self._client.put_with(self._name, key, data, headers)
            except S3Error as error:
                if error.code == "PreconditionFailed":
                    return False
                if error.code not in IGNORANT or self.enforces_create is not None:
                    raise
                self.enforces_create = False
                return self._offer(key, data, writer)
        return True

    def _wrote(self, key: str, writer: str) -> bool:
        """Return whether an object that is taken is ours: an earlier try whose answer was lost."""
        try:
            return self.head(key)[1] == writer
        except KeyError:
            return False

    def exists(self, key: str) -> bool:
        """Return whether an object is there."""
        try:
            self.head(key)
        except KeyError:
            return False
        return True

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield all objects whose keys begin with `prefix`, sorted; keys that end in "/" only mark folders."""
        with self._explained(prefix):
            for item in self._client.list_objects(bucket_name=self._name, prefix=prefix, recursive=True):
                if not str(item.object_name).endswith("/"):
                    yield _info(item)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; what is not there is no error."""
        wanted = [DeleteObject(name=key) for key in keys]
        with self._explained(f"{len(wanted)} objects"):
            for error in self._client.remove_objects(bucket_name=self._name, delete_object_list=wanted):
                raise self._meaning(str(error.name), error.code, error.message)

    def delete_one(self, key: str) -> None:
        """Delete an object; what is not there is no error."""
        with self._explained(key):
            self._client.remove_object(bucket_name=self._name, object_name=key)

    def uploads(self, prefix: str) -> list[Upload]:
        """Return the uploads of keys that begin so which were begun and not completed; none where it is not told."""
        with self._explained(prefix):
            try:
                return list(self._client.uploads(self._name, prefix))
            except S3Error as error:
                if error.code not in IGNORANT:
                    raise
                return []

    def uploaded_bytes(self, upload: Upload) -> int:
        """Return how much of an upload has come; KeyError where it has ended."""
        with self._explained(upload.key):
            return self._client.uploaded_bytes(self._name, upload)

    def abort(self, upload: Upload) -> None:
        """Forget an upload and its parts; KeyError where it has ended."""
        with self._explained(upload.key):
            self._client.abort(self._name, upload)

    def upload(self, path: Path, key: str, sent: Sent = untold) -> str:
        """Write a file to an object, in parts where it is big; return its ETag.

        `sent` is told of a part when it is handed over, at most four parts before it has arrived.
        """
        part = max(PART_BYTES, -(-path.stat().st_size // PARTS))
        with self._explained(key):
            done = self._client.fput_object(
                bucket_name=self._name,
                object_name=key,
                file_path=str(path),
                part_size=part,
                num_parallel_uploads=2,
                progress=_Progress(sent),
            )
            return str(done.etag)

    def download(self, key: str, path: Path) -> str:
        """Write an object to a file; return its ETag."""
        with self._explained(key):
            response = self._client.get_object(bucket_name=self._name, object_name=key)
            try:
                with path.open("wb") as file:
                    for part in response.stream(2**20):
                        file.write(part)
                return str(response.headers["ETag"]).strip('"')
            finally:
                response.release_conn()

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            raise self._meaning(key, error.code, error.message) from error
        except (HTTPError, MinioException, ParseError) as error:
            raise self._outage(key, error) from error

    def _meaning(self, key: str, code: str | None, message: str | None) -> Exception:
        where = f"store {self.address.url}, {key!r}"
        if code in ABSENT:
            return KeyError(key)
        if code in REFUSED:
            kind = BadInput if code in OF_THE_REQUEST else Denied
            return kind(f"{where}: {code}: {REFUSED[code]}")
        if code in FULL:
            return StoreUnavailable(f"{where}: {code}: no room is left. Free some, or have the quota raised.")
        return StoreUnavailable(f"{where}: the server says {code} ({message}). It is asked again later.")

    def _outage(self, key: str, error: Exception) -> Exception:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, SSLError):
            return BadInput(
                f"store {self.address.url}: its certificate is not trusted ({reason}). Set PORELAY_S3_CA_FILE to the "
                "authority that signed it."
            )
        if isinstance(error, MinioException):
            answer = str(error).partition(", Body")[0]
            return StoreUnavailable(
                f"store {self.address.url}, {key!r}: the answer is not one of S3 ({answer}). Check PORELAY_S3_URL, and "
                "what stands between here and the server."
            )
        return StoreUnavailable(
            f"store {self.address.url}, {key!r}: no answer ({type(reason).__name__}). Check that the server runs and "
            "that PORELAY_S3_URL is right."
        )


def parallel(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return `function` of every item, a few at once; raise the first error."""
    with ThreadPoolExecutor(TRANSFERS) as pool:
        return list(pool.map(function, items))


def _client(address: Address, timeout_s: float) -> _Client:
    parts = urlsplit(address.endpoint)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=min(3.0, timeout_s), read=timeout_s),
        maxsize=4 * TRANSFERS,
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(address.ca_file or os.environ.get("SSL_CERT_FILE") or certifi.where()),
        retries=urllib3.Retry(
            total=3,
            read=1,
            backoff_factor=0.2,
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        ),
    )
    return _Client(
        endpoint=parts.netloc,
        access_key=address.access_key,
        secret_key=address.secret_key,
        secure=parts.scheme == "https",
        region=address.region,
        http_client=pool,
    )


def _info(item: Any) -> ObjectInfo:
    return ObjectInfo(
        key=str(item.object_name), size_bytes=int(item.size), etag=str(item.etag), modified=item.last_modified
    )
