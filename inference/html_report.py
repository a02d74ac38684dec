"""A run's `index.html`: one file that opens from disk and loads nothing from a network."""

import base64
import json
import os
import stat
from typing import Any, Dict, List, Optional, Tuple

import jinja2

import utils
from config import RUN_OPTIONS, Config
from inference import results
from inference.comparison_plot import PLOT_FILE
from inference.trained_run import find_options
from options import UserError
from training import curves, samples, throughput

TEMPLATE = "html_report.html"
PAGE_FILE = "index.html"
# All sample grids together, before base64 adds a third. If there is more, every second, third, ...
# one is shown.
GRID_BYTES = 12 << 20


def write_page(config: Config) -> str:
    """Writes the page of the run that `config` asks for; see `write_page_of`.

    Raises:
        UserError: there is no such run, or its folder cannot be written.
    """
    return write_page_of(find_options(config))


def write_page_of(config: Config) -> str:
    """Writes the page of a run from the files in its folder.

    Args:
        config: the run's, such as `find_options` returns it.

    Returns:
        The path of the page.

    Raises:
        UserError: the run's folder cannot be written.
    """
    path = os.path.join(config.run_dir, PAGE_FILE)
    try:
        utils.write_text(path, _render(config))
    except OSError as error:
        raise UserError(f"--out_dir: {error}")
    utils.say(f"report: {path}")
    return path


def _render(config: Config) -> str:
    folder = config.run_dir
    grids, left_out = _grids(config)
    found = results.read(folder)
    names = [name for curve in curves.CURVES for name in curve.names]
    points = curves.read(folder, ["seconds", *names])
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(TEMPLATE).render(
        title=os.path.basename(folder),
        facts=_facts(config, points),
        curves=_curves(folder, points),
        grids=grids,
        left_out=left_out,
        results=results.table(found) if found else None,
        result_curve=_optional_plot(folder, results.CURVE_FILE),
        comparison=_optional_plot(folder, PLOT_FILE),
        options=[
            (name, json.dumps(value))
            for name, value in config.as_dict().items()
            if name in RUN_OPTIONS and value not in (None, "", ())
        ],
    )


def _facts(config: Config, points: Dict[str, curves.Points]) -> List[Tuple[str, Any]]:
    """[(name, value)]: what was trained, how far and how fast."""
    steps, seconds = points["seconds"]
    facts: List[Tuple[str, Any]] = [
        ("Data set", config.dataset),
        ("Images", f"{config.output_height}x{config.output_width}x{config.channels}"),
        ("Classes", config.num_classes),
    ]
    if not steps:
        return facts + [("Steps", 0)]
    facts += [("Steps", steps[-1]), ("Time", f"{seconds[-1]:.0f} s")]
    for name in curves.LOSSES.names:
        _, values = points[name]
        if values:
            facts.append(("Last " + name, f"{values[-1]:.4f}"))
    speed = throughput.of_run(config.run_dir)
    shown = throughput.text(speed.images_per_second) if speed else "not measured"
    return facts + [("Images/s (FPS)", shown)]


def _curves(folder: str, points: Dict[str, curves.Points]) -> List[Tuple[str, Optional[str]]]:
    """[(title, data URI)] of the curves that the run has points for; each is also a PNG."""
    drawn = [curve for curve in curves.CURVES if any(points[name][0] for name in curve.names)]
    return [(each.title, _data_uri(curves.plot(folder, each, points), folder)) for each in drawn]


def _optional_plot(folder: str, name: str) -> Optional[str]:
    """The plot of --evaluate or --compare as a data URI; None if there is none."""
    path = os.path.join(folder, name)
    return _data_uri(path, folder) if os.path.lexists(path) else None


def _grids(config: Config) -> Tuple[List[Dict[str, Any]], int]:
    """([{step, uri}] of the sample grids in their order, how many were left out)."""
    paths = samples.grid_paths(config.sample_path)
    stride = max(1, -(-sum(map(os.path.getsize, paths)) // GRID_BYTES))
    shown = paths[::stride]
    if paths and shown[-1] != paths[-1]:
        shown.append(paths[-1])
    # A folder outside the run is read only if the user names it: a FLAGS.json may be anybody's.
    root = config.sample_path if "sample_dir" in config.given else config.run_dir
    grids = [{"step": samples.step_of(path), "uri": _data_uri(path, root)} for path in shown]
    grids = [grid for grid in grids if grid["uri"]]
    return grids, len(paths) - len(grids)


def _data_uri(path: str, root: str) -> Optional[str]:
    """A PNG as a data URI; None, with a warning, for anything but a regular file below `root`."""
    inside = os.path.join(os.path.realpath(root), "")
    try:
        if not os.path.realpath(path).startswith(inside):
            raise OSError(f"it is outside {root}")
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError("it is not a regular file")
            return "data:image/png;base64," + base64.b64encode(file.read()).decode("ascii")
    except OSError as error:
        utils.warn(f"{path}: not shown in {PAGE_FILE}: {error}")
        return None
