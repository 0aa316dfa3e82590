"""What models take and give, by the names of tensors: one class for each thing that models can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from isthmus.anomalies.drift import Drift, DriftMonitor
from isthmus.data.columns import TableSchema
from isthmus.data.frames import as_table, is_frame
from isthmus.data.table_scaling import TableScaler
from isthmus.errors import IsthmusError, unknown_name
from isthmus.registry import estimators
from isthmus.serving.http.tensors import DATATYPES, datatype_of

INPUT, CODE = "input", "code"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that a model takes or gives. datatype : the protocol's name. shape : -1 where any number will do."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Served(ABC):
    """A model under the name and the version that requests call it by.

    schema : of tables with columns of any kind, which come as a tensor a column; None for arrays. inputs : what can be
    given, each as one or several tensors. outputs : what each of the inputs can be turned into; a frame is one tensor
    for each column, called OUTPUT.COLUMN. batches : whether rows of several requests may be computed together. drift :
    whether rows still are like those that a detector learned from, as far as is known.
    """

    can: ClassVar[str]  # what models of this kind can do, as `registry.estimators` calls it
    batches = True
    drift: Drift | None = None

    def __init__(self, name: str, version: str, model: Any) -> None:
        self.name, self.version, self.model = name, version, model
        self.kind = estimators.of(model).name
        self.schema = self._schema()
        self.inputs = self._inputs()
        self.outputs = {given: self._outputs(given) for given in self.inputs}

    @abstractmethod
    def _inputs(self) -> Mapping[str, Sequence[TensorSpec]]:
        """See `inputs`."""

    @abstractmethod
    def _outputs(self, given: str) -> Sequence[TensorSpec]:
        """See `outputs`."""

    @abstractmethod
    def _functions(self, given: str) -> Mapping[str, Callable[[Any], Any]]:
        """What computes each of the outputs."""

    def compute(self, given: str, rows: Any, wanted: Iterable[str]) -> dict[str, Any]:
        """The outputs of rows: arrays of as many rows, or Arrow tables."""
        functions = self._functions(given)
        found = {name: functions[name](rows) for name in wanted}
        return {name: as_table(value) if is_frame(value) else value for name, value in found.items()}

    def wanted(self, given: str, names: Iterable[str]) -> dict[str, list[str]]:
        """Names of outputs, with the tensors that a request wants of each; all where it names none."""
        known = [spec.name for spec in self.outputs[given]]
        found: dict[str, list[str]] = {}
        for name in list(names) or known:
            of_base = [tensor for tensor in known if tensor.partition(".")[0] == name]
            if name not in known and not of_base:
                raise unknown_name(f"output of {self.name!r} for {given!r}", name[:60], known)
            found.setdefault(name.partition(".")[0], []).extend([name] if name in known else of_base)
        return found

    def _schema(self) -> TableSchema | None:
        return None

    def _columns(self, prefix: str = "") -> list[TensorSpec]:
        assert self.schema is not None
        return [TensorSpec(prefix + field.name, _column_type(field.type), (-1,)) for field in self.schema.arrow]


class ServedEncoder(Served):
    """A model that encodes and decodes."""

    can = "encode"

    def _inputs(self) -> Mapping[str, Sequence[TensorSpec]]:
        code = TensorSpec(CODE, "FP32", (-1, *self.model.code_shape_))
        return {INPUT: self._samples(INPUT, ""), CODE: [code]}

    def _outputs(self, given: str) -> Sequence[TensorSpec]:
        rebuilt = self._samples("reconstruction", "reconstruction.")
        if given == CODE:
            return rebuilt
        score = TensorSpec("score", "FP32" if self.schema is None else "FP64", (-1,))
        return [TensorSpec(CODE, "FP32", (-1, *self.model.code_shape_)), *rebuilt, score]

    def _functions(self, given: str) -> Mapping[str, Callable[[Any], Any]]:
        model = self.model
        if given == CODE:
            return {"reconstruction": model.decode}
        return {CODE: model.encode, "reconstruction": model.reconstruct, "score": model.score_samples}

    def _schema(self) -> TableSchema | None:
        scaler = self.model.scaler_
        return scaler.schema if isinstance(scaler, TableScaler) else None

    def _samples(self, name: str, prefix: str) -> list[TensorSpec]:
        if self.schema is not None:
            return self._columns(prefix)
        scaler = self.model.scaler_
        return [TensorSpec(name, datatype_of(np.dtype(scaler.dtype)), (-1, *scaler.sample_shape))]


class ServedDenoiser(Served):
    """A model that cleans."""

    can = "clean"

    def _inputs(self) -> Mapping[str, Sequence[TensorSpec]]:
        return {INPUT: [self._samples(INPUT, self._datatype)]}

    def _outputs(self, given: str) -> Sequence[TensorSpec]:
        return [self._samples("cleaned", self._datatype), self._samples("std", "FP32")]

    def compute(self, given: str, rows: Any, wanted: Iterable[str]) -> dict[str, Any]:
        if "std" not in wanted:
            return super().compute(given, rows, wanted)
        return dict(zip(("cleaned", "std"), self.model.denoise(rows, return_std=True), strict=True))  # at one go

    def _functions(self, given: str) -> Mapping[str, Callable[[Any], Any]]:
        return {"cleaned": self.model.denoise}

    @property
    def _datatype(self) -> str:
        return datatype_of(np.dtype(self.model.dtype_))

    def _samples(self, name: str, datatype: str) -> TensorSpec:
        spec = self.model.network_spec_
        channels = (spec.in_channels,) if spec.in_channels > 1 else ()
        return TensorSpec(name, datatype, (-1,) * (1 + spec.num_spatial_dims) + channels)


class ServedTable(Served):
    """A model of tables, whose columns have names, or of rows of numbers."""

    def _inputs(self) -> Mapping[str, Sequence[TensorSpec]]:
        return {INPUT: self._table(INPUT, "")}

    def _table(self, name: str, prefix: str) -> list[TensorSpec]:
        if self.schema is not None:
            return self._columns(prefix)
        return [TensorSpec(name, "FP64", (-1, self.model.n_features_in_))]

    def _named(self, schema: TableSchema | None) -> TableSchema | None:
        return schema if hasattr(self.model, "feature_names_in_") else None


class ServedImputer(ServedTable):
    """A model that fills holes."""

    can = "fill"

    def _outputs(self, given: str) -> Sequence[TensorSpec]:
        return self._table("filled", "filled.")

    def _functions(self, given: str) -> Mapping[str, Callable[[Any], Any]]:
        return {"filled": self.model.transform}

    def _schema(self) -> TableSchema | None:
        return self._named(self.model.schema_)


class ServedDetector(ServedTable):
    """A model that finds anomalies. The steps of a series belong together, and requests with such are never merged.

    drift : what a `DriftMonitor` has found so far in all rows that were asked about; None before, and of series.
    """

    can = "detect"

    def __init__(self, name: str, version: str, model: Any) -> None:
        super().__init__(name, version, model)
        self.batches = model.kind_ != "series"
        self._monitor = DriftMonitor(model) if self.batches else None

    def compute(self, given: str, rows: Any, wanted: Iterable[str]) -> dict[str, Any]:
        samples = self.model._open(rows)
        strangeness = self.model._strangeness(samples)  # (groups, n), which all outputs are computed from
        if self._monitor is not None:
            self.drift = self._monitor.follow(samples, strangeness)
        return super().compute(given, strangeness, wanted)

    def _outputs(self, given: str) -> Sequence[TensorSpec]:
        return [
            TensorSpec(*of) for of in (("score", "FP64", (-1,)), ("p_value", "FP64", (-1,)), ("anomaly", "BOOL", (-1,)))
        ]

    def _functions(self, given: str) -> Mapping[str, Callable[[Any], Any]]:
        def score(strangeness: np.ndarray) -> np.ndarray:
            scores: np.ndarray = -strangeness.mean(0, dtype=np.float64)
            return scores

        return {
            "score": score,
            "p_value": self.model.calibration_.p_values,
            "anomaly": lambda strangeness: ~(score(strangeness) >= self.model.offset_),
        }

    def _schema(self) -> TableSchema | None:
        return self._named(self.model.scorer_.schema)

    def _table(self, name: str, prefix: str) -> list[TensorSpec]:
        if self.model.kind_ not in ("images", "signals"):
            return super()._table(name, prefix)
        layout = self.model.scorer_.layout
        shape = layout.shape or (-1,) * (layout.num_spatial_dims + (layout.channels > 1))
        return [TensorSpec(name, datatype_of(np.dtype(layout.units.dtype)), (-1, *shape))]


class ServedCodec(Served):
    """A model that compresses: all images of a request into one archive."""

    can = "compress"
    batches = False

    def _inputs(self) -> Mapping[str, Sequence[TensorSpec]]:
        return {INPUT: [TensorSpec(INPUT, "UINT8", (-1, -1, -1))]}

    def _outputs(self, given: str) -> Sequence[TensorSpec]:
        return [TensorSpec("archive", "BYTES", (1,))]

    def _functions(self, given: str) -> Mapping[str, Callable[[Any], Any]]:
        def archive(rows: Any) -> np.ndarray:
            found = np.empty(1, object)
            found[0] = self.model.compress(rows)
            return found

        return {"archive": archive}


_KINDS: tuple[type[Served], ...] = (ServedEncoder, ServedDenoiser, ServedImputer, ServedDetector, ServedCodec)


def served(name: str, version: str, model: Any) -> Served:
    """A fitted model, ready to be asked.

    Raises IsthmusError for anything but an estimator of isthmus.
    """
    can = estimators.of(model).can
    kind = next((kind for kind in _KINDS if kind.can in can), None)
    if kind is None:
        raise IsthmusError(
            f"a {estimators.of(model).name} has nothing to serve; models that can: {', '.join(k.can for k in _KINDS)}"
        )
    return kind(name, version, model)


def _column_type(arrow: Any) -> str:
    """The datatype of a column; texts, dates and spans of time are BYTES."""
    import pyarrow as pa

    if pa.types.is_boolean(arrow):
        return "BOOL"
    name = str(arrow).replace("double", "FP64").replace("float", "FP32").upper()
    return name if name in DATATYPES else "BYTES"
