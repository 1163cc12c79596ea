"""Transformer dynamics: causal attention over the last model steps, each computed only once.

A token holds what is known of one model step: its latent and its action block. A rollout keeps keys
and values of the earlier tokens. So a predicted step costs one token, like a step of the GRU, and
not the whole sequence. The other dynamics is `GruDynamics` in `dynamics.py`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from wm_mpc.model.dynamics import Carry, begin_small, change_through_gate


class TransformerDynamics(nn.Module):
    """A pre-norm transformer that predicts the change of the latent in one model step.

    After Vaswani et al. 2017 (arXiv 1706.03762) and Xiong et al. 2020 (arXiv 2002.04745), with a
    linear path as in `GruDynamics`. A token knows how old another token is, but not its absolute
    place: each head has a learned bias per distance, which begins with the slopes of ALiBi (Press
    et al. 2022, arXiv 2108.12409). So the window can slide along any rollout, and the carry holds
    at most `context` - 1 tokens.

    Args:
        latent_size: Size of a latent.
        action_size: Size of an action block.
        hidden: Width, a multiple of `heads`.
        layers: Number of layers.
        heads: Number of attention heads.
        context: Number of tokens that a token attends to, itself included.
        gated: Number of coordinates behind the gate, as in `GruDynamics`.
    """

    def __init__(
        self,
        latent_size: int,
        action_size: int,
        hidden: int = 128,
        layers: int = 2,
        heads: int = 4,
        context: int = 5,
        gated: int = 0,
    ) -> None:
        super().__init__()
        self.context, self.gated = context, gated
        self.embed = nn.Linear(latent_size + action_size, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads, context) for _ in range(layers))
        self.head = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, latent_size + bool(gated))
        )
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        begin_small(last)
        self.linear = nn.Linear(latent_size + action_size, latent_size, bias=False)
        nn.init.zeros_(self.linear.weight)

    def start(self, latents: Tensor, actions: Tensor) -> Carry:
        """Process an observed history; see `Dynamics.start`.

        The carry is the newest latent (batch, latent size), whose action is unknown yet, then keys
        and values of every block, (batch, heads, tokens, hidden / heads).
        """
        cache = self._nothing(len(latents), latents)
        if actions.shape[1]:
            cache = self._attend(torch.cat([latents[:, :-1], actions], -1), cache)[1]
        return latents[:, -1], *cache

    def step(self, carry: Carry, action: Tensor) -> tuple[Carry, Tensor]:
        """Predict one model step; see `Dynamics.step`. Computes only the new token."""
        latent, *cache = carry
        token = torch.cat([latent, action], -1)[:, None]
        change, cache = self._attend(token, cache)
        latent = latent + change[:, 0]
        return (latent, *cache), latent

    def predict(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Predict the next latent of every step at once, without a cache.

        Args:
            latents: (batch, steps, latent size).
            actions: Action block of each step, (batch, steps, block size).

        Returns:
            (batch, steps, latent size).
        """
        tokens = torch.cat([latents, actions], -1)
        return latents + self._attend(tokens, self._nothing(len(latents), latents))[0]

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the matrices of the blocks; see `Dynamics.round_weights`."""
        for block in self.blocks:
            assert isinstance(block, Block)
            for layer in (block.project, block.merge, block.network[1], block.network[3]):
                assert isinstance(layer, nn.Linear)
                layer.weight.copy_(layer.weight.bfloat16())

    def _attend(self, tokens: Tensor, cache: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Change of the latent after each new token (batch, new, latent + block size), and the new
        cache."""
        x, kept = self.embed(tokens), []
        for number, block in enumerate(self.blocks):
            x, keys, values = block(x, cache[2 * number], cache[2 * number + 1])
            kept += [keys, values]
        return change_through_gate(self.head(x), self.linear(tokens), self.gated), kept

    def _nothing(self, batch: int, like: Tensor) -> list[Tensor]:
        """The cache before the first token."""
        block = self.blocks[0]
        assert isinstance(block, Block)
        empty = like.new_zeros(batch, block.heads, 0, block.head_size)
        return [empty] * (2 * len(self.blocks))


class Block(nn.Module):
    """Attention to the newest tokens, then a network; each adds to its input.

    Args:
        hidden: Width, a multiple of `heads`.
        heads: Number of attention heads.
        context: Number of tokens that a token attends to, itself included.
    """

    def __init__(self, hidden: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads, self.head_size, self.context = heads, hidden // heads, context
        self.before_attention = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, 3 * hidden)
        self.merge = nn.Linear(hidden, hidden)
        self.network = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, 2 * hidden), nn.SiLU(),
            nn.Linear(2 * hidden, hidden),
        )  # fmt: skip
        # Computed on the processor: on the device "meta", these operations import SymPy.
        slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1, device="cpu") / heads)
        bias = -slopes[:, None] * torch.arange(context, device="cpu")
        self.distance_bias = nn.Parameter(torch.empty(heads, context))
        with torch.no_grad():
            self.distance_bias.copy_(bias)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs of new tokens (batch, new, hidden), and the newest keys and values for the next
        token."""
        batch, new, hidden = x.shape
        parts = self.project(self.before_attention(x)).view(
            batch, new, 3, self.heads, self.head_size
        )
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        keys, values = torch.cat([keys, key], 2), torch.cat([values, value], 2)
        scores = query @ keys.transpose(-1, -2) / math.sqrt(self.head_size)
        seen = (scores + self._bias(new, keys.shape[2])).softmax(-1) @ values
        x = x + self.merge(seen.transpose(1, 2).reshape(batch, new, hidden))
        x = x + self.network(x)
        oldest = max(0, keys.shape[2] - (self.context - 1))
        return x, keys[:, :, oldest:], values[:, :, oldest:]

    def _bias(self, new: int, total: int) -> Tensor:
        """The bias on scores of the last `new` of `total` tokens, (heads, new, total).

        It is minus infinity for a token that is later, or too old.
        """
        if new == 1:  # a step of a rollout may see the whole cache
            return self.distance_bias[:, :total].flip(1)[:, None]
        place = torch.arange(total, device=self.distance_bias.device)
        distance = place[total - new :, None] - place
        visible = (distance >= 0) & (distance < self.context)
        bias = self.distance_bias[:, distance.clamp(0, self.context - 1)]
        return bias.masked_fill(~visible, -torch.inf)
