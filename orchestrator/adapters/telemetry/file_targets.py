"""Scrape targets from a folder of Prometheus file_sd documents, the same that a Prometheus server would read."""

import json
from collections.abc import Mapping
from pathlib import Path


class FileTargets:
    """Targets (`host:port`) of all `*.json` in a folder; a file is read again when it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[tuple[int, int], Mapping[str, Mapping[str, str]]]] = {}
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong with files that could not be read, by file name. Their last good targets hold."""
        return self._problems

    def read(self) -> frozenset[str]:
        """The targets there are now."""
        files = {file.name: file for file in self._folder.glob("*.json") if not file.name.startswith(".")}
        for name in self._seen.keys() - files.keys():
            del self._seen[name]
        for name in self._problems.keys() - files.keys():
            del self._problems[name]
        for name, file in files.items():
            self._read_file(name, file)
        return frozenset().union(*(targets for _, targets in self._seen.values()))

    def labels(self, target: str) -> Mapping[str, str]:
        """What a Prometheus server would put on the target's series where they have no such label: its own labels and
        `instance`. Not `job`: a series without the name of its job is of none."""
        of_target = {
            name: value for _, targets in self._seen.values() for name, value in targets.get(target, {}).items()
        }
        return {"instance": target, **of_target}

    def _read_file(self, name: str, file: Path) -> None:
        old_signature, old_targets = self._seen.get(name, ((0, 0), dict[str, Mapping[str, str]]()))
        try:
            stat = file.stat()
            signature = (stat.st_mtime_ns, stat.st_ino)
            if signature == old_signature:
                return
            self._seen[name] = (signature, old_targets)
            self._seen[name] = (signature, _targets(file.read_text(encoding="utf-8")))
            self._problems.pop(name, None)
        except FileNotFoundError:  # gone since the folder was listed
            self._seen.pop(name, None)
        except (OSError, ValueError) as error:
            self._problems[name] = f"no file_sd document: {error}"


def _targets(text: str) -> Mapping[str, Mapping[str, str]]:
    """Labels by target."""
    groups = json.loads(text)
    if not isinstance(groups, list):
        raise ValueError("a list of target groups is needed")
    targets: dict[str, Mapping[str, str]] = {}
    for group in groups:
        if not isinstance(group, dict) or not isinstance(group.get("targets"), list):
            raise ValueError("a target group has a list of targets")
        labels = group.get("labels", {})
        if not isinstance(labels, dict):
            raise ValueError("the labels of a target group are a mapping")
        kept = {str(name): str(value) for name, value in labels.items() if name != "job"}
        targets.update({str(target): kept for target in group["targets"]})
    return targets
