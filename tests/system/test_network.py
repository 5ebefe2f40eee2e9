"""Whether a server answers is asked once, for some seconds, whatever is wrong with it."""

import logging
import socket
import time
from collections.abc import Iterator

import pytest
from huggingface_hub import constants
from local_hub import LocalHub

from evalkit.system import network


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No probe of another test is remembered; the network is allowed, which conftest forbids."""
    monkeypatch.setattr(network, "_probes", {})
    monkeypatch.setattr(network, "_warned", [])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub({}) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return "http://127.0.0.1:9"


def test_a_hub_that_answers_is_asked_once(hub: LocalHub):
    assert [network.hub_fault() for _ in range(3)] == [None, None, None]
    assert len(hub.requests) == 1


def test_a_hub_that_refuses_connections_is_named_with_the_reason(silent: str):
    assert network.hub_fault() == f"{silent} does not answer ([Errno 111] Connection refused)"


def test_what_was_found_holds_for_a_minute(hub: LocalHub, monkeypatch: pytest.MonkeyPatch):
    network.hub_fault()
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + 59)
    network.hub_fault()
    assert len(hub.requests) == 1
    monkeypatch.setattr(time, "monotonic", lambda: start + 61)
    network.hub_fault()
    assert len(hub.requests) == 2


def test_the_user_may_forbid_the_network(hub: LocalHub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert network.hub_fault() == "HF_HUB_OFFLINE forbids the network (unset it once to download)"
    assert hub.requests == []


@pytest.mark.parametrize("ask", ["hub", "server"])
def test_a_server_that_never_answers_costs_no_more_than_the_patience(ask: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:  # connections are taken, and nothing is said
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        start = time.perf_counter()
        fault = network.hub_fault() if ask == "hub" else network.server_fault(f"{url}/file")
    assert time.perf_counter() - start < 2
    assert "does not answer (" in str(fault)


def test_a_name_that_takes_for_ever_to_look_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "_PATIENCE", -0.9)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2))
    start = time.perf_counter()
    assert network.server_fault("http://nowhere.invalid/file") == "the server does not answer (no answer in -1 s)"
    assert time.perf_counter() - start < 1


def test_any_answer_of_a_server_is_one(hub: LocalHub):
    assert network.server_fault(f"{hub.endpoint}/files/absent.zip") is None
    assert network.server_fault(f"{hub.endpoint}/files/another.zip") is None
    assert hub.requests == ["HEAD / -> 404"]


def test_the_warning_comes_once_and_not_where_the_network_is_forbidden(
    silent: str, caplog: pytest.LogCaptureFixture, monkeypatch
):
    with caplog.at_level(logging.WARNING, "evalkit"):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        network.warn_once("It is planned.")
        assert caplog.messages == []
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        network.warn_once("It is planned.")
        network.warn_once("It is cached.")
    assert caplog.messages == [f"{silent} does not answer ([Errno 111] Connection refused). It is planned."]


def test_other_clients_do_not_try_within_the_block(silent: str):
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    with network.off_if_silent() as fault:
        assert str(fault).startswith(silent)
        assert constants.HF_HUB_OFFLINE is True
        assert datasets.config.HF_HUB_OFFLINE is True
    assert constants.HF_HUB_OFFLINE is False
    assert datasets.config.HF_HUB_OFFLINE is before
