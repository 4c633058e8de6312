"""A pipeline in the shape of Stable Diffusion 1.x, of random weights and small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.architecture import TokenizerArchitecture
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion

WORDS = ["a", "photo", "of", "bird", "background", "human", "with", "arms", "and", "legs", "dog"]


def make_architecture(size: int = 64, length: int = 77, **unet: Any) -> PipelineArchitecture:
    """Stable Diffusion's, with four levels, sixteen layers of cross-attention and a latent factor of eight."""
    tokenizer = TokenizerArchitecture(merges=tokens.merges_of_words(WORDS), length=length)
    vocabulary = len(tokens.build_tokenizer(tokenizer))
    kinds = ["CrossAttn", "CrossAttn", "CrossAttn", ""]
    return PipelineArchitecture(
        size=size,
        unet={
            "sample_size": size // 8,
            "block_out_channels": [32, 64, 64, 64],
            "norm_num_groups": 8,
            "cross_attention_dim": 32,
            "attention_head_dim": 4,
            "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
            "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
            **unet,
        },
        vae={
            "block_out_channels": [32, 32, 64, 64],
            "norm_num_groups": 8,
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 1,
            "latent_channels": 4,
            "scaling_factor": 0.18215,
        },
        text_encoder={
            "vocab_size": vocabulary,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": length,
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
            "pad_token_id": vocabulary - 1,
        },
        tokenizer=tokenizer,
    )


@pytest.fixture(scope="session")
def architecture() -> Callable[..., PipelineArchitecture]:
    """Makes the architecture of a pipeline."""
    return make_architecture


@pytest.fixture(scope="session")
def pipeline() -> LatentDiffusion:
    """One that the tests do not change."""
    torch.manual_seed(0)
    return LatentDiffusion(make_architecture()).eval().requires_grad_(False)
