"""The improved cross-entropy method (iCEM; Pinneri et al. 2020, arXiv 2008.06389)."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wm_mpc.planning.planner import (
    BestPlans,
    CostFunction,
    PlanResult,
    Stopwatch,
    costs_in_time,
)


@dataclasses.dataclass(frozen=True)
class ImprovedCrossEntropyPlanner:
    """`cem` with correlated noise, fewer samples in each iteration, and elites that stay.

    The first plans compete in the first iteration. They contain the shifted last plan and noisy
    copies of it, where the paper keeps several elites. The mean itself competes in the last
    iteration.

    Attributes:
        samples: Candidates in the first iteration.
        elites: Number of best candidates to which the Gaussian is fitted.
        iterations: Number of iterations.
        deviation: Initial standard deviation of normalised actions.
        colour: Exponent of the noise spectrum along the horizon (0: white; the paper uses 2 to 4
            for motions).
        decay: Factor by which the number of samples falls in each iteration, down to twice the
            elites.
        kept: Share of the elites that competes again in the next iteration.
        momentum: Share of the old mean and deviation that stays.
        smallest_deviation: Lower limit of the standard deviation.
    """

    samples: int = 128
    elites: int = 16
    iterations: int = 6
    deviation: float = 0.7
    colour: float = 2.0
    decay: float = 1.25
    kept: float = 0.3
    momentum: float = 0.1
    smallest_deviation: float = 0.02

    @torch.no_grad()
    def plan(
        self, cost: CostFunction, proposals: Tensor, *, budget: float, generator: torch.Generator
    ) -> PlanResult:
        """Search for the cheapest plan; see `Planner.plan`."""
        watch, best = Stopwatch(budget), BestPlans()
        proposals = proposals.detach().clamp(-1.0, 1.0)
        mean = proposals[0]
        deviation = torch.full_like(mean, self.deviation)
        elites = min(self.elites, self.samples)
        old = proposals[: self.samples]
        done = 0
        while done < self.iterations and (done == 0 or watch.fits_another()):
            count = max(round(self.samples * self.decay**-done), 2 * elites)
            noise = coloured_noise((count, *mean.shape), self.colour, generator)
            fresh = (mean + deviation * noise).clamp(-1.0, 1.0)
            if done == self.iterations - 1:
                fresh[0] = mean
            actions = torch.cat([old, fresh])  # the best known first, in case time runs out
            costs = costs_in_time(cost, actions, watch, is_first=done == 0)
            order = costs.argsort()[:elites]
            chosen = actions[order]
            best.update(chosen, costs[order])
            old = chosen[: max(1, round(self.kept * elites))]
            mean = torch.lerp(chosen.mean(0), mean, self.momentum)
            spread = chosen.std(0, correction=0).clamp(min=self.smallest_deviation)
            deviation = torch.lerp(spread, deviation, self.momentum)
            done += 1
        return best.result(complete=done == self.iterations, iterations=done, seconds=watch.seconds)


def coloured_noise(shape: tuple[int, ...], exponent: float, generator: torch.Generator) -> Tensor:
    """Draw Gaussian noise whose power falls with frequency^exponent (Timmer & Koenig 1995).

    Args:
        shape: Samples, horizon and action size.
        exponent: 0 for white noise.
        generator: Source of random numbers.

    Returns:
        (samples, horizon, action size), of standard deviation 1.
    """
    samples, horizon, size = shape
    frequency = torch.fft.rfftfreq(horizon)
    frequency[0] = 1.0 / horizon  # a constant is as likely as the slowest wave
    amplitude = frequency ** -(exponent / 2)
    white = torch.randn(2, samples, size, len(frequency), generator=generator)
    spectrum = torch.complex(white[0], white[1]) * amplitude
    # The first and the last frequency are real. They carry the power of both parts of the others.
    spectrum[..., 0] = white[0, ..., 0] * amplitude[0] * 2**0.5
    share = torch.full_like(amplitude, 2.0)
    share[0] = 1.0
    if horizon % 2 == 0 and horizon > 1:
        spectrum[..., -1] = white[0, ..., -1] * amplitude[-1] * 2**0.5
        share[-1] = 1.0
    power = (2.0 * share * amplitude.square()).sum()
    noise = torch.fft.irfft(spectrum, n=horizon) * horizon / power.sqrt()
    return noise.transpose(1, 2)
