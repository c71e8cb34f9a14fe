// Bit arithmetic on amplitude indices: masks, inserted bits, and walks over the indices whose bits are partly fixed. It knows no
// amplitudes. Everything is `static`: kernels.cc is compiled once per instruction set, and a copy that one compilation emits must
// never be the one the linker picks for the other.
#pragma once

#include "kernels/kernels.h"

namespace qmpi {

static constexpr Index bit(int position) { return Index(1) << position; }

// The lowest set bit, as a mask; 0 for 0.
static constexpr Index lowest(Index mask) { return mask & -mask; }

static constexpr int trailing_zeros(Index mask) { return __builtin_ctzll(static_cast<unsigned long long>(mask)); }

static constexpr int parity(Index mask) { return __builtin_parityll(static_cast<unsigned long long>(mask)); }

// Bits `position` and up move up by one; the new bit is 0.
static constexpr Index insert_zero(Index i, int position) {
  const Index below = i & (bit(position) - 1);
  return ((i ^ below) << 1) | below;
}

// Bit k of i goes to bit positions[k].
static constexpr Index deposit(Index i, const int* positions, int count) {
  Index out = 0;
  for (int k = 0; k < count; ++k) out |= ((i >> k) & 1) << positions[k];
  return out;
}

// The inverse: bit positions[k] of i goes to bit k.
static constexpr Index extract(Index i, const int* positions, int count) {
  Index out = 0;
  for (int k = 0; k < count; ++k) out |= ((i >> positions[k]) & 1) << k;
  return out;
}

// The number-th index (from 0) whose bits in `fixed` are 0.
static constexpr Index free_index(Index number, Index fixed) {
  Index i = 0;
  for (Index free = ~fixed; number != 0; number >>= 1, free &= free - 1)
    if (number & 1) i |= lowest(free);
  return i;
}

// body(i) for all i < size (a power of two) whose bits in `fixed` are 0, ascending; of these, a share. Filling the fixed bits with ones
// lets the carry of +1 run across them, so no index that is not wanted is ever visited, wherever the fixed bits lie.
template <class Body>
static constexpr void for_each_free(Index size, Index fixed, Share share, Body body) {
  Index begin = 0, end = size;
  if (share.parts > 1) {
    const Index all = size >> __builtin_popcountll(static_cast<unsigned long long>(fixed & (size - 1)));
    begin = free_index(share.first(all), fixed);
    if (share.part + 1 < share.parts) end = free_index(share.next().first(all), fixed);
  }
  for (Index i = begin; i < end; i = ((i | fixed) + 1) & ~fixed) body(i);
}

}  // namespace qmpi
