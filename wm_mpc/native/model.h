// A world model as the library reads it, and what the rollouts of all dynamics share: the memory
// for latents, actions and their slopes, and the way from a predicted change to the next latent.
// Rows of one step lie together: (step, row, column).
#pragma once

#include <algorithm>

#include "linear.h"

namespace wm_mpc {

// Weights that only `GruDynamics` has. Matrices whose names end in `_back` are transposed.
struct GruWeights {
  Matrix from_embedding, from_embedding_back;  // hidden <-> 3 hidden
  Matrix from_hidden, from_hidden_back;  // hidden <-> 4 hidden
  const float *embedding_bias, *hidden_bias;
};

// A block of `TransformerDynamics`. Every head takes `head_width` columns, a multiple of kLanes.
// The columns that a smaller head does not need are zero.
struct Block {
  Matrix project, project_back;  // hidden <-> queries, keys, values: 3 * heads * head_width
  Matrix merge, merge_back;  // heads * head_width <-> hidden
  Matrix widen, widen_back;  // hidden <-> 2 hidden
  Matrix narrow, narrow_back;  // 2 hidden <-> hidden
  const float *attention_scale, *attention_shift, *network_scale, *network_shift;  // of the norms
  const float *project_bias, *merge_bias, *widen_bias, *narrow_bias;
  const float* distance_bias;  // (heads, context)
};

// Weights that only `TransformerDynamics` has. `blocks` is 0 for other dynamics.
struct TransformerWeights {
  int32_t blocks, heads, head_width, context;
  float score_scale, epsilon;
  const Block* block;
  const float *head_scale, *head_shift;  // of the last norm
};

// Sizes and weights. `change` is the latent size, plus one if the scene has a gate. `gated` is the
// number of coordinates behind the gate; 0 without a gate.
struct Model {
  int32_t latent, scene, state, block, hidden, change, gated, embedding, width;
  Matrix from_input, from_input_back;  // latent and block <-> hidden and change
  Matrix from_head, from_head_back;  // hidden <-> change
  Matrix goal_linear, goal_first, goal_second, goal_last;  // the embedding of goals
  Matrix goal_linear_back, goal_first_back, goal_second_back, goal_last_back;
  const float* input_bias;
  const float *goal_linear_bias, *goal_first_bias, *goal_second_bias, *goal_last_bias;
  GruWeights gru;
  TransformerWeights transformer;
};

// Shares one piece of memory out. Without memory, it only counts the floats.
struct Memory {
  float* start;
  int64_t used = 0;

  float* take(int64_t floats) {
    float* part = start ? start + used : nullptr;
    used += (floats + 15) / 16 * 16;
    return part;
  }
};

// What all dynamics need for `rows` rollouts of `horizon` steps. With a gradient, `kept` is the
// number of all steps. Without, only the latents of all steps are kept, and all else of one step.
struct Space {
  int rows, horizon, kept;
  int input_width, inputs_width, latent_width, change_width;
  float* input;  // (horizon + 1, rows): latent and action block of every step
  float* change;  // (kept, rows): the linear change, then with that of the head
  float* scene_gate;  // (kept, rows, 1)
  float* slope_latent;  // (horizon, rows): slope of the cost, before `send_back`
  float* slope_input;  // (horizon, rows): its columns after the latent are those of the actions
  float* slope_inputs;  // (rows): slopes of hidden and change

  void lay_out(const Model& m, int rows_, int horizon_, Memory& memory, bool with_gradient) {
    rows = rows_;
    horizon = horizon_;
    kept = with_gradient ? horizon : 1;
    input_width = padded(m.latent + m.block);
    inputs_width = padded(m.hidden + m.change);
    latent_width = padded(m.latent);
    change_width = padded(m.change);
    const int64_t n = rows;
    input = memory.take((horizon + 1) * n * input_width);
    change = memory.take(kept * n * change_width);
    scene_gate = memory.take(kept * n);
    if (!with_gradient) return;
    slope_latent = memory.take(horizon * n * latent_width);
    slope_input = memory.take(horizon * n * input_width);
    slope_inputs = memory.take(n * inputs_width);
  }
};

// Predicts the latents after `step` from its change. `at` is the first row of the step in what is
// kept.
inline void move(const Model& m, Space& s, int step, int64_t at) {
  const int n = s.rows;
  const float* input = s.input + (int64_t)step * n * s.input_width;
  for (int row = 0; row < n; ++row) {
    const float* c = s.change + (at + row) * s.change_width;
    const float* old = input + (int64_t)row * s.input_width;
    float* fresh = s.input + ((int64_t)(step + 1) * n + row) * s.input_width;
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

// Adds to the slopes of the latents after `step` those from later steps, directly and through their
// input. Computes the slopes of the change, which end up in `slope_inputs`, after those of hidden.
inline void move_back(const Model& m, Space& s, int step) {
  const int n = s.rows;
  const int64_t at = (int64_t)step * n;
  for (int row = 0; row < n; ++row) {
    float* slope = s.slope_latent + (at + row) * s.latent_width;
    if (step + 1 < s.horizon) {
      const float* direct = slope + (int64_t)n * s.latent_width;
      const float* by_input = s.slope_input + (at + n + row) * s.input_width;
      for (int k = 0; k < m.latent; ++k) slope[k] += direct[k] + by_input[k];
    }
    const float* c = s.change + (at + row) * s.change_width;
    float* to_change = s.slope_inputs + (int64_t)row * s.inputs_width + m.hidden;
    const float gate = s.scene_gate[at + row];
    float to_gate = 0.0f;
    for (int k = 0; k < m.latent; ++k) {
      to_change[k] = k < m.gated ? gate * slope[k] : slope[k];
      if (k < m.gated) to_gate += slope[k] * c[k];
    }
    if (m.gated) to_change[m.change - 1] = to_gate * gate * (1.0f - gate);
  }
}

// A kind of dynamics with its memory. `Gru` and `Transformer` are the two.
class Dynamics {
 public:
  virtual void lay_out(const Model& m, const Space& s, Memory& memory, bool with_gradient) = 0;

  // Notes what the model remembers from before the rollout; see `Problem` in objective.h.
  virtual void begin(const Model& m, const Space& s, const float* remembered, int tokens) = 0;

  // Predicts the latents. `s.input` holds the actions and each row's first latent. `stride` is 1 to
  // keep every step for the gradient, 0 to let steps overwrite each other.
  virtual void roll_out(const Model& m, Space& s, int stride) = 0;

  // Computes the slopes of the action blocks from `s.slope_latent`. They end up in `s.slope_input`.
  virtual void send_back(const Model& m, Space& s) = 0;
};

}  // namespace wm_mpc
