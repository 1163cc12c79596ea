// The rollout of `TransformerDynamics`, and its gradient by the actions. Formulas are those of
// model/transformer.py. Only the newest token is computed in each step; keys and values of earlier
// tokens are kept as long as a token can see them. Those of the observed history are alike for all
// rows. Rows of one step lie together: (step, row, column).
#pragma once

#include <algorithm>

#include "attention.h"
#include "model.h"

namespace wm_mpc {

class Transformer final : public Dynamics {
 public:
  void lay_out(const Model& m, const Space& s, Memory& memory, bool with_gradient) override {
    const TransformerWeights& t = m.transformer;
    const int64_t n = s.rows, kept_rows = s.kept * n * t.blocks;
    width = t.heads * t.head_width;
    token_width = padded(3 * width);
    hidden_width = padded(m.hidden);
    wide_width = padded(2 * m.hidden);
    seen_width = padded(width);
    shares_width = t.heads * scores_width(t.context);
    reach = std::min(t.context, s.horizon);
    slots = with_gradient ? s.horizon : reach;
    inputs = memory.take(n * s.inputs_width);
    tokens = memory.take((int64_t)t.blocks * slots * n * token_width);
    normal = memory.take(kept_rows * hidden_width);
    network_normal = memory.take(kept_rows * hidden_width);
    head_normal = memory.take(s.kept * n * hidden_width);
    inverse = memory.take(kept_rows);
    network_inverse = memory.take(kept_rows);
    head_inverse = memory.take(s.kept * n);
    shares = memory.take(kept_rows * shares_width);
    open = memory.take(kept_rows * wide_width);
    wide = memory.take(kept_rows * wide_width);
    normed = memory.take(n * hidden_width);
    seen = memory.take(n * seen_width);
    if (!with_gradient) return;
    to_tokens = memory.take((int64_t)t.blocks * reach * n * token_width);
    to_wide = memory.take(n * wide_width);
    room = memory.take(shares_width);
  }

  // `remembered` holds keys and values of the history's tokens: (blocks, tokens, 2, width), the
  // newest last.
  void begin(const Model&, const Space&, const float* remembered, int count) override {
    history = remembered;
    history_size = count;
  }

  void roll_out(const Model& m, Space& s, int stride) override {
    const int n = s.rows;
    for (int step = 0; step < s.horizon; ++step) {
      const int64_t at = (int64_t)step * stride * n;
      float* change = s.change + at * s.change_width;
      multiply(
          s.input + (int64_t)step * n * s.input_width, s.input_width, n, m.from_input, inputs,
          s.inputs_width, m.input_bias, 0);
      for (int row = 0; row < n; ++row)
        std::memcpy(
            change + (int64_t)row * s.change_width,
            inputs + (int64_t)row * s.inputs_width + m.hidden, 4 * m.change);
      for (int block = 0; block < m.transformer.blocks; ++block)
        think(m, s, block, step, ((int64_t)block * s.kept + step * stride) * n);
      norm(
          m, s, m.transformer.head_scale, m.transformer.head_shift, head_normal + at * hidden_width,
          head_inverse + at);
      multiply(
          normed, hidden_width, n, m.from_head, change, s.change_width, change, s.change_width);
      move(m, s, step, at);
    }
  }

  void send_back(const Model& m, Space& s) override {
    const int n = s.rows;
    std::memset(to_tokens, 0, 4ll * m.transformer.blocks * reach * n * token_width);
    for (int step = s.horizon - 1; step >= 0; --step) {
      const int64_t at = (int64_t)step * n;
      move_back(m, s, step);
      multiply(
          s.slope_inputs + m.hidden, s.inputs_width, n, m.from_head_back, normed, hidden_width,
          nullptr, 0);
      for (int row = 0; row < n; ++row)
        std::memset(s.slope_inputs + (int64_t)row * s.inputs_width, 0, 4 * m.hidden);
      norm_back(m, s, m.transformer.head_scale, head_normal + at * hidden_width, head_inverse + at);
      for (int block = m.transformer.blocks - 1; block >= 0; --block)
        think_back(m, s, block, step, ((int64_t)block * s.kept + step) * n);
      multiply(
          s.slope_inputs, s.inputs_width, n, m.from_input_back, s.slope_input + at * s.input_width,
          s.input_width, nullptr, 0);
    }
  }

 private:
  int width, token_width, hidden_width, wide_width, seen_width, shares_width;
  int reach;  // steps of the rollout that a token sees at most
  int slots;  // steps whose tokens are kept
  const float* history;
  int history_size;
  float* inputs;  // (rows): the stream that blocks add to, and before it the linear change
  float* tokens;  // (blocks, slots, rows): queries, keys, values
  float *normal, *network_normal;  // (blocks, kept, rows): normalised streams
  float *inverse, *network_inverse;  // (blocks, kept, rows, 1): 1 / their deviation
  float *head_normal, *head_inverse;  // (kept, rows)
  float* shares;  // (blocks, kept, rows, heads): shares of the tokens that are seen
  float *open, *wide;  // (blocks, kept, rows): the network's middle
  float *normed, *seen;  // (rows)
  float* to_tokens;  // (blocks, reach, rows): slopes of tokens, summed up until their step comes
  float* to_wide;  // (rows)
  float* room;

