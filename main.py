"""Trains a DCGAN, or draws from, measures or exports a trained one.

    python main.py --dataset mnist --train      trains, or resumes a run (--out_name, --resume)
    python main.py --dataset mnist              draws from the newest run of that data set
    python main.py --help                       the common flags; --help=all for every flag

A user error ends with one line and exit code 2.
"""

import importlib
import os
import platform
import re
import sys
from typing import Any, Dict, List

from config import OPTIONS, VERSION, Config
from config_checks import check_config
from flags_file import read_preset
from options import DeviceError, NamedOption, RankLost, UserError
from system.blas import use_fast_core
from system.import_notes import without_notes
from system.interpreter import continue_in_own_environment
from system.terminal import escaped, keep_streams

try:
    from absl import flags
except ImportError as missing:
    continue_in_own_environment(str(missing))


# absl would read any file as flags, or hide misspelled ones.
_FLAGS_OF_ABSL = re.compile(r"--?(flagfile|undefok)(=|$)")


class _Parser(flags.ArgumentParser):
    """Reads a flag's text as its option says."""

    def __init__(self, option: NamedOption) -> None:
        super().__init__()
        self._option = option
        if option.declared.choices:
            self.syntactic_help = f"<{'|'.join(option.declared.choices)}>"

    def parse(self, argument: Any) -> Any:
        """The value; absl hands the default through here too."""
        return self._option.parse(argument) if isinstance(argument, str) else argument


def define_flags(values: flags.FlagValues) -> None:
    """Defines a flag for every option, with the option's default."""
    for option in OPTIONS.values():
        if not option.flag:
            continue
        if option.kind is bool:
            flags.DEFINE_boolean(option.flag, option.default, option.declared.help, values)
        elif option.kind is tuple:
            flags.DEFINE_multi(
                _Parser(option), flags.ArgumentSerializer(), option.flag, option.default,
                option.declared.help, values,
            )  # fmt: skip
        else:
            flags.DEFINE(
                _Parser(option), option.flag, option.default, option.declared.help, values,
                flags.ArgumentSerializer(),
            )  # fmt: skip


def help_text(*, every: bool) -> str:
    """What `--help` prints: the common flags, or with `every` all of them, by section."""
    lines: List[str] = [__doc__ or ""]
    section = ""
    for option in OPTIONS.values():
        if not option.flag or not (every or option.declared.common):
            continue
        if option.section != section:
            section = option.section
            lines.append(f"{section}:")
        lines.append(_help_of(option))
    if not every:
        lines.append("\n--help=all shows every flag.")
    return "\n".join(lines)


def _help_of(option: NamedOption) -> str:
    name = f"--[no]{option.flag}" if option.kind is bool else f"--{option.flag}"
    notes = [] if option.default in (None, "", False, ()) else [f"default {option.default}"]
    if option.declared.choices:
        notes.insert(0, " | ".join(option.declared.choices))
    elif option.kind in (int, float) and option.declared.low is not None:
        notes.insert(0, option.bounds())
    text = option.declared.help + (f" ({'; '.join(notes)})" if notes else "")
    return flags.text_wrap(f"{name}  {text}", length=100, indent="        ", firstline_indent="  ")


def config_from_flags(values: flags.FlagValues) -> Config:
    """The `Config` that the parsed flags say, paths made absolute."""
    fields: Dict[str, Any] = {}
    for name, option in OPTIONS.items():
        if option.flag:
            value = values[option.flag].value
            if option.declared.path and value is not None and value not in option.declared.words:
                value = _absolute(option, value)
            fields[name] = tuple(value) if option.kind is tuple else value
    given = {
        name for name, option in OPTIONS.items() if option.flag and values[option.flag].present
    }
    for name in given:
        if OPTIONS[name].declared.replaces in given:
            raise UserError(f"--{name}: not together with --{OPTIONS[name].declared.replaces}")
    if fields["preset"] is not None:
        preset = read_preset(fields["preset"], {name: fields[name] for name in given})
        fields.update(preset)
        # A run's FLAGS.json names all options: an NPU's that has its default was not asked for.
        given.update(
            name
            for name, value in preset.items()
            if not OPTIONS[name].declared.npu_only or value != OPTIONS[name].default
        )
    if fields["data_path"] and "dataset" not in given:
        fields["dataset"] = os.path.basename(fields["data_path"]) or fields["dataset"]
    return Config(**fields, given=frozenset(given))


def _absolute(option: NamedOption, path: str) -> str:
    flag, also_in = option.flag, option.declared.also_in
    if also_in and not os.path.exists(path):
        project = os.path.dirname(os.path.abspath(__file__))
        other = os.path.normpath(os.path.join(project, also_in, path))
        path = other if os.path.isfile(other) else path
    try:
        absolute = os.path.abspath(os.path.expanduser(path))
        absolute.encode("utf-8")
    except FileNotFoundError:
        raise UserError(f"--{flag}: {path} is below the current folder, which was deleted")
    except UnicodeEncodeError:
        raise UserError(f"--{flag}: {os.path.abspath(path)!a} is not UTF-8")
    return absolute


