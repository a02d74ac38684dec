"""One run's options: the frozen `Config`, its checks, its folder, its JSON.

`main.py` fills a `Config` from flags and hands it down; nothing below reads a flag. The order of
the fields is the order of the sections in `python main.py --help`. `None` in a size means "as the
data set says": `datasets.registry.open_dataset` returns the config with every size filled in.
"""

import datetime
import glob
import json
import os
from typing import NamedTuple, Optional, Tuple

Z_DISTS = ("uniform_signed", "uniform_unsigned", "normal01")

PRECISION_MODES = (
    "allow_mix_precision",
    "allow_fp32_to_fp16",
    "force_fp16",
    "must_keep_origin_dtype",
    "force_fp32",
    "cube_fp16in_fp32out",
    "allow_mix_precision_fp16",
    "allow_mix_precision_bf16",
    "allow_fp32_to_bf16",
)

# What a FLAGS.json, which may come from anywhere, can hold of those that shape a graph.
LARGEST = dict(
    dict.fromkeys(
        (
            "output_height",
            "output_width",
            "num_classes",
            "z_dim",
            "gf_dim",
            "df_dim",
            "gfc_dim",
            "dfc_dim",
        ),
        1 << 14,
    ),
    channels=3,
    batch_size=1 << 20,
    seed=(1 << 31) - 1,
)
CHOICES = {"z_dist": Z_DISTS, "architecture": (None, "mnist", "image")}

OPTIONS_FILE = "FLAGS.json"
METRICS_FILE = "metrics.jsonl"  # of the training, one line a step
RESULTS_FILE = "metrics.json"  # of --evaluate


class UserError(Exception):
    """A mistake of the user's: one line that names the flag, file or variable; exit code 2."""


class RankLost(Exception):
    """Processes that train together cannot go on, since one has ended: one line; exit code 1."""


class Config(NamedTuple):
    """Every option of a run, with its default. Immutable; `_replace` makes a changed copy."""

    # What to do. Without any of these: draw samples from a trained run.
    train: bool = False
    visualize: bool = False
    option: int = 0
    generate: int = 0  # pictures
    evaluate: Optional[str] = None  # None, "last", "all" or "features"
    report: bool = False
    export: bool = False
    freeze: bool = False
    freeze_discriminator: bool = False

    # The data
    dataset: str = "celebA"
    data_dir: str = "./data"
    data_path: Optional[str] = None  # a folder of pictures; default data_dir/dataset
    input_fname_pattern: Optional[str] = None
    mnist_split: str = "all"  # all (70,000), train (60,000) or test (10,000)
    train_size: Optional[int] = None  # examples; None is all of them
    labels: str = "auto"  # auto, folder or none
    category: str = "bedroom"  # of LSUN
    crop: bool = False
    pad: bool = False
    channels: Optional[int] = None  # 1 or 3
    input_height: Optional[int] = None  # pixels; these four: None is "as the data set says"
    input_width: Optional[int] = None
    output_height: Optional[int] = None
    output_width: Optional[int] = None
    cache: str = "auto"  # auto, off or a folder
    max_bad_files: str = "1%"  # a count or a share of the set

    # What the data set says of itself; no flags
    architecture: Optional[str] = None  # a key of model.ARCHITECTURES
    num_classes: Optional[int] = None  # 0 where there are no labels
    class_names: Tuple[str, ...] = ()
    num_examples: Optional[int] = None  # pictures in the set; train_size may take fewer

    # The networks
    z_dim: int = 100
    z_dist: str = "uniform_signed"
    gf_dim: int = 64  # channels of the generator's last hidden layer
    df_dim: int = 64  # channels of the discriminator's first layer
    gfc_dim: int = 1024  # width of the MNIST pair's fully connected layers
    dfc_dim: int = 1024

    # Training
    epoch: int = 25
    batch_size: int = 64
    learning_rate: float = 0.0002
    beta1: float = 0.5
    scale_lr: str = "none"  # none, linear or sqrt in the number of ranks
    seed: Optional[int] = None  # None: drawn, printed and saved
    fused_step: bool = True  # False: D, G, G as three session runs
    on_nan: str = "stop"  # stop or rollback
    resume: bool = False

    # The run's folder and what it reports
    out_dir: str = "./out"
    out_name: str = ""
    checkpoint_dir: str = "checkpoint"
    sample_dir: str = "samples"
    max_to_keep: int = 1  # checkpoints
    sample_freq: int = 200  # these four: steps
    ckpt_freq: int = 200
    log_freq: int = 1
    summary_freq: int = 200
    sample_num: int = 64  # pictures in a grid
    G_img_sum: bool = False
    progress: str = "auto"  # auto (on a terminal), on or off

    # The device
    device: str = "auto"  # auto, npu, gpu or cpu
    intra_op_threads: int = 0  # 0: the project's default
    inter_op_threads: int = 0
    precision_mode: str = "allow_mix_precision"
    loss_scale: str = "dynamic"  # dynamic, off or a number
    modify_mixlist: Optional[str] = None
    over_dump: bool = False
    over_dump_path: str = "./overflow"
    dump_debug_mode: str = "all"
    data_dump_flag: bool = False
    data_dump_step: str = "10"
    data_dump_path: str = "./data_dump"
    dump_mode: str = "all"
    profiling: bool = False
    profiling_options: Optional[str] = None
    data_save_path: str = "./profiling"
    auto_tune_mode: Optional[str] = None
    op_select_implmode: Optional[str] = None
    session_device_id: Optional[int] = None
    graph_memory_max_size: Optional[int] = None  # bytes
    variable_memory_max_size: Optional[int] = None  # bytes
    iterations_per_loop: int = 1

    # Pictures from a trained run
    generate_format: str = "png"  # png, npz or grid
    seeds: Optional[str] = None  # "600-605,7"
    classes: Optional[str] = None  # "0-9"; the flag is --class
    interpolate: Optional[str] = None  # "A:B:STEPS"
    arithmetic: Optional[str] = None  # "a+b-c"
    eval_samples: int = 50000  # samples --evaluate draws
    export_batch_size: Optional[int] = None
    export_format: str = "all"  # checkpoint, saved_model, onnx or all


