// One rank's part in a collective operation: a list of steps over its own qubits (places) and bits, posted as a whole. Whoever makes the
// next step possible runs it, with the draws and on the account of the rank it belongs to: a collective goes on while its ranks do
// something else. Knows neither handles nor what the steps are good for.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/gate_call.h"
#include "runtime/protocol.h"

namespace qmpi {

struct PartStep {
  enum class Kind : std::int32_t {
    send,          // verb copy, move, uncopy or unmove
    receive,       // the same
    meet,          // share EPR pairs
    send_bits,
    receive_bits,
    gate,
    measure,       // into bits; the qubits become |0>
    parity,        // the same with the second half, after a CX from the first onto it: one step, which needs no room for both
    flip,          // X where the bit is 1
    negate,        // Z where the bit is 1
    exchange,      // the first half of the places with the second
    add,           // bits[k] ^= bits[k + distance]
    set,           // bits[k] = 1
    fence,         // goes on once an earlier step is over
  };
  Kind kind{};
  Verb verb{};
  std::int32_t peer = -1, tag = 0;
  std::uint32_t first = 0, count = 0;    // the places it names: operands[first] …
  bool whatever = false;                 // a receive without a target, or the sending of what that brought
  bool exact = false;                    // a message, a receive or a meeting: where the other side has another count, all else goes on
  bool refused = false;                  // one whose other side had
  std::uint32_t bits = 0, distance = 0;  // the first bit
  std::int32_t condition = -1;           // a meeting that is left out where this bit is 0
  std::uint32_t awaited = 0;             // of a fence
  std::uint64_t number = 0;              // the owner's operation number, key of its draws
  GateCall gate{};
  Offset posting = 0;  // once it has been posted
  bool over = false;   // of a posted step; atomic
};

// A part while it is put together. It sees to the order: a step that names what an earlier one may still be busy with waits for it.
class PartList {
 public:
  std::uint32_t place_of(std::uint64_t serial, std::uint32_t slot);
  // Places of qubits, in a row; `busy`: whether the step is posted, so that it may be over later.
  void name(PartStep& step, std::span<const std::uint32_t> places, bool busy);
  void name_bits(std::uint32_t first, std::uint32_t count, bool busy);
  void add(const PartStep& step);
  void await_arrival();
  void await_all();

  std::vector<std::uint32_t> slots;  // of the handles that are its places
  std::unordered_map<std::uint64_t, std::uint32_t> places;  // by the serials of these handles
  std::vector<PartStep> steps;
  std::vector<std::uint32_t> operands;
  std::vector<double> numbers;
  std::vector<Coefficient> matrices;
  std::string text;
  std::uint32_t bits = 0;

 private:
  // Which posted step may still be busy with a place or a bit; none if it has been waited for.
  static constexpr std::uint32_t none = ~0u;
  void await(std::uint32_t& busy);
  std::vector<std::uint32_t> busy_places_, busy_bits_;
  std::uint32_t arrival_ = none;
  std::vector<std::uint32_t> posted_;  // since all were waited for
};

class Parts {
 public:
  Parts(std::shared_ptr<Arena> arena, int rank, Store& store, Mailboxes& boxes, Protocol& protocol)
      : arena_(std::move(arena)), rank_(rank), store_(store), boxes_(boxes), protocol_(protocol) {}

  // A part in the arena, not begun. `ids`: of its places.
  Posting& create(const PartList& list, std::span<const QubitId> ids, std::uint32_t context, std::uint64_t operation, Patience& patience);
  void begin(Posting& part, Patience& patience);
  // Fails it. Those who wait for its steps are told, unless it goes `silently`: as if it had never begun.
  void give_up(Posting& part, bool silently, Patience& patience);
  // A posted step is over. Only noted: `advance` goes on with its part, once no lock is held.
  void step_over(Posting& posting, Patience& patience);
  void advance(Patience& patience);

  // Of a finished part.
  std::span<QubitId> places(Posting& part) const;
  std::span<const std::uint8_t> bits(Posting& part) const;
  Posting* arrival(Posting& part) const;  // what a receive without a target got; null if there is none
  std::string_view why(Posting& part) const;
  // True if nothing of it has left this rank.
  bool untouched(Posting& part) const;

 private:
  struct State;
  State& state(Posting& part) const { return *reinterpret_cast<State*>(boxes_.bytes(part).data()); }
  void run(Posting& part, Patience& patience);
  bool could_go_on(State& state) const;
  bool proceed(Posting& part, State& state, Patience& patience);
  void perform(Posting& part, State& state, std::uint32_t index, Patience& patience);
  void post(Posting& part, State& state, std::uint32_t index, Posting& posting, Patience& patience);
  bool wind_up(Posting& part, State& state, Patience& patience);
  void tell(Posting& part, State& state, const PartStep& step, Patience& patience);
  bool names_refused(State& state, const PartStep& step) const;
  void fail(State& state, Posting& part, Failure failure, std::string_view why);

  std::shared_ptr<Arena> arena_;
  int rank_;
  Store& store_;
  Mailboxes& boxes_;
  Protocol& protocol_;
  std::vector<Posting*> ready_;
  std::vector<QubitId> ids_;  // scratch
};

}  // namespace qmpi
