#include "store/board.h"

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "kernels/bits.h"
#include "store/doorbell.h"

namespace qmpi {
namespace {

constexpr std::int64_t spin_us = 60;  // a helper looks for more before it sleeps: the next pass comes soon
constexpr std::int64_t sleep_us = 100'000;
constexpr int yields_per_glance = 256;

// Adds each amplitude's weight to that of the value which the bits in `mask` have.
template <class Real>
void add_weights(const std::complex<Real>* psi, Index size, Index mask, double* sums) {
  constexpr Index low = 256;  // indices whose values are kept
  int positions[64], count = 0;
  for (Index left = mask; left; left &= left - 1) positions[count++] = trailing_zeros(left);
  const auto value = [&](Index i) { return extract(i, positions, count); };
  Index low_values[low];
  for (Index i = 0; i < std::min(low, size); ++i) low_values[i] = value(i);
  for (Index begin = 0; begin < size; begin += low) {
    double* to = sums + value(begin);
    for (Index i = 0; i < std::min(low, size); ++i) to[low_values[i]] += std::norm(std::complex<double>(psi[begin + i]));
  }
}

template <class Real>
void run_chunk(const Arena& arena, const Task& task, Index chunk) {
  const Kernels<Real>& kernel = kernels<Real>(task.isa);
  auto* psi = arena.at<std::complex<Real>>(task.psi);
  const Index size = Index{1} << task.chunk_bits;
  switch (task.kind) {
    case Task::Kind::run: return kernel.run(psi, *arena.at<Program>(task.program), chunk, chunk + 1);
    case Task::Kind::observe:
      return kernel.observe(psi, *arena.at<Program>(task.program), chunk, arena.at<double>(task.results) + chunk * task.width);
    case Task::Kind::clear:
      std::memset(static_cast<void*>(psi + chunk * size), 0, static_cast<std::size_t>(size) * sizeof *psi);
      return;
    case Task::Kind::sums:
      for (Index run = 0; run < task.width; ++run)
        arena.at<double>(task.results)[chunk * task.width + run] =
            kernel.weights(psi + chunk * size + (run << task.run_bits), task.run_bits, 0).total();
      return;
    case Task::Kind::marginal: {
      double* sums = arena.at<double>(task.results) + chunk * task.width;
      std::fill(sums, sums + task.width, 0.0);
      return add_weights(psi + chunk * size, size, task.mask & (size - 1), sums);
    }
    case Task::Kind::weights: {
      const Weights weights = kernel.weights(psi + chunk * size, task.chunk_bits, task.mask & (size - 1));
      const bool odd = __builtin_parityll(static_cast<unsigned long long>(task.mask & (chunk * size)));
      double* to = arena.at<double>(task.results) + 2 * chunk;
      to[odd] = weights.zero;
      to[!odd] = weights.one;
    }
  }
}

void run_chunk(const Arena& arena, const Task& task, Index chunk) {
  if (task.single_precision) return run_chunk<float>(arena, task, chunk);
  run_chunk<double>(arena, task, chunk);
}

void take_chunks(const Arena& arena, Posted& posted) {
  const Task& task = posted.task;
  for (Index chunk; (chunk = posted.next.fetch_add(1)) < task.chunks; posted.done.fetch_add(1)) run_chunk(arena, task, chunk);
}

Board& board_of(const Arena& arena) { return *arena.at<Board>(arena.header().board); }

int cores() {
  static const int count = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  return count;
}

void call_helpers(Arena& arena) {
  Board& board = board_of(arena);
  board.bell += 1;
  if (board.sleeping > 0) {
    futex_wake(board.bell, cores());
    sched_yield();  // to who wakes up on this core, and leaves it
  }
  int wanted = cores() - 1;
  for (int rank = 0; wanted > 0 && rank < arena.settings().ranks; ++rank) {
    RankRecord& record = arena.rank(rank);
    if (!record.asleep) continue;
    ring(record);
    --wanted;
  }
}

}  // namespace

void run_together(Arena& arena, const Task& task, Patience& patience) {
  Board& board = board_of(arena);
  Posted* posted = nullptr;
  if (task.chunks > 1)
    for (Posted& each : board.posted) {
      bool free = false;
      if (!each.claimed.compare_exchange_strong(free, true)) continue;
      posted = &each;
      break;
    }
  if (!posted) {  // little to do, or enough others at work
    for (Index chunk = 0; chunk < task.chunks; ++chunk) run_chunk(arena, task, chunk);
    return;
  }
  posted->task = task;
  posted->next = 0;
  posted->done = 0;
  posted->open += 1;
  board.core = sched_getcpu();
  call_helpers(arena);
  take_chunks(arena, *posted);
  for (int yields = 1; posted->done < task.chunks; ++yields) {
    sched_yield();
    if (yields % yields_per_glance == 0) {
      patience.give_way();
      arena.mourn();
      arena.require_going();
    }
  }
  posted->open += 1;
  while (posted->inside > 0) {
    sched_yield();
    arena.mourn();
    arena.require_going();
  }
  posted->claimed = false;
}

bool help(Arena& arena) {
  bool helped = false;
  for (Posted& posted : board_of(arena).posted) {
    const std::uint32_t open = posted.open;
    if (open % 2 == 0) continue;
    posted.inside += 1;
    if (posted.open == open && posted.next < posted.task.chunks) {
      take_chunks(arena, posted);
      helped = true;
    }
    posted.inside -= 1;
  }
  return helped;
}

namespace {

// Where a thread wakes up: not on the core of whoever wakes it, which is busy. (Some systems would put it there, and leave it for
// milliseconds.) Only a hint: nothing depends on its success.
class Cores {
 public:
  Cores() { sched_getaffinity(0, sizeof all_, &all_); }
  void avoid(int core) {
    if (core == avoided_) return;
    cpu_set_t others = all_;
    if (core >= 0 && core < CPU_SETSIZE && CPU_COUNT(&all_) > 1) CPU_CLR(static_cast<std::size_t>(core), &others);
    sched_setaffinity(0, sizeof others, &others);
    avoided_ = core;
  }

 private:
  cpu_set_t all_;
  int avoided_ = -1;
};

}  // namespace

Crew::Crew(std::shared_ptr<Arena> arena, int threads) : arena_(std::move(arena)) {
  const auto work = [this] {
    Board& board = board_of(*arena_);
    Cores allowed;
    std::int64_t last = now_us();
    while (!ending_) {
      const std::uint32_t seen = board.bell;
      if (help(*arena_)) {
        last = now_us();
      } else if (now_us() < last + spin_us) {
        sched_yield();
      } else {
        board.sleeping += 1;
        if (!ending_) futex_wait(board.bell, seen, sleep_us);
        board.sleeping -= 1;
        allowed.avoid(board.core);
        last = now_us();
      }
    }
  };
  for (int k = 0; k < threads; ++k) threads_.emplace_back(work);
}

Crew::~Crew() {
  if (arena_->forked()) {  // its threads are the parent's
    for (std::thread& thread : threads_) thread.detach();
    return;
  }
  ending_ = true;
  Board& board = board_of(*arena_);
  board.bell += 1;
  futex_wake(board.bell, 1 << 20);
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace qmpi
