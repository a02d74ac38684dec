"""What importing the adapter does to every session of the process."""

import tensorflow.compat.v1 as tf
from tensorflow.python.client import session as tf_session

from npu_bridge import device, options, record, release
from npu_bridge.estimator.npu import util
from npu_bridge.hccl import fusion_groups

_run = tf_session.BaseSession.run
_init = tf_session.Session.__init__
_ran = []
_checked = set()  # the fetches of sessions


def install():
    """Replaces the session's methods; `uninstall` puts them back."""
    tf_session.BaseSession.run = _watched_run
    if release.since(9):
        tf_session.Session.__init__ = _capturing_init


def uninstall():
    """TensorFlow as it was before."""
    tf_session.BaseSession.run = _run
    tf_session.Session.__init__ = _init


def _capturing_init(self, target="", graph=None, config=None):
    config = config or tf.ConfigProto()
    if options.npu_optimizer(config) is None:
        record.note("session_captured")
        added = config.graph_options.rewrite_options.custom_optimizers.add()
        added.name = "NpuOptimizer"
    _init(self, target, graph, config)


def _watched_run(self, fetches, feed_dict=None, options=None, run_metadata=None):
    if all(session is not self for session in _ran):
        _ran.append(self)
        _read_options(self)
    _check_fusion(self, fetches)
    loops = util.iterations_of(fetches, lambda tensor: _run(self, tensor))
    if loops > 1:
        names = [str(getattr(fetch, "name", fetch)) for fetch in tf.nest.flatten(fetches)]
        record.note("sunk_run", iterations=loops, fetches=names, fed=bool(feed_dict))
        for _ in range(loops - 1):
            _run(self, util.looped_node(fetches), feed_dict)
    return _run(self, fetches, feed_dict, options, run_metadata)


def _check_fusion(session, fetches):
    names = tuple(str(getattr(each, "name", each)) for each in tf.nest.flatten(fetches))
    if (id(session), names) not in _checked:
        fusion_groups.check(session.graph, fetches)
        _checked.add((id(session), names))


def _read_options(session):
    config = session._config
    if config is None or options.npu_optimizer(config) is None:
        return
    try:
        found, problems = options.read(config)
    except options.Aborted as reason:
        record.note("aborted", reason=str(reason))
        raise
    device.folded = not release.since(5) and any("folding" in problem for problem in problems)
    earlier = record.of("session")
    if earlier and earlier[0]["options"] != found:
        problems.append("options differ from those of the first session, which win")
    record.note("session", options=found, problems=problems)
