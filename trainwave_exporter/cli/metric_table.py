"""The table of all metrics, for reading and for the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from trainwave_exporter.exposition import Description


def as_text(metrics: Iterable[Description]) -> str:
    """Return two lines for each metric: name, type and labels; meaning."""
    return "".join(
        f"{metric.name} ({metric.type}) {{{', '.join(metric.labels)}}}\n    {metric.help}\n"
        for metric in metrics
    )


def as_markdown(metrics: Iterable[Description]) -> str:
    """Return a Markdown table."""
    lines = ["| Metric | Type | Labels | Meaning |\n", "| --- | --- | --- | --- |\n"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        meaning = metric.help.replace("|", "\\|")
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {meaning} |\n")
    return "".join(lines)
