// The cost of action sequences, and its gradient. The terms are those of planning/objective.py.
#pragma once

#include <cmath>
#include <limits>

#include "model.h"

namespace wm_mpc {

// One planning problem. Actions are normalised: (horizon * frame skip, action size).
struct Problem {
  const float *latent, *remembered;  // the start: (latent), and what else the dynamics carries
  const float *goal, *goal_state;  // goal_state is null if it does not count
  const float *state_weights, *step_weights;
  const float *committed, *largest_change, *previous;  // the last two: null without a rate limit
  // are_moves: the robot is moved by positions, and sequences hold moves (see GoalCost).
  int32_t horizon, action, committed_count, is_root, are_moves;
  int32_t tokens;  // of the history, for a transformer
  float action_weight, action_rate_weight, smoothing;
};

// Turns sequences into executable ones, in place (see GoalCost.bind). `moved` notes where the rate
// limit held an action back. The slope of that action then goes to the one before it.
inline void bind(const Problem& p, float* actions, int steps, uint8_t* moved) {
  const int size = p.action, first = std::min(p.committed_count, steps);
  if (first) std::memcpy(actions, p.committed, 4ll * first * size);
  if (!p.largest_change) return;
  for (int step = first; step < steps; ++step)
    for (int k = 0; k < size; ++k) {
      const float before = step ? actions[(step - 1) * size + k] : p.previous[k];
      if (p.are_moves) {
        const float wanted = before + actions[step * size + k] * p.largest_change[k];
        // NaN stays NaN.
        actions[step * size + k] = wanted > 1.0f ? 1.0f : wanted < -1.0f ? -1.0f : wanted;
        continue;
      }
      float& here = actions[step * size + k];
      const float change = here - before, limit = p.largest_change[k];
      const bool is_held = !(change <= limit && change >= -limit);
      if (moved) moved[step * size + k] = is_held;
      // NaN stays NaN, as in torch.minimum and torch.maximum.
      if (is_held) here = before + (change > limit ? limit : change < -limit ? -limit : change);
      else here = before + change;
    }
}

inline void bind_back(const Problem& p, float* slope, int steps, const uint8_t* moved) {
  const int size = p.action, first = std::min(p.committed_count, steps);
  if (p.are_moves) {
    // A position is the sum of all moves before it.
    for (int step = steps - 1; step >= first; --step)
      for (int k = 0; k < size; ++k) {
        if (step > first) slope[(step - 1) * size + k] += slope[step * size + k];
        slope[step * size + k] *= p.largest_change[k];
      }
  } else if (p.largest_change)
    for (int step = steps - 1; step >= first; --step)
      for (int k = 0; k < size; ++k)
        if (moved[step * size + k]) {
          if (step) slope[(step - 1) * size + k] += slope[step * size + k];
          slope[step * size + k] = 0.0f;
        }
  std::memset(slope, 0, 4ll * first * size);
}

// The embedding in which goals are compared, for all latents of a rollout at once.
struct GoalSpace {
  int rows, embedding_width, width, scene_width;
  float *embedded, *open_first, *first, *open_second, *second, *slope, *slope_second, *slope_first;
  float* slope_scene;

