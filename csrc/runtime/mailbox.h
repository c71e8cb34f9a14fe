// Mailboxes: each rank has a list of posted receives and a list of unexpected messages under one lock, in the arena. Matching
// happens when something is posted, in MPI's order; whoever's call completes a match executes it for both sides. This file knows
// postings, matching and doorbells; what a match does to qubits is protocol.h.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "store/store.h"

namespace qmpi {

enum class Verb : std::int32_t {
  copy,     // fan-out; carries one qubit per qubit
  move,     // teleportation
  uncopy,   // the bits that undo copies
  unmove,   // a move back
  epr,      // both sides share new pairs
  bytes,    // the library's own classical data
  note,     // "this operation will not be undone", or not be done, with the reason
  probe,    // looks for a message and leaves it, perhaps to nobody else
  part,     // one rank's part in a collective: part.h
};

// How a message is sent, as MPI has it.
enum class Mode : std::int32_t {
  standard,     // waits for room in the receiver's buffer
  buffered,     // never waits: refused without room
  synchronous,  // waits for its receive
  ready,        // refused unless its receive is there
};

enum class Phase : std::uint32_t {
  raw,      // a message whose qubits are still the sender's
  packing,  // the same, while its receiver packs it
  packed,   // a message that no longer needs its sender
  pending,  // a posted receive
  done,
  failed,
};

enum class Failure : std::int32_t {
  none,
  truncated,   // more qubits than the target holds; the message stays
  other_verb,  // a move where a copy was expected, or the other way round; the message stays
  counts,      // prepare_epr, or an exact message and its receive, with different numbers of qubits
  abandoned,   // the peer will not do its side of this operation; `bytes` says why
  memory,      // of a part: the state would not fit
};

// What a side of an operation cost. A pair is counted where it is created, a bit where it enters a mailbox.
struct Charges {
  std::int64_t epr_pairs = 0, epr_halves = 0, bits_sent = 0, bits_received = 0, measurements = 0;
};

constexpr std::int32_t any_source = -1;
constexpr std::int32_t any_tag = -1;

struct Posting {
  Offset next;
  std::atomic<Phase> phase;
  std::atomic<std::int32_t> holders;  // a message may belong to its mailbox and to its sender's request
  Verb verb;
  std::int32_t owner, peer;  // universe ranks; a receive's peer may be any_source
  std::uint32_t context;
  std::int32_t tag;
  std::uint64_t operation;  // a message: the operation it is part of; a receive: the only one it accepts, 0 = any
  std::uint64_t number;     // the owner's operation number, key of its draws
  std::uint32_t count;      // qubits named (a receive: at most as many may arrive), or bytes
  Mode mode;                // of a message
  bool capacity_is_free;    // a receive without a target
  bool claims;              // a probe: what it finds is for nobody else
  bool claimed;             // a message that such a probe has found
  Offset wanted;            // a receive: the claimed message it is for; 0 = any that is not claimed
  Offset part;              // of a step of a collective: whose it is; 0 for a request
  std::uint32_t step;
  bool unclaimed;           // a receive whose message nobody wants any more: both are dropped when it comes
  bool exact;               // a message that fails, with its receive, where the counts differ; synchronous, so that nothing has happened then
  Block block;              // qubits[count], cargo[count], bits[2 count]; or bytes[count]
  Charges charges;          // the owner's
  Offset match;             // a finished receive: the message it got
  Failure failure;
  std::int32_t failed_count;  // qubits in the message that did not fit
};

// A rank's view on all mailboxes of the node.
class Mailboxes {
 public:
  // pack(message) makes a raw message independent of its sender; deliver(message, receive) gives it to a receive;
  // meet(first, second) executes prepare_epr; step_over(posting): a step of a collective's part is over, its phase says how. They run
  // without any mailbox lock.
  struct Steps {
    std::function<void(Posting&)> pack;
    std::function<void(Posting&, Posting&)> deliver;
    std::function<void(Posting&, Posting&)> meet;
    std::function<void(Posting&)> step_over;
  };

