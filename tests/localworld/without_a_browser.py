"""Run by test_browser.py where no browser can be had: a test that needs one, and one that needs a network."""

import pytest

from localworld import browser as machines
from localworld import network
from localworld.errors import WorldError


@pytest.fixture
def browser() -> None:
    try:
        with machines.running():
            pass
    except WorldError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def argocd() -> None:
    """Only its name counts: whoever asks for it runs in a network of his own."""


@pytest.mark.usefixtures("browser")
def test_of_a_page() -> None:
    """Nothing: there is a browser."""


@pytest.mark.usefixtures("argocd")
def test_of_argo_cd() -> None:
    assert network.is_own()
