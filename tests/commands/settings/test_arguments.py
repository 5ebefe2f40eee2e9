"""What people type, made fit for Hydra's grammar."""

import pytest

from evalkit.commands.settings.arguments import last_of_each, normalise
from evalkit.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["depth=5", "-m", "reranker=none,replay"], ["-m", "depth=5", "reranker=none,replay"]),
        (["dataset.path=/data/数据"], ["dataset.path='/data/数据'"]),
        (["dataset.path=~/x"], ["dataset.path='~/x'"]),
        (["retriever.path=a (1),b=c.trec"], ["retriever.path='a (1),b=c.trec'"]),
        (["retriever.path=it's.trec"], [r"retriever.path='it\'s.trec'"]),
        (["dataset.path='already quoted'"], ["dataset.path='already quoted'"]),
        (["dataset.path=/plain/path-1.0"], ["dataset.path=/plain/path-1.0"]),
        (["-m", "reranker.model=a,b"], ["-m", "reranker.model=a,b"]),
        (["measures=nDCG@10"], ["measures=[nDCG@10]"]),
        (["measures=[nDCG@10,R@20]"], ["measures=[nDCG@10,R@20]"]),
        (["measures=MAP(rel=2)"], ["measures=['MAP(rel=2)']"]),
        (["measures=[nDCG@10,R(rel=2)@20]"], ["measures=[nDCG@10,'R(rel=2)@20']"]),
        (["dataset.measures=[R( rel=2 )@20]"], ["dataset.measures=['R( rel=2 )@20']"]),
        (["measures=['R(rel=2)@20']"], ["measures=['R(rel=2)@20']"]),
        (["measures=[RBP(p=0.9)@10,MAP]"], ["measures=['RBP(p=0.9)@10',MAP]"]),
        (["measures=nDCG(dcg='exp-log2')@10"], [r"measures=['nDCG(dcg=\'exp-log2\')@10']"]),
        (["measures=nDCG(dcg=exp-log2,judged_only=True)"], ["measures=['nDCG(dcg=exp-log2,judged_only=True)']"]),
        (["measures=[nDCG'@10,R@20]"], [r"measures=['nDCG\'@10',R@20]"]),
        (["measures=['MAP','R@20']"], ["measures=['MAP','R@20']"]),
        (["measures=[\"nDCG(dcg='exp-log2')@10\",R@20]"], ["measures=[\"nDCG(dcg='exp-log2')@10\",R@20]"]),
        (["-m", "measures=[MAP(rel=2)],[MAP(rel=3)@5]"], ["-m", "measures=['MAP(rel=2)'],['MAP(rel=3)@5']"]),
        (["reranker.query_instruction=x"], ["reranker.query_instruction=x"]),
        (["retriever.instructed_query=null"], ["retriever.instructed_query=null"]),
        (["reranker.prompt=Is it so, or not?"], ["reranker.prompt='Is it so, or not?'"]),
        ([r"reranker.prompt=a\nb"], [r"reranker.prompt='a\nb'"]),
        ([r'reranker.prompt="a\nb, c"'], [r'reranker.prompt="a\nb, c"']),
        ([r"reranker.prompt=a\, b"], [r"reranker.prompt=a\, b"]),
        (["-m", "reranker.instructions=none,a b"], ["-m", "reranker.instructions=none,'a b'"]),
        (["~hydra.sweeper.params"], ["~hydra.sweeper.params"]),
        (["+own/group=x"], ["+own/group=x"]),
        (["suite=null", "dataset=mini"], ["suite=null", "dataset=mini"]),
        (["dataset.corpus_path=a b.jsonl"], ["dataset.corpus_path='a b.jsonl'"]),
        (["suite=mini", "dataset.path=x/${dataset.name}"], ["suite=mini", "dataset.path='x/${dataset.name}'"]),
    ],
)
def test_arguments_are_made_readable_and_nothing_else_is_touched(typed, expected):
    assert normalise(typed) == expected


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["suite=mini", "dataset=mini"], "suite=mini chooses the datasets"),
        (["-m", "dataset=a,b", "dataset.path=x"], "several are chosen"),
        (["suite=mini", "dataset.name=x"], "several are chosen"),
        (["suite=mini", "+dataset=mini"], "suite=mini chooses the datasets"),
        (["-m", "suite=mini,beir_small"], "several suites"),
        (["=5"], "SETTING=VALUE"),
        (["~reranker"], "an evaluation needs a reranker. Choose one with reranker=NAME, or reranker=none"),
        (["~dataset=mini"], "an evaluation needs a dataset. Choose one with dataset=NAME"),
        (["--reranker", "none"], "Did you mean reranker=none"),
        (["rerankr.model=x"], "rerankr is not a setting. Did you mean reranker"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(typed, message):
    with pytest.raises(ConfigError, match=message):
        normalise(typed)


def test_a_setting_with_two_values_is_noted_and_one_that_is_repeated_is_not(capsys):
    typed = ["depth=10", "dataset=mini", "+depth=20", "dataset=mini", "-m"]
    normalise(typed)
    assert ["+depth=20", "dataset=mini", "-m"] == last_of_each(typed)
    assert capsys.readouterr().err == "evalkit: depth is given 2 times. The last counts: +depth=20, not depth=10.\n"


ODD = ["数据 (1)", "a=b,c", "it's [x]", "~tilde", "back\\slash", "{brace}", "back\\slash and blank", "\\'\\", " blank "]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("key", ["dataset.path", "reranker.prompt"])
def test_hydra_reads_the_path_or_text_that_was_typed(key, text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    given = normalise([f"{key}={text}"])
    (override,) = OverridesParser.create().parse_overrides(given)
    assert text == override.value()
    assert given == normalise(given)
