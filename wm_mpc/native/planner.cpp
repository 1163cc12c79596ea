// The inner loop of planning: costs of many plans, and descent from a few. It needs no Python, no
// allocation, and no call per operation. `kernel.py` calls it through ctypes.

#include <chrono>

#include "gru.h"
#include "objective.h"
#include "transformer.h"
#include "vision.h"

namespace wm_mpc {
namespace {

constexpr int kChunk = 64;  // rows evaluated at once without a gradient; they fit into the cache

struct Workspace {
  Space rollout;
  Gru gru;
  Transformer transformer;
  Dynamics* dynamics;  // the one of the model
  GoalSpace goal;
  float *bound, *slope, *mean, *square, *costs;  // (rows, horizon * block); costs: (rows)
  uint8_t* moved;

  // Returns the number of floats in total. Without memory, it does nothing else.
  int64_t lay_out(const Model& m, int rows, int horizon, float* start, bool with_gradient) {
    const int64_t sequence = (int64_t)horizon * m.block;
    Memory memory{start};
    dynamics = m.transformer.blocks ? static_cast<Dynamics*>(&transformer) : &gru;
    rollout.lay_out(m, rows, horizon, memory, with_gradient);
    dynamics->lay_out(m, rollout, memory, with_gradient);
    goal.lay_out(m, rows * horizon, memory);
    for (float** part : {&bound, &slope, &mean, &square}) *part = memory.take(rows * sequence);
    costs = memory.take(rows);
    moved = (uint8_t*)memory.take((rows * sequence + 3) / 4);
    return memory.used;
  }
};

void begin(const Model& m, const Problem& p, Workspace& w) {
  Space& s = w.rollout;
  for (int row = 0; row < s.rows; ++row)
    std::memcpy(s.input + (int64_t)row * s.input_width, p.latent, 4 * m.latent);
  w.dynamics->begin(m, s, p.remembered, p.tokens);
}

// Computes the costs of `actions` (rows, horizon, block) and, with a gradient, slopes in `w.slope`.
void evaluate(
    const Model& m, const Problem& p, Workspace& w, const float* actions, bool with_gradient) {
  Space& s = w.rollout;
  const int64_t sequence = (int64_t)s.horizon * m.block;
  const int steps = (int)(sequence / p.action);
  std::memcpy(w.bound, actions, 4 * s.rows * sequence);
  for (int row = 0; row < s.rows; ++row) {
    bind(p, w.bound + row * sequence, steps, w.moved + row * sequence);
    for (int step = 0; step < s.horizon; ++step)
      std::memcpy(
          s.input + ((int64_t)step * s.rows + row) * s.input_width + m.latent,
          w.bound + row * sequence + step * m.block, 4 * m.block);
  }
  w.dynamics->roll_out(m, s, with_gradient ? 1 : 0);
  std::memset(w.costs, 0, 4 * s.rows);
  goal_cost(m, p, s, w.goal, w.costs, with_gradient);
  if (with_gradient) w.dynamics->send_back(m, s);
  for (int row = 0; row < s.rows; ++row) {
    float* slope = with_gradient ? w.slope + row * sequence : nullptr;
    for (int step = 0; slope && step < s.horizon; ++step)
      std::memcpy(
          slope + step * m.block,
          s.slope_input + ((int64_t)step * s.rows + row) * s.input_width + m.latent, 4 * m.block);
    w.costs[row] += action_cost(p, w.bound + row * sequence, steps, slope);
    if (slope) bind_back(p, slope, steps, w.moved + row * sequence);
  }
}

float comparable(float cost) {
  return std::isfinite(cost) ? cost : std::numeric_limits<float>::infinity();
}

}  // namespace

// Settings of a descent; see planning/gradient.py. `noise` is (iterations, rows, horizon, block),
// already scaled for each step, or null.
struct Descent {
  int32_t iterations, is_adaptive;
  float learning_rate, learning_rate_decay;
  double budget;  // seconds
  const float* noise;
};

}  // namespace wm_mpc

using namespace wm_mpc;