  Mailboxes(std::shared_ptr<Arena> arena, int rank, Steps steps);

  // A posting with room for its lists, one holder.
  Posting& create(Verb verb, int peer, std::uint32_t context, int tag, std::uint32_t count, Patience& patience);
  Posting& create(Verb verb, std::uint64_t payload, std::uint32_t count, Patience& patience);  // with `payload` bytes behind it
  void discard(Posting& posting, Patience& patience);  // the last holder frees it

  std::span<QubitId> qubits(Posting& posting) const;
  std::span<QubitId> cargo(Posting& posting) const;
  std::span<std::uint8_t> bits(Posting& posting) const;   // two per qubit
  std::span<char> bytes(Posting& posting) const;

  // Posts a message. True if the sender is done with it, false if it still names the sender's qubits. Throws BufferFull, NotReady.
  bool send(Posting& message, Patience& patience);
  void receive(Posting& receive, Patience& patience);  // done at once if a message was there
  void meet(Posting& mine, Patience& patience);        // prepare_epr
  void probe(Posting& probe, Patience& patience);      // done at once if a message was there
  // The exact message that a receive like this note would get fails, whether it has come or not; it gets the note, which says why.
  void decline(Posting& note, Patience& patience);
  void finish_part(Posting& part, Phase phase) { complete(part, phase); }

  // Takes back what nobody has matched: a pending receive, a message that is not packed yet, or bytes. False if it is too late.
  bool withdraw(Posting& posting, Patience& patience);
  // Takes a packed message that nobody has received out of its mailbox; false if it is too late. What it did to qubits stays done.
  bool retract(Posting& message, Patience& patience);
  // Sleeps until the posting is over, at most `microseconds` and not beyond a signal or a nudge; true if it is.
  bool wait(const Posting& posting, std::int64_t microseconds, Patience& patience) const {
    const Posting* one = &posting;
    return wait_any({&one, 1}, microseconds, patience);
  }
  bool wait_any(std::span<const Posting* const> postings, std::int64_t microseconds, Patience& patience) const;
  static bool finished(const Posting& posting) { return posting.phase.load() >= Phase::done; }
  // Whoever waits for it need not any more: a sender's message may still lie in a mailbox.
  static bool over(const Posting& posting) {
    const Phase phase = posting.phase.load();
    return phase != Phase::raw && phase != Phase::packing && phase != Phase::pending;
  }

  // Keeps so much of a rank's buffer for a persistent request's pairs; false if less than one slot were left for everything else.
  bool reserve(int rank, std::int32_t qubits, Patience& patience);
  void give_back(int rank, std::int32_t qubits, Patience& patience);

  // Messages with users' qubits that wait in any mailbox of the arena.
  static std::int64_t unreceived(const Arena& arena, Patience& patience);
  // Everything that is listed in any mailbox, receives included.
  static std::int64_t listed(const Arena& arena, Patience& patience);

 private:
  bool fits(const Posting& receive, const Posting& message) const;
  Failure refusal(const Posting& receive, const Posting& message) const;
  bool has_room(const RankRecord& box, const Posting& message) const;
  Posting* take_receive(RankRecord& box, Posting& message);
  void refuse(Posting& message, Failure failure);
  void hold(RankRecord& box, const Posting& message);
  void append(Offset& list, Posting& posting);
  void prepend(Offset& list, Posting& posting);
  bool unlink(Offset& list, const Posting& posting);  // false if it is not there
  void complete(Posting& posting, Phase phase);
  void finish_match(Posting& message, Posting& receive, Patience& patience);
  void list_message(RankRecord& box, Posting& message);
  void report(Posting& probe, Posting& message);
  void pack_waiting(RankRecord& box, Patience& patience);
  Posting* at(Offset offset) const { return arena_->at<Posting>(offset); }

  std::shared_ptr<Arena> arena_;
  int rank_;
  Steps steps_;
  int most_spinning_;  // waiters of the node that may spin at once
};

}  // namespace qmpi
