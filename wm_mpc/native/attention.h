// Layer normalisation, and the attention of one new token to itself and to earlier tokens. All sizes
// are multiples of kLanes.
#pragma once

#include <algorithm>
#include <cmath>

#include "linear.h"

namespace wm_mpc {

inline float total(Vector value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int half = kLanes / 2; half; half /= 2)
    for (int k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  return lanes[0];
}

inline float inner(const float* first, const float* second, int size) {
  Vector sum{};
  for (int k = 0; k < size; k += kLanes) sum += load(first + k) * load(second + k);
  return total(sum);
}

// output = normal * scale + shift, where normal = (x - mean) / deviation. Returns 1 / deviation.
inline float normalise(
    const float* x, int size, float epsilon, const float* scale, const float* shift, float* normal,
    float* output) {
  Vector sum{}, squares{};
  for (int k = 0; k < size; k += kLanes) sum += load(x + k);
  const float mean = total(sum) / size;
  for (int k = 0; k < size; k += kLanes) {
    const Vector offset = load(x + k) - mean;
    squares += offset * offset;
  }
  const float inverse = 1.0f / std::sqrt(total(squares) / size + epsilon);
  for (int k = 0; k < size; k += kLanes) {
    const Vector value = (load(x + k) - mean) * inverse;
    store(normal + k, value);
    store(output + k, value * load(scale + k) + load(shift + k));
  }
  return inverse;
}

// Adds the slope by x to `slope`, from the slope by the output, and what `normalise` kept.
inline void normalise_back(
    const float* to_output, int size, const float* scale, const float* normal, float inverse,
    float* slope) {
  Vector sum{}, along{};
  for (int k = 0; k < size; k += kLanes) {
    const Vector to_normal = load(to_output + k) * load(scale + k);
    sum += to_normal;
    along += to_normal * load(normal + k);
  }
  const float mean = total(sum) / size, share = total(along) / size;
  for (int k = 0; k < size; k += kLanes) {
    const Vector to_normal = load(to_output + k) * load(scale + k);
    store(slope + k, load(slope + k) + (to_normal - mean - load(normal + k) * share) * inverse);
  }
}

// The tokens that a new token sees, by their distance to it: 0 is the token itself. A token is its
// query, key and value, `width` floats each; all heads lie side by side in a width.
struct Window {
  int heads, head_width, width, context;
  int count;  // tokens that are seen, at most `context`
  float scale;  // of the products of queries and keys
};

// Room for the scores of one head, in whole vectors.
inline int scores_width(int context) { return (context + kLanes - 1) / kLanes * kLanes; }

// Attends for one row. `key_of(distance)` returns the key of a token; its value follows it. Keeps
// the shares (heads, scores_width) of the tokens, and writes what is seen (width).
template <typename KeyOf>
inline void attend(
    const Window& w, const float* query, const float* distance_bias, KeyOf key_of, float* shares,
    float* seen) {
  const int stride = scores_width(w.context);
  for (int distance = 0; distance < w.count; ++distance) {
    const float* key = key_of(distance);
    for (int head = 0; head < w.heads; ++head) {
      const int first = head * w.head_width;
      shares[head * stride + distance] = inner(query + first, key + first, w.head_width) * w.scale +
                                         distance_bias[head * w.context + distance];
    }
  }
  for (int head = 0; head < w.heads; ++head) {
    float* share = shares + head * stride;
    const float highest = *std::max_element(share, share + w.count);
    for (int k = 0; k < w.count; k += kLanes)
      store(share + k, exponential(load(share + k) - highest));
    float sum = 0.0f;
    for (int k = 0; k < w.count; ++k) sum += share[k];
    const float inverse = 1.0f / sum;
    for (int k = 0; k < w.count; ++k) share[k] *= inverse;
  }
  for (int distance = 0; distance < w.count; ++distance) {
    const float* value = key_of(distance) + w.width;
    for (int head = 0; head < w.heads; ++head) {
      const float share = shares[head * stride + distance];
      for (int k = head * w.head_width; k < (head + 1) * w.head_width; k += kLanes)
        store(seen + k, (distance ? load(seen + k) : Vector{}) + share * load(value + k));
    }
  }
}

// Adds the slopes of the query, and of the keys and values, from the slope of what was seen.
// `to_key_of(distance)` returns where the slope of a key is summed up, or null for a token that no
// action changes. `room` has the size of `shares`.
template <typename KeyOf, typename ToKeyOf>
inline void attend_back(
    const Window& w, const float* to_seen, const float* query, KeyOf key_of, const float* shares,
    ToKeyOf to_key_of, float* to_query, float* room) {
  const int stride = scores_width(w.context);
  for (int distance = 0; distance < w.count; ++distance) {
    const float* value = key_of(distance) + w.width;
    for (int head = 0; head < w.heads; ++head) {
      const int first = head * w.head_width;
      room[head * stride + distance] = inner(to_seen + first, value + first, w.head_width);
    }
  }
  for (int head = 0; head < w.heads; ++head) {
    const float* share = shares + head * stride;
    float* to_score = room + head * stride;
    float mean = 0.0f;
    for (int k = 0; k < w.count; ++k) mean += share[k] * to_score[k];
    for (int k = 0; k < w.count; ++k) to_score[k] = share[k] * (to_score[k] - mean) * w.scale;
  }
  for (int distance = 0; distance < w.count; ++distance) {
    const float* key = key_of(distance);
    float* to_key = to_key_of(distance);
    for (int head = 0; head < w.heads; ++head) {
      const float to_score = room[head * stride + distance];
      const float share = shares[head * stride + distance];
      for (int k = head * w.head_width; k < (head + 1) * w.head_width; k += kLanes) {
        store(to_query + k, load(to_query + k) + to_score * load(key + k));
        if (!to_key) continue;
        store(to_key + k, load(to_key + k) + to_score * load(query + k));
        float* to_value = to_key + w.width;
        store(to_value + k, load(to_value + k) + share * load(to_seen + k));
      }
    }
  }
}

}  // namespace wm_mpc
