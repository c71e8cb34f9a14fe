#include "runtime/watch.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "store/doorbell.h"

namespace qmpi {
namespace {

constexpr std::int64_t look_every_us = 50'000;  // somebody of the node
constexpr unsigned accept_poll_us = 1000;
constexpr std::size_t listed = 32;  // ranks that a report shows

struct Wait {
  Block block;
  std::uint64_t turn;  // what it waits for: this turn in a replayed order, or one of its postings
  Offset verdict;
  bool accepted;
  std::uint32_t posting_count, waker_count, line_size;
  std::span<Offset> postings() { return {reinterpret_cast<Offset*>(this + 1), posting_count}; }
  std::span<std::int32_t> wakers() { return {reinterpret_cast<std::int32_t*>(postings().data() + posting_count), waker_count}; }
  std::string_view line() { return {reinterpret_cast<const char*>(wakers().data() + waker_count), line_size}; }
};

// Why some waits will never end; one text for all of them.
struct Verdict {
  Block block;
  std::uint32_t readers, length;
  std::atomic<std::uint32_t> to_accept;
  bool left;  // PeerLeft, else Deadlock
  char* text() { return reinterpret_cast<char*>(this + 1); }
};

std::int64_t now_coarse_us() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return time.tv_sec * 1'000'000 + time.tv_nsec / 1000;
}

// Marks everyone whom a rank in `free` can wake, and whom these can wake, and so on.
void set_free(std::vector<bool>& free, const std::vector<std::vector<int>>& could_wake) {
  std::vector<int> next;
  for (std::size_t rank = 0; rank < free.size(); ++rank)
    if (free[rank]) next.push_back(static_cast<int>(rank));
  while (!next.empty()) {
    const int waker = next.back();
    next.pop_back();
    for (const int rank : could_wake[waker]) {
      if (free[rank]) continue;
      free[rank] = true;
      next.push_back(rank);
    }
  }
}

}  // namespace

void Watch::publish(std::span<const Offset> postings, std::span<const std::int32_t> wakers, std::string_view line, Patience& patience) {
  publish(postings, 0, wakers, line, patience);
}

void Watch::publish(std::uint64_t turn, std::string_view line, Patience& patience) {
  std::vector<std::int32_t> everybody(arena_->settings().ranks);
  std::iota(everybody.begin(), everybody.end(), 0);
  publish({}, turn, everybody, line, patience);
}

void Watch::publish(std::span<const Offset> postings, std::uint64_t turn, std::span<const std::int32_t> wakers, std::string_view line,
                    Patience& patience) {
  const auto count = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
  const Block block = arena_->take(sizeof(Wait) + postings.size_bytes() + wakers.size_bytes() + line.size(), 0, patience);
  Wait& wait = *new (arena_->at<char>(block.offset)) Wait{block, turn, 0, false, count(postings), count(wakers), count(line)};
  std::copy(postings.begin(), postings.end(), wait.postings().begin());
  std::copy(wakers.begin(), wakers.end(), wait.wakers().begin());
  std::copy(line.begin(), line.end(), const_cast<char*>(wait.line().data()));
  RankRecord& record = arena_->rank(rank_);
  Guard guard(arena_->header().watch, patience);
  write_line(record.waits_in, line);
  record.wait = block.offset;
  published_ = true;
}

void Watch::unpublish(Patience& patience) {
  if (!published_) return;
  published_ = false;
  RankRecord& record = arena_->rank(rank_);
  Guard guard(arena_->header().watch, patience);
  Wait& wait = *arena_->at<Wait>(std::exchange(record.wait, 0));
  if (wait.verdict != 0 && !wait.accepted) arena_->at<Verdict>(wait.verdict)->to_accept -= 1;
  drop(wait.verdict, patience);
  const Block block = wait.block;
  arena_->give(block, block.capacity, patience);
}

void Watch::drop(Offset offset, Patience& patience) {
  if (offset == 0) return;
  Verdict& verdict = *arena_->at<Verdict>(offset);
  if (--verdict.readers > 0) return;
  const Block block = verdict.block;
  arena_->give(block, block.capacity, patience);
}

// True for one of the ranks that ask, and for it only so often.
bool Watch::due(std::atomic<std::int64_t>& next) {
  const std::int64_t now = now_coarse_us();
  std::int64_t seen = next.load(std::memory_order_relaxed);
  return now >= seen && next.compare_exchange_strong(seen, now + look_every_us);
}

void Watch::glance() {
  if (due(arena_->header().next_glance_us)) arena_->mourn();
  arena_->require_going();
}

