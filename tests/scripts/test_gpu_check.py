"""scripts/gpu_check.py in miniature on a CPU: everything but the numbers."""

import json
import sys
from collections import Counter
from types import SimpleNamespace

import benchmark_setup
import full_size
import gpu_check
import gpu_families
import gpu_faults
import gpu_speed
import kill_test
import numpy as np
import pytest
import torch
from gpu_checks import Check, Options, groups_of
from torch.autograd import DeviceType

from evalkit.models.checkpoint import resolve
from evalkit.models.shape import shape_of

MODELS = "minicpm_2_4b,bge_v2_m3_568m"
# Plays `evalkit evaluate`: scores, a kept one skipped, then a result; every kill is in scoring.
PLAYED = """
import pathlib, sys, time
places = dict(word.split("=", 1) for word in sys.argv[1:])
log = pathlib.Path(places["cache_dir"]) / "scores" / "key" / "scores.log"
log.parent.mkdir(parents=True, exist_ok=True)
for pair in range(log.stat().st_size if log.exists() else 0, 8):
    log.open("a").write("x")
    time.sleep(0.02)
run = pathlib.Path(places["results_dir"]) / "run.trec.gz"
run.parent.mkdir(parents=True, exist_ok=True)
run.write_text(log.read_text() + LAST)
"""


@pytest.fixture
def few(monkeypatch):
    """Two families, no peer that pads, and no evaluation in processes."""
    kinds = {name: gpu_families.KINDS[name] for name in ("minicpm", "bert")}
    monkeypatch.setattr(gpu_families, "KINDS", kinds)
    monkeypatch.setattr(gpu_speed, "_PEERS", ("card",))
    outcome = kill_test.Outcome(2, 2, Counter(score=2))
    monkeypatch.setattr(kill_test, "run", lambda *_, **__: outcome)


def run(*arguments):
    tiny = ["--device", "cpu", "--tiny", "--models", MODELS, "--batch-tokens", "512,1024", "--seconds", "0"]
    return gpu_check.main([*tiny, *arguments])


