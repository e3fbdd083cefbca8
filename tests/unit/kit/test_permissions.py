"""Users and rights of the mesh, as files."""

import fnmatch
import json
import re
import stat
import subprocess
from pathlib import Path

import pytest

from porelay_kit import security
from porelay_kit.broker import permissions
from porelay_kit.store import policies
from porelay_schemas.route import STAGES

SITE = security.Site.of("amqps://rabbit.site:5671/porelay", "https://s3.site:9000/electrodes")
ACCOUNTS = {account.name: account for account in permissions.accounts()}
GRANTS = {grant.name: grant for grant in policies.grants()}
TOPOLOGY = {"exchanges": [{"name": "work", "vhost": "porelay"}]}


def may(pattern: str, name: str) -> bool:
    return re.search(pattern, name) is not None


def allowed(grant: policies.Grant, action: str, key: str) -> bool:
    """Decide as S3 does: an explicit denial wins, then any allowance."""
    resource = f"arn:aws:s3:::b/{key}"
    effects = {
        statement["Effect"]
        for statement in policies.identity_policy(grant, "b")["Statement"]
        if action in statement["Action"] and any(fnmatch.fnmatchcase(resource, one) for one in statement["Resource"])
    }
    return effects == {"Allow"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_reads_its_own_queue_and_no_other(stage: str) -> None:
    account = ACCOUNTS[f"porelay-{stage}"]
    readable = {name for name in STAGES if may(account.read, f"{name}.v1")}
    assert readable == {stage}
    assert may(account.read, "intake.v1") == (stage == "ingest")
    assert may(account.read, f"{stage}.v2"), "workers of two releases work side by side"
    assert not any(may(account.read, f"{prefix}{stage}.v1") for prefix in ("dlq.", "x", "x."))


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_declares_nothing_that_lasts_and_sends_no_commands(stage: str) -> None:
    account = ACCOUNTS[f"porelay-{stage}"]
    assert not any(may(account.configure, name) for name in ("work", "control", f"{stage}.v1", "retry.5s", "amq.topic"))
    assert may(account.configure, "amq.gen-abc")
    assert {
        name for name in ("work", "retry.5s", "dlx", "events", "control", "ingest", "") if may(account.write, name)
    } == {
        "work",
        "retry.5s",
        "dlx",
        "events",
    }


def test_a_worker_tells_of_its_own_stage_only() -> None:
    events = next(topic for topic in ACCOUNTS["porelay-segment"].topics if topic.exchange == "events")
    assert may(events.write, "run.a-b-1234.segment.done") and may(events.write, "worker.host-1.alive")
    assert not may(events.write, "run.a-b-1234.mesher.done") and not may(events.write, "run.x.segmenter.done")


def test_only_operators_and_the_administrator_send_commands() -> None:
    assert {name for name, one in ACCOUNTS.items() if may(one.write, "control")} == {
        "porelay-operator",
        "porelay-admin",
    }


def test_a_password_is_kept_as_rabbitmq_hashes_it() -> None:
    hashed = permissions.password_hash("test12", bytes.fromhex("908DC60A"))
    assert hashed == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"  # the example of RabbitMQ's documentation
    assert permissions.fits("test12", hashed) and not permissions.fits("test13", hashed)


def test_a_worker_reads_what_others_made_and_writes_what_is_its_own() -> None:
    segment = GRANTS["porelay-segment"]
    mine, other = "artifacts/segment/k/1/labels.zarr/zarr.json", "artifacts/mesher/k/1/a.msh"
    assert allowed(segment, "s3:GetObject", other) and allowed(segment, "s3:PutObject", mine)
    assert not allowed(segment, "s3:PutObject", other)
    assert not allowed(segment, "s3:GetObject", "inbox/stack.tif")
    assert allowed(segment, "s3:PutObject", "runs/r/results/segment.json")


def test_a_committed_result_is_deleted_by_operators_only() -> None:
    manifest = "artifacts/segment/k/manifest.json"
    assert {name for name, one in GRANTS.items() if allowed(one, "s3:DeleteObject", manifest)} == {"porelay-operator"}
    assert allowed(GRANTS["porelay-segment"], "s3:DeleteObject", "artifacts/segment/k/dead-attempt/labels.zarr/c/0")


def test_drops_are_read_by_ingest_and_people_and_deleted_by_operators_only() -> None:
    drop = "inbox/electrode/stack.tif"
    can = {action: {name for name, one in GRANTS.items() if allowed(one, f"s3:{action}", drop)} for action in ACTIONS}
    assert can["GetObject"] == {"porelay-ingest", "porelay-submit", "porelay-operator"}
    assert can["PutObject"] == {"porelay-submit", "porelay-operator"}
    assert can["DeleteObject"] == {"porelay-operator"}
    assert allowed(GRANTS["porelay-ingest"], "s3:PutObject", drop + ".rejected.txt")


ACTIONS = ("GetObject", "PutObject", "DeleteObject")


def test_the_bucket_policy_names_each_user_and_stays_below_the_limit_of_20_kib() -> None:
    users = [(grant, policies.ceph_user(grant.name)) for grant in GRANTS.values()]
    policy = policies.bucket_policy(users, "electrodes")
    assert {statement["Principal"]["AWS"][0] for statement in policy["Statement"]} == {arn for _, arn in users}
    assert len(json.dumps(policy)) < 20 * 1024
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(sids)) == len(sids) and all(sid.isalnum() for sid in sids)


def test_a_second_plan_changes_no_file(tmp_path: Path) -> None:
    first = security.write(tmp_path, SITE, TOPOLOGY)
    assert {path.relative_to(tmp_path).parts[0] for path in first} == {"rabbitmq", "s3", "secrets"}
    assert security.write(tmp_path, SITE, TOPOLOGY) == []


def test_secrets_are_private_and_in_no_other_file(tmp_path: Path) -> None:
    security.write(tmp_path, SITE, TOPOLOGY)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    private = [path for path in files if "secrets" in path.parts]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    words = [path.read_text() for path in private if path.name in ("amqp_password", "s3_secret_key")]
    public = "".join(path.read_text() for path in files if path not in private)
    assert len(set(words)) == len(words) > 10
    assert not any(word in public for word in words)


def test_an_address_of_a_service_can_be_used_as_it_stands(tmp_path: Path) -> None:
    security.write(tmp_path, SITE, TOPOLOGY)
    folder = tmp_path / "secrets" / "porelay-segment"
    password = (folder / "amqp_password").read_text()
    assert (folder / "amqp_url").read_text() == f"amqps://porelay-segment:{password}@rabbit.site:5671/porelay"


@pytest.mark.parametrize("name", ["ceph.sh", "minio.sh"])
def test_the_commands_are_a_program_that_a_shell_can_read(tmp_path: Path, name: str) -> None:
    security.write(tmp_path, SITE, TOPOLOGY)
    checked = subprocess.run(["sh", "-n", tmp_path / "s3" / name], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_definitions_carry_topology_users_and_hashes_of_the_passwords(tmp_path: Path) -> None:
    security.write(tmp_path, SITE, TOPOLOGY)
    definitions = json.loads((tmp_path / "rabbitmq" / "definitions.json").read_text())
    assert definitions["exchanges"] == TOPOLOGY["exchanges"]
    assert definitions["vhosts"] == [{"name": "porelay"}]
    hashes = {user["name"]: user["password_hash"] for user in definitions["users"]}
    password = (tmp_path / "secrets" / "porelay-mesher" / "amqp_password").read_text()
    assert permissions.fits(password, hashes["porelay-mesher"])
    assert len(definitions["permissions"]) == len(ACCOUNTS)
