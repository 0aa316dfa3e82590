"""An evaluation of a code as rows of a table, as JSON, and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from isthmus.evaluation.page import Headline, Row, Section, Table, write_page
from isthmus.evaluation.representation import KINDS, Representation
from isthmus.evaluation.theme import number
from isthmus.files import write_text
from isthmus.remote.paths import as_path
from isthmus.words import count


def comparison(measured: Representation) -> list[Row]:
    """Everything that was measured of the code, of PCA and of the raw data; rows without a figure are left out."""
    return [Row(*row) for row in measured.rows()]


def samples_used(measured: Representation) -> str:
    """Which samples the figures come from, in a sentence."""
    fitted, judged = (
        f"{n:,} of {given:,}" if n < given else f"{n:,}"
        for n, given in zip((measured.fitted, measured.judged), measured.given, strict=True)
    )
    what = "PCA" if measured.labels is None else "PCA and probes"
    return f"{what} fitted on {fitted} samples, everything measured on {judged} others."


def write_evaluation(measured: Representation, folder: str | Path, *, title: str, origin: Mapping[str, str]) -> Path:
    """Write ``evaluation.json`` and ``evaluation.html`` with its figures into a folder; returns the page's path.

    origin : what was measured, by name: the model and the data.
    """
    from isthmus.evaluation.figures.features import feature_scores, feature_spectra

    folder = as_path(folder)
    write_text(folder / "evaluation.json", json.dumps({**origin, **measured.to_dict()}, indent=2) + "\n")
    plates = [plate for plate in (feature_scores(measured), feature_spectra(measured)) if plate is not None]
    return write_page(
        folder / "evaluation.html",
        title=title,
        data=origin.get("data", ""),
        lead=f"What a code of {count(measured.code.size, 'number')} is worth as features, beside PCA of the same size "
        f"and the raw data of {count(measured.raw.size, 'number')}",
        headlines=_headlines(measured),
        sections=[
            Section("Beside PCA and the raw data", table=Table(KINDS, comparison(measured))),
            Section("At a glance", plates),
            Section("What was measured", facts=origin),
        ],
        footer=f"{samples_used(measured)} In scaled units: what the network sees.",
    )


def _headlines(measured: Representation) -> list[Headline]:
    code, pca, raw = measured.code, measured.pca, measured.raw
    rows = []
    score = "R²" if measured.labels == "numbers" else "accuracy"
    for label, attribute in (("Linear probe", "linear_probe"), ("5 nearest neighbours", "nearest_neighbours")):
        ours, theirs, whole = (getattr(features, attribute) for features in (code, pca, raw))
        if ours is not None:
            detail = f"{score}; PCA {number(theirs)}, raw data {number(whole)}"
            rows.append(Headline(label, number(ours), "", detail))
    if code.trustworthiness is not None and code.continuity is not None:
        detail = f"of neighbourhoods of 15; continuity {number(code.continuity)}"
        rows.append(Headline("Trustworthiness", number(code.trustworthiness), "", detail))
    detail = f"of {count(code.size, 'number')}" + (f", {code.dead} of them dead" if code.dead else "")
    rows.append(Headline("Effective rank", number(code.effective_rank), "", detail))
    if len(rows) < 4 and code.reconstruction is not None and pca.reconstruction is not None:
        detail = f"{measured.error}; PCA {number(pca.reconstruction)}"
        rows.append(Headline("Reconstruction", number(code.reconstruction), "", detail))
    return rows
