"""What an option is: its default, its bounds, and how it is read from a command line or from JSON.

`config.py` declares each option once with `option(...)`. The flags of `main.py`, their checks, the
sections of `--help`, the reader of FLAGS.json, what may change when a run is resumed and what has no
effect off the NPU all follow from that declaration.
"""

import dataclasses
import math
import re
import typing
from typing import Any, Dict, Optional, Tuple

LONGEST_TEXT = 4096  # characters
MOST_TEXTS = 1 << 14  # of an option that is a list
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}$")


class UserError(Exception):
    """A user error. The message is one line naming the flag, file or variable; exit code 2."""


class DeviceError(Exception):
    """The device refused or failed a computation. The message is one line; exit code 1."""


class RankLost(Exception):
    """Another process of this job died, so training cannot continue: one line; exit code 1."""


@dataclasses.dataclass(frozen=True)
class Option:
    """The declaration of one option, without its name and type.

    Attributes:
        help: one or more sentences for `--help`.
        low, high: bounds of a number, both inclusive; of a text `high` is the greatest length.
        choices: the texts it may be; empty for any.
        flag: its name on the command line where that differs from the field's; "" for no flag.
        other_names: flags of other versions of these scripts that mean the same; they are refused
            with this one's name.
        path: whether it is a path, which is made absolute.
        words: values of a path that are words, not paths.
        also_in: the project's folder in which a relative path is looked for too.
        job: what it asks for, as "module.function".
        common: whether the short `--help` shows it.
        may_change: whether a run may be resumed with another value.
        same_on_all_ranks: whether all ranks must agree on it although it may change.
        npu_only: whether only an NPU pays attention to it.
        npu_key: the key of the NPU's session that it sets, where that is not its own name.
        npu_accessor: b (bool), i (int) or s (str) where the session gets its value as it is; not
            every release of the adapter knows such a key.
        in_scripts: what stands for its value in the help of the launch scripts, which pass it on;
            "" where they do not take it.
        switch: the option without which it has no effect.
        replaces: the option that has no effect beside this one; a command line takes one of both.
        in_older_runs: its value in the runs of versions without it, where that is not the default.
        section: the heading of `--help` that begins with this option.
    """

    help: str = ""
    low: Optional[float] = None
    high: Optional[float] = None
    choices: Tuple[str, ...] = ()
    flag: Optional[str] = None
    other_names: Tuple[str, ...] = ()
    path: bool = False
    words: Tuple[str, ...] = ()
    also_in: str = ""
    job: str = ""
    common: bool = False
    may_change: bool = False
    same_on_all_ranks: bool = False
    npu_only: bool = False
    npu_key: str = ""
    npu_accessor: str = ""
    in_scripts: str = ""
    switch: str = ""
    replaces: str = ""
    in_older_runs: Any = None
    section: str = ""


def option(default: Any, help: str = "", **properties: Any) -> Any:
    """A dataclass field that is an option; see `Option` for the properties."""
    return dataclasses.field(default=default, metadata={"option": Option(help, **properties)})


def from_dataset(default: Any, **properties: Any) -> Any:
    """A field without a flag: the data set sets it when it is opened."""
    return option(default, flag="", **properties)


@dataclasses.dataclass(frozen=True)
class NamedOption:
    """An option as a class declares it: name, type, default and section beside the declaration."""

    name: str
    kind: type
    optional: bool
    default: Any
    section: str
    declared: Option

    @property
    def flag(self) -> str:
        """Its name on the command line; "" where it has none."""
        return self.name if self.declared.flag is None else self.declared.flag

    def parse(self, text: str) -> Any:
        """The value that a text on the command line stands for; one item of a repeatable flag.

        Raises:
            ValueError: it stands for none; the message completes a sentence such as "--epoch ...".
        """
        if self.kind is int:
            if self.optional and text in ("inf", "np.inf"):
                return None
            if not _WHOLE.match(text):
                raise ValueError(f"must be a whole number, not {text!r:.80}")
            return self._checked(int(text))
        if self.kind is float:
            try:
                return self._checked(float(text))
            except OverflowError:
                raise ValueError(f"must be a number, not {text!r:.80}")
        return self._checked(text)

    def from_json(self, value: Any) -> Any:
        """The value that a JSON value stands for.

        Raises:
            ValueError: it stands for none.
        """
        if value is None and self.optional:
            return None
        if self.kind is tuple:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ValueError("must be a list of texts")
            if len(value) > MOST_TEXTS or any(len(item) > LONGEST_TEXT for item in value):
                raise ValueError("holds too many texts, or too long ones")
            return tuple(self._checked(item) if self.flag else item for item in value)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if self.kind is float and whole:
            value = float(value) if abs(value) < 1 << 1000 else math.inf
        if type(value) is not self.kind:
            raise ValueError(f"cannot be {value!r:.80}")
        return self._checked(value)

    def _checked(self, value: Any) -> Any:
        declared = self.declared
        if declared.choices and value not in declared.choices:
            raise ValueError(f"must be one of {', '.join(declared.choices)}, not {value!r:.80}")
        if self.kind in (int, float) and not self._in_bounds(value):
            raise ValueError(f"must be {self.bounds()}, not {value!r:.80}")
        if self.kind in (str, tuple):
            if not value and self.default != "":
                raise ValueError("must not be empty")
            if "\0" in value or len(value) > (declared.high or LONGEST_TEXT):
                raise ValueError("is too long, or holds a zero byte")
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise ValueError(f"must be UTF-8, not {value!a:.80}")
        return value

    def _in_bounds(self, value: float) -> bool:
        low, high = self.declared.low, self.declared.high
        return (
            (isinstance(value, int) or math.isfinite(value))  # isfinite takes no int of 400 digits
            and (low is None or value >= low)
            and (high is None or value <= high)
        )

    def bounds(self) -> str:
        """What a number may be, in words."""
        low, high = self.declared.low, self.declared.high
        noun = "a whole number" if self.kind is int else "a number"
        if low is not None and high is not None:
            return f"{noun} from {low:,} to {high:,}"
        return noun if low is None else f"{noun} of at least {low:,}"


def options_of(cls: type) -> Dict[str, NamedOption]:
    """The options of a dataclass by field name, in the order of its fields, those of bases last."""
    hints = typing.get_type_hints(cls)
    found: Dict[str, NamedOption] = {}
    section = ""
    own = cls.__dict__["__annotations__"]
    for field in sorted(dataclasses.fields(cls), key=lambda field: field.name not in own):
        if "option" in field.metadata:
            declared = field.metadata["option"]
            section = declared.section or section
            kind, optional = _kind(hints[field.name])
            found[field.name] = NamedOption(
                field.name, kind, optional, field.default, section, declared
            )
    return found


def _kind(hint: Any) -> Tuple[type, bool]:
    """(type, whether it may be None): Optional[int] is (int, True), Tuple[str, ...] (tuple, False)."""
    arguments = getattr(hint, "__args__", None) or ()
    if type(None) in arguments:
        return arguments[0], True
    return (tuple, False) if Ellipsis in arguments else (hint, False)
