"""docs/reference/metrics.md: every metric in one table."""

from collections.abc import Iterator

from reference.schemas import ROOT
from transship.metrics.families import FAMILIES, Family

PAGE = ROOT / "docs/reference/metrics.md"
_HEAD = """\
# Metrics

<!-- Written by `make reference` from controller/transship/metrics; change that and not this page. -->

The operator and the admission webhook serve `GET /metrics` in Prometheus' text format, on the port of their probes
(`TRANSSHIP_HEALTH_PORT`, 8080). Every replica does; the active one has the numbers, a standby zeroes.
[Monitoring](../how-to/monitoring.md) has alerts and a dashboard made of them.

- **No label holds an image, a tag or a digest**, a namespace or anything else that tenants choose. `policy` is the name
  of a PromotionPolicy (`none` for images that none covers) and `registry` a host that one names: both are written by
  administrators. All others are short, closed lists.
- A counter whose labels are known beforehand is there with 0 before the first event, so that `increase()` sees the
  first one: every reason of `promotions_total`, and, in the operator, what is kept for each policy and registry as soon
  as the policy is known.
- `process_*` (memory, processor time, open files and their limit, start) and `python_*` (version, garbage collection)
  are those of prometheus-client.
"""
_COLUMNS = ("metric", "type", "labels", "unit", "meaning", "what to do with it", "served by")


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_table()]) + "\n"


def _table() -> Iterator[str]:
    yield _row(_COLUMNS)
    yield "|" + "---|" * len(_COLUMNS)
    for each in FAMILIES:
        yield _row(_cells(each))


def _cells(family: Family) -> tuple[str, ...]:
    labels = ", ".join(f"`{each}`" for each in family.labels)
    served = ", ".join(sorted(family.processes, reverse=True))
    return f"`{family.full_name}`", family.kind.value, labels, family.unit, family.meaning, family.use, served


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
