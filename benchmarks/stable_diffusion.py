"""Networks of Stable Diffusion 1.4's shape, of random weights, and the arithmetic of a preliminary mask."""

from __future__ import annotations

import torch
from fgbg_zoo_concept_distillation import tokens
from fgbg_zoo_concept_distillation.architecture import PipelineArchitecture
from fgbg_zoo_concept_distillation.architecture import TokenizerArchitecture
from fgbg_zoo_concept_distillation.pipeline import LatentDiffusion
from fgbg_zoo_concept_distillation.pipeline import build_parts
from fgbg_zoo_concept_distillation.pipeline import predict
from torch.utils.flop_counter import FlopCounterMode


def version_1_4() -> PipelineArchitecture:
    """All of it but the vocabulary: without merges every letter is a token."""
    tokenizer = TokenizerArchitecture(merges=())
    vocabulary = len(tokens.build_tokenizer(tokenizer))
    vae = {
        "sample_size": 512,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    }
    text_encoder = {
        "vocab_size": vocabulary,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }
    unet = {"sample_size": 64, "cross_attention_dim": 768}  # the rest is diffusers' default
    return PipelineArchitecture(unet=unet, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer)


def untrained(architecture: PipelineArchitecture, device: torch.device, dtype: torch.dtype) -> LatentDiffusion:
    """A pipeline of random weights, which are drawn on the device."""
    with torch.device(device):
        parts = build_parts(architecture)
    return LatentDiffusion(architecture, parts).to(dtype).eval().requires_grad_(False)


@torch.no_grad()
def operations(architecture: PipelineArchitecture, times: int) -> int:
    """Floating-point operations, two for a multiply-add, of a picture's encoder and so many of the U-Net's forwards."""
    meta = torch.device("meta")
    pipeline, size = untrained(architecture, meta, torch.float32), architecture.size
    latents = torch.empty(1, pipeline.channels, pipeline.side, pipeline.side, device=meta)
    context = pipeline.embed([tokens.prompt_of("bird")])
    with FlopCounterMode(display=False) as forward:
        predict(pipeline.unet, latents, torch.zeros(1, device=meta), context)
    with FlopCounterMode(display=False) as encoder:
        pipeline.encode(torch.empty(1, 3, size, size, device=meta))
    return times * int(forward.get_total_flops()) + int(encoder.get_total_flops())
