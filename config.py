"""One run's options: the frozen `Config`, its checks, its folders, its FLAGS.json.

`main.py` fills a `Config` from the command line and hands it down; nothing below reads a flag. An
option is declared once, here, and the order of the fields is that of `python main.py --help`. A size
of None means "as the data set says": `datasets.registry.open_dataset` returns the config with every
size filled in.
"""

import dataclasses
import datetime
import json
import os
from typing import Any, Dict, FrozenSet, List, Optional, Tuple

from config_npu import NpuOptions
from datasets.registry import DATASETS
from devices.registry import DEVICES
from options import from_dataset, option, options_of

VERSION = "2.0"
Z_DISTS = ("uniform_signed", "uniform_unsigned", "normal01")
MOST_STEPS = 10**9
MOST_IMAGES = 10**7

OPTIONS_FILE = "FLAGS.json"
METRICS_FILE = "metrics.jsonl"  # of the training: a line for each step and each sample grid
RESULTS_FILE = "metrics.json"  # of --evaluate


# fmt: off
@dataclasses.dataclass(frozen=True)
class Config(NpuOptions):
    """Every option of a run. Immutable; `replace` makes a changed copy."""

    train: bool = option(False, "Train. Without it, draw from a trained run.",
        section="What to do", common=True, may_change=True,
        other_names=("is_train",))
    resume: bool = option(False, "With --train: resume the newest run that fits these flags.",
        common=True, may_change=True)
    preset: Optional[str] = option(None, "Take the options of configs/presets/NAME.json or of any run's FLAGS.json. Flags "
        "on the command line win.", flag="config", common=True, may_change=True)
    visualize: bool = option(False, "Draw the visualization that --option selects from a trained run.",
        job="inference.walks.visualize", may_change=True)
    visualize_option: int = option(0, "What --visualize draws: 0 a random grid, 1 each latent dimension swept, "
        "2 GIFs around a random point, 3 GIFs from the origin, 4 the merged GIF.", flag="option", low=0, high=4, may_change=True)
    generate: int = option(0, "Draw this many images from a trained run, of the seeds 0, 1, 2, ...",
        low=0, high=MOST_IMAGES, job="inference.sample.generate", common=True, may_change=True,
        other_names=("generate_test_images",))
    evaluate: Optional[str] = option(None, "Measure a trained run: its last checkpoint, all of them, or the "
        "discriminator's features.", choices=("last", "all", "features"), job="inference.evaluate.evaluate",
        common=True, may_change=True)
    compare: Optional[str] = option(None, "Compare two runs of the same options, RUN_A,RUN_B: names in --out_dir or folders. Exit code 1 if they differ beyond tolerance.", job="inference.compare.compare", may_change=True)
    report: bool = option(False, "Write the run's index.html.", job="inference.html_report.write_page", may_change=True)
    export: bool = option(False, "Export a trained run's generator in the formats of --export_format.",
        job="inference.export.export", may_change=True)
    freeze: bool = option(False, "Freeze the generator into a GraphDef.", job="inference.export.freeze", may_change=True)
    freeze_discriminator: bool = option(False, "Freeze the discriminator into a GraphDef.",
        job="inference.export.freeze", may_change=True)

    dataset: str = option("celebA", f"{', '.join(DATASETS)}, or the "
        "name of a folder of images in --data_dir. With --data_path its default is that folder's name.",
        section="The data", common=True, high=200)
    data_dir: str = option("./data", "The folder above the data sets.", path=True, may_change=True)
    data_path: Optional[str] = option(None, "The folder of the data set, or a zip of images. The default is data_dir/dataset.",
        path=True, common=True, may_change=True,
        other_names=("dataroot",))
    input_fname_pattern: Optional[str] = option(None, "Which files of a folder are images: a glob for their names or, "
        "with a slash in it, for their paths below the folder; several as in *.{jpg,tif} or *.jpg,*.tif. The default is "
        "JPEG, PNG, BMP, WebP, TIFF and GIF files.",
        other_names=("input_fname",))
    mnist_split: str = option("all", "Which part of MNIST or Fashion-MNIST: all 70,000 images, the 60,000 for "
        "training or the 10,000 for testing.", choices=("all", "train", "test"))
    train_size: Optional[int] = option(None, "How many examples to train on. The default, inf, is all of them.",
        low=1, high=MOST_STEPS)
    labels: str = option("auto", "Classes to train with. folder: the sub-folders of a folder of images. none: no "
        "classes. auto: those that come with the data set; a folder of images has none.", choices=("auto", "folder", "none"))
    mirror: bool = option(False, "Train on each image as it is or flipped left to right, at random.")
    blur: float = option(0.0, "Blur the training images with a Gaussian of this standard deviation in pixels, such as 0.7.", low=0, high=100)
    category: str = option("bedroom", "The category of LSUN, such as bedroom or church_outdoor.", high=200)
    crop: bool = option(False, "Take input_height x input_width out of each image's center, or without these the "
        "largest box of the output's shape (celebA: 108x108), and resize that. Otherwise the whole image is resized.",
        common=True,
        other_names=("is_crop",))
    pad: bool = option(False, "With --crop: put images that are smaller than the crop on black.")
    exact_decode: bool = option(False, "Decode every JPEG whole. Without it, one that is at least four times as large as "
        "needed is decoded at 1/2, 1/4 or 1/8, which is faster.", in_older_runs=True)
    channels: Optional[int] = option(None, "1 for gray, 3 for color. The default is that of most images.", low=1, high=3,
        other_names=("c_dim",))
    input_height: Optional[int] = option(None, "With --crop: the height of the crop in pixels. The default is its width.",
        low=1, high=1 << 14)
    input_width: Optional[int] = option(None, "With --crop: the width of the crop. The default is its height.", low=1, high=1 << 14)
    output_height: Optional[int] = option(None, "Height of the generated images in pixels. The default is the width, or the "
        "data set's own (MNIST: 28), or 64, or less if all images are smaller.", low=1, high=1 << 12,
        other_names=("output_size", "image_size", "imageSize"))
    output_width: Optional[int] = option(None, "Width of the generated images. The default is the height.", low=1, high=1 << 12)
    cache: str = option("auto", "Where decoded images are packed once, to be read fast from then on: auto, off or a "
        "folder. auto packs beside their folder or in the user's cache folder, if the run reads them more than once, they "
        "take no more than 8.6 GB and the disk has room.", path=True, words=("auto", "off"), may_change=True)
    max_bad_files: str = option("1%", "How many unreadable images may be replaced by others: a count, or a share of the "
        "set.", high=20, may_change=True)

    architecture: Optional[str] = from_dataset(None, choices=("mnist", "image"))
    num_classes: Optional[int] = from_dataset(None, low=0, high=1 << 14)    # 0 where there are no labels
    class_names: Tuple[str, ...] = from_dataset(())
    num_examples: Optional[int] = from_dataset(None, low=1, high=MOST_STEPS)    # in the set; train_size may take fewer

    z_dim: int = option(100, "Dimensions of the latent z.", section="The networks", low=1, high=1 << 14,
        other_names=("nz",))
    z_dist: str = option("uniform_signed", "Distribution of z.", choices=Z_DISTS)
    gf_dim: int = option(64, "Channels of the generator's last hidden layer.", low=1, high=1 << 12, other_names=("ngf",))
    df_dim: int = option(64, "Channels of the discriminator's first layer.", low=1, high=1 << 12, other_names=("ndf",))
    gfc_dim: int = option(1024, "Width of the MNIST generator's fully connected layer.", low=1, high=1 << 14)
    dfc_dim: int = option(1024, "Width of the MNIST discriminator's fully connected layer.", low=1, high=1 << 14)
    g_h2_dim: Optional[int] = option(None, "Channels of the MNIST generator's layer g_h2. The default is twice --gf_dim.",
        low=1, high=1 << 12)
    d_h0_dim: Optional[int] = option(None, "Channels of the MNIST discriminator's layer d_h0_conv. The default is the "
        "image's channels plus the number of classes.", low=1, high=1 << 12)
    d_h1_dim: Optional[int] = option(None, "Channels of the MNIST discriminator's layer d_h1_conv. The default is --df_dim "
        "plus the number of classes.", low=1, high=1 << 12)

    epoch: int = option(25, "Epochs to train.", section="Training", low=1, high=10**6, common=True,
        may_change=True, same_on_all_ranks=True,
        other_names=("epochs", "train_epochs", "num_epochs", "max_epoch", "niter"))
    batch_size: int = option(64, "Images in a step of each rank.", low=1, high=1 << 16, common=True, in_scripts="N",
        other_names=("train_batch_size", "batchSize"))
    learning_rate: float = option(0.0002, "Adam's learning rate.", low=0, high=1e6,
        other_names=("lr",))
    d_learning_rate: Optional[float] = option(None, "The discriminator's learning rate. The default is --learning_rate.", low=0, high=1e6)
    lr_schedule: str = option("constant", "How the learning rates fall until the last step: not at all, linearly to 0, or "
        "along a cosine to 0.", choices=("constant", "linear", "cosine"))
    lr_decay_start: int = option(0, "Epochs at the full learning rates before --lr_schedule lets them fall.",
        low=0, high=10**6)
    beta1: float = option(0.5, "Adam's beta1.", low=0, high=1)
    scale_lr: str = option("none", "How the learning rate grows with the number of ranks.",
        choices=("none", "linear", "sqrt"))
    weight_decay: float = option(0.0, "L2: half of this times the squared weights of the layers is added to the loss of "
        "each network.", low=0, high=1e6)
    g_updates: int = option(2, "Updates of the generator in a step, after one of the discriminator.", low=1, high=100)
    updates: str = option("same_batch", "The images that the updates of a step use. same_batch: each update uses the whole "
        "batch. alternating: the discriminator's uses the first half, the generator's the second.",
        choices=("same_batch", "alternating"))
    augment: str = option("none", "Change real and generated images alike before the discriminator sees them, which helps "
        "with few images. diff: random color, translation and cutout (DiffAugment).", choices=("none", "diff"))
    g_ema: float = option(0.0, "Decay per step of an exponential moving average of the generator's weights, such as 0.999. "
        "Images are drawn with the average after training. 0 keeps no average.", low=0, high=1)
    loss: str = option("sigmoid_cross_entropy", "The loss of both networks.", choices=("sigmoid_cross_entropy",))
    init_from: Optional[str] = option(None, "Start a new run from the weights of another: its name in --out_dir, or its "
        "folder.", may_change=True, high=4096)
    init_optimizers: bool = option(False, "Start from the other run's optimizers too.", may_change=True, switch="init_from")
    seed: Optional[int] = option(None, "Fixes every random choice. Without it a seed is chosen and printed.",
        low=0, high=(1 << 31) - 1, common=True,
        other_names=("random_seed", "manualSeed"))
    fused_step: bool = option(True, "Do each step in one session run. --nofused_step takes three.",
        may_change=True, same_on_all_ranks=True)
    on_nan: str = option("stop", "If a loss or a weight is NaN, infinite or has diverged: stop, or roll back to the last checkpoint "
        "and continue with new random numbers.", choices=("stop", "rollback"), may_change=True, same_on_all_ranks=True)

    out_dir: str = option("./out", "The folder above the runs.", section="The run's folder and its reports",
        path=True, common=True, may_change=True,
        other_names=("output_path", "output_dir", "outf"))
    out_name: str = option("", "The run's folder. The default is named after its options and the time.",
        common=True, may_change=True, high=200)
    checkpoint_dir: str = option("checkpoint", "Folder of the checkpoints inside the run's folder, or a folder elsewhere "
        "with weights that carpedm20's DCGAN wrote.", may_change=True,
        other_names=("ckpt_path", "model_dir", "checkpoint_path", "ckpt_dir"))
    sample_dir: str = option("samples", "Folder of the images inside the run's folder.", may_change=True)
    max_to_keep: int = option(1, "Checkpoints to keep. At least two are kept.", low=1, high=10**6, may_change=True)
    sample_freq: int = option(200, "Steps between sample grids. Without this flag, a run of fewer than 4,000 steps draws more of them.", low=1, high=MOST_STEPS,
        may_change=True, same_on_all_ranks=True)
    ckpt_freq: int = option(200, "Steps between checkpoints. Without this flag, a run of 40 to 999 steps saves more of them.", low=1, high=MOST_STEPS,
        may_change=True, same_on_all_ranks=True)
    ckpt_minutes: float = option(10, "Also save a checkpoint when the last one is this many minutes old; 0 turns this off. "
        "At most two of these are kept.",
        low=0, high=10**6, may_change=True)
    log: str = option("steps", "Log lines to print: one for each step, one for each epoch, or none. train.log in the "
        "run's folder has a line for every step.", choices=("steps", "epochs", "none"), may_change=True)
    log_freq: int = option(1, "Steps between printed log lines.", low=1, high=MOST_STEPS, may_change=True)
    summary_freq: int = option(200, "Steps between TensorBoard's histograms. Without this flag, a run of fewer than 4,000 steps writes more of them.", low=1, high=MOST_STEPS,
        may_change=True, same_on_all_ranks=True)
    sample_num: int = option(64, "Images in the sample grid.", low=1, high=1 << 16, may_change=True,
        other_names=("sample_size",))
    film: str = option("gif", "The film of the sample grids: samples/train.gif of at most 20 MB, samples/train.mp4 "
        "(which needs the package imageio-ffmpeg), or none.", choices=("gif", "mp4", "none"), may_change=True)
    G_img_sum: bool = option(False, "Write the images that G makes in training to TensorBoard too.", may_change=True)
    step_dump: int = option(0, "Write the intermediate results of this many first steps to RUN/step_dump, for --compare.", low=0, high=1000, may_change=True, same_on_all_ranks=True)
    progress: str = option("auto", "auto: a progress bar on a terminal, elsewhere a line each minute. on: always a bar. off: neither.",
        choices=("auto", "on", "off"), may_change=True)

    generate_format: str = option("png", "Output of --generate, --seeds and --class: single PNG images, one .npz "
        "file or one grid.", section="Images from a trained run", choices=("png", "npz", "grid"), may_change=True)
    seeds: Optional[str] = option(None, "Draw the images of these seeds, such as 600-605,7.",
        job="inference.sample.generate", may_change=True)
    classes: Optional[str] = option(None, "Draw images of these classes, such as 0-9 or cat,dog. Without it, a seed's class is the seed "
        "modulo the number of classes.", flag="class", may_change=True)
    interpolate: Optional[str] = option(None, "Walk from one seed's latent to another's: A:B:STEPS.",
        job="inference.walks.interpolate", may_change=True)
    arithmetic: Optional[str] = option(None, "Calculate with seeds' latents: 1+2-3, or with means of several, "
        "1,2,3+4,5,6-7,8,9.", job="inference.walks.arithmetic", may_change=True)
    eval_samples: int = option(50000, "Samples that --evaluate draws.", low=2, high=MOST_IMAGES, may_change=True)
    eval_split: str = option("test", "What --evaluate compares the samples with: the test images, or the training images "
        "that a --train_size left out.", choices=("test", "held_out"), may_change=True)
    batch_norm: str = option("moving", "What batch norm uses when images are drawn or evaluated: the moving averages of "
        "the training, the statistics of each batch, or statistics estimated anew from many batches.",
        choices=("moving", "batch", "estimated"), may_change=True)
    export_batch_size: Optional[int] = option(None, "Batch size of the exported checkpoint. The default is the run's --batch_size.", low=1, high=1 << 16,
        may_change=True)
    export_format: str = option("all", "Formats that --export writes.", choices=("all", "checkpoint", "saved_model", "onnx"),
        may_change=True)

    device: str = option("auto", "The device to compute on. auto takes the first that is there: NPU, GPU, CPU.", section="The device", choices=("auto", *DEVICES),
        common=True, may_change=True)
    intra_op_threads: int = option(0, "Threads within one operation; 0 is the default.", low=0, high=1024, may_change=True)
    inter_op_threads: int = option(0, "Operations that run at the same time; 0 is the default.", low=0, high=1024, may_change=True)
    kernels: str = option("auto", "How a CPU computes the layers. native: TensorFlow's own operations. cpu: forward "
        "convolutions only. winograd: minimal filtering, with a third of the multiplications. onednn: winograd adapted to "
        "oneDNN. auto: winograd on TensorFlow 1.15; on 2.x the fastest of these, measured once on this machine.",
        choices=("auto", "native", "cpu", "winograd", "onednn"), may_change=True, same_on_all_ranks=True)
    profiling: bool = option(False, "Profile the training: with CANN's profiler on an NPU, elsewhere as a timeline.", may_change=True,
        npu_key="profiling_mode", in_scripts="True")
    data_save_path: str = option("./profiling", "Folder of the profiles, and of dumps whose own folder is not given.", path=True, may_change=True,
        in_scripts="DIR")
    # Which frequencies no flag gave: they were fitted to the length of this run.
    fitted: Tuple[str, ...] = from_dataset((), may_change=True)

    # The fields that were on the command line; never saved.
    given: FrozenSet[str] = dataclasses.field(default=frozenset(), compare=False)
    # fmt: on

    def replace(self, **changes: Any) -> "Config":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def asks_for(self, name: str) -> bool:
        """Whether an option was given with another value than its default; a preset names all."""
        return name in self.given and getattr(self, name) != OPTIONS[name].default

    @property
    def run_dir(self) -> str:
        """The run's folder, `out_dir/out_name`."""
        return os.path.join(self.out_dir, self.out_name)

    @property
    def checkpoint_path(self) -> str:
        """The checkpoints' folder: under the run's folder unless given as an absolute path."""
        return os.path.join(self.run_dir, self.checkpoint_dir)

    @property
    def sample_path(self) -> str:
        """The images' folder: under the run's folder unless given as an absolute path."""
        return os.path.join(self.run_dir, self.sample_dir)

    @property
    def options_path(self) -> str:
        """The run's FLAGS.json."""
        return os.path.join(self.run_dir, OPTIONS_FILE)

    @property
    def jobs(self) -> List[str]:
        """The options that ask for something of a trained run, in their order."""
        return [name for name, each in OPTIONS.items() if each.declared.job and getattr(self, name)]

    def default_name(self, now: Optional[datetime.datetime] = None) -> str:
        """A folder name without blanks, such as `mnist-28x28x1-z100-b64-20261124-093000`.

        The sizes must be filled in; `now` is the present moment by default.
        """
        dataset = "".join(c if c.isalnum() or c in "._" else "_" for c in self.dataset)
        dataset = dataset.lstrip("._") or "images"  # a hidden folder would not be found again
        return (
            f"{dataset}-{self.output_height}x{self.output_width}x{self.channels}-z{self.z_dim}"
            f"-b{self.batch_size}-{now or datetime.datetime.now():%Y%m%d-%H%M%S}"
        )

    def to_json(self) -> str:
        """The options as JSON text, one option a line, in the order of the fields."""
        return json.dumps(self.as_dict(), indent=1) + "\n"

    def as_dict(self) -> Dict[str, Any]:
        """The options by name, in the order of the fields."""
        return {name: getattr(self, name) for name in OPTIONS}

    def with_saved(self, saved: Dict[str, Any]) -> "Config":
        """The saved run's data, networks and training; jobs, folders and the rest are this config's."""
        return self.replace(**{name: saved[name] for name in RUN_OPTIONS if name in saved})

    def differences(self, saved: Dict[str, Any]) -> List[Tuple[str, Any, Any]]:
        """Options that would make another run of it, as [(name, saved value, asked value)]."""
        return [
            (name, saved[name], getattr(self, name))
            for name in RUN_OPTIONS
            if name in saved and saved[name] != getattr(self, name)
        ]


OPTIONS = options_of(Config)
# What must agree with the saved run when a run is resumed, sampled, evaluated or exported.
RUN_OPTIONS = tuple(name for name, each in OPTIONS.items() if not each.declared.may_change)
# May change, but for all ranks of a run at once: they must come to the same collectives together.
SAME_ON_ALL_RANKS = tuple(name for name, each in OPTIONS.items() if each.declared.same_on_all_ranks)
SET_BY_DATASET = tuple(name for name, each in OPTIONS.items() if not each.flag)
