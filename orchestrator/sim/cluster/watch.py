"""A watch of one object of the cluster that goes on whatever happens to the connection."""

import json
import logging
import time
from collections.abc import Callable
from random import uniform
from typing import Any

import httpx

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
WATCH_S = 60.0
"""How long the server is asked to keep a watch open; agents spread theirs around it."""
SHORTEST_S = 0.5
"""A watch that ends sooner counts as refused, or we would ask for ever without a pause."""
SILENCE_S = 10.0
"""A watch that is still open this long after its time is dead."""

log = logging.getLogger(__name__)
Document = dict[str, Any]


class _Expired(Exception):  # noqa: N818  it only says to start over
    pass


class ObjectWatch:
    """Calls `seen` with the object `name` under `path` as it is now, and whenever it changes; None: it is not there.

    Whatever goes wrong (a refusal, a broken connection, a silent one, 410 Gone), the object is read anew and watched
    from there, at first after FIRST_PAUSE_S, then after twice as long each time, up to LONGEST_PAUSE_S.
    """

    def __init__(
        self,
        client: httpx.Client,
        path: str,
        name: str,
        seen: Callable[[Document | None], None],
        *,
        watch_s: float = WATCH_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._client = client
        self._path = path
        self._query = {"fieldSelector": f"metadata.name={name}"}
        self._name = name
        self._seen = seen
        self._watch_s = watch_s
        self._silence_s = silence_s
        self._pause_s = FIRST_PAUSE_S
        self._told = ""

    def run(self) -> None:
        """For ever; for a thread of its own."""
        version: str | None = None
        while True:
            try:
                version = self._list() if version is None else self._watch(version)
            except (httpx.HTTPError, httpx.StreamError, OSError, ValueError, KeyError, TypeError, _Expired) as error:
                version = None
                self._rest(error)

    def _list(self) -> str:
        answer = self._client.get(self._path, params=self._query)
        answer.raise_for_status()
        document: Document = answer.json()
        self._seen(next(iter(document["items"]), None))
        return str(document["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        """The version it came to by the end of the watch."""
        watch_s = uniform(0.75, 1.25) * self._watch_s  # noqa: S311  so that a thousand agents do not come at once
        query = {
            **self._query,
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(round(watch_s), 1)),
        }
        timeout = httpx.Timeout(10.0, read=watch_s + self._silence_s)
        with self._client.stream("GET", self._path, params=query, timeout=timeout) as answer:
            if answer.status_code == httpx.codes.GONE:
                raise _Expired("410 Gone")
            answer.raise_for_status()
            began = time.monotonic()
            for line in answer.iter_lines():
                event: Document = json.loads(line)
                if event["type"] == "ERROR":
                    raise _Expired(str(event["object"].get("message", event["object"])))
                self._works()
                version = str(event["object"]["metadata"]["resourceVersion"])
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._seen(event["object"])
                elif event["type"] == "DELETED":
                    self._seen(None)
        if time.monotonic() - began < SHORTEST_S:
            raise _Expired("ended at once")
        self._works()
        return version

    def _works(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        if self._told:
            log.info("watch of %s is back", self._name)
            self._told = ""

    def _rest(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        if text != self._told:
            log.warning("watch of %s: %s; trying again", self._name, text)
            self._told = text
        time.sleep(self._pause_s * uniform(0.5, 1.0))  # noqa: S311  as above
        self._pause_s = min(self._pause_s * 2.0, LONGEST_PAUSE_S)
