// Products of Pauli operators given by two masks: rotations about them and their expectation. A product maps index i to i ^ x
// with the phase i^{|x & z|} (-1)^{|i & z|} (Y = iXZ), so nothing here is ever a matrix.
#pragma once

#include <cmath>

#include "kernels/reduce.h"

namespace qmpi::QMPI_ISA {

// i^{|x & z|}: one factor i per Y.
static Coefficient phase_of_ys(Index x, Index z) {
  constexpr double re[] = {1, 0, -1, 0}, im[] = {0, 1, 0, -1};
  const int ys = __builtin_popcountll(static_cast<unsigned long long>(x & z)) & 3;
  return {re[ys], im[ys]};
}

// psi[i] = c psi[i] - i s (P psi)[i], where (P psi)[i] = i^{ys} (-1)^{|(i ^ x) & z|} psi[i ^ x]. Bits of x inside a register are
// an exchange of lanes (`distance`), the others lead to the partner register.
template <class Real, int lanes, int distance>
void rotate(Amplitude<Real>* psi, Index size, Index x, Index z, double c, double s, Share share) {
  using Pack = Lanes<Real, lanes>;
  constexpr Index in_register = lanes - 1;
  const Coefficient ys = phase_of_ys(x, z);
  const auto partner = [&](int sign_above) {
    return Factor<Real, lanes>::per_lane([&](Index lane) {
      const double sign = sign_above ^ parity((lane ^ distance) & z) ? -s : s;
      return Coefficient(sign * ys.imag(), -sign * ys.real());
    });
  };
  const Factor<Real, lanes> by_parity[] = {partner(0), partner(1)};
  const Real own = Real(c);
  const Index x_above = x & ~in_register, z_above = z & ~in_register;

  if (x_above == 0)
    return for_each_pack<lanes>(size, 0, share, prefetch(psi), [&](Index i) {
      const Pack a = Pack::load(psi + i);
      (Pack{own * a.v} + a.template exchanged<distance>() * by_parity[parity(i & z_above)]).store(psi + i);
    });
  const Index pivot = lowest(x_above);
  const int flips = parity(x_above & z_above);  // the parity of j against that of i
  const auto pair = [&](Index i) __attribute__((always_inline)) {
    __builtin_prefetch(psi + i);
    __builtin_prefetch(psi + (i ^ x_above));
  };
  for_each_pack<lanes>(size, pivot, share, pair, [&](Index i) {
    const Index j = i ^ x_above;
    const int p = parity(i & z_above);
    const Pack a = Pack::load(psi + i), b = Pack::load(psi + j);
    (Pack{own * a.v} + b.template exchanged<distance>() * by_parity[p ^ flips]).store(psi + i);
    (Pack{own * b.v} + a.template exchanged<distance>() * by_parity[p]).store(psi + j);
  });
}

template <class Real>
void pauli(Amplitude<Real>* psi, int n, Index x, Index z, double theta, Share share) {
  const double c = std::cos(theta / 2), s = std::sin(theta / 2);
  with_lanes<Real>(bit(n), [&](auto lanes) {
    with_constant<lanes>(x & (lanes - 1),
                         [&](auto distance) { rotate<Real, lanes, distance>(psi, bit(n), x, z, c, s, share); });
  });
}

// The sum of conj(psi[i]) (P psi)[i]; the terms i and i ^ x are conjugates of each other.
template <class Real, int lanes, int distance>
double sum_of_pairs(const Amplitude<Real>* psi, Index size, Index x, Index z, Share share) {
  using Pack = Lanes<double, lanes>;
  constexpr Index in_register = lanes - 1;
  const Coefficient ys = phase_of_ys(x, z);
  const bool imaginary = ys.real() == 0;
  const Index x_above = x & ~in_register, z_above = z & ~in_register;
  const Index pivot = lowest(x_above);
  typename Pack::Vector sum = {}, part = {};  // per lane, without the signs of the lanes and of ys
  const auto pair = [&](Index i) __attribute__((always_inline)) {
    __builtin_prefetch(psi + i);
    __builtin_prefetch(psi + (i ^ x_above));
  };
  for_each_pack<lanes>(size, pivot, share, pair, [&](Index i) {
    if ((i & (sum_block - 1)) == 0) {
      sum += part;
      part = typename Pack::Vector{};
    }
    const Index j = i ^ x_above;
    const Pack a = Pack::load(psi + i), b = Pack::load(psi + j).template exchanged<distance>();
    const double sign = parity(j & z_above) ? -1 : 1;
    // Re(conj(a) b) = a.re b.re + a.im b.im; Re(i conj(a) b) = a.im b.re - a.re b.im.
    part += sign * (a.v * (imaginary ? b.flipped().v * Factor<double, lanes>::signs() : b.v));
  });
  sum += part;
  double total = 0;
  for (Index lane = 0; lane < lanes; ++lane) {
    const double sign = parity((lane ^ distance) & z) ? -1 : 1;
    total += sign * (sum[2 * lane] + sum[2 * lane + 1]);
  }
  return total * (ys.real() + ys.imag()) * (pivot ? 2 : 1);
}

template <class Real>
double expectation(const Amplitude<Real>* psi, int n, Index x, Index z, Share share) {
  if (x == 0) {
    const Weights w = weights(psi, n, z);
    return w.zero - w.one;
  }
  return with_lanes<double>(bit(n), [&](auto lanes) {
    return with_constant<lanes>(
        x & (lanes - 1), [&](auto distance) { return sum_of_pairs<Real, lanes, distance>(psi, bit(n), x, z, share); });
  });
}

}  // namespace qmpi::QMPI_ISA
