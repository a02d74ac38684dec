"""The command line: flags to a frozen `Config`, and one job.

    python main.py --dataset mnist --train      trains, or goes on with a run (--out_name, --resume)
    python main.py --dataset mnist              draws from the newest run of that data set
    python main.py --help                       every flag

A user's mistake is one line and exit code 2.
"""

import contextlib
import importlib
import os
import sys

import config as options
from config import PRECISION_MODES, Z_DISTS, Config, RankLost, UserError

try:
    from absl import flags
except ImportError as missing:
    print(
        f"main.py: {missing} ({sys.executable}); set the environment up with: bash test/env.sh",
        file=sys.stderr,
    )
    sys.exit(2)

# What a trained run can be asked for: the field of `Config`, and the function that takes the config.
JOBS = (
    ("visualize", "inference.walks.visualize"),
    ("generate", "inference.sample.generate"),
    ("seeds", "inference.sample.generate"),
    ("interpolate", "inference.walks.interpolate"),
    ("arithmetic", "inference.walks.arithmetic"),
    ("evaluate", "inference.evaluate.evaluate"),
    ("export", "inference.export.export"),
    ("freeze", "inference.export.freeze"),
    ("freeze_discriminator", "inference.export.freeze"),
    ("report", "inference.html_report.write_page"),
)

# Flags whose name is a word of Python's own.
RENAMED = {"class": "classes"}
PATHS = (
    "data_dir",
    "data_path",
    "out_dir",
    "modify_mixlist",
    "over_dump_path",
    "data_dump_path",
    "data_save_path",
)


def define_flags(values):
    """Defines every flag of the program, each with the default of its `Config` field."""
    _define_jobs(values)
    _define_data(values)
    _define_training(values)
    _define_run(values)
    _define_device(values)
    _define_pictures(values)


def _define_jobs(values):
    _boolean(values, "train", "Train; without it, draw from a trained run.")
    _boolean(values, "resume", "With --train: go on with the newest run that fits these flags.")
    _boolean(values, "visualize", "Draw what --option says from a trained run.")
    _integer(
        values,
        "option",
        "What --visualize draws: 0 a random grid, 1 each latent dimension "
        "swept, 2 GIFs around a random point, 3 GIFs from the origin, 4 the merged GIF.",
        0,
        4,
    )
    _integer(
        values,
        "generate",
        "Draw this many pictures from a trained run: those of the "
        "seeds 0, 1, 2, ..., at most 10,000,000.",
        0,
        10**7,
    )
    _choice(
        values,
        "evaluate",
        "Measure a trained run: its last checkpoint, all of them, or the discriminator's features.",
        ["last", "all", "features"],
    )
    _boolean(values, "report", "Write the run's index.html.")
    _boolean(
        values, "export", "Export a trained run's checkpoint for another batch size, and more."
    )
    _boolean(values, "freeze", "Freeze the generator into a GraphDef.")
    _boolean(values, "freeze_discriminator", "Freeze the discriminator into a GraphDef.")


