// Segments: a circuit on more bits than a node holds. In each segment some bits are *global*, bits of the node's number, and no action
// of the segment mixes them; between segments nodes exchange amplitudes. It knows no nodes and no messages, only which bits are global.
#pragma once

#include <vector>

#include "plan/circuit.h"

namespace qmpi {

struct Segment {
  Index global;
  std::vector<int> actions;
};

// `global`: which bits are global now; with `free_choice` (a fresh state: no bit is better than another) that is only how many. What
// mixes more bits than are local must have been refused.
std::vector<Segment> make_segments(const Circuit& circuit, Index global, bool free_choice);

// Whether an action can run in a pass that may mix the bits in `allowed`, after others were left out that mix, or only choose by, the
// bits in `mixed` and `chosen`; if not, it is left out itself.
inline bool runs(Index dense, Index diagonal, Index allowed, Index& mixed, Index& chosen) {
  if ((dense & ~allowed) || (dense & (mixed | chosen)) || (diagonal & mixed)) {
    mixed |= dense;
    chosen |= diagonal;
    return false;
  }
  return true;
}

}  // namespace qmpi