# Fields that do not change what is trained: a run may be continued with other values of these.
# Every other field must agree with the saved run.
FREE_TO_CHANGE = frozenset(
    [
        "train",
        "visualize",
        "option",
        "generate",
        "evaluate",
        "report",
        "export",
        "freeze",
        "freeze_discriminator",
        "data_dir",
        "data_path",
        "cache",
        "max_bad_files",
        "epoch",
        "resume",
        "out_dir",
        "out_name",
        "checkpoint_dir",
        "sample_dir",
        "max_to_keep",
        "sample_num",
        "sample_freq",
        "ckpt_freq",
        "log_freq",
        "summary_freq",
        "G_img_sum",
        "progress",
        "on_nan",
        "device",
        "intra_op_threads",
        "inter_op_threads",
        "modify_mixlist",
        "over_dump",
        "over_dump_path",
        "dump_debug_mode",
        "data_dump_flag",
        "data_dump_step",
        "data_dump_path",
        "dump_mode",
        "profiling",
        "profiling_options",
        "data_save_path",
        "auto_tune_mode",
        "op_select_implmode",
        "session_device_id",
        "graph_memory_max_size",
        "variable_memory_max_size",
        "iterations_per_loop",
        "fused_step",
        "generate_format",
        "seeds",
        "classes",
        "interpolate",
        "arithmetic",
        "eval_samples",
        "export_batch_size",
        "export_format",
    ]
)

# Free to change, but by all ranks of a run at once: they must come to the same collectives together.
SAME_ON_ALL_RANKS = (
    "epoch",
    "on_nan",
    "sample_freq",
    "ckpt_freq",
    "summary_freq",
    "iterations_per_loop",
    "fused_step",
)

# No flags: the data set says them (`datasets.registry.open_dataset`).
SET_BY_DATASET = ("architecture", "num_classes", "class_names", "num_examples")

# What sampling, evaluation and export take from the saved run; the rest is the command line's.
RUN_FIELDS = tuple(name for name in Config._fields if name not in FREE_TO_CHANGE)


def check(config):
    """Raises `UserError`, naming the flag, where two options do not go together.

    What one flag may hold is checked where it is defined (`main.py`), what the device takes in
    `devices/session.py`, what the data allow in `datasets/`.
    """
    jobs = [
        name
        for name in (
            "train",
            "visualize",
            "generate",
            "seeds",
            "interpolate",
            "arithmetic",
            "evaluate",
            "report",
            "export",
            "freeze",
            "freeze_discriminator",
        )
        if getattr(config, name)
    ]
    if config.train and len(jobs) > 1:
        raise UserError(
            "--{}: not together with --train".format(next(name for name in jobs if name != "train"))
        )
    if config.generate and config.seeds is not None:
        raise UserError("--seeds: not together with --generate (which takes the seeds 0, 1, ...)")
    if config.resume and not config.train:
        raise UserError("--resume: only together with --train")
    if config.pad and not config.crop:
        raise UserError("--pad: only together with --crop (it fills what the crop lacks)")
    if config.channels == 2:
        raise UserError("--channels: 1 (grey) or 3 (colour), not 2")
    if config.sample_num < 1:
        raise UserError("--sample_num: must be at least 1")
    if config.iterations_per_loop > 1:
        _check_loop_intervals(config)