def _define_data(values):
    _string(
        values,
        "dataset",
        "mnist, fashion_mnist, cifar10, celebA, lsun, synthetic, "
        "synthetic_mnist, or the name of a folder of pictures in --data_dir; with --data_path by "
        "default that folder's name.",
    )
    _string(values, "data_dir", "The folder above the data sets.")
    _string(values, "data_path", "The folder of the data set; by default data_dir/dataset.")
    _string(
        values,
        "input_fname_pattern",
        "Which files of a folder are pictures: a glob for their "
        "names or, with a slash in it, for their paths below the folder; by default *.jpg *.jpeg "
        "*.png *.bmp *.webp in upper and lower case.",
    )
    _choice(
        values,
        "mnist_split",
        "Which part of MNIST or Fashion-MNIST: all 70,000, the 60,000 "
        "for training or the 10,000 for testing.",
        ["all", "train", "test"],
    )
    _float(values, "train_size", "How many examples to train on.", float("inf"), 1)
    _choice(
        values,
        "labels",
        "Classes to train with: folder takes the sub-folders of a folder of "
        "pictures, none takes none; auto takes those that come with the set, none for pictures.",
        ["auto", "folder", "none"],
    )
    _string(values, "category", "The category of LSUN, such as bedroom or church_outdoor.")
    _boolean(
        values,
        "crop",
        "Take input_height x input_width out of each picture's centre, or "
        "without these the largest box of the output's shape (celebA: 108x108), and resize that; "
        "otherwise the whole picture is resized.",
    )
    _boolean(values, "pad", "With --crop: lay pictures that are smaller than the crop on black.")
    _integer(values, "channels", "1 grey or 3 colour; by default as most pictures are.", 1, 3)
    _integer(values, "input_height", "With --crop: its height in pixels; by default its width.", 1)
    _integer(values, "input_width", "With --crop: its width; by default its height.", 1)
    _integer(
        values,
        "output_height",
        "Height in pixels of the pictures made; by default the width, "
        "or the data set's own (MNIST: 28), or 64, or less if all pictures are smaller.",
        1,
    )
    _integer(values, "output_width", "Width of the pictures made; by default the height.", 1)
    _string(
        values,
        "cache",
        "Where decoded pictures are packed, once, to be read fast: auto (beside "
        "their folder or in the user's cache folder, if the run reads them more than once, they "
        "take no more than 8.6 GB and the disk has room), off, or a folder.",
    )
    _string(
        values,
        "max_bad_files",
        "How many unreadable pictures to replace by others before giving "
        "up: a count or a share of the set.",
    )


def _define_training(values):
    _integer(values, "epoch", "Epochs to train.", 1)
    _integer(values, "batch_size", "Pictures in a step (of each rank).", 1)
    _float(values, "learning_rate", "Adam's learning rate.", lowest=0)
    _float(values, "beta1", "Adam's beta1.", lowest=0, highest=1)
    _choice(
        values,
        "scale_lr",
        "How the learning rate grows with the number of ranks.",
        ["none", "linear", "sqrt"],
    )
    _integer(
        values,
        "seed",
        "Fixes every random choice; by default one is drawn and printed.",
        0,
        2**31 - 1,
    )
    _boolean(values, "fused_step", "One session run a step; --nofused_step makes three.")
    _choice(
        values,
        "on_nan",
        "When a loss is no number any more: stop, or go back and draw anew.",
        ["stop", "rollback"],
    )
    _integer(values, "z_dim", "Dimensions of the latent z.", 1)
    _choice(values, "z_dist", "Distribution of z.", list(Z_DISTS))
    for name in ("gf_dim", "df_dim", "gfc_dim", "dfc_dim"):
        _integer(
            values,
            name,
            "Width of the {}'s {} layers.".format(
                "generator" if name[0] == "g" else "discriminator",
                "fully connected" if "c" in name else "convolutional",
            ),
            1,
        )


def _define_run(values):
    _string(values, "out_dir", "The folder above the runs.")
    _string(
        values, "out_name", "The run's folder; by default named after its options and the time."
    )
    _string(
        values,
        "checkpoint_dir",
        "Folder of the checkpoints, in the run's; or a folder by itself "
        "with weights that carpedm20's DCGAN wrote.",
    )
    _string(values, "sample_dir", "Folder of the pictures, in the run's.")
    _integer(values, "max_to_keep", "Checkpoints to keep (two at least are).", 1)
    for name, what in (
        ("sample_freq", "draw the sample grid"),
        ("ckpt_freq", "write a checkpoint"),
        ("log_freq", "print a log line"),
        ("summary_freq", "write TensorBoard's histograms"),
    ):
        _integer(values, name, f"Every how many steps to {what}.", 1)
    _integer(values, "sample_num", "Pictures in the sample grid.", 1)
    _boolean(values, "G_img_sum", "Pictures in TensorBoard too.")
    _choice(
        values,
        "progress",
        "A progress bar: on a terminal (auto), always or never.",
        ["auto", "on", "off"],
    )


