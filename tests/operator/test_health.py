"""What the probes say: every wrong thing by its name."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from transship.metrics import Metrics
from transship.operator.health import HealthServer


class Server:
    """A running health server and what its checks find wrong."""

    def __init__(self) -> None:
        self.wrong: dict[str, str | None] = {"watch": None, "queue": None}
        self.metrics = Metrics("1.2.3")
        checks = {
            "/healthz": {"watch": lambda: self.wrong["watch"], "queue": lambda: self.wrong["queue"]},
            "/readyz": {"watch": lambda: self.wrong["watch"]},
        }
        self.server = HealthServer("127.0.0.1", 0, checks, self.metrics)

    def get(self, path: str) -> tuple[int, str, str]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.server.port}{path}", timeout=5) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with made.server:
        yield made


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz?verbose"])
def test_all_is_well(server: Server, path: str) -> None:
    assert server.get(path) == (200, "text/plain", "ok\n")


def test_everything_that_is_wrong_is_named(server: Server) -> None:
    server.wrong = {"watch": "the watches have ended", "queue": "worker threads have ended"}

    assert server.get("/healthz")[::2] == (503, "watch: the watches have ended\nqueue: worker threads have ended\n")


def test_each_path_has_its_own_checks_and_asks_them_anew_every_time(server: Server) -> None:
    server.wrong["queue"] = "worker threads have ended"
    assert (server.get("/healthz")[0], server.get("/readyz")[0]) == (503, 200)

    server.wrong["queue"] = None
    assert server.get("/healthz")[0] == 200


def test_metrics_are_in_the_exposition_format(server: Server) -> None:
    server.metrics.reconciled("Deployment", "present")

    status, content_type, text = server.get("/metrics")

    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert 'transship_reconciles_total{kind="Deployment",result="present"} 1.0' in text
    assert 'transship_build_info{version="1.2.3"} 1.0' in text


def test_other_paths_say_which_there_are(server: Server) -> None:
    assert server.get("/")[::2] == (404, "try /healthz, /readyz or /metrics\n")


def test_the_port_is_free_again_when_the_server_has_stopped() -> None:
    first = HealthServer("127.0.0.1", 0, {}, Metrics(""))
    with first:
        port = first.port

    with HealthServer("127.0.0.1", port, {}, Metrics("")) as second:
        assert second.port == port
