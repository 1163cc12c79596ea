// Runs the compiled library on what test_aarch64.py wrote into a file, on another kind of processor.
//
// usage: driver LIBRARY INPUT OUTPUT. INPUT: the number of blocks, then of each its address in the
// process that wrote it, its size in bytes and whether it holds addresses, and its bytes; at the
// end, the arguments of the calls. Both processors have structs of one layout.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

struct Block {
  uint64_t address, size, holds_addresses;
  char* data;
};

static std::vector<Block> blocks;
static FILE* input;
static FILE* output;

static uint64_t number() {
  uint64_t value = 0;
  if (fread(&value, 8, 1, input) != 1) abort();
  return value;
}

static void* moved(uint64_t address) {
  for (const Block& block : blocks)
    if (block.address <= address && address < block.address + block.size)
      return block.data + (address - block.address);
  return nullptr;
}

static void give(const std::vector<float>& values) {
  if (fwrite(values.data(), 4, values.size(), output) != values.size()) abort();
}

template <typename F>
static F function(void* library, const char* name) {
  void* found = dlsym(library, name);
  if (!found) abort();
  return reinterpret_cast<F>(found);
}

int main(int, char** arguments) {
  void* library = dlopen(arguments[1], RTLD_NOW);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  input = fopen(arguments[2], "rb");
  output = fopen(arguments[3], "wb");
  blocks.resize(number());
  for (Block& block : blocks) {
    block.address = number();
    block.size = number();
    block.holds_addresses = number();
    block.data = (char*)aligned_alloc(64, (block.size / 64 + 2) * 64);  // fetched ahead
    if (block.size && fread(block.data, block.size, 1, input) != 1) abort();
  }
  for (Block& block : blocks)
    for (uint64_t at = 0; block.holds_addresses && at + 8 <= block.size; at += 8) {
      uint64_t word;
      memcpy(&word, block.data + at, 8);
      if (void* place = moved(word)) memcpy(block.data + at, &place, 8);
    }
  const void* model = moved(number());
  const void* problem = moved(number());
  const void* descent = moved(number());
  const float* actions = (const float*)moved(number());
  const int rows = (int)number(), horizon = (int)number(), latent = (int)number();
  const int64_t sequence = (int64_t)number();
  const auto lanes = function<int32_t (*)()>(library, "wm_mpc_lanes")();
  const auto memory =
      function<int64_t (*)(const void*, int32_t, int32_t, int32_t)>(library, "wm_mpc_memory");
  std::vector<float> room(memory(model, rows, horizon, 1) + 16), costs(rows);
  std::vector<float> latents(rows * horizon * latent), slopes(rows * sequence),
      best(rows * sequence);
  function<void (*)(const void*, const void*, int32_t, const float*, float*, float*, float*)>(
      library, "wm_mpc_costs")(
      model, problem, rows, actions, costs.data(), latents.data(), room.data());
  give({(float)lanes});
  give(costs);
  give(latents);
  function<void (*)(const void*, const void*, int32_t, const float*, float*, float*, float*)>(
      library, "wm_mpc_slopes")(
      model, problem, rows, actions, costs.data(), slopes.data(), room.data());
  give(slopes);
  std::vector<float> start(actions, actions + rows * sequence);
  const int done = function<int32_t (*)(
      const void*, const void*, const void*, int32_t, float*, float*, float*, float*)>(
      library, "wm_mpc_descend")(
      model, problem, descent, rows, start.data(), best.data(), costs.data(), room.data());
  give({(float)done});
  give(best);
  const void* vision = moved(number());
  const uint8_t* pixels = (const uint8_t*)moved(number());
  const float* seen = (const float*)moved(number());
  const int scene = (int)number();
  std::vector<float> place(
      function<int64_t (*)(const void*)>(library, "wm_mpc_vision_memory")(vision));
  std::vector<float> encoded(scene);
  function<void (*)(const void*, const uint8_t*, float*, float*)>(library, "wm_mpc_encode")(
      vision, pixels, encoded.data(), place.data());
  give(encoded);
  give({function<float (*)(const void*, const uint8_t*, const float*, const float*, float*)>(
      library, "wm_mpc_redraw_error")(vision, pixels, seen, seen + scene, place.data())});
  return fclose(output);
}
