"""The pretended device refuses, delays and notes what a GPU does."""

import threading

import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("card")]
CUDA = "cuda"


def test_tensors_are_of_the_device_and_compute_what_the_cpu_does():
    host = torch.randn(4, 5)
    there = host.to(CUDA)
    assert (there.device.type, there.is_cuda, (there @ there.T).device.index) == ("cuda", True, 0)
    assert torch.equal((there @ there.T).relu().cpu(), (host @ host.T).relu())
    view = there[1:, :2]
    view.add_(1)
    assert torch.equal(there.cpu()[1:, :2], host[1:, :2] + 1)


def test_tensors_of_two_devices_are_refused():
    there, host = torch.ones(3, device=CUDA), torch.ones(3)
    for act in (lambda: there + host, lambda: host + there, lambda: torch.cat([there, host]), lambda: there.add_(host)):
        with pytest.raises(RuntimeError, match="at least two devices"):
            act()
    with pytest.raises(RuntimeError, match="at least two devices"):
        host[torch.tensor([0], device=CUDA)]
    assert (there + torch.tensor(1.0)).tolist() == [2.0] * 3


def test_numpy_has_no_view_of_a_device():
    there = torch.ones(3, device=CUDA)
    for act in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            act()


def test_copy_that_does_not_block_holds_no_number_until_its_event(card):
    there = torch.arange(3.0, device=CUDA)
    hosts, events = [], []
    for factor in (1, 2):
        hosts.append(torch.empty(3, pin_memory=True).copy_(there * factor, non_blocking=True))
        events.append(torch.cuda.Event())
        events[-1].record()
    assert all(host.isnan().all() for host in hosts)
    there.fill_(9)  # the queue has copied by then
    events[0].synchronize()
    assert (hosts[0].tolist(), hosts[1].isnan().all().item()) == ([0, 1, 2], True)
    torch.cuda.synchronize()
    assert hosts[1].tolist() == [0, 2, 4]
    assert (card.waits, card.events) == ({}, 1)


def test_what_makes_the_host_wait_is_noted(card):
    there, rows = torch.arange(6.0, device=CUDA), torch.tensor([1, 2], device=CUDA)
    acts = [
        there.cpu,
        there.sum().item,
        lambda: there[there > 2],
        there.nonzero,
        lambda: there.repeat_interleave(torch.ones(6, dtype=torch.int64, device=CUDA)),
        lambda: torch.segment_reduce(there, "sum", lengths=rows * 2),
        lambda: torch.empty(6).copy_(there, non_blocking=True),  # not pinned
        lambda: there[torch.tensor([0, 1])],
    ]
    for act in acts:
        card.reset()
        act()
        assert card.waits.total() == 1, card.waits
    card.reset()
    torch.segment_reduce(there, "sum", lengths=rows * 2, unsafe=True)
    torch.ones(2).pin_memory().to(CUDA, non_blocking=True)
    assert (card.waits, card.pageable) == ({}, {})
    torch.ones(2).to(CUDA, non_blocking=True)
    assert card.pageable.total() == 1


def test_memory_is_that_of_the_tensors_which_are_held(card):
    start = card.allocated
    first = torch.zeros(1000, device=CUDA)
    views = [first[10:], first.view(10, 100).T]
    assert torch.cuda.memory_allocated() == start + 4000
    del first
    assert card.allocated == start + 4000
    del views
    assert (card.allocated, torch.cuda.memory_reserved() >= start + 4000) == (start, True)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == start
    card.total = start + 100
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        torch.zeros(26, device=CUDA)
    assert card.allocated == start


def test_threads_see_the_device_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.ones(2, device=CUDA).device.type))
    thread.start()
    thread.join()
    assert found == ["cuda"]


def attended(**changes):
    from torch.nn.attention.varlen import varlen_attn

    half = torch.randn(5, 4, 16, device=CUDA, dtype=torch.bfloat16)
    starts = torch.tensor([0, 2, 5], dtype=torch.int32, device=CUDA)
    given = {"query": half, "key": half, "value": half, "cu_seq_q": starts, "cu_seq_k": starts, "max_q": 3, "max_k": 3}
    return varlen_attn(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"query": torch.float32}, "fp16 and bf16"),
        ({"key": torch.float16}, "same dtype"),
        ({"cu_seq_k": torch.int64}, "must have dtype int32"),
        ({"max_k": 2}, "beyond the longest"),
        ({"max_q": 2}, "beyond the longest"),
    ],
    ids=str,
)
def test_attention_refuses_what_flash_attention_does(changes, said):
    half = torch.randn(5, 4, 16, device=CUDA, dtype=torch.bfloat16)
    starts = torch.tensor([0, 2, 5], dtype=torch.int32, device=CUDA)
    made = {
        name: value if isinstance(value, int) else (starts if name.startswith("cu") else half).to(value)
        for name, value in changes.items()
    }
    assert attended().dtype == torch.bfloat16
    with pytest.raises(RuntimeError, match=said):
        attended(**made)


def test_attention_refuses_layouts_and_heads_that_the_kernel_has_not(card):
    spread = torch.randn(5, 4, 32, device=CUDA, dtype=torch.bfloat16)[..., ::2]
    with pytest.raises(RuntimeError, match="contiguous last dimension"):
        attended(key=spread, value=spread)
    odd = torch.randn(5, 4, 12, device=CUDA, dtype=torch.bfloat16)
    with pytest.raises(RuntimeError, match="multiple of 8"):
        attended(query=odd, key=odd, value=odd)
    card.capability = (7, 5)
    with pytest.raises(RuntimeError, match="Ampere"):
        attended()
