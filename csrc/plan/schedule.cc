// Which bits make the tiles of a pass, and which actions run in it. Actions run in any order that respects the bits they mix: an action
// that only chooses by a bit commutes with others that do the same.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "kernels/bits.h"
#include "plan/plan.h"
#include "plan/segments.h"

namespace qmpi {
namespace {

constexpr std::size_t looked_ahead = 1024;  // actions
constexpr double tile_pass = 2.0;           // in units of direct_cost: a pass over tiles that does nothing
constexpr double tile_action = 0.1;         // an action in it
constexpr int most_rounds = 3;              // of improving a choice
constexpr int small_tile = 15;              // a larger one costs more if there is little to do in it

class Scheduler {
 public:
  Scheduler(const Circuit& circuit, int tile_bits, int run_bits)
      : circuit_(circuit), n_(circuit.n()), tile_bits_(tile_bits), low_(bit(run_bits) - 1) {
    for (std::size_t k = 0; k < circuit.size(); ++k)
      if (const Action& action = circuit.actions()[k]; (action.dense | action.diagonal) != 0) remaining_.push_back(static_cast<int>(k));
    worth_.reserve(remaining_.size());
  }

  bool done() const { return remaining_.empty(); }
  const Action& first() const { return circuit_.actions()[remaining_.front()]; }

  // The bits of the next pass.
  Index choose() {
    look_ahead();
    const Index all = bit(n_) - 1;
    if (tile_bits_ >= n_) return all;
    Index best = 0;
    double most = -1;
    int fewest = 0;  // bits that what is left mixes
    const auto consider = [&](Index tile) {
      const auto [value, left] = worth(tile);
      if (value < most || (value == most && left >= fewest)) return false;
      most = value;
      fewest = left;
      best = tile;
      return true;
    };
    consider(first_come());
    const int free = tile_bits_ - __builtin_popcountll(static_cast<unsigned long long>(low_)), lowest_free = trailing_zeros(~low_);
    for (int begin = lowest_free; begin + free <= n_; ++begin) consider(low_ | ((bit(free) - 1) << begin));
    bool better = most < total_;
    for (int round = 0; better && round < most_rounds; ++round) {
      better = false;
      for (int out = lowest_free; out < n_; ++out) {
        if (!(best & bit(out)) || !(wanted_ & ~best)) continue;
        for (Index in = wanted_ & ~best; in; in &= in - 1)
          if (consider((best & ~bit(out)) | lowest(in))) {
            better = true;
            break;
          }
      }
    }
    return filled(needed(best));
  }

  // Takes what a pass over these tiles can run off the list.
  std::vector<int> take(Index tile) {
    std::vector<int> taken, left;
    Index mixed = 0, chosen = 0;
    const Index all = bit(n_) - 1;
    std::size_t k = 0;
    for (; k < remaining_.size() && mixed != all; ++k) {
      const Action& action = circuit_.actions()[remaining_[k]];
      if (runs(action.dense, action.diagonal, action.kind == Action::Kind::block ? 0 : tile, mixed, chosen))
        taken.push_back(remaining_[k]);
      else
        left.push_back(remaining_[k]);
    }
    left.insert(left.end(), remaining_.begin() + static_cast<std::ptrdiff_t>(k), remaining_.end());
    remaining_ = std::move(left);
    return taken;
  }

  int take_first() {
    const int first = remaining_.front();
    remaining_.erase(remaining_.begin());
    return first;
  }

 private:
  struct Glance {  // what choosing needs of an action
    Index dense, diagonal;
    float worth;
    bool block;
  };

  void look_ahead() {
    worth_.clear();
    wanted_ = 0;
    total_ = 0;
    for (std::size_t k = 0; k < std::min(remaining_.size(), looked_ahead); ++k) {
      const Action& action = circuit_.actions()[remaining_[k]];
      const float value = action.kind == Action::Kind::diagonal ? 0.2f : action.kind == Action::Kind::matrix && action.targets == 2 ? 4.0f : 1.0f;
      worth_.push_back({action.dense, action.diagonal, value, action.kind == Action::Kind::block});
      wanted_ |= action.dense;
      total_ += value;
    }
  }

  // Of what a pass over these tiles can run, and how many bits what it leaves would need in a tile.
  std::pair<double, int> worth(Index tile) const {
    Index mixed = 0, chosen = 0;
    double sum = 0;
    const Index all = wanted_;
    for (const Glance& action : worth_) {
      if (runs(action.dense, action.diagonal, action.block ? 0 : tile, mixed, chosen)) sum += action.worth;
      if ((mixed & all) == all) break;
    }
    return {sum, __builtin_popcountll(static_cast<unsigned long long>(mixed | low_))};
  }

  Index first_come() const {
    Index tile = low_;
    int room = tile_bits_ - __builtin_popcountll(static_cast<unsigned long long>(low_));
    for (const Glance& action : worth_) {
      const Index more = action.dense & ~tile;
      const int count = __builtin_popcountll(static_cast<unsigned long long>(more));
      if (count > room) continue;
      tile |= more;
      room -= count;
    }
    return filled(tile);
  }

