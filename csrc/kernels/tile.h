// Runs tile programs (program.h): a tile of amplitudes is gathered into a buffer of registers of real and of imaginary parts, all steps
// happen there, and it is scattered back. It knows neither gates nor how the program came about.
#pragma once

#include <cstdlib>
#include <new>

#include "kernels/lanes.h"
#include "kernels/program.h"

namespace qmpi::QMPI_ISA {

template <class Real>
constexpr int width = register_bytes / int(sizeof(Real));

// `width` real numbers.
template <class Real>
struct Reals {
  typedef Real Vector __attribute__((vector_size(register_bytes)));
  static constexpr auto elements = std::make_index_sequence<width<Real>>();
  // Within 16 bytes lie `pair` real numbers: the shuffles below never cross them, which costs least everywhere.
  static constexpr int pair = 16 / int(sizeof(Real));

  static Vector load(const Real* from) {
    Vector v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
  }
  static void store(Vector v, Real* to) { __builtin_memcpy(to, &v, sizeof v); }
  static Vector all(double value) { return Real(value) - Vector{}; }

  template <int distance>
  static Vector exchanged(Vector v) {
    return exchange<distance>(v, elements);
  }
  // a and b hold re, im, re, im …; lane by lane their real parts (odd = 0) or imaginary parts (odd = 1).
  template <int odd>
  static Vector parts(Vector a, Vector b) {
    return part<odd>(a, b, elements);
  }
  // The inverse: half 0 gives a, half 1 gives b.
  template <int half>
  static Vector pairs(Vector re, Vector im) {
    return joined<half>(re, im, elements);
  }

 private:
  template <int distance, std::size_t... e>
  static Vector exchange(Vector v, std::index_sequence<e...>) {
    return __builtin_shufflevector(v, v, (int(e) ^ distance)...);
  }
  static constexpr int from_pair(int e, int odd) {
    const int group = e / pair * pair, place = e % pair;
    return (place < pair / 2 ? 0 : width<Real>) + group + place % (pair / 2) * 2 + odd;
  }
  template <int odd, std::size_t... e>
  static Vector part(Vector a, Vector b, std::index_sequence<e...>) {
    return __builtin_shufflevector(a, b, from_pair(int(e), odd)...);
  }
  static constexpr int to_pair(int e, int half) {
    const int group = e / pair * pair, place = e % pair;
    return (place % 2 ? width<Real> : 0) + group + half * (pair / 2) + place / 2;
  }
  template <int half, std::size_t... e>
  static Vector joined(Vector re, Vector im, std::index_sequence<e...>) {
    return __builtin_shufflevector(re, im, to_pair(int(e), half)...);
  }
};

// Where tile bit i < lane_bits ends up among the lanes, as `parts` places it.
template <class Real>
constexpr TileShape tile_shape() {
  TileShape shape{trailing_zeros(width<Real>), {}, register_bytes == 64 ? 4 : 3};
  constexpr int inner = trailing_zeros(Reals<Real>::pair / 2);  // bits that stay where they are
  for (int i = 0; i < shape.lane_bits; ++i)
    shape.lane_of[i] = i < inner ? i : i == shape.lane_bits - 1 ? inner : i + 1;
  return shape;
}

// A block: one register of real parts, one of imaginary parts.
template <class Real>
struct Block2 {
  using R = Reals<Real>;
  using Vector = typename R::Vector;
  Vector re, im;

