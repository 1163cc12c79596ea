// From an image to the scene part of a latent, and the error of the reconstructed image. Formulas
// are those of model/encoder.py, for one image at a time. Maps are (row, column, channel).
#pragma once

#include <algorithm>
#include <cmath>

#include "linear.h"

namespace wm_mpc {

// A convolution with zero padding. If groups > 0, group normalisation and silu follow. `taps` holds
// a matrix (channels, outputs) for each place of the kernel. If is_row, it holds a matrix
// (size * channels, outputs) for each row of the kernel.
struct Convolution {
  int32_t size, stride, dilation, groups, is_row, outputs;
  const Matrix* taps;
  const float *bias, *scale, *shift;
};

struct Vision {
  int32_t height, width, keypoints, robot_points, fixed_points;
  Convolution features[4], heads;               // encoder
  Convolution scene[3], robot[3], join, paint;  // decoder; the taps of `join` are for two maps
  Matrix to_scene, from_scene, robot_first, robot_second, robot_last;
  const float *to_scene_bias, *from_scene_bias;
  const float *robot_first_bias, *robot_second_bias, *robot_last_bias;
  const float *sharpness, *robot_sharpness;  // (keypoints), (robot points)
  const float* fixed;  // (rows, columns, fixed points), on the grid of half the size
  const float* background;  // (height, width, 3)
};

struct Map {
  float* data;  // includes the border
  int rows, columns, border, channels;
  int64_t row_size() const { return (int64_t)(columns + 2 * border) * channels; }
  int64_t size() const { return (rows + 2 * border) * row_size(); }
  float* at(int row, int column) const {
    return data + (row + border) * row_size() + (int64_t)(column + border) * channels;
  }
};

constexpr int kBorder = 4;  // border of every map; the widest kernel reaches so far
constexpr int kImageBorder = 2;
constexpr float kNormEpsilon = 1e-5f;

// Memory for both directions. Borders must be zero, and stay zero.
struct VisionSpace {
  Map image, first, second, third;
  float *row, *other;  // vectors: keypoints, or units of a network
  float *mean, *variance;  // one per channel

