"""Every object that the chart renders: valid, restricted, limited, and with what a worker needs."""

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from deploy.chart import (
    CHART,
    EXAMPLES,
    GIVEN,
    Object,
    Rendered,
    container_of,
    environment_of,
    environment_with,
    helm,
    merge,
    pod_of,
    pods,
    render,
    rendered,
    sources,
)
from deploy.pod_security import violations

from porelay_kit.broker.topology import DAY_S, Topology, queue_of
from porelay_kit.security import Site, write
from porelay_kit.settings import Settings
from porelay_schemas.route import STAGES

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.json")}
OLDEST, NEWEST = "1.27", "1.37"
ON = {"enabled": True}
EVERYTHING = {
    "broker": {"managementUrl": "https://rabbitmq.example.org:15671", "clientCertificates": True},
    "ca": {"configMap": "site-authority"},
    "keda": ON,
    "services": {
        "segment": {"dask": {"workers": 2}},
        "preprocess": {"dask": {"address": "tcp://dask.example.org:8786"}},
    },
    "monitoring": {
        "podMonitor": ON,
        "rules": ON,
        "broker": {"enabled": True, "address": "rabbitmq.example.org:15691", "scheme": "https"},
    },
    "rabbitmqCluster": {"create": True, "tls": "rabbitmq-tls"},
}
"""Values that switch on all that there is."""


@pytest.fixture(params=[*EXAMPLES, "least", "everything"], scope="module")
def found(request: pytest.FixtureRequest) -> Rendered:
    if request.param in EXAMPLES:
        return rendered(request.param)
    return render(values={} if request.param == "least" else EVERYTHING)


def problems(thing: Object, version: str) -> Iterator[str]:
    """Yield what the schema of an object's kind refuses, fields that it does not know among it."""
    where = f"{thing['kind']} {thing['metadata']['name']}"
    if schema := SCHEMAS.get(thing["kind"]):
        for error in jsonschema.Draft7Validator(schema).iter_errors(thing):
            yield f"{where}: {error.json_path}: {error.message}"
        return
    try:
        with warnings.catch_warnings(action="error"):
            kubernetes_validate.validate(thing, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{where}: {error}"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_what_kubernetes_and_the_operators_know(found: Rendered, version: str) -> None:
    assert found.objects, found.error
    assert [problem for thing in found.objects for problem in problems(thing, version)] == []


def test_a_misspelt_field_of_a_kubernetes_object_and_of_a_custom_resource_is_found() -> None:
    found = render(values=EVERYTHING)
    worker, scaled = found.worker("segment"), found.one("ScaledObject", component="segment")
    pod_of(worker)["nodeSelectr"] = {}
    scaled["spec"]["triggers"][0]["metadata"]["queue"] = "segment.v1"
    assert "nodeSelectr" in next(problems(worker, NEWEST))
    assert "queue" in next(problems(scaled, NEWEST))


def test_all_there_is_is_rendered_when_all_is_switched_on() -> None:
    kinds = {thing["kind"] for thing in render(values=EVERYTHING).objects}
    assert kinds == {
        *("ConfigMap", "Deployment", "Job", "NetworkPolicy", "PodDisruptionBudget", "PriorityClass", "Service"),
        *SCHEMAS,
    }


def test_nothing_of_an_operator_is_rendered_unless_it_is_asked_for() -> None:
    groups = {thing["apiVersion"].partition("/")[0] for thing in render().objects}
    assert groups - {"v1"} == {"apps", "batch", "networking.k8s.io", "policy", "scheduling.k8s.io"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_lints_each_example_without_a_warning(example: str) -> None:
    done = helm("lint", "--strict", CHART, "--values", EXAMPLES[example])
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("kubernetes", ["1.27.0", "1.32.0", "1.37.0"])
def test_what_is_rendered_depends_neither_on_kubernetes_version_nor_on_what_is_installed(kubernetes: str) -> None:
    apis = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1", "rabbitmq.com/v1beta1")
    options = ("--kube-version", kubernetes, *(word for api in apis for word in ("--api-versions", api)))
    assert render("gpu-facility", options=options).objects == rendered("gpu-facility").objects


def test_a_kubernetes_too_old_is_refused() -> None:
    assert "requires kubeVersion: >=1.27" in render(options=("--kube-version", "1.26.0")).error


def test_objects_have_names_of_their_own(found: Rendered) -> None:
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in found.objects]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)


