"""The identity of a model of sentence-transformers in memory."""

import pytest
from tiny_checkpoints import write_bert_embedder

from evalkit.models.library_models import library_identity

pytestmark = pytest.mark.slow  # sentence_transformers takes seconds to import


@pytest.fixture
def load(tmp_path):
    """Loads the same checkpoint anew."""
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    folder = write_bert_embedder(tmp_path / "model")
    return lambda: SentenceTransformer(str(folder), device="cpu")


def test_it_is_the_same_for_the_same_model_also_after_use(load):
    model = load()
    before = library_identity(model)
    model.encode(["bees make honey", "cows"])
    assert before == library_identity(model) == library_identity(load())


@pytest.mark.parametrize(
    "change",
    [
        lambda model: next(model.parameters()).data.add_(1e-3),
        lambda model: model.half(),
        lambda model: setattr(model, "max_seq_length", 5),
        lambda model: setattr(model, "similarity_fn_name", "dot"),
        lambda model: model.prompts.update(query="query: "),
        lambda model: model.tokenizer.add_tokens(["bees"]),
    ],
)
def test_it_differs_for_whatever_changes_the_vectors(load, change):
    model = load()
    before = library_identity(model)
    change(model)
    assert library_identity(model) != before


def test_a_model_whose_weights_cannot_be_read_has_none(load):
    model = load()
    model.state_dict = dict
    assert library_identity(model) is None


def subclassed(model):
    model.__class__ = type("SentenceTransformer", (type(model),), {"__module__": "my_models"})


def with_a_module_of_its_own(model):
    torch = pytest.importorskip("torch")
    model.append(type("Negated", (torch.nn.Module,), {"__module__": "my_models", "forward": lambda _, x: x})())


def with_a_method_of_its_own(model):
    model.encode_query = lambda texts, **settings: -type(model).encode_query(model, texts, **settings)


@pytest.mark.parametrize(
    "change",
    [
        subclassed,
        with_a_module_of_its_own,
        with_a_method_of_its_own,
        lambda model: model[0].register_forward_hook(lambda *given: None),  # noqa: ARG005
        lambda model: model[0].auto_model.register_forward_pre_hook(lambda *given: None),  # noqa: ARG005
    ],
)
def test_a_model_with_code_of_others_has_none(load, change):
    """Weights do not tell what a method of somebody's own does, so its vectors would be taken for those of another."""
    model = load()
    assert library_identity(model)
    change(model)
    assert library_identity(model) is None
