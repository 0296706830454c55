"""The alert rules and the dashboard: each expression asks for what a running daemon's /metrics has, and promtool's tests pass."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from flow.world import ROOT

MONITORING = ROOT / "monitoring"
ALERTS = MONITORING / "prometheus-alerts.yaml"
NAME = re.compile(r"\b(connector_[a-z_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"by \(([a-z_, ]+)\)")
PROMTOOL = shutil.which("promtool")


def alerts():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def expressions():
    board = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return [
        *((one["alert"], one["expr"]) for one in alerts()),
        *((panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]),
    ]


def labels_of_metrics():
    """The labels of each metric, as docs/metrics.md lists them."""
    rows = re.findall(
        r"^\| `(connector_[a-z_]+)` \| ([a-z, ]*?) ?\|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE
    )
    return {name: {label.strip() for label in labels.split(",") if label.strip()} for name, labels in rows}


async def test_each_alert_expression_uses_metrics_of_a_running_daemon(world):
    async with world.http.get(f"{world.app.admin_url}/metrics") as answer:
        scrape = await answer.text()
    families = {line.split()[2]: line.split()[3] for line in scrape.splitlines() if line.startswith("# TYPE ")}
    series = set(families) | {f"{name}_bucket" for name, kind in families.items() if kind == "histogram"}
    labels = labels_of_metrics()
    found = expressions()
    assert len(found) > 30
    for title, expression in found:
        names = NAME.findall(expression)
        assert names or "up{" in expression, title
        for name, matchers in names:
            assert name in series, (title, name)
            known = labels[name.removesuffix("_bucket")] | ({"le"} if name.endswith("_bucket") else set())
            assert set(LABEL.findall(matchers)) <= known, (title, name, matchers)
            for grouped in GROUPED.findall(expression) if len(names) == 1 else ():
                assert {one.strip() for one in grouped.split(",")} <= known, (title, expression)


def test_each_alert_has_a_severity_a_summary_and_a_cure():
    for one in alerts():
        assert one["labels"]["severity"] in {"critical", "warning"}, one["alert"]
        assert one["annotations"]["summary"], one["alert"]
        assert one["annotations"]["description"].endswith("."), one["alert"]
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert [one["alert"] for one in alerts() if one["alert"] not in page] == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: it is in Debian's package prometheus")
@pytest.mark.parametrize("words", [("check", "rules", ALERTS.name), ("test", "rules", "prometheus-alerts-test.yaml")])
def test_promtool_accepts_the_alerts_and_their_tests_pass(words):
    done = subprocess.run([PROMTOOL, *words], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
