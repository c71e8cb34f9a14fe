#include "runtime/mailbox.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "store/board.h"
#include "store/doorbell.h"

namespace qmpi {
namespace {

// Waking a sleeper, and with it perhaps its core, takes longer than most answers: a waiter spins before it sleeps, as long as one core
// is left to those who work, and lets anyone else who wants its core have it.
constexpr std::int64_t spin_us = 100;

constexpr std::uint64_t header_bytes = (sizeof(Posting) + 63) / 64 * 64;

bool carries_qubits(Verb verb) { return verb == Verb::copy || verb == Verb::move || verb == Verb::unmove; }

}  // namespace

Mailboxes::Mailboxes(std::shared_ptr<Arena> arena, int rank, Steps steps)
    : arena_(std::move(arena)), rank_(rank), steps_(std::move(steps)), most_spinning_(static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN) - 1))) {}

Posting& Mailboxes::create(Verb verb, int peer, std::uint32_t context, int tag, std::uint32_t count, Patience& patience) {
  const bool raw_bytes = verb == Verb::bytes || verb == Verb::note;
  Posting& posting = create(verb, raw_bytes ? count : count * (2 * sizeof(QubitId) + 2), count, patience);
  posting.peer = peer;
  posting.context = context;
  posting.tag = tag;
  return posting;
}

Posting& Mailboxes::create(Verb verb, std::uint64_t payload, std::uint32_t count, Patience& patience) {
  const Block block = arena_->take(header_bytes + payload, 0, patience);
  Posting& posting = *new (arena_->at<char>(block.offset)) Posting{};
  posting.phase = Phase::raw;
  posting.holders = 1;
  posting.verb = verb;
  posting.owner = rank_;
  posting.peer = any_source;
  posting.count = count;
  posting.block = block;
  return posting;
}

void Mailboxes::discard(Posting& posting, Patience& patience) {
  if (--posting.holders == 0) {
    const Block block = posting.block;
    arena_->give(block, block.capacity, patience);
  }
}

std::span<char> Mailboxes::bytes(Posting& posting) const {
  return {reinterpret_cast<char*>(&posting) + header_bytes, posting.count};
}

std::span<QubitId> Mailboxes::qubits(Posting& posting) const {
  return {reinterpret_cast<QubitId*>(bytes(posting).data()), posting.count};
}

std::span<QubitId> Mailboxes::cargo(Posting& posting) const { return {qubits(posting).data() + posting.count, posting.count}; }

std::span<std::uint8_t> Mailboxes::bits(Posting& posting) const {
  return {reinterpret_cast<std::uint8_t*>(cargo(posting).data() + posting.count), 2 * posting.count};
}

// --- matching ------------------------------------------------------------------------------------------------------------------

bool Mailboxes::fits(const Posting& receive, const Posting& message) const {
  return receive.context == message.context && (receive.peer == any_source || receive.peer == message.owner) &&
         (receive.tag == any_tag || receive.tag == message.tag) &&
         (receive.operation == 0 || receive.operation == message.operation) &&
         (receive.wanted ? at(receive.wanted) == &message : !message.claimed);
}

Failure Mailboxes::refusal(const Posting& receive, const Posting& message) const {
  if (message.verb == Verb::note) return Failure::none;  // delivered: it makes the receive fail with its text
  if (message.verb != receive.verb) return Failure::other_verb;
  if (receive.capacity_is_free || message.count == receive.count) return Failure::none;
  if (message.exact) return Failure::counts;
  if (message.count > receive.count) return Failure::truncated;
  return Failure::none;
}

void Mailboxes::append(Offset& list, Posting& posting) {
  posting.next = 0;
  Offset* end = &list;
  while (*end != 0) end = &at(*end)->next;
  *end = arena_->offset_of(&posting);
}

void Mailboxes::prepend(Offset& list, Posting& posting) {
  posting.next = list;
  list = arena_->offset_of(&posting);
}

