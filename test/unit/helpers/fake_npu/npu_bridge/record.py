"""What happened: a list of events, for the tests to look at.

Each is a dict with a `kind` and facts. Kinds:

    imported                the adapter was imported: release
    session_captured        a session without an NpuOptimizer was given one
    session                 a session ran for the first time: options (key -> value) and problems,
                            a list of lines: what the adapter would have passed over in silence
    aborted                 a bad value; the real adapter ends the process: reason
    manager                 a loss scale manager was made: name, values, problems
    optimizer               a loss scale optimizer was made: inner (class), distributed
    distributed             an optimizer was made to average: inner (class), problems
    check                   an overflow was looked for: number, network (scope), overflow
    set_iteration_per_loop  node, iterations, finalized (whether the graph was, before)
    sunk_run                a run of the looped node: iterations, fetches, fed (whether it had a feed)
    broadcast, allreduce    shape or names, fusion, fusion_id
"""

import json
import os

events = []


def note(kind, **facts):
    """Adds an event; to the file FAKE_NPU_RECORD too, if there is one."""
    event = dict(kind=kind, **facts)
    events.append(event)
    path = os.environ.get("FAKE_NPU_RECORD")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(event, default=str) + "\n")


def of(kind):
    """The events of one kind, oldest first."""
    return [event for event in events if event["kind"] == kind]
