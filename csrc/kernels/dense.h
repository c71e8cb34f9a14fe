// Matrices on one or several bits: amplitudes that differ only in the targets are mixed with each other. It does not know gates
// by name; `single` tells diagonal, antidiagonal and dense matrices apart by their exact zeros.
#pragma once

#include <new>

#include "kernels/diagonal.h"

namespace qmpi::QMPI_ISA {

// Target inside the register: each lane mixes with its partner `distance` lanes away.
template <class Real, int distance>
void single_within_lanes(Amplitude<Real>* psi, Index size, Index controls, const Coefficient* u, Share share) {
  using Pack = Lanes<Real, full<Real>>;
  const auto own = Factor<Real, full<Real>>::per_lane([&](int lane) { return lane & distance ? u[3] : u[0]; });
  const auto partner = Factor<Real, full<Real>>::per_lane([&](int lane) { return lane & distance ? u[2] : u[1]; });
  psi += controls;
  for_each_pack<full<Real>>(size, controls, share, prefetch(psi), [&](Index i) {
    const Pack a = Pack::load(psi + i);
    (a * own + a.template exchanged<distance>() * partner).store(psi + i);
  });
}

// Target across registers: `zero` and `one` are the amplitudes with the target bit 0 and 1.
template <class Real, int lanes>
void single_dense(Amplitude<Real>* psi, Index size, Index target, Index controls, const Coefficient* u, Share share) {
  using Pack = Lanes<Real, lanes>;
  const Factor<Real, lanes> u00(u[0]), u01(u[1]), u10(u[2]), u11(u[3]);
  Amplitude<Real>* zero = psi + controls;
  Amplitude<Real>* one = zero + target;
  for_each_pack<lanes>(size, target | controls, share, prefetch(zero, one), [&](Index i) {
    const Pack a = Pack::load(zero + i), b = Pack::load(one + i);
    (a * u00 + b * u01).store(zero + i);
    (a * u10 + b * u11).store(one + i);
  });
}

template <class Real, int lanes>
void single_antidiagonal(Amplitude<Real>* psi, Index size, Index target, Index controls, const Coefficient* u, Share share) {
  using Pack = Lanes<Real, lanes>;
  const Factor<Real, lanes> u01(u[1]), u10(u[2]);
  Amplitude<Real>* zero = psi + controls;
  Amplitude<Real>* one = zero + target;
  for_each_pack<lanes>(size, target | controls, share, prefetch(zero, one), [&](Index i) {
    const Pack a = Pack::load(zero + i), b = Pack::load(one + i);
    (b * u01).store(zero + i);
    (a * u10).store(one + i);
  });
}

template <class Real>
void single(Amplitude<Real>* psi, int n, int target_bit, Index controls, const Coefficient* u, Share share) {
  const Index size = bit(n), target = bit(target_bit);
  if (u[1] == 0.0 && u[2] == 0.0) return diagonal(psi, size, target, controls, u[0], u[3], share);
  if (target < full<Real> && lowest(controls | size) >= full<Real>)
    return with_constant<full<Real>>(
        target, [&](auto distance) { single_within_lanes<Real, distance>(psi, size, controls, u, share); });
  const bool antidiagonal = u[0] == 0.0 && u[3] == 0.0;
  with_lanes<Real>(lowest(target | controls), [&](auto lanes) {
    if (antidiagonal)
      single_antidiagonal<Real, lanes>(psi, size, target, controls, u, share);
    else
      single_dense<Real, lanes>(psi, size, target, controls, u, share);
  });
}

// --- several targets -------------------------------------------------------------------------------------------------------

// The lanes of a register are `lanes` free indices in a row. Where no target or control is among the lowest bits they are
// neighbours in memory.
struct Neighbours {
  template <class Pack, class Real>
  Pack load(const Amplitude<Real>* from) const {
    return Pack::load(from);
  }
  template <class Pack, class Real>
  void store(Pack a, Amplitude<Real>* to) const {
    a.store(to);
  }
};

// Elsewhere each lane has its own distance from the first.
template <int lanes>
struct Scattered {
  Index distance[lanes];

  template <class Pack, class Real>
  Pack load(const Amplitude<Real>* from) const {
    return Pack::collect(from, distance);
  }
  template <class Pack, class Real>
  void store(Pack a, Amplitude<Real>* to) const {
    a.distribute(to, distance);
  }
};

// The matrix and its scratch; dim = 2^k, and K = k where the compiler knows it, else 0.
template <class Real, int lanes, int K>
struct Block {
  using Pack = Lanes<Real, lanes>;
  Index runtime_dim;
  Index* offset;  // dim: row r of the matrix is the amplitude at psi[i + offset[r]]
  Real* matrix;   // 2 dim^2: re, im of the entries, row-major
  Pack* column;   // 2 dim: amplitude c, then the same flipped