  // Bits of the tile that what runs there mixes.
  Index needed(Index tile) const {
    Index mixed = 0, chosen = 0, needed = low_;
    for (const Glance& action : worth_) {
      if (runs(action.dense, action.diagonal, action.block ? 0 : tile, mixed, chosen)) needed |= action.dense;
      if ((mixed & wanted_) == wanted_) break;
    }
    return needed;
  }

  // By neighbours in memory, where there is a choice; not larger than it need be.
  Index filled(Index tile) const {
    const int wanted = std::min(tile_bits_, small_tile) - __builtin_popcountll(static_cast<unsigned long long>(tile));
    for (int room = wanted; room > 0; --room) tile |= lowest(~tile);
    return tile;
  }

  const Circuit& circuit_;
  int n_, tile_bits_;
  Index low_;
  std::vector<int> remaining_;
  std::vector<Glance> worth_;
  Index wanted_ = 0;  // bits that some action mixes
  double total_ = 0;
};

}  // namespace

template <class Real>
Tiling best_tiling() {
  const long second = sysconf(_SC_LEVEL2_CACHE_SIZE);
  const Index fitting = std::max<Index>(second, 256 * 1024) / 2 / Index{sizeof(std::complex<Real>)};
  const int tile_bits = std::min(63 - __builtin_clzll(static_cast<unsigned long long>(fitting)), most_tile_bits);
  constexpr int way_bits = sizeof(Real) == 8 ? 8 : 9;  // 4 KiB of a first-level cache, one of its ways; a quarter is for coefficients
  const long ways = sysconf(_SC_LEVEL1_DCACHE_ASSOC);
  return {tile_bits, sizeof(Real) == 8 ? 4 : 5, way_bits + (ways >= 12 ? 3 : 2), way_bits};
}

Tiling narrowed(Tiling tiling, int n, const TileShape& shape, int workers) {
  constexpr int smallest_tile = 10;
  const int shared = n - (workers > 1 ? 65 - __builtin_clzll(static_cast<unsigned long long>(workers)) : 0);
  tiling.tile_bits = std::min({tiling.tile_bits, n, std::max(shared, smallest_tile)});
  tiling.run_bits = std::min(std::max(tiling.run_bits, shape.lane_bits), tiling.tile_bits);
  tiling.chunk_bits = std::min(std::max(tiling.chunk_bits, shape.lane_bits), tiling.tile_bits);
  tiling.near_bits = std::min(std::max(tiling.near_bits, shape.lane_bits), tiling.chunk_bits);
  return tiling;
}

template Tiling best_tiling<float>();
template Tiling best_tiling<double>();

template <class Real>
std::vector<ProgramText> make_plan(const Circuit& circuit, const TileShape& shape, Tiling tiling, int workers) {
  const int n = circuit.n();
  tiling = narrowed(tiling, n, shape, workers);
  const bool tiles = tiling.tile_bits > shape.lane_bits;

  std::vector<ProgramText> programs;
  Pending pending{circuit.scalar(), {}};
  Scheduler scheduler(circuit, tiling.tile_bits, tiling.run_bits);
  while (!scheduler.done()) {
    if (!tiles || scheduler.first().kind == Action::Kind::block) {
      direct_programs(circuit, circuit.actions()[scheduler.take_first()], pending, programs);
      continue;
    }
    const Index tile = scheduler.choose();
    const std::vector<int> taken = scheduler.take(tile);
    if (taken.empty()) {  // more bits than a tile has
      direct_programs(circuit, circuit.actions()[scheduler.take_first()], pending, programs);
      continue;
    }
    const auto is_pair = [](const Action& action) { return action.kind == Action::Kind::matrix && action.targets == 2 && action.controls == 0; };
    double directly = 0;
    for (const int number : taken) directly += direct_cost(circuit.actions()[number]);
    const bool alone = n > tiling.tile_bits ? directly <= tile_pass + tile_action * static_cast<double>(taken.size())
                                            : taken.size() == 1 && is_pair(circuit.actions()[taken[0]]);
    if (alone && pending.terms.empty()) {
      for (const int number : taken) {
        const Action& action = circuit.actions()[number];
        if (is_pair(action))
          programs.push_back(matrix_program<Real>(circuit, action, shape, tiling));
        else
          direct_programs(circuit, action, pending, programs);
      }
      continue;
    }
    // A kernel of its own could not take along what is pending.
    const bool last = scheduler.done() || scheduler.first().kind == Action::Kind::block;
    programs.push_back(tile_program<Real>(circuit, taken, tile, shape, tiling, pending, last));
  }
  direct_programs(n, pending, programs);
  return programs;
}

template std::vector<ProgramText> make_plan<float>(const Circuit&, const TileShape&, Tiling, int);
template std::vector<ProgramText> make_plan<double>(const Circuit&, const TileShape&, Tiling, int);

}  // namespace qmpi
