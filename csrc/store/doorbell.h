// Sleeping on a word of shared memory, and waking those who sleep on it.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "store/arena.h"

namespace qmpi {

inline std::int64_t now_us() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000 + time.tv_nsec / 1000;
}

// Sleeps while the word is `seen`, at most so long. False if a signal came.
inline bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen, std::int64_t microseconds) {
  const timespec timeout{microseconds / 1'000'000, microseconds % 1'000'000 * 1000};
  return syscall(SYS_futex, &word, FUTEX_WAIT, seen, &timeout, nullptr, 0) == 0 || errno != EINTR;
}

inline void futex_wake(const std::atomic<std::uint32_t>& word, int sleepers) {
  syscall(SYS_futex, &word, FUTEX_WAKE, sleepers, nullptr, nullptr, 0);
}

// The waiter sets `asleep` before it looks a last time, the ringer changes the state before it looks at `asleep`.
inline void ring(RankRecord& rank) {
  rank.bell += 1;
  if (rank.asleep) futex_wake(rank.bell, 1);
}

// Wakes a rank to look about, although what it waits for is not there.
inline void nudge(RankRecord& rank) {
  rank.nudged = 1;
  ring(rank);
}

}  // namespace qmpi
