"""Alerts and the dashboard: by promtool, by a real Prometheus that scrapes a real operator, by Grafana's own types."""
