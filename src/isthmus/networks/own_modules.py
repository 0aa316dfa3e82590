"""The user's own modules as a network: copied together, checked with zeros, and their state for a file."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from isthmus.errors import IsthmusError
from isthmus.networks.autoencoder import AutoEncoderNetwork, bottleneck_for, seeded


def wrap(
    encoder: nn.Module,
    decoder: nn.Module,
    bottleneck: str,
    sample_shape: Sequence[int],
    output: str = "linear",
    seed: int = 0,
) -> AutoEncoderNetwork:
    """Copies of an encoder and a decoder as a network.

    They are copied together, so that weights which they share are shared by the copies, too. Lazy modules get their
    sizes here, and their weights from `seed`.

    bottleneck : its name. sample_shape : the shape of one sample, as the encoder sees it.

    Raises IsthmusError where they are no modules, cannot be copied or could not be saved.
    """
    for module in (encoder, decoder):
        if not isinstance(module, nn.Module):
            raise IsthmusError(f"encoder and decoder must be torch modules, not {_kind(module)}")
    _refuse_views(nn.ModuleDict({"encoder": encoder, "decoder": decoder}))
    try:
        encoder, decoder = copy.deepcopy((encoder, decoder))
    except Exception as error:  # whatever the modules hold
        raise IsthmusError(f"encoder and decoder cannot be copied: {_line(error)}") from error
    network = AutoEncoderNetwork(encoder, decoder, bottleneck_for(bottleneck, None, math.prod(sample_shape)), output)
    if any(is_lazy(tensor) for tensor in itertools.chain(network.parameters(), network.buffers())):
        with seeded(seed), torch.no_grad():
            code_shape(network.eval(), torch.zeros((1, *sample_shape)))
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise IsthmusError(f"the state {name} of a module is no tensor but {_kind(value)}, and could not be saved")
    return network


def _refuse_views(modules: nn.Module) -> None:
    """Refuse parameters that are views of one memory: a copy, or a move to a GPU, would take them apart."""
    places = []
    for name, value in modules.named_parameters():
        if not is_lazy(value) and value.numel():
            start = value.data_ptr()
            last = sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
            places.append((start, start + (last + 1) * value.element_size(), name))
    for (_, end, name), (start, _, other) in itertools.pairwise(sorted(places)):
        if start and start < end:
            raise IsthmusError(
                f"the parameters {name} and {other} of the modules share memory and are two: share the parameter "
                f"itself, as in decoder.weight = encoder.weight, and transpose it where it is used"
            )


def code_shape(network: AutoEncoderNetwork, x: Tensor) -> tuple[int, ...]:
    """The shape of one code, its numbers last, as a network in evaluation makes it of samples x (n, *sample).

    Raises IsthmusError where encoder and decoder do not fit the samples or each other.
    """
    with _naming("encoder", "samples", x):
        h = network.encoder(x)
    if not (isinstance(h, Tensor) and h.is_floating_point() and h.ndim >= 2 and len(h) == len(x)):
        raise IsthmusError(f"the encoder returns {_kind(h)} for {_kind(x)}; it must return floats (n, latent_dim)")
    z = network.bottleneck.encode(h)
    with _naming("decoder", "codes", z):
        rebuilt = network.decoder(z)
    if not (isinstance(rebuilt, Tensor) and rebuilt.is_floating_point() and rebuilt.shape == x.shape):
        raise IsthmusError(f"the decoder returns {_kind(rebuilt)} for {_kind(x)}; their shapes must be equal")
    return (*z.shape[2:], z.shape[1])


def check_trainable(network: nn.Module) -> None:
    """Refuse modules in which training would change nothing."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise IsthmusError("encoder and decoder have nothing to train: give at least one parameter with requires_grad")


def stored_state(module: nn.Module) -> dict[str, Tensor]:
    """A module's state for a file: a tensor that has several names, as shared weights do, under the first alone."""
    first: dict[int, str] = {}
    state = module.state_dict(keep_vars=True)
    return {name: value.detach() for name, value in state.items() if first.setdefault(id(value), name) == name}


def load_stored_state(module: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """The inverse of `stored_state`, for a module that is built alike.

    Raises IsthmusError where it has other weights, or shares others than the one that was stored.
    """
    first: dict[int, str] = {}
    whole = dict(stored)
    state = module.state_dict(keep_vars=True)
    for name, value in state.items():
        owner = first.setdefault(id(value), name)
        if owner not in stored:
            raise IsthmusError(f"the stored weights have no {name}: give the modules that the model was made of")
        if name != owner and name in stored and not torch.equal(stored[name], stored[owner]):
            raise IsthmusError(
                f"{owner} and {name} are one tensor in the modules and two in the stored weights: the model was "
                f"trained with them apart; give modules that do not share them"
            )
        if not is_lazy(value) and value.shape != stored[owner].shape:
            raise IsthmusError(
                f"{name} has shape {tuple(value.shape)} in the modules and {tuple(stored[owner].shape)} in the stored "
                f"weights: give the modules that the model was made of"
            )
        whole[name] = stored[owner]
    unknown = [name for name in stored if name not in state]
    if unknown:
        raise IsthmusError(f"the modules have no {unknown[0]}, which was stored: give those the model was made of")
    module.load_state_dict(whole)


@contextmanager
def _naming(part: str, what: str, given: Tensor) -> Iterator[None]:
    """What a module raises, in one line that says which module it was and what it was given."""
    try:
        yield
    except (IsthmusError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # modules of one's own raise what they like
        raise IsthmusError(
            f"the {part} does not take {what} of shape {tuple(given.shape[1:])}: {_line(error)}"
        ) from error


def _kind(value: Any) -> str:
    """A value in messages: shape and type of a tensor, else its class."""
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}"
    inside = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"a {type(value).__name__}{inside}"


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
