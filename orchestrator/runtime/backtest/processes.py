"""Work in processes of its own, some at a time, with their progress told as it goes."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

Progress = Callable[[int], None]


class ProcessError(Exception):
    """A process failed; the text says which and how."""


@dataclass(frozen=True, slots=True)
class Work:
    """`function(*arguments, progress)` in a process of its own; all of it can be pickled."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def run_all(works: Sequence[Work], at_once: int, told: Callable[[str, int], None]) -> dict[str, Any]:
    """The results by name, at most `at_once` running at a time, begun in their order.

    `told(name, done)` passes on what each says of its progress. Raises ProcessError when one fails, and ends the
    others.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(works)
    running: dict[Connection, tuple[Work, multiprocessing.process.BaseProcess]] = {}
    results: dict[str, Any] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                work = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                started = context.Process(target=_child, args=(work, sender), name=work.name, daemon=True)
                started.start()
                sender.close()
                running[receiver] = (work, started)
            for connection in wait(list(running)):
                assert isinstance(connection, Connection), "only pipes are waited for"
                work, process = running[connection]
                try:
                    kind, value = connection.recv()
                except EOFError:
                    process.join()
                    raise ProcessError(f"{work.name}: its process ended with exit code {process.exitcode}") from None
                if kind == "progress":
                    told(work.name, value)
                    continue
                if kind == "failed":
                    raise ProcessError(f"{work.name}: {value}")
                results[work.name] = value
                process.join()
                connection.close()
                del running[connection]
    finally:
        for connection, (_, process) in running.items():
            process.terminate()
            process.join()
            connection.close()
    return results


def _child(work: Work, sender: Connection) -> None:
    try:
        result = work.function(*work.arguments, lambda done: sender.send(("progress", done)))
    except BaseException as error:  # told to the parent, whatever it is
        sender.send(("failed", f"{type(error).__name__}: {error}"))
        raise
    sender.send(("done", result))