bool Mailboxes::unlink(Offset& list, const Posting& posting) {
  Offset* link = &list;
  while (*link != 0 && at(*link) != &posting) link = &at(*link)->next;
  if (*link == 0) return false;
  *link = posting.next;
  return true;
}

void Mailboxes::complete(Posting& posting, Phase phase) {
  RankRecord& owner = arena_->rank(posting.owner);
  if (posting.part) {
    posting.phase = phase;
    return steps_.step_over(posting);
  }
  posting.phase = phase;  // from here on the owner may free it
  ring(owner);
}

// A message that no receive has taken; who looks for one like it is told.
void Mailboxes::list_message(RankRecord& box, Posting& message) {
  append(box.unexpected, message);
  for (Offset offset = box.posted; offset != 0;) {
    Posting& candidate = *at(offset);
    offset = candidate.next;
    if (candidate.verb != Verb::probe || !fits(candidate, message)) continue;
    unlink(box.posted, candidate);
    report(candidate, message);
    complete(candidate, Phase::done);
  }
}

// What a probe tells of the message it found.
void Mailboxes::report(Posting& probe, Posting& message) {
  probe.operation = message.operation;
  probe.tag = message.tag;
  probe.peer = message.owner;
  probe.count = message.count;
  if (!probe.claims) return;
  message.claimed = true;
  probe.match = arena_->offset_of(&message);
}

void Mailboxes::probe(Posting& probe, Patience& patience) {
  RankRecord& box = arena_->rank(probe.owner);
  probe.phase = Phase::pending;
  Guard guard(box.mutex, patience);
  for (Offset offset = box.unexpected; offset != 0; offset = at(offset)->next)
    if (carries_qubits(at(offset)->verb) && fits(probe, *at(offset))) {
      report(probe, *at(offset));
      probe.phase = Phase::done;
      return;
    }
  append(box.posted, probe);
}

// Room for a message in the receiver's buffer of S qubits.
bool Mailboxes::has_room(const RankRecord& box, const Posting& message) const {
  return !carries_qubits(message.verb) || box.held + static_cast<std::int32_t>(message.count) <= arena_->settings().epr_buffer;
}

void Mailboxes::hold(RankRecord& box, const Posting& message) {
  if (!carries_qubits(message.verb)) return;
  box.held += static_cast<std::int32_t>(message.count);
  box.peak_held = std::max(box.peak_held, box.held);
}

bool Mailboxes::reserve(int rank, std::int32_t qubits, Patience& patience) {
  RankRecord& box = arena_->rank(rank);
  Guard guard(box.mutex, patience);
  const std::int32_t most = arena_->settings().epr_buffer;
  if (box.reserved + qubits > most - 1 || box.held + qubits > most) return false;
  box.reserved += qubits;
  box.held += qubits;
  box.peak_held = std::max(box.peak_held, box.held);
  return true;
}

void Mailboxes::give_back(int rank, std::int32_t qubits, Patience& patience) {
  RankRecord& box = arena_->rank(rank);
  {
    Guard guard(box.mutex, patience);
    box.reserved -= qubits;
    box.held -= qubits;
  }
  pack_waiting(box, patience);
}

// A message that its receive does not take, and nobody else: its sender is told.
void Mailboxes::refuse(Posting& message, Failure failure) {
  message.failure = failure;
  message.holders -= 1;  // the mailbox
  complete(message, Phase::failed);
}

