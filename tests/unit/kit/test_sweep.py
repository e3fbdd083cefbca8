"""`porelay sweep` on a folder: what it deletes, and what it never does."""

import json
import os
import time

import pytest

DAY_S = 86400


def age(path, seconds):
    for part in [*path.rglob("*"), path]:
        os.utime(part, (time.time() - seconds,) * 2)


@pytest.fixture
def left(store):
    """What a killed worker left two days ago, beside what is committed, young, or made by a process that lives."""
    done = store.begin("artifacts/segment/done")
    (done.folder / "labels.txt").write_text("1" * 5000)
    assert done.commit(b"{}")
    age(store.home / "artifacts", 2 * DAY_S)
    for name, seconds in (("dead", 2 * DAY_S), ("elsewhere", 2 * DAY_S), ("young", 60.0), ("alive", 2 * DAY_S)):
        work = store.begin(f"artifacts/segment/{name}")
        (work.folder / "deep").mkdir()
        (work.folder / "deep" / "half").write_bytes(b"1" * 3000)
        prefix, host, pid, rest = work.folder.name.split("@")
        pid = pid if name in ("alive", "elsewhere") else "999999999"
        host = "another" if name == "elsewhere" else host
        age(work.folder.rename(work.folder.with_name(f"{prefix}@{host}@{pid}@{rest}")), seconds)
    for key in ("runs/r/.tmp-a", "inbox/.tmp-b", "runs/r/run.json"):
        store.write(key, b"12345")
        age(store.home / key, 2 * DAY_S)
    return sorted(path.name.partition("@")[0] for path in (store.home / "staging").iterdir())


def staging(store):
    return sorted(path.name.split("@")[0].rpartition("-")[2] for path in (store.home / "staging").iterdir())


def test_what_nobody_commits_any_more_goes_and_all_else_stays(lonely, store, left):
    done = lonely("sweep")
    assert done.exit_code == 0, done.output
    assert staging(store) == ["alive", "young"]
    assert store.read("artifacts/segment/done/labels.txt") == b"1" * 5000
    assert (store.home / "inbox/.tmp-b").exists() and store.exists("runs/r/run.json")
    assert not (store.home / "runs/r/.tmp-a").exists()
    assert done.stdout.splitlines()[-1] == "freed 5.9 KiB: 2 attempts, 1 half-written file"
    assert lonely("sweep").stdout == "freed 0 B: nothing is left half done\n"


def test_a_dry_run_tells_and_deletes_nothing(lonely, store, left):
    told = lonely.json("sweep", "--dry-run")
    assert told["dry_run"] and told["size_bytes"] == 6005
    assert {one["kind"] for one in told["garbage"]} == {"attempt", "half-written file"}
    assert staging(store) == ["alive", "dead", "elsewhere", "young"] and (store.home / "runs/r/.tmp-a").exists()
    assert "would free 5.9 KiB" in lonely("sweep", "--dry-run").stdout
    assert json.loads(lonely("sweep", "--json").stdout)["size_bytes"] == 6005


def test_an_older_age_spares_more_and_one_that_a_stage_may_reach_is_refused(lonely, store, left, monkeypatch):
    assert "nothing is left" in lonely("sweep", "--older-than", "3d").stdout
    refused = lonely("sweep", "--older-than", "1h")
    assert "--older-than is 3600 s, wanted at least 22200 s" in str(refused.exception)
    assert len(staging(store)) == 4
    for name in ("STAGE", "ISOLATED"):
        monkeypatch.setenv(f"PORELAY_{name}_LIMIT_S", "60")
    assert lonely("sweep", "--older-than", "1h").exit_code == 0
    assert "wanted a number and s, min, h or d" in lonely("sweep", "--older-than", "soon").output
