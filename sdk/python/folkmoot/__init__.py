"""What the author of a Folkmoot plugin imports.

A plugin is one file, `plugin.py`, with a class that is its own settings:

    from folkmoot import Algorithm, f32, setting

    class HalfStep(Algorithm):
        \"\"\"A part of a step towards the mean of the clients.\"\"\"

        eta: f32 = setting(0.5, minimum=0.0, help="How large a part; 0.5 by default.")

        def aggregate(self, round, global_, updates, state):
            return global_ + self.eta * updates.mean()

Every call gets a fresh instance: what must last goes through `state`. A plugin sees no file, no network, no
clock and no environment; what it imports, it imports at the top of the file. Outside of WASM the same types are
plain values in memory (`folkmoot.testing`), so a plugin's unit tests run with `python -m unittest`.
"""

from .choices import Choice, Variant, Weighting
from .data import Dataset
from .evaluation import Answers, Observations, Questions, Scores
from .metric import Example, Generation, ScoreInfo
from .params import (
    Params,
    Writer,
    distances,
    gaussian,
    mean_near_median,
    median,
    pairwise_distances,
    trimmed_mean,
    weighted_sum,
)
from .plugin import Algorithm, BlockKernel, Metric, Partitioner
from .refusal import Refusal
from .run import Client, Message, Objective, Round, State, Training, Update, Updates, log, report
from .settings import setting
from .single import f32

__all__ = [
    "Algorithm",
    "Answers",
    "BlockKernel",
    "Choice",
    "Client",
    "Dataset",
    "Example",
    "Generation",
    "Message",
    "Metric",
    "Objective",
    "Observations",
    "Params",
    "Partitioner",
    "Questions",
    "Refusal",
    "Round",
    "ScoreInfo",
    "Scores",
    "State",
    "Training",
    "Update",
    "Updates",
    "Variant",
    "Weighting",
    "Writer",
    "distances",
    "f32",
    "gaussian",
    "log",
    "mean_near_median",
    "median",
    "pairwise_distances",
    "report",
    "setting",
    "trimmed_mean",
    "weighted_sum",
]
