// Observing programs: means of products of Pauli operators, many of them for one reading of the state. A product needs the bits it
// flips inside the tile; its signs may come from anywhere.
#include <algorithm>

#include "kernels/bits.h"
#include "plan/plan.h"

namespace qmpi {
namespace {

int count(Index mask) { return __builtin_popcountll(static_cast<unsigned long long>(mask)); }

// Bits that serve many of the products, the first of them in any case.
Index choose_tile(int n, std::span<const PauliMasks> products, const std::vector<int>& left, Index low, int tile_bits) {
  Index tile = low | products[left[0]].x;
  for (;;) {  // the product that needs least more
    Index next = 0;
    for (const int k : left)
      if (const Index more = products[k].x & ~tile; more && count(tile | more) <= tile_bits && (!next || count(more) < count(next))) next = more;
    if (!next) break;
    tile |= next;
  }
  for (int b = 0; count(tile) < tile_bits && b < n; ++b) tile |= bit(b);
  return tile;
}

template <class Real>
Observation observe(int n, std::span<const PauliMasks> products, std::vector<int> chosen, Index tile, const TileShape& shape, const Tiling& tiling) {
  Observation observation{{}, std::move(chosen)};
  ProgramText& text = observation.text;
  Program& program = text.program();
  program.tiled = true;
  program.n = n;
  program.tile_mask = tile;
  program.tile_bits = tiling.tile_bits;
  program.run_bits = tiling.run_bits;
  program.chunks = bit(n - tiling.tile_bits);
  program.step_count = static_cast<std::int32_t>(observation.products.size());
  const auto positions = [&](Index bits) {
    Index result = 0;
    for (Index left = bits & tile; left; left &= left - 1) {
      const int inside = count(tile & (lowest(left) - 1));
      result |= bit(inside < shape.lane_bits ? shape.lane_of[inside] : inside);
    }
    return result;
  };
  const Index lanes = bit(shape.lane_bits) - 1;
  std::vector<Step> steps;
  for (const int k : observation.products) {
    const auto [x, z] = products[k];
    const Index x_inside = positions(x), z_inside = positions(z);
    const int ys = count(x & z) & 3;
    std::vector<Real> signs;
    for (Index l = 0; l <= lanes; ++l) signs.push_back(parity((l ^ x_inside) & z_inside & lanes) ? Real(-1) : Real(1));
    Step step{};
    step.kind = StepKind::observe;
    step.observe = {x_inside >> shape.lane_bits, z_inside >> shape.lane_bits, static_cast<std::int32_t>(x_inside & lanes), ys % 2 == 1,
                    {z & ~tile, true}, ys == 0 || ys == 1 ? 1.0 : -1.0, text.append(signs.data(), signs.size())};
    steps.push_back(step);
  }
  const std::int64_t offset = text.append(steps.data(), steps.size());
  text.program().steps = offset;
  return observation;
}

}  // namespace

template <class Real>
std::vector<Observation> make_observations(int n, std::span<const PauliMasks> products, const TileShape& shape, Tiling tiling, int workers,
                                           std::vector<int>& left) {
  tiling = narrowed(tiling, n, shape, workers);
  const Index low = bit(tiling.run_bits) - 1;
  std::vector<int> waiting;
  for (int k = 0; k < static_cast<int>(products.size()); ++k)
    (n > shape.lane_bits && count(products[k].x | low) <= tiling.tile_bits ? waiting : left).push_back(k);
  std::vector<Observation> observations;
  while (!waiting.empty()) {
    const Index tile = choose_tile(n, products, waiting, low, tiling.tile_bits);
    std::vector<int> chosen, others;
    for (const int k : waiting) ((products[k].x & ~tile) == 0 ? chosen : others).push_back(k);
    observations.push_back(observe<Real>(n, products, std::move(chosen), tile, shape, tiling));
    waiting = std::move(others);
  }
  return observations;
}

template std::vector<Observation> make_observations<float>(int, std::span<const PauliMasks>, const TileShape&, Tiling, int, std::vector<int>&);
template std::vector<Observation> make_observations<double>(int, std::span<const PauliMasks>, const TileShape&, Tiling, int, std::vector<int>&);

}  // namespace qmpi