def parse(argv: List[str]) -> Config:
    """A checked `Config` from a command line; prints the help and exits if it is asked for.

    Raises:
        UserError: an unknown flag, a bad value, flags that do not go together.
    """
    values = flags.FlagValues()
    define_flags(values)
    for argument in argv[1:]:
        if argument in ("-h", "--help", "-help", "--help=all", "--helpfull"):
            print(help_text(every=argument in ("--help=all", "--helpfull")))
            raise SystemExit(0)
        if argument == "--version":
            print(f"DCGAN for TensorFlow, version {VERSION} (Python {platform.python_version()})")
            raise SystemExit(0)
        if _FLAGS_OF_ABSL.match(argument):
            raise UserError(
                f"{argument!r:.80}: not a flag here; --config reads options from a file"
            )
    try:
        rest = values(_with_bare_evaluate(argv))[1:]
    except flags.UnrecognizedFlagError as error:
        raise UserError(_answer_to(error))
    except (flags.Error, ValueError) as error:  # ValueError: --notrain=yes
        raise UserError(_one_line(error))
    if rest:
        raise UserError(
            f"{rest[0]!r:.80}: not a flag; flags start with --, as --data_path=FOLDER does"
        )
    config = config_from_flags(values)
    check_config(config)
    return config


def _answer_to(error: flags.UnrecognizedFlagError) -> str:
    """One line on an unknown flag: what another version's flag is called here, or the nearest one."""
    for option in OPTIONS.values():
        if error.flagname in option.declared.other_names:
            return f"--{error.flagname}: here it is --{option.flag}: {option.declared.help}"
    return _one_line(error)


def _one_line(error: Exception) -> str:
    """absl's message, which repeats the value as it is, in one line of a length that can be read."""
    return _shortened(" ".join(str(error).split()), 350)


def _shortened(line: str, length: int) -> str:
    """The line, or its beginning and end: a message may repeat a value of thousands of characters."""
    return line if len(line) <= length else f"{line[: length // 2]} ... {line[-length // 2 :]}"


def _complain(error: Exception) -> None:
    """Prints the one line of an error."""
    print(f"main.py: {_shortened(escaped(str(error)), 900)}", file=sys.stderr)


def _with_bare_evaluate(argv: List[str]) -> List[str]:
    """The command line with `--evaluate` by itself, which means the last checkpoint, spelled out."""
    following = [*argv[1:], "-"]
    return [
        f"{argument}=last" if argument == "--evaluate" and after.startswith("-") else argument
        for argument, after in zip(argv, following)
    ]


def main(argv: List[str]) -> int:
    """Turns the command line into a frozen `Config`, does its job, returns the exit code."""
    try:
        return run(parse(argv))
    except UserError as error:
        _complain(error)
        return 2
    except (RankLost, DeviceError) as error:
        _complain(error)
        return 1
    except KeyboardInterrupt:
        return 130


def run(config: Config) -> int:
    """Does the jobs that a config asks for; returns the exit code."""
    if config.evaluate is not None:
        use_fast_core()
    _import_tensorflow()
    from devices.adapter import errors_in_one_line

    with errors_in_one_line():
        return _train(config) if config.train else _do_jobs(config)


def _do_jobs(config: Config) -> int:
    """Does each job once, or draws a grid if none is asked for; returns the exit code.

    A job is the function that an option's `job` in config.py names. One that returns False makes the
    exit code 1.
    """
    jobs = [OPTIONS[name].declared.job for name in config.jobs] or ["inference.sample.draw"]
    code = 0
    for job in sorted(set(jobs), key=jobs.index):
        module, function = job.rsplit(".", 1)
        if getattr(importlib.import_module(module), function)(config) is False:
            code = 1
    return code


def _train(config: Config) -> int:
    """Trains a run and writes its page.

    Returns:
        The exit code: 0, or on rank 0 of a training that a signal stopped 128 plus its number. A
        launcher may end all ranks once one exits with another code than 0. Rank 0 is the last.
    """
    from datasets.registry import open_dataset
    from devices.device import open_device
    from devices.ranks import guarded
    from training import loop
    from training.fits import check_fits
    from training.run_folder import open_run_folder, with_saved_decoding

    device = open_device(config)
    ranks = device.open_ranks()
    config, dataset = open_dataset(with_saved_decoding(config))
    if device.kind == "cpu":
        check_fits(config)
    with guarded(ranks), open_run_folder(config, dataset, ranks, device=device) as (config, lock):
        signal_number = loop.train(config, dataset, device, ranks=ranks, lock=lock)
        if ranks.rank == 0:
            _report(config)
    return 0 if signal_number is None or ranks.rank else 128 + signal_number


def _report(config: Config) -> None:
    """Writes the page of a run that has just been trained; a failure is a warning."""
    try:
        from inference import html_report

        html_report.write_page(config)
    except (UserError, ImportError, OSError) as error:
        print(f"index.html not written: {escaped(str(error))}", file=sys.stderr)


def _import_tensorflow() -> None:
    """Imports TensorFlow as 1.15, or says in one line how to get it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its notes on the CPU are not for users
    try:
        if "tensorflow" not in sys.modules:  # a process that has it may have threads: no fork
            with without_notes():
                importlib.import_module("tensorflow")
        import tensorflow.compat.v1 as tf
    except ImportError as error:
        continue_in_own_environment(f"cannot import TensorFlow ({error})")
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()


if __name__ == "__main__":
    keep_streams()
    sys.exit(main(sys.argv))
