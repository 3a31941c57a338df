"""What `trust=` takes beside exact names: rules for classes of your own, presets for libraries; and `trust_of`.

    from pickleseal.trust import classes_in, preset, subclasses_of

    pickleseal.load(path, trust=[classes_in("shop"), preset("pandas")])

Rules go wherever `trust=` does: into functions, `Serializer`, `Policy` and `Reader`. docs/trust.md says what each one
gives, and what it is not good for. Nothing here reads an artifact.
"""

from ._trust.allow_list import Rule
from ._trust.learning import trust_of
from ._trust.rules import ClassesIn as ClassesIn  # pickles and error texts may name these; they are not listed
from ._trust.rules import Preset as Preset
from ._trust.rules import SubclassesOf as SubclassesOf
from ._trust.rules import classes_in, preset, subclasses_of

__all__ = ["Rule", "classes_in", "preset", "subclasses_of", "trust_of"]

for _value in (Rule, ClassesIn, Preset, SubclassesOf, classes_in, preset, subclasses_of, trust_of):
    _value.__module__ = __name__
del _value
