"""A people data set's manifest, read by columns and row groups: opening a million rows costs what is asked of them."""

from __future__ import annotations

import operator
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.core.errors import DataError, one_line

_GROUPS_KEPT = 4
_REASON = 200
_TEXTS_AT_ONCE = 8192


def parquet(path: Path, read: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What `read` makes of the Parquet file at `path`; bytes that are not UTF-8 in its texts included.

    Raises `DataError` for a file that is none or is torn, OSError where it cannot be opened.
    """
    try:
        found = read(*arguments, **options)
        if isinstance(found, pa.Table):
            found.validate(full=True)
        return found
    except (pa.ArrowException, ValueError, LookupError, TypeError, OSError, OverflowError, MemoryError) as error:
        if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
            raise
        reason = one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)[:_REASON]
        raise DataError(f"a damaged table ({reason})", path=path, remedy="make it again") from None


class Manifest:
    """The accepted rows of a manifest, by their number among the accepted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._footer = parquet(path, pq.read_metadata, path)
        groups = [self._footer.row_group(number).num_rows for number in range(self._footer.num_row_groups)]
        self._starts: NDArray[np.int64] = np.cumsum([0, *groups])
        places = self._read(["shard", "offset", "length"])
        accepted = places["shard"].is_valid()  # a photo that was left out lies nowhere
        self._rows: NDArray[np.int64] = np.flatnonzero(accepted.to_numpy())
        self._all = len(self._rows) == len(accepted)
        kept = places if self._all else places.filter(accepted)
        self._shards, self._offsets, self._lengths = (kept[name].to_numpy() for name in kept.column_names)
        self._groups: OrderedDict[int, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> list[str]:
        """Its columns."""
        return list(self._footer.schema.to_arrow_schema().names)

    def place(self, index: int) -> tuple[int, int, int]:
        """(shard, offset, length) of an accepted row."""
        return int(self._shards[index]), int(self._offsets[index]), int(self._lengths[index])

    def row(self, index: int) -> dict[str, Any]:
        """All columns of an accepted row; its row group is kept for the next ones."""
        row = int(self._rows[index])
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        values: dict[str, Any] = self._group(number).slice(row - int(self._starts[number]), 1).to_pylist()[0]
        return values

    def values(self, name: str) -> pa.ChunkedArray:
        """One column of the accepted rows."""
        column = self._read([name])[name]
        return column if self._all else column.take(pa.array(self._rows))

    def rejected(self) -> list[tuple[str, str]]:
        """(photo, reason) of the rows that are not accepted, in order."""
        if self._all:
            return []
        table = self._read(["photo", "reason"])
        table = table.filter(table["reason"].is_valid())
        return list(zip(table["photo"].to_pylist(), table["reason"].to_pylist(), strict=True))

    def _read(self, columns: list[str]) -> pa.Table:
        return parquet(self._path, pq.read_table, self._path, columns=columns, memory_map=True, use_threads=False)

    def _group(self, number: int) -> pa.Table:
        with self._lock:
            if number in self._groups:
                self._groups.move_to_end(number)
                return self._groups[number]
        # One thread: Arrow's pool does not live on in the workers that a data loader forks.
        with parquet(self._path, pq.ParquetFile, self._path, metadata=self._footer, memory_map=True) as file:
            table = parquet(self._path, file.read_row_group, number, use_threads=False)
        with self._lock:
            self._groups[number] = table
            while len(self._groups) > _GROUPS_KEPT:
                self._groups.popitem(last=False)
        return table


class Texts(Sequence[str]):
    """A column of strings, kept as Arrow has them: a tenth of the memory of a list, and found by binary search."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.column = column
        """As Arrow has it."""

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return str(self.column[int(index)].as_py())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _TEXTS_AT_ONCE):
            yield from self.column.slice(start, _TEXTS_AT_ONCE).to_pylist()

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and self._find(text) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list: equal to lists, never a key

    def index(self, text: str, start: int = 0, stop: int | None = None) -> int:
        """Where `text` first is. Raises ValueError where it is not."""
        at = self._find(text)
        if at is None or at not in range(*slice(start, stop).indices(len(self))):
            raise ValueError(f"{text!r} is not there")
        return at

    def _find(self, text: str) -> int | None:
        at = bisect_left(self._order, text, key=lambda row: self[int(row)])
        return int(self._order[at]) if at < len(self) and self[int(self._order[at])] == text else None

    @cached_property
    def _order(self) -> NDArray[np.uint64]:
        return np.asarray(pc.sort_indices(self.column))
