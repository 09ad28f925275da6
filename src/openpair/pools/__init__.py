"""Who does many independent pieces of work: this process, processes of this machine or a cluster, by one interface.

A piece of work is a number and something that travels by pickling; its result depends on nothing else. So it does not
matter who computes it, in what order, or how often it is begun: one result per number is handed out. What is finished
is the caller's to keep: after an interruption it passes what is left.
"""

from openpair.pools.base import OnProgress, OpenWorker, Pool, Serial, WorkersDied, silent
from openpair.pools.parents import end_with_parent
from openpair.pools.processes import Processes
from openpair.pools.ray import LOCAL, Ray

__all__ = [
    "LOCAL",
    "OnProgress",
    "OpenWorker",
    "Pool",
    "Processes",
    "Ray",
    "Serial",
    "WorkersDied",
    "end_with_parent",
    "silent",
]
