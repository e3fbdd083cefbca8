"""The doctor, against a small S3 server that misbehaves as real ones do, and against folders."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from click.testing import CliRunner
from minio.credentials import Credentials
from minio.signer import sign_v4_s3

from porelay_kit.cli.doctor import doctor
from porelay_kit.doctor import broker, bucket, clock, folder, nodes, objects, space
from porelay_kit.doctor.finding import Finding
from porelay_kit.doctor.objects import Bench
from porelay_kit.settings import Settings
from porelay_kit.store import setup
from porelay_kit.store.wire import Wire

KEY, SECRET = "someone", "some secret"


class S3(BaseHTTPRequestHandler):
    """As much of S3 as the probes use; what it does wrong is in `server.faults`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + (90 if self.faulty("clock") else 0), usegmt=True)

    def faulty(self, fault: str) -> bool:
        return fault in self.server.faults

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def known(self) -> bool:
        names = re.search(r"SignedHeaders=([^,]*)", self.headers["Authorization"])[1].split(";")
        signed = sign_v4_s3(
            method=self.command,
            url=urlsplit(f"http://{self.headers['Host']}{self.path}"),
            region="us-east-1",
            headers={name: self.headers[name] for name in names},
            credentials=Credentials(KEY, SECRET),
            content_sha256=self.headers["x-amz-content-sha256"],
            date=datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"),
        )
        return signed["Authorization"] == self.headers["Authorization"] or self.faulty("anybody")

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        _, name, key = (*unquote(url.path).split("/", 2), "")[:3]
        if not self.known():
            return self.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if name != "bucket":
            return self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        return self.serve_object(key, query, body) if key else self.serve_bucket(query, body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_one  # noqa: N815

    def serve_bucket(self, query: dict[str, str], body: bytes) -> None:
        if "notification" in query:
            return self.serve_notification(body)
        if "delete" in query:
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.server.objects.pop(key)
            return self.answer(200)
        keys = sorted(key for key in self.server.objects if key.startswith(query.get("prefix", "")))
        keys = [key for key in keys if key > query.get("continuation-token", "")]
        page = keys[: int(query.get("max-keys", 1000))]
        more = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if len(page) < len(keys) else ""
        listed = "".join(f"<Contents><Key>{key.replace('&', '&amp;')}</Key></Contents>" for key in page)
        return self.answer(200, f"<ListBucketResult>{listed}{more}</ListBucketResult>".encode())

    def serve_notification(self, body: bytes) -> None:
        if not self.faulty("minio"):
            return self.answer(501)
        if self.command == "PUT" and b":PORELAY:" in body and self.faulty("no target"):
            return self.answer(400, b"<Error><Code>InvalidArgument</Code><Message>No such ARN</Message></Error>")
        if self.command == "PUT":
            self.server.notification = body
        return self.answer(200, self.server.notification)

    def version_string(self) -> str:
        return "MinIO" if self.faulty("minio") else "S3"

    def serve_object(self, key: str, query: dict[str, str], body: bytes) -> None:
        objects, labels = self.server.objects, self.server.labels
        if "uploads" in query:
            return self.answer(200, b"<X><UploadId>u</UploadId></X>")
        if "partNumber" in query:
            self.server.parts[query["partNumber"]] = body
            return self.answer(200, ETag="t")
        if "uploadId" in query:
            body, self.command = b"".join(self.server.parts.values()), "PUT"
        if self.command == "PUT":
            if key in objects and "If-None-Match" in self.headers and not self.faulty("conditions"):
                return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            objects[key] = body
            labels[key] = "" if self.faulty("labels") else self.headers.get("x-amz-meta-attempt", "")
            return self.answer(200)
        if self.command == "DELETE":
            if not self.faulty("deletes"):
                objects.pop(key, None)
            return self.answer(204)
        if key not in objects:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self.serve_bytes(objects[key], labels[key])

    def serve_bytes(self, body: bytes, label: str) -> None:
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        if first:
            return self.answer(206, body[int(first) :], x_amz_meta_attempt=label)
        if self.faulty("suffix ignored"):
            return self.answer(200, body)
        return self.answer(206, body[: int(last)] if self.faulty("suffix wrong") else body[-int(last) :])


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), S3)
    made.faults, made.objects, made.labels, made.parts = set(), {}, {}, {}
    made.notification = b"<NotificationConfiguration></NotificationConfiguration>"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def settings_of(server: ThreadingHTTPServer, **other: object) -> Settings:
    url = f"http://127.0.0.1:{server.server_port}/bucket"
    return Settings(**{"s3_url": url, "s3_access_key": KEY, "s3_secret_key": SECRET} | other)


