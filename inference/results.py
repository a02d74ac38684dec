"""metrics.json: all that `--evaluate` measured of a run, as a file, a plot and a table.

An object with the lists `checkpoints`, `real` and `features`, whose entries are objects of figures.
What an entry was measured on is in it too: `step`, `samples`, `seed`, `network` (whose features
`frechet` and `kid` compare), `batch_norm` and `split`, as far as they matter. An entry
replaces the one that agrees in these.
"""

import json
import os
from typing import Any, Dict, List, Tuple

import utils
from config import RESULTS_FILE, Config
from inference.metrics import METRICS
from options import UserError
from system.regular_file import read_text

CURVE_FILE = "metrics.png"
LISTS = ("checkpoints", "real", "features")
KEYS = ("step", "samples", "seed", "network", "batch_norm", "split")
# What entries that do not say it were measured with.
BEFORE = {"batch_norm": "moving", "split": "test"}

Entry = Dict[str, Any]  # figures by name, and what they were measured on


def add(folder: str, found: Dict[str, Any]) -> None:
    """Adds what was measured to a run's metrics.json; plots its checkpoints in metrics.png.

    Args:
        folder: the run's.
        found: some of `LISTS`, and `notes`, a list of lines.

    Raises:
        UserError: the folder cannot be written.
    """
    path = os.path.join(folder, RESULTS_FILE)
    try:
        merged = read(folder)
    except UserError as error:
        utils.warn(f"{error}; kept as {_kept(path)}, a new one is begun")
        merged = {}
    for name in LISTS:
        entries = {_key(entry): entry for entry in [*merged.get(name, []), *found.get(name, [])]}
        merged[name] = [entries[key] for key in sorted(entries)]
    merged["notes"] = found.get("notes") or merged.get("notes", [])
    try:
        utils.write_text(path, json.dumps(merged, indent=1, sort_keys=True) + "\n")
        if found.get("checkpoints"):
            _plot(os.path.join(folder, CURVE_FILE), merged["checkpoints"], found["checkpoints"][-1])
    except OSError as error:
        raise UserError(f"--out_dir: {error}")


def update_page(config: Config) -> None:
    """Writes a run's report page with its new figures; a failure is a warning.

    Args:
        config: the run's.
    """
    try:
        from inference import html_report  # needs jinja2, which nothing else does

        html_report.write_page_of(config)
    except (UserError, ImportError) as error:
        utils.warn(f"index.html not written: {error}")


def _kept(path: str) -> str:
    try:
        return utils.set_aside(path, ".damaged")
    except OSError as error:
        raise UserError(f"--out_dir: {error}")


def read(folder: str) -> Dict[str, Any]:
    """What earlier evaluations of a run measured; empty if there were none.

    Raises:
        UserError: the file cannot be read as that.
    """
    path = os.path.join(folder, RESULTS_FILE)
    if not os.path.lexists(path):
        return {}
    try:
        found = dict(json.loads(read_text(path)))
        _upgrade(found)
        for name in LISTS:
            found[name] = [_sound(dict(entry)) for entry in found.get(name, [])]
        found["notes"] = [str(note) for note in found.get("notes", [])]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as --evaluate's results: {error}")
    return found


def _sound(entry: Entry) -> Entry:
    """An entry without the values that are neither a number nor a text; the file may be anyone's."""
    return {
        str(name): value
        for name, value in entry.items()
        if isinstance(value, str) or utils.is_number(value)
    }


def _upgrade(found: Dict[str, Any]) -> None:
    """Rewrites the form of earlier versions: one `samples` for all, one `real`, one `features`."""
    samples = {"samples": found.pop("samples")} if "samples" in found else {}
    for name in ("real", "features"):
        if isinstance(found.get(name), dict):
            found[name] = [found[name]] if found[name] else []
    for name in ("real", "checkpoints"):
        found[name] = [dict(samples, **entry) for entry in found.get(name, [])]


def _key(entry: Entry) -> Tuple[str, ...]:
    """What an entry was measured on, in an order for people: by number of samples, then by step."""
    numbers = [entry.get(name) for name in ("samples", "step", "seed")]
    sortable = [f"{number:020d}" if isinstance(number, int) else "" for number in numbers]
    return (*sortable, *[str(entry.get(name, BEFORE.get(name, ""))) for name in KEYS[3:]])


def _plot(path: str, entries: List[Entry], last: Entry) -> None:
    """Plots the figures of the checkpoints that were measured the way `last` was."""
    alike = [
        entry
        for entry in entries
        if utils.is_number(entry.get("step"))
        and _key(dict(entry, step=0)) == _key(dict(last, step=0))
    ]
    curves = {}
    for name, metric in METRICS.items():
        values = [entry[name] for entry in alike if utils.is_number(entry.get(name))]
        if not values or len(values) < len(alike):
            continue
        steps = [entry["step"] for entry in alike]
        if metric.smaller_is_better:
            curves[metric.title] = steps, values
        elif metric.unit == "%" and metric.smaller_is_better is False:
            curves[f"100 - {metric.title}"] = steps, [100 - value for value in values]
    if curves:
        title = os.path.basename(os.path.dirname(path))
        utils.plot_curves(path, curves, xlabel="step", ylabel="smaller is better", title=title)


def table(found: Dict[str, Any]) -> Dict[str, Any]:
    """The results for a page: {columns, rows: [(label, values)], notes}, all of them texts.

    Args:
        found: what `read` returned.
    """
    entries = [("real data", entry) for entry in found["real"]]
    entries += [(f"step {entry.get('step')}", entry) for entry in found["checkpoints"]]
    columns = sorted(
        {
            name
            for _, entry in entries
            for name, value in entry.items()
            if name not in KEYS and utils.is_number(value)
        }
    )
    networks = {entry["network"] for _, entry in entries if "network" in entry}
    rows = []
    for label, entry in entries:
        if "samples" in entry:
            label += f", {entry['samples']} samples"
        label += "".join(
            f", {entry[name]}" for name in BEFORE if entry.get(name, BEFORE[name]) != BEFORE[name]
        )
        if len(networks) > 1 and "network" in entry:
            label += f", {entry['network']}"
        values = [entry.get(name) for name in columns]
        rows.append((label, [f"{v:.4g}" if utils.is_number(v) else "" for v in values]))
    notes = found["notes"] + [
        f"a linear SVM on the discriminator's features is right on {entry['accuracy']:.2f} % of "
        f"the {entry.get('split', 'test')} images (step {entry.get('step')})"
        for entry in found["features"]
        if utils.is_number(entry.get("accuracy"))
    ]
    return {"columns": [_heading(name) for name in columns], "rows": rows, "notes": notes}


def _heading(name: str) -> str:
    metric = METRICS.get(name)
    unit = f" ({metric.unit})" if metric and metric.unit else ""
    arrows = {True: " ↓", False: " ↑", None: ""}
    return name.replace("_", " ") + unit + arrows[metric.smaller_is_better if metric else None]
