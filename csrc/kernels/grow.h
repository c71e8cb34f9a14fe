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

// psi[j] = psi[source(j)] * scale for j < size, ascending. source(j) >= j, and it increases by one within aligned runs of `run`:
// what is overwritten has been read.
template <class Real, class Source>
void compact(Amplitude<Real>* psi, Index size, Index run, double scale, Source source) {
  with_lanes<Real>(run, [&](auto lanes) {
    using Pack = Lanes<Real, lanes>;
    const Real s = Real(scale);
    for_each_pack<lanes>(
        size, 0, [&](Index j) { __builtin_prefetch(psi + source(j)); },
        [&](Index j) { Pack{s * Pack::load(psi + source(j)).v}.store(psi + j); });
  });
}

template <class Real>
void project(Amplitude<Real>* psi, int n, int b, int value, double scale) {
  const Index kept = Index(value) << b;
  compact(psi, bit(n - 1), bit(b), scale, [&](Index j) { return insert_zero(j, b) | kept; });
}

template <class Real>
void project_parity(Amplitude<Real>* psi, int n, int a, int b, int value, double scale) {
  const int a_after = a < b ? a : a - 1;  // where bit a is once b has left
  compact(psi, bit(n - 1), lowest(bit(a_after) | bit(b)), scale,
          [&](Index j) { return insert_zero(j, b) | (((j >> a_after) ^ value) & 1) << b; });
}

}  // namespace qmpi::QMPI_ISA
