// Components grow by tensor products and shrink when a qubit leaves, in place. The memory is the caller's, and large enough; what
// a measurement means, and who measured, is not known here.
#pragma once

#include "kernels/diagonal.h"

namespace qmpi::QMPI_ISA {

// out[i] = in[i] * factor, i < size; out may be in.
template <class Real>
void multiply(Amplitude<Real>* out, const Amplitude<Real>* in, Index size, Coefficient factor) {
  if (factor == 1.0 && out == in) return;
  if (factor == 0.0) {
    __builtin_memset(static_cast<void*>(out), 0, std::size_t(size) * sizeof *out);
    return;
  }
  with_lanes<Real>(size, [&](auto lanes) {
    const Factor<Real, lanes> f(factor);
    for (Index i = 0; i < size; i += lanes) (Lanes<Real, lanes>::load(in + i) * f).store(out + i);
  });
}

// Downwards, because the lowest copy replaces psi itself.
template <class Real>
void join(Amplitude<Real>* psi, int n, const Amplitude<Real>* other, int m) {
  for (Index j = bit(m) - 1; j >= 0; --j) multiply<Real>(psi + (j << n), psi, bit(n), Coefficient(other[j]));
}

template <class Real>
void join_parity(Amplitude<Real>* psi, int n, int a, const Amplitude<Real>* other, int m, int b, int value, double scale) {
  for (Index j = bit(m - 1) - 1; j >= 0; --j) {
    const Index zero = insert_zero(j, b), one = zero | bit(b);
    const Coefficient for_0 = scale * Coefficient(other[value ? one : zero]);
    const Coefficient for_1 = scale * Coefficient(other[value ? zero : one]);
    two_phases<Real>(psi + (j << n), psi, bit(n), bit(a), 0, for_0, for_1);
  }
}

// Bit b leaves: for all i whose bit b is 0, in ascending order, the next free place takes psi[i | kept(i)] * scale, where kept(i)
// is bit b or 0, the same within aligned runs of `run`. Sources lie at or above their places, so what is overwritten has been read.
template <class Real, class Rule>
void compact(Amplitude<Real>* psi, int n, int b, Index run, double scale, Rule kept) {
  with_lanes<Real>(run, [&](auto lanes) {
    using Pack = Lanes<Real, lanes>;
    const Real s = Real(scale);
    Amplitude<Real>* place = psi;
    const auto source = [=](Index i) __attribute__((always_inline)) { __builtin_prefetch(psi + (i | kept(i))); };
    for_each_pack<lanes>(bit(n), bit(b), {}, source, [=, &place](Index i) {
      Pack{s * Pack::load(psi + (i | kept(i))).v}.store(place);
      place += lanes;
    });
  });
}

template <class Real>
void project(Amplitude<Real>* psi, int n, int b, int value, double scale) {
  const Index outcome = Index(value) << b;
  compact(psi, n, b, bit(b), scale, [=](Index) { return outcome; });
}

template <class Real>
void project_parity(Amplitude<Real>* psi, int n, int a, int b, int value, double scale) {
  const Index one = bit(a), with_0 = value ? bit(b) : 0, with_1 = value ? 0 : bit(b);  // bit b that goes with bit a
  compact(psi, n, b, lowest(bit(a) | bit(b)), scale, [=](Index i) { return i & one ? with_1 : with_0; });
}

}  // namespace qmpi::QMPI_ISA
