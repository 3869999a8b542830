"""What is shipped for the operator names only metrics and labels that the notifier and the API show."""

import json
import re
from pathlib import Path

import pytest
from jobs_api.figures import Figures as ApiFigures
from jobs_api.metrics import Metrics as ApiMetrics
from notifier.figures import Figures
from notifier.metrics import Metrics
from platform_core.job_events import TURKIC
from platform_core.json_values import JsonValue
from platform_notify.deliveries import EMAIL

DEPLOY = Path(__file__).parents[1] / "deploy"
ALERTS = DEPLOY / "alerts.yml"
DASHBOARD = DEPLOY / "grafana-dashboard.json"
README = DEPLOY / "README.md"

# Every metric as it is queried, with the labels that follow it in braces.
_METRIC = re.compile(r"\b((?:notifier|jobs_api)_[a-z_]+)(?:\{([^}]*)\})?")
_GROUPING = re.compile(r"\bby \(([^)]*)\)")
_LABEL = re.compile(r"([a-z_]+)\s*[=!]")


def page() -> str:
    """Return the pages of a notifier and of an API, one after the other."""
    return notifier_page() + api_page()


def api_page() -> str:
    """Return the page of an API that has answered once."""
    figures: ApiFigures = {
        "queues": [
            {
                "queue": "files",
                "waiting": 1,
                "delayed": 0,
                "oldest_wait_seconds": 1.0,
                "workers": {"started": 0, "idle": 1, "busy": 0, "suspended": 0},
            }
        ],
        "jobs": {
            "files": {
                "counts": {"queued": 1, "processing": 0, "completed": 0, "failed": 0, "cancelled": 0},
                "recent": {"completed": 0, "failed": 0, "cancelled": 0},
                "abandoned": 0,
            }
        },
    }
    metrics = ApiMetrics(lambda: 0)
    metrics.request_answered("/v1/jobs", "GET", 200, 0.001)
    return metrics.exposition(figures).decode()


def notifier_page() -> str:
    """Return the page of a notifier that has met everything once."""
    figures: Figures = {
        "channel": EMAIL,
        "provider": "smtp",
        "waiting": 0,
        "dead": 0,
        "overdue_seconds": 0.0,
        "circuit": {"state": "closed"},
        "paused_seconds": 0.0,
        "groups": {TURKIC: {"pending": 0, "lag": 0, "last_delivered_id": "0-0"}},
    }
    metrics = Metrics()
    metrics.show(read_figures=lambda: figures, is_ready=lambda: True, canary_unanswered=lambda: 0.0)
    for feed in ("live", "log"):
        metrics.unknown_heard(feed)
        metrics.undecodable_heard(feed)
        metrics.taken(feed, {"result": "skipped", "reason": "opted_out"})
    metrics.batch_sent({"provider": "smtp", "mails": 1, "seconds": 0.1})
    for state, result in (("sent", "sent"), ("dead", "refused"), ("waiting", "server")):
        metrics.attempt_recorded(
            {
                "provider": "smtp",
                "result": result,
                "state": state,
                "attempt": 1,
                "age_seconds": 0.1,
                "gathered": 0,
            }
        )
    metrics.subscribed()
    metrics.canary_came_back(0.001)
    return metrics.exposition().decode()


def shown() -> dict[str, set[str]]:
    """Return the labels of every metric on the page, by its name."""
    found: dict[str, set[str]] = {}
    for line in page().splitlines():
        if not line.startswith("#"):
            name, _, rest = line.partition(" ")[0].partition("{")
            found.setdefault(name, set()).update(_LABEL.findall(rest))
    return found