  Index dim() const { return K > 0 ? bit(K) : runtime_dim; }

  template <class Access>
  void multiply(Amplitude<Real>* base, const Access& access) const {
    Pack known[K > 0 ? 2 << K : 1];
    Pack* in = K > 0 ? known : column;
    for (Index c = 0; c < dim(); ++c) {
      in[2 * c] = access.template load<Pack>(base + offset[c]);
      in[2 * c + 1] = in[2 * c].flipped();
    }
    for (Index r = 0; r < dim(); ++r) {
      const Real* row = matrix + 2 * dim() * r;
      typename Pack::Vector re = {}, im = {};
      for (Index c = 0; c < dim(); ++c) {
        re += row[2 * c] * in[2 * c].v;
        im += row[2 * c + 1] * in[2 * c + 1].v;
      }
      access.store(Pack{re + Factor<Real, lanes>::signs() * im}, base + offset[r]);
    }
  }

  template <class Access>
  void apply(Amplitude<Real>* psi, Index size, Index fixed, const Access& access, Share share) const {
    const auto rows = [&](Index i) __attribute__((always_inline)) {
      for (Index r = 0; r < dim(); ++r) __builtin_prefetch(psi + i + offset[r]);
    };
    for_each_pack<1>(size, fixed, share, rows, [&](Index i) { multiply(psi + i, access); });
  }

  void fill(const int* targets, int k, const Coefficient* u) const {
    for (Index r = 0; r < dim(); ++r) offset[r] = deposit(r, targets, k);
    for (Index e = 0; e < dim() * dim(); ++e) matrix[2 * e] = Real(u[e].real()), matrix[2 * e + 1] = Real(u[e].imag());
  }

  void operator()(Amplitude<Real>* psi, Index size, const int* targets, int k, Index controls, const Coefficient* u, Share share) const {
    fill(targets, k, u);
    const Index fixed = offset[dim() - 1] | controls;
    psi += controls;
    if (lowest(fixed) >= lanes) return apply(psi, size, fixed | (lanes - 1), Neighbours(), share);
    Scattered<lanes> scattered{};
    Index first_free = 0;
    for (Index l = 1; l < lanes; ++l) {
      scattered.distance[l] = ((scattered.distance[l - 1] | fixed) + 1) & ~fixed;
      first_free |= scattered.distance[l];
    }
    apply(psi, size, fixed | first_free, scattered, share);
  }
};

// Scratch for k targets: on the stack up to this many, one allocation beyond.
constexpr int stack_targets = 5;

template <class Real, int lanes, int K>
void block_in_lanes(Amplitude<Real>* psi, Index size, const int* targets, int k, Index controls, const Coefficient* u, Share share) {
  using Pack = Lanes<Real, lanes>;
  if (k <= stack_targets) {
    constexpr Index most = bit(K > 0 ? K : stack_targets);
    Index offset[most];
    Real matrix[2 * most * most];
    Pack column[2 * most];
    return Block<Real, lanes, K>{bit(k), offset, matrix, column}(psi, size, targets, k, controls, u, share);
  }
  struct Scratch {
    std::align_val_t alignment{sizeof(Pack)};
    char* bytes;
    explicit Scratch(std::size_t count) : bytes(static_cast<char*>(::operator new(count, alignment))) {}
    ~Scratch() { ::operator delete(bytes, alignment); }
  };
  const std::size_t dim = std::size_t(1) << k;
  const Scratch scratch(2 * dim * sizeof(Pack) + dim * sizeof(Index) + 2 * dim * dim * sizeof(Real));
  auto* column = reinterpret_cast<Pack*>(scratch.bytes);
  auto* offset = reinterpret_cast<Index*>(column + 2 * dim);
  auto* matrix = reinterpret_cast<Real*>(offset + dim);
  Block<Real, lanes, K>{bit(k), offset, matrix, column}(psi, size, targets, k, controls, u, share);
}

template <class Real>
void block(Amplitude<Real>* psi, int n, const int* targets, int k, Index controls, const Coefficient* u, Share share) {
  const int free_bits = n - k - __builtin_popcountll(static_cast<unsigned long long>(controls));
  with_lanes<Real>(bit(free_bits), [&](auto lanes) {
    if (k == 2)
      block_in_lanes<Real, lanes, 2>(psi, bit(n), targets, k, controls, u, share);
    else if (k == 3)
      block_in_lanes<Real, lanes, 3>(psi, bit(n), targets, k, controls, u, share);
    else
      block_in_lanes<Real, lanes, 0>(psi, bit(n), targets, k, controls, u, share);
  });
}

}  // namespace qmpi::QMPI_ISA
