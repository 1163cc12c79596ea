// Vectors of floats, the functions of a network on them, and the product of a few rows with a
// matrix. Batches are small (a few restarts), so the speed of a product depends on how fast weights
// come from the cache. So weights are packed into panels that are read once, from front to back.
// If bfloat16 holds them exactly, they are stored as bfloat16, in half as many bytes.
#pragma once

#include <cstdint>
#include <cstring>

namespace wm_mpc {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kRows = 8;  // rows of one block; 2 x 8 sums stay in registers
#elif defined(__AVX__)
constexpr int kLanes = 8;
constexpr int kRows = 6;  // 2 x 6 sums, 2 columns and a factor use 15 of 16 registers
#else
constexpr int kLanes = 4;
constexpr int kRows = 6;
#endif
constexpr int kPanel = 2 * kLanes;  // columns of a panel

typedef float Vector __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef int32_t Whole __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

// memcpy would be slow: gcc, tuned for AMD's processors, copies 16 bytes at a time via the stack.
inline Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }

inline void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }

inline Vector fill(float value) { return Vector{} + value; }

// e to the power of x, with an error of 2 units in the last place. The polynomial is from Cephes'
// expf.
inline Vector exponential(Vector x) {
  x = x < -87.0f ? fill(-87.0f) : x;
  x = x > 87.0f ? fill(87.0f) : x;
  const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const Vector shifted = x * 1.44269504088896341f + shift;
  const Vector number = shifted - shift;
  const Vector rest = (x - number * 0.693359375f) + number * 2.12194440e-4f;
  Vector power = fill(1.9875691500e-4f);
  power = power * rest + 1.3981999507e-3f;
  power = power * rest + 8.3334519073e-3f;
  power = power * rest + 4.1665795894e-2f;
  power = power * rest + 1.6666665459e-1f;
  power = power * rest + 5.0000001201e-1f;
  power = power * rest * rest + rest + 1.0f;
  const Whole bits = ((Whole)shifted - (Whole)fill(shift) + 127) << 23;
  return power * (Vector)bits;
}

inline Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(-x)); }

inline Vector hyperbolic_tangent(Vector x) { return 2.0f * sigmoid(2.0f * x) - 1.0f; }

// A matrix (inputs, outputs), packed in panels: (ceil(outputs / kPanel), inputs, kPanel) floats.
// If is_half: (ceil(outputs / kPanel), inputs, kLanes) words. The lower 16 bits of a word are the
// upper half of a float in the panel's first vector, and its upper 16 bits those of the second.
struct Matrix {
  int32_t inputs, outputs, is_half;
  const float* panels;
};

inline int padded(int columns) { return (columns + kPanel - 1) / kPanel * kPanel; }

constexpr int kAhead = 32;  // the cache is filled so many inputs ahead of the multiplication

template <int rows, bool is_half>
__attribute__((noinline)) void multiply_block(
    const float* input, int input_stride, int inputs, const float* panel, float* output,
    int output_stride, const float* start, int start_stride) {
  Vector sums[rows][2];  // these stay in registers, because all loops over them are unrolled
#pragma GCC unroll 16
  for (int row = 0; row < rows; ++row) {
    sums[row][0] = start ? load(start + row * start_stride) : Vector{};
    sums[row][1] = start ? load(start + row * start_stride + kLanes) : Vector{};
  }
  for (int k = 0; k < inputs; ++k) {
    Vector first, second;
    if (is_half) {
      const float* both = panel + k * kLanes;
      __builtin_prefetch(both + kAhead * kLanes);
      const Whole words = *reinterpret_cast<const Whole*>(both);
      first = (Vector)(words << 16);
      second = (Vector)(words & -65536);
    } else {
      const float* both = panel + k * kPanel;
      __builtin_prefetch(both + kAhead * kPanel);
      __builtin_prefetch(both + kAhead * kPanel + kLanes);
      first = load(both);
      second = load(both + kLanes);
    }
#pragma GCC unroll 16
    for (int row = 0; row < rows; ++row) {
      const float factor = input[row * input_stride + k];
      sums[row][0] += first * factor;
      sums[row][1] += second * factor;
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < rows; ++row) {
    store(output + row * output_stride, sums[row][0]);
    store(output + row * output_stride + kLanes, sums[row][1]);
  }
}

// See `multiply`. Only the first `inputs` and `outputs` of the matrix count.
template <bool is_half>
void multiply_part(
    const float* input, int input_stride, int rows, const Matrix& matrix, int inputs, int outputs,
    float* output, int output_stride, const float* start, int start_stride) {
  const int64_t panel_size = (int64_t)matrix.inputs * (is_half ? kLanes : kPanel);
  const float* panel = matrix.panels;
  for (int column = 0; column < outputs; column += kPanel, panel += panel_size) {
    for (int row = 0; row < rows;) {
      const float* from = input + (int64_t)row * input_stride;
      float* to = output + (int64_t)row * output_stride + column;
      const float* begin = start ? start + (int64_t)row * start_stride + column : nullptr;
      int done = rows - row;
      switch (done < kRows ? done : kRows) {
#define WM_MPC_BLOCK(count)                                                         \
  case count:                                                                       \
    multiply_block<count, is_half>(                                                 \
        from, input_stride, inputs, panel, to, output_stride, begin, start_stride); \
    done = count;                                                                   \
    break;
        WM_MPC_BLOCK(1)
        WM_MPC_BLOCK(2)
        WM_MPC_BLOCK(3)
        WM_MPC_BLOCK(4)
        WM_MPC_BLOCK(5)
        WM_MPC_BLOCK(6)
#if defined(__AVX512F__)
        WM_MPC_BLOCK(7)
        WM_MPC_BLOCK(8)
#endif
#undef WM_MPC_BLOCK
      }
      row += done;
    }
  }
}

// output (rows, padded outputs) = start + input (rows, inputs) x matrix. start may be a bias
// (start_stride 0), a matrix, the output itself, or null. Strides are in floats. Only the first
// `inputs` and `outputs` of the matrix count; 0 means all.
inline void multiply(
    const float* input, int input_stride, int rows, const Matrix& matrix, float* output,
    int output_stride, const float* start, int start_stride, int inputs = 0, int outputs = 0) {
  const auto product = matrix.is_half ? multiply_part<true> : multiply_part<false>;
  product(
      input, input_stride, rows, matrix, inputs ? inputs : matrix.inputs,
      outputs ? outputs : matrix.outputs, output, output_stride, start, start_stride);
}

// x -> x * sigmoid(x) for `count` floats, a multiple of kLanes. Keeps sigmoid(x) in `open`.
inline void silu(const float* x, float* open, float* output, int count) {
  for (int k = 0; k < count; k += kLanes) {
    const Vector value = load(x + k), gate = sigmoid(value);
    store(open + k, gate);
    store(output + k, value * gate);
  }
}

// slope *= derivative of silu, from `open` and `output` of `silu`.
inline void silu_backward(float* slope, const float* open, const float* output, int count) {
  for (int k = 0; k < count; k += kLanes) {
    const Vector gate = load(open + k);
    store(slope + k, load(slope + k) * (gate + load(output + k) * (1.0f - gate)));
  }
}

}  // namespace wm_mpc
