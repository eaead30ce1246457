"""Studies: which policies survive which conditions, as trials, rows and a folder that holds them."""

from sim2real.study.document import open_study
from sim2real.study.replay import replay
from sim2real.study.runner import run
from sim2real.study.store import Store, merge
from sim2real.study.study import NOMINAL, Cell, Reference, Study
from sim2real.study.trial import Trial

__all__ = ["NOMINAL", "Cell", "Reference", "Store", "Study", "Trial", "merge", "open_study", "replay", "run"]
