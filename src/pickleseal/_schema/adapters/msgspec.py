"""The adapter for structs of msgspec. It looks at `__struct_fields__`, and imports msgspec only for defaults."""

from typing import Any

from .base import Adapter, Default, Make, Missing, Target, Values, annotated, constant


class MsgspecAdapter(Adapter):
    """Subclasses of `Struct`. They are made by a call with all values: in order, or by name."""

    kind = "msgspec"
    made_of_arguments = True

    def fits(self, cls: Any) -> bool:
        if type(cls).__name__ != "StructMeta":
            return False
        return isinstance(type.__getattribute__(cls, "__struct_fields__"), tuple)

    def fields(self, cls: Any) -> list[tuple[str, str]]:
        return annotated(cls, type.__getattribute__(cls, "__struct_fields__"))

    def is_standard(self, cls: Any, name: str, method: Any) -> bool:
        if name == "__reduce__" and getattr(method, "__objclass__", None) is not None:
            return True
        return super().is_standard(cls, name, method)

    def shape(self, cls: Any) -> str:
        positional = type.__getattribute__(cls, "__match_args__")  # the others are keyword-only
        return "arguments" if positional == type.__getattribute__(cls, "__struct_fields__") else "dict"

    def default(self, cls: Any, field: str) -> Default | None:
        import msgspec

        names, defaults = cls.__struct_fields__, cls.__struct_defaults__
        index = names.index(field) - (len(names) - len(defaults))
        if index < 0 or defaults[index] is msgspec.NODEFAULT:
            return None
        default = defaults[index]
        factory = getattr(default, "factory", None)
        return constant(default) if factory is None else lambda _: factory()

    def rebuilt(self, function: Any, arguments: tuple[Any, ...]) -> tuple[Any, Any] | None:
        module = str(getattr(function, "__module__", "")).partition(".")[0]
        is_rebuild = module == "msgspec" and getattr(function, "__name__", None) == "rebuild"
        return (arguments[0], arguments[1]) if is_rebuild and len(arguments) == 2 else None

    def maker(self, target: Target) -> Make:
        cls = target.cls

        def make(values: Values, missing: Missing) -> Any:
            return cls(**values)  # it fills in defaults by itself

        return make
