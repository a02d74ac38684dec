"""FLAGS.json: the options of the runs that are on disk.

The file may come from anywhere, so every value is held against the bounds that its flag has.
"""

import glob
import json
import os
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

from config import OPTIONS, OPTIONS_FILE, RUN_OPTIONS, SET_BY_DATASET, Config
from datasets.registry import DATASETS
from options import UserError
from system.regular_file import read_text

PRESETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs", "presets")
# A preset says what is trained, not where it is filed or what a machine computes fast.
_NOT_IN_PRESETS = {"out_dir", "out_name", "checkpoint_dir", "sample_dir", "preset", "kernels"}
_NOT_IN_PRESETS.update(SET_BY_DATASET)
_INPUT_SIZES, _OUTPUT_SIZES = ("input_height", "input_width"), ("output_height", "output_width")


def read_preset(name: str, given: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """The options of a preset: a name in configs/presets, or the path of a FLAGS.json.

    Args:
        given: the options on the command line, which win: the preset's are left out, and so is
            what belongs to a data set or a size that these change.

    Raises:
        UserError: there is no such preset, or it holds a value that is out of bounds.
    """
    path = os.path.join(PRESETS, f"{name}.json")
    if not os.path.isfile(path):
        path = os.path.join(name, OPTIONS_FILE) if os.path.isdir(name) else name
    if not os.path.isfile(path):
        names = sorted(os.path.splitext(each)[0] for each in os.listdir(PRESETS))
        raise UserError(f"--config: {name!r:.80} is neither a file nor one of {', '.join(names)}")
    jobs = {each for each, option in OPTIONS.items() if option.section == "What to do"}
    found = read_options(path)
    given = given or {}
    replaced = {each for each, option in OPTIONS.items() if option.declared.replaces in given}
    left_out = {
        *jobs,
        *replaced,
        *_NOT_IN_PRESETS,
        *found.get("fitted", ()),
        *given,
        *_unfit(found, given),
    }
    return {each: value for each, value in found.items() if each not in left_out}


def _unfit(found: Dict[str, Any], given: Mapping[str, Any]) -> Set[str]:
    """The options of a preset that do not fit those on the command line."""
    unfit: Set[str] = set()
    if not found.get("crop"):  # then they are the output's, filled in when the set was opened
        unfit.update(_INPUT_SIZES)
    for sizes in (_INPUT_SIZES, _OUTPUT_SIZES):  # one side alone means a square
        if not set(sizes).isdisjoint(given):
            unfit.update(sizes)
    if "dataset" in given and given["dataset"] != found.get("dataset"):
        unfit.update(("data_path", "channels"))
        if _has_own_size(given["dataset"]) or _has_own_size(found.get("dataset")):
            unfit.update(_INPUT_SIZES + _OUTPUT_SIZES)
    elif (
        "data_path" in given and found.get("data_path") and not _has_own_size(found.get("dataset"))
    ):
        unfit.update(("dataset", "channels"))
    return unfit


def _has_own_size(dataset: Optional[str]) -> bool:
    return dataset in DATASETS and DATASETS[dataset].size is not None


def read_options(path: str) -> Dict[str, Any]:
    """The options saved in a FLAGS.json, as a dict of the fields that `Config` knows.

    Raises:
        UserError: the file is missing, is not a JSON object, or holds a value that is out of bounds.
    """
    try:
        saved = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as a run's options: {error}")
    return checked_options(saved, path)


def checked_options(saved: Any, path: str) -> Dict[str, Any]:
    """Of the options found as JSON in the file `path` those that `Config` knows, as a dict.

    What a run of an older version does not say is what it had.

    Raises:
        UserError: not a JSON object, or it holds a value that is out of bounds.
    """
    if not isinstance(saved, dict):
        raise UserError(f"{path}: not a JSON object of options")
    options = {}
    for name in set(OPTIONS).intersection(saved):
        try:
            options[name] = OPTIONS[name].from_json(saved[name])
        except ValueError as error:
            raise UserError(f"{path}: {name} {error}")
    if set(SET_BY_DATASET).intersection(saved):  # a run's own, not a preset's
        for name in set(RUN_OPTIONS).difference(SET_BY_DATASET):
            older = OPTIONS[name].declared.in_older_runs
            options.setdefault(name, OPTIONS[name].default if older is None else older)
    return options


def saved_runs(config: Config, *, warn: bool = True) -> List[Tuple[str, Dict[str, Any]]]:
    """The runs of `config.dataset` under `config.out_dir`, newest first: [(name, saved options)].

    A FLAGS.json that cannot be read is skipped with a warning (or, without `warn`, silently): it
    may be another data set's.
    """
    import utils  # not above: main.py reads presets before it knows that all libraries are there

    runs = []
    for path in glob.glob(os.path.join(glob.escape(config.out_dir), "*", OPTIONS_FILE)):
        try:
            saved = read_options(path)
            if saved.get("dataset") == config.dataset:
                name = os.path.basename(os.path.dirname(path))
                runs.append((os.path.getmtime(path), name, saved))
        except (OSError, UserError) as error:
            if warn:
                utils.warn(f"{error}: skipped")
    newest_first = sorted(runs, key=lambda run: run[0], reverse=True)
    return [(name, saved) for _, name, saved in newest_first]
