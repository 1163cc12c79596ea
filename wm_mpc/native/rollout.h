// The rollout of `GruDynamics`, and its gradient by the actions. Formulas and names are those of
// model/gru_rollout.py. Rows of one step lie together: (step, row, column).
#pragma once

#include <algorithm>

#include "linear.h"

namespace wm_mpc {

// Sizes and weights of a model. `change` is the latent size, plus one if the scene has a gate.
// `gated` is the number of coordinates behind the gate; 0 without a gate. Matrices whose names end
// in `_back` are transposed.
struct Model {
  int32_t latent, scene, state, block, hidden, change, gated, embedding, width;
  Matrix from_input, from_input_back;  // latent and block <-> hidden and change
  Matrix from_embedding, from_embedding_back;  // hidden <-> 3 hidden
  Matrix from_hidden, from_hidden_back;  // hidden <-> 4 hidden
  Matrix from_head, from_head_back;  // hidden <-> change
  Matrix goal_linear, goal_first, goal_second, goal_last;  // the embedding of goals
  Matrix goal_linear_back, goal_first_back, goal_second_back, goal_last_back;
  const float *input_bias, *embedding_bias, *hidden_bias;
  const float *goal_linear_bias, *goal_first_bias, *goal_second_bias, *goal_last_bias;
};

// Memory for `rows` rollouts of `horizon` steps, all in one piece that the caller owns.
struct Space {
  int rows, horizon;
  int input_width, inputs_width, gates_width, outputs_width, hidden_width;
  float* input;  // (horizon + 1, rows): latent and action block of every step
  float* open;  // (horizon, rows): sigmoid of the embedding's input, then the linear change
  float* embedding;  // (horizon, rows)
  float* gates;  // (horizon, rows): reset, update, candidate
  float* hidden;  // (horizon + 1, rows)
  float* outputs;  // (horizon + 1, rows): head's first layer, then hidden gates
  float *head_open, *head;  // (horizon, rows)
  float* change;  // (horizon, rows)
  float* scene_gate;  // (horizon, rows, 1)
  float* slope_latent;  // (horizon, rows): slope of the cost, before `send_back`
  float *slope_input, *slope_inputs, *slope_gates, *slope_outputs, *slope_hidden, *kept, *scratch;
  int latent_width, change_width;

