"""What a candidate would have achieved, from the logs of another policy: estimates with intervals, or no answer.

A logged choice says how probable it was under the policy that made it. Where the logs tried what the candidate would do
often enough, its value follows from them: by a model of the value (fitted Q evaluation), corrected by the weighted
errors that the model makes on the logs (doubly robust). Where they did not, nothing is said: effective sample size,
largest weight and the share of the candidate's choices that was never tried decide that, not the estimate.

Reading order: log.py (episodes as arrays), features.py (what the model sees), estimate.py (the estimators and when they
abstain), choices.py (the meta level's choices out of black boxes), command.py (`muster evaluate-offline`).
"""