extern "C" {

int32_t wm_mpc_panel() { return kPanel; }
int32_t wm_mpc_lanes() { return kLanes; }

// Floats of memory for `rows` rows. `with_gradient` is for wm_mpc_slopes and wm_mpc_descend.
int64_t wm_mpc_memory(const Model* m, int32_t rows, int32_t horizon, int32_t with_gradient) {
  Workspace w;
  if (!with_gradient) rows = std::min(rows, kChunk);
  return w.lay_out(*m, rows, horizon, nullptr, with_gradient);
}

// Computes costs (rows,) of actions (rows, horizon, block), and their latents (rows, horizon,
// latent) unless null.
void wm_mpc_costs(
    const Model* m, const Problem* p, int32_t rows, const float* actions, float* costs,
    float* latents, float* memory) {
  const int64_t sequence = (int64_t)p->horizon * m->block;
  Workspace w;
  for (int first = 0; first < rows; first += kChunk) {
    const int count = std::min(kChunk, rows - first);
    w.lay_out(*m, count, p->horizon, memory, false);
    begin(*m, *p, w);
    evaluate(*m, *p, w, actions + first * sequence, false);
    std::memcpy(costs + first, w.costs, 4 * count);
    const Space& s = w.rollout;
    for (int row = 0; latents && row < count; ++row)
      for (int step = 0; step < p->horizon; ++step)
        std::memcpy(
            latents + ((int64_t)(first + row) * p->horizon + step) * m->latent,
            s.input + ((int64_t)(step + 1) * count + row) * s.input_width, 4 * m->latent);
  }
}

// Computes costs (rows,) and slopes (rows, horizon, block) of actions.
void wm_mpc_slopes(
    const Model* m, const Problem* p, int32_t rows, const float* actions, float* costs,
    float* slopes, float* memory) {
  Workspace w;
  w.lay_out(*m, rows, p->horizon, memory, true);
  begin(*m, *p, w);
  evaluate(*m, *p, w, actions, true);
  std::memcpy(costs, w.costs, 4 * rows);
  std::memcpy(slopes, w.slope, 4 * rows * (int64_t)p->horizon * m->block);
}

// Descends from `actions` (rows, horizon, block), and changes them. `best` and `best_costs` receive
// the best of every row. Returns the number of iterations; fewer if the budget ended them.
int32_t wm_mpc_descend(
    const Model* m, const Problem* p, const Descent* d, int32_t rows, float* actions, float* best,
    float* best_costs, float* memory) {
  using Clock = std::chrono::steady_clock;
  const auto started = Clock::now();
  auto lap = started;
  double longest = 0.0;
  Workspace w;
  w.lay_out(*m, rows, p->horizon, memory, true);
  begin(*m, *p, w);
  const int64_t sequence = (int64_t)p->horizon * m->block, count = rows * sequence;
  std::memset(w.mean, 0, 4 * count);
  std::memset(w.square, 0, 4 * count);
  std::fill(best_costs, best_costs + rows, std::numeric_limits<float>::infinity());
  std::memcpy(best, actions, 4 * count);
  double mean_decay = 1.0, square_decay = 1.0;
  int done = 0;
  while (true) {
    const bool is_last = done == d->iterations;
    evaluate(*m, *p, w, actions, !is_last);
    for (int row = 0; row < rows; ++row)
      if (comparable(w.costs[row]) < best_costs[row]) {
        best_costs[row] = w.costs[row];
        std::memcpy(best + row * sequence, actions + row * sequence, 4 * sequence);
      }
    if (is_last) break;
    const float rate =
        d->learning_rate * (1.0f - d->learning_rate_decay * (float)done / (float)d->iterations);
    mean_decay *= 0.9;
    square_decay *= 0.999;
    const float mean_scale = (float)(1.0 / (1.0 - mean_decay));
    const float square_scale = (float)(1.0 / (1.0 - square_decay));
    for (int64_t k = 0; k < count; ++k) {
      // Larger slopes would overflow when Adam squares them.
      float slope = std::isfinite(w.slope[k]) ? w.slope[k] : 0.0f;
      slope = std::min(1e15f, std::max(-1e15f, slope));
      if (d->is_adaptive) {
        w.mean[k] = 0.9f * w.mean[k] + 0.1f * slope;
        w.square[k] = 0.999f * w.square[k] + 0.001f * slope * slope;
        slope = w.mean[k] * mean_scale / (std::sqrt(w.square[k] * square_scale) + 1e-8f);
      }
      float action = actions[k] - rate * slope;
      if (d->noise) action += d->noise[done * count + k];
      actions[k] = std::min(1.0f, std::max(-1.0f, action));
    }
    ++done;
    const auto now = Clock::now();
    longest = std::max(longest, std::chrono::duration<double>(now - lap).count());
    lap = now;
    if (std::chrono::duration<double>(now - started).count() + longest > d->budget) break;
  }
  return done;
}

// Floats of memory for the next two functions. The memory must be zero at first.
int64_t wm_mpc_vision_memory(const Vision* v) {
  VisionSpace s;
  return s.lay_out(*v, nullptr);
}

// pixels (height, width, 3) -> scene (2 * keypoints).
void wm_mpc_encode(const Vision* v, const uint8_t* pixels, float* scene, float* memory) {
  VisionSpace s;
  s.lay_out(*v, memory);
  encode(*v, s, pixels, scene);
}

// See `redraw`.
void wm_mpc_redraw(
    const Vision* v, const float* scene, const float* state, float* drawn, float* memory) {
  VisionSpace s;
  s.lay_out(*v, memory);
  redraw(*v, s, scene, state, drawn);
}

// See `redraw_error`.
float wm_mpc_redraw_error(
    const Vision* v, const uint8_t* pixels, const float* scene, const float* state, float* memory) {
  VisionSpace s;
  s.lay_out(*v, memory);
  return redraw_error(*v, s, pixels, scene, state);
}

}  // extern "C"
