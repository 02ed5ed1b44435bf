"""The same writes sent bare: aiohttp and bodies made beforehand, in a process of its own that does nothing else.

Writes to one object keep their order (a Deployment's note comes before its scale); all else goes out at once, over as
many connections as asked for. One line of JSON on the input names a file of writes; one on the output has the times.
"""

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from benchmarks.cluster.population import CONTEXT
from orchestrator.adapters.workloads.kubernetes.api import CONFIG_MAPS, JOBS, ClusterApi, connect

Write = tuple[str, URL, bytes, dict[str, str]]


def noted(file: str) -> list[dict[str, Any]]:
    """The writes that the controller's process has put into a file."""
    writes: list[dict[str, Any]] = json.loads(Path(file).read_text())
    return writes


async def prepare(api: ClusterApi, host: str, writes: list[dict[str, Any]], source: str) -> list[list[Write]]:
    """Chains of requests, one an object, for the namespace of `api` in the place of `source`.

    A Job's or ConfigMap's write names the version it was made for; here it is given that of now.
    """
    versions: dict[str, str] = {}
    for kind in (JOBS, CONFIG_MAPS):
        for document in (await api.request("GET", kind.path(api.namespace), timeout_s=60.0))["items"]:
            versions[kind.path(api.namespace, document["metadata"]["name"])] = document["metadata"]["resourceVersion"]
    chains: dict[str, list[Write]] = defaultdict(list)
    for write in writes:
        path = write["path"].replace(f"/namespaces/{source}/", f"/namespaces/{api.namespace}/")
        body = write["body"]
        if "resourceVersion" in body.get("metadata", {}):
            if chains[path]:
                del body["metadata"]["resourceVersion"]  # of the answer to the write before, not known beforehand
            else:
                body["metadata"]["resourceVersion"] = versions[path]
        query = "&".join(f"{key}={value}" for key, value in (write.get("query") or {}).items())
        headers = {"Accept": "application/json", "Content-Type": write.get("content_type", "application/json")}
        url = URL(f"{host}{path}?{query}", encoded=True)
        chains[path.removesuffix("/scale")].append((write["method"], url, json.dumps(body).encode(), headers))
    return list(chains.values())


async def send(session: aiohttp.ClientSession, chain: list[Write]) -> float:
    """When the last one was answered, on the performance counter; RuntimeError for a write that is refused."""
    for method, url, body, headers in chain:
        async with session.request(method, url, data=body, headers=headers) as response:
            text = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {url.path}: {response.status} {text[:300]!r}")
    return time.perf_counter()


async def serve(namespace: str, source: str) -> None:
    api = await connect(namespace, CONTEXT)
    configuration = api._configuration
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        chains = await prepare(api, configuration.host, noted(command["writes"]), source)
        connector = aiohttp.TCPConnector(limit=command["connections"], ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            await warm(session, f"{configuration.host}/version", command["connections"])
            cpu, began = time.process_time(), time.perf_counter()
            ended = max(await asyncio.gather(*(send(session, chain) for chain in chains)))
            cpu = time.process_time() - cpu
        print(json.dumps({"seconds": ended - began, "writes": sum(map(len, chains)), "cpu_s": cpu}), flush=True)
    await api.close()


async def warm(session: aiohttp.ClientSession, url: str, connections: int) -> None:
    """Open the connections, so that no handshake is timed."""

    async def get() -> None:
        async with session.get(url) as response:
            await response.read()

    await asyncio.gather(*(get() for _ in range(connections)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--source", required=True, help="the namespace that the noted writes are for")
    asked = parser.parse_args()
    asyncio.run(serve(asked.namespace, asked.source))


if __name__ == "__main__":
    main()