// The first posted receive for the message, unlinked; those that cannot take it fail on the way and the message goes on, unless it is exact:
// then it has failed, too.
Posting* Mailboxes::take_receive(RankRecord& box, Posting& message) {
  for (Offset offset = box.posted; offset != 0;) {
    Posting& candidate = *at(offset);
    offset = candidate.next;
    if (candidate.verb == Verb::epr || candidate.verb == Verb::probe || !fits(candidate, message)) continue;
    unlink(box.posted, candidate);
    if (candidate.verb == Verb::note) {  // of a rank that has given up, to one that may have as well
      message.failure = Failure::abandoned;
      message.match = arena_->offset_of(&candidate);
      return nullptr;
    }
    const Failure failure = refusal(candidate, message);
    if (failure == Failure::none) return &candidate;
    candidate.failure = failure;
    candidate.failed_count = static_cast<std::int32_t>(message.count);
    complete(candidate, Phase::failed);
    if (message.exact) {
      message.failure = failure;
      message.failed_count = static_cast<std::int32_t>(candidate.count);
      return nullptr;
    }
  }
  return nullptr;
}

void Mailboxes::finish_match(Posting& message, Posting& receive, Patience& patience) {
  if (receive.unclaimed) {
    discard(message, patience);
    discard(receive, patience);
    return;
  }
  if (message.verb == Verb::note) {
    receive.failure = Failure::abandoned;
  } else {
    steps_.deliver(message, receive);
  }
  receive.match = arena_->offset_of(&message);
  complete(receive, receive.failure == Failure::none ? Phase::done : Phase::failed);
}

bool Mailboxes::send(Posting& message, Patience& patience) {
  RankRecord& box = arena_->rank(message.peer);
  const bool nothing = message.part && message.count == 0 && carries_qubits(message.verb);  // only tells that nothing is sent
  if (!nothing && (message.verb != Verb::bytes || message.part)) arena_->header().statistics.messages += 1;
  Posting* receive;
  bool reserved = false;
  {
    Guard guard(box.mutex, patience);
    receive = take_receive(box, message);
    if (!receive && message.failure == Failure::none) {
      reserved = message.mode != Mode::synchronous && has_room(box, message);
      if (message.mode == Mode::ready)
        throw Error("NotReady", "no receive has been posted for this message: post it first, or use send");
      if (message.mode == Mode::buffered && !reserved)
        throw Error("BufferFull", "no room is left for " + std::to_string(message.count) + " qubit(s) in the receiver's buffer of " +
                                      std::to_string(arena_->settings().epr_buffer) + ": receive first, or use send, which waits");
      reserved ? hold(box, message) : list_message(box, message);
    }
  }
  if (message.failure != Failure::none) {
    message.phase = Phase::failed;
    if (message.verb == Verb::note) discard(*at(message.match), patience);  // both sides have given up
    discard(message, patience);  // the mailbox's share
    return true;
  }
  if (!receive && !reserved) return false;
  try {
    steps_.pack(message);
  } catch (const Error&) {  // nothing happened: the receive is pending again, first in its place
    Guard guard(box.mutex, patience);
    if (reserved) box.held -= static_cast<std::int32_t>(message.count);
    if (receive) prepend(box.posted, *receive);
    throw;
  }
  message.phase = Phase::packed;
  if (!receive) {
    Guard guard(box.mutex, patience);
    receive = take_receive(box, message);  // posted while the message was being packed
    if (!receive) list_message(box, message);
    if (receive && reserved && carries_qubits(message.verb)) box.held -= static_cast<std::int32_t>(message.count);
  }
  if (receive) finish_match(message, *receive, patience);
  return true;
}

