import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.digest import file_digest, json_digest

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))


def test_facts_keep_the_digests_that_stored_artifacts_have() -> None:
    text = b'[{"a": "\\u00e9", "b": [1, 2.5, null]}, true]'
    assert json_digest([{"b": (1, 2.5, None), "a": "é"}, True]) == hashlib.sha256(text).hexdigest()


@given(st.dictionaries(st.text(), JSON, min_size=2, max_size=4))
def test_the_order_of_keys_does_not_matter(content: dict[str, object]) -> None:
    assert json_digest({"in": dict(reversed(content.items()))}) == json_digest({"in": content})


def test_what_differs_differs() -> None:
    contents = [[1, 2], [2, 1], {"a": 1}, {"a": 1.0}, {"a": "1"}, [], {}, None, "", 0]
    assert len({json_digest(content) for content in contents}) == len(contents)


def test_what_is_no_json_has_no_digest() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json_digest([Path("a")])


def test_a_file_has_the_digest_of_its_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert file_digest(tmp_path / "a") == hashlib.sha256(content).hexdigest()
