# %% [markdown]
# # A sensor watched for drift
#
# **The problem.** A sensor writes a value every five minutes. Nobody knows what a fault will look like; only that some
# weeks were fine. We want an alarm when the signal stops being like that, and not a false one every week.
#
# The data are real: the temperature inside a large industrial machine over 79 days, from the Numenta Anomaly
# Benchmark. Its engineers marked the faults. Nothing is learned from their marks; they judge.

# %%
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from isthmus import AnomalyDetector, DriftMonitor

folder = Path(os.environ.get("ISTHMUS_DATA", "data")) / "nab"
name = "realKnownCause/machine_temperature_system_failure.csv"
if not (folder / "data" / name).exists():
    raise SystemExit(f"This notebook needs {name}: set ISTHMUS_DATA to a folder that holds nab/data/{name}")
machine = pd.read_csv(folder / "data" / name, parse_dates=["timestamp"])
faults = json.loads((folder / "labels" / "combined_windows.json").read_text())[name]
faults = [tuple(map(pd.Timestamp, window)) for window in faults]
print(f"{len(machine):,} values, {machine.value.min():.0f} to {machine.value.max():.0f} degrees")

# %% [markdown]
# ## Stretches of four hours are the samples
#
# Each has 48 values. What a machine does slowly shows in few numbers, which can also be explained to whoever has to go
# and look: level, spread, slope and roughness.


# %%
def stretches(hours):
    """Four numbers for each stretch of the signal, indexed by its beginning."""
    size = 12 * hours
    n = len(machine) // size
    values = machine["value"].to_numpy()[: n * size].reshape(n, size)
    quarter = size // 4
    numbers = {
        "level": values.mean(axis=1),
        "spread": values.std(axis=1),
        "slope": values[:, -quarter:].mean(axis=1) - values[:, :quarter].mean(axis=1),
        "roughness": np.abs(np.diff(values)).mean(axis=1),
    }
    return pd.DataFrame(numbers, index=machine["timestamp"].to_numpy()[: n * size : size])


rows = stretches(hours=4)
fine, later = rows["2013-12-19":"2014-01-09"], rows["2014-01-10":]
detector = AnomalyDetector(epochs=20, random_state=0).fit(fine)
print(f"learned from {len(fine)} stretches, {len(later)} to watch")

# %% [markdown]
# ## An alarm with a promise
#
# `DriftMonitor` bets against the claim that nothing has changed. `value` is what it has made of one unit of money. If
# nothing ever changes, the chance that it ever makes a hundred is at most `alpha` = 1 %, however long it watches.
# After an alarm somebody goes and looks, and the monitor starts anew.

# %%
monitor = DriftMonitor(detector, alpha=0.01)
value, alarms = [], []
for when, row in later.iterrows():
    drift = monitor.update(row.to_frame().T)
    value.append(drift.value)
    if drift.alarm:
        alarms.append(when)
        print(
            f"alarm on {when:%d %B at %H:%M}, after {drift.seen} stretches; what speaks most for it: {drift.strongest}"
        )
        monitor.reset()

# %% thumbnail
fig, axes = plt.subplots(2, 1, figsize=(10, 4.4), sharex=True)
axes[0].plot(machine["timestamp"], machine["value"], color="#1b2430", linewidth=0.5)
axes[0].set(ylabel="temperature", title="learned from the green part; orange is what the engineers marked")
axes[1].semilogy(later.index, value, color="#12897d")
axes[1].axhline(100, color="#5c6672", linewidth=0.8, linestyle="--")
axes[1].plot(alarms, [100] * len(alarms), "v", color="#a81b21", label="alarm")
axes[1].set_ylabel("value of the bet")
axes[1].legend(loc="upper left")
for axis in axes:
    axis.axvspan(fine.index[0], later.index[0], color="#12897d", alpha=0.12, linewidth=0)
    for a, b in faults:
        axis.axvspan(a, b, color="#d9622b", alpha=0.25, linewidth=0)
plt.show()

# %% [markdown]
# Almost eighteen quiet days without an alarm. The first comes within ten hours of the beginning of what the engineers
# marked on 27 January, and the next fault is found, too. Two alarms lie outside their marks: on 30 January, a day
# after the end of one, and on 14 February, when the machine is hotter than in the weeks that were learned from.
# Whether that is a fault is for somebody to say who knows the machine. It *is* a change.
#
# ## Which row, and why?
#
# The monitor says *that* something has changed. `explain` says what is strange about a stretch, and what would have
# been expected there.

# %%
strangest = later.iloc[detector.score_samples(later).argsort()[:4]]
parts = detector.explain(strangest)
pd.concat({"measured": strangest, "expected": parts.expected}, axis=1).round(1)

# %% [markdown]
# ## What the promise needs
#
# It holds where the order of normal samples tells nothing. Neighbouring stretches of a signal are alike, and the
# shorter they are, the more alike. With stretches of two hours the same monitor:

# %%
short = stretches(hours=2)
monitor = DriftMonitor(AnomalyDetector(epochs=20, random_state=0).fit(short["2013-12-19":"2014-01-09"]), alpha=0.01)
drift = monitor.update(short["2014-01-10":])
print(f"alarm on {short['2014-01-10':].index[drift.since]:%d %B at %H:%M}")

# %% [markdown]
# **That is a false alarm**, two weeks before the fault. Choose stretches so long that one says little about the next,
# and try it on weeks that were fine before you trust it. For steps of a series as they come,
# `AnomalyDetector(kind="series")` finds single faults; `isthmus watch` does the same with a stream on the command
# line.
