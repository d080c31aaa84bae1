"""Command line: ``python -m ecr_twin --config accounts.yaml --state-dir DIR --distribution BINARY``."""

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from pathlib import Path

from ecr_twin.config import Config, load
from ecr_twin.errors import ConfigError
from ecr_twin.server import Server, run_until


def main() -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when ready."""
    parser = argparse.ArgumentParser(prog="ecr_twin", description="A stand-in for Amazon ECR and STS on loopback.")
    parser.add_argument("--config", type=Path, required=True, help="YAML file with Regions and accounts")
    parser.add_argument("--state-dir", type=Path, required=True, help="folder for database, blobs, CA and logs")
    parser.add_argument("--distribution", type=Path, required=True, help="path of a distribution v3 binary")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_serve(load(arguments.config), arguments.state_dir, arguments.distribution))
    except (ConfigError, OSError) as error:
        print(f"ecr_twin: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(config: Config, state_dir: Path, distribution: Path) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = Server(config, state_dir, distribution, time.time)

    def ready() -> None:
        line = {"proxy": server.proxy_url, "https": server.https, "ca": server.ca_path}
        print(json.dumps(line), flush=True)

    await run_until(server, stopped, ready)


if __name__ == "__main__":
    sys.exit(main())
