"""Runs in pods of the tests: a stand-in for a tenant's work, with its checkpoint in a ConfigMap.

Arguments: Job, GPUs, work (GPU seconds), seconds between checkpoints, seconds from start to progress. A GPU does one
GPU second a second. SIGTERM: writes its checkpoint and exits 3. Standard library only.
"""

import json
import os
import signal
import ssl
import sys
import time
import urllib.request
from pathlib import Path

SECRETS = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def checkpoint(job: str, done: float | None = None) -> float:
    """Read it or, with `done`, write it: GPU seconds."""
    namespace, token = ((SECRETS / name).read_text() for name in ("namespace", "token"))
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    request = urllib.request.Request(
        f"{server}/api/v1/namespaces/{namespace}/configmaps/checkpoint-{job}",
        method="GET" if done is None else "PATCH",
        data=None if done is None else json.dumps({"data": {"gpu-seconds": repr(done)}}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
    )
    trusted = ssl.create_default_context(cafile=str(SECRETS / "ca.crt"))
    with urllib.request.urlopen(request, context=trusted, timeout=10) as answer:
        return float(json.load(answer)["data"]["gpu-seconds"])


def main(job: str, gpus: float, work: float, every_s: float, restart_s: float) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    had = checkpoint(job)
    began = time.monotonic() + restart_s
    saved_at = began
    while True:
        asked_to_end = signal.sigtimedwait({signal.SIGTERM}, 0.05) is not None
        done = min(had + gpus * max(time.monotonic() - began, 0.0), work)
        if asked_to_end or done == work or time.monotonic() > saved_at + every_s:
            checkpoint(job, done)
            saved_at = time.monotonic()
        if asked_to_end or done == work:
            return 0 if done == work else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(float(text) for text in sys.argv[2:])))
