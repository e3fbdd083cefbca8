"""Notifications as MinIO, AWS and Ceph send them; bodies as seen on the wire or in their documentation."""

import json

import pytest

from porelay_ingest.intake.notices import Heard, Notice, key_in_store, of_inbox, parse
from porelay_schemas.errors import BadMessage


def body(key, *, source="ceph:s3", event="ObjectCreated:Put", **item):
    item = {"key": key, "size": 7, "eTag": "e1", "sequencer": "62F1"} | item
    s3 = {"bucket": {"name": "porelay"}, "object": item}
    return json.dumps({"Records": [{"eventSource": source, "eventName": event, "s3": s3}]}).encode()


def test_minio_encodes_the_key_with_its_slashes():
    message = json.dumps(
        {
            "EventName": "s3:ObjectCreated:Put",
            "Key": "porelay/inbox/tiny/a b+c.tif",
            "Records": [
                {
                    "eventSource": "minio:s3",
                    "eventName": "s3:ObjectCreated:Put",
                    "s3": {
                        "bucket": {"name": "porelay"},
                        "object": {
                            "key": "inbox%2Ftiny%2Fa+b%2Bc.tif",
                            "size": 12,
                            "eTag": "abc",
                            "sequencer": "17A2",
                            "versionId": "v9",
                        },
                    },
                }
            ],
        }
    ).encode()
    (notice,) = parse(message)
    assert notice.keys[0] == "inbox/tiny/a b+c.tif"
    assert (notice.bucket, notice.version, notice.sequencer, notice.size_bytes) == ("porelay", "v9", "17A2", 12)


def test_aws_encodes_the_name_and_leaves_the_slashes():
    (notice,) = parse(body("inbox/tiny/a+b%2Bc.tif", source="aws:s3"))
    assert notice.keys == ("inbox/tiny/a b+c.tif", "inbox/tiny/a+b%2Bc.tif")


def test_ceph_sends_the_key_as_it_is_and_tells_of_the_end_of_a_multipart_upload():
    (notice,) = parse(body("inbox/tiny/a b+c.tif", event="ObjectCreated:CompleteMultipartUpload"))
    assert notice.keys[0] == "inbox/tiny/a b+c.tif"


@pytest.mark.parametrize("there", ["inbox/100%25.tif", "inbox/100%.tif"])
def test_of_two_readings_the_object_that_exists_wins(there):
    for source in ("ceph:s3", "aws:s3", "minio:s3", "rustfs:s3", ""):
        (notice,) = parse(body("inbox/100%25.tif", source=source))
        assert key_in_store(notice, {there}.__contains__) == there
        assert key_in_store(notice, set().__contains__) is None


def test_a_plus_is_a_plus_where_there_is_such_an_object():
    (notice,) = parse(body("inbox/a+b.tif", source="aws:s3"))
    assert notice.keys == ("inbox/a b.tif", "inbox/a+b.tif")
    assert key_in_store(notice, {"inbox/a+b.tif"}.__contains__) == "inbox/a+b.tif"


def test_other_events_and_the_test_of_a_new_notification_say_nothing():
    assert parse(body("inbox/a.tif", event="s3:ObjectRemoved:Delete")) == []
    assert parse(b'{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "porelay"}') == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{}",
        b'{"Records": 3}',
        b'{"Records": [{}]}',
        b'{"Records": [null]}',
        b'{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {}, "object": {}}}]}',
        b'{"Records": [{"eventName": 5}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_notification_is_a_bad_message(text):
    with pytest.raises(BadMessage, match=r"bucket notification: .* Bind nothing but buckets"):
        parse(text)


def test_only_our_bucket_and_the_inbox_concern_us():
    (inside,), (outside,) = parse(body("inbox/a.tif")), parse(body("artifacts/a.tif"))
    (folder,) = parse(body("inbox/tiny/"))
    assert of_inbox(inside, "porelay", "inbox/") and of_inbox(inside, None, "inbox/")
    assert not of_inbox(inside, "other", "inbox/")
    assert not of_inbox(outside, "porelay", "inbox/")
    assert not of_inbox(folder, "porelay", "inbox/")


def notice(version="e1", sequencer="", key="inbox/a.tif"):
    return Notice("porelay", (key,), 7, version, sequencer)


def test_a_notice_that_comes_again_is_not_fresh():
    heard = Heard()
    assert heard.fresh(notice())
    heard.note(notice())
    assert not heard.fresh(notice())
    assert heard.fresh(notice(version="e2"))
    assert heard.fresh(notice(key="inbox/b.tif"))


def test_a_notice_that_is_older_than_one_of_the_same_key_is_not_fresh():
    heard = Heard()
    heard.note(notice("e2", "0A1"))
    assert not heard.fresh(notice("e1", "0A0FF")), "the shorter is filled up with zeros on the right: 0A100"
    assert heard.fresh(notice("e3", "0A101"))
    heard.note(notice("e1", "09"))
    assert not heard.fresh(notice("e2", "0a1")), "what came late does not make the newest forgotten"


def test_what_tells_neither_version_nor_order_is_always_looked_at():
    heard = Heard()
    heard.note(notice("", ""))
    assert heard.fresh(notice("", ""))


def test_only_so_many_are_remembered():
    heard = Heard(most=2)
    for number in range(3):
        heard.note(notice(key=f"inbox/{number}.tif"))
    assert heard.fresh(notice(key="inbox/0.tif")) and not heard.fresh(notice(key="inbox/2.tif"))
