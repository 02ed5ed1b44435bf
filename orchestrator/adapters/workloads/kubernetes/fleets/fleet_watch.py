"""The view of fleets' objects: Deployments, StatefulSets, their pods and whoever else scales them."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from orchestrator.adapters.workloads.kubernetes import keys
from orchestrator.adapters.workloads.kubernetes.api import (
    AUTOSCALERS,
    DEPLOYMENTS,
    PODS,
    SCALED_OBJECTS,
    STATEFUL_SETS,
    ClusterApi,
    Document,
    Kind,
)
from orchestrator.adapters.workloads.kubernetes.fleets.fleet_objects import FleetObject, MiningPod, read_fleet, read_pod
from orchestrator.adapters.workloads.kubernetes.owners import Scaler, held, read_autoscaler, read_scaled_object
from orchestrator.adapters.workloads.kubernetes.watched import Watched
from orchestrator.domain.site.site import Site

KIND_NAMES = {DEPLOYMENTS: "Deployment", STATEFUL_SETS: "StatefulSet"}


class FleetWatch:
    """What the cluster has of each fleet. `changed` is told of fleets whose object or pods have changed."""

    def __init__(self, api: ClusterApi, site: Site, changed: Callable[[str], None]) -> None:
        self._site = site
        self._changed = changed
        self._namespace = api.namespace
        self._known: dict[str, set[tuple[Kind, str]]] = {}
        self._fleet_of: dict[tuple[Kind, str], str] = {}
        self._pods_of: dict[str, set[str]] = {}
        self._fleet_of_pod: dict[str, str] = {}
        self._objects: dict[Kind, Watched[FleetObject]] = {
            kind: Watched(
                api, kind, partial(read_fleet, kind), labels=keys.FLEET, on_change=partial(self._object_changed, kind)
            )
            for kind in KIND_NAMES
        }
        self._pods: Watched[MiningPod] = Watched(api, PODS, read_pod, labels=keys.FLEET, on_change=self._pod_changed)
        self._scalers: tuple[Watched[Scaler], ...] = (
            Watched(api, AUTOSCALERS, read_autoscaler, optional=True),
            Watched(api, SCALED_OBJECTS, read_scaled_object, optional=True),
        )

    @property
    def watches(self) -> tuple[Watched[FleetObject] | Watched[MiningPod] | Watched[Scaler], ...]:
        return (*self._objects.values(), self._pods, *self._scalers)

    def problems(self) -> list[str]:
        """Fleets of the site without an object, or with several: they are not managed."""
        found = []
        for fleet in self._site.fleets:
            known = self._known.get(fleet.name, set())
            if len(known) != 1:
                names = ", ".join(sorted(f"{KIND_NAMES[kind]} {name}" for kind, name in known)) or "none"
                found.append(
                    f"fleet {fleet.name} needs one Deployment or StatefulSet labelled {keys.FLEET}={fleet.name} in "
                    f"namespace {self._namespace}; there is {names}"
                )
        return found

    def object(self, fleet: str) -> FleetObject | None:
        """The fleet's object; None unless there is just one."""
        known = self._known.get(fleet, set())
        if len(known) != 1:
            return None
        kind, name = next(iter(known))
        return self._objects[kind].items.get(name)

    def living(self, fleet: str) -> list[MiningPod]:
        """Pods that run and are not asked to end."""
        pods = (self._pods.items.get(name) for name in self._pods_of.get(fleet, ()))
        return [pod for pod in pods if pod is not None and pod.alive]

    def held(self, item: FleetObject, now: datetime) -> str:
        """Why the fleet is not ours to move now; empty if it is."""
        kind = KIND_NAMES[item.kind]
        for scalers in self._scalers:
            for scaler in scalers.items.values():
                if (scaler.target_kind, scaler.target_name) == (kind, item.name):
                    return f"{scaler.title} scales {kind} {item.name}; Wattshift moves it once that is removed"
        return held(item.hold_until, now)

    def take(self, kind: Kind, document: Document) -> None:
        """An object as the answer to a write shows it."""
        self._objects[kind].put(document)

    def amend(self, item: FleetObject) -> None:
        """An object as the answer to a write of its scale lets conclude."""
        self._objects[item.kind].amend(item.name, item, item.version)

    def _object_changed(self, kind: Kind, name: str) -> None:
        item = self._objects[kind].items.get(name)
        was = self._fleet_of.pop((kind, name), None)
        if was is not None and (item is None or item.fleet != was):
            self._known[was].discard((kind, name))
            self._changed(was)
        if item is not None:
            self._fleet_of[kind, name] = item.fleet
            self._known.setdefault(item.fleet, set()).add((kind, name))
            self._changed(item.fleet)

    def _pod_changed(self, name: str) -> None:
        pod = self._pods.items.get(name)
        if pod is not None:
            self._fleet_of_pod[name] = pod.fleet
            self._pods_of.setdefault(pod.fleet, set()).add(name)
            self._changed(pod.fleet)
        elif name in self._fleet_of_pod:
            fleet = self._fleet_of_pod.pop(name)
            self._pods_of[fleet].discard(name)
            self._changed(fleet)