@pytest.mark.usefixtures("few")
@pytest.mark.slow
def test_all_parts_run_to_their_end_in_miniature(capsys, tmp_path):
    assert 0 == run("--json", str(tmp_path / "gpu.json"))

    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found == json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert list(gpu_check.PARTS) == list(found["parts"])
    says = {part: {check["name"]: check for check in of["checks"]} for part, of in found["parts"].items()}
    assert {"packages", "facts of a run"} == set(says["versions"])
    assert says["golden"]["minicpm, float32, packed"]["figures"]["largest_difference"] < 1e-5
    assert 0 < says["golden"]["late interaction, projection, bfloat16"]["figures"]["largest_difference"] < 0.05
    assert {"pooling max, float32", "pooling weighted_mean, bfloat16"} < set(says["golden"])
    assert {"minicpm", "bert", "late interaction", "bge_v2_m3_568m"} == set(says["determinism"])
    assert says["memory"]["a budget that is too large"]["figures"]["halved"] > 0
    assert "out of memory on one text of 8192 tokens" in says["memory"]["a text that does not fit"]["says"]
    assert says["resume"]["killed and run again"]["ok"]
    ours = says["throughput"]["minicpm_2_4b: evalkit, 512 tokens"]["figures"]
    assert ours["tokens"] > ours["pairs"] * 50
    assert 0 < ours["share_of_multiplication"]
    assert ours["parameters"] > 64_000
    assert ours["peak_bytes"] > 1 << 27
    card = says["throughput"]["bge_v2_m3_568m: model card, one query a batch"]["figures"]
    assert card["evalkit_over_this"] > 0
    by_class = says["profile"]["minicpm_2_4b: ms by class"]["figures"]["milliseconds"]
    assert {"attention", "multiplication"} < set(by_class)
    assert "killed and run again" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--part", "speed"], "Legal are: versions, golden"),
        (["--models", "llama"], "Legal are: minicpm_2_4b"),
        (["--dtype", "int8"], "Legal are: float32"),
        (["--batch-tokens", "many"], "is no list of counts"),
        (["--device", "tpu"], "Legal are: auto, cpu, cuda"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert 2 == run(*arguments)
    assert message in capsys.readouterr().err


def test_a_part_that_breaks_off_is_a_failed_check_and_the_others_run(monkeypatch, capsys):
    def broken(_):
        yield Check("begins", ok=True, says="well")
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(gpu_check, "PARTS", {"first": broken, "second": lambda _: [Check("other", ok=True, says="")]})
    assert 1 == run()
    found = json.loads(capsys.readouterr().out)["parts"]
    assert [True, False] == [one["ok"] for one in found["first"]["checks"]]
    assert "RuntimeError: no kernel image" == found["first"]["checks"][1]["says"]
    assert found["second"]["ok"]


def test_a_model_for_which_there_is_no_time_is_named_with_its_command(capsys):
    assert 0 == run("--part", "throughput,profile", "--minutes", "-1")
    assert "left out, since the time is up: --part profile --models bge_v2_m3_568m" in capsys.readouterr().out


def numbers(*values):
    return lambda: np.array(values, dtype=np.float32)


def test_a_difference_above_its_bound_is_a_failed_check():
    exact = numbers(1.0, 2.0)()
    assert gpu_families._compared("x", exact, numbers(1.0, 2.1), 0.2).ok is True
    assert gpu_families._compared("x", exact, numbers(1.0, 2.3), 0.2).ok is False
    assert gpu_families._compared("x", exact, numbers(1.0, np.nan), 0.2).ok is False


def test_other_bytes_of_a_second_run_are_a_failed_check():
    given = iter([1.0, 1.0, 2.0, 1.0, 1.5, 1.0])

    def load(_):
        return SimpleNamespace(score=lambda _: SimpleNamespace(scores=numbers(next(given))()))

    assert [True, False] == [gpu_families._twice("x", load, [None], (2, 1)).ok for _ in range(2)]


def test_a_budget_that_was_not_halved_is_a_failed_check():
    model = SimpleNamespace(usage=SimpleNamespace(out_of_memory=0, batch_tokens=64))
    assert not gpu_faults._halved("x", model, 0.0).ok
    model.usage.out_of_memory = 1
    assert [True, False] == [gpu_faults._halved("x", model, apart).ok for apart in (0.0, 1.0)]


@pytest.mark.parametrize(("last", "same"), [("'end'", 2), ("str(time.time())", 0)])
def test_kills_in_scoring_are_counted_and_the_bytes_compared(monkeypatch, tmp_path, last, same):
    program = tmp_path / "played.py"
    program.write_text(PLAYED.replace("LAST", last), encoding="utf-8")
    monkeypatch.setattr(kill_test, "PROGRAM", [sys.executable, "-S", str(program)])
    outcome = kill_test.run(["dataset=mini"], kills=2, how="KILL", seed=0, phases=["score"])
    assert (2, same) == (outcome.trials, outcome.same)
    assert outcome.moments["score"] >= 1


@pytest.mark.parametrize(
    ("same", "moments", "ok"), [(2, {"score": 2}, True), (1, {"score": 2}, False), (2, {"finished": 2}, False)]
)
def test_resuming_passes_where_something_was_killed_and_all_bytes_are_the_same(
    monkeypatch, tmp_path, same, moments, ok
):
    monkeypatch.setattr(kill_test, "run", lambda *_, **__: kill_test.Outcome(2, same, Counter(moments)))
    options = Options("cpu", "float32", True, tmp_path, (), (), 0, 2)  # noqa: FBT003
    assert [ok] == [check.ok for check in gpu_faults.resume(options)]


@pytest.mark.parametrize("name", full_size.SIZES)
def test_matrices_of_a_full_size_model_are_those_that_its_operations_are_counted_by(name, tmp_path):
    config = full_size.SIZES[name].config
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    in_a_layer = sum(inner * outer for inner, outer in gpu_speed.matrices(config))
    shape = shape_of(resolve(str(tmp_path), weights=False))
    assert shape.parameters == config["num_hidden_layers"] * in_a_layer
    assert benchmark_setup.FAMILIES[full_size.SIZES[name].family]


def test_full_sizes_have_as_many_parameters_as_the_published_models():
    counted = {}
    for name, size in full_size.SIZES.items():
        counted[name] = round(sum(int(np.prod(shape)) for shape in full_size.shapes_of(size).values()) / 1e8)
    expected = {"minicpm_2_4b": 27, "qwen3_0_6b": 6, "qwen3_4b": 40, "gemma_2b": 25, "bge_v2_m3_568m": 6}
    assert expected | {"modernbert_large": 4} == counted


def test_random_pairs_have_the_lengths_asked_for_and_queries_of_their_own():
    groups = groups_of(400, 2.0, seed=1)
    lengths = [2 * (len(pair.document.split())) for group in groups for pair in group]
    assert [50] * 8 == [len(group) for group in groups]
    assert 8 == len({pair.query for group in groups for pair in group})
    assert 150 < np.mean(lengths) < 220
    assert 480 >= max(lengths) > 350


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_tst_128x256_64x4_2x1_v_bz_TNT", "multiplication"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64", "multiplication"),
        ("void flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64>>", "attention"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::BFloat16>", "normalisation"),
        ("void at::native::(anonymous namespace)::CatArrayBatchedCopy_contig", "rotation"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl>", "activation"),
        ("Memcpy HtoD (Pinned -> Device)", "copies"),
        ("void at::native::indexSelectLargeIndex<c10::BFloat16>", "gathering"),
        ("void at::native::scatter_gather_elementwise_kernel", "gathering"),
        ("void at::native::vectorized_elementwise_kernel<8, at::native::BinaryFunctor>", "element-wise"),
        ("ncclDevKernel", "other"),
    ],
)
def test_kernels_are_classed_by_name(kernel, kind):
    assert kind == gpu_speed.class_of(kernel)


def test_on_a_gpu_kernels_are_counted_and_not_the_operators_that_launch_them():
    def event(key, device, microseconds, count):
        return SimpleNamespace(
            key=key, device_type=device, self_device_time_total=microseconds, self_cpu_time_total=9.0, count=count
        )

    events = [
        event("aten::mm", DeviceType.CPU, 2000.0, 3),
        event("nvjet_tst", DeviceType.CUDA, 2000.0, 3),
        event("flash_fwd", DeviceType.CUDA, 500.0, 1),
    ]
    by_class, kernels, slowest = gpu_speed.classes(events, "cuda")
    assert {"multiplication": 2.0, "attention": 0.5} == dict(by_class)
    assert (4, "nvjet_tst") == (kernels, slowest[0]["kernel"])


def test_memory_of_the_process_is_limited_and_free_again(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", asked.append)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 1 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=4 << 30))
    with gpu_faults._limited_cuda(1 << 30, 0):
        assert [0.5] == asked
    assert [0.5, 1.0] == asked


def test_settings_of_compute_reach_the_models(tmp_path):
    options = Options("cpu", "float32", True, tmp_path, (), (), 0, 0, compute={"attention": "sdpa"})  # noqa: FBT003
    assert ("float32", "sdpa", 64) == (
        options.settings().dtype,
        options.settings().attention,
        options.settings(batch_tokens=64).batch_tokens,
    )
