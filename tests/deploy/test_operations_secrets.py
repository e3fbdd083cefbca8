"""New passwords and keys for one service while runs go on, as deploy/README.md tells it."""

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cluster.conftest import Mesh, done, eventually
from cluster.test_permissions import Shared, Site
from servers.ceph import CephServer

from deploy.operations import parked
from porelay_kit.broker.management import Management

STAGES = ("ingest", "preprocess")
USER = "porelay-preprocess"
SECRETS = ("amqp_url", "s3_access_key", "s3_secret_key")


class Deployment:
    """Users, rights and secrets as `topology plan --out` writes them, and workers that read their own folder."""

    def __init__(self, rabbit, ceph: CephServer, folder: Path) -> None:
        self.ceph, self.folder = ceph, folder
        self.site, self.shared = Site(rabbit, folder / "site"), Shared(ceph, folder)
        self.management = Management(rabbit.management_url)
        for name, user in self.shared.users.items():
            for key in ("access_key", "secret_key"):
                (self.secrets(name) / f"s3_{key}").write_text(getattr(user, key))
        admin = self.shared.admin
        keys = {"s3_access_key": admin.access_key, "s3_secret_key": admin.secret_key}
        operator = self.site.url_of("porelay-operator")
        self.mesh = Mesh(folder, amqp_url=operator, s3_url=self.shared.url, **keys)

    def secrets(self, user: str) -> Path:
        return self.site.folder / "secrets" / user

    def plan(self) -> list[str]:
        """Plan again; return the files that it wrote, relative to the site."""
        done = self.mesh.command("topology", "plan", "--out", self.site.folder, "--json")
        assert done.returncode == 0, done.stderr
        return [str(Path(path).relative_to(self.site.folder)) for path in json.loads(done.stdout)["written"]]

    def import_definitions(self) -> None:
        """Do what `rabbitmqctl import_definitions` does."""
        definitions = json.loads((self.site.folder / "rabbitmq" / "definitions.json").read_text())
        assert self.management.ask("POST", "definitions", definitions).status in (201, 204)

    def serve(self, stage: str):
        """Start a worker with a copy of its secrets as they are now, as Kubernetes and compose mount them."""
        mounted = self.folder / f"mounted-{len(self.mesh.processes)}"
        shutil.copytree(self.secrets(f"porelay-{stage}"), mounted)
        files = {f"PORELAY_{name.upper()}_FILE": str(mounted / name) for name in SECRETS}
        operator = self.mesh.environment
        self.mesh.environment = {name: value for name, value in operator.items() if f"{name}_FILE" not in files}
        try:
            return self.mesh.serve(stage, **files, PORELAY_CACHE=str(self.folder / f"cache-{stage}"))
        finally:
            self.mesh.environment = operator


@pytest.fixture
def deployment(rabbit, ceph, tmp_path) -> Iterator[Deployment]:
    if not isinstance(ceph, CephServer):
        pytest.skip("no keys are made on the server of PORELAY_TEST_S3_URL")
    made = Deployment(rabbit, ceph, tmp_path)
    with closing(made.mesh):
        yield made


@pytest.mark.slow
def test_a_password_and_a_key_are_replaced_while_runs_go_on(deployment):
    mesh, secrets = deployment.mesh, deployment.secrets(USER)
    deployment.serve("ingest")
    before = deployment.serve("preprocess")
    states = [mesh.begin(number) for number in range(6)]
    eventually("some are done", lambda: any(map(done, states)), within_s=60)
    old = {name: (secrets / name).read_text() for name in SECRETS}

    (secrets / "amqp_password").unlink()
    (secrets / "s3_access_key").write_text(f"{old['s3_access_key']}-2")
    (secrets / "s3_secret_key").unlink()
    written = deployment.plan()
    assert {f"secrets/{USER}/{name}" for name in ("amqp_url", "amqp_password", "s3_secret_key")} <= set(written)
    assert {name for name in written if name.startswith("secrets/")} == {
        f"secrets/{USER}/{name}" for name in ("amqp_url", "amqp_password", "s3_secret_key")
    }
    deployment.import_definitions()
    key = ("--key-type=s3", f"--access-key={(secrets / 's3_access_key').read_text()}")
    uid = f"--uid={deployment.shared.users[USER].name}"
    deployment.ceph._ceph("radosgw-admin", "key", "create", uid, *key,
                          f"--secret-key={(secrets / 's3_secret_key').read_text()}")  # fmt: skip

    states += [mesh.begin(number) for number in range(6, 12)]
    assert before.poll() is None, "a worker that is connected already stays so"
    deployment.serve("preprocess")
    before.send_signal(signal.SIGTERM)
    assert before.wait(30) == 0
    deployment.ceph._ceph("radosgw-admin", "key", "rm", uid, "--key-type=s3", f"--access-key={old['s3_access_key']}")

    eventually("all runs are done", lambda: all(map(done, states)), within_s=120)
    assert not parked(mesh, *STAGES)
    refused = mesh.command("serve", "preprocess", PORELAY_AMQP_URL=old["amqp_url"])
    assert refused.returncode != 0 and f"it does not let user '{USER}' in" in refused.stderr
    keys = {"PORELAY_S3_ACCESS_KEY": old["s3_access_key"], "PORELAY_S3_SECRET_KEY": old["s3_secret_key"]}
    refused = mesh.command("status", **keys)
    assert refused.returncode != 0 and "InvalidAccessKeyId" in refused.stderr


@pytest.mark.slow
def test_a_key_that_is_taken_away_too_early_puts_off_what_its_worker_takes_until_it_has_the_new_one(deployment):
    mesh, user = deployment.mesh, deployment.shared.users[USER]
    deployment.serve("ingest")
    worker = deployment.serve("preprocess")
    first = mesh.begin(0)
    eventually("the worker works", lambda: done(first), within_s=60)
    uid = f"--uid={user.name}"
    deployment.ceph._ceph("radosgw-admin", "key", "create", uid, "--key-type=s3", f"--access-key={user.access_key}-2",
                          f"--secret-key={user.secret_key}")  # fmt: skip
    deployment.ceph._ceph("radosgw-admin", "key", "rm", uid, "--key-type=s3", f"--access-key={user.access_key}")
    second = mesh.begin(1)
    eventually("it is put off", lambda: "InvalidAccessKeyId" in mesh.logs(), within_s=60)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    (deployment.secrets(USER) / "s3_access_key").write_text(f"{user.access_key}-2")
    deployment.serve("preprocess")
    eventually("the run is done", lambda: done(second), within_s=60)
    assert not parked(mesh, "preprocess")
