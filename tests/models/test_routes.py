"""Routes of a Router: the modules of each side in order, where they are, and what is refused. Reads no weights."""

import json
import shutil

import pytest

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.routes import of_route

KIND = "sentence_transformers.models."
TWO = {"query": ["query_0_Transformer", "query_1_Pooling"], "document": ["document_0_StaticEmbedding"]}


def put(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def write(root, modules, structure, inner="", **parameters):
    """`modules.json`, and the Router's file in the folder `inner`, with kinds as the folders' names end."""
    put(root / "modules.json", [{"path": at, "type": KIND + kind} for kind, at in modules])
    types = {at: KIND + at.rsplit("_", 1)[-1] for chain in structure.values() for at in chain}
    put(root / inner / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
    for at in types:
        put(root / inner / at / "config.json", {"folder": at})
    return root


def test_a_route_is_read_from_the_folder_of_its_first_module_and_has_the_rest_beside_it(tmp_path):
    write(tmp_path / "m", [("Router", ""), ("Normalize", "1_Normalize")], TWO, default_route="document")
    put(tmp_path / "m" / "config_sentence_transformers.json", {"prompts": {"query": "q: "}})
    whole = resolve(str(tmp_path / "m"), routed=True)
    query, document = of_route(whole, "query"), of_route(whole, "document")
    assert query.modules() == [
        ("Transformer", ""),
        ("Pooling", "../query_1_Pooling"),
        ("Normalize", "../1_Normalize"),
    ]
    assert query.config["folder"] == "query_0_Transformer"
    assert query.read_json("../query_1_Pooling/config.json") == {"folder": "query_1_Pooling"}
    assert query.read_json("config_sentence_transformers.json") == {"prompts": {"query": "q: "}}
    assert (document.static, document.path) == ("", whole.path / "document_0_StaticEmbedding")
    assert query.identity == document.identity == whole.identity
    assert set(whole.identity["files"]) >= {f"{at}/config.json" for chain in TWO.values() for at in chain}


def test_modules_before_a_router_in_a_folder_of_its_own_are_those_of_both_routes(tmp_path):
    before = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Router", "2_Router"), ("Normalize", "3_Normalize")]
    write(tmp_path / "m", before, {"query": ["query_0_Dense"], "document": ["document_0_Dense"]}, inner="2_Router")
    for at in ("config.json", "1_Pooling/config.json"):
        put(tmp_path / "m" / at, {})
    whole = resolve(str(tmp_path / "m"))
    document = of_route(whole, "document")
    assert document.path == whole.path
    assert document.modules()[2:] == [("Dense", "2_Router/document_0_Dense"), ("Normalize", "3_Normalize")]


def test_a_checkpoint_without_a_router_is_its_own_route(tmp_path):
    put(tmp_path / "config.json", {})
    assert of_route(Checkpoint(tmp_path), "query") == Checkpoint(tmp_path)


def test_a_file_of_either_route_that_changes_while_it_is_read_is_noticed(tmp_path):
    whole = resolve(str(write(tmp_path / "m", [("Router", "")], TWO)), routed=True)
    document = of_route(whole, "document")
    assert document.identity
    put(whole.path / "query_0_Transformer" / "config.json", {"other": 1})
    with pytest.raises(ModelError, match=r"query_0_Transformer/config\.json: changed while"):
        document.require_unchanged()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"parameters": {"route_mappings": {"('query', 'text')": "document"}}}, "does not know route_mappings="),
        ({"structure": {"query": [], "document": TWO["document"]}}, "the route query has no modules"),
        ({"structure": {"query": ["query_0_Transformer"]}}, "has routes query. Supported are query and document"),
        ({"structure": None}, "no types and structure of routes"),
        ({"types": {at: f"own.{at}" for chain in TWO.values() for at in chain}}, "code of the checkpoint's own"),
        (
            {"types": {"../x": "sentence_transformers.models.Dense"}, "structure": {"query": ["../x"], "document": []}},
            "is outside of the checkpoint",
        ),
    ],
)
def test_other_routers_are_refused(tmp_path, changes, expected):
    root = write(tmp_path / "m", [("Router", "")], TWO)
    file = root / "router_config.json"
    put(file, {**json.loads(file.read_text(encoding="utf-8")), **changes})
    with pytest.raises(ModelError) as error:
        of_route(resolve(str(root), routed=True), "query")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_transformer_without_its_configuration_is_refused(tmp_path):
    root = write(tmp_path / "m", [("Router", "")], TWO)
    (root / "query_0_Transformer" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"query_0_Transformer/config\.json is absent"):
        of_route(resolve(str(root), routed=True), "query")


def test_a_module_of_a_route_that_did_not_come_with_the_checkpoint_is_named(tmp_path):
    root = write(tmp_path / "m", [("Router", "")], TWO)
    shutil.rmtree(root / "query_1_Pooling")
    with pytest.raises(ModelError, match=r"router_config\.json names query_1_Pooling, which is not there\. Download"):
        of_route(resolve(str(root), routed=True), "query")


def test_a_link_to_a_folder_above_a_module_is_refused(tmp_path):
    root = write(tmp_path / "m", [("Router", "2_Router")], TWO, inner="2_Router")
    (root / "2_Router").rename(tmp_path / "elsewhere")
    (root / "2_Router").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="is a link to a folder"):
        of_route(resolve(str(root), routed=True), "query")
