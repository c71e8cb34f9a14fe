// The planner: a circuit becomes a few programs, each one pass over memory (kernels/program.h). It chooses which bits make a tile and
// which actions each pass can run (schedule.cc), and writes the programs (tiles.cc, direct.cc). It touches no amplitudes.
#pragma once

#include <cstring>
#include <vector>

#include "kernels/program.h"
#include "plan/circuit.h"

namespace qmpi {

// A program and its tables in one piece of memory that can be copied anywhere.
class ProgramText {
 public:
  ProgramText() : lines_(lines_for(sizeof(Program))) { program().bytes = static_cast<std::int64_t>(lines_.size() * sizeof(Line)); }
  Program& program() { return *reinterpret_cast<Program*>(lines_.data()); }
  const Program& program() const { return *reinterpret_cast<const Program*>(lines_.data()); }
  // Room for `count` values at the end, zeroed; its offset.
  template <class T>
  std::int64_t reserve(std::size_t count) {
    const std::size_t offset = lines_.size() * sizeof(Line);
    lines_.resize(lines_.size() + lines_for(count * sizeof(T)));
    program().bytes = static_cast<std::int64_t>(lines_.size() * sizeof(Line));
    return static_cast<std::int64_t>(offset);
  }
  template <class T>
  std::int64_t append(const T* values, std::size_t count) {
    const std::int64_t offset = reserve<T>(count);
    if (count) std::memcpy(at<T>(offset), values, count * sizeof(T));
    return offset;
  }
  template <class T>
  T* at(std::int64_t offset) {
    return reinterpret_cast<T*>(reinterpret_cast<char*>(lines_.data()) + offset);
  }

 private:
  struct alignas(64) Line {
    char bytes[64];
  };
  static std::size_t lines_for(std::size_t bytes) { return (bytes + sizeof(Line) - 1) / sizeof(Line); }
  std::vector<Line> lines_;
};

// What fits this machine's caches, in bits of an index.
struct Tiling {
  int tile_bits = 0;   // amplitudes that stay in the second-level cache
  int run_bits = 0;    // of neighbours in memory
  int chunk_bits = 0;  // that stay in the first-level cache
  int near_bits = 0;   // the lowest of these: neighbours that have a place of their own there; the others may be any
};

template <class Real>
Tiling best_tiling();

// Programs that together do what the circuit does, in order. `tiling` is narrowed so that several workers find something to do.
template <class Real>
std::vector<ProgramText> make_plan(const Circuit& circuit, const TileShape& shape, Tiling tiling, int workers);

// A product of Pauli operators as in Kernels::pauli.
struct PauliMasks {
  Index x, z;
};

// A program that observes some of the products, and which ones.
struct Observation {
  ProgramText text;
  std::vector<int> products;
};

// Observing programs for all products that fit into tiles; `left` are those that do not.
template <class Real>
std::vector<Observation> make_observations(int n, std::span<const PauliMasks> products, const TileShape& shape, Tiling tiling, int workers,
                                           std::vector<int>& left);

// The tiling for a state of n qubits of which each of several workers wants a share.
Tiling narrowed(Tiling tiling, int n, const TileShape& shape, int workers);

// --- for the parts of the planner only ---------------------------------------------------------------------------------------------

// What is diagonal and not applied yet.
struct Pending {
  Coefficient scalar = 1.0;
  std::vector<Term> terms;
  bool nothing() const { return scalar == 1.0 && terms.empty(); }
};

// A pass over tiles that runs these actions in this order after what is pending; what it leaves pending, unless it is the last.
template <class Real>
ProgramText tile_program(const Circuit& circuit, std::span<const int> actions, Index tile_mask, const TileShape& shape, const Tiling& tiling,
                         Pending& pending, bool last);

// A pass in place of one matrix on two bits.
template <class Real>
ProgramText matrix_program(const Circuit& circuit, const Action& action, const TileShape& shape, const Tiling& tiling);

// A pass of one kernel, and what it costs in units of reading and writing the whole state once. Appends as many as it takes.
void direct_programs(const Circuit& circuit, const Action& action, Pending& pending, std::vector<ProgramText>& programs);
void direct_programs(int n, Pending& pending, std::vector<ProgramText>& programs);  // what is pending
double direct_cost(const Action& action);

}  // namespace qmpi
