"""Command line: ``python -m ecr_twin --config accounts.yaml [--state-dir DIR] [--distribution BINARY]``."""

import argparse
import asyncio
import json
import logging
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from ecr_twin.config import Config, load
from ecr_twin.errors import ConfigError
from ecr_twin.listening import Listening
from ecr_twin.server import Server, run_until

_VARIABLE = "ECR_TWIN_DISTRIBUTION"


def main() -> int:
    """Run until SIGTERM or SIGINT; prints one JSON line when ready."""
    parser = argparse.ArgumentParser(prog="ecr_twin", description="A stand-in for Amazon ECR and STS on loopback.")
    parser.add_argument("--config", type=Path, required=True, help="YAML file with Regions and accounts")
    parser.add_argument(
        "--state-dir",
        type=Path,
        help="folder for database, blobs, CA and logs; by default one that is removed at the end",
    )
    parser.add_argument(
        "--distribution",
        type=Path,
        help=f"a distribution v3 binary; by default ${_VARIABLE}, or `registry` on the PATH",
    )
    parser.add_argument(
        "--listen", default="127.0.0.1", metavar="ADDRESS", help="of the TLS listeners (default: loopback)"
    )
    parser.add_argument("--https-port", type=int, default=0, help="of API, STS and registries; by default a free one")
    parser.add_argument("--blobs-port", type=int, default=0, help="of the layer bucket; by default a free one")
    parser.add_argument("--proxy-port", type=int, default=0, help="of the proxy, on loopback; by default a free one")
    parser.add_argument("--authority", type=Path, help="folder with tls.crt and tls.key of a CA; by default a new one")
    arguments = parser.parse_args()
    listening = Listening(
        arguments.listen, arguments.https_port, arguments.blobs_port, arguments.proxy_port, arguments.authority
    )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        with ExitStack() as stack:
            state_dir = arguments.state_dir or Path(stack.enter_context(TemporaryDirectory(prefix="ecr-twin-")))
            distribution = arguments.distribution or _distribution()
            asyncio.run(_serve(load(arguments.config), state_dir, distribution, listening))
    except (ConfigError, OSError) as error:
        print(f"ecr_twin: {error}", file=sys.stderr)
        return 2
    return 0


def _distribution() -> Path:
    found = os.environ.get(_VARIABLE) or shutil.which("registry")
    if not found:
        raise ConfigError(
            "There is no distribution v3 binary: name one with --distribution or "
            f"${_VARIABLE}, or put it on the PATH as `registry`."
        )
    return Path(found)


async def _serve(config: Config, state_dir: Path, distribution: Path, listening: Listening) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = Server(config, state_dir, distribution, time.time, listening)

    def ready() -> None:
        line = {"proxy": server.proxy_url, "https": server.https, "ca": server.ca_path}
        print(json.dumps(line), flush=True)

    await run_until(server, stopped, ready)


if __name__ == "__main__":
    sys.exit(main())
