"""A fake Prometheus: the queries of the controller's own adapter, answered for machines that follow at once."""

import time
from typing import Any

from aiohttp import web

from benchmarks.cluster.site import MODE, Size, job_name, make_site
from orchestrator.adapters.telemetry.promql import time_query, twice_queries, value_query
from orchestrator.domain.observation import Metric
from orchestrator.domain.series.presets import MOCK_MAP
from orchestrator.domain.site.machines import SLEEP

RACK_METRICS = {
    Metric.ASIC_POWER,
    Metric.ASIC_ENERGY,
    Metric.ASIC_HASHRATE,
    Metric.ASIC_HASHES,
    Metric.ASIC_TEMPERATURE,
}
NODE_METRICS = {Metric.GPU_POWER, Metric.NODE_POWER, Metric.NODE_ENERGY}


class Meters:
    """What a site of `size` measures. `cheap` says which of the benchmark's two states its machines are in."""

    def __init__(self, size: Size) -> None:
        self.cheap = True
        self._size = size
        self._site = make_site(size)
        self._began = time.time()
        self._answers = {}
        for series in MOCK_MAP.series:
            self._answers[value_query(series)] = (series.metric, False)
            self._answers[time_query(series)] = (series.metric, True)
        self._twice = twice_queries(MOCK_MAP.series)
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Serve on a free port; the URL."""
        application = web.Application()
        application.router.add_get("/api/v1/query", self._query)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        if request.query["query"] in self._twice:
            return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})
        metric, when = self._answers[request.query["query"]]
        now = time.time()
        value = now if when else self._value(metric, now)
        result = [{"metric": labels, "value": [now, repr(value)]} for labels in self._labels(metric)]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    def _labels(self, metric: Metric) -> list[dict[str, str]]:
        if metric in RACK_METRICS:
            racks = (rack for _, rack in self._site.racks())
            return [dict(zip(("fleet", "rack"), rack.split("/"), strict=True)) for rack in racks]
        if metric in NODE_METRICS:
            return [{"Hostname": node} for _, node in self._site.nodes()]
        return [{"job": job_name(number)} for number in range(self._size.running)]

    def _value(self, metric: Metric, now: float) -> float:
        """W, J, H/s, H, degC or GPU s of one rack, node or job. Counters go on at the rate of full power."""
        fleet, pool = self._site.fleets[0], self._site.pools[0]
        full_w = 1000.0 * fleet.rack_kw(MODE)
        hashrate = fleet.machines_per_rack * fleet.mode(MODE).hashrate_ths * 1e12
        busy = self._size.running if self.cheap else self._size.guaranteed
        node_w = 1000.0 * pool.idle_kw / pool.nodes + (pool.gpu_power_w - pool.gpu_idle_w) * busy / pool.nodes
        passed_s = now - self._began
        values: dict[Metric, Any] = {
            Metric.ASIC_POWER: full_w if self.cheap else 1000.0 * fleet.rack_kw(SLEEP),
            Metric.ASIC_ENERGY: full_w * passed_s,
            Metric.ASIC_HASHRATE: hashrate if self.cheap else 0.0,
            Metric.ASIC_HASHES: hashrate * passed_s,
            Metric.ASIC_TEMPERATURE: 60.0,
            Metric.GPU_POWER: node_w - pool.node_overhead_w,
            Metric.NODE_POWER: node_w,
            Metric.NODE_ENERGY: node_w * passed_s,
        }
        return float(values.get(metric, passed_s))