@pytest.fixture
def bench(server: ThreadingHTTPServer) -> Bench:
    settings = settings_of(server)
    return Bench(settings, Wire.open(settings), "doctor/test")


WITHOUT_VOLUMES = [probe for probe in bucket.PROBES if probe is not bucket.volumes]


@pytest.mark.parametrize("probe", WITHOUT_VOLUMES, ids=lambda probe: probe.__name__)
def test_a_server_that_behaves_passes(bench: Bench, probe: Callable[[Bench], object]) -> None:
    expected = {"notifications": "warn", "space_left": "unknown"}.get(probe.__name__, "ok")
    answer = probe(bench)
    assert answer.verdict == expected, answer.seen


@pytest.mark.parametrize(
    ("fault", "probe", "verdict", "words"),
    [
        ("suffix ignored", objects.suffix_range, "fail", "answered with 200 and 200 bytes, wanted 206"),
        ("suffix wrong", objects.suffix_range, "fail", "wrong 16 bytes"),
        ("conditions", objects.conditional_put, "warn", "ignored"),
        ("anybody", bucket.wrong_credentials_refused, "fail", "was let in"),
        ("labels", objects.metadata, "fail", "wanted 'one-2'"),
        ("deletes", objects.put_get_list_delete, "fail", "still there"),
        ("clock", bucket.clock_skew, "warn", "ahead of this machine's clock"),
    ],
)
def test_a_server_that_fails_in_one_way_is_caught_by_one_probe(
    bench: Bench, server: ThreadingHTTPServer, fault: str, probe: Callable[..., object], verdict: str, words: str
) -> None:
    server.faults.add(fault)
    found = {each: each(bench) for each in WITHOUT_VOLUMES}
    answer = found[probe]
    assert (answer.verdict, words in answer.seen) == (verdict, True), answer.seen
    assert answer.advice
    bad = [each for each, found in found.items() if found.verdict in ("warn", "fail")]
    assert set(bad) == {probe, bucket.notifications}


