// A session: one rank's side of the store. It owns the rank's handles (places in its quantum memory, bound to ids of the store), the
// buffer of gates that have not been applied yet, and the rank's counters. It issues messages and turns what arrives into handles.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "runtime/mailbox.h"
#include "runtime/part.h"
#include "runtime/protocol.h"
#include "runtime/watch.h"

namespace qmpi {

// A place in a rank's quantum memory. Slots are recycled, serials are not.
struct Handle {
  QubitId id = 0;
  std::uint64_t serial = 0;
  std::int32_t frozen = 0;  // pending requests that name it
  bool live = false;
  bool obliged = false;     // a copy or original of an operation that is not undone yet
};

struct HandleName {
  std::uint32_t slot;
  std::uint64_t serial;
};

// Where a gate stands in the user's program; the bindings know how to read it.
struct Source {
  std::uint32_t file = 0, line = 0;
};

// One operation in flight. A ticket without a posting is finished.
struct Ticket {
  Posting* posting = nullptr;
  Posting* sent = nullptr;            // a message on its way, as long as it may be taken back
  bool receives = false;
  std::vector<HandleName> named;      // the rank's qubits it uses
  bool frozen = false;                // whether they are frozen by it
  std::uint64_t operation = 0;        // a send's own id; a receive's: that of what it got
  std::int32_t source = -1, tag = -1; // of what arrived
  std::int64_t count = 0;             // qubits or bytes that arrived
  Charges charges;
  Failure failure = Failure::none;
  std::string bytes;                  // data, or why it failed
  Offset found = 0;                   // a claimed message
  std::vector<HandleName> arrived;    // the handles that hold what arrived
  std::vector<std::uint8_t> bits;     // of a part
  bool untouched = false;             // a part that was given up before anybody had taken notice
};

class Session {
 public:
  Session(std::shared_ptr<Arena> arena, int rank);
  ~Session();

  int rank() const { return rank_; }
  Store& store() { return store_; }
  Mailboxes& mailboxes() { return boxes_; }
  Order& order() { return order_; }

  // --- handles
  HandleName allocate(Patience& patience);
  // All are settled and released, or none: throws FrozenQubit, EntangledQubit.
  void free(std::span<const HandleName> names, Patience& patience);
  Handle& check(HandleName name);  // throws SecondThread, Closed, FreedQubit, FrozenQubit
  Handle& owned(HandleName name);  // the same for a qubit that may be frozen
  bool obliged(HandleName name) { return owned(name).obliged; }
  void oblige(HandleName name, bool obliged) { owned(name).obliged = obliged; }
  // Puts qubits that must be in |0> exactly there; throws NotZero and touches nothing if one is not.
  void require_zero(std::span<const HandleName> names, Patience& patience);

  // --- gates: buffered; throw InvalidArgument, DuplicateQubit at the call
  void gate(int code, std::span<const double> parameters, std::span<const HandleName> controls,
            std::span<const HandleName> targets, Source source);
  void unitary(int code, std::span<const Coefficient> matrix, std::span<const HandleName> targets, Source source);
  void pauli_rotation(int code, double theta, std::string_view paulis, std::span<const HandleName> targets, Source source);
  void flush_if_full(Patience& patience);  // what a user's call ends with: never in the middle of a broadcast
  void flush(Patience& patience);  // StateTooLarge leaves the gate that did not fit and those behind it in the buffer
  std::size_t pending() const { return buffer_.size(); }
  std::size_t discard_pending();   // drops what did not fit

  // --- measurement
  int measure(HandleName name, Patience& patience);
  void reset(HandleName name, Patience& patience);
  // The contents of two qubits change places: no gate, names only.
  void exchange(HandleName a, HandleName b, Patience& patience);
  double probability(HandleName name, Patience& patience);
  double expectation(std::span<const HandleName> names, std::string_view paulis, Patience& patience);
  std::vector<Snapshot> snapshot(std::span<const QubitId> ids, Patience& patience);
  std::vector<QubitId> ids(std::span<const HandleName> names);
  void force(std::uint64_t bits, int count);  // a test prescribes the next outcomes

  // --- messages; all flush first
  Ticket send(Verb verb, std::span<const HandleName> qubits, int dest, std::uint32_t context, int tag, std::uint64_t operation, Mode mode,
              Patience& patience);
  // `wanted`: the claimed message it is for, or 0.
  Ticket receive(Verb verb, std::span<const HandleName> qubits, bool allocate, int source, std::uint32_t context, int tag,
                 std::uint64_t operation, Offset wanted, Patience& patience);
  // Looks for a message and leaves it; if it `claims` it, for nobody but the receive that wants it.
  Ticket probe(int source, std::uint32_t context, int tag, bool claims, Patience& patience);
  Ticket meet(std::span<const HandleName> qubits, int peer, std::uint32_t context, int tag, Patience& patience);
  // Bytes are on their way at once; the ticket can take them back as long as nobody has received them.
  Ticket post_bytes(Verb verb, std::string_view data, int dest, std::uint32_t context, int tag, std::uint64_t operation,
                    Patience& patience);
  void send_bytes(Verb verb, std::string_view data, int dest, std::uint32_t context, int tag, std::uint64_t operation,
                  Patience& patience);
  // What `peer` sends for this operation, bits or a note, is dropped, whether it has come or not.
  void disclaim(int peer, std::uint32_t context, std::uint64_t operation, Patience& patience);
  // Room for the pairs of a persistent request in this rank's buffer.
  bool reserve(std::int32_t qubits, Patience& patience);
  void give_back(std::int32_t qubits, Patience& patience);