  // Returns the number of floats in total. With memory == nullptr, it does nothing else.
  int64_t lay_out(const Model& m, int rows_, int horizon_, float* memory, bool with_gradient) {
    rows = rows_;
    horizon = horizon_;
    input_width = padded(m.latent + m.block);
    inputs_width = padded(m.hidden + m.change);
    hidden_width = padded(m.hidden);
    gates_width = padded(3 * m.hidden);
    outputs_width = padded(4 * m.hidden);
    latent_width = padded(m.latent);
    change_width = padded(m.change);
    // Without a gradient, only the latents of all steps are kept, and all else of the present step.
    const int64_t kept_steps = with_gradient ? horizon : 1, n = rows;
    float* next = memory;
    auto take = [&](float*& part, int64_t floats) {
      part = next;
      next += (floats + 15) / 16 * 16;
    };
    take(input, (horizon + 1) * n * input_width);
    take(open, kept_steps * n * inputs_width);
    take(embedding, kept_steps * n * hidden_width);
    take(gates, kept_steps * n * gates_width);
    take(hidden, (kept_steps + 1) * n * hidden_width);
    take(outputs, (kept_steps + 1) * n * outputs_width);
    take(head_open, kept_steps * n * hidden_width);
    take(head, kept_steps * n * hidden_width);
    take(change, kept_steps * n * change_width);
    take(scene_gate, kept_steps * n);
    take(slope_latent, horizon * n * latent_width);
    if (with_gradient) {
      take(slope_input, horizon * n * input_width);
      take(slope_inputs, n * inputs_width);
      take(slope_gates, n * gates_width);
      take(slope_outputs, n * outputs_width);
      take(slope_hidden, n * hidden_width);
      take(kept, n * hidden_width);
      take(scratch, n * std::max(hidden_width, change_width));
    }
    return next - memory;
  }
};

// Predicts the latents. `input` holds the actions and each row's first latent, `hidden` its first
// hidden state. `stride` is 1 to keep every step for the gradient, 0 to let steps overwrite each
// other.
inline void roll_out(const Model& m, Space& s, int stride) {
  const int n = s.rows, size = m.hidden;
  for (int step = 0; step < s.horizon; ++step) {
    const int64_t at = (int64_t)step * stride * n;
    const int64_t after = stride ? at + n : (step + 1) % 2 * n, before = stride ? at : step % 2 * n;
    float* input = s.input + (int64_t)step * n * s.input_width;
    float* inputs = s.open + at * s.inputs_width;
    float* embedding = s.embedding + at * s.hidden_width;
    float* gates = s.gates + at * s.gates_width;
    const float* recalled = s.outputs + before * s.outputs_width + size;
    float* outputs = s.outputs + after * s.outputs_width;
    float* change = s.change + at * s.change_width;
    multiply(input, s.input_width, n, m.from_input, inputs, s.inputs_width, m.input_bias, 0);
    for (int row = 0; row < n; ++row) {
      float* x = inputs + (int64_t)row * s.inputs_width;
      // Copied first, because silu writes whole vectors over its beginning.
      std::memcpy(change + (int64_t)row * s.change_width, x + size, 4 * m.change);
      silu(x, x, embedding + (int64_t)row * s.hidden_width, size);
    }
    multiply(
        embedding, s.hidden_width, n, m.from_embedding, gates, s.gates_width, m.embedding_bias, 0);
    for (int row = 0; row < n; ++row) {
      float* g = gates + (int64_t)row * s.gates_width;
      const float* r = recalled + (int64_t)row * s.outputs_width;
      const float* old = s.hidden + (before + row) * s.hidden_width;
      float* fresh = s.hidden + (after + row) * s.hidden_width;
      for (int k = 0; k < size; k += kLanes) {
        const Vector reset = sigmoid(load(g + k) + load(r + k));
        const Vector update = sigmoid(load(g + size + k) + load(r + size + k));
        const Vector candidate =
            hyperbolic_tangent(load(g + 2 * size + k) + reset * load(r + 2 * size + k));
        store(g + k, reset);
        store(g + size + k, update);
        store(g + 2 * size + k, candidate);
        store(fresh + k, candidate + update * (load(old + k) - candidate));
      }
    }
    multiply(
        s.hidden + after * s.hidden_width, s.hidden_width, n, m.from_hidden, outputs,
        s.outputs_width, m.hidden_bias, 0, 0, step + 1 < s.horizon ? 4 * size : size);
    float* head = s.head + at * s.hidden_width;
    for (int row = 0; row < n; ++row)
      silu(
          outputs + (int64_t)row * s.outputs_width, s.head_open + (at + row) * s.hidden_width,
          head + (int64_t)row * s.hidden_width, size);
    multiply(head, s.hidden_width, n, m.from_head, change, s.change_width, change, s.change_width);
    for (int row = 0; row < n; ++row) {
      const float* c = change + (int64_t)row * s.change_width;
      const float* old = input + (int64_t)row * s.input_width;
      float* fresh = input + ((int64_t)n + row) * s.input_width;
      float gate = 1.0f;
      if (m.gated) {
        float lanes[kLanes];
        store(lanes, sigmoid(fill(c[m.change - 1])));
        gate = lanes[0];
      }
      s.scene_gate[at + row] = gate;
      for (int k = 0; k < m.latent; ++k) fresh[k] = old[k] + (k < m.gated ? gate * c[k] : c[k]);
    }
  }
}

// Computes the slopes of the action blocks from `slope_latent` (horizon, rows). They end up after
// those of the latent in `slope_input`.
inline void send_back(const Model& m, Space& s) {
  const int n = s.rows, size = m.hidden;
  std::memset(s.slope_outputs, 0, 4ll * n * s.outputs_width);
  std::memset(s.kept, 0, 4ll * n * s.hidden_width);
  for (int step = s.horizon - 1; step >= 0; --step) {
    const int64_t at = (int64_t)step * n;
    float* to_latent = s.slope_latent + at * s.latent_width;
    float* to_input = s.slope_input + at * s.input_width;
    if (step + 1 < s.horizon)  // slopes from the later steps, directly and through their input
      for (int row = 0; row < n; ++row) {
        float* here = to_latent + (int64_t)row * s.latent_width;
        const float* direct = here + (int64_t)n * s.latent_width;
        const float* by_input = to_input + ((int64_t)n + row) * s.input_width;
        for (int k = 0; k < m.latent; ++k) here[k] += direct[k] + by_input[k];
      }
    for (int row = 0; row < n; ++row) {
      const float* slope = to_latent + (int64_t)row * s.latent_width;
      const float* c = s.change + (at + row) * s.change_width;
      float* to_change = s.slope_inputs + (int64_t)row * s.inputs_width + size;
      const float gate = s.scene_gate[at + row];
      float to_gate = 0.0f;
      for (int k = 0; k < m.latent; ++k) {
        to_change[k] = k < m.gated ? gate * slope[k] : slope[k];
        if (k < m.gated) to_gate += slope[k] * c[k];
      }
      if (m.gated) to_change[m.change - 1] = to_gate * gate * (1.0f - gate);
    }
    multiply(
        s.slope_inputs + size, s.inputs_width, n, m.from_head_back, s.scratch, s.hidden_width,
        nullptr, 0);
    for (int row = 0; row < n; ++row) {
      float* slope = s.scratch + (int64_t)row * s.hidden_width;
      silu_backward(
          slope, s.head_open + (at + row) * s.hidden_width, s.head + (at + row) * s.hidden_width,
          size);
      std::memcpy(s.slope_outputs + (int64_t)row * s.outputs_width, slope, 4 * size);
    }
    multiply(
        s.slope_outputs, s.outputs_width, n, m.from_hidden_back, s.slope_hidden, s.hidden_width,
        s.kept, s.hidden_width, step + 1 < s.horizon ? 4 * size : size);
    for (int row = 0; row < n; ++row) {
      const float* g = s.gates + (at + row) * s.gates_width;
      const float* recalled = s.outputs + (at + row) * s.outputs_width + size + 2 * size;
      const float* previous = s.hidden + (at + row) * s.hidden_width;
      const float* slope = s.slope_hidden + (int64_t)row * s.hidden_width;
      float* kept = s.kept + (int64_t)row * s.hidden_width;
      float* to_gates = s.slope_gates + (int64_t)row * s.gates_width;
      float* to_outputs = s.slope_outputs + (int64_t)row * s.outputs_width + size;
      for (int k = 0; k < size; k += kLanes) {
        const Vector to_hidden = load(slope + k), reset = load(g + k), update = load(g + size + k);
        const Vector candidate = load(g + 2 * size + k);
        const Vector past = to_hidden * update;
        const Vector to_candidate = (to_hidden - past) * (1.0f - candidate * candidate);
        const Vector to_reset = to_candidate * load(recalled + k) * reset * (1.0f - reset);
        const Vector to_update =
            to_hidden * (load(previous + k) - candidate) * update * (1.0f - update);
        store(kept + k, past);
        store(to_gates + k, to_reset);
        store(to_gates + size + k, to_update);
        store(to_gates + 2 * size + k, to_candidate);
        store(to_outputs + k, to_reset);
        store(to_outputs + size + k, to_update);
        store(to_outputs + 2 * size + k, to_candidate * reset);
      }
    }
    multiply(
        s.slope_gates, s.gates_width, n, m.from_embedding_back, s.scratch, s.hidden_width, nullptr,
        0);
    for (int row = 0; row < n; ++row) {
      float* slope = s.scratch + (int64_t)row * s.hidden_width;
      silu_backward(
          slope, s.open + (at + row) * s.inputs_width, s.embedding + (at + row) * s.hidden_width,
          size);
      std::memcpy(s.slope_inputs + (int64_t)row * s.inputs_width, slope, 4 * size);
    }
    multiply(
        s.slope_inputs, s.inputs_width, n, m.from_input_back, to_input, s.input_width, nullptr, 0);
  }
}

}  // namespace wm_mpc
