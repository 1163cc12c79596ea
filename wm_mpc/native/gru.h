// The rollout of `GruDynamics`, and its gradient by the actions. Formulas and names are those of
// model/gru_rollout.py. Rows of one step lie together: (step, row, column).
#pragma once

#include <algorithm>

#include "model.h"

namespace wm_mpc {

class Gru final : public Dynamics {
 public:
  void lay_out(const Model& m, const Space& s, Memory& memory, bool with_gradient) override {
    hidden_width = padded(m.hidden);
    gates_width = padded(3 * m.hidden);
    outputs_width = padded(4 * m.hidden);
    const int64_t n = s.rows, kept_rows = s.kept * n;
    open = memory.take(kept_rows * s.inputs_width);
    embedding = memory.take(kept_rows * hidden_width);
    gates = memory.take(kept_rows * gates_width);
    hidden = memory.take((kept_rows + n) * hidden_width);
    outputs = memory.take((kept_rows + n) * outputs_width);
    head_open = memory.take(kept_rows * hidden_width);
    head = memory.take(kept_rows * hidden_width);
    if (!with_gradient) return;
    slope_gates = memory.take(n * gates_width);
    slope_outputs = memory.take(n * outputs_width);
    slope_hidden = memory.take(n * hidden_width);
    past = memory.take(n * hidden_width);
    scratch = memory.take(n * std::max(hidden_width, s.change_width));
  }

  // `remembered` is the hidden state (hidden).
  void begin(const Model& m, const Space& s, const float* remembered, int) override {
    // All rows begin alike: compute the first one, and copy it.
    multiply(remembered, 0, 1, m.gru.from_hidden, outputs, 0, m.gru.hidden_bias, 0);
    for (int row = 0; row < s.rows; ++row) {
      std::memcpy(hidden + (int64_t)row * hidden_width, remembered, 4 * m.hidden);
      if (row) std::memcpy(outputs + (int64_t)row * outputs_width, outputs, 16 * m.hidden);
    }
  }

  void roll_out(const Model& m, Space& s, int stride) override {
    for (int step = 0; step < s.horizon; ++step) roll_out_step(m, s, step, stride);
  }

  void send_back(const Model& m, Space& s) override {
    std::memset(slope_outputs, 0, 4ll * s.rows * outputs_width);
    std::memset(past, 0, 4ll * s.rows * hidden_width);
    for (int step = s.horizon - 1; step >= 0; --step) send_back_step(m, s, step);
  }

 private:
  int gates_width, outputs_width, hidden_width;
  float* open;  // (kept, rows): sigmoid of the embedding's input
  float* embedding;  // (kept, rows)
  float* gates;  // (kept, rows): reset, update, candidate
  float* hidden;  // (kept + 1, rows)
  float* outputs;  // (kept + 1, rows): head's first layer, then hidden gates
  float *head_open, *head;  // (kept, rows)
  float *slope_gates, *slope_outputs, *slope_hidden, *past, *scratch;  // (rows)