void Mailboxes::receive(Posting& receive, Patience& patience) {
  RankRecord& box = arena_->rank(receive.owner);
  Posting* message = nullptr;
  receive.phase = Phase::pending;
  {
    Guard guard(box.mutex, patience);
    for (Offset offset = box.unexpected; offset != 0; offset = at(offset)->next)
      if (fits(receive, *at(offset))) {
        message = at(offset);
        break;
      }
    if (!message) return append(box.posted, receive);
    receive.failure = refusal(receive, *message);
    receive.failed_count = static_cast<std::int32_t>(message->count);
    if (receive.failure != Failure::none) {
      if (message->exact) {
        message->failed_count = static_cast<std::int32_t>(receive.count);
        unlink(box.unexpected, *message);
        refuse(*message, receive.failure);
      }
      return complete(receive, Phase::failed);
    }
    if (message->phase == Phase::packing) return append(box.posted, receive);  // whoever packs it finds this receive then
    if (message->phase == Phase::packed) {
      unlink(box.unexpected, *message);
      if (carries_qubits(message->verb)) box.held -= static_cast<std::int32_t>(message->count);
    } else {
      message->phase = Phase::packing;
    }
  }
  // It stays listed while it is packed: if it does not fit into memory nothing has changed.
  if (message->phase == Phase::packing) {
    try {
      steps_.pack(*message);
    } catch (const Error&) {
      message->phase = Phase::raw;
      throw;
    }
    {
      Guard guard(box.mutex, patience);
      unlink(box.unexpected, *message);
    }
    complete(*message, Phase::done);
  }
  finish_match(*message, receive, patience);
  pack_waiting(box, patience);
}

void Mailboxes::decline(Posting& note, Patience& patience) {
  RankRecord& box = arena_->rank(note.owner);
  Posting* message = nullptr;
  {
    Guard guard(box.mutex, patience);
    for (Offset offset = box.unexpected; offset != 0 && !message; offset = at(offset)->next)
      if (fits(note, *at(offset))) message = at(offset);
    if (!message) {
      note.phase = Phase::pending;
      return append(box.posted, note);
    }
    unlink(box.unexpected, *message);
    if (message->verb != Verb::note) {
      message->match = arena_->offset_of(&note);
      return refuse(*message, Failure::abandoned);
    }
  }
  discard(*message, patience);  // both sides have given up
  discard(note, patience);
}

// Messages that waited for room in a rank's buffer, oldest first.
void Mailboxes::pack_waiting(RankRecord& box, Patience& patience) {
  for (;;) {
    Posting* next = nullptr;
    {
      Guard guard(box.mutex, patience);
      for (Offset offset = box.unexpected; offset != 0 && !next; offset = at(offset)->next)
        if (at(offset)->phase == Phase::raw && at(offset)->mode != Mode::synchronous) next = at(offset);
      if (!next || !has_room(box, *next)) return;
      hold(box, *next);
      next->phase = Phase::packing;
    }
    bool packed = true;
    try {
      steps_.pack(*next);
    } catch (const Error&) {  // it waits on: the receive that takes it will try again and report
      packed = false;
    }
    Posting* receive = nullptr;
    {
      Guard guard(box.mutex, patience);
      receive = take_receive(box, *next);  // posted while it was being packed
      if (!packed || receive) box.held -= static_cast<std::int32_t>(next->count);
      if (packed && receive) unlink(box.unexpected, *next);
      if (!packed) next->phase = Phase::raw;
    }
    if (packed) {
      complete(*next, Phase::packed);  // the sender's request sees it as its end; the mailbox keeps the message
      if (receive) finish_match(*next, *receive, patience);
    } else if (receive) {
      receive->failure = Failure::memory;
      complete(*receive, Phase::failed);
    }
    if (!packed) return;
  }
}

// prepare_epr: both sides post in the mailbox of the lower rank, so that one lock orders them.
void Mailboxes::meet(Posting& mine, Patience& patience) {
  RankRecord& box = arena_->rank(std::min(mine.owner, mine.peer));
  Posting* other = nullptr;
  mine.phase = Phase::pending;
  {
    Guard guard(box.mutex, patience);
    for (Offset offset = box.posted; offset != 0 && !other; offset = at(offset)->next) {
      Posting& candidate = *at(offset);
      if (candidate.verb == Verb::epr && candidate.context == mine.context && candidate.tag == mine.tag &&
          candidate.operation == mine.operation && candidate.owner == mine.peer && candidate.peer == mine.owner)
        other = &candidate;
    }
    if (!other) return append(box.posted, mine);
    unlink(box.posted, *other);
  }
  if (mine.count != other->count) {
    mine.failure = other->failure = Failure::counts;
    mine.failed_count = static_cast<std::int32_t>(other->count);
    other->failed_count = static_cast<std::int32_t>(mine.count);
  } else {
    try {
      steps_.meet(*other, mine);
    } catch (const Error&) {  // nothing happened: the other side waits on
      Guard guard(box.mutex, patience);
      prepend(box.posted, *other);
      throw;
    }
  }
  const Phase phase = mine.failure == Failure::none ? Phase::done : Phase::failed;
  complete(*other, phase);
  complete(mine, phase);
}

