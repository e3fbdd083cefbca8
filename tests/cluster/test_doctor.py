"""The doctor on real servers: they pass, nothing is left behind, and what is wrong with them is said."""

import pytest

from porelay_kit.doctor import bucket
from porelay_kit.doctor.finding import Answer, Finding
from porelay_kit.settings import Settings


def answers(findings: list[Finding]) -> dict[str, Answer]:
    return {finding.probe: finding.answer for finding in findings}


@pytest.fixture
def bucket_settings(ceph) -> Settings:
    url = f"{ceph.url}/{ceph.new_bucket()}"
    return Settings(s3_url=url, s3_access_key=ceph.access_key, s3_secret_key=ceph.secret_key)


def test_ceph_behaves_and_the_bucket_is_as_empty_as_before(ceph, bucket_settings: Settings) -> None:
    found = answers(bucket.check(bucket_settings))
    odd = {name: answer for name, answer in found.items() if answer.verdict != "ok"}
    assert set(odd) == {"notifications", "space left"}, odd
    assert len(found) == len(bucket.PROBES)
    name = bucket_settings.s3_url.rpartition("/")[2]
    assert list(ceph.client().list_objects(bucket_name=name, recursive=True)) == []


def test_a_user_without_rights_is_told_so(ceph, bucket_settings: Settings) -> None:
    stranger = ceph.new_user()
    keys = {"s3_access_key": stranger.access_key, "s3_secret_key": stranger.secret_key}
    (found,) = bucket.check(Settings(s3_url=bucket_settings.s3_url, **keys))
    assert found.answer.verdict == "fail" and not found.answer.unreachable
    assert "may not list the bucket" in found.answer.seen
