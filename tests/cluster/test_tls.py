"""Both servers over TLS, with an authority of the tests' own."""

import subprocess
from pathlib import Path

import pytest

from porelay_kit.doctor import bucket as bucket_doctor
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_schemas.errors import BadInput

NEW_KEY = ("-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout")


class Authority:
    """A certificate authority, and the certificate of a server on this machine."""

    def __init__(self, folder: Path) -> None:
        self.file, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        secret = folder / "ca.key"
        self._openssl("req", "-x509", "-subj", "/CN=test authority", *NEW_KEY, secret, "-out", self.file)
        self._openssl(
            *("req", "-x509", "-subj", "/CN=localhost", *NEW_KEY, self.key, "-out", self.certificate),
            *("-CA", self.file, "-CAkey", secret, "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        )

    def _openssl(self, *words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def s3_url(ceph, authority: Authority) -> str:
    return f"{ceph.serve_tls(authority.certificate, authority.key)}/{ceph.new_bucket()}"


def s3_settings(ceph, url: str, ca_file: Path | None, cache: Path) -> Settings:
    keys = {"s3_access_key": ceph.access_key, "s3_secret_key": ceph.secret_key}
    return Settings(s3_url=url, s3_ca_file=ca_file, cache=cache, **keys)


def test_a_bucket_over_tls_passes_every_probe_arrays_too(
    ceph, s3_url: str, authority: Authority, tmp_path: Path
) -> None:
    found = {one.probe: one.answer for one in bucket_doctor.check(s3_settings(ceph, s3_url, authority.file, tmp_path))}
    odd = {name: answer for name, answer in found.items() if answer.verdict != "ok"}
    assert set(odd) == {"notifications", "space left"}, odd
    assert found["encryption"].seen == "TLS, the server's certificate checked"


def test_a_bucket_whose_certificate_we_do_not_trust_is_refused_in_words(
    ceph, s3_url: str, stranger: Authority, tmp_path: Path
) -> None:
    for ca_file in (None, stranger.file):
        settings = s3_settings(ceph, s3_url, ca_file, tmp_path)
        with pytest.raises(BadInput, match=r"certificate is not trusted.*Set PORELAY_S3_CA_FILE"):
            open_store(settings).write("plans/a.json", b"{}")
        (found,) = bucket_doctor.check(settings)
        assert found.answer.unreachable
        assert "Set PORELAY_S3_CA_FILE" in found.answer.seen