bool Mailboxes::withdraw(Posting& posting, Patience& patience) {
  const bool message = posting.phase == Phase::raw || posting.phase == Phase::packed;
  const int box_rank = message ? posting.peer : posting.verb == Verb::epr ? std::min(posting.owner, posting.peer) : posting.owner;
  RankRecord& box = arena_->rank(box_rank);
  Guard guard(box.mutex, patience);
  if (!message) return unlink(box.posted, posting);
  const bool free = posting.phase == Phase::raw || posting.verb == Verb::bytes;
  if (!free || posting.claimed || !unlink(box.unexpected, posting)) return false;
  posting.holders -= 1;  // the mailbox
  return true;
}

bool Mailboxes::retract(Posting& message, Patience& patience) {
  RankRecord& box = arena_->rank(message.peer);
  Guard guard(box.mutex, patience);
  if (message.phase != Phase::packed || message.claimed || !unlink(box.unexpected, message)) return false;
  if (carries_qubits(message.verb)) box.held -= static_cast<std::int32_t>(message.count);
  message.holders -= 1;  // the mailbox
  return true;
}

namespace {

template <class Counts>
std::int64_t count_postings(const Arena& arena, Patience& patience, Counts&& counts) {
  std::int64_t count = 0;
  for (int rank = 0; rank < arena.settings().ranks; ++rank) {
    RankRecord& box = arena.rank(rank);
    Guard guard(box.mutex, patience);
    for (const Offset list : {box.posted, box.unexpected})
      for (Offset offset = list; offset != 0; offset = arena.at<Posting>(offset)->next) count += counts(*arena.at<Posting>(offset));
  }
  return count;
}

}  // namespace

std::int64_t Mailboxes::unreceived(const Arena& arena, Patience& patience) {
  return count_postings(arena, patience, [](const Posting& posting) {
    return posting.phase != Phase::pending && (posting.verb == Verb::copy || posting.verb == Verb::move);
  });
}

std::int64_t Mailboxes::listed(const Arena& arena, Patience& patience) {
  return count_postings(arena, patience, [](const Posting&) { return true; });
}

// --- waiting -------------------------------------------------------------------------------------------------------------------

bool Mailboxes::wait_any(std::span<const Posting* const> postings, std::int64_t microseconds, Patience& patience) const {
  RankRecord& me = arena_->rank(rank_);
  const auto any_over = [&] { return std::ranges::any_of(postings, [](const Posting* posting) { return over(*posting); }); };
  if (any_over()) return true;
  const std::int64_t start = now_us(), end = start + microseconds;
  patience.give_way();
  std::atomic<std::int32_t>& spinning = arena_->header().spinning;
  if (++spinning <= most_spinning_)
    while (!any_over() && now_us() < start + spin_us) help(*arena_) ? 0 : sched_yield();
  --spinning;
  for (;;) {
    while (help(*arena_))
      if (any_over()) return true;
    const std::uint32_t seen = me.bell;
    me.asleep = 1;
    const std::int64_t left = end - now_us();
    const bool interrupted = !any_over() && left > 0 && !futex_wait(me.bell, seen, left);
    me.asleep = 0;
    if (any_over()) return true;
    if (left <= 0 || interrupted || me.nudged.exchange(0)) return false;
  }
}

}  // namespace qmpi
