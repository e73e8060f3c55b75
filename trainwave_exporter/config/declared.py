"""The declarations of `trainwave_exporter.config.settings`, read back as `Setting` records.

Flags, environment variables, the checks of a value and the words of an error all come from here,
so that a field of a struct is all there is to a setting.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, ValidationError, convert, inspect
from msgspec.structs import fields

from trainwave_exporter.config.settings import Settings
from trainwave_exporter.config.values import FilePath, Parsed
from trainwave_exporter.config.wording import expectation, spell
from trainwave_exporter.model import Metric

PREFIX = "TRAINWAVE"


class Setting(Struct, frozen=True, kw_only=True):
    """One setting: its place, its meaning, and how a value of it is read."""

    section: str
    key: str
    doc: str
    expected: str
    """What a value of it looks like, in words."""
    type: Any
    default: Any = None
    required: bool = False
    """It has no default and must be given."""
    choices: tuple[str, ...] = ()
    """The values that are allowed, where they are few."""
    one_or_more: bool = False
    """It is a list; one item may stand there for itself, and its flag may be given again."""
    own_flag: str | None = None
    """The flag, where others have named it before."""
    file_only: bool = False
    """It has neither flag nor variable."""
    unspoken: bool = False
    """Errors do not repeat what was given for it: that may be an API key, put there by mistake."""

    @property
    def path(self) -> str:
        """Its place in the file, such as ``web.listen_address``."""
        return f"{self.section}.{self.key}"

    @property
    def flag(self) -> str:
        """The flag, such as ``--web.listen-address``."""
        return self.own_flag or f"--{self.path.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable, such as ``TRAINWAVE_WEB_LISTEN_ADDRESS``."""
        parts = (PREFIX, self.section.upper(), self.key.upper())
        return "_".join(dict.fromkeys(parts))  # TRAINWAVE_API_URL, not TRAINWAVE_TRAINWAVE_API_URL

    @property
    def placeholder(self) -> str:
        """What stands for its value in a usage line: the choices, or the last word of its key."""
        return "|".join(self.choices) or self.key.rpartition("_")[2].upper()

    @property
    def switch(self) -> bool:
        """Whether its flag takes no value: it is either given or not."""
        return isinstance(self.default, bool)

    @property
    def default_text(self) -> str:
        """The default as a flag would spell it; empty where there is none."""
        if isinstance(self.default, tuple):
            return ",".join(self.default)
        if self.switch:
            return str(self.default).lower()
        return "" if self.default is None else str(self.default)

    def read(self, value: object) -> object:
        """Return the typed form of a value in the file; raise `ValueError` saying what is wrong."""
        alone = self.one_or_more and isinstance(value, str)
        return self._read([value] if alone else value, value, strict=True)

    def read_text(self, text: str) -> object:
        """Likewise for the text of a flag or variable, in which commas part a list."""
        many = isinstance(self.default, tuple)
        value = [item.strip() for item in text.split(",") if item.strip()] if many else text
        return self._read(value, text, strict=False)

    def _read(self, value: object, given: object, *, strict: bool) -> object:
        try:
            return self._typed(value, strict=strict)
        except ValidationError:
            what = "something (not shown: it may be a key)" if self.unspoken else spell(given)
            hint = "; leave the quotes out" if strict and self._fits_as_text(value) else ""
            raise ValueError(f"expected {self.expected}, got {what}{hint}") from None

    def _fits_as_text(self, value: object) -> bool:
        """Whether a text spells what is expected, such as a number in quotes."""
        try:
            return isinstance(value, str) and self._typed(value, strict=False) is not None
        except ValidationError:
            return False

    def _typed(self, value: object, *, strict: bool) -> object:
        typed = convert(value, self.type, strict=strict, dec_hook=_parse)
        if self.choices and typed not in self.choices:
            raise ValidationError
        return typed


def _parse(kind: type[Parsed], value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(kind.expected)  # noqa: TRY004 - msgspec takes both; a misfit is a misfit
    return kind.parse(value)


def declared(section: str, struct: type[Struct]) -> tuple[Setting, ...]:
    """Return the settings of one section, in order."""
    settings = []
    for field in fields(struct):
        match inspect.type_info(field.type):
            case inspect.Metadata(extra_json_schema={"description": doc}, type=info, extra=extra):
                marks = extra or {}
            case _:
                raise TypeError(f"{section}.{field.name} is not documented")
        members = tuple(info.cls) if isinstance(info, inspect.EnumType) else ()
        choices = marks.get("choices", members)
        one_or_more = "one_or_more" in marks
        if one_or_more and isinstance(info, inspect.VarTupleType):
            info = info.item_type  # one such is what an error asks for
        settings.append(
            Setting(
                section=section,
                key=field.name,
                doc=doc,
                expected=f"one of {', '.join(choices)}" if choices else expectation(info),
                type=field.type,
                default=None if field.required else field.default,
                required=field.required,
                choices=choices,
                one_or_more=one_or_more,
                own_flag=marks.get("flag"),
                file_only="file_only" in marks,
                unspoken="unspoken" in marks,
            )
        )
    return tuple(settings)


SECTIONS: dict[str, type[Struct]] = {
    field.name: field.type for field in fields(Settings) if isinstance(field.type, type)
}

LISTS: tuple[str, ...] = tuple(
    field.name for field in fields(Settings) if field.name not in SECTIONS
)
"""What stands in the file only, as a list of items that have a name each."""

SETTINGS: tuple[Setting, ...] = tuple(
    setting for name, struct in SECTIONS.items() for setting in declared(name, struct)
)

REMOVED: tuple[Setting, ...] = tuple(
    Setting(section="weights", key=metric.value, doc="", expected="", type=float)
    for metric in Metric
)
"""Settings of the version before: they are accepted, to no effect but a warning. The next version
refuses them."""

CONFIG_FILE = Setting(
    section="config",
    key="file",
    doc="YAML file of settings.",
    expected=FilePath.expected,
    type=FilePath,
)
"""Where the file itself is: the one setting that cannot stand in it."""
