"""What a service gets by being a values entry: a worker, its queue's scaler, a GPU, a budget of disruption, Dask."""

import pytest
import yaml
from deploy.chart import CHART, REPOSITORY, Object, Rendered, container_of, environment_of, pod_of, render, rendered

from porelay_kit.broker.permissions import accounts
from porelay_kit.broker.topology import queue_of
from porelay_schemas.route import STAGES

URL = "https://rabbitmq.example.org:15671"
KEDA: Object = {"keda": {"enabled": True}, "broker": {"managementUrl": URL}}
GPU = "nvidia.com/gpu"


def trigger(found: Rendered, service: str) -> Object:
    (one,) = found.one("ScaledObject", component=service)["spec"]["triggers"]
    metadata: Object = one["metadata"]
    return metadata


def test_a_new_service_by_values_alone_has_all_that_the_others_have() -> None:
    values = KEDA | {"services": {"deblur": {"gpu": 1, "scale": {"min": 2, "max": 5}, "dask": {"workers": 2}}}}
    found = render(values=values)
    kinds = {
        one["kind"] for one in found.objects if one["metadata"]["labels"].get("app.kubernetes.io/component") == "deblur"
    }
    assert kinds == {"Deployment", "ScaledObject", "PodDisruptionBudget", "Service"}
    worker = found.worker("deblur")
    assert container_of(worker)["command"][:3] == ["porelay", "serve", "deblur"]
    assert container_of(worker)["image"] == "ghcr.io/porelay/deblur:0.1.0-cuda"
    assert [one["secret"]["secretName"] for one in pod_of(worker)["volumes"] if "secret" in one] == ["porelay-deblur"]
    assert trigger(found, "deblur")["queueName"] == queue_of("deblur")


def test_a_new_service_may_be_an_empty_entry() -> None:
    assert container_of(render(values={"services": {"deblur": {}}}).worker("deblur"))["command"][2] == "deblur"


def test_a_service_is_served_by_its_stage_under_its_name() -> None:
    found = render()
    for stage in STAGES:
        worker = found.worker(stage)
        assert worker["metadata"]["name"] == f"porelay-{stage}"
        assert container_of(worker)["command"][:3] == ["porelay", "serve", stage]
        assert container_of(worker)["image"].startswith(f"ghcr.io/porelay/{stage}:0.1.0")


def test_an_image_of_a_service_may_be_pinned_by_its_digest() -> None:
    pinned = "registry.example.org/porelay/segment@sha256:" + "0" * 64
    assert (
        container_of(render(values={"services": {"segment": {"image": pinned}}}).worker("segment"))["image"] == pinned
    )


def test_two_releases_in_one_namespace_share_no_name() -> None:
    first = render(values=KEDA).objects
    second = render(values=KEDA, options=("--name-template", "other")).objects
    names = [{(one["kind"], one["metadata"]["name"]) for one in objects} for objects in (first, second)]
    assert names[0] and not names[0] & names[1]


def test_one_release_in_two_namespaces_shares_nothing_that_belongs_to_the_cluster() -> None:
    classes = [
        {one["metadata"]["name"] for one in render(options=("--namespace", namespace)).all("PriorityClass")}
        for namespace in ("porelay", "trial")
    ]
    assert all(classes) and not classes[0] & classes[1]


def test_trainer_and_sampler_get_a_gpu_a_node_that_has_one_and_its_image() -> None:
    found = render()
    for stage in STAGES:
        pod, container = pod_of(found.worker(stage)), container_of(found.worker(stage))
        gpu = stage in ("slicegan-trainer", "sampler")
        assert container["resources"]["limits"].get(GPU) == (1 if gpu else None)
        assert container["image"].endswith("-cuda") == gpu
        assert pod.get("nodeSelector", {}).get("nvidia.com/gpu.present") == ("true" if gpu else None)
        assert any(one["key"] == GPU for one in pod.get("tolerations", [])) == gpu