  static Block2 load(const Real* from) { return {R::load(from), R::load(from + width<Real>)}; }
  void store(Real* to) const {
    R::store(re, to);
    R::store(im, to + width<Real>);
  }
  Block2 operator*(Block2 c) const { return {re * c.re - im * c.im, re * c.im + im * c.re}; }
  template <int distance>
  Block2 exchanged() const {
    return {R::template exchanged<distance>(re), R::template exchanged<distance>(im)};
  }
};

template <class Real>
constexpr Index block_reals = 2 * width<Real>;

// How a block lies in a tile, and how the same amplitudes lie outside.
template <class Real>
struct Apart {
  static Block2<Real> load(const Real* from) { return Block2<Real>::load(from); }
  static void store(Block2<Real> block, Real* to) { block.store(to); }
};
template <class Real>
struct Interleaved {
  using R = Reals<Real>;
  static Block2<Real> load(const Real* from) {
    const auto a = R::load(from), b = R::load(from + width<Real>);
    return {R::template parts<0>(a, b), R::template parts<1>(a, b)};
  }
  static void store(Block2<Real> block, Real* to) {
    R::store(R::template pairs<0>(block.re, block.im), to);
    R::store(R::template pairs<1>(block.re, block.im), to + width<Real>);
  }
};
// Asks for what comes next: no machine follows several streams across pages.
template <class Real>
struct Streamed : Interleaved<Real> {
  static Block2<Real> load(const Real* from) {
    constexpr int amplitudes_ahead = 256;
    for (int line = 0; line < 2 * register_bytes; line += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(from + 2 * amplitudes_ahead) + line);
    return Interleaved<Real>::load(from);
  }
};

// --- memory ------------------------------------------------------------------------------------------------------------------------

// body(offset in psi, place in the buffer) for every run of a tile; prefetch(offset) some runs before: no machine guesses their order.
template <class Real, class Prefetch, class Body>
void for_each_run(const Program& program, Prefetch prefetch, Body body) {
  constexpr Index runs_ahead = 32;
  const Index high = program.tile_mask & -bit(program.run_bits), run = bit(program.run_bits);
  const Index runs = bit(program.tile_bits - program.run_bits);
  Index offset = 0, later = free_index(runs_ahead, ~high) & high;
  for (Index r = 0; r < runs; ++r) {
    prefetch(later);
    body(offset, r * run);
    offset = ((offset | ~high) + 1) & high;
    later = ((later | ~high) + 1) & high;
  }
}

template <class Real, bool to_write>
auto prefetch_run(const Amplitude<Real>* psi, const Program& program) {
  constexpr Index line = 64 / sizeof(Amplitude<Real>);
  return [psi, length = bit(program.run_bits)](Index offset) __attribute__((always_inline)) {
    for (Index i = 0; i < length; i += line) __builtin_prefetch(psi + offset + i, to_write);
  };
}

template <class Real>
void gather_tile(const Amplitude<Real>* psi, Real* tile, const Program& program) {
  const Index reals = 2 * bit(program.run_bits);
  for_each_run<Real>(program, prefetch_run<Real, false>(psi, program), [&](Index offset, Index place) {
    const Real* from = reinterpret_cast<const Real*>(psi + offset);
    Real* to = tile + 2 * place;
    for (Index i = 0; i < reals; i += block_reals<Real>) Interleaved<Real>::load(from + i).store(to + i);
  });
}

template <class Real>
void scatter_tile(Amplitude<Real>* psi, const Real* tile, const Program& program) {
  const Index reals = 2 * bit(program.run_bits);
  for_each_run<Real>(program, prefetch_run<Real, true>(psi, program), [&](Index offset, Index place) {
    Real* to = reinterpret_cast<Real*>(psi + offset);
    const Real* from = tile + 2 * place;
    for (Index i = 0; i < reals; i += block_reals<Real>) Interleaved<Real>::store(Block2<Real>::load(from + i), to + i);
  });
}

// --- steps -------------------------------------------------------------------------------------------------------------------------
// Each works on the blocks whose numbers have the bits `first` of those in `outside`, in which all bits above the tile are set.

template <class Real>
struct Part {
  Real* tile;
  Index first, outside;
  Index base;  // of the tile in psi

