from pipelines.bench import training as bench_train


def _metrics(side: int) -> dict:
    metrics = dict.fromkeys(bench_train._ROWS, 0.25)
    return metrics | {"resolution": side, "device": "cpu", "threads": 1,
                      "profile": {"convolution": 0.5, "element by element, rest": 0.5}}


def test_the_page_has_a_column_for_each_resolution() -> None:
    page = bench_train.page([_metrics(64), _metrics(128)])
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {4}
    assert "| | 64 px | 128 px |" in page and "| convolution | 50% | 50% |" in page
    assert "while it convolves or multiplies | 50% | 50% |" in page  # a quarter of the peak in half of the time
