"""A hundred images under ECR's default quotas: is anything throttled, and how far from the arithmetic limit is it?

    PYTHONPATH=hack:tests .venv/bin/python benchmarks/quotas.py

Starts the ECR twin with the published rates, promotes the images with the real Promoter and eight workers, and prints
calls, throttled answers, seconds, the arithmetic limit and the ratio of the two. The limit is that of the images: one
PutImage for each, by ten a second, which is what ECR gives an account in a Region (ecr.md §3). What is sent beyond one
for each image is printed as well, so that the ratio does not hide it. Then it looks at the same requests again. Nothing
is asserted here; tests/aws/test_traffic.py asserts that nothing is throttled.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from aws.fleet import Heard, build, desks, requests, small_images, unhurried
from ecr_twin import Twin
from localworld import tools
from transship.aws.quotas import PUBLISHED
from transship.cli.registries import AwsRegistries

ACCOUNTS = Path(__file__).parents[1] / "tests" / "aws" / "accounts.yaml"
PATH = "shop/checkout"


def main() -> int:
    """Measure once and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--images", type=int, default=100, help="how many images (%(default)s)")
    images = small_images(arguments.parse_args().images)
    tools.ensure(["distribution"])
    distribution = tools.TOOLS["distribution"].path("registry")
    accounts = yaml.safe_load(ACCOUNTS.read_text())
    with tempfile.TemporaryDirectory(prefix="transship-quotas-") as folder:
        with Twin(accounts, Path(folder) / "state", distribution) as twin:
            builder = _act_as(accounts, twin, "111111111111", quotas=unhurried())
            _create_repository(twin)
            build(builder, PATH, images)
        with Twin(accounts | {"limits": {}}, Path(folder) / "state", distribution) as twin:
            _measure(accounts, twin, list(images))
    return 0


def _act_as(accounts: dict[str, Any], twin: Any, account: str, **options: Any) -> AwsRegistries:
    user = accounts["accounts"][account]["users"][0]
    keys = {"AWS_ACCESS_KEY_ID": user["accessKeyId"], "AWS_SECRET_ACCESS_KEY": user["secretAccessKey"]}
    os.environ.update({**twin.environment(), **keys})
    return AwsRegistries(ca_file=twin.ca_path, **options)


def _create_repository(twin: Any) -> None:
    import boto3  # noqa: PLC0415 - only to prepare; the environment has to be there first

    ecr = boto3.client("ecr", region_name="eu-west-1", verify=str(twin.ca_path))
    ecr.create_repository(repositoryName=PATH)
    ecr.close()


def _measure(accounts: dict[str, Any], twin: Any, tags: list[str]) -> None:
    heard = Heard()
    requested = desks(_act_as(accounts, twin, "222222222222", observer=heard), PATH, tags)
    began = time.monotonic()
    with ThreadPoolExecutor(len(requested)) as pool:  # as the operator does
        list(pool.map(lambda each: each.look(), requested))
    seconds = time.monotonic() - began
    counts = requests(twin)
    limit = len(tags) / PUBLISHED["PutImage"]
    print(f"{len(tags)} images: {sorted({each.status.phase.value for each in requested})}")
    print(f"calls: {sum(counts.values())}: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}")
    print(f"throttled answers: {heard.throttled}")
    print(f"PutImage: {counts['ecr:PutImage']} for {len(tags)} images")
    print(f"{seconds:.1f} s; limit {limit:.1f} s ({len(tags)} PutImage at {PUBLISHED['PutImage']:g}/s)")
    print(f"ratio {seconds / limit:.2f}")
    twin.ledger.reset()
    for each in requested:
        each.ask()
    print(f"looking again: {dict(requests(twin))}")


if __name__ == "__main__":
    sys.exit(main())
