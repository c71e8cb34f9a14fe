// The board: large work is cut into chunks that whoever is idle takes, the threads that a process keeps for it and ranks of the node that
// wait inside qmpi. A task is plain data in the arena, so that any process can run any chunk. This file knows kernels and arenas, not
// what the work is for.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "kernels/program.h"
#include "store/arena.h"

namespace qmpi {

// What a chunk of a task does to the amplitudes at `psi`.
struct Task {
  enum class Kind : std::int32_t {
    run,      // the program at `program`
    clear,    // sets amplitudes to 0
    weights,  // the weights of both parities of the bits in `mask`: two doubles at `results`
    sums,     // the weight of each run of 2^run_bits neighbours: doubles at `results`
    marginal, // the weight of each value of the bits in `mask`, lowest first, as far as they are in a chunk: doubles at `results`
    observe,  // the observing program at `program`: its doubles at `results`
  };
  Kind kind = Kind::run;
  Isa isa = Isa::plain;
  bool single_precision = false;
  std::int32_t n = 0;
  std::int32_t chunk_bits = 0;  // of clear, weights, sums and marginal
  std::int32_t run_bits = 0;    // of sums
  Index width = 0;              // doubles per chunk
  Offset psi = 0, program = 0, results = 0;
  Index mask = 0;
  Index chunks = 0;
};

constexpr int posted_tasks = 8;

struct Posted {
  std::atomic<bool> claimed;
  std::atomic<std::uint32_t> open;   // odd while chunks may be taken
  std::atomic<std::int32_t> inside;  // helpers that may touch the task
  alignas(64) std::atomic<Index> next;
  alignas(64) std::atomic<Index> done;
  Task task;
};

// In the arena's header.
struct Board {
  std::atomic<std::uint32_t> bell;
  std::atomic<std::int32_t> sleeping;  // threads
  std::atomic<std::int32_t> core;      // on which the last task was posted
  Posted posted[posted_tasks];
};

// Runs all chunks of the task, with whoever helps. Returns when the last one is done; throws RankLost if a helper died.
void run_together(Arena& arena, const Task& task, Patience& patience);
// Takes chunks of posted tasks as long as there are any; false if there were none.
bool help(Arena& arena);

// Threads of this process that help.
class Crew {
 public:
  Crew(std::shared_ptr<Arena> arena, int threads);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  int threads() const { return static_cast<int>(threads_.size()); }

 private:
  std::shared_ptr<Arena> arena_;
  std::atomic<bool> ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace qmpi