bool Watch::look(Patience& patience) {
  const bool mine = due(arena_->header().next_look_us);
  if (mine) arena_->mourn();
  arena_->require_going();
  Guard guard(arena_->header().watch, patience);
  if (mine) judge(patience);
  const Offset wait = arena_->rank(rank_).wait;
  return wait != 0 && arena_->at<Wait>(wait)->verdict != 0;
}

void Watch::accept(Patience& patience) {
  Wait& wait = *arena_->at<Wait>(arena_->rank(rank_).wait);  // only this rank changes it now
  Verdict& verdict = *arena_->at<Verdict>(wait.verdict);
  const Error error(verdict.left ? "PeerLeft" : "Deadlock", std::string(verdict.text(), verdict.length));
  wait.accepted = true;
  verdict.to_accept -= 1;
  patience.give_way();
  while (verdict.to_accept > 0) {
    glance();  // one of them may have died
    patience.look_up();
    usleep(accept_poll_us);
  }
  throw error;
}

// While the lock is held, nobody who has published does anything but wait, so what is seen here held at one moment: a posting that
// is not finished, all of whose wakers wait themselves, can only be finished after one of them has been woken.
void Watch::judge(Patience& patience) {
  const int ranks = arena_->settings().ranks;
  std::vector<bool> free(ranks), waits(ranks);
  std::vector<std::vector<int>> could_wake(ranks);
  bool any = false;
  for (int rank = 0; rank < ranks; ++rank) {
    const RankRecord& record = arena_->rank(rank);
    free[rank] = record.presence != Presence::left;
    if (record.wait == 0) continue;
    Wait& wait = *arena_->at<Wait>(record.wait);
    if (wait.verdict != 0) continue;  // it will wake up; what it waited for may have been taken back
    const auto is_over = [&](Offset posting) { return Mailboxes::over(*arena_->at<Posting>(posting)); };
    const auto postings = wait.postings();
    if (postings.empty() ? arena_->header().turn >= wait.turn : std::any_of(postings.begin(), postings.end(), is_over)) continue;
    any = waits[rank] = true;
    free[rank] = false;
    for (const std::int32_t waker : wait.wakers()) could_wake[waker].push_back(rank);
  }
  if (!any) return;
  set_free(free, could_wake);

  const auto has_left = [&](int rank) { return arena_->rank(rank).presence == Presence::left; };
  for (int rank = 0; rank < ranks; ++rank) {
    if (!waits[rank] || free[rank]) continue;
    Wait& wait = *arena_->at<Wait>(arena_->rank(rank).wait);
    const auto wakers = wait.wakers();
    if (!std::all_of(wakers.begin(), wakers.end(), has_left)) continue;
    std::string who;
    for (std::size_t k = 0; k < std::min(wakers.size(), listed); ++k) who += (k ? ", " : "") + std::to_string(wakers[k]);
    const std::string text = std::string(wait.line()) + ": rank " + who + " has left without answering";
    tell({&rank, 1}, true, text, patience);
    free[rank] = true;  // it wakes up, and may yet do what others wait for
  }
  set_free(free, could_wake);

  std::vector<int> stuck;
  for (int rank = 0; rank < ranks; ++rank)
    if (waits[rank] && !free[rank]) stuck.push_back(rank);
  if (stuck.empty()) return;
  std::string text = stuck.size() == 1 ? "nobody is left who could end this wait"
                                       : std::to_string(stuck.size()) + " ranks wait for each other, and nobody else can wake them";
  std::size_t shown = 0;
  for (int rank = 0; rank < ranks && shown < listed; ++rank) {
    if (!has_left(rank) && (free[rank] || !waits[rank])) continue;
    text += "\n  rank " + std::to_string(rank) + (has_left(rank) ? " has left" : ": " + std::string(arena_->at<Wait>(arena_->rank(rank).wait)->line()));
    ++shown;
  }
  if (shown == listed) text += "\n  ...";
  tell(stuck, false, text, patience);
}

void Watch::tell(std::span<const int> ranks, bool left, std::string_view text, Patience& patience) {
  const Block block = arena_->take(sizeof(Verdict) + text.size(), 0, patience);
  const auto told = static_cast<std::uint32_t>(ranks.size());
  Verdict& verdict = *new (arena_->at<char>(block.offset)) Verdict{block, told, static_cast<std::uint32_t>(text.size()), told, left};
  std::copy(text.begin(), text.end(), verdict.text());
  for (const int rank : ranks) {
    RankRecord& record = arena_->rank(rank);
    arena_->at<Wait>(record.wait)->verdict = block.offset;
    nudge(record);
  }
}

}  // namespace qmpi
