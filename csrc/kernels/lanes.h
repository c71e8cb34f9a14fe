// A few neighbouring amplitudes in one vector register, and complex factors to multiply them by. The width follows the
// instruction set this is compiled for; the kernels are written once on top of it. It knows no qubits: only lanes and distances
// between lanes.
#pragma once

#include <type_traits>
#include <utility>

#include "kernels/bits.h"

namespace qmpi::QMPI_ISA {

template <class Real>
using Amplitude = std::complex<Real>;

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
#elif defined(__AVX2__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif

// Amplitudes that fill one register.
template <class Real>
constexpr int full = register_bytes / int(2 * sizeof(Real));

// `count` amplitudes: re, im, re, im, ...
template <class Real, int count>
struct Lanes {
  typedef Real Vector __attribute__((vector_size(2 * count * sizeof(Real))));
  static constexpr int lanes = count;
  static constexpr auto elements = std::make_index_sequence<2 * count>();
  Vector v;

  template <class Source>
  static Lanes load(const Amplitude<Source>* from) {
    typename Lanes<Source, count>::Vector v;
    __builtin_memcpy(&v, from, sizeof v);
    if constexpr (std::is_same_v<Source, Real>)
      return {v};
    else
      return {__builtin_convertvector(v, Vector)};
  }
  void store(Amplitude<Real>* to) const { __builtin_memcpy(static_cast<void*>(to), &v, sizeof v); }

  // Lane l from and to [distance[l]], for lanes that are no neighbours in memory.
  static Lanes collect(const Amplitude<Real>* from, const Index* distance) {
    if constexpr (count == 1) {
      return load(from + distance[0]);
    } else {
      using Half = Lanes<Real, count / 2>;
      return joined(Half::collect(from, distance), Half::collect(from, distance + count / 2), elements);
    }
  }
  void distribute(Amplitude<Real>* to, const Index* distance) const {
    if constexpr (count == 1) {
      store(to + distance[0]);
    } else {
      half<0>(Lanes<Real, count / 2>::elements).distribute(to, distance);
      half<count>(Lanes<Real, count / 2>::elements).distribute(to, distance + count / 2);
    }
  }

  // Lane l becomes lane l ^ distance.
  template <int distance>
  Lanes exchanged() const {
    return shuffled<2 * distance>(elements);
  }
  // Real and imaginary parts change places.
  Lanes flipped() const { return shuffled<1>(elements); }

  // For `mask ? a.v : b.v`: all bits set in the lanes that `chosen` names.
  template <class Rule>
  static auto where(Rule chosen) {
    decltype(Vector{} < Vector{}) mask;
    for (int e = 0; e < 2 * count; ++e) mask[e] = chosen(e / 2) ? -1 : 0;
    return mask;
  }

  Lanes operator+(Lanes other) const { return {v + other.v}; }

 private:
  template <class Half, std::size_t... e>
  static Lanes joined(Half low, Half high, std::index_sequence<e...>) {
    return {__builtin_shufflevector(low.v, high.v, int(e)...)};
  }
  template <int first, std::size_t... e>
  Lanes<Real, count / 2> half(std::index_sequence<e...>) const {
    return {__builtin_shufflevector(v, v, (first + int(e))...)};
  }
  template <int distance, std::size_t... e>
  Lanes shuffled(std::index_sequence<e...>) const {
    return {__builtin_shufflevector(v, v, (int(e) ^ distance)...)};
  }
};

// One complex coefficient per lane: a * factor = (re, re) * a + (-im, im) * a.flipped().
template <class Real, int count>
struct Factor {
  using Vector = typename Lanes<Real, count>::Vector;
  Vector re;
  Vector im;  // with the signs -, + of the complex product

  // The same coefficient in every lane.
  explicit Factor(Coefficient c) : re(Real(c.real()) - Vector{}), im(Real(c.imag()) * signs()) {}

  // coefficient(l) in lane l.
  template <class Rule>
  static Factor per_lane(Rule coefficient) {
    Factor factor;
    for (int l = 0; l < count; ++l) {
      const Coefficient c = coefficient(l);
      factor.re[2 * l] = factor.re[2 * l + 1] = Real(c.real());
      factor.im[2 * l] = Real(-c.imag());
      factor.im[2 * l + 1] = Real(c.imag());
    }
    return factor;
  }

  static Vector signs() {
    Vector s;
    for (int l = 0; l < count; ++l) s[2 * l] = -1, s[2 * l + 1] = 1;
    return s;
  }

 private:
  Factor() = default;
};

template <class Real, int count>
Lanes<Real, count> operator*(Lanes<Real, count> a, const Factor<Real, count>& f) {
  return {a.v * f.re + a.flipped().v * f.im};
}

// --- walks -----------------------------------------------------------------------------------------------------------------

// States of at least this many amplitudes come from memory rather than from a core's cache. Hardware prefetchers lose the thread
// where a walk skips over bits; asking for the amplitudes `ahead` is worth up to a factor of three there.
constexpr Index streamed_size = bit(16);
constexpr Index ahead = 1024;

// body(i) for every first index i < size of a register of `lanes` neighbours whose bits in `fixed` are 0; prefetch(later) with
// an index that comes up later. (Prefetching functions are always_inline: GCC holds a function that does nothing else to be free
// of effects, and drops the calls.)
template <int lanes, class Prefetch, class Body>
void for_each_pack(Index size, Index fixed, Share share, Prefetch prefetch, Body body) {
  const Index skipped = fixed | (lanes - 1);
  if (size < streamed_size) return for_each_free(size, skipped, share, body);
  for_each_free(size, skipped, share, [&](Index i) {
    prefetch(((i | skipped) + ahead) & ~skipped);
    body(i);
  });
}

// For for_each_pack: amplitude i of each array.
template <class... Amplitudes>
auto prefetch(const Amplitudes*... arrays) {
  return [=](Index i) __attribute__((always_inline)) { (__builtin_prefetch(arrays + i), ...); };
}

// body(integral_constant) with the number of lanes to use where neighbouring amplitudes come in runs of `run`.
template <class Real, class Body>
auto with_lanes(Index run, Body body) {
  if (run >= full<Real>) return body(std::integral_constant<int, full<Real>>());
  return body(std::integral_constant<int, 1>());
}

// body(integral_constant) with a run-time value in 0 ... count-1 as a compile-time constant.
template <int count, class Body>
auto with_constant(Index value, Body body) {
  if constexpr (count > 1)
    if (value < count - 1) return with_constant<count - 1>(value, body);
  return body(std::integral_constant<int, count - 1>());
}

}  // namespace qmpi::QMPI_ISA