def _define_device(values):
    _choice(values, "device", "What to compute on.", ["auto", "npu", "gpu", "cpu"])
    _integer(values, "intra_op_threads", "Threads of one operation; 0: the default.", 0)
    _integer(values, "inter_op_threads", "Operations at once; 0: the default.", 0)
    _choice(values, "precision_mode", "NPU: how precision may be lowered.", list(PRECISION_MODES))
    _string(values, "loss_scale", "NPU, with mixed precision: dynamic, off or a number.")
    _string(values, "modify_mixlist", "NPU: the mixlist file; by default configs/ops_info.json.")
    _boolean(values, "over_dump", "NPU: dump what overflows.")
    _string(values, "over_dump_path", "NPU: where to.")
    _choice(
        values,
        "dump_debug_mode",
        "NPU: which overflows.",
        ["all", "aicore_overflow", "atomic_overflow"],
    )
    _boolean(values, "data_dump_flag", "NPU: dump the operations' data.")
    _string(values, "data_dump_step", "NPU: of which steps, such as 0|5|10-20.")
    _string(values, "data_dump_path", "NPU: where to.")
    _choice(values, "dump_mode", "NPU: which data.", ["all", "input", "output"])
    _boolean(values, "profiling", "Profile: on the NPU its own way, elsewhere a timeline.")
    _string(values, "profiling_options", "NPU: profiling options as JSON.")
    _string(values, "data_save_path", "Where profiles are written.")
    _string(values, "auto_tune_mode", "NPU: such as RL,GA.")
    _choice(
        values,
        "op_select_implmode",
        "NPU: which implementations.",
        ["high_precision", "high_performance"],
    )
    _integer(values, "session_device_id", "NPU: the device of this process.", 0)
    _integer(values, "graph_memory_max_size", "NPU: bytes for the graph.", 1)
    _integer(values, "variable_memory_max_size", "NPU: bytes for variables.", 1)
    _integer(values, "iterations_per_loop", "NPU: training steps in one session run.", 1)


def _define_pictures(values):
    _choice(
        values,
        "generate_format",
        "What --generate, --seeds and --class write: single pictures, "
        "one file of arrays or one picture.",
        ["png", "npz", "grid"],
    )
    _string(values, "seeds", "Draw the pictures of these seeds, such as 600-605,7.")
    _string(
        values,
        "class",
        "Of which classes, such as 0-9; without it, a seed's class is the seed "
        "modulo their number.",
    )
    _string(values, "interpolate", "Walk from one seed's latent to another's: A:B:STEPS.")
    _string(
        values,
        "arithmetic",
        "Calculate with seeds' latents: 1+2-3, or with means of several, 1,2,3+4,5,6-7,8,9.",
    )
    _integer(values, "eval_samples", "Samples that --evaluate draws.", 2)
    _integer(values, "export_batch_size", "The batch size that --export fixes.", 1)
    _choice(
        values,
        "export_format",
        "What --export writes.",
        ["all", "checkpoint", "saved_model", "onnx"],
    )


def _default(name):
    return Config._field_defaults[RENAMED.get(name, name)]


def _string(values, name, help_text):
    flags.DEFINE_string(name, _default(name), help_text, flag_values=values)


def _boolean(values, name, help_text):
    flags.DEFINE_boolean(name, _default(name), help_text, flag_values=values)


def _choice(values, name, help_text, choices):
    flags.DEFINE_enum(name, _default(name), choices, help_text, flag_values=values)


def _integer(values, name, help_text, lowest=None, highest=None):
    flags.DEFINE_integer(name, _default(name), help_text, lowest, highest, flag_values=values)


def _float(values, name, help_text, default=None, lowest=None, highest=None):
    flags.DEFINE_float(
        name,
        _default(name) if default is None else default,
        help_text,
        lowest,
        highest,
        flag_values=values,
    )
    flags.register_validator(name, lambda value: value == value, "not a number", flag_values=values)


