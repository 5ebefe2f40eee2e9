"""Rerankers and retrievers by name, from a hub served here: their pinned revision, in the published layout, offline."""

import json
from pathlib import Path

import pytest
import tiny_checkpoints
import yaml
from local_hub import LocalHub, ask

from evalkit import Pair, load_reranker
from evalkit.config.resources import shipped

# Configuration -> who writes a tiny checkpoint in its layout, and settings that fit one of so few layers.
SERVED = {
    "minicpm_reranker": (tiny_checkpoints.write_minicpm_reranker, {}),
    "bge_reranker_v2_minicpm_layerwise": (tiny_checkpoints.write_minicpm_layerwise, {"cutoff_layers": [3]}),
    "gte_multilingual_reranker_base": (tiny_checkpoints.write_gte_reranker, {"max_length": 64}),
    "jina_reranker_v2_base_multilingual": (tiny_checkpoints.write_jina_reranker, {"max_length": 64}),
    "qwen3_reranker_0_6b": (tiny_checkpoints.write_qwen3_reranker, {"max_length": 256}),
}
TEXTS = [("what do bees make?", "Bees make honey."), ("中国的首都在哪里", "北京。")]
PROGRAM = """
import json, sys
import evalkit
pairs = [evalkit.Pair(*texts) for texts in json.loads(sys.argv[1])]
found = {}
for name, settings in json.loads(sys.argv[2]).items():
    reranker = evalkit.load_reranker(name, **settings)
    found[name] = [reranker.score(pairs).scores.tolist(), reranker.identity["checkpoint"]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("served")
    of_name, repositories = {}, {}
    for name, (write, _) in SERVED.items():
        of_name[name] = yaml.safe_load((shipped("conf") / "reranker" / f"{name}.yaml").read_text(encoding="utf-8"))
        repositories[f"{of_name[name]['model']}@{of_name[name]['revision']}"] = write(folder / name)
    asked = [json.dumps(TEXTS), json.dumps({name: settings for name, (_, settings) in SERVED.items()})]
    home = folder / "home"
    with LocalHub(repositories) as hub:
        online = ask(hub.endpoint, PROGRAM, *asked, home=home)
        requests = list(hub.requests)
    offline = ask("http://127.0.0.1:9", PROGRAM, *asked, home=home, offline=True)
    return {"folder": folder, "conf": of_name, "online": online, "offline": offline, "requests": requests}


@pytest.mark.parametrize("name", SERVED)
def test_a_name_loads_the_pinned_revision_from_the_hub(served, name):
    scores, checkpoint = served["online"][name]
    assert {"hub": served["conf"][name]["model"], "commit": served["conf"][name]["revision"]} == checkpoint
    local = load_reranker(name, model=served["folder"] / name, **SERVED[name][1])
    assert local.score([Pair(*texts) for texts in TEXTS]).scores.tolist() == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize("name", SERVED)
def test_what_was_loaded_once_is_there_offline(served, name):
    assert served["online"][name] == served["offline"][name]


def test_all_shards_are_fetched_and_nothing_that_could_run(served):
    files = {Path(line.split(" ")[1]).name for line in served["requests"] if "/resolve/" in line}
    assert "model.safetensors.index.json" in files
    assert any(name.startswith("model-00002-of-") for name in files)
    assert [name for name in files if name.endswith((".py", ".bin"))] == []
