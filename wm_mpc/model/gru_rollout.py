"""The rollout of `GruDynamics` as one differentiable operation, for planning with frozen weights.

A planner differentiates rollouts by their actions only, thousands of times a second. Its batches
are so small that the overhead of each tensor operation counts. So this module computes everything
that depends on actions alone in one product for all steps. It merges products that share an input,
and spells out the backward pass. The cell is that of Cho et al. 2014 (arXiv 1406.1078) in the exact
form of PyTorch's `GRUCell`. Values and gradients are those of `GruDynamics.step`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wm_mpc.model.dynamics import GruDynamics

_silu_backward = torch.ops.aten.silu_backward
_sigmoid_backward = torch.ops.aten.sigmoid_backward


@dataclasses.dataclass(frozen=True)
class FusedWeights:
    """The weights of a `GruDynamics`, merged by input and transposed, for `x @ weight + bias`.

    Gates are in the order reset, update, new. "change" is the latent size, plus one for the gate of
    the scene if there is one. The linear path adds nothing to that gate.

    Attributes:
        from_latent: (latent, hidden + change), embedding and linear path.
        from_action: (block, hidden + change), embedding and linear path.
        action_bias: (hidden + change,).
        from_embedding: (hidden, 3 hidden), input gates.
        embedding_bias: (3 hidden,).
        from_hidden: (hidden, 4 hidden), first layer of the head, and hidden gates.
        hidden_bias: (4 hidden,).
        from_head: (hidden, change), last layer of the head.
        gated: Number of coordinates behind the gate; 0 without a gate.
    """

    from_latent: Tensor
    from_action: Tensor
    action_bias: Tensor
    from_embedding: Tensor
    embedding_bias: Tensor
    from_hidden: Tensor
    hidden_bias: Tensor
    from_head: Tensor
    gated: int

    @classmethod
    @torch.no_grad()
    def of(cls, dynamics: GruDynamics) -> FusedWeights:
        """Merge the weights of a dynamics.

        Args:
            dynamics: The dynamics.
        """
        embed = _linear(dynamics.embed[0])
        first, last = _linear(dynamics.head[0]), _linear(dynamics.head[2])
        cell, size = dynamics.cell, dynamics.linear.out_features
        linear = dynamics.linear.weight
        if dynamics.gated:
            linear = torch.cat([linear, torch.zeros_like(linear[:1])])
        inputs = torch.cat([embed.weight, linear])
        return cls(
            inputs[:, :size].T.contiguous(),
            inputs[:, size:].T.contiguous(),
            torch.cat([embed.bias, last.bias]),
            cell.weight_ih.T.contiguous(),
            cell.bias_ih.clone(),
            torch.cat([first.weight, cell.weight_hh]).T.contiguous(),
            torch.cat([first.bias, cell.bias_hh]),
            last.weight.T.contiguous(),
            dynamics.gated,
        )


def _linear(layer: nn.Module) -> nn.Linear:
    assert isinstance(layer, nn.Linear)
    return layer


def fused_rollout(weights: FusedWeights, latent: Tensor, hidden: Tensor, actions: Tensor) -> Tensor:
    """Predict latents. Only differentiable by the actions.

    Args:
        weights: The merged weights.
        latent: (batch, latent size).
        hidden: (batch, hidden).
        actions: Normalised action blocks, (batch, horizon, block size).

    Returns:
        Latents (batch, horizon, latent size).
    """
    result: Tensor = _Rollout.apply(weights, latent, hidden, actions)
    return result


class _Rollout(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weights: FusedWeights, latent: Tensor, hidden: Tensor, actions: Tensor
    ) -> Tensor:
        w, size = weights, hidden.shape[1]
        batch, horizon, block = actions.shape
        flat = actions.transpose(0, 1).reshape(horizon * batch, block)
        from_actions = torch.addmm(w.action_bias, flat, w.from_action).view(horizon, batch, -1)
        gates = torch.addmm(w.hidden_bias[size:], hidden, w.from_hidden[:, size:])
        latents, saved = [], []
        for step in range(horizon):
            inputs = torch.addmm(from_actions[step], latent, w.from_latent)
            before_embedding = inputs[:, :size]
            new = torch.addmm(w.embedding_bias, functional.silu(before_embedding), w.from_embedding)
            switches = (new[:, : 2 * size] + gates[:, : 2 * size]).sigmoid_()
            reset, update = switches[:, :size], switches[:, size:]
            recalled = gates[:, 2 * size :]
            candidate = torch.addcmul(new[:, 2 * size :], reset, recalled).tanh_()
            previous, hidden = hidden, torch.lerp(candidate, hidden, update)
            outputs = torch.addmm(w.hidden_bias, hidden, w.from_hidden)
            before_head, gates = outputs[:, :size], outputs[:, size:]
            change = torch.addmm(inputs[:, size:], functional.silu(before_head), w.from_head)
            if w.gated:
                gate = change[:, -1:].sigmoid()
                scene, state = change[:, : w.gated], change[:, w.gated : -1]
                latent = latent + torch.cat([scene * gate, state], 1)
            else:
                latent = latent + change
            latents.append(latent)
            saved.append(
                (before_embedding, switches, candidate, previous, recalled, before_head, change)
            )
        ctx.weights, ctx.saved, ctx.sizes = weights, saved, (batch, horizon, block, size)
        return torch.stack(latents, 1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[None, None, None, Tensor]:
        w, (batch, horizon, block, size) = ctx.weights, ctx.sizes
        slope = slopes[0].transpose(0, 1)
        width = w.from_latent.shape[1]
        to_inputs = slope.new_empty(horizon, batch, width)
        to_outputs = slope.new_zeros(batch, 4 * size)
        to_gates = slope.new_empty(batch, 3 * size)
        kept = slope.new_zeros(batch, size)  # gradient that passes the gates to the hidden state
        to_latent = slope[horizon - 1]
        for step in range(horizon - 1, -1, -1):
            before_embedding, switches, candidate, previous, recalled, before_head, change = (
                ctx.saved[step]
            )
            reset, update = switches[:, :size], switches[:, size:]
            inputs = to_inputs[step]
            to_change = inputs[:, size:]
            if w.gated:
                gate = change[:, -1:].sigmoid()
                to_scene, to_state = to_latent[:, : w.gated], to_latent[:, w.gated :]
                torch.mul(to_scene, gate, out=to_change[:, : w.gated])
                to_change[:, w.gated : -1] = to_state
                to_gate = (to_scene * change[:, : w.gated]).sum(1, keepdim=True)
                _sigmoid_backward.grad_input(to_gate, gate, grad_input=to_change[:, -1:])
            else:
                to_change[:] = to_latent
            to_outputs[:, :size] = _silu_backward(to_change @ w.from_head.T, before_head)
            to_hidden = torch.addmm(kept, to_outputs, w.from_hidden.T)
            kept = to_hidden * update
            to_candidate = to_gates[:, 2 * size :]
            torch.mul(to_hidden - kept, 1.0 - candidate * candidate, out=to_candidate)
            to_switches = torch.cat(
                [to_candidate * recalled, to_hidden * (previous - candidate)], 1
            )
            _sigmoid_backward.grad_input(to_switches, switches, grad_input=to_gates[:, : 2 * size])
            to_outputs[:, size : 3 * size] = to_gates[:, : 2 * size]
            torch.mul(to_candidate, reset, out=to_outputs[:, 3 * size :])
            _silu_backward.grad_input(
                to_gates @ w.from_embedding.T, before_embedding, grad_input=inputs[:, :size]
            )
            to_latent = torch.addmm(to_latent, inputs, w.from_latent.T)
            if step:
                to_latent += slope[step - 1]
        flat = to_inputs.view(horizon * batch, width) @ w.from_action.T
        return None, None, None, flat.view(horizon, batch, block).transpose(0, 1)