  // A collective's part: its gates are called between `record` and `recorded`, all else is added to the list.
  std::uint32_t place(PartList& list, HandleName name);
  void record(Patience& patience);
  void recorded(PartList& list, std::span<const HandleName> names);
  void drop_recorded();
  Ticket post(PartList& list, std::uint32_t context, std::uint64_t operation, Patience& patience);
  Ticket receive_bytes(int source, std::uint32_t context, int tag, Patience& patience);
  // True once the ticket is finished and its results are filled in.
  bool wait(Ticket& ticket, std::int64_t microseconds, Patience& patience);
  // The same for any of several.
  bool wait_any(std::span<Ticket* const> tickets, std::int64_t microseconds, Patience& patience);
  // Its qubits may be used again: whoever issued it has waited. (Not sooner, or it would depend on timing what is an error.)
  void settle(Ticket& ticket, Patience& patience);
  // Undoes a copy or move on its way that nobody has received; false if it is too late.
  bool take_back(Ticket& ticket, Patience& patience);
  bool withdraw(Ticket& ticket, Patience& patience);  // what nobody has matched, or a part; false if it is too late
  // Tells the watch that this rank waits for one of these tickets; ends by itself when the ticket is finished. Not to be withdrawn meanwhile.
  void publish(std::span<const Ticket* const> tickets, std::span<const std::int32_t> members, std::string_view line, Patience& patience);
  void unpublish(Patience& patience) { watch_.unpublish(patience); }
  // What a waiting rank does now and then. Throws Deadlock or PeerLeft, after these tickets have been withdrawn, RankLost or PeerFailed.
  void look(std::span<Ticket* const> given_up, Patience& patience);

  // The rank leaves; in its own thread. The last one learns how many messages nobody received.
  std::int64_t close(Patience& patience);
  bool closed() const { return closed_; }
  // Throws Closed, Forked, SecondThread, ForeignQubit, RankLost, PeerFailed. Every check of a handle comes here: what may be wrong is
  // asked first, and which of it later.
  void require_usable() {
    if (std::this_thread::get_id() != thread_ || Arena::forks.load(std::memory_order_relaxed) != forks_ ||
        ending_.load(std::memory_order_acquire) != Ending::none || ++calls_ % glance_every == 0)
      refuse_or_glance();
  }

  // --- counters
  std::vector<std::int64_t> gate_counts;  // by code
  std::int64_t measurements = 0;
  std::int64_t held = 0, peak_held = 0;  // qubits
  std::string (*describe)(Source) = nullptr;

 private:
  struct Buffered {
    GateCall call;
    Source source;
  };
  void refuse_or_glance();
  void doing(Doing what) { record_.doing.store(what, std::memory_order_relaxed); }
  void finish(Ticket& ticket, Patience& patience);
  void finish_message(Ticket& ticket, Posting& posting, Patience& patience);
  void finish_part(Ticket& ticket, Posting& part, Patience& patience);
  void advance(Patience& patience);
  void refuse_while_recording() const;
  HandleName adopt(QubitId id);
  Buffered& append(int code, std::span<const HandleName> controls, std::span<const HandleName> targets, Source source);
  void apply(const Buffered& gate, Patience& patience);
  void look_about(Patience& patience);
  void clear_buffer();
  std::uint64_t next_operation() { return static_cast<std::uint64_t>(rank_ + 1) << 40 | ++operations_; }
  Posting& prepare(Verb verb, std::span<const HandleName> names, int peer, std::uint32_t context, int tag, Patience& patience);
  template <class Start>
  Ticket issue(Posting& posting, std::span<const HandleName> names, bool receives, Patience& patience, Start&& start);
  Patience* patience_ = nullptr;  // of the call under way, for the protocol steps

  static thread_local int ranks_here_;  // sessions of the calling thread
  static constexpr std::uint64_t glance_every = 16;  // checks of a handle
  int rank_;
  std::thread::id thread_;  // nobody's, once the session is closed
  const int forks_ = Arena::forks;
  RankRecord& record_;
  const std::atomic<Ending>& ending_;
  bool closed_ = false;
  Store store_;
  Mailboxes boxes_;
  Watch watch_;
  Order order_;
  Protocol protocol_;
  Parts parts_;
  bool recording_ = false;
  std::uint64_t calls_ = 0;
  std::int64_t next_look_up_us_ = 0;
  std::vector<Handle> handles_;
  std::vector<std::uint32_t> free_handles_;
  std::uint64_t serials_ = 0, operations_ = 0, measured_ = 0;

  std::vector<Buffered> buffer_;
  std::vector<QubitId> buffered_ids_;
  std::vector<double> buffered_numbers_;
  std::vector<Coefficient> buffered_matrices_;
  std::string buffered_text_;
};

}  // namespace qmpi
