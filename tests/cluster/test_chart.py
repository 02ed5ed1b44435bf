"""The chart's objects and a real API server: its schema takes them, and its RBAC grants what is used and no more."""

import asyncio
from itertools import product

import pytest

from orchestrator.adapters.workloads.kubernetes.api import ApiError, ClusterApi, Document
from tests.chart.rendering import render
from tests.chart.test_chart import CASES, granted
from tests.cluster.kind_cluster import KindCluster

pytestmark = pytest.mark.cluster

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = {
    "apps": ("deployments", "deployments/scale", "statefulsets", "statefulsets/scale", "replicasets", "daemonsets"),
    "batch": ("jobs", "jobs/status", "cronjobs"),
    "": ("pods", "pods/exec", "pods/log", "pods/eviction", "configmaps", "secrets", "services", "events", "nodes"),
    "autoscaling": ("horizontalpodautoscalers",),
    "coordination.k8s.io": ("leases",),
    "events.k8s.io": ("events",),
    "keda.sh": ("scaledobjects",),
    "kueue.x-k8s.io": ("workloads", "clusterqueues"),
    "rbac.authorization.k8s.io": ("roles", "rolebindings"),
}
NAMES = ("", "wattshift-setpoints", "wattshift-leader", "another")
"""Of configmaps and leases, which are granted by name."""


@pytest.mark.parametrize("case", [name for name in CASES if name != "existing-prometheus"])  # no PodMonitors there
async def test_the_api_servers_own_schema_takes_every_object(kind_cluster: KindCluster, case: str) -> None:
    async with kind_cluster.namespace() as api:
        for item in render(CASES[case], namespace=api.namespace):
            await dry_run(api, item)


async def dry_run(api: ClusterApi, item: Document) -> None:
    group = item["apiVersion"]
    root = f"apis/{group}" if "/" in group else f"api/{group}"
    plural = f"{item['kind'].lower()}s".replace("policys", "policies")
    item["metadata"]["namespace"] = api.namespace
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    try:
        await api.request("POST", f"/{root}/namespaces/{api.namespace}/{plural}", query=query, body=item)
    except ApiError as error:
        raise AssertionError(f"{item['kind']} {item['metadata']['name']}: {error}") from error


async def test_the_controller_is_granted_the_verbs_it_uses_and_no_other(kind_cluster: KindCluster) -> None:
    async with kind_cluster.namespace() as api:
        objects = render(CASES["defaults"], namespace=api.namespace)
        for kind in ("ServiceAccount", "Role", "RoleBinding"):
            for item in objects:
                if item["kind"] == kind:
                    plural = f"{kind.lower()}s"
                    root = "api/v1" if kind == "ServiceAccount" else f"apis/{item['apiVersion']}"
                    await api.request("POST", f"/{root}/namespaces/{api.namespace}/{plural}", body=item)
        expected = {
            (group, resource, verb, name)
            for (group, resource, names), verbs in granted(objects, "wattshift").items()
            for verb in verbs
            for name in (names or NAMES)
        }
        tried = [
            (group, resource, verb, name)
            for group, resources in RESOURCES.items()
            for resource in resources
            for verb, name in product(VERBS, NAMES)
        ]
        answers = await asyncio.gather(*(may(api, *attempt) for attempt in tried))
        allowed = {attempt for attempt, answer in zip(tried, answers, strict=True) if answer}
        assert allowed == expected


async def may(api: ClusterApi, group: str, resource: str, verb: str, name: str) -> bool:
    """Whether the controller's service account may do this."""
    plural, _, part = resource.partition("/")
    attributes = {
        "namespace": api.namespace,
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": part,
        "name": name,
    }
    user = f"system:serviceaccount:{api.namespace}:wattshift"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = await api.request(
        "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review, timeout_s=60.0
    )
    return bool(answer["status"]["allowed"])
