"""Texts that stand for those of a dataset."""

import numpy as np
import pytest
from miniatures import families

from evalkit.commands.settings.compose import compose
from evalkit.config import BundledDatasetConfig, FolderDatasetConfig
from evalkit.config.resources import config_names, read_config
from evalkit.errors import DataError
from evalkit.load import config_of
from evalkit.plan.sample import pairs_of, sample_from_card, sample_of


def test_a_sample_of_a_dataset_has_its_counts_and_texts_at_even_distances(dataset):
    sample = sample_of(dataset, texts=4)
    assert (sample.documents, sample.queries) == (40, 4)
    assert list(sample.document_texts) == dataset.documents.texts([0, 13, 26, 39])
    assert set(sample.query_texts) == set(dataset.queries.values())
    assert sample.document_bytes == sum(len(text) for text in dataset.documents.texts(range(40)))


@pytest.mark.parametrize("name", ["scifact", "T2Retrieval", "mkqa_en_zh_cn", "neuclir22_zh", "cqadupstack/tex"])
def test_texts_after_a_card_have_its_counts_and_mean_lengths(name):
    config = compose("fetch", [f"dataset={name}"]).dataset
    sample = sample_from_card(config)
    assert (sample.documents, sample.queries) == (config.expected.documents, config.expected.queries)
    lengths = np.array([len(text) for text in sample.document_texts])
    assert lengths.mean() == pytest.approx(config.lengths.document_characters, rel=0.01)
    assert np.log(lengths).std() == pytest.approx(0.7, abs=0.03)
    size = 3 if config.language == "zh" else 1
    assert sample.document_bytes == pytest.approx(lengths.mean() * size * sample.documents)
    assert sample.dataset is None


def test_every_published_dataset_can_be_planned_without_being_there():
    """Every card has the counts and the length; of a family, whose cards differ in these alone, one is planned."""
    unknown = {"folder", "ir_datasets", "mteb", "python", "mini", "mini_zh", "mini_en_zh"}
    published = sorted(set(config_names("dataset")) - unknown)
    for name in published:
        card = read_config("dataset", name)
        assert card["expected"]["documents"] * card["expected"]["queries"] * card["lengths"]["document_characters"], (
            name
        )
    alike = {name for names in families().values() for name in names[1:]}
    for name in set(published) - alike:
        assert sample_from_card(config_of("dataset", name, {})).document_texts, name


def test_a_sampled_dataset_has_that_many_queries():
    config = compose("fetch", ["dataset=msmarco", "dataset.sample=50"]).dataset
    assert sample_from_card(config).queries == 50


def test_a_card_without_counts_says_what_to_do():
    with pytest.raises(DataError, match=r"does not say how large it is\. Run `evalkit fetch dataset=x`"):
        sample_from_card(FolderDatasetConfig(name="x", path="/nowhere"))
    with pytest.raises(DataError, match="does not say"):
        sample_from_card(BundledDatasetConfig(name="mini"))


def test_pairs_have_every_document_once_and_all_queries(dataset):
    pairs = pairs_of(sample_of(dataset))
    assert [pair.document for pair in pairs] == dataset.documents.texts(range(40))
    assert {pair.query for pair in pairs} == set(dataset.queries.values())
