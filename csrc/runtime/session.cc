// Handles, buffered gates and measurement; what a session sends and receives is messages.cc.
#include "runtime/session.h"

#include <cmath>
#include <unordered_set>

#include "store/doorbell.h"

namespace qmpi {
namespace {

constexpr std::size_t buffer_limit = 1024;  // gates
constexpr std::int64_t look_up_every_us = 50'000;

std::string plural(std::int64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

Session::Session(std::shared_ptr<Arena> arena, int rank)
    : gate_counts(gate_table().size()),
      rank_(rank),
      thread_(std::this_thread::get_id()),
      record_(arena->rank(rank)),
      ending_(arena->header().ending),
      store_(arena),
      boxes_(arena, rank,
             {[this](Posting& message) { Steadfast steadfast(*patience_); protocol_.pack(message, steadfast); },
              [this](Posting& message, Posting& receive) { Steadfast steadfast(*patience_); protocol_.deliver(message, receive, steadfast); },
              [this](Posting& first, Posting& second) { Steadfast steadfast(*patience_); protocol_.meet(first, second, steadfast); },
              [this](Posting& posting) { Steadfast steadfast(*patience_); parts_.step_over(posting, steadfast); }}),
      watch_(arena, rank),
      order_(arena, watch_),
      protocol_(store_, boxes_, order_),
      parts_(arena, rank, store_, boxes_, protocol_) {
  arena->enter(rank);
  ++ranks_here_;
}

thread_local int Session::ranks_here_ = 0;

Session::~Session() {
  Patience patience;
  close(patience);
}

// --- handles -------------------------------------------------------------------------------------------------------------------

void Session::refuse_or_glance() {
  if (closed_) throw Error("Closed", "qmpi has been closed in this rank");
  if (store_.arena().forked())
    throw Error("Forked", "this process was forked from a rank and cannot act for it: start processes before qmpi, or with subprocess");
  if (std::this_thread::get_id() != thread_ && ranks_here_ > 0) throw Error("ForeignQubit", "the qubit belongs to another rank");
  if (std::this_thread::get_id() != thread_)
    throw Error("SecondThread", "a rank is one thread: this call comes from another thread than the one that founded qmpi");
  watch_.glance();
}

Handle& Session::owned(HandleName name) {
  require_usable();
  Handle& handle = handles_[name.slot];
  if (handle.serial != name.serial || !handle.live) throw Error("FreedQubit", "the qubit has been freed");
  return handle;
}

Handle& Session::check(HandleName name) {
  Handle& handle = owned(name);
  if (handle.frozen) throw Error("FrozenQubit", "the qubit belongs to a pending request: wait for the request first");
  return handle;
}

HandleName Session::adopt(QubitId id) {
  std::uint32_t slot;
  if (free_handles_.empty()) {
    slot = static_cast<std::uint32_t>(handles_.size());
    handles_.emplace_back();
  } else {
    slot = free_handles_.back();
    free_handles_.pop_back();
  }
  handles_[slot] = {id, ++serials_, 0, true, false};
  peak_held = std::max(peak_held, ++held);
  return {slot, serials_};
}

HandleName Session::allocate(Patience& patience) {
  require_usable();
  return adopt(store_.allocate(patience));
}

void Session::free(std::span<const HandleName> names, Patience& patience) {
  for (const HandleName name : names) check(name);
  flush(patience);
  for (std::size_t k = 0; k < names.size(); ++k)
    if (store_.settle(check(names[k]).id, patience) < 0)
      throw Error("EntangledQubit", "qubit " + std::to_string(k) + " of " + std::to_string(names.size()) +
                                        " is not in a basis state: measure or reset it, or undo what entangled it, before it is freed");
  for (const HandleName name : names) {
    Handle& handle = check(name);
    store_.release(handle.id, patience);
    handle.live = false;
    free_handles_.push_back(name.slot);
    --held;
  }
}

void Session::require_zero(std::span<const HandleName> names, Patience& patience) {
  for (const HandleName name : names) check(name);
  flush(patience);
  for (std::size_t k = 0; k < names.size(); ++k) {
    const double one = store_.probability(check(names[k]).id, patience);
    if (one > store_.tolerance())
      throw Error("NotZero", "the target must be in |0>, but qubit " + std::to_string(k) + " of " + std::to_string(names.size()) +
                                 " has P(1) = " + std::to_string(one) + ": reset it or use another");
  }
  for (const HandleName name : names) {
    const QubitId id = check(name).id;
    store_.settle(id, patience);
    store_.set_zero(id);
  }
}

// --- gates ---------------------------------------------------------------------------------------------------------------------

Session::Buffered& Session::append(int code, std::span<const HandleName> controls, std::span<const HandleName> targets,
                                   Source source) {
  const std::size_t begin = buffered_ids_.size();
  try {
    for (const auto names : {controls, targets})
      for (const HandleName name : names) buffered_ids_.push_back(check(name).id);
    const std::size_t count = buffered_ids_.size() - begin;
    const QubitId* ids = buffered_ids_.data() + begin;
    const bool repeated = count == 2   ? ids[0] == ids[1]
                          : count == 3 ? ids[0] == ids[1] || ids[1] == ids[2] || ids[0] == ids[2]
                          : count > 3  ? std::unordered_set<QubitId>(ids, ids + count).size() < count
                                       : false;
    if (repeated) throw Error("DuplicateQubit", std::string(gate_table()[code].name) + " needs different qubits, one is given twice");
  } catch (const Error&) {
    buffered_ids_.resize(begin);
    throw;
  }
  const auto at = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
  buffer_.push_back({{code, static_cast<std::uint32_t>(controls.size()), static_cast<std::uint32_t>(targets.size()),
                      static_cast<std::uint32_t>(begin), at(buffered_numbers_), at(buffered_matrices_), at(buffered_text_)}, source});
  ++gate_counts[code];
  return buffer_.back();
}

void Session::flush_if_full(Patience& patience) {
  if (buffer_.size() >= buffer_limit && !recording_) flush(patience);
}

void Session::gate(int code, std::span<const double> parameters, std::span<const HandleName> controls,
                   std::span<const HandleName> targets, Source source) {
  for (const double angle : parameters)
    if (!std::isfinite(angle)) throw Error("InvalidArgument", std::string(gate_table()[code].name) + ": an angle is not finite");
  append(code, controls, targets, source);
  buffered_numbers_.insert(buffered_numbers_.end(), parameters.begin(), parameters.end());
}

void Session::unitary(int code, std::span<const Coefficient> matrix, std::span<const HandleName> targets, Source source) {
  append(code, {}, targets, source);
  buffered_matrices_.insert(buffered_matrices_.end(), matrix.begin(), matrix.end());
}

void Session::pauli_rotation(int code, double theta, std::string_view paulis, std::span<const HandleName> targets, Source source) {
  if (!std::isfinite(theta)) throw Error("InvalidArgument", "pauli_rotation: the angle is not finite");
  append(code, {}, targets, source);
  buffered_numbers_.push_back(theta);
  buffered_text_.append(paulis);
}

void Session::apply(const Buffered& gate, Patience& patience) {
  doing(static_cast<Doing>(static_cast<int>(Doing::gate) + gate.call.code));
  if (patience.gave_way()) look_about(patience);
  Coefficient matrix[16];
  store_.apply(operation_of(gate.call, buffered_ids_.data(), buffered_numbers_.data(), buffered_matrices_.data(), buffered_text_, matrix), patience);
}

// Between operations that take long. What has not begun stays in the buffer.
void Session::look_about(Patience& patience) {
  watch_.glance();
  if (const std::int64_t now = now_us(); now >= next_look_up_us_) {
    next_look_up_us_ = now + look_up_every_us;
    patience.look_up();
  }
}

void Session::flush(Patience& patience) {
  refuse_while_recording();
  if (buffer_.empty() && !store_.has_waiting()) return;
  require_usable();
  std::size_t next = 0;
  try {
    for (; next < buffer_.size(); ++next) apply(buffer_[next], patience);
    store_.complete(patience);
  } catch (const Error& error) {  // what waits in the store goes on waiting there
    if (next == buffer_.size()) {
      clear_buffer();
      throw;
    }
    const Buffered failed = buffer_[next];
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(next));
    if (std::string_view(error.kind()) != "StateTooLarge") throw;
    store_.complete(patience);
    const std::string where = describe ? " at " + describe(failed.source) : "";
    throw Error(error.kind(), std::string(gate_table()[failed.call.code].name) + where + ": " + error.what() + ". Earlier gates are applied; this one and " +
                                  plural(static_cast<std::int64_t>(buffer_.size()) - 1, "later gate") +
                                  " wait in the buffer: they go on when other ranks have made room, or drop them with comm.discard_pending()");
  }
  clear_buffer();
}

void Session::clear_buffer() {
  buffer_.clear();
  buffered_ids_.clear();
  buffered_numbers_.clear();
  buffered_matrices_.clear();
  buffered_text_.clear();
}

std::size_t Session::discard_pending() {
  const std::size_t count = buffer_.size();
  for (const Buffered& gate : buffer_) --gate_counts[gate.call.code];
  clear_buffer();
  return count;
}

// --- measurement ---------------------------------------------------------------------------------------------------------------

int Session::measure(HandleName name, Patience& patience) {
  const QubitId id = check(name).id;
  flush(patience);
  doing(Doing::measure);
  ++measurements;
  const Measurement measurement{rank_, Stream::user, ++measured_, 0};
  return order_.at_its_turn(measurement, patience,
                            [&] { return store_.measure(id, Protocol::draw(store_.arena(), measurement), patience); });
}

void Session::reset(HandleName name, Patience& patience) {
  measure(name, patience);
  store_.set_zero(check(name).id);
}

void Session::exchange(HandleName a, HandleName b, Patience& patience) {
  check(a), check(b);
  flush(patience);
  std::swap(check(a).id, check(b).id);
}

double Session::probability(HandleName name, Patience& patience) {
  check(name);
  flush(patience);
  return store_.probability(check(name).id, patience);
}

double Session::expectation(std::span<const HandleName> names, std::string_view paulis, Patience& patience) {
  const std::vector<QubitId> qubits = ids(names);
  flush(patience);
  return store_.expectation(qubits, paulis, patience);
}

std::vector<QubitId> Session::ids(std::span<const HandleName> names) {
  std::vector<QubitId> result;
  for (const HandleName name : names) result.push_back(check(name).id);
  return result;
}

std::vector<Snapshot> Session::snapshot(std::span<const QubitId> qubits, Patience& patience) {
  require_usable();
  return store_.snapshot(qubits, patience);
}

void Session::force(std::uint64_t bits, int count) {
  require_usable();
  RankRecord& record = store_.arena().rank(rank_);
  record.forced_bits = bits;
  record.forced_left = count;
}

std::int64_t Session::close(Patience& patience) {
  if (std::exchange(closed_, true) || store_.arena().forked()) return 0;
  if (std::this_thread::get_id() == std::exchange(thread_, {})) --ranks_here_;
  Arena& arena = store_.arena();
  const bool going = arena.header().ending == Ending::none;
  return arena.leave(rank_) && going ? Mailboxes::unreceived(arena, patience) : 0;
}

}  // namespace qmpi
