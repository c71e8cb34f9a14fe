#include "plan/segments.h"

#include <utility>

#include "kernels/bits.h"

namespace qmpi {
namespace {

constexpr std::size_t looked_ahead = 16384;  // actions

class Segmenter {
 public:
  Segmenter(const Circuit& circuit, int count) : circuit_(circuit), all_(bit(circuit.n()) - 1), count_(count) {
    for (std::size_t k = 0; k < circuit.size(); ++k)
      if (const Action& action = circuit.actions()[k]; action.dense | action.diagonal) remaining_.push_back(static_cast<int>(k));
  }

  bool done() const { return remaining_.empty(); }

  Segment take(Index global) {
    Segment segment{global, {}};
    std::vector<int> left;
    Index mixed = 0, chosen = 0;
    for (const int number : remaining_) {
      const Action& action = circuit_.actions()[number];
      (runs(action.dense, action.diagonal, all_ & ~global, mixed, chosen) ? segment.actions : left).push_back(number);
    }
    remaining_ = std::move(left);
    return segment;
  }

  // Bit after bit, the one without which most can run; of equals, one that is global already.
  Index choose(Index now) const {
    Index global = 0;
    std::pair<std::size_t, bool> best;
    for (int k = 0; k < count_; ++k) {
      Index next = 0;
      for (Index left = all_ & ~global; left; left &= left - 1) {
        const Index candidate = lowest(left);
        const std::pair value(worth(global | candidate), (candidate & now) != 0);
        if (next && value <= best) continue;
        next = candidate;
        best = value;
      }
      global |= next;
    }
    if (best.first > 0) return global;
    const Index needed = circuit_.actions()[remaining_.front()].dense;
    global = 0;
    for (const Index preferred : {now & ~needed, all_ & ~needed})
      for (Index left = preferred & ~global; left && __builtin_popcountll(static_cast<unsigned long long>(global)) < count_; left &= left - 1)
        global |= lowest(left);
    return global;
  }

 private:
  std::size_t worth(Index global) const {
    Index mixed = 0, chosen = 0;
    std::size_t count = 0, seen = 0;
    for (const int number : remaining_) {
      const Action& action = circuit_.actions()[number];
      count += runs(action.dense, action.diagonal, all_ & ~global, mixed, chosen);
      if (++seen == looked_ahead || mixed == all_) break;
    }
    return count;
  }

  const Circuit& circuit_;
  Index all_;
  int count_;
  std::vector<int> remaining_;
};

}  // namespace

std::vector<Segment> make_segments(const Circuit& circuit, Index global, bool free_choice) {
  std::vector<Segment> segments;
  Segmenter segmenter(circuit, __builtin_popcountll(static_cast<unsigned long long>(global)));
  if (segmenter.done()) return {{global, {}}};
  segments.push_back(segmenter.take(free_choice ? segmenter.choose(global) : global));
  while (!segmenter.done()) segments.push_back(segmenter.take(segmenter.choose(segments.back().global)));
  return segments;
}

}  // namespace qmpi
