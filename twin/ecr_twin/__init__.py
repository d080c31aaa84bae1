"""A stand-in for Amazon ECR and STS on loopback that refuses what ECR refuses.

The behaviours carry the ids of the table in the package's README (A1, M2 ...) and their source: [M] service model,
[D:x] AWS documentation, [F:x] field report, [I] inference, [?] open, with both answers available in the profile.

What belongs here: the behaviour of ECR and STS as clients see it. What does not: anything a particular client wants.
"""

from ecr_twin.config import Config, load
from ecr_twin.errors import ConfigError
from ecr_twin.faults import Fault, Faults
from ecr_twin.ledger import Ledger
from ecr_twin.profile import PROFILES, Profile
from ecr_twin.twin import Twin

__all__ = ["PROFILES", "Config", "ConfigError", "Fault", "Faults", "Ledger", "Profile", "Twin", "load"]
