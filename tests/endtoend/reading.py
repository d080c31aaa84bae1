"""Reading what the operator exposes."""

from localworld.controller import Controller


def metric(operator: Controller, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry the labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    total = 0.0
    for line in operator.get("/metrics")[1].splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.partition("{")[0] == name and all(each in sample for each in wanted):
            total += float(value)
    return total