def test_a_gpu_is_not_asked_for_twice_while_a_service_is_replaced() -> None:
    found = render()
    assert found.worker("slicegan-trainer")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert found.worker("segment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_services_own_nodes_come_on_top_of_those_with_a_gpu() -> None:
    own = {"nodeSelector": {"zone": "b"}, "tolerations": [{"key": "lab", "operator": "Exists"}]}
    found = render(values={"services": {"sampler": own}, "gpu": {"runtimeClassName": "nvidia"}})
    pod = pod_of(found.worker("sampler"))
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true", "zone": "b"}
    assert [one["key"] for one in pod["tolerations"]] == [GPU, "lab"]
    assert pod["runtimeClassName"] == "nvidia"
    assert "zone" not in pod_of(found.worker("slicegan-trainer"))["nodeSelector"]


def test_without_keda_a_service_keeps_its_pods() -> None:
    found = render(values={"services": {"segment": {"replicas": 3}}})
    assert found.worker("segment")["spec"]["replicas"] == 3
    assert found.worker("metrics")["spec"]["replicas"] == 1
    assert not found.all("ScaledObject")


def test_with_keda_nobody_but_it_says_how_many_pods_there_are() -> None:
    found = render(values=KEDA)
    for one in found.all("ScaledObject"):
        service = one["metadata"]["labels"]["app.kubernetes.io/component"]
        worker = found.worker(service)
        assert "replicas" not in worker["spec"], "an upgrade would set the number back"
        assert one["spec"]["scaleTargetRef"] == {"name": worker["metadata"]["name"]}
    assert found.one("ScaledObject", component="slicegan-trainer")["spec"]["minReplicaCount"] == 0


def test_a_worker_that_is_busy_keeps_its_pod() -> None:
    metadata = trigger(render(values=KEDA), "slicegan-trainer")
    assert metadata["protocol"] == "http", "only over HTTP KEDA counts what is in hand"
    assert "excludeUnacknowledged" not in metadata
    assert (metadata["mode"], metadata["value"], metadata["activationValue"]) == ("QueueLength", "1", "0")


@pytest.mark.parametrize("vhost", ["porelay", "/", "site/a b"])
def test_keda_looks_at_the_brokers_virtual_host(vhost: str) -> None:
    metadata = trigger(render(values=KEDA | {"broker": {"managementUrl": URL, "vhost": vhost}}), "segment")
    assert (metadata["vhostName"], metadata["host"]) == (vhost, f"{URL}/")


def test_keda_looks_with_the_user_that_may_only_look() -> None:
    found = render(values=KEDA | {"ca": {"configMap": "site-authority"}})
    authentication = found.one("TriggerAuthentication")["spec"]
    assert authentication["secretTargetRef"] == [
        {"parameter": "password", "name": "porelay-monitor", "key": "amqp_password"}
    ]
    of = {one["parameter"]: (one["name"], one["key"]) for one in authentication["configMapTargetRef"]}
    maps = {one["metadata"]["name"]: one["data"] for one in found.all("ConfigMap")}
    user = maps[of["username"][0]][of["username"][1]]
    (account,) = [one for one in accounts() if one.name == user]
    assert account.tags == ("monitoring",) and account.read == account.write == account.configure == "^$"
    assert maps[of["tls"][0]][of["tls"][1]] == "enable"
    assert of["ca"] == ("site-authority", "ca.pem")
    assert {
        one["authenticationRef"]["name"] for thing in found.all("ScaledObject") for one in thing["spec"]["triggers"]
    } == {found.one("TriggerAuthentication")["metadata"]["name"]}


def test_keda_without_the_brokers_http_interface_is_refused() -> None:
    assert (
        "keda.enabled needs broker.managementUrl, such as https://" in render(values={"keda": {"enabled": True}}).error
    )


def test_a_service_of_a_fixed_number_of_pods_has_that_number_and_no_scaler() -> None:
    found = render(values=KEDA | {"services": {"metrics": {"scale": {"min": 2, "max": 2}}}})
    assert found.worker("metrics")["spec"]["replicas"] == 2
    assert not found.all("ScaledObject", component="metrics")


def test_least_above_most_is_refused() -> None:
    error = render(values={"services": {"metrics": {"scale": {"min": 3, "max": 2}}}}).error
    assert "services.metrics.scale: min is 3 and max is 2, wanted min not above max." in error


@pytest.mark.parametrize("none", [{"scale": {"min": 0}}, {"replicas": 0}])
def test_ingest_always_has_a_pod_for_it_is_who_sees_a_drop(none: Object) -> None:
    error = render(values={"services": {"ingest": none}}).error
    assert "services.ingest: scale.min is" in error and "wanted at least 1" in error
    assert render(values=KEDA).one("ScaledObject", component="ingest")["spec"]["minReplicaCount"] >= 1


def test_no_budget_of_disruption_blocks_a_drain() -> None:
    for example in ("gpu-facility", "air-gapped"):
        for budget in rendered(example).all("PodDisruptionBudget"):
            assert "minAvailable" not in budget["spec"]
            assert budget["spec"]["maxUnavailable"] >= 1
            assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_service_that_goes_down_to_zero_has_no_budget_of_disruption() -> None:
    found = rendered("gpu-facility")
    with_budget = {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in found.all("PodDisruptionBudget")}
    to_zero = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]
        for one in found.all("ScaledObject")
        if one["spec"]["minReplicaCount"] == 0
    }
    assert with_budget == {"ingest"} and not with_budget & to_zero