  Real* at(Index block) const { return tile + (block | first) * block_reals<Real>; }
};

// The next number without any of the bits in `without`; 0 after the last.
inline Index next_without(Index number, Index without) { return ((number | without) + 1) & ~without; }

template <class Real, int count>
void rotate_by(const Part<Real>& part, const RotateStep& step, int lane_bits) {
  using R = Reals<Real>;
  using Vector = typename R::Vector;
  constexpr int size = 1 << count;
  Index fixed = 0, from[size], to[size];
  Vector t[count];
  for (int k = 0; k < count; ++k) {
    fixed |= bit(step.position[k] - lane_bits + 1);
    t[k] = R::all(step.t[k]);
  }
  for (int r = 0; r < size; ++r) {
    from[r] = to[r] = 0;
    for (int k = 0; k < count; ++k) {
      const Index distance = width<Real> << (step.position[k] - lane_bits + 1);
      if (r >> k & 1) to[r] += distance;
      if ((r ^ step.swapped) >> k & 1) from[r] += distance;
    }
  }
  const Index without = fixed | part.outside << 1;
  Index v = 0;  // counts registers: real and imaginary parts are alike
  do {
    Real* at = part.at(0) + v * width<Real>;
    Vector x[size];
    for (int r = 0; r < size; ++r) x[r] = R::load(at + from[r]);
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k)
#pragma GCC unroll 16
      for (int r = 0; r < size; ++r) {
        if (r >> k & 1) continue;
        const Vector a = x[r], b = x[r | 1 << k];
        x[r] = a - t[k] * b;
        x[r | 1 << k] = b + t[k] * a;
      }
    for (int r = 0; r < size; ++r) R::store(x[r], at + to[r]);
    v = next_without(v, without);
  } while (v);
}

template <class Real>
void rotate_blocks(const Part<Real>& part, const RotateStep& step) {
  constexpr int lane_bits = trailing_zeros(width<Real>);
  with_constant<most_rotations>(step.count - 1, [&](auto less) { rotate_by<Real, less + 1>(part, step, lane_bits); });
}

// The tables of one diagonal for one tile.
template <class Real>
struct Tables {
  const Real* low;
  const Real* high;
  bool factors;
};

template <class Real, int lanes, std::size_t... k>
Block2<Real> lanes_rotated(Block2<Real> x, const Real* coefficients, std::index_sequence<k...>) {
  using R = Reals<Real>;
  int used = 0;
  (([&] {
     if constexpr (lanes >> k & 1) {
       const Real* pair = coefficients + used++ * 2 * width<Real>;
       const auto own = R::load(pair), partner = R::load(pair + width<Real>);
       const auto other = x.template exchanged<1 << k>();
       x = {own * x.re + partner * other.re, own * x.im + partner * other.im};
     }
   }()),
   ...);
  return x;
}

template <class Real, int lanes, bool factors>
void diagonal_step(const Part<Real>& part, const DiagonalStep& step, const Tables<Real>& tables, const Real* lane_coefficients) {
  using R = Reals<Real>;
  constexpr auto each_lane = std::make_index_sequence<4>();
  if constexpr (!factors) {
    const Index run = lowest(part.outside);
    Index begin = 0;
    do {
      Real* at = part.at(begin);
      for (Index b = 0; b < run; ++b, at += block_reals<Real>)
        lanes_rotated<Real, lanes>(Block2<Real>::load(at), lane_coefficients, each_lane).store(at);
      begin = next_without(begin, part.outside | (run - 1));
    } while (begin);
    return;
  }
  const Index blocks = bit(step.table_bits) / width<Real>;  // of a table
  const Index without = part.outside / blocks;
  Index rest = 0;
  do {
    const Index h = rest | part.first / blocks;
    int c = 0;
    for (int f = 0; f < step.functions; ++f) {
      const Index masked = h & step.function_mask[f];
      c |= (step.function_parity[f] ? parity(masked) : int(masked == step.function_mask[f])) << f;
    }
    const Real* table = tables.low + c * blocks * block_reals<Real>;
    const Real re = tables.high[2 * h], im = tables.high[2 * h + 1];
    const bool scaled = re != 1 || im != 0;
    const bool whole = c == 0 && step.ones;
    Real* at = part.tile + h * blocks * block_reals<Real>;
    const Block2<Real> scale{R::all(re), R::all(im)};
    const auto sweep = [&](auto factor) __attribute__((always_inline)) {
      for (Index b = 0; b < blocks; ++b)
        lanes_rotated<Real, lanes>(factor(Block2<Real>::load(at + b * block_reals<Real>), b), lane_coefficients, each_lane)
            .store(at + b * block_reals<Real>);
    };
    const auto entry = [&](Index b) { return Block2<Real>::load(table + b * block_reals<Real>); };
    if (whole && !scaled) {
      if (lanes) sweep([](Block2<Real> x, Index) { return x; });
    } else if (whole) {
      sweep([&](Block2<Real> x, Index) { return x * scale; });
    } else if (!scaled) {
      sweep([&](Block2<Real> x, Index b) { return x * entry(b); });
    } else {
      sweep([&](Block2<Real> x, Index b) { return x * (entry(b) * scale); });
    }
    rest = next_without(rest, without);
  } while (rest);
}

