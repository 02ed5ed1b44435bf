"""Our rules with less patience, for tests that wait for an alert on the wall. What is waited for stays as it is."""

import re
from pathlib import Path

from tests.observability.rule_files import RULES, Rule
from tests.prometheus_server import Prometheus

Alert = tuple[str, str, str]
"""Name, severity, and the fleet, cap or SLA class that it is about."""


def hurried_config(folder: Path, *targets: str) -> str:
    """A Prometheus configuration that scrapes controllers (`host:port`) each second, with the rules put into `folder`.

    Every `for` is a second, a controller is silent after ten instead of 120, and money is judged over half a minute
    instead of a day.
    """
    rules = folder / "rules"
    rules.mkdir()
    for path in RULES.glob("*.yaml"):
        text = re.sub(r"(?m)^( +for: )\d+[mh]$", r"\g<1>1s", path.read_text())
        text = re.sub(r"(_usd_total(?:\[| offset ))1d\b", r"\g<1>30s", text)
        (rules / path.name).write_text(text.replace("[1d])) > 120\n", "[1d])) > 10\n"))
    alerts, recording = (rules / "alerts.yaml").read_text(), (rules / "recording.yaml").read_text()
    assert set(re.findall(r"(?m)^ +for: (.*)$", alerts)) == {"1s"}
    assert "[1d])) > 10\n" in alerts
    assert (alerts.count("30s"), recording.count("30s"), recording.count("1d]")) == (2, 8, 0)
    return (
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{rules}/*.yaml']\n"
        "scrape_configs:\n"
        f"  - {{job_name: wattshift, static_configs: [{{targets: {[*targets]}}}]}}\n"
    )


def firing(server: Prometheus) -> dict[Alert, Rule]:
    found = {}
    for alert in server.get("alerts")["alerts"]:
        labels = alert["labels"]
        about = labels.get("fleet") or labels.get("cap") or labels.get("sla_class") or ""
        if alert["state"] == "firing":
            found[labels["alertname"], labels["severity"], about] = alert
    return found