def expressions() -> list[str]:
    """Return every expression in the two files."""
    found = [line.strip() for line in re.findall(r"expr: (?!>)(.*)", ALERTS.read_text("utf-8"))]
    found += [
        " ".join(lines.split())
        for lines in re.findall(r"expr: >-\n((?: {10}.*\n)+)", ALERTS.read_text("utf-8"))
    ]
    dashboard: JsonValue = json.loads(DASHBOARD.read_text("utf-8"))
    assert isinstance(dashboard, dict)
    found += strings_at(dashboard, "expr")
    return found


def strings_at(value: JsonValue, name: str) -> list[str]:
    """Return every string under a key of this name, however deep."""
    if isinstance(value, list):
        return [text for item in value for text in strings_at(item, name)]
    if not isinstance(value, dict):
        return []
    here = value.get(name)
    found = [here] if isinstance(here, str) else []
    return found + [text for item in value.values() for text in strings_at(item, name)]


def alert_names() -> list[str]:
    return re.findall(r"- alert: (\w+)", ALERTS.read_text("utf-8"))


def test_there_is_an_expression_for_each_alert_and_each_panel() -> None:
    assert len(alert_names()) == 16 + 7
    assert len(expressions()) >= 16 + 7 + 17 + 16
    assert all(_METRIC.search(expression) for expression in expressions())


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_names_what_the_page_shows(expression: str) -> None:
    metrics = shown()
    known: set[str] = {"instance", "job"}
    for name, labels in _METRIC.findall(expression):
        assert name in metrics, name
        known |= metrics[name]
        assert set(_LABEL.findall(labels)) <= metrics[name] | {"instance", "job"}
    for grouping in _GROUPING.findall(expression):
        assert {label.strip() for label in grouping.split(",")} <= known


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    used = {name for expression in expressions() for name, _ in _METRIC.findall(expression)}
    families = re.findall(r"# TYPE (\S+) (\w+)", page())
    for name, kind in families:
        if name.endswith("_created"):
            continue
        assert (f"{name}_bucket" if kind == "histogram" else name) in used, name


def test_metrics_are_named_as_prometheus_asks() -> None:
    for name, kind in re.findall(r"# TYPE (\S+) (\w+)", page()):
        assert re.fullmatch(r"(notifier|jobs_api)_[a-z]+(_[a-z]+)*", name), name
        if kind == "counter":
            assert name.endswith("_total"), name
        if kind == "histogram":
            assert name.endswith("_seconds"), name
        if name.endswith("_created"):
            assert kind == "gauge"


def test_the_readme_tells_of_every_alert_and_of_no_other() -> None:
    told = re.findall(r"^### (\w+)$", README.read_text("utf-8"), re.MULTILINE)
    assert told == alert_names()


def test_every_alert_leads_to_its_part_of_the_readme() -> None:
    anchors = re.findall(r"^ +runbook_url: deploy/README.md#(.*)$", ALERTS.read_text("utf-8"), re.MULTILINE)
    assert anchors == [name.lower() for name in alert_names()]


def test_every_reason_of_readyz_is_on_the_readme() -> None:
    text = " ".join(README.read_text("utf-8").split())
    for reason in (
        "There is no subscription to the live channels",
        "The live channels are not heard, or far too late",
        "The subscription to the live channels is new",
        "The event log has not been read yet",
        "The event log could not be read for",
        "is not worked off",
        "Redis cannot be asked",
        "refuses the account",
        "has ended",
        "hangs",
        "has done nothing but fail",
    ):
        assert reason in text, reason


def test_the_dashboard_overlaps_nowhere() -> None:
    dashboard: JsonValue = json.loads(DASHBOARD.read_text("utf-8"))
    assert isinstance(dashboard, dict)
    panels = dashboard["panels"]
    assert isinstance(panels, list)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert isinstance(panel, dict)
        grid = panel["gridPos"]
        assert isinstance(grid, dict)
        x, y, width, height = (int(str(grid[name])) for name in ("x", "y", "w", "h"))
        cells = {(x + right, y + down) for right in range(width) for down in range(height)}
        assert not cells & taken
        assert x + width <= 24
        taken |= cells