// distance number k of those within a mask of lane bits.
constexpr int distance_within(int lanes, int k) {
  int distance = 0;
  for (int b = 0; b < 4; ++b)
    if (lanes >> b & 1) {
      distance |= (k & 1) << b;
      k >>= 1;
    }
  return distance;
}

template <class Real, int blocks, int lanes, class Access>
void matrix_step(const Part<Real>& part, const MatrixStep& step, const Real* coefficients) {
  constexpr int lane_bits = trailing_zeros(width<Real>);
  constexpr int rows = 1 << blocks, exchanges = 1 << __builtin_popcount(lanes), columns = rows * exchanges;
  Index distance[rows] = {}, fixed = step.controls;
  for (int k = 0; k < blocks; ++k) {
    const Index one = bit(step.position[k] - lane_bits);
    fixed |= one;
    for (int r = 0; r < rows; ++r)
      if (r >> k & 1) distance[r] += one * block_reals<Real>;
  }
  const Index above = step.controls & part.outside, set = step.controls & ~part.outside;
  if ((part.first & above) != above) return;
  fixed |= part.outside;
  const auto sweep = [&](auto at_once) __attribute__((always_inline)) {
    constexpr int sets = at_once;
    Index b = 0;
    do {
      Real* at[sets];
      Block2<Real> x[sets][columns];
      for (int s = 0; s < sets; ++s, b = next_without(b, fixed)) {
        at[s] = part.at(b | set);
        for (int c = 0; c < rows; ++c) {
          const auto in = Access::load(at[s] + distance[c]);
          [&]<std::size_t... d>(std::index_sequence<d...>) {
            ((x[s][c * exchanges + int(d)] = in.template exchanged<distance_within(lanes, int(d))>()), ...);
          }(std::make_index_sequence<exchanges>());
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) {
        Block2<Real> out[sets] = {};
#pragma GCC unroll 4
        for (int c = 0; c < columns; ++c) {
          const auto u = Block2<Real>::load(coefficients + (r * columns + c) * block_reals<Real>);
#pragma GCC unroll 2
          for (int s = 0; s < sets; ++s) {
            out[s].re += x[s][c].re * u.re;
            out[s].im += x[s][c].re * u.im;
            out[s].re -= x[s][c].im * u.im;
            out[s].im += x[s][c].im * u.re;
          }
        }
        for (int s = 0; s < sets; ++s) Access::store(out[s], at[s] + distance[r]);
      }
    } while (b);
  };
  constexpr int sets = register_bytes == 64 ? 2 : 1;  // as many as there are registers for
  if (sets == 1 || next_without(0, fixed) == 0)
    sweep(std::integral_constant<int, 1>());
  else
    sweep(std::integral_constant<int, sets>());
}

template <class Access, class Real>
void matrix_on(const Part<Real>& part, const MatrixStep& step, const Real* coefficients) {
  if (!step.outer.holds(part.base)) return;
  with_constant<width<Real>>(step.lanes, [&](auto lanes) {
    constexpr int within = __builtin_popcount(lanes);
    if constexpr (within <= 2)
      with_constant<3 - within>(step.blocks, [&](auto blocks) { matrix_step<Real, blocks, lanes, Access>(part, step, coefficients); });
  });
}

template <class Real>
void exchange_blocks(const Part<Real>& part, const ExchangeStep& step) {
  if (!step.outer.holds(part.base)) return;
  const Index above = step.controls & part.outside, set = step.controls & ~part.outside;
  if ((part.first & above) != above) return;
  const Index fixed = step.one | step.other | set | part.outside;
  Index b = 0;
  do {
    Real* at = part.at(b | set);
    Real *one = at + step.one * block_reals<Real>, *other = at + step.other * block_reals<Real>;
    const auto x = Block2<Real>::load(one), y = Block2<Real>::load(other);
    y.store(one);
    x.store(other);
    b = next_without(b, fixed);
  } while (b);
}

template <class Real, int lanes, bool imaginary>
void pauli_step(const Part<Real>& part, const PauliStep& step, const Real* coefficients, bool odd) {
  using R = Reals<Real>;
  using Vector = typename R::Vector;
  const Vector cosine = R::all(step.c);
  const Vector plus = R::load(coefficients), by_parity[2] = {odd ? -plus : plus, odd ? plus : -plus};
  const auto turned = [&](Block2<Real> own, Block2<Real> other, Vector k) {
    const Block2<Real> x = other.template exchanged<lanes>();
    if (imaginary) return Block2<Real>{cosine * own.re - k * x.im, cosine * own.im + k * x.re};
    return Block2<Real>{cosine * own.re + k * x.re, cosine * own.im + k * x.im};
  };
  const Index without = lowest(step.x) | part.outside;
  const int flips = parity(step.x & step.z), first = parity(part.first & step.z);
  Index b = 0;
  do {
    // The sign belongs to the index that is read.
    const int p = parity(b & step.z) ^ first;
    Real* here = part.at(b);
    const auto x = Block2<Real>::load(here);
    if (step.x == 0) {
      turned(x, x, by_parity[p]).store(here);
    } else {
      Real* there = part.at(b ^ step.x);
      const auto y = Block2<Real>::load(there);
      turned(x, y, by_parity[p ^ flips]).store(here);
      turned(y, x, by_parity[p]).store(there);
    }
    b = next_without(b, without);
  } while (b);
}

template <class Real>
void pauli_on(const Part<Real>& part, const PauliStep& step, const Real* coefficients) {
  const bool odd = step.outer.mask != 0 && step.outer.holds(part.base);
  with_constant<width<Real>>(step.x_lanes, [&](auto lanes) {
    if (step.imaginary)
      pauli_step<Real, lanes, true>(part, step, coefficients, odd);
    else
      pauli_step<Real, lanes, false>(part, step, coefficients, odd);
  });
}

// Re(conj(a) b), or Re(i conj(a) b), summed over pairs of blocks; sums are closed after so many blocks.
template <class Real, int lanes, bool imaginary>
double observed(const Part<Real>& part, const ObserveStep& step, const Real* signs) {
  using R = Reals<Real>;
  using Vector = typename R::Vector;
  constexpr Index closed_after = 512;
  const Index pivot = lowest(step.x), without = pivot | part.outside;
  const int flips = parity(step.x & step.z);
  Vector sum = {};
  double total = 0;
  const auto close = [&] {
    sum *= R::load(signs);
    for (int l = 0; l < width<Real>; ++l) total += double(sum[l]);
    sum = Vector{};
  };
  Index added = 0, b = 0;
  do {
    const auto a = Block2<Real>::load(part.at(b));
    const auto c = Block2<Real>::load(part.at(b ^ step.x)).template exchanged<lanes>();
    const Vector product = imaginary ? a.im * c.re - a.re * c.im : a.re * c.re + a.im * c.im;
    if (parity(b & step.z) ^ flips)
      sum -= product;
    else
      sum += product;
    if (++added % closed_after == 0) close();
    b = next_without(b, without);
  } while (b);
  close();
  return pivot ? 2 * total : total;
}

template <class Real>
double observe_on(const Part<Real>& part, const ObserveStep& step, const Real* signs) {
  const bool odd = step.outer.mask != 0 && step.outer.holds(part.base);
  double value = 0;
  with_constant<width<Real>>(step.x_lanes, [&](auto lanes) {
    value = step.imaginary ? observed<Real, lanes, true>(part, step, signs) : observed<Real, lanes, false>(part, step, signs);
  });
  return odd ? -step.factor * value : step.factor * value;
}

// --- a tile ------------------------------------------------------------------------------------------------------------------------

// Memory of one worker, for one tile at a time; grows.
class Workspace {
 public:
  char* bytes(std::size_t wanted) {
    if (wanted > size_) {
      std::free(bytes_);
      size_ = (wanted + 4095) & ~std::size_t{4095};
      bytes_ = static_cast<char*>(std::aligned_alloc(4096, size_));
      if (!bytes_) std::abort();
    }
    return bytes_;
  }
  ~Workspace() { std::free(bytes_); }

 private:
  char* bytes_ = nullptr;
  std::size_t size_ = 0;
};

template <class Real>
void multiply_entries(Real* table, Index entries, const TableFactor& factor, int function_value) {
  constexpr int lane_mask = width<Real> - 1;
  for (Index j = 0; j < entries; ++j) {
    const bool takes_part = factor.parity ? parity(j & factor.mask) != (factor.function >= 0 && function_value)
                                          : (j & factor.mask) == factor.mask && (factor.function < 0 || function_value);
    if (!takes_part) continue;
    Real* re = table + j / width<Real> * block_reals<Real> + (j & lane_mask);
    Real* im = re + width<Real>;
    const double r = *re, i = *im;
    *re = Real(r * factor.re - i * factor.im);
    *im = Real(r * factor.im + i * factor.re);
  }
}

// Static tables, or copies of them with the factors that depend on the tile.
template <class Real>
Tables<Real> tables_for(const Program& program, const DiagonalStep& step, Index base, Real*& scratch) {
  Tables<Real> tables{program.at<Real>(step.low), program.at<Real>(step.high), step.factors};
  const Index entries = bit(step.table_bits), highs = bit(program.tile_bits - step.table_bits);
  const auto* low = program.at<TableFactor>(step.low_factors);
  Real* copy = nullptr;
  for (int k = 0; k < step.low_factor_count; ++k) {
    if (!low[k].outer.holds(base)) continue;
    if (!copy) {
      const Index reals = 2 * entries << step.functions;
      __builtin_memcpy(copy = scratch, tables.low, std::size_t(reals) * sizeof(Real));
      scratch += reals;
      tables.low = copy;
    }
    for (int c = 0; c < 1 << step.functions; ++c)
      multiply_entries(copy + c * 2 * entries, entries, low[k], low[k].function < 0 ? 0 : c >> low[k].function & 1);
  }
  const auto* high = program.at<TableFactor>(step.high_factors);
  copy = nullptr;
  for (int k = 0; k < step.high_factor_count; ++k) {
    if (!high[k].outer.holds(base)) continue;
    if (!copy) {
      __builtin_memcpy(copy = scratch, tables.high, std::size_t(2 * highs) * sizeof(Real));
      scratch += (2 * highs + width<Real> - 1) & -width<Real>;
      tables.high = copy;
    }
    for (Index h = 0; h < highs; ++h) {
      const bool takes_part = high[k].parity ? parity(h & high[k].mask) : (h & high[k].mask) == high[k].mask;
      if (!takes_part) continue;
      const double re = copy[2 * h], im = copy[2 * h + 1];
      copy[2 * h] = Real(re * high[k].re - im * high[k].im);
      copy[2 * h + 1] = Real(re * high[k].im + im * high[k].re);
    }
  }
  return tables;
}

template <class Real>
void run_step(const Program& program, const Step& step, const Part<Real>& part, const Tables<Real>& tables) {
  switch (step.kind) {
    case StepKind::rotate: return rotate_blocks(part, step.rotate);
    case StepKind::diagonal:
      return with_constant<width<Real>>(step.diagonal.lanes, [&](auto lanes) {
        const Real* coefficients = program.at<Real>(step.diagonal.lane_coefficients);
        if (step.diagonal.factors)
          diagonal_step<Real, lanes, true>(part, step.diagonal, tables, coefficients);
        else if constexpr (lanes > 0)
          diagonal_step<Real, lanes, false>(part, step.diagonal, tables, coefficients);
      });
    case StepKind::matrix: return matrix_on<Apart<Real>>(part, step.matrix, program.at<Real>(step.matrix.coefficients));
    case StepKind::exchange: return exchange_blocks(part, step.exchange);
    case StepKind::pauli: return pauli_on(part, step.pauli, program.at<Real>(step.pauli.coefficients));
    case StepKind::observe: return;  // not in a program that changes anything
  }
}

template <class Real>
void run_steps(const Program& program, Real* tile, Index base, Real* scratch) {
  const Step* steps = program.at<Step>(program.steps);
  const Index blocks = bit(program.tile_bits) / width<Real>;
  constexpr int most_at_once = 64;
  Tables<Real> tables[most_at_once];
  for (int next = 0; next < program.step_count;) {
    int end = next;
    Real* free = scratch;
    do {
      if (steps[end].kind == StepKind::diagonal && steps[end].diagonal.factors)
        tables[end - next] = tables_for<Real>(program, steps[end].diagonal, base, free);
      ++end;
    } while (end < program.step_count && steps[next].outside && steps[end].outside == steps[next].outside && end - next < most_at_once);
    const Index outside = steps[next].outside;
    Index first = 0;
    do {
      for (int k = next; k < end; ++k) run_step<Real>(program, steps[k], {tile, first, outside | -blocks, base}, tables[k - next]);
      first = next_without(first, ~outside);
    } while (first);
    next = end;
  }
}

// Where tile number `tile` begins: the tile bits are the bits that its number lacks.
static Index tile_base(const Program& program, Index tile) { return free_index(tile, program.tile_mask); }

// A worker's buffer for one tile and its scratch.
template <class Real>
Real* tile_buffer(const Program& program) {
  thread_local Workspace workspace;
  const std::size_t tile_bytes = std::size_t(bit(program.tile_bits)) * sizeof(Amplitude<Real>);
  return reinterpret_cast<Real*>(workspace.bytes(tile_bytes + std::size_t(program.scratch)));
}

template <class Real>
void observe_tile(const Amplitude<Real>* psi, const Program& program, Index chunk, double* out) {
  Real* tile = tile_buffer<Real>(program);
  const Index base = tile_base(program, chunk), blocks = bit(program.tile_bits) / width<Real>;
  gather_tile<Real>(psi + base, tile, program);
  const Step* steps = program.at<Step>(program.steps);
  for (int k = 0; k < program.step_count; ++k)
    out[k] = observe_on<Real>({tile, 0, -blocks, base}, steps[k].observe, program.at<Real>(steps[k].observe.signs));
}

template <class Real>
void run_in_place(Amplitude<Real>* psi, const Program& program, Index begin, Index end) {
  const MatrixStep& step = program.at<Step>(program.steps)->matrix;
  for (Index t = begin; t < end; ++t) {
    const Index base = tile_base(program, t);
    const Part<Real> part{reinterpret_cast<Real*>(psi + base), 0, ~(program.tile_mask / width<Real>), base};
    matrix_on<Streamed<Real>>(part, step, program.at<Real>(step.coefficients));
  }
}

template <class Real>
void run_tiles(Amplitude<Real>* psi, const Program& program, Index begin, Index end) {
  Real* tile = tile_buffer<Real>(program);
  Real* scratch = tile + 2 * bit(program.tile_bits);
  for (Index t = begin; t < end; ++t) {
    const Index base = tile_base(program, t);
    gather_tile<Real>(psi + base, tile, program);
    run_steps<Real>(program, tile, base, scratch);
    scatter_tile<Real>(psi + base, tile, program);
  }
}

}  // namespace qmpi::QMPI_ISA
