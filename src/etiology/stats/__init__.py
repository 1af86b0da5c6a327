"""Intervals, paired tests and the smallest effect a design could have found. Every number of a report comes from here.

1. ``effects``: a difference in any unit over scenarios and retrainings;
2. ``rates``: one rate: Wilson, exact, and over clusters;
3. ``pairs``: the same items before and after: a difference of rates, McNemar, sign-flips, families of tests;
4. ``planning``: how many trials or scenarios a question needs, and what a given number could show;
5. ``judges``: the rate of true labels, from a judge that errs;
6. ``ranks``: average precision;
7. ``sequential``: a test that may be looked at after every new cluster;
8. ``strata``: precision and recall of a threshold, from labels of a stratified sample.

Two ways of being wrong are kept apart, and both are counted:

1. *Scenarios* are written from templates. Those of one template (a cluster) agree with each other, so the cluster
   is resampled or sign-flipped whole, never the scenario.
2. *Seeds*: each row is one retraining. With two or three rows, resampling them is hopeless (three rows have two
   thirds of their variance left, and no tails), so their part comes from Student's t on the row means.

Rates and their differences are shares from 0 to 1, never percentages. All intervals are two-sided at 95 %.

scipy and statsmodels are imported where they are used: together they take seconds to load.
"""

from etiology.stats.effects import effect
from etiology.stats.judges import Corrected, prediction_powered, rogan_gladen
from etiology.stats.pairs import holm, mcnemar, paired_permutation, rate_difference
from etiology.stats.planning import (
    Spread,
    mde_of_difference,
    mde_of_effect,
    mde_of_rise,
    scenarios_for_difference,
    seeds_for_effect,
    spread,
    trials_for_rise,
    trials_for_width,
    trials_to_exclude,
)
from etiology.stats.ranks import average_precision, average_precision_interval
from etiology.stats.rates import ClusteredRate, clustered_rate, exact_interval, mde_of_rate, rate, upper_limit
from etiology.stats.sequential import bounds, e_value, least_rise
from etiology.stats.strata import Quality, qualities

__all__ = [
    "ClusteredRate",
    "Corrected",
    "Quality",
    "Spread",
    "average_precision",
    "average_precision_interval",
    "bounds",
    "clustered_rate",
    "e_value",
    "effect",
    "exact_interval",
    "holm",
    "least_rise",
    "mcnemar",
    "mde_of_difference",
    "mde_of_effect",
    "mde_of_rate",
    "mde_of_rise",
    "paired_permutation",
    "prediction_powered",
    "qualities",
    "rate",
    "rate_difference",
    "rogan_gladen",
    "scenarios_for_difference",
    "seeds_for_effect",
    "spread",
    "trials_for_rise",
    "trials_for_width",
    "trials_to_exclude",
    "upper_limit",
]
