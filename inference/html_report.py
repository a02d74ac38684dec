"""A run's `index.html`: one file that opens from disk and asks no network for anything."""

import base64
import glob
import json
import os
import re

import jinja2

import utils
from config import METRICS_FILE, RESULTS_FILE, RUN_OPTIONS
from inference.trained_run import find_options
from options import UserError
from training import throughput

TEMPLATE = "html_report.html"
PAGE_FILE = "index.html"
CURVES = (
    ("loss.png", "Losses", "loss", ["d_loss", "g_loss"]),
    ("d_accuracy.png", "The discriminator's right answers", "share", ["d_accuracy"]),
    ("sample_spread.png", "Spread of the sample grid", "pixel units", ["sample_spread"]),
)
# Of all sample grids together, before base64 makes a third more of them. Beyond that every second,
# third, ... one is shown.
GRID_BYTES = 12 << 20


def write_page(config):
    """Writes the page of the run that `config` asks for from what stands in its folder.

    Returns:
        The path of the page.

    Raises:
        UserError: there is no such run, or its folder cannot be written.
    """
    config = find_options(config)
    folder = config.run_dir
    path = os.path.join(folder, PAGE_FILE)
    try:
        utils.write_text(path, _render(config, folder))
    except OSError as error:
        raise UserError(f"--out_dir: {error}")
    print(f"report: {path}")
    return path


def _render(config, folder):
    grids, left_out = _grids(config.sample_path)
    results = _results(os.path.join(folder, RESULTS_FILE))
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(TEMPLATE).render(
        title=os.path.basename(folder),
        facts=_facts(config, folder),
        curves=_curves(folder),
        grids=grids,
        left_out=left_out,
        results=results,
        result_curve=_data_uri(os.path.join(folder, "metrics.png")) if results else None,
        options=[
            (name, json.dumps(value))
            for name, value in config.as_dict().items()
            if name in RUN_OPTIONS and value not in (None, "", ())
        ],
    )


def _facts(config, folder):
    """[(name, value)]: where the run stands and how fast it went."""
    lines = _metrics(folder, ["seconds", "epoch", "d_loss", "g_loss"])
    steps, seconds = lines["seconds"]
    facts = [
        ("Data set", config.dataset),
        ("Pictures", f"{config.output_height}x{config.output_width}x{config.channels}"),
        ("Classes", config.num_classes),
    ]
    if not steps:
        return facts + [("Steps", 0)]
    facts += [("Steps", steps[-1]), ("Time", f"{seconds[-1]:.0f} s")]
    facts += [
        ("Last " + name, f"{lines[name][1][-1]:.4f}")
        for name in ("d_loss", "g_loss")
        if lines[name][1]
    ]
    speed = throughput.of_run(folder)
    shown = throughput.text(speed.images_per_second) if speed else "not measured"
    return facts + [("Images/s (FPS)", shown)]


def _metrics(folder, names):
    path = os.path.join(folder, METRICS_FILE)
    return (
        utils.read_curves(path, names) if os.path.exists(path) else dict.fromkeys(names, ((), ()))
    )


def _curves(folder):
    """[(title, data URI)] of the curves that the run has points for; each is also filed as a PNG."""
    drawn = []
    for file_name, title, unit, names in CURVES:
        curves = _metrics(folder, names)
        if any(steps for steps, _ in curves.values()):
            path = os.path.join(folder, file_name)
            utils.plot_curves(path, curves, xlabel="step", ylabel=unit)
            drawn.append((title, _data_uri(path)))
    return drawn


def _grids(folder):
    """([{step, uri}] of the sample grids in their order, how many were left out)."""
    paths = sorted(
        path
        for path in glob.glob(os.path.join(glob.escape(folder), "train_*.png"))
        if re.search(r"_\d+\.png$", path)
    )
    stride = max(1, -(-sum(map(os.path.getsize, paths)) // GRID_BYTES))
    shown = sorted(set(paths[::stride] + paths[-1:]))
    return (
        [
            {"step": int(re.search(r"_(\d+)\.png$", path).group(1)), "uri": _data_uri(path)}
            for path in shown
        ],
        len(paths) - len(shown),
    )


def _results(path):
    """What `--evaluate` found: {columns, rows, notes}, or None."""
    if not os.path.exists(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        found = [("real data", results.get("real", {}))] + [
            ("step {}".format(entry["step"]), entry) for entry in results.get("checkpoints", [])
        ]
        columns = sorted(
            {
                name
                for _, entry in found
                for name, value in entry.items()
                if name != "step" and utils.is_number(value)
            }
        )
        rows = [
            (label, [f"{entry[name]:.4g}" if name in entry else "" for name in columns])
            for label, entry in found
        ]
        notes = [str(note) for note in results.get("notes", [])]
        if "features" in results:
            notes.append(
                "a linear SVM on the discriminator's features is right on {accuracy:.2f} % of "
                "the test pictures (step {step})".format(**results["features"])
            )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as --evaluate's results: {error}")
    return {"columns": columns, "rows": rows, "notes": notes}


def _data_uri(path):
    with open(path, "rb") as file:
        return "data:image/png;base64," + base64.b64encode(file.read()).decode("ascii")
