"""An Ascend NPU, through CANN's adapter for TensorFlow 1.15."""

import os
from typing import Any, Callable, List, Tuple

import tensorflow.compat.v1 as tf

from config import OPTIONS, Config
from devices import adapter, mixlist, npu_keys, npu_options, rank_table
from devices.base import Device
from devices.ranks import Ranks, open_hccl_ranks
from options import UserError


class NpuDevice(Device):
    """An Ascend NPU. Everything that its session is told stands in `devices.npu_options`."""

    kind = "npu"
    noun = "an NPU"
    profiles_itself = True

    def __init__(self, config: Config) -> None:
        """See `Device.__init__`; also makes the folders that the device writes to."""
        self._process = rank_table.read(os.environ)
        if self._process.device_id is not None:
            if config.session_device_id is not None:
                raise UserError(
                    f"--session_device_id: not together with RANK_SIZE={self._process.size}; the rank "
                    "table says which device a rank uses"
                )
            os.environ["ASCEND_DEVICE_ID"] = str(self._process.device_id)
        _refuse_unknown(config)
        self._mixlist = _mixlist_of(config)
        self._deterministic = config.deterministic == "on" or (
            config.deterministic == "auto" and _is_seeded(config) and adapter.knows("deterministic")
        )
        npu_options.make_folders(config)
        self.loss_scale = npu_options.loss_scale_of(config)
        self.steps_per_loop = config.iterations_per_loop
        super().__init__(config)

    @classmethod
    def why_missing(cls) -> str:
        """See `Device.why_missing`."""
        try:
            adapter.load()
        except ImportError as error:
            return f"no NPU adapter: {error}"
        return ""

    def describe(self, reason: str) -> str:
        """See `Device.describe`; no other device is preferred to an NPU."""
        del reason
        hint = loop = ""
        if self._mixlist == npu_options.DEFAULT_MIXLIST:
            hint = " (MatMulV2 in float32; --modify_mixlist=off goes without)"
        if self.steps_per_loop > 1:
            loop = (
                f", {self.steps_per_loop} steps a run (single ones up to the first multiple and "
                "after the last)"
            )
        mode = f"--precision_mode={self._config.precision_mode}"
        if self._config.precision_mode_v2 is not None:
            mode = f"--precision_mode_v2={self._config.precision_mode_v2}"
        return (
            f"NPU, {mode}, "
            f"mixlist {self._mixlist or 'none'}{hint}, loss scale {self.loss_scale}{loop}"
        )

    def notes(self) -> List[str]:
        """See `Device.notes`."""
        notes = list(self._process.warnings) if self._process.rank == 0 else []
        if npu_options.mode_of(self._config) == "must_keep_origin_dtype":
            notes.append(
                "--precision_mode=must_keep_origin_dtype: an Ascend 910 has no float32 convolution, "
                "so the device may refuse the networks"
            )
        return notes + [
            f"--{name}: has no effect without --{switch}"
            for name, switch in _switched_off(self._config)
        ]

    def open_ranks(self) -> Ranks:
        """See `Device.open_ranks`."""
        return open_hccl_ranks()

    def loop(self, session: tf.Session, train_op: tf.Operation) -> tf.Operation:
        """See `Device.loop`."""
        if self.steps_per_loop == 1:
            return train_op
        return adapter.loop(session, train_op, steps=self.steps_per_loop)

    def _build_session_config(self) -> tf.ConfigProto:
        proto = super()._build_session_config()
        parameters = npu_options.parameters(
            self._config, mixlist_path=self._mixlist, deterministic=self._deterministic
        )
        adapter.configure(proto, parameters)
        return proto

    def _scale_loss(
        self, optimizer: tf.train.Optimizer, *, distributed: bool
    ) -> Tuple[tf.train.Optimizer, Callable[[], Any]]:
        return adapter.scale_loss(optimizer, self.loss_scale, distributed=distributed)


def _is_seeded(config: Config) -> bool:
    """Whether a seed was given, now or when the run that is to be resumed began."""
    is_resumed = bool(config.out_name) and os.path.isfile(config.options_path)
    return config.seed is not None or config.resume or is_resumed


def _switched_off(config: Config) -> List[Tuple[str, str]]:
    """[(name, switch)] of the options that were given without the one that they need.

    Not those of a folder: the launch scripts always give them.
    """
    return [
        (name, option.declared.switch)
        for name, option in OPTIONS.items()
        if name in config.given
        and option.declared.npu_only
        and option.declared.switch
        and not option.declared.path
        and not getattr(config, option.declared.switch)
    ]


def _refuse_unknown(config: Config) -> None:
    """Raises `UserError` for an option that this release of the adapter would silently ignore."""
    asked = {
        "modify_mixlist": config.modify_mixlist not in (None, npu_options.OFF),
        "deterministic": config.deterministic == "on",
        **dict.fromkeys(npu_keys.sent_as_given(config), True),
    }
    for option, is_asked in asked.items():
        if is_asked and not adapter.knows(option):
            raise UserError(f"--{option}: this release of the NPU adapter does not know it")
    for key, _, _ in npu_keys.parse(config.npu_option):
        if not adapter.knows(key):
            raise UserError(f"--npu_option: this release of the NPU adapter does not know {key}")


def _mixlist_of(config: Config) -> str:
    """The checked mixlist that this release of the adapter takes in this mode, or ""."""
    path = npu_options.mixlist_of(config)
    if not path or not adapter.knows("modify_mixlist"):
        return ""
    if npu_options.mode_of(config) != npu_options.MIXED and not adapter.knows("precision_mode_v2"):
        if config.modify_mixlist is None:
            return ""
        raise UserError(
            "--modify_mixlist: this release of the NPU adapter takes it with "
            f"--precision_mode={npu_options.MIXED} only"
        )
    mixlist.check(path)
    return path