def test_a_wrong_secret_is_told_from_a_missing_bucket_and_from_nobody_there(server: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    wrong = bucket.check(settings_of(server, s3_secret_key="other"))
    missing = bucket.check(settings_of(server, s3_url=f"{url}/other"))
    nobody = bucket.check(settings_of(server, s3_url="http://127.0.0.1:9/bucket"))
    answers = [found.answer for (found,) in (wrong, missing, nobody)]
    seen = [(answer.verdict, answer.unreachable, answer.seen) for answer in answers]
    assert seen[0] == ("fail", False, "it does not know us (403 SignatureDoesNotMatch)")
    assert seen[1] == ("fail", False, "there is no bucket 'other' (404 NoSuchBucket)")
    assert seen[2][:2] == ("fail", True)
    assert "nothing listens there. Check PORELAY_S3_URL" in seen[2][2]


def test_a_server_that_speaks_no_tls_is_told_so(server: ThreadingHTTPServer) -> None:
    (found,) = bucket.check(settings_of(server, s3_url=f"https://127.0.0.1:{server.server_port}/bucket"))
    assert found.answer.unreachable
    assert "does not speak TLS" in found.answer.seen


OTHERS = b"<QueueConfiguration><Id>theirs</Id><Queue>arn:minio:sqs::X:webhook</Queue></QueueConfiguration>"


def test_minio_is_told_of_its_target_once_and_keeps_the_notifications_of_others(
    bench: Bench, server: ThreadingHTTPServer
) -> None:
    server.faults = {"minio"}
    server.notification = b"<NotificationConfiguration>" + OTHERS + b"</NotificationConfiguration>"
    marks = [[step.mark for step in setup.steps(bench.wire, None, apply=apply)] for apply in (False, True, True)]
    assert marks == [["=", "+"], ["=", "+"], ["=", "="]]
    assert OTHERS in server.notification
    assert b"<Queue>arn:minio:sqs::PORELAY:amqp</Queue>" in server.notification
    assert b"<Value>inbox/</Value>" in server.notification
    assert bucket.notifications(bench).verdict == "ok"


def test_minio_without_the_target_is_told_how_to_be_started(bench: Bench, server: ThreadingHTTPServer) -> None:
    server.faults = {"minio", "no target"}
    step = list(setup.steps(bench.wire, None, apply=True))[-1]
    assert step.mark == "!"
    assert "No such ARN" in step.road and "s3/minio.sh" in step.road


def test_a_server_that_tells_nobody_is_left_to_its_administrator(bench: Bench) -> None:
    step = list(setup.steps(bench.wire, None, apply=True))[-1]
    assert step.mark == "-" and "the sweep finds drops" in step.road


def test_secrets_are_in_no_answer(server: ThreadingHTTPServer) -> None:
    for faults in (set(), {"anybody"}):
        server.faults = faults
        for probe in WITHOUT_VOLUMES:
            bench = Bench(settings_of(server), Wire.open(settings_of(server)), "doctor/test")
            assert SECRET not in repr(probe(bench)) + repr(bench)


def test_a_folder_passes_and_nothing_is_left_of_the_probes(tmp_path: Path) -> None:
    found = {one.probe: one.answer for one in folder.check(tmp_path / "not" / "yet")}
    assert len(found) == 7
    assert {answer.verdict for name, answer in found.items() if name not in ("space left", "flush")} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_fails_in_words(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    (found,) = folder.check(tmp_path / "home")
    assert found.answer.verdict == "fail"
    assert "a file is in the way" in found.answer.seen
    assert (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("ahead_s", "verdict"), [(0.5, "ok"), (-1.9, "ok"), (8.0, "ok"), (-60.0, "warn"), (900.0, "fail")]
)
def test_a_clock_is_judged_by_how_far_it_is_off(ahead_s: float, verdict: str) -> None:
    assert clock.skew(ahead_s).verdict == verdict


def test_a_date_that_is_none_is_no_verdict() -> None:
    assert [clock.from_header(text).verdict for text in (None, "yesterday")] == ["unknown", "unknown"]


@pytest.mark.parametrize(("free", "verdict"), [(2**20, "fail"), (2**31, "warn"), (2**36, "ok")])
def test_room_is_judged_by_what_a_stack_takes(free: int, verdict: str) -> None:
    assert space.left(free, "").verdict == verdict
    assert space.size(1536) == "1.5 KiB"


def test_a_broker_that_nobody_serves_is_unreachable_in_words() -> None:
    (found,) = broker.check(Settings(amqp_url="amqp://user:hidden@127.0.0.1:9/v"))
    assert found.answer.unreachable
    assert "nothing listens there" in found.answer.seen
    assert "hidden" not in repr(found)
    assert found.subject == "broker amqp://127.0.0.1:9/v"


class Interface:
    """RabbitMQ's HTTP interface, as a server of that version answers."""

    where = "http://rabbit"

    def __init__(self, version: str, timeout_ms: int | None = None, **node: object) -> None:
        self.version, self.timeout_ms = version, timeout_ms
        whole = {"mem_used": 1, "mem_limit": 10, "disk_free": 2**40, "disk_free_limit": 2**20, "partitions": []}
        self.node = {"name": "one", "running": True} | whole | node

    def get(self, *path: str) -> object:
        policy = {"consumer-timeout": self.timeout_ms} if self.timeout_ms else {}
        answers = {"overview": {"rabbitmq_version": self.version}, "nodes": [self.node]}
        return answers.get(path[0], {"effective_policy_definition": policy})


@pytest.mark.parametrize(
    ("node", "probe", "verdict", "words"),
    [
        ({}, nodes.alarms, "ok", "none"),
        ({"disk_free_alarm": True}, nodes.alarms, "fail", "alarm: disk of one"),
        ({"mem_alarm": True}, nodes.alarms, "fail", "alarm: memory of one"),
        ({"partitions": ["two"]}, nodes.alarms, "fail", "the cluster is split: one"),
        ({"disk_free": 2**21}, nodes.disk, "warn", "1.0 MiB until one stops"),
        ({"mem_used": 9}, nodes.memory, "warn", "9 B of 10 B used by one"),
    ],
)
def test_a_node_in_trouble_is_told(
    node: dict[str, object], probe: Callable[..., object], verdict: str, words: str
) -> None:
    answer = probe(nodes.Nodes(Settings(), Interface("3.13.1", **node)))
    assert (answer.verdict, words in answer.seen) == (verdict, True), answer


class Page(BaseHTTPRequestHandler):
    """Answers everything with a page for people."""

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")


def test_something_else_at_the_address_of_the_http_interface_is_told() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as page:
        threading.Thread(target=page.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://guest:hidden@127.0.0.1:{page.server_port}"
        (found,) = nodes.check(Settings(amqp_management_url=url))
        page.shutdown()
    assert found.answer.unreachable
    assert "is not RabbitMQ's HTTP interface" in found.answer.seen
    assert "hidden" not in found.answer.seen


@pytest.mark.parametrize(
    ("version", "timeout_ms", "longest_s", "verdict"),
    [
        ("3.10.8", None, 60.0, "unknown"),
        ("3.10.8", None, 3600.0, "warn"),
        ("3.13.1", None, 60.0, "unknown"),
        ("3.13.1", 7_200_000, 3600.0, "ok"),
        ("4.1.0", 1_800_000, 3600.0, "warn"),
    ],
)
@pytest.mark.parametrize("longest", ["isolated_limit_s", "stage_limit_s"])
def test_a_stage_that_lasts_longer_than_the_broker_waits_is_told(
    version: str, timeout_ms: int | None, longest_s: float, verdict: str, longest: str
) -> None:
    settings = Settings(**({"isolated_limit_s": 30, "stage_limit_s": 30, "slice_s": 30} | {longest: longest_s}))
    assert nodes.consumer_timeout(nodes.Nodes(settings, Interface(version, timeout_ms))).verdict == verdict


def run(monkeypatch: pytest.MonkeyPatch, *words: str, **environment: str) -> tuple[int, str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(doctor, list(words))
    return result.exit_code, result.output


def test_the_exit_code_tells_unreachable_from_failed_from_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: ThreadingHTTPServer
) -> None:
    assert run(monkeypatch, "--home", str(tmp_path / "home"))[0] == 0
    (tmp_path / "file").write_text("")
    assert run(monkeypatch, "--home", str(tmp_path / "file"))[0] == 1
    code, printed = run(monkeypatch, "--json", PORELAY_S3_URL="http://127.0.0.1:9/bucket")
    assert code == 3
    assert '"unreachable": true' in printed


def test_the_table_shows_every_probe_with_its_advice(capsys: pytest.CaptureFixture[str]) -> None:
    from porelay_kit.cli.doctor import print_findings
    from porelay_kit.doctor.finding import ok, warn

    print_findings([Finding("store x", "good", ok("fine")), Finding("store x", "bad", warn("slow", "Buy a disk."))])
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.splitlines() if line.strip()] == [
        "store x",
        "ok    good  fine",
        "warn  bad   slow",
        "            -> Buy a disk.",
        "2 probes: 1 as wanted, 1 to be lived with",
    ]
