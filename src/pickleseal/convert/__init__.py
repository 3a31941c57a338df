"""Turn bare pickles into artifacts, and artifacts into bare pickles (spec section 12, adopting).

`adopt` wraps a pickle as it is and `extract` takes it out again: neither runs an opcode or imports anything. `repickle`
unpickles under an allow-list and packs the object anew; it also takes pickles of Python 2 and files of joblib.
`decompressed` undoes what the writer of the file compressed it with. All take and return bytes: none opens a file.
"""

from ._foreign import decompressed
from ._pickles import Adopted, adopt, extract, repickle

__all__ = ["Adopted", "adopt", "decompressed", "extract", "repickle"]

for _value in (Adopted, adopt, decompressed, extract, repickle):
    _value.__module__ = __name__