def test_every_pod_satisfies_the_restricted_profile(found: Rendered) -> None:
    assert [(name, wrong) for name, thing in pods(found).items() for wrong in violations(pod_of(thing))] == []


def test_every_container_has_a_root_that_cannot_be_written_and_no_token_of_kubernetes(found: Rendered) -> None:
    for thing in pods(found).values():
        assert container_of(thing)["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod_of(thing)["automountServiceAccountToken"] is False
        assert {one["mountPath"] for one in container_of(thing)["volumeMounts"] if not one.get("readOnly")} <= {
            "/tmp",
            "/cache",
        }
        assert pod_of(thing)["securityContext"]["runAsUser"] == 10001


def test_every_container_has_requests_and_limits(found: Rendered) -> None:
    for thing in pods(found).values():
        resources = container_of(thing)["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys() & resources["limits"].keys()


def test_a_service_without_limits_is_refused() -> None:
    error = render(values={"services": {"segment": {"resources": {"limits": None}}}}).error
    assert "services.segment.resources: limits is required" in error or "limits" in error


def test_every_selector_finds_the_pods_of_one_workload_alone(found: Rendered) -> None:
    workloads = [thing for thing in found.objects if thing["kind"] == "Deployment"]
    labels = [thing["spec"]["template"]["metadata"]["labels"] for thing in workloads]
    for thing in workloads:
        wanted = thing["spec"]["selector"]["matchLabels"].items()
        assert sum(wanted <= one.items() for one in labels) == 1


def test_every_volume_that_is_mounted_is_there_and_no_other(found: Rendered) -> None:
    for thing in pods(found).values():
        mounted = {one["name"] for one in container_of(thing)["volumeMounts"]}
        assert mounted == {one["name"] for one in pod_of(thing)["volumes"]}


def test_a_worker_has_three_probes_at_the_port_that_it_listens_at(found: Rendered) -> None:
    for thing in found.all("Deployment", role="worker"):
        container = container_of(thing)
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {kind: probe["path"] for kind, probe in probes.items()} == {
            "startup": "/livez",
            "liveness": "/livez",
            "readiness": "/readyz",
        }
        (port,) = container["ports"]
        assert {probe["port"] for probe in probes.values()} == {port["name"]}
        assert environment_of(thing)["PORELAY_HEALTH_PORT"] == str(port["containerPort"])


def secrets_of(folder: Path) -> Path:
    """Return the folder that `porelay topology plan --out` writes secrets to."""
    site = Site.of("amqps://rabbitmq.example.org:5671/porelay", "https://s3.example.org/porelay")
    write(folder, site, Topology().definitions(site.vhost, (4, 0)))
    return folder / "secrets"


BY_HAND = {"amqp_management_url", "tls.crt", "tls.key"}
"""Keys of secrets that the README has the operator add."""


def test_every_secret_and_key_is_a_folder_and_a_file_that_the_plan_of_the_topology_writes(
    found: Rendered, tmp_path: Path
) -> None:
    folder = secrets_of(tmp_path)
    asked = {(name, item["key"]) for thing in pods(found).values() for name, item in sources(thing)}
    for one in found.all("TriggerAuthentication"):
        asked |= {(ref["name"], ref["key"]) for ref in one["spec"]["secretTargetRef"]}
    missing = {(name, key) for name, key in asked if key not in BY_HAND and not (folder / name / key).is_file()}
    assert asked and not missing


def test_a_service_sees_its_own_secret_and_nobody_elses(found: Rendered) -> None:
    for thing in found.all("Deployment", role="worker"):
        service = thing["metadata"]["labels"]["app.kubernetes.io/component"]
        assert {name for name, _ in sources(thing)} == {f"porelay-{service}"}


def test_the_environment_of_every_pod_is_understood_by_porelay(found: Rendered, tmp_path: Path) -> None:
    for thing in pods(found).values():
        if not environment_of(thing):
            assert thing["metadata"]["labels"]["porelay/role"] == "dask-scheduler"
            continue
        keys = {item["path"] for _, item in sources(thing)} | {"ca.pem"}
        for key in keys:
            (tmp_path / key).write_text(f"of {key}\n")
        environment = environment_with(thing, tmp_path)
        settings = Settings.from_env(environment)
        assert settings.s3_url == environment["PORELAY_S3_URL"]
        assert settings.s3_secret_key is not None and settings.s3_secret_key.get_secret_value() == "of s3_secret_key"
        assert settings.grace_s == float(environment["PORELAY_GRACE_S"])


def test_no_secret_stands_in_a_variable_an_argument_or_a_config_map(found: Rendered) -> None:
    secret = {f"PORELAY_{name.upper()}" for name in Settings.secrets()}
    for thing in pods(found).values():
        assert not secret & environment_of(thing).keys()
        assert not any("secretKeyRef" in value for value in environment_of(thing).values())
    assert not found.all("Secret")


def test_the_termination_grace_is_longer_than_the_workers_own(found: Rendered) -> None:
    for thing in found.all("Deployment", role="worker"):
        grace = float(environment_of(thing)["PORELAY_GRACE_S"])
        assert pod_of(thing)["terminationGracePeriodSeconds"] >= grace + 15


def test_a_trainer_has_at_least_the_time_of_a_checkpoint_to_save_and_hand_over(found: Rendered) -> None:
    trainer = environment_of(found.worker("slicegan-trainer"))
    assert float(trainer["PORELAY_GRACE_S"]) >= float(trainer["PORELAY_CHECKPOINT_S"])
    assert float(trainer["PORELAY_CHECKPOINT_S"]) <= float(trainer["PORELAY_SLICE_S"])


def test_a_longer_grace_of_the_worker_lengthens_that_of_its_pod() -> None:
    found = render(values={"services": {"mesher": {"config": {"grace_s": 3600.5}}}})
    assert pod_of(found.worker("mesher"))["terminationGracePeriodSeconds"] == 3601 + 20


def test_a_grace_shorter_than_the_time_between_checkpoints_is_refused() -> None:
    error = render(values={"services": {"slicegan-trainer": {"config": {"grace_s": 30}}}}).error
    assert "services.slicegan-trainer.config: grace_s is 30 and checkpoint_s is 60" in error
    assert "Raise grace_s, or lower checkpoint_s." in error


def test_the_defaults_of_slices_and_checkpoints_are_those_of_the_settings() -> None:
    given = yaml.safe_load((CHART / "values.yaml").read_text())["config"]
    assert given["slice_s"] == Settings.model_fields["slice_s"].default
    assert given["checkpoint_s"] == Settings.model_fields["checkpoint_s"].default


def test_memory_and_threads_of_a_stage_follow_its_containers_limits(found: Rendered) -> None:
    units = {"Mi": 2**20, "Gi": 2**30}
    for thing in found.all("Deployment", role="worker"):
        limit = container_of(thing)["resources"]["limits"]["memory"]
        budget = int(environment_of(thing)["PORELAY_MAX_MEMORY_BYTES"])
        assert budget == int(limit[:-2]) * units[limit[-2:]] * 3 // 4
        assert environment_of(thing)["PORELAY_WORKERS"]["resourceFieldRef"]["resource"] == "limits.cpu"


def test_copies_take_half_of_the_room_of_a_cache_so_that_what_is_written_has_the_other() -> None:
    found = render(values={"services": {"segment": {"cache": {"size": "100Gi"}}}})
    assert environment_of(found.worker("segment"))["PORELAY_CACHE_BYTES"] == str(50 * 2**30)
    found = render(values={"config": {"cache_bytes": "7GiB"}})
    assert environment_of(found.worker("segment"))["PORELAY_CACHE_BYTES"] == "7GiB"


@pytest.mark.parametrize(
    ("limit", "bytes_"), [("1.5Gi", 1207959552), ("8G", 6000000000), ("512Mi", 402653184), ("1Ti", 824633720832)]
)
def test_a_quantity_of_memory_is_read_as_kubernetes_reads_it(limit: str, bytes_: int) -> None:
    amounts = {"cpu": 1, "memory": limit}
    found = render(values={"services": {"segment": {"resources": {"requests": amounts, "limits": amounts}}}})
    assert environment_of(found.worker("segment"))["PORELAY_MAX_MEMORY_BYTES"] == str(bytes_)


def test_a_setting_of_a_service_wins_over_that_of_all_and_a_big_number_stays_whole() -> None:
    found = render(
        values={
            "config": {"max_memory_bytes": 17179869184, "workers": 2, "quiet_s": 0.5},
            "services": {"segment": {"config": {"workers": 7}}},
        }
    )
    segment, ingest = environment_of(found.worker("segment")), environment_of(found.worker("ingest"))
    assert (segment["PORELAY_MAX_MEMORY_BYTES"], segment["PORELAY_WORKERS"]) == ("17179869184", "7")
    assert (ingest["PORELAY_WORKERS"], ingest["PORELAY_QUIET_S"]) == ("2", "0.5")


def test_a_service_that_is_not_enabled_is_not_there() -> None:
    found = render(values={"services": {"comsol-bridge": {"enabled": False}}})
    assert {thing["metadata"]["labels"]["app.kubernetes.io/component"] for thing in found.all("Deployment")} == set(
        STAGES
    ) - {"comsol-bridge"}


def test_the_trainer_gives_its_place_to_others_and_a_node_is_still_started_for_it() -> None:
    found = render()
    classes = {one["metadata"]["name"]: one for one in found.all("PriorityClass")}
    training = classes[pod_of(found.worker("slicegan-trainer"))["priorityClassName"]]
    work = classes[pod_of(found.worker("ingest"))["priorityClassName"]]
    assert -10 <= training["value"] < 0 < work["value"]
    assert training["preemptionPolicy"] == "Never"


def test_priority_classes_of_the_site_are_used_and_none_are_made() -> None:
    values = {"priorityClasses": {"create": False, "training": "low"}}
    found = render(values=values)
    assert not found.all("PriorityClass")
    assert pod_of(found.worker("slicegan-trainer"))["priorityClassName"] == "low"
    assert "priorityClassName" not in pod_of(found.worker("ingest"))


def test_the_topology_is_applied_before_the_workers_by_the_administrator_and_the_buckets_owner() -> None:
    job = render().one("Job", component="topology")
    assert container_of(job)["command"] == ["porelay", "topology", "apply"]
    assert container_of(job)["image"] == "ghcr.io/porelay/operator:0.1.0"
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert {(name, item["key"]) for name, item in sources(job)} == {
        ("porelay-admin", "amqp_url"),
        ("porelay-admin", "amqp_management_url"),
        ("porelay-operator", "s3_access_key"),
        ("porelay-operator", "s3_secret_key"),
    }
    assert job["spec"]["ttlSecondsAfterFinished"] <= DAY_S


def test_what_a_job_before_the_installation_needs_of_the_chart_is_there_before_it() -> None:
    hooks = {
        one["kind"]: one
        for one in rendered("gpu-facility").objects
        if "install" in one["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    }
    weights = {kind: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for kind, one in hooks.items()}
    assert sorted(weights, key=lambda kind: weights[kind]) == ["NetworkPolicy", "Job"]
    assert {one["metadata"]["name"] for one in hooks.values()} == {"porelay-topology"}
    assert not {"priorityClassName", "serviceAccountName"} & pod_of(hooks["Job"]).keys()


def test_a_site_that_applies_the_topology_itself_has_no_job_of_it() -> None:
    assert not render(values={"topology": {"enabled": False}}).all("Job", component="topology")


def test_helm_test_runs_the_doctor_once_as_the_operator() -> None:
    doctor = render().one("Job", component="doctor")
    assert doctor["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert container_of(doctor)["command"] == ["porelay", "doctor"]
    assert {name for name, _ in sources(doctor)} == {"porelay-operator"}
    assert doctor["spec"]["backoffLimit"] == 0


def test_a_broker_that_the_chart_makes_is_there_before_the_job_that_needs_it() -> None:
    job = rendered("air-gapped").one("Job", component="topology")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,pre-upgrade"


def test_a_broker_that_the_chart_makes_begins_with_our_definitions() -> None:
    cluster = rendered("air-gapped").one("RabbitmqCluster")
    template = cluster["spec"]["override"]["statefulSet"]["spec"]["template"]["spec"]
    (mount,), (volume,) = template["containers"][0]["volumeMounts"], template["volumes"]
    assert volume["secret"]["secretName"] == "porelay-definitions"
    lines = cluster["spec"]["rabbitmq"]["additionalConfig"].splitlines()
    assert f"definitions.local.path = {mount['mountPath']}/definitions.json" in lines
    assert "definitions.skip_if_unchanged = true" in lines, "4.0 was seen to fail at reading queues that are not up yet"
    assert "porelay/role" not in cluster["metadata"]["labels"], "the broker's pods would be cut off by the default deny"


def test_an_air_gapped_site_pulls_everything_from_its_registry_with_its_secret() -> None:
    found = rendered("air-gapped")
    images = {container_of(thing)["image"] for thing in pods(found).values()}
    images |= {one["spec"]["image"] for one in found.all("RabbitmqCluster")}
    assert all(image.startswith("registry.site.example/") for image in images)
    assert all(pod_of(thing)["imagePullSecrets"] == [{"name": "registry-site"}] for thing in pods(found).values())


def test_an_authority_of_the_sites_own_is_trusted_for_broker_and_store() -> None:
    found = rendered("air-gapped")
    for thing in pods(found).values():
        environment, volumes = environment_of(thing), pod_of(thing)["volumes"]
        assert environment["PORELAY_S3_CA_FILE"] == environment["PORELAY_AMQP_CA_FILE"] == "/ca/ca.pem"
        assert [one["configMap"]["name"] for one in volumes if one["name"] == "ca"] == ["site-authority"]


def test_a_single_node_of_sixteen_cores_and_64_gib_has_room_for_all_requests() -> None:
    requests = [container_of(thing)["resources"]["requests"] for thing in rendered("single-node").all("Deployment")]
    cores = sum(float(one["cpu"][:-1]) / 1000 if one["cpu"].endswith("m") else float(one["cpu"]) for one in requests)
    memory = sum(int(one["memory"].removesuffix("Gi")) for one in requests)
    assert cores <= 8 and memory <= 32
    assert not any(
        "nvidia.com/gpu" in container_of(one)["resources"]["limits"]
        for one in rendered("single-node").all("Deployment")
    )


def test_a_queue_is_asked_for_by_the_name_that_the_topology_gives_it() -> None:
    scaled = render(values=merge(EVERYTHING, {"broker": {"vhost": "/"}})).all("ScaledObject")
    for one in scaled:
        service = one["metadata"]["labels"]["app.kubernetes.io/component"]
        assert one["spec"]["triggers"][0]["metadata"]["queueName"] == queue_of(service)
    assert len(scaled) == len(STAGES)


def notes(folder: Path, values: Object) -> str:
    """Return the chart's notes: `helm template` leaves them out, so they are rendered as a value of another file."""
    chart = folder / "porelay"
    shutil.copytree(CHART, chart)
    text = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "_notes.tpl").write_text('{{ define "notes" }}' + text + "{{ end }}")
    (chart / "templates" / "notes.yaml").write_text('notes: {{ include "notes" . | toJson }}\n')
    words = ("template", "porelay", chart, "--namespace", "porelay", "--show-only", "templates/notes.yaml")
    done = helm(*words, values=merge(GIVEN, values))
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["notes"])


def test_the_notes_name_every_secret_that_must_be_there(tmp_path: Path) -> None:
    said = notes(tmp_path, {})
    for stage in STAGES:
        assert f"create secret generic porelay-{stage} --from-file=site/secrets/porelay-{stage}" in said
    assert "KEDA is not used" in said


def test_the_notes_say_so_where_keda_is_asked_for_and_not_installed(tmp_path: Path) -> None:
    values = {"keda": ON, "broker": {"managementUrl": "https://rabbitmq.example.org:15671"}}
    assert "KEDA is not installed here, so nothing will scale." in notes(tmp_path, values)