def config_from_flags(values):
    """The `Config` that the parsed flags say, paths made absolute."""
    given = {RENAMED.get(name, name): values[name].value for name in _flag_names()}
    size = given["train_size"]
    given["train_size"] = None if size == float("inf") else int(size)
    for name in PATHS:
        if given[name] is not None:
            given[name] = os.path.abspath(os.path.expanduser(given[name]))
    if given["cache"] not in ("auto", "off"):
        given["cache"] = os.path.abspath(os.path.expanduser(given["cache"]))
    if given["data_path"] and not values["dataset"].present:
        given["dataset"] = os.path.basename(given["data_path"]) or given["dataset"]
    return Config(**given)


def _flag_names():
    back = {field: flag for flag, field in RENAMED.items()}
    return [
        back.get(field, field) for field in Config._fields if field not in options.SET_BY_DATASET
    ]


def parse(argv):
    """A checked `Config` from a command line; prints the help and exits if it is asked for.

    Raises:
        UserError: an unknown flag, a bad value, flags that do not go together.
    """
    values = flags.FlagValues()
    define_flags(values)
    if any(argument in ("-h", "--help", "-help") for argument in argv[1:]):
        print(__doc__)
        print(values.get_help())
        raise SystemExit(0)
    try:
        rest = values(_with_bare_evaluate(argv))[1:]
    except flags.Error as error:
        raise UserError(" ".join(str(error).split()))
    if rest:
        raise UserError(f"{rest[0]}: not a flag (flags start with --)")
    config = config_from_flags(values)
    options.check(config)
    return config


def _with_bare_evaluate(argv):
    """The command line with `--evaluate` by itself, which means the last checkpoint, spelled out."""
    following = list(argv[1:]) + ["-"]
    return [
        argument + "=last" if argument == "--evaluate" and next_one.startswith("-") else argument
        for argument, next_one in zip(argv, following)
    ]


def main(argv):
    """Parses the command line, does its job, returns the exit code."""
    if hasattr(sys.stdout, "reconfigure"):  # a terminal that cannot show a name ends no run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return run(parse(argv))
    except UserError as error:
        print(f"main.py: {error}", file=sys.stderr)
        return 2
    except RankLost as lost:
        print(f"main.py: {lost}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(config):
    """Does the jobs that a config asks for; returns the exit code."""
    _need_tensorflow()
    if config.train:
        return _train(config)
    asked = [job for flag, job in JOBS if getattr(config, flag) not in (None, False, 0)]
    for job in sorted(set(asked), key=asked.index) or ["inference.sample.draw"]:
        module, function = job.rsplit(".", 1)
        getattr(importlib.import_module(module), function)(config)
    return 0


def _train(config):
    from datasets.registry import open_dataset
    from devices.device import open_device
    from devices.ranks import guarded, open_ranks
    from training import loop, run

    device = open_device(config)
    ranks = open_ranks(device.kind)
    config, dataset = open_dataset(config)
    with guarded(ranks), run.opened_run(
        config, dataset, ranks, session_config=device.session_config
    ) as config:
        signal_number = loop.train(config=config, dataset=dataset, device=device, ranks=ranks)
        if ranks.rank == 0:
            _report(config)
    return 0 if signal_number is None else 128 + signal_number


def _report(config):
    """The page of a run that has just been trained; what keeps it from being written ends nothing."""
    try:
        from inference import html_report

        html_report.write_page(config)
    except (UserError, ImportError, OSError) as error:
        print(f"index.html not written: {error}", file=sys.stderr)


def _need_tensorflow():
    """Imports TensorFlow as 1.15, or says in one line how to get it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its notes on the CPU are not for users
    try:
        with _silent_standard_error():
            import tensorflow.compat.v1 as tf
    except ImportError as error:
        raise UserError(
            f"{sys.executable} cannot import TensorFlow ({error}); set the environment up with: "
            "bash test/env.sh"
        )
    tf.logging.set_verbosity(tf.logging.ERROR)
    tf.disable_v2_behavior()


@contextlib.contextmanager
def _silent_standard_error():
    """TensorFlow 2.x writes notes on oneDNN while it is imported, whatever its log level."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
