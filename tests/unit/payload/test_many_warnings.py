"""Packing an object of very many classes of a script gives few warnings."""

import pytest
import shapes

import pickleseal
from pickleseal.errors import PackWarning


def test_classes_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    import __main__

    classes = [type(f"Class{number}", (), {"__module__": "__main__"}) for number in range(30)]
    for cls in classes:
        monkeypatch.setattr(__main__, cls.__name__, cls, raising=False)
    with pytest.warns(PackWarning) as caught:
        pickleseal.pack(shapes.Holder(made=[cls() for cls in classes]))
    assert len(caught) == 6
    assert str(caught[-1].message) == "and 25 more such warnings"
    assert {warning.filename for warning in caught} == {__file__}
