"""What the NetworkPolicies let through, worked out as Kubernetes does: the union of all that select a pod."""

from typing import Any

import pytest
from deploy.chart import Object, Rendered, render, rendered

from porelay_schemas.route import STAGES

ANYWHERE = "anywhere"
DNS, MONITORING = "namespace kube-system", "namespace monitoring"
Reach = set[tuple[str, int]]


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Return whether a label selector selects."""
    exists = [one["key"] for one in selector.get("matchExpressions", []) if one["operator"] == "Exists"]
    return selector.get("matchLabels", {}).items() <= labels.items() and all(key in labels for key in exists)


def of(found: Rendered, pod: Object, direction: str) -> list[Object] | None:
    """Return the rules for a pod, None where nothing restricts it."""
    labels = pod["spec"]["template"]["metadata"]["labels"]
    policies = [one["spec"] for one in found.all("NetworkPolicy") if direction in one["spec"]["policyTypes"]]
    ours = [one for one in policies if selects(one["podSelector"], labels)]
    return [rule for one in ours for rule in one.get(direction.lower(), [])] if ours else None


def reach(found: Rendered, pod: Object, direction: str) -> Reach:
    """Return (peer, port) of all that is let through; every rule must name its ports."""
    rules = of(found, pod, direction)
    assert rules is not None, "nothing restricts it"
    let = set()
    for rule in rules:
        peers = rule.get("to" if direction == "Egress" else "from")
        assert peers != [], "an empty list is everybody"
        for peer in peers or [None]:
            let |= {(named(found, peer), port["port"]) for port in rule["ports"]}
    return let


def named(found: Rendered, peer: Any) -> str:
    """Return a peer's address, namespace, or role."""
    if peer is None:
        return ANYWHERE
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    if "namespaceSelector" in peer:
        return f"namespace {peer['namespaceSelector']['matchLabels']['kubernetes.io/metadata.name']}"
    pods = [
        one["spec"]["template"]["metadata"]["labels"] for one in found.objects if one["kind"] in ("Deployment", "Job")
    ]
    roles = [
        f"{one['app.kubernetes.io/component']} {one['porelay/role']}"
        for one in pods
        if selects(peer["podSelector"], one)
    ]
    return ", ".join(roles) or str(peer["podSelector"]["matchLabels"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_reaches_dns_broker_and_store_and_is_reached_by_scrapes_alone(stage: str) -> None:
    found = render()
    assert reach(found, found.worker(stage), "Egress") == {(DNS, 53), (ANYWHERE, 5671), (ANYWHERE, 443)}
    assert reach(found, found.worker(stage), "Ingress") == {(MONITORING, 8000)}


def test_a_worker_reaches_broker_and_store_only_where_they_are_said_to_be() -> None:
    found = rendered("gpu-facility")
    wanted = {(DNS, 53), ("192.0.2.10/32", 5671), ("192.0.2.20/30", 443)}
    assert reach(found, found.worker("segment"), "Egress") == wanted
    assert reach(found, found.worker("comsol-bridge"), "Egress") == wanted | {("192.0.2.17/32", 1718)}


@pytest.mark.parametrize(("url", "port"), [("http://s3:9000/b", 9000), ("https://s3/b", 443), ("http://s3/b", 80)])
def test_the_stores_port_is_that_of_its_address(url: str, port: int) -> None:
    found = render(values={"config": {"s3_url": url}})
    assert (ANYWHERE, port) in reach(found, found.worker("segment"), "Egress")


def test_dask_is_reached_by_its_own_service_alone_and_its_workers_reach_the_store_but_not_the_broker() -> None:
    found = rendered("gpu-facility")
    client, other = found.worker("preprocess"), found.worker("segment")
    scheduler, worker = found.one("Deployment", role="dask-scheduler"), found.one("Deployment", role="dask-worker")
    at_scheduler, at_worker = ("preprocess dask-scheduler", 8786), ("preprocess dask-worker", 8788)
    assert at_scheduler in reach(found, client, "Egress")
    assert not {at_scheduler, at_worker} & reach(found, other, "Egress")
    assert reach(found, scheduler, "Ingress") == {("preprocess worker", 8786), ("preprocess dask-worker", 8786)}
    assert reach(found, scheduler, "Egress") == {at_worker}
    assert reach(found, worker, "Ingress") == {("preprocess dask-scheduler", 8788), at_worker}
    assert reach(found, worker, "Egress") == {(DNS, 53), ("192.0.2.20/30", 443), at_scheduler, at_worker}


def test_a_dask_cluster_elsewhere_is_reached_by_the_service_that_names_it() -> None:
    found = render(values={"services": {"segment": {"dask": {"address": "tcp://dask.example.org:8786"}}}})
    assert (ANYWHERE, 8786) in reach(found, found.worker("segment"), "Egress")
    assert (ANYWHERE, 8786) not in reach(found, found.worker("preprocess"), "Egress")


def test_the_topology_job_reaches_the_brokers_http_interface_too_and_is_reached_by_nobody() -> None:
    found = rendered("gpu-facility")
    wanted = {(DNS, 53), ("192.0.2.10/32", 5671), ("192.0.2.10/32", 15671), ("192.0.2.20/30", 443)}
    assert reach(found, found.one("Job", component="topology"), "Egress") == wanted
    assert reach(found, found.one("Job", component="topology"), "Ingress") == set()


def test_a_pod_of_ours_that_no_rule_knows_reaches_nothing() -> None:
    found = render()
    labels = {"app.kubernetes.io/instance": "porelay", "porelay/role": "new"}
    stranger = {"spec": {"template": {"metadata": {"labels": labels}}}}
    assert reach(found, stranger, "Egress") == reach(found, stranger, "Ingress") == set()


def test_pods_of_others_in_the_namespace_are_left_alone() -> None:
    found = render()
    other = {"spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/instance": "porelay"}}}}}
    assert of(found, other, "Egress") is None


def test_a_site_that_has_policies_of_its_own_may_do_without_ours() -> None:
    assert not render(values={"networkPolicy": {"enabled": False}}).all("NetworkPolicy")
