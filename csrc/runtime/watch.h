// The watch: who waits for whom, and whether anybody still can wake them. A rank that has waited for a while publishes what it waits
// for and which ranks could end that; whoever looks finds the ranks that wait for each other only, and tells each of them. Knows
// postings only as far as whether they are finished.
#pragma once

#include "runtime/mailbox.h"

namespace qmpi {

class Watch {
 public:
  Watch(std::shared_ptr<Arena> arena, int rank) : arena_(std::move(arena)), rank_(rank) {}

  // From now on this rank waits for one of these postings to be over, which only a call of one of `wakers` can bring about. `line`:
  // the call, its arguments and its source line.
  void publish(std::span<const Offset> postings, std::span<const std::int32_t> wakers, std::string_view line, Patience& patience);
  // The same for a turn in a replayed order (Header::turn), which anybody may bring nearer.
  void publish(std::uint64_t turn, std::string_view line, Patience& patience);
  void unpublish(Patience& patience);

  // What a waiting rank does now and then: looks for deaths and deadlocks. True if this rank has been told that its wait will not end.
  // Throws RankLost or PeerFailed.
  bool look(Patience& patience);
  // Then it takes back what it had posted, and throws Deadlock or PeerLeft here: once all who were told the same have come so far, so
  // that none of them acts before the others know.
  [[noreturn]] void accept(Patience& patience);
  // What a working rank does now and then: only looks for deaths. Throws RankLost or PeerFailed.
  void glance();

 private:
  void publish(std::span<const Offset> postings, std::uint64_t turn, std::span<const std::int32_t> wakers, std::string_view line, Patience& patience);
  static bool due(std::atomic<std::int64_t>& next);
  void judge(Patience& patience);
  void tell(std::span<const int> ranks, bool left, std::string_view text, Patience& patience);
  void drop(Offset verdict, Patience& patience);

  std::shared_ptr<Arena> arena_;
  int rank_;
  bool published_ = false;
};

}  // namespace qmpi
