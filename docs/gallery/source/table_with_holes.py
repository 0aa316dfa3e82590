# %% [markdown]
# # A table with holes and words
#
# **The problem.** A CSV file as people send it: words, numbers, empty cells. We want to fill the holes, to find the
# rows that are strange and say why, and to have a few numbers for each row for whatever comes next.
#
# The table is the passenger list of the Titanic: 891 people, ages missing for a fifth of them.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from isthmus import AnomalyDetector, AutoEncoder, Imputer

path = Path(os.environ.get("ISTHMUS_DATA", "data")) / "tables" / "titanic.csv"
if not path.exists():
    raise SystemExit(f"This notebook needs {path.name}: set ISTHMUS_DATA to a folder that holds tables/{path.name}")
columns = ["pclass", "sex", "age", "sibsp", "parch", "fare", "embarked", "alive"]
people = pd.read_csv(path)[columns]
people["pclass"] = people["pclass"].map({1: "first", 2: "second", 3: "third"})
people.isna().sum()[lambda holes: holes > 0]

# %% [markdown]
# ## Fill the holes
#
# `Imputer` hides cells that are known, and learns to find them from the others in the row. So it can say how well it
# does before you trust it. Look at `simple`: what the mean or the commonest word would have reached.

# %%
imputer = Imputer(epochs=40, random_state=0).fit(people)
found = [{"column": r.column, "kind": r.kind, "found": r.ours, "simple": r.simple} for r in imputer.recovery_]
pd.DataFrame(found).round(2)

# %% [markdown]
# For numbers the figures are errors in standard deviations: less is better, and the mean has 1. For words they are
# shares that are right: more is better. Fares are found well, class, sex and survival clearly better than by guessing.
# **The port of embarkation is hardly found better than by always saying Southampton**, and ages only a little better
# than by their mean. The doubt of each filled cell says the same: give or take 13 years.

# %%
filled, doubt = imputer.transform(people, return_std=True)
holes = people["age"].isna()
print(f"{filled['age'].isna().sum()} ages missing now, {holes.sum()} before")
few = people[holes].head(5)
few.assign(filled=filled.loc[few.index, "age"], give_or_take=doubt[few.index, columns.index("age")].round())

# %% [markdown]
# ## Strange rows, explained
#
# The detector learns what goes together, and names the cells that do not.

# %%
detector = AnomalyDetector(contamination="unknown", epochs=30, random_state=0).fit(people)
parts = detector.explain(people)
strangest = people.loc[detector.score_samples(people).argsort()[:6]]
cells = parts.scores.loc[strangest.index].idxmax(axis=1)
expected = [parts.expected.at[row, cell] for row, cell in cells.items()]
strangest.assign(strange_cell=cells, expected=expected)

# %% [markdown]
# No rule was written, and these are real stories. A girl of two years and a woman of 25 travelled first class and
# died, where nearly all girls and women of that class were saved; their fares of 151.55, and that of a boy of eleven
# months, show one family. A boy of third class lived, where most died. Somebody paid 512.
#
# ## Four numbers for each row
#
# The model does not get to see who survived, so that we can ask afterwards what the codes are worth.

# %% thumbnail
inputs, survived = people.drop(columns="alive"), people["alive"] == "yes"
model = AutoEncoder(latent_dim=4, epochs=50, random_state=0).fit(inputs)
codes = model.transform(inputs)
centred = codes - codes.mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for axis, column in zip(axes, ("pclass", "sex"), strict=True):
    for color, (value, group) in zip(("#12897d", "#d9622b", "#366afe"), people.groupby(column), strict=False):
        axis.scatter(*plane[group.index].T, s=10, alpha=0.6, color=color, label=value)
    axis.set_title(f"codes, coloured by {column}", fontsize=10)
    axis.legend(fontsize=9)
plt.show()

# %% [markdown]
# The codes have no holes and no words: any model takes them. Whether they help is another question. A logistic
# regression says whether somebody survived:

# %%
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

words, numbers = ["pclass", "sex", "embarked"], ["age", "sibsp", "parch", "fare"]
whole = make_column_transformer(
    (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), words),
    (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
)
judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
for name, features in {
    "all columns, one-hot": whole.fit_transform(inputs),
    "PCA of these, 4 numbers": PCA(4, random_state=0).fit_transform(whole.fit_transform(inputs)),
    "isthmus, 4 numbers": codes,
}.items():
    print(f"{name:24} {cross_val_score(judge, features, survived, cv=10).mean():.1%} right")

# %% [markdown]
# Four numbers of the auto-encoder hold more of it than four of PCA, and **all columns hold most**: no code knows more
# than the table. Codes are for what needs few numbers without holes: maps, neighbours, clusters, large tables.