  void roll_out_step(const Model& m, Space& s, int step, int stride) {
    const int n = s.rows, size = m.hidden;
    const int64_t at = (int64_t)step * stride * n;
    const int64_t after = stride ? at + n : (step + 1) % 2 * n, before = stride ? at : step % 2 * n;
    const float* input = s.input + (int64_t)step * n * s.input_width;
    float* inputs = open + at * s.inputs_width;
    float* embedded = embedding + at * hidden_width;
    float* gate = gates + at * gates_width;
    const float* recalled = outputs + before * outputs_width + size;
    float* output = outputs + after * outputs_width;
    float* change = s.change + at * s.change_width;
    multiply(input, s.input_width, n, m.from_input, inputs, s.inputs_width, m.input_bias, 0);
    for (int row = 0; row < n; ++row) {
      float* x = inputs + (int64_t)row * s.inputs_width;
      // Copied first, because silu writes whole vectors over its beginning.
      std::memcpy(change + (int64_t)row * s.change_width, x + size, 4 * m.change);
      silu(x, x, embedded + (int64_t)row * hidden_width, size);
    }
    multiply(
        embedded, hidden_width, n, m.gru.from_embedding, gate, gates_width, m.gru.embedding_bias,
        0);
    for (int row = 0; row < n; ++row) {
      float* g = gate + (int64_t)row * gates_width;
      const float* r = recalled + (int64_t)row * outputs_width;
      const float* old = hidden + (before + row) * hidden_width;
      float* fresh = hidden + (after + row) * hidden_width;
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
        hidden + after * hidden_width, hidden_width, n, m.gru.from_hidden, output, outputs_width,
        m.gru.hidden_bias, 0, 0, step + 1 < s.horizon ? 4 * size : size);
    float* last = head + at * hidden_width;
    for (int row = 0; row < n; ++row)
      silu(
          output + (int64_t)row * outputs_width, head_open + (at + row) * hidden_width,
          last + (int64_t)row * hidden_width, size);
    multiply(last, hidden_width, n, m.from_head, change, s.change_width, change, s.change_width);
    move(m, s, step, at);
  }

  void send_back_step(const Model& m, Space& s, int step) {
    const int n = s.rows, size = m.hidden;
    const int64_t at = (int64_t)step * n;
    move_back(m, s, step);
    multiply(
        s.slope_inputs + size, s.inputs_width, n, m.from_head_back, scratch, hidden_width, nullptr,
        0);
    for (int row = 0; row < n; ++row) {
      float* slope = scratch + (int64_t)row * hidden_width;
      silu_backward(
          slope, head_open + (at + row) * hidden_width, head + (at + row) * hidden_width, size);
      std::memcpy(slope_outputs + (int64_t)row * outputs_width, slope, 4 * size);
    }
    multiply(
        slope_outputs, outputs_width, n, m.gru.from_hidden_back, slope_hidden, hidden_width, past,
        hidden_width, step + 1 < s.horizon ? 4 * size : size);
    for (int row = 0; row < n; ++row) {
      const float* g = gates + (at + row) * gates_width;
      const float* recalled = outputs + (at + row) * outputs_width + size + 2 * size;
      const float* previous = hidden + (at + row) * hidden_width;
      const float* slope = slope_hidden + (int64_t)row * hidden_width;
      float* kept = past + (int64_t)row * hidden_width;
      float* to_gates = slope_gates + (int64_t)row * gates_width;
      float* to_outputs = slope_outputs + (int64_t)row * outputs_width + size;
      for (int k = 0; k < size; k += kLanes) {
        const Vector to_hidden = load(slope + k), reset = load(g + k), update = load(g + size + k);
        const Vector candidate = load(g + 2 * size + k);
        const Vector through = to_hidden * update;
        const Vector to_candidate = (to_hidden - through) * (1.0f - candidate * candidate);
        const Vector to_reset = to_candidate * load(recalled + k) * reset * (1.0f - reset);
        const Vector to_update =
            to_hidden * (load(previous + k) - candidate) * update * (1.0f - update);
        store(kept + k, through);
        store(to_gates + k, to_reset);
        store(to_gates + size + k, to_update);
        store(to_gates + 2 * size + k, to_candidate);
        store(to_outputs + k, to_reset);
        store(to_outputs + size + k, to_update);
        store(to_outputs + 2 * size + k, to_candidate * reset);
      }
    }
    multiply(
        slope_gates, gates_width, n, m.gru.from_embedding_back, scratch, hidden_width, nullptr, 0);
    for (int row = 0; row < n; ++row) {
      float* slope = scratch + (int64_t)row * hidden_width;
      silu_backward(
          slope, open + (at + row) * s.inputs_width, embedding + (at + row) * hidden_width, size);
      std::memcpy(s.slope_inputs + (int64_t)row * s.inputs_width, slope, 4 * size);
    }
    multiply(
        s.slope_inputs, s.inputs_width, n, m.from_input_back, s.slope_input + at * s.input_width,
        s.input_width, nullptr, 0);
  }
};

}  // namespace wm_mpc
