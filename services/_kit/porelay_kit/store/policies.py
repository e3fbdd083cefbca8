"""Who may do what in the bucket: one user a service, each with the least that its work needs.

The same rights as an identity's policy (MinIO, AWS) and as statements of one bucket policy (Ceph, whose users have
none of their own). Everybody may list names: without that right S3 answers 403 for an object that is merely not there.
A committed result, that is its `manifest.json`, is nobody's to delete but the operator's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from porelay_schemas.route import STAGES

VERSION = "2012-10-17"
READ = ("s3:GetObject",)
WRITE = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
DELETE = ("s3:DeleteObject",)
LIST = ("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
EVERYTHING = ("*",)
COMMITS = ("artifacts/*/*/manifest.json",)
ASKED = ("runs/*/cancel", "runs/*/finish-training")
"""What a person leaves in a run to have it stop."""


@dataclass(frozen=True)
class Grant:
    """A user of the bucket, and the keys (`*` stands for anything) that it may read, write and delete."""

    name: str
    about: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    delete: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    """Keys that it may not delete, whatever `delete` says."""
    administers: bool = False
    """Whether it may set the bucket up: policies, notifications, versions."""


def grants() -> tuple[Grant, ...]:
    """Return all users: one a stage, and the people."""
    return (*(_worker(stage) for stage in STAGES), *_people())


def _worker(stage: str) -> Grant:
    own = (f"artifacts/{stage}/*", f"scratch/artifacts/{stage}/*")
    failures = (f"runs/*/failures/{stage}.json",)
    read = ["artifacts/*", f"scratch/artifacts/{stage}/*", "plans/*", "runs/*"]
    write, delete = [*own, "runs/*"], [*own, *failures]
    if stage == "ingest":
        read += ["inbox/*", "intake/*"]
        write += ["plans/*", "intake/*", *_beside_drops(".rejected.txt")]
        delete += ["intake/*", *_beside_drops(".rejected.txt"), *_beside_drops(".again"), *ASKED]
    about = f"workers of {stage}: read what other stages made, write what is theirs"
    return Grant(f"porelay-{stage}", about, tuple(read), tuple(write), tuple(delete), spared=COMMITS)


def _beside_drops(suffix: str) -> list[str]:
    """Return patterns for what lies beside a drop.

    Ceph 16 ends a `*` at the first place where the next letter fits and looks no further: one pattern for each number
    of dots in the drop's name.
    """
    return [f"inbox/{'*.' * dots}*{suffix}" for dots in range(4)]


def _people() -> tuple[Grant, ...]:
    return (
        Grant(
            "porelay-submit",
            "who drops stacks and looks at results",
            read=("inbox/*", "intake/*", "artifacts/*", "plans/*", "runs/*"),
            write=("inbox/*", "runs/*/report.html", *ASKED),
            delete=ASKED,
        ),
        Grant(
            "porelay-operator",
            "topology, doctor, reconcile, and whoever cleans up",
            read=EVERYTHING,
            write=EVERYTHING,
            delete=EVERYTHING,
            administers=True,
        ),
    )


def identity_policy(grant: Grant, bucket: str) -> dict[str, Any]:
    """Return the policy to attach to a user of MinIO or AWS."""
    return {"Version": VERSION, "Statement": list(_statements(grant, bucket))}


def bucket_policy(users: Iterable[tuple[Grant, str]], bucket: str) -> dict[str, Any]:
    """Return the policy of the bucket, for servers without policies of users; each grant with its principal's ARN."""
    found = [
        {"Sid": f"{_sid(grant)}{number}", "Principal": {"AWS": [arn]}} | statement
        for grant, arn in users
        for number, statement in enumerate([*_statements(grant, bucket), *_bulk_delete(grant, bucket)])
    ]
    return {"Version": VERSION, "Statement": found}


def ceph_user(name: str) -> str:
    """Return the ARN of a user of Ceph's default tenant."""
    return f"arn:aws:iam:::user/{name}"


def _statements(grant: Grant, bucket: str) -> Iterable[dict[str, Any]]:
    whole = f"arn:aws:s3:::{bucket}"
    yield {"Effect": "Allow", "Action": ["s3:*"] if grant.administers else list(LIST), "Resource": [whole]}
    for actions, keys in ((READ, grant.read), (WRITE, grant.write), (DELETE, grant.delete)):
        if keys:
            yield {"Effect": "Allow", "Action": list(actions), "Resource": [f"{whole}/{key}" for key in keys]}
    if grant.spared:
        yield {"Effect": "Deny", "Action": list(DELETE), "Resource": [f"{whole}/{key}" for key in grant.spared]}


def _bulk_delete(grant: Grant, bucket: str) -> Iterable[dict[str, Any]]:
    """Yield what Ceph asks of a request that deletes many, before it looks at each of them."""
    if grant.delete:
        yield {"Effect": "Allow", "Action": list(DELETE), "Resource": [f"arn:aws:s3:::{bucket}"]}


def _sid(grant: Grant) -> str:
    return "".join(word.capitalize() for word in grant.name.split("-"))
