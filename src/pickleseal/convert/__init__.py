"""Turn bare pickles into artifacts, and artifacts into bare pickles (spec section 12, adopting).

`adopt` wraps a pickle as it is, and `extract` takes it out again: neither runs an opcode or imports anything.
`repickle` unpickles under an allow-list and packs the object anew; it also takes pickles of Python 2 and files of
joblib. `decompress` undoes the compression of a whole file of pickles. All take and return bytes, and write no file.

    from pathlib import Path

    found = convert.adopt(Path("model.pkl").read_bytes())
    Path("model.pseal").write_bytes(found.data)
    load("model.pseal", trust=found.trust)

    Path("model.pkl").write_bytes(convert.extract("model.pseal"))
"""

from ._foreign import decompress
from ._pickles import Converted, adopt, extract, extract_parts, repickle

__all__ = ["Converted", "adopt", "decompress", "extract", "extract_parts", "repickle"]

for _value in (Converted, adopt, decompress, extract, extract_parts, repickle):
    _value.__module__ = __name__
del _value
