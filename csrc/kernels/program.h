// What one pass over memory does, as plain data without pointers: any process that maps the amplitudes can run any chunk of it. The
// planner writes programs (csrc/plan), tile.h and direct.h run them.
//
// A tile program gathers 2^k amplitudes at a time into a buffer that stays in a core's cache, applies its steps there and scatters
// them back. Tile bits are the `tile_mask` bits of an index, lowest first; the lowest `run_bits` of them are the lowest bits of the
// index, so that amplitudes come in runs. Inside the buffer, an index has *positions*: the lowest ones are lanes of a register (in an
// order of the instruction set's own, TileShape), the others number blocks of one register of real and one of imaginary parts.
// A chunk of a tile stays in the first-level cache: the amplitudes whose block numbers agree in the bits `outside`. Steps in a row that
// need no more than one chunk of the same kind run chunk by chunk.
//
// A program in place is one matrix step without a buffer: registers are taken apart as they are loaded, positions are bits of the index.
#pragma once

#include "kernels/kernels.h"

namespace qmpi {

constexpr int most_tile_bits = 18;
constexpr int most_rotations = 4;   // of one step
constexpr int most_functions = 4;   // of one diagonal

// How an instruction set lays out the registers of a tile, for one precision.
struct TileShape {
  int lane_bits;
  int lane_of[4];        // lane bit of tile bit i, i < lane_bits
  int rotations;         // positions that one step rotates at once
};

enum class StepKind : std::int32_t {
  rotate,    // real rotations of blocks
  diagonal,  // a factor per amplitude, then rotations and general 2x2 matrices within lanes
  matrix,    // a complex matrix on one or two positions
  exchange,  // of blocks
  pauli,     // exp(-i theta/2 P)
  observe,   // <P>, which changes nothing
};

// Where a step or a factor takes part: the outer bits of a tile (bits of the amplitude index) decide.
struct Outer {
  Index mask;
  bool parity;  // odd parity of the bits in mask; else all of them 1
  bool holds(Index base) const {
    return parity ? __builtin_parityll(static_cast<unsigned long long>(base & mask)) : (base & mask) == mask;
  }
};

// [[1, -t], [t, 1]] on blocks; where `swapped`, what is loaded changes places first: [[-t, 1], [1, t]].
struct RotateStep {
  std::int32_t count, swapped;
  std::int32_t position[most_rotations];
  double t[most_rotations];
};

// A factor on the entries of a table whose index has all bits of `mask` (or an odd number of them). `function`: it also depends on
// that function of the bits above the table, -1 for none.
struct TableFactor {
  Index mask;
  Outer outer;
  std::int32_t function;
  bool parity;
  double re, im;
};

// psi[j] *= low[class of j's high bits][j's low bits] * high[j's high bits]. Offsets are bytes from the start of the program.
struct DiagonalStep {
  std::int32_t table_bits, functions;
  Index function_mask[most_functions];   // of the high bits, shifted down by table_bits
  bool function_parity[most_functions];
  bool factors;                          // else only lanes
  bool ones;                             // all low tables are 1 for class 0 and without low factors: one class needs no table
  std::int64_t low, high;                // static tables: (1 << functions) << table_bits entries; 1 << (k - table_bits)
  std::int64_t low_factors, high_factors;  // TableFactor of those that depend on the tile
  std::int32_t low_factor_count, high_factor_count;
  std::int32_t lanes;                    // mask of lane bits that are rotated afterwards
  std::int64_t lane_coefficients;        // for each: own, partner: a register of Real each
};

// On `blocks` positions above the lanes and on the lanes in `lanes`: out[b] = sum over b' and lane distances d within `lanes` of
// coefficient[b][b'][d] * exchanged(in[b'], d); coefficients are registers re, im.
struct MatrixStep {
  std::int32_t blocks, lanes;
  std::int32_t position[2];
  Index controls;  // of block numbers
  Outer outer;
  std::int64_t coefficients;
};

// Blocks with the bits `one` (and not `other`) change places with those with `other` (and not `one`).
struct ExchangeStep {
  Index one, other, controls;  // of block numbers
  Outer outer;
};

// out[j] = c in[j] + sign(j) coefficient * exchanged(in[j ^ x]); coefficient: one register, real or imaginary.
struct PauliStep {
  Index x, z;          // of block numbers
  std::int32_t x_lanes;
  bool imaginary;
  Outer outer;         // parity: the outer sign
  double c;
  std::int64_t coefficients;
};

// Of an observing program: the sum of conj(psi[j]) (P psi)[j] over a tile. `signs`: one register, of the lanes read.
struct ObserveStep {
  Index x, z;          // of block numbers
  std::int32_t x_lanes;
  bool imaginary;
  Outer outer;         // parity: the outer sign
  double factor;
  std::int64_t signs;
};

struct Step {
  StepKind kind;
  Index outside;  // of block numbers; 0: needs the whole tile
  union {
    RotateStep rotate;
    DiagonalStep diagonal;
    MatrixStep matrix;
    ExchangeStep exchange;
    PauliStep pauli;
    ObserveStep observe;
  };
};

// A direct program is one kernel of kernels.h over the whole state, in parts.
enum class DirectKind : std::int32_t { single, swap, block, pauli };

struct Direct {
  DirectKind kind;
  std::int32_t count;
  std::int32_t targets[16];
  Index controls, x, z;
  double theta;
  std::int64_t matrix;
};

struct Program {
  std::int64_t bytes;      // of all of it
  std::int64_t chunks;     // tiles, or parts
  std::int32_t n;
  bool tiled, in_place;
  // tiled
  std::int32_t tile_bits, run_bits;
  Index tile_mask;
  std::int64_t steps;
  std::int32_t step_count;
  std::int64_t scratch;    // bytes a worker needs beside the tile
  // direct
  Direct direct;

  template <class T>
  const T* at(std::int64_t offset) const {
    return reinterpret_cast<const T*>(reinterpret_cast<const char*>(this) + offset);
  }
};

}  // namespace qmpi