def test_a_budget_of_disruption_selects_the_pods_of_its_service() -> None:
    found = render()
    for budget in found.all("PodDisruptionBudget"):
        worker = found.worker(budget["metadata"]["labels"]["app.kubernetes.io/component"])
        labels = worker["spec"]["template"]["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_a_big_cache_is_a_volume_of_a_storage_class_that_goes_with_its_pod() -> None:
    found = render(values={"services": {"segment": {"cache": {"size": "200Gi", "storageClass": "nvme"}}}})
    (cache,) = [one for one in pod_of(found.worker("segment"))["volumes"] if one["name"] == "cache"]
    claim = cache["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("nvme", "200Gi")
    (cache,) = [one for one in pod_of(found.worker("metrics"))["volumes"] if one["name"] == "cache"]
    assert cache["emptyDir"] == {"sizeLimit": "20Gi"}


def test_dask_workers_are_found_by_the_service_that_they_work_for_and_have_its_image_and_keys() -> None:
    found = render(values={"services": {"segment": {"dask": {"workers": 3}}}})
    address = environment_of(found.worker("segment"))["DASK_SCHEDULER_ADDRESS"]
    service = found.one("Service")
    assert address == f"tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    scheduler, workers = found.one("Deployment", role="dask-scheduler"), found.one("Deployment", role="dask-worker")
    assert service["spec"]["selector"].items() <= scheduler["spec"]["template"]["metadata"]["labels"].items()
    assert workers["spec"]["replicas"] == 3
    assert address in container_of(workers)["command"]
    images = {container_of(one)["image"] for one in (found.worker("segment"), scheduler, workers)}
    assert images == {"ghcr.io/porelay/segment:0.1.0"}
    same = ("PORELAY_S3_URL", "PORELAY_CACHE")
    assert [environment_of(workers)[name] for name in same] == [
        environment_of(found.worker("segment"))[name] for name in same
    ]
    assert "PORELAY_AMQP_URL_FILE" not in environment_of(workers)
    assert "DASK_SCHEDULER_ADDRESS" not in environment_of(found.worker("preprocess"))


def test_a_dask_cluster_that_is_there_already_is_named_and_none_is_made() -> None:
    found = render(values={"services": {"segment": {"dask": {"address": "tcp://dask.example.org:8786"}}}})
    assert environment_of(found.worker("segment"))["DASK_SCHEDULER_ADDRESS"] == "tcp://dask.example.org:8786"
    assert not found.all("Service")


def test_a_dask_cluster_of_ones_own_and_one_that_is_there_are_not_had_together() -> None:
    both = {"workers": 1, "address": "tcp://dask.example.org:8786"}
    assert "services.segment.dask: address is" in render(values={"services": {"segment": {"dask": both}}}).error


def test_the_dashboards_and_rules_of_the_chart_are_all_rendered() -> None:
    found = rendered("gpu-facility")
    dashboards = {path.name: path.read_text() for path in (CHART / "files" / "dashboards").glob("*.json")}
    maps = [one for one in found.all("ConfigMap") if one["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert {name: text.strip() for one in maps for name, text in one["data"].items()} == {
        name: text.strip() for name, text in dashboards.items()
    }
    rules = {path.stem: yaml.safe_load(path.read_text()) for path in (CHART / "files" / "rules").glob("*.yaml")}
    found_rules = {one["metadata"]["name"]: one["spec"] for one in found.all("PrometheusRule")}
    assert found_rules == {f"porelay-{name}": content for name, content in rules.items()}
    assert dashboards and rules


def test_prometheus_scrapes_the_broker_as_that_of_compose_does() -> None:
    configuration = yaml.safe_load((REPOSITORY / "deploy" / "monitoring" / "prometheus.yml").read_text())
    wanted = {
        one["job_name"]: (one.get("metrics_path", "/metrics"), one.get("params", {}))
        for one in configuration["scrape_configs"]
        if one["job_name"].startswith("rabbitmq")
    }
    scraped = [one["spec"] for one in rendered("gpu-facility").all("ScrapeConfig")]
    found = {one["jobName"]: (one.get("metricsPath", "/metrics"), one.get("params", {})) for one in scraped}
    assert found == wanted and len(wanted) == 2
    assert {target for one in scraped for part in one["staticConfigs"] for target in part["targets"]} == {
        "rabbitmq.facility.example:15691"
    }


def test_prometheus_scrapes_every_worker_at_its_port_of_metrics() -> None:
    found = rendered("gpu-facility")
    monitor = found.one("PodMonitor")["spec"]
    for worker in found.all("Deployment", role="worker"):
        labels = worker["spec"]["template"]["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        assert monitor["podMetricsEndpoints"][0]["port"] in [one["name"] for one in container_of(worker)["ports"]]
    assert found.one("PodMonitor")["metadata"]["labels"]["release"] == "kube-prometheus-stack"
