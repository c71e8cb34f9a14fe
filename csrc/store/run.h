// Plans run on amplitudes in the arena: small programs here and now, large ones on the board.
#pragma once

#include "plan/plan.h"
#include "store/board.h"

namespace qmpi {

// 2^n amplitudes and the kernels to use on them.
struct Amplitudes {
  Offset offset;
  int n;
  bool single_precision;
  Isa isa;
};

// A block of the arena for the time of a task.
class Lent {
 public:
  Lent(Arena& arena, std::uint64_t bytes, Patience& patience)
      : arena_(arena), patience_(patience), bytes_(bytes), block_(arena.take(bytes, 0, patience)) {}
  ~Lent() { arena_.give(block_, bytes_, patience_); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  Offset offset() const { return block_.offset; }

 private:
  Arena& arena_;
  Patience& patience_;
  std::uint64_t bytes_;
  Block block_;
};

// Programs for these amplitudes, tiled for this machine, but for what `wanted` gives; several workers may come.
std::vector<ProgramText> plan_for(const Amplitudes& amplitudes, const Circuit& circuit, int workers, Tiling wanted = {});
void run_program(Arena& arena, const Amplitudes& amplitudes, const ProgramText& text, Patience& patience);
// A task on the amplitudes, without chunks yet.
Task task_on(const Amplitudes& amplitudes, Task::Kind kind);

}  // namespace qmpi
