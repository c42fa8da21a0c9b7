import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cluster.score import Agreement, bcubed, pairwise

LABELS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcd")), min_size=1, max_size=25)


@given(LABELS)
def test_against_the_definitions(pairs: list[tuple[int, str]]) -> None:
    found, truth = [a for a, _ in pairs], [b for _, b in pairs]
    n = range(len(pairs))
    precision = recall = 0.0
    for i in n:
        group = [j for j in n if found[j] == found[i]]
        person = [j for j in n if truth[j] == truth[i]]
        right = len(set(group) & set(person))
        precision += right / len(group) / len(pairs)
        recall += right / len(person) / len(pairs)
    score = bcubed(found, truth)
    assert (score.precision, score.recall) == (pytest.approx(precision), pytest.approx(recall))
    assert score.f == pytest.approx(2 * precision * recall / (precision + recall))
    claimed = {(i, j) for i in n for j in n if i < j and found[i] == found[j]}
    real = {(i, j) for i in n for j in n if i < j and truth[i] == truth[j]}
    by_pairs = pairwise(found, truth)
    assert by_pairs.precision == (pytest.approx(len(claimed & real) / len(claimed)) if claimed else None)
    assert by_pairs.recall == (pytest.approx(len(claimed & real) / len(real)) if real else None)


def test_names_do_not_matter_and_extremes() -> None:
    truth = ["ann", "ann", "bob", "cyd"]
    assert bcubed([7, 7, 3, 9], truth) == Agreement(1.0, 1.0, 1.0)
    assert bcubed([0, 0, 0, 0], truth) == Agreement(0.375, 1.0, pytest.approx(0.5454545))
    assert pairwise([0, 1, 2, 3], truth) == Agreement(None, 0.0, None)
    assert bcubed([], []) == Agreement(None, None, None)
    assert pairwise([1, 1, 2, 2], ["a", "b", "a", "b"]) == Agreement(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="3 labels against 4"):
        bcubed([1, 2, 3], truth)
