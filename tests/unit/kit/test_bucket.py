"""What a bucket makes of a server's answers: a server of three lines gives them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from porelay_kit.settings import Settings
from porelay_kit.store.bucket import BucketStore
from porelay_kit.store.s3 import Address, Bucket
from porelay_schemas.errors import BadInput, Denied, StoreUnavailable

TORN = "TheAnswerBreaksOff"
SECRET = "a-secret-that-may-not-be-seen"


class Server(ThreadingHTTPServer):
    """Answers each request with the next of `answers`, the last one for ever: status and S3's error code."""

    answers: list[tuple[int, str]]
    asked: list[tuple[str, dict[str, str]]]

    def bucket(self) -> Bucket:
        return Bucket(Address(f"http://127.0.0.1:{self.server_port}", "porelay", "somebody", SECRET), timeout_s=2)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, {key.lower(): value for key, value in self.headers.items()}))
        answers = self.server.answers
        status, code = answers.pop(0) if len(answers) > 1 else answers[0]
        xml = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode() if code else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("ETag", '"etag"')
        self.send_header("Content-Length", str(len(xml) + (10 if code == TORN else 0)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(xml)
        self.close_connection = code == TORN

    def log_message(self, *words: object) -> None:
        pass


for _method in ("GET", "PUT", "HEAD", "DELETE", "POST"):
    setattr(Handler, f"do_{_method}", Handler.answer)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as one:
        one.answers, one.asked = [(200, "")], []
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (403, "RequestTimeTooSkewed", "RequestTimeTooSkewed: this machine's clock and the server's are too far apart."),
        (400, "AuthorizationHeaderMalformed", "the server expects another region. Set PORELAY_S3_REGION"),
        (403, "AccessDenied", "this user may not do that. Check PORELAY_S3_ACCESS_KEY and _SECRET_KEY"),
        (403, "InvalidAccessKeyId", "does not know this access key. Check PORELAY_S3_ACCESS_KEY."),
        (403, "SignatureDoesNotMatch", "the secret key does not fit the access key. Check PORELAY_S3_SECRET_KEY."),
        (404, "NoSuchBucket", "there is no such bucket. Make it with `porelay topology apply`"),
    ],
)
def test_what_the_server_denies_comes_with_the_fix(server, status, code, text):
    server.answers = [(status, code)]
    with pytest.raises(Denied) as raised:
        server.bucket().get("a/b")
    assert text in str(raised.value) and f":{server.server_port}/porelay, 'a/b'" in str(raised.value)
    assert SECRET not in f"{raised.value}{raised.value.__cause__}"


def test_the_reason_is_asked_for_where_a_question_for_the_head_only_was_refused(server):
    server.answers = [(403, ""), (403, "RequestTimeTooSkewed")]
    with pytest.raises(BadInput, match="clock"):
        server.bucket().exists("a")
    assert [method for method, _ in server.asked] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (502, "BadGateway"), (429, "")]
)
def test_a_server_in_trouble_is_asked_again_a_few_times_then_it_is_retryable(server, status, code):
    server.answers = [(status, code)]
    with pytest.raises(StoreUnavailable):
        server.bucket().get("a")
    assert len(server.asked) == 4


def test_trouble_that_passes_is_not_noticed(server):
    server.answers = [(503, "SlowDown"), (500, "InternalError"), (200, "")]
    server.bucket().put("a", b"1")
    assert len(server.asked) == 3


def test_an_object_whose_download_breaks_off_is_never_seen(server, tmp_path):
    server.answers = [(200, ""), (200, TORN)]
    store = BucketStore(server.bucket().address, tmp_path)
    with pytest.raises(StoreUnavailable, match="no answer"):
        store.local("inbox/a.tif")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_full_server_is_retryable_and_says_so(server):
    server.answers = [(403, "QuotaExceeded")]
    with pytest.raises(StoreUnavailable, match=r"QuotaExceeded: no room is left\. Free some"):
        server.bucket().put("a", b"1")


def test_an_answer_that_is_not_s3s_is_retryable(server):
    server.answers = [(418, "")]
    with pytest.raises(StoreUnavailable, match=r"not one of S3 \(.*418.*\)\. Check PORELAY_S3_URL"):
        server.bucket().get("a")


def test_a_server_that_ignores_the_condition_is_found_out_by_the_first_create(server):
    server.answers = [(404, ""), (200, ""), (200, ""), (404, ""), (200, "")]
    bucket = server.bucket()
    assert bucket.create("a", b"1") and bucket.enforces_create is False
    assert bucket.create("b", b"1")
    assert [method for method, _ in server.asked] == ["HEAD", "PUT", "PUT", "HEAD", "PUT"]
    assert ["if-none-match" in headers for _, headers in server.asked] == [False, True, True, False, False]


def test_a_server_that_knows_no_condition_is_asked_without(server):
    server.answers = [(404, ""), (501, "NotImplemented"), (200, "")]
    bucket = server.bucket()
    assert bucket.create("a", b"1") and bucket.enforces_create is False
    assert [method for method, _ in server.asked] == ["HEAD", "PUT", "PUT"]


def test_a_condition_that_two_writers_ran_into_is_retryable(server):
    server.answers = [(404, ""), (409, "ConditionalRequestConflict")]
    with pytest.raises(StoreUnavailable, match="ConditionalRequestConflict"):
        server.bucket().create("a", b"1")


@pytest.mark.parametrize(
    "url",
    ["s3://bucket", "http://host:9000", "http://host/a/b", f"http://me:{SECRET}@host/bucket", "http://host/Bucket"],
)
def test_an_address_that_is_none_is_refused_without_showing_it(url):
    settings = Settings.from_env({"PORELAY_S3_URL": url})
    with pytest.raises(BadInput, match="setting s3_url: wanted `http") as raised:
        Address.of(settings)
    assert SECRET not in str(raised.value)


def test_missing_keys_are_named():
    settings = Settings.from_env({"PORELAY_S3_URL": "http://host/bucket", "PORELAY_S3_ACCESS_KEY": "me"})
    with pytest.raises(BadInput, match="PORELAY_S3_SECRET_KEY is not set"):
        Address.of(settings)


def test_an_address_never_shows_its_keys(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    environment = {
        "S3_URL": "https://host:9000/bucket/",
        "S3_ACCESS_KEY": "me",
        "S3_SECRET_KEY_FILE": f"{tmp_path}/secret",
    }
    address = Address.of(Settings.from_env({f"PORELAY_{name}": value for name, value in environment.items()}))
    assert address.secret_key == SECRET and address.url == "https://host:9000/bucket"
    assert SECRET not in repr(address) and "'me'" not in repr(address)


def test_nobody_there_is_retryable():
    bucket = Bucket(Address("http://127.0.0.1:1", "porelay", "me", SECRET))
    with pytest.raises(StoreUnavailable, match=r"no answer \(.*\)\. Check that the server runs"):
        bucket.head("a")


def test_importing_the_stores_door_imports_no_client():
    import subprocess
    import sys

    code = "import sys, porelay_kit.store; sys.exit('minio' in sys.modules or 'tensorstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0
