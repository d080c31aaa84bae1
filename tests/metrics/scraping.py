"""Reading `/metrics` as Prometheus does."""

from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from transship.metrics.families import FAMILIES, PREFIX, Kind, Process

_STANDARD = ("process_", "python_")
_OF_HISTOGRAMS = "le"


def families(text: str) -> Mapping[str, tuple[str, frozenset[str]]]:
    """Our metrics in an exposition, by the name they are queried by: their type, and the labels that were seen."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith(_STANDARD):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {_OF_HISTOGRAMS}
        found[name] = (family.type, frozenset(labels))
    return found


def samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Each sample of our metrics: name, labels, value."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                yield sample.name, sample.labels, sample.value


def differences(text: str, process: Process) -> list[str]:
    """How an exposition and the table differ; labels are compared where there is a sample."""
    seen = families(text)
    wanted = {each.full_name: each for each in FAMILIES if process in each.processes}
    told = [f"{name} is not in the table" for name in seen.keys() - wanted.keys()]
    told += [f"{name} is in the table and not served" for name in wanted.keys() - seen.keys()]
    for name in seen.keys() & wanted.keys():
        kind, labels = seen[name]
        if Kind(kind) is not wanted[name].kind:
            told.append(f"{name} is a {kind}")
        if labels and labels != set(wanted[name].labels):
            told.append(f"{name} has the labels {sorted(labels)}")
    return told
