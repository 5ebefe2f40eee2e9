"""Which CUDA devices processes get; the devices are pretended."""

import pytest
import torch

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError
from evalkit.inference.accelerators import on_cuda, shared_devices


@pytest.fixture
def cards(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def there(count, visible=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return there


@pytest.mark.parametrize(
    ("count", "visible", "settings", "expected"),
    [
        (8, None, {}, []),
        (8, None, {"devices": "all"}, list("01234567")),
        (8, None, {"devices": 3}, list("012")),
        (1, None, {"devices": "all"}, []),
        (1, None, {"devices": "all", "processes_per_device": 3}, ["0", "0", "0"]),
        (2, None, {"devices": "all", "processes_per_device": 2}, ["0", "1", "0", "1"]),
        (2, "4, 6", {"devices": "all"}, ["4", "6"]),
        (2, "GPU-a,GPU-b", {"devices": "2"}, ["GPU-a", "GPU-b"]),
        (1, "4,-1", {"devices": "all", "processes_per_device": 2}, ["4", "4"]),
    ],
)
def test_each_process_has_a_device_of_those_that_are_visible(cards, count, visible, settings, expected):
    cards(count, visible)
    assert shared_devices(ComputeConfig(device="cuda", **settings)) == expected


def test_auto_without_cuda_is_this_process(cards):
    cards(0)
    assert shared_devices(ComputeConfig(device="auto", devices="all")) == []
    assert not on_cuda(ComputeConfig())
    cards(1)
    assert on_cuda(ComputeConfig())
    assert not on_cuda(ComputeConfig(device="cpu"))


@pytest.mark.parametrize(
    ("count", "settings", "said"),
    [
        (2, {"device": "cuda", "devices": 4}, r"compute\.devices=4.*2 CUDA devices\. Set compute\.devices=all"),
        (0, {"device": "cuda", "devices": "all"}, r"0 CUDA devices\. Set compute\.device=cpu"),
        (0, {"device": "auto", "devices": 2}, r"0 CUDA devices\. Set compute\.device=cpu"),
    ],
)
def test_more_devices_than_there_are_are_refused(cards, count, settings, said):
    cards(count)
    with pytest.raises(ConfigError, match=said):
        shared_devices(ComputeConfig(**settings))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"devices": "most"}, r"compute\.devices=most is not legal\. Legal are all, and numbers from 1"),
        ({"devices": "0"}, "compute.devices=0"),
        ({"devices": "-1"}, "compute.devices=-1"),
        ({"devices": ""}, "compute.devices="),
        ({"processes_per_device": 0}, "compute.processes_per_device=0"),
        ({"device": "cpu", "devices": "all"}, r"compute\.devices=all is for CUDA"),
        ({"device": "cpu", "processes_per_device": 2}, r"compute\.processes_per_device=2 is for CUDA"),
        ({"backend": "ray", "devices": "2"}, r"compute\.devices=2 is for this machine alone.*compute\.workers"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        ComputeConfig(**settings)