  void lay_out(const Model& m, int rows_, Memory& memory) {
    rows = rows_;
    embedding_width = padded(m.embedding);
    width = padded(m.width);
    scene_width = padded(m.scene);
    const int64_t n = rows;
    for (float** part : {&embedded, &slope}) *part = memory.take(n * embedding_width);
    for (float** part : {&open_first, &first, &open_second, &second, &slope_second, &slope_first})
      *part = memory.take(n * width);
    slope_scene = memory.take(n * scene_width);
  }
};

inline void embed(const Model& m, GoalSpace& g, const float* latents, int stride) {
  multiply(
      latents, stride, g.rows, m.goal_linear, g.embedded, g.embedding_width, m.goal_linear_bias, 0);
  multiply(latents, stride, g.rows, m.goal_first, g.first, g.width, m.goal_first_bias, 0);
  silu(g.first, g.open_first, g.first, g.rows * g.width);
  multiply(g.first, g.width, g.rows, m.goal_second, g.second, g.width, m.goal_second_bias, 0);
  silu(g.second, g.open_second, g.second, g.rows * g.width);
  // The bias of the linear path includes that of the last layer.
  multiply(
      g.second, g.width, g.rows, m.goal_last, g.embedded, g.embedding_width, g.embedded,
      g.embedding_width);
}

// Computes `slope_scene` from `slope`, the slopes of the embedded scenes.
inline void embed_back(const Model& m, GoalSpace& g) {
  multiply(
      g.slope, g.embedding_width, g.rows, m.goal_last_back, g.slope_second, g.width, nullptr, 0);
  silu_backward(g.slope_second, g.open_second, g.second, g.rows * g.width);
  multiply(g.slope_second, g.width, g.rows, m.goal_second_back, g.slope_first, g.width, nullptr, 0);
  silu_backward(g.slope_first, g.open_first, g.first, g.rows * g.width);
  multiply(
      g.slope_first, g.width, g.rows, m.goal_first_back, g.slope_scene, g.scene_width, nullptr, 0);
  multiply(
      g.slope, g.embedding_width, g.rows, m.goal_linear_back, g.slope_scene, g.scene_width,
      g.slope_scene, g.scene_width);
}

// Adds the costs of the goal distance (rows,), from the latents in `s.input`. With a gradient, also
// writes the slopes of the latents to `s.slope_latent`.
inline void goal_cost(
    const Model& m, const Problem& p, Space& s, GoalSpace& g, float* costs, bool with_gradient) {
  const float* latents = s.input + (int64_t)s.rows * s.input_width;  // the first is the present
  embed(m, g, latents, s.input_width);
  if (with_gradient) std::memset(g.slope, 0, 4ll * g.rows * g.embedding_width);
  for (int step = 0; step < s.horizon; ++step)
    for (int row = 0; row < s.rows; ++row) {
      const int64_t at = (int64_t)step * s.rows + row;
      const float* place = g.embedded + at * g.embedding_width;
      const float* state = latents + at * s.input_width + m.scene;
      float square = 0.0f, offset = 0.0f;
      for (int k = 0; k < m.embedding; ++k)
        square += (place[k] - p.goal[k]) * (place[k] - p.goal[k]);
      if (p.goal_state)
        for (int k = 0; k < m.state; ++k)
          offset +=
              p.state_weights[k] * (state[k] - p.goal_state[k]) * (state[k] - p.goal_state[k]);
      const float squared = square + offset;
      const float distance = p.is_root ? std::sqrt(squared + p.smoothing) : squared;
      costs[row] += p.step_weights[step] * distance;
      if (!with_gradient) continue;
      // Twice the derivative by `squared`; the factor 2 belongs to the squares in it.
      const float slope = p.step_weights[step] * (p.is_root ? 1.0f / distance : 2.0f);
      for (int k = 0; k < m.embedding; ++k)
        g.slope[at * g.embedding_width + k] = slope * (place[k] - p.goal[k]);
      float* to_state = s.slope_latent + at * s.latent_width + m.scene;
      for (int k = 0; k < m.state; ++k)
        to_state[k] =
            p.goal_state ? slope * p.state_weights[k] * (state[k] - p.goal_state[k]) : 0.0f;
    }
  if (!with_gradient) return;
  embed_back(m, g);
  for (int64_t at = 0; at < g.rows; ++at)
    std::memcpy(
        s.slope_latent + at * s.latent_width, g.slope_scene + at * g.scene_width, 4 * m.scene);
}

// As `action_cost`, for positions. The moves between them, and the changes of moves, have a cost.
inline float move_cost(const Problem& p, const float* positions, int steps, float* slope) {
  const int size = p.action, count = steps * size, changes = (steps - 1) * size;
  float squares = 0.0f, jumps = 0.0f;
  for (int k = 0; k < size; ++k) {
    const float unit = p.largest_change[k];
    float move_before = 0.0f;
    for (int step = 0; step < steps; ++step) {
      const int at = step * size + k;
      const float move = (positions[at] - (step ? positions[at - size] : p.previous[k])) / unit;
      const float jump = step ? move - move_before : 0.0f;
      squares += move * move;
      jumps += jump * jump;
      move_before = move;
      if (!slope) continue;
      const float to_move = 2.0f * p.action_weight / count * move / unit;
      const float to_jump =
          changes > 0 ? 2.0f * p.action_rate_weight / changes * jump / unit : 0.0f;
      slope[at] += to_move + to_jump;
      if (step) slope[at - size] -= to_move + 2.0f * to_jump;
      if (step > 1) slope[at - 2 * size] += to_jump;
    }
  }
  const float rate = changes > 0 ? p.action_rate_weight * jumps / changes : 0.0f;
  return p.action_weight * squares / count + rate;
}

// Cost of the actions of a bound sequence (steps, action size). Adds to its slope unless null.
inline float action_cost(const Problem& p, const float* actions, int steps, float* slope) {
  const int count = steps * p.action, changes = (steps - 1) * p.action;
  if (p.are_moves) return move_cost(p, actions, steps, slope);
  float squares = 0.0f, jumps = 0.0f;
  for (int k = 0; k < count; ++k) {
    squares += actions[k] * actions[k];
    if (slope) slope[k] += 2.0f * p.action_weight / count * actions[k];
  }
  if (p.action_rate_weight > 0.0f)
    for (int k = 0; k < changes; ++k) {
      const float jump = actions[k + p.action] - actions[k];
      jumps += jump * jump;
      if (!slope) continue;
      slope[k + p.action] += 2.0f * p.action_rate_weight / changes * jump;
      slope[k] -= 2.0f * p.action_rate_weight / changes * jump;
    }
  const float rate = changes > 0 ? p.action_rate_weight * jumps / changes : 0.0f;
  return p.action_weight * squares / count + rate;
}

}  // namespace wm_mpc
