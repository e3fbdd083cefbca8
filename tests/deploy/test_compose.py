"""docker-compose.yml: every service confined, with its own secrets and no other's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.chart import REPOSITORY

from porelay_kit.broker.permissions import accounts
from porelay_kit.settings import Settings
from porelay_kit.store.policies import grants
from porelay_schemas.route import STAGES

TEXT = (REPOSITORY / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = {name: one for name, one in SERVICES.items() if "serve" in one.get("command", [])}
SERVERS = {"rabbitmq", "s3", "prometheus", "grafana"}
SITE = "./deploy/compose/site/"
SCRIPTS = REPOSITORY / "deploy" / "compose"


def stage_of(name: str) -> str:
    return name.removesuffix("-gpu")


def mounts(name: str) -> dict[str, str]:
    """Return source by target of what a service mounts."""
    parts = [volume.split(":") for volume in SERVICES[name].get("volumes", [])]
    return {part[1]: part[0] for part in parts}


def environment(name: str) -> dict[str, str]:
    return SERVICES[name].get("environment", {})


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """What `make compose-env` writes."""
    folder = tmp_path_factory.mktemp("compose") / "site"
    make_env(folder)
    return folder


def make_env(folder: Path) -> None:
    subprocess.run([sys.executable, SCRIPTS / "make_env.py", folder], check=True)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in ("root", "0", "0:0") and "privileged" not in service
    assert "/tmp" in service["tmpfs"]


@pytest.mark.parametrize("name", [*WORKERS, *SERVERS])
def test_what_runs_for_good_is_watched_and_starts_again(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD" and service["restart"] == "unless-stopped"


def test_workers_begin_after_the_job_that_sets_the_servers_up_and_it_after_the_servers() -> None:
    for name, service in WORKERS.items():
        assert service["depends_on"] == {"topology": {"condition": "service_completed_successfully"}}, name
    healthy = {"condition": "service_healthy"}
    assert SERVICES["topology"]["depends_on"] == {"rabbitmq": healthy, "s3": healthy}


def test_cpu_and_gpu_are_two_profiles_of_the_same_stages() -> None:
    of: dict[str, set[str]] = {"cpu": set(), "gpu": set(), "": set()}
    for name, service in WORKERS.items():
        (profile,) = service.get("profiles", [""])
        of[profile].add(stage_of(name))
        cuda = str(service["image"]).endswith("-cuda")
        assert cuda == name.endswith("-gpu") == (profile == "gpu") == ("deploy" in service), name
    assert of["cpu"] == of["gpu"] == {"slicegan-trainer", "sampler"}
    assert of[""] | of["cpu"] == set(STAGES) and not of[""] & of["cpu"]


def test_prometheus_finds_both_profiles_under_the_name_of_the_stage() -> None:
    for name in WORKERS:
        names = {name, *SERVICES[name].get("networks", {}).get("default", {}).get("aliases", [])}
        assert stage_of(name) in names
    jobs = yaml.safe_load((REPOSITORY / "deploy/monitoring/prometheus.yml").read_text())["scrape_configs"]
    (workers,) = [job["dns_sd_configs"][0] for job in jobs if job["job_name"] == "porelay"]
    assert set(workers["names"]) == set(STAGES) and workers["port"] == 8000


def test_what_must_last_lies_on_volumes() -> None:
    places = {"rabbitmq": "/var/lib/rabbitmq", "s3": "/var/lib/ceph", "prometheus": "/prometheus"}
    places |= {"grafana": "/var/lib/grafana"} | dict.fromkeys(WORKERS, "/cache")
    for name, place in places.items():
        assert mounts(name)[place] in COMPOSE["volumes"], name


def test_a_worker_gets_its_own_secrets_and_no_others() -> None:
    for name in WORKERS:
        secret = {target: source for target, source in mounts(name).items() if source.startswith(SITE)}
        assert secret == {"/secrets": f"{SITE}secrets/porelay-{stage_of(name)}"}


def test_all_files_that_are_mounted_are_there_or_made(site: Path) -> None:
    for name in SERVICES:
        for source in mounts(name).values():
            if source.startswith(SITE):
                assert (site / source.removeprefix(SITE)).exists(), source
            elif source.startswith("./"):
                assert (REPOSITORY / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_the_settings_of_containers_are_settings(site: Path) -> None:
    for name in ("topology", "operator", *WORKERS):
        given = {key: re.sub(r"\$\{\w+:-(.*)}", r"\1", value) for key, value in environment(name).items()}
        for key, value in given.items():
            if key.endswith("_FILE"):
                mount = mounts(name)[str(Path(value).parent)]
                given[key] = str(site / mount.removeprefix(SITE) / Path(value).name)
        settings = Settings.from_env(given)
        assert settings.amqp_url and settings.s3_access_key and settings.s3_secret_key, name
        assert settings.s3_url == "http://s3:8080/porelay"


def test_no_password_is_in_the_file_and_git_ignores_where_they_are() -> None:
    assert not re.search(r"(?i)(password|secret_key)\w*:(?! *(/secrets|/admin))", TEXT)
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    assert {"deploy/compose/site/", ".env"} <= set(ignored)


def test_passwords_are_random_private_to_their_owner_and_kept(site: Path, tmp_path: Path) -> None:
    assert site.stat().st_mode & 0o777 == 0o700
    passwords = {path: path.read_text() for path in site.rglob("*password") if path.is_file()}
    assert len(set(passwords.values())) == len(passwords) == len(accounts()) + 1
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    make_env(site)
    assert before == {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    make_env(tmp_path / "another")
    other = [path.read_text() for path in (tmp_path / "another").rglob("*password") if path.is_file()]
    assert not set(other) & set(passwords.values())


def test_the_broker_reads_users_and_rights_at_its_start_and_no_queues(site: Path) -> None:
    found = json.loads((site / "rabbitmq/users.json").read_text())
    assert {user["name"] for user in found["users"]} == {account.name for account in accounts()}
    assert set(found) == {"vhosts", "users", "permissions", "topic_permissions"}


def test_the_store_gets_every_user_that_the_buckets_policy_names(site: Path) -> None:
    lines = [line.split() for line in (site / "s3/users").read_text().splitlines()]
    assert [name for name, _, _ in lines] == [grant.name for grant in grants()]
    for name, access, secret in lines:
        assert (site / "secrets" / name / "s3_access_key").read_text() == access
        assert (site / "secrets" / name / "s3_secret_key").read_text() == secret


def test_the_example_of_settings_names_variables_of_the_file_and_all_of_them() -> None:
    example = (SCRIPTS / "env.example").read_text()
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)}", TEXT))
    shown = dict(re.findall(r"^#(\w+)=(.*)$", example, re.MULTILINE))
    assert shown == used
    assert "\nCOMPOSE_PROFILES=cpu\n" in example


def test_the_scripts_are_programs_that_a_shell_can_read() -> None:
    for name, shell in (("make-env", "sh"), ("ceph-one-node.sh", "bash"), ("../images/build", "sh")):
        assert subprocess.run([shell, "-n", SCRIPTS / name]).returncode == 0
        assert os.access(SCRIPTS / name, os.X_OK)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_itself_understands_the_file(profile: str, tmp_path: Path) -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("no docker compose here (Debian trixie: apt-get install docker-cli docker-compose)")
    (tmp_path / "env").touch()
    command = [
        "docker",
        "compose",
        "--env-file",
        str(tmp_path / "env"),
        "--profile",
        profile,
        "config",
        "--format",
        "json",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {stage_of(name) for name in json.loads(done.stdout)["services"]} >= set(STAGES)