  int64_t lay_out(const Vision& v, float* memory) {
    const int rows = (v.height + 1) / 2, columns = (v.width + 1) / 2;
    const int most = std::max(
        {v.keypoints, v.robot_points + v.fixed_points, v.features[0].outputs, v.join.outputs,
         v.paint.outputs});
    int64_t used = 0;
    auto take = [&](int64_t floats) {
      float* part = memory ? memory + used : nullptr;
      used += (floats + 15) / 16 * 16;
      return part;
    };
    image = {nullptr, v.height, v.width, kImageBorder, 3};
    image.data = take(image.size());
    for (Map* map : {&first, &second, &third}) {
      *map = {nullptr, rows, columns, kBorder, padded(most)};
      map->data = take(map->size());
    }
    const int64_t longest = padded(
        std::max(
            {2 * v.keypoints, v.robot_first.outputs, v.robot_second.outputs,
             v.robot_last.outputs}));
    row = take(longest);
    other = take(longest);
    mean = take(first.channels);
    variance = take(first.channels);
    return used;
  }
};

inline void normalise(VisionSpace& s, const Convolution& layer, const Map& map) {
  const int channels = layer.outputs, size = channels / layer.groups, count = padded(channels);
  auto add_up = [&](float* into, const float* from) {
    std::fill(into, into + count, 0.0f);
    for (int row = 0; row < map.rows; ++row)
      for (int column = 0; column < map.columns; ++column) {
        const float* here = map.at(row, column);
        for (int k = 0; k < channels; k += kLanes) {
          const Vector offset = from ? load(here + k) - load(from + k) : load(here + k);
          store(into + k, load(into + k) + (from ? offset * offset : offset));
        }
      }
    for (int group = 0; group < layer.groups; ++group) {
      float sum = 0.0f;
      for (int k = 0; k < size; ++k) sum += into[group * size + k];
      sum /= (float)map.rows * map.columns * size;
      std::fill(into + group * size, into + (group + 1) * size, sum);
    }
  };
  float *mean = s.mean, *variance = s.variance;
  add_up(mean, nullptr);
  add_up(variance, mean);
  for (int k = 0; k < channels; ++k) {
    const float slope = layer.scale[k] / std::sqrt(variance[k] + kNormEpsilon);
    mean[k] = layer.shift[k] - mean[k] * slope;  // from here on, the offset and the factor
    variance[k] = slope;
  }
  for (int row = 0; row < map.rows; ++row)
    for (int column = 0; column < map.columns; ++column) {
      float* here = map.at(row, column);
      for (int k = 0; k < channels; k += kLanes) {
        const Vector value = load(here + k) * load(variance + k) + load(mean + k);
        store(here + k, value * sigmoid(value));
      }
    }
}

inline void convolve(VisionSpace& s, const Convolution& layer, const Map& from, const Map& to) {
  const int reach = layer.dilation * (layer.size / 2);
  for (int row = 0; row < to.rows; ++row) {
    const float* start = layer.bias;
    int stride = 0;
    for (int down = 0; down < layer.size; ++down)
      for (int right = 0; right < (layer.is_row ? 1 : layer.size); ++right) {
        const Matrix& tap = layer.taps[layer.is_row ? down : down * layer.size + right];
        multiply(
            from.at(
                row * layer.stride + down * layer.dilation - reach, right * layer.dilation - reach),
            layer.stride * from.channels, to.columns, tap, to.at(row, 0), to.channels, start,
            stride);
        start = to.at(row, 0);
        stride = to.channels;
      }
  }
  if (layer.groups) normalise(s, layer, to);
}

inline float centre(int k, int size) { return (2.0f * k + 1.0f) / size - 1.0f; }

// pixels (height, width, 3) -> scene (2 * keypoints).
inline void encode(const Vision& v, VisionSpace& s, const uint8_t* pixels, float* scene) {
  const int line = 3 * v.width, points = v.keypoints;
  for (int row = 0; row < v.height; ++row)
    for (int k = 0; k < line; ++k) s.image.at(row, 0)[k] = pixels[row * line + k] / 255.0f;
  convolve(s, v.features[0], s.image, s.first);
  convolve(s, v.features[1], s.first, s.second);
  convolve(s, v.features[2], s.second, s.first);
  convolve(s, v.features[3], s.first, s.second);
  convolve(s, v.heads, s.second, s.first);
  const Map& map = s.first;
  for (int begin = 0; begin < points; begin += kLanes) {  // softmax, and its mean position
    Vector largest = load(map.at(0, 0) + begin);
    for (int row = 0; row < map.rows; ++row)
      for (int column = 0; column < map.columns; ++column) {
        const Vector value = load(map.at(row, column) + begin);
        largest = value > largest ? value : largest;
      }
    Vector sum = {}, across = {}, down = {};
    for (int row = 0; row < map.rows; ++row) {
      Vector line_sum = {};
      for (int column = 0; column < map.columns; ++column) {
        const Vector weight = exponential(load(map.at(row, column) + begin) - largest);
        line_sum += weight;
        across += weight * centre(column, map.columns);
      }
      sum += line_sum;
      down += line_sum * centre(row, map.rows);
    }
    float x[kLanes], y[kLanes];
    store(x, across / sum);
    store(y, down / sum);
    for (int k = begin; k < std::min(points, begin + kLanes); ++k) {
      s.row[k] = x[k - begin];
      s.row[points + k] = y[k - begin];
    }
  }
  multiply(s.row, 0, 1, v.to_scene, s.other, 0, v.to_scene_bias, 0);
  std::memcpy(scene, s.other, 4 * 2 * points);
}

// Draws one blob per point (the x of all, then the y of all) into the first channels of a map.
inline void draw(const float* points, int count, const float* sharpness, const Map& map) {
  const Vector zero = {};
  for (int begin = 0; begin < count; begin += kLanes) {
    float x[kLanes] = {}, y[kLanes] = {}, sharp[kLanes] = {};
    for (int k = begin; k < std::min(count, begin + kLanes); ++k) {
      x[k - begin] = points[k];
      y[k - begin] = points[count + k];
      sharp[k - begin] = sharpness[k];
    }
    for (int row = 0; row < map.rows; ++row) {
      const Vector down = centre(row, map.rows) - load(y);
      const Vector along_y = exponential(zero - load(sharp) * down * down);
      for (int column = 0; column < map.columns; ++column)
        store(map.at(row, column) + begin, along_y);
    }
    for (int column = 0; column < map.columns; ++column) {
      const Vector right = centre(column, map.columns) - load(x);
      const Vector along_x = exponential(zero - load(sharp) * right * right);
      for (int row = 0; row < map.rows; ++row) {
        float* here = map.at(row, column) + begin;
        store(here, load(here) * along_x);
      }
    }
  }
}

// Paints the reconstruction from a scene (2 * keypoints) and a normalised state into s.second, as
// differences to the background.
inline void paint(const Vision& v, VisionSpace& s, const float* scene, const float* state) {
  multiply(scene, 0, 1, v.from_scene, s.row, 0, v.from_scene_bias, 0);
  draw(s.row, v.keypoints, v.sharpness, s.first);
  convolve(s, v.scene[0], s.first, s.second);
  convolve(s, v.scene[1], s.second, s.first);
  convolve(s, v.scene[2], s.first, s.second);
  multiply(state, 0, 1, v.robot_first, s.row, 0, v.robot_first_bias, 0);
  silu(s.row, s.other, s.row, padded(v.robot_first.outputs));
  multiply(s.row, 0, 1, v.robot_second, s.other, 0, v.robot_second_bias, 0);
  silu(s.other, s.row, s.other, padded(v.robot_second.outputs));
  multiply(s.other, 0, 1, v.robot_last, s.row, 0, v.robot_last_bias, 0);
  draw(s.row, v.robot_points, v.robot_sharpness, s.first);
  const Map& map = s.first;
  for (int row = 0; row < map.rows; ++row)
    for (int column = 0; column < map.columns; ++column)
      std::memcpy(
          map.at(row, column) + v.robot_points,
          v.fixed + ((int64_t)row * map.columns + column) * v.fixed_points, 4 * v.fixed_points);
  convolve(s, v.robot[0], s.first, s.third);
  convolve(s, v.robot[1], s.third, s.first);
  convolve(s, v.robot[2], s.first, s.third);
  for (int row = 0; row < map.rows; ++row)
    for (int part = 0; part < 2; ++part)
      multiply(
          (part ? s.third : s.second).at(row, 0), map.channels, map.columns, v.join.taps[part],
          s.first.at(row, 0), map.channels, part ? s.first.at(row, 0) : v.join.bias,
          part ? map.channels : 0);
  normalise(s, v.join, s.first);
  convolve(s, v.paint, s.first, s.second);
}

// The reconstruction from a scene and a normalised state, into drawn (height, width, 3).
inline void redraw(
    const Vision& v, VisionSpace& s, const float* scene, const float* state, float* drawn) {
  paint(v, s, scene, state);
  for (int row = 0; row < v.height; ++row)
    for (int column = 0; column < v.width; ++column) {
      const float* painted = s.second.at(row / 2, column / 2) + row % 2 * 2 + column % 2;
      const int64_t at = ((int64_t)row * v.width + column) * 3;
      for (int colour = 0; colour < 3; ++colour)
        drawn[at + colour] = v.background[at + colour] + painted[4 * colour];
    }
}

// Root mean square difference between pixels (height, width, 3) and the reconstruction.
inline float redraw_error(
    const Vision& v, VisionSpace& s, const uint8_t* pixels, const float* scene,
    const float* state) {
  paint(v, s, scene, state);
  double sum = 0.0;
  for (int row = 0; row < v.height; ++row) {
    float line = 0.0f;
    for (int column = 0; column < v.width; ++column) {
      const float* painted = s.second.at(row / 2, column / 2) + row % 2 * 2 + column % 2;
      const int64_t at = ((int64_t)row * v.width + column) * 3;
      for (int colour = 0; colour < 3; ++colour) {
        const float offset =
            v.background[at + colour] + painted[4 * colour] - pixels[at + colour] / 255.0f;
        line += offset * offset;
      }
    }
    sum += line;
  }
  return (float)std::sqrt(sum / (3.0 * v.height * v.width));
}

}  // namespace wm_mpc
