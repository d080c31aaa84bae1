"""The adapter to Kubernetes, through the official client.

Objects go in and out as the API server writes them (dicts): what they mean is decided in `promotion`. Every call has a
time-out, transient failures are retried for a short while, and what remains becomes an error of `transship.errors`.
"""

from transship.cluster.api import Api, Person, connect, connect_as
from transship.cluster.objects import Cluster

__all__ = ["Api", "Cluster", "Person", "connect", "connect_as"]
