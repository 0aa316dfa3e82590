"""Encoders and decoders: plain torch modules that know no files and no training."""

from __future__ import annotations

from isthmus.networks.autoencoder import AutoEncoderNetwork, build, seeded
from isthmus.networks.blocks import Conv
from isthmus.networks.conv import ConvDecoder, ConvEncoder, default_channels
from isthmus.networks.dense import DenseDecoder, DenseEncoder, default_hidden
from isthmus.networks.own_modules import check_trainable, code_shape, load_stored_state, stored_state, wrap
from isthmus.networks.resample import resample
from isthmus.networks.restored import restored

__all__ = [
    "AutoEncoderNetwork",
    "Conv",
    "ConvDecoder",
    "ConvEncoder",
    "DenseDecoder",
    "DenseEncoder",
    "build",
    "check_trainable",
    "code_shape",
    "default_channels",
    "default_hidden",
    "load_stored_state",
    "resample",
    "restored",
    "seeded",
    "stored_state",
    "wrap",
]