  float* token(float* of, int places, int rows, int block, int step, int row) const {
    return of + (((int64_t)block * places + step % places) * rows + row) * token_width;
  }

  Window window(const Model& m, int step) const {
    const TransformerWeights& t = m.transformer;
    const int count = std::min(t.context, step + history_size + 1);
    return {t.heads, t.head_width, width, t.context, count, t.score_scale};
  }

  const float* key(int rows, int block, int step, int row) const {
    if (step >= 0) return token(tokens, slots, rows, block, step, row) + width;
    return history + ((int64_t)block * history_size + history_size + step) * 2 * width;
  }

  // Normalises the stream, into `normed`.
  void norm(
      const Model& m, const Space& s, const float* scale, const float* shift, float* kept_normal,
      float* kept_inverse) {
    for (int row = 0; row < s.rows; ++row)
      kept_inverse[row] = normalise(
          inputs + (int64_t)row * s.inputs_width, m.hidden, m.transformer.epsilon, scale, shift,
          kept_normal + (int64_t)row * hidden_width, normed + (int64_t)row * hidden_width);
  }

  // Adds to the slopes of the stream, from slopes in `normed`.
  void norm_back(
      const Model& m, Space& s, const float* scale, const float* kept_normal,
      const float* kept_inverse) {
    for (int row = 0; row < s.rows; ++row)
      normalise_back(
          normed + (int64_t)row * hidden_width, m.hidden, scale,
          kept_normal + (int64_t)row * hidden_width, kept_inverse[row],
          s.slope_inputs + (int64_t)row * s.inputs_width);
  }

  // Adds to the stream a bias, and the product of some columns with a matrix.
  void add(
      const Model& m, const Space& s, const float* columns, int stride, const Matrix& matrix,
      const float* bias) {
    for (int row = 0; row < s.rows; ++row) {
      float* x = inputs + (int64_t)row * s.inputs_width;
      for (int k = 0; k < m.hidden; k += kLanes) store(x + k, load(x + k) + load(bias + k));
    }
    multiply(columns, stride, s.rows, matrix, inputs, s.inputs_width, inputs, s.inputs_width);
  }

  // A block. `at` is its first row in what is kept.
  void think(const Model& m, const Space& s, int block, int step, int64_t at) {
    const Block& b = m.transformer.block[block];
    const int n = s.rows;
    norm(m, s, b.attention_scale, b.attention_shift, normal + at * hidden_width, inverse + at);
    multiply(
        normed, hidden_width, n, b.project, token(tokens, slots, n, block, step, 0), token_width,
        b.project_bias, 0);
    const Window w = window(m, step);
    for (int row = 0; row < n; ++row)
      attend(
          w, token(tokens, slots, n, block, step, row), b.distance_bias,
          [&](int distance) { return key(n, block, step - distance, row); },
          shares + (at + row) * shares_width, seen + (int64_t)row * seen_width);
    add(m, s, seen, seen_width, b.merge, b.merge_bias);
    norm(
        m, s, b.network_scale, b.network_shift, network_normal + at * hidden_width,
        network_inverse + at);
    float* middle = wide + at * wide_width;
    multiply(normed, hidden_width, n, b.widen, middle, wide_width, b.widen_bias, 0);
    silu(middle, open + at * wide_width, middle, n * wide_width);
    add(m, s, middle, wide_width, b.narrow, b.narrow_bias);
  }

  void think_back(const Model& m, Space& s, int block, int step, int64_t at) {
    const Block& b = m.transformer.block[block];
    const int n = s.rows;
    multiply(s.slope_inputs, s.inputs_width, n, b.narrow_back, to_wide, wide_width, nullptr, 0);
    silu_backward(to_wide, open + at * wide_width, wide + at * wide_width, n * wide_width);
    multiply(to_wide, wide_width, n, b.widen_back, normed, hidden_width, nullptr, 0);
    norm_back(m, s, b.network_scale, network_normal + at * hidden_width, network_inverse + at);
    multiply(s.slope_inputs, s.inputs_width, n, b.merge_back, seen, seen_width, nullptr, 0);
    const Window w = window(m, step);
    for (int row = 0; row < n; ++row)
      attend_back(
          w, seen + (int64_t)row * seen_width, token(tokens, slots, n, block, step, row),
          [&](int distance) { return key(n, block, step - distance, row); },
          shares + (at + row) * shares_width,
          [&](int distance) -> float* {
            if (distance > step) return nullptr;
            return token(to_tokens, reach, n, block, step - distance, row) + width;
          },
          token(to_tokens, reach, n, block, step, row), room);
    // No earlier step sees this token, so its slopes are complete.
    float* to_token = token(to_tokens, reach, n, block, step, 0);
    multiply(to_token, token_width, n, b.project_back, normed, hidden_width, nullptr, 0);
    norm_back(m, s, b.attention_scale, normal + at * hidden_width, inverse + at);
    std::memset(to_token, 0, 4ll * n * token_width);  // the place of an earlier step
  }
};

}  // namespace wm_mpc
