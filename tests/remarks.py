"""Remarks and refusals by their codes, for tests: a sentence may be mended without a test knowing."""

from collections.abc import Callable, Iterable

from voxeldose.errors import VoxeldoseError
from voxeldose.model.remarks import Remark


def coded(code: str, remarks: Iterable[Remark]) -> list[Remark]:
    """The remarks of one code."""
    return [remark for remark in remarks if remark.code == code]


def refusal(code: str) -> Callable[[VoxeldoseError], bool]:
    """For ``pytest.raises(…, check=refusal("no-overlap"))``."""
    return lambda error: error.code == code
