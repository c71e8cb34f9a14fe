// A state vector in the arena: 2^n amplitudes, whatever number of ranks and threads works on them. It plans circuits, runs the programs
// on the board, and reads out. It knows bits, not qubits, and neither nodes nor communicators: those are qmpi/engine's.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "store/run.h"

namespace qmpi {

// A circuit's programs, ready to run on a vector of its size and precision.
struct Plan {
  std::vector<ProgramText> programs;
  std::vector<int> layout;  // where the qubits are afterwards
};

class Vector {
 public:
  // Takes the memory, and touches it. Throws StateTooLarge.
  Vector(std::shared_ptr<Arena> arena, int bits, bool single_precision, int workers, Patience& patience);
  ~Vector();
  Vector(const Vector&) = delete;
  Vector& operator=(const Vector&) = delete;

  int bits() const { return bits_; }
  bool single_precision() const { return single_; }
  Offset offset() const { return block_.offset; }
  const Arena& arena() const { return *arena_; }
  void* amplitudes() const { return arena_->at<char>(block_.offset); }
  std::uint64_t bytes() const { return bytes_; }
  Isa isa() const { return isa_; }

  void clear(bool first_is_one, Patience& patience);
  Plan plan(const Circuit& circuit, Tiling wanted = {}) const;
  // What an interrupt leaves undone goes on when the same plan is run again.
  void run(const Plan& plan, Patience& patience);

  // Of the parity of the bits in `mask`; not normalised.
  Weights weights(Index mask, Patience& patience);
  // Multiplies what has bit `bit` 0 by `zero`, the rest by `one`.
  void multiply(int bit, double zero, double one, Patience& patience);
  // <P> of each product, not normalised.
  std::vector<double> expectations(std::span<const PauliMasks> products, Patience& patience);
  // For ascending targets in [0, total weight): the first index up to which the weights add up to more.
  void sample(std::span<const double> targets, std::span<std::int64_t> indices, Patience& patience);
  // Sum of |psi|^2 by the values of some bits: 2^(number of bits) sums.
  std::vector<double> marginal(std::span<const int> bits, Patience& patience);

 private:
  template <class F>
  auto with(F&& visit) const;
  Amplitudes here() const { return {block_.offset, bits_, single_, isa_}; }
  std::vector<double> collect(Task task, Patience& patience);
  Task task(Task::Kind kind) const;
  int chunk_bits() const;

  std::shared_ptr<Arena> arena_;
  int bits_, workers_;
  bool single_;
  Isa isa_;
  Block block_;
  std::uint64_t bytes_;
  std::size_t next_ = 0;  // program of the plan that is being run
};

}  // namespace qmpi
