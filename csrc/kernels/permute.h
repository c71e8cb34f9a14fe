// Amplitudes change places: the exchange of two bits in memory, and reading a state out with its bits in another order. No
// amplitude is mixed with another.
#pragma once

#include "kernels/lanes.h"

namespace qmpi::QMPI_ISA {

template <class Real>
void swap(Amplitude<Real>* psi, int n, int a, int b, Index controls, Share share) {
  const Index fixed = bit(a) | bit(b) | controls;
  with_lanes<Real>(lowest(fixed), [&](auto lanes) {
    using Pack = Lanes<Real, lanes>;
    Amplitude<Real>* only_a = psi + (controls | bit(a));
    Amplitude<Real>* only_b = psi + (controls | bit(b));
    for_each_pack<lanes>(bit(n), fixed, share, prefetch(only_a, only_b), [&](Index i) {
      const Pack from_a = Pack::load(only_a + i), from_b = Pack::load(only_b + i);
      from_b.store(only_a + i);
      from_a.store(only_b + i);
    });
  });
}

// j and i count up together: from t to t + 1 the bits 0 ... c flip, c the trailing zeros of t + 1, so one XOR moves each index.
// The low bits of both indices are counted first, so that the cache lines of psi and of out are used up while they are at hand.
template <class Real>
void gather(const Amplitude<Real>* psi, int n, const int* bits, Coefficient factor, Coefficient* out) {
  constexpr int line_bits = 4;
  Index flip_j[64], flip_i[64];
  int counted = 0;
  Index j = 0, i = 0;
  for (const bool low : {true, false})
    for (int k = 0; k < n; ++k)
      if ((k < line_bits || bits[k] < line_bits) == low) {
        flip_j[counted] = j ^= bit(k);
        flip_i[counted] = i ^= bit(bits[k]);
        ++counted;
      }
  const Factor<double, 1> f(factor);
  j = i = 0;
  for (Index t = 0; t < bit(n); ++t) {
    (Lanes<double, 1>::load(psi + i) * f).store(out + j);
    const int c = trailing_zeros(t + 1);
    if (c == n) break;
    j ^= flip_j[c];
    i ^= flip_i[c];
  }
}

}  // namespace qmpi::QMPI_ISA
