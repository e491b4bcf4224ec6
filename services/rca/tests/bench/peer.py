"""One peer on one file, in a process of its own: peer.py METHOD FILE. Prints JSON with its processor
seconds, reading left out. Methods: pc, fci, ges, lingam (causal-learn), pcmci (tigramite), granger (RCAEval), and the scorers
nsigma, baro, circa (RCAEval; FILE has a column time, the incident begins at 600); pc-chisq writes the
matrix of the graph, too."""
import importlib
import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")
import numpy as np
import pandas as pd

ALPHA, LAG, INJECT = 0.01, 3, 600


def pc(x, frame):
    from causallearn.search.ConstraintBased.PC import pc as run
    run(x, ALPHA, "fisherz", show_progress=False)


def pc_chisq(x, frame):
    from causallearn.search.ConstraintBased.PC import pc as run
    g = run(x, 0.05, "chisq", stable=True, uc_rule=0, uc_priority=2, depth=3, show_progress=False)
    return g.G.graph.tolist()


def fci(x, frame):
    from causallearn.search.ConstraintBased.FCI import fci as run
    run(x, "fisherz", ALPHA, show_progress=False, verbose=False)


def ges(x, frame):
    from causallearn.search.ScoreBased.GES import ges as run
    run(x, "local_score_BIC")


def lingam(x, frame):
    from causallearn.search.FCMBased.lingam import DirectLiNGAM
    DirectLiNGAM().fit(x)


def pcmci(x, frame):
    from tigramite import data_processing
    from tigramite.independence_tests.parcorr import ParCorr
    from tigramite.pcmci import PCMCI
    run = PCMCI(dataframe=data_processing.DataFrame(x), cond_ind_test=ParCorr(), verbosity=0)
    run.run_pcmci(tau_min=1, tau_max=LAG, pc_alpha=0.2, alpha_level=ALPHA)


def granger(x, frame):
    from RCAEval.graph_construction.granger import granger as run
    run(frame, maxlag=LAG, p_val_threshold=ALPHA, test="ssr_ftest")


def scorer(name):
    def run(x, frame):
        where = importlib.import_module("RCAEval.e2e" if name == "nsigma" else "RCAEval.e2e." + name)
        getattr(where, name)(frame, inject_time=INJECT, dataset="sock-shop")
    return run


# What a method imports is read before its time counts.
MODULES = {"pc": "causallearn.search.ConstraintBased.PC", "pc-chisq": "causallearn.search.ConstraintBased.PC",
           "fci": "causallearn.search.ConstraintBased.FCI", "ges": "causallearn.search.ScoreBased.GES",
           "lingam": "causallearn.search.FCMBased.lingam", "pcmci": "tigramite.pcmci",
           "granger": "RCAEval.graph_construction.granger", "nsigma": "RCAEval.e2e", "baro": "RCAEval.e2e.baro",
           "circa": "RCAEval.e2e.circa"}
METHODS = {"pc": pc, "pc-chisq": pc_chisq, "fci": fci, "ges": ges, "lingam": lingam, "pcmci": pcmci,
           "granger": granger, **{n: scorer(n) for n in ("nsigma", "baro", "circa")}}

if __name__ == "__main__":
    method, path = sys.argv[1:3]
    frame = pd.read_csv(path)
    x = np.ascontiguousarray(frame.to_numpy(dtype=float))
    if method == "pc-chisq":
        x = x.astype(int)
    importlib.import_module(MODULES[method])
    begin = time.process_time()
    graph = METHODS[method](x, frame)
    print(json.dumps({"seconds": time.process_time() - begin, "graph": graph}))