def _check_loop_intervals(config):
    if not config.fused_step:
        raise UserError("--iterations_per_loop: needs the fused step (drop --nofused_step)")
    for name in ("sample_freq", "ckpt_freq", "summary_freq", "log_freq"):
        interval = getattr(config, name)
        if interval % config.iterations_per_loop:
            raise UserError(
                f"--{name}: {interval} is not a multiple of --iterations_per_loop={config.iterations_per_loop}"
            )


def run_name(config, now=None):
    """A folder name without blanks, such as `mnist-28x28x1-z100-b64-20261124-093000`.

    Args:
        config: a config with every size filled in.
        now: `datetime.datetime`; the present moment by default.
    """
    now = now or datetime.datetime.now()
    dataset = "".join(c if c.isalnum() or c in "._" else "_" for c in config.dataset)
    return f"{dataset}-{config.output_height}x{config.output_width}x{config.channels}-z{config.z_dim}-b{config.batch_size}-{now:%Y%m%d-%H%M%S}"


def run_dir(config):
    """The run's folder, `out_dir/out_name`."""
    return os.path.join(config.out_dir, config.out_name)


def checkpoint_dir(config):
    """Where the run's checkpoints are: under the run's folder unless given as an absolute path."""
    return os.path.join(run_dir(config), config.checkpoint_dir)


def sample_dir(config):
    """Where the run's pictures are: under the run's folder unless given as an absolute path."""
    return os.path.join(run_dir(config), config.sample_dir)


def to_json(config):
    """The options as JSON text, one option a line, in the order of the fields."""
    return json.dumps(config._asdict(), indent=1) + "\n"


def read_options(path):
    """The options saved in a FLAGS.json, as a dict of the fields that `Config` knows.

    Raises:
        UserError: the file is missing, is not a JSON object, or holds a value of a wrong type.
    """
    try:
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as a run's options: {error}")
    return checked_options(saved, path)


def checked_options(saved, path):
    """Of the options found as JSON in the file `path` those that `Config` knows, as a dict.

    Raises:
        UserError: not a JSON object, or it holds a value of a wrong type.
    """
    if not isinstance(saved, dict):
        raise UserError(f"{path}: not a JSON object of options")
    options = {name: saved[name] for name in Config._fields if name in saved}
    for name, value in options.items():
        if not _fits(Config.__annotations__[name], value) or _is_absurd(name, value):
            raise UserError(f"{path}: {name} cannot be {value!r:.80}")
        if isinstance(value, list):
            options[name] = tuple(value)
    return options


def _is_absurd(name, value):
    """Whether a saved value would make a graph that no machine holds, or none at all."""
    if name in LARGEST:
        return value is not None and not 0 <= value <= LARGEST[name]
    return name in CHOICES and value not in CHOICES[name]


def saved_runs(config):
    """The runs of `config.dataset` under `config.out_dir`, newest first: [(name, saved options)]."""
    paths = glob.glob(os.path.join(glob.escape(config.out_dir), "*", OPTIONS_FILE))
    runs = [
        (os.path.basename(os.path.dirname(path)), read_options(path))
        for path in sorted(paths, key=os.path.getmtime, reverse=True)
    ]
    return [(name, saved) for name, saved in runs if saved.get("dataset") == config.dataset]


def _fits(kind, value):
    kinds = getattr(kind, "__args__", (kind,))  # Optional[int] is (int, NoneType)
    if Ellipsis in kinds:  # Tuple[str, ...], a list in JSON
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int):
        return int in kinds or float in kinds
    return isinstance(value, kinds)


def with_run_options(config, saved):
    """`config` with the saved run's networks, data and seed; jobs and folders stay as they are."""
    return config._replace(**{name: saved[name] for name in RUN_FIELDS if name in saved})


def differences(config, saved):
    """Options that would make another run of it, as [(name, saved value, asked value)]."""
    return [
        (name, saved[name], getattr(config, name))
        for name in RUN_FIELDS
        if name in saved and saved[name] != getattr(config, name)
    ]
