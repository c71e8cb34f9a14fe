// The kernels: pure functions on a span of amplitudes. They know no MPI, no Python, no locks and no qubit ids.
//
// Conventions. psi holds 2^n amplitudes; bit b of an index belongs to qubit b (little-endian). `controls` is a mask of bits that
// must all be 1 for the kernel to act. Coefficients are double precision whatever the amplitudes are. Matrices are row-major;
// the first target is the least significant bit of the matrix index. Every kernel is one pass over the amplitudes it touches.
#pragma once

#include <complex>
#include <cstdint>
#include <string_view>

namespace qmpi {

using Index = std::int64_t;
using Coefficient = std::complex<double>;

// Probabilities (not normalised) of the outcomes 0 and 1.
struct Weights {
  double zero;
  double one;
  double total() const { return zero + one; }
};

// A part of a kernel's work: parts may be done by different threads at the same time, in any order.
struct Share {
  Index part = 0, parts = 1;
  constexpr Index first(Index all) const { return all / parts * part + all % parts * part / parts; }
  constexpr Share next() const { return {part + 1, parts}; }
};

struct Program;    // program.h
struct TileShape;

template <class Real>
struct Kernels {
  using Amplitude = std::complex<Real>;

  // --- gates ---------------------------------------------------------------------------------------------------------------
  // 2x2 matrix u (4 entries) on `target`; diagonal, antidiagonal and dense matrices are told apart by exact zeros and a
  // diagonal entry that is exactly 1 leaves its half untouched.
  void (*single)(Amplitude* psi, int n, int target, Index controls, const Coefficient* u, Share share);
  void (*swap)(Amplitude* psi, int n, int a, int b, Index controls, Share share);
  // 2^k x 2^k matrix u on k targets, k >= 2.
  void (*block)(Amplitude* psi, int n, const int* targets, int k, Index controls, const Coefficient* u, Share share);
  // exp(-i theta/2 P); P has X where only `x` is set, Z where only `z` is set, Y where both are.
  void (*pauli)(Amplitude* psi, int n, Index x, Index z, double theta, Share share);

  // --- programs (program.h) --------------------------------------------------------------------------------------------------
  // Chunks begin ... end - 1 of a program: tiles, or parts of one of the kernels above.
  void (*run)(Amplitude* psi, const Program& program, Index begin, Index end);
  TileShape (*tile_shape)();
  // One chunk of an observing program: out[k] is the tile's part of step k's mean.
  void (*observe)(const Amplitude* psi, const Program& program, Index chunk, double* out);

  // --- reductions (read only) -----------------------------------------------------------------------------------------------
  // Weights of the parity of the bits in `mask` (one bit: that qubit being 0 or 1), accumulated in double.
  Weights (*weights)(const Amplitude* psi, int n, Index mask);
  // <psi|P|psi>, P as in `pauli`; not normalised, real. With a share, its part of the sum; for x = 0 the whole.
  double (*expectation)(const Amplitude* psi, int n, Index x, Index z, Share share);

  // --- growing and shrinking ------------------------------------------------------------------------------------------------
  // In place psi (2^n) becomes psi tensor other (2^(n+m)), other's bits on top; the memory behind psi is large enough and may
  // hold anything. `other` does not overlap psi.
  void (*join)(Amplitude* psi, int n, const Amplitude* other, int m);
  // In place: keep the amplitudes with bit `bit` = value, times scale, compacted to 2^(n-1): higher bits move down by one.
  void (*project)(Amplitude* psi, int n, int bit, int value, double scale);
  // In place: keep the amplitudes whose bits a and b have parity `value`, times scale, and drop bit b (a != b): what is left
  // after CX(a, b), measuring b with outcome `value`, and removing b.
  void (*project_parity)(Amplitude* psi, int n, int a, int b, int value, double scale);
  // The same across two components, never holding more than 2^(n+m-1) amplitudes: bit a of psi, bit b of other.
  // psi[i] * other[j] survives where i_a xor j_b = value; b is dropped and other's remaining bits land on top of psi's.
  void (*join_parity)(Amplitude* psi, int n, int a, const Amplitude* other, int m, int b, int value, double scale);

  // --- reading out ----------------------------------------------------------------------------------------------------------
  // out[j] = psi[i] * factor where bit k of j is bit bits[k] of i, k = 0..n-1 (a permutation of all bits).
  void (*gather)(const Amplitude* psi, int n, const int* bits, Coefficient factor, Coefficient* out);
};

enum class Isa { plain, avx2, avx512 };

std::string_view name_of(Isa isa);
// True where the machine (and this build) can run it.
bool available(Isa isa);
// The table for one instruction set; the best available one is `kernels<Real>(best_isa())`.
template <class Real>
const Kernels<Real>& kernels(Isa isa);
// The widest available; QMPI_ISA=plain|avx2|avx512 in the environment overrides (an unavailable or unknown one is refused by throwing
// std::invalid_argument).
Isa best_isa();

}  // namespace qmpi
