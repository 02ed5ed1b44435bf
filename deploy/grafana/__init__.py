"""Grafana dashboards as code: Grafana's own types fill in what a panel is, `make dashboards` writes the JSON."""
