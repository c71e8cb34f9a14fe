// Probabilities: sums of |psi[i]|^2, always in double precision and in a fixed order, so that a result never depends on anything
// but the amplitudes. It reads only, and normalises nothing.
#pragma once

#include "kernels/lanes.h"

namespace qmpi::QMPI_ISA {

// Sums are closed after this many amplitudes and added up: rounding errors grow with the number of blocks, not of amplitudes,
// also where all terms are equal.
constexpr Index sum_block = 4096;

// Amplitudes are added up in groups of packs * lanes with one accumulator each; only the parity of the mask's bits above a
// group is looked at on the way, the bits inside a group are settled at the end.
template <class Real, int lanes, int packs>
Weights weights_by_group(const Amplitude<Real>* psi, Index size, Index mask) {
  using Pack = Lanes<double, lanes>;
  constexpr Index group = lanes * packs;
  const Index above = mask & -group;
  const Index run = lowest(above | size | sum_block);  // the parity above is constant on a run
  const Index later = size < streamed_size ? 0 : ahead;
  typename Pack::Vector sums[2][packs] = {};
  for (Index start = 0; start < size; start += run) {
    typename Pack::Vector part[packs] = {};
    for (Index i = start; i < start + run; i += group)
      for (int p = 0; p < packs; ++p) {
        const Pack a = Pack::load(psi + i + p * lanes);
        if (packs > 1) __builtin_prefetch(psi + i + p * lanes + later);
        part[p] += a.v * a.v;
      }
    auto& sum = sums[parity(start & above)];
    for (int p = 0; p < packs; ++p) sum[p] += part[p];
  }
  double weight[2] = {0, 0};
  for (int parity_above = 0; parity_above < 2; ++parity_above)
    for (int p = 0; p < packs; ++p)
      for (int lane = 0; lane < lanes; ++lane) {
        const auto& sum = sums[parity_above][p];
        weight[parity_above ^ parity((p * lanes + lane) & mask)] += sum[2 * lane] + sum[2 * lane + 1];
      }
  return {weight[0], weight[1]};
}

template <class Real>
Weights weights(const Amplitude<Real>* psi, int n, Index mask) {
  constexpr int packs = 4;
  constexpr Index worthwhile = 4 * packs * full<double>;
  if (bit(n) < worthwhile) return weights_by_group<Real, 1, 1>(psi, bit(n), mask);
  return weights_by_group<Real, full<double>, packs>(psi, bit(n), mask);
}

}  // namespace qmpi::QMPI_ISA
