#include "runtime/part.h"

#include <algorithm>
#include <cstring>

namespace qmpi {
namespace {

// What was asked for is added where many may add at once.
void charge(Charges& to, const Charges& more) {
  const auto add = [](std::int64_t& sum, std::int64_t number) { std::atomic_ref(sum).fetch_add(number); };
  add(to.epr_pairs, more.epr_pairs);
  add(to.epr_halves, more.epr_halves);
  add(to.bits_sent, more.bits_sent);
  add(to.bits_received, more.bits_received);
  add(to.measurements, more.measurements);
}

bool is_over(const PartStep& step) { return std::atomic_ref(const_cast<bool&>(step.over)).load(); }

bool leaves(PartStep::Kind kind) { return kind == PartStep::Kind::send || kind == PartStep::Kind::send_bits; }

}  // namespace

// --- putting together ------------------------------------------------------------------------------------------------------------

std::uint32_t PartList::place_of(std::uint64_t serial, std::uint32_t slot) {
  const auto [entry, added] = places.try_emplace(serial, static_cast<std::uint32_t>(slots.size()));
  if (added) {
    slots.push_back(slot);
    busy_places_.push_back(none);
  }
  return entry->second;
}

void PartList::await(std::uint32_t& busy) {
  if (busy == none) return;
  PartStep fence;
  fence.kind = PartStep::Kind::fence;
  fence.awaited = busy;
  add(fence);
  for (auto* list : {&busy_places_, &busy_bits_}) std::replace(list->begin(), list->end(), fence.awaited, none);
}

void PartList::await_arrival() { await(arrival_); }

void PartList::await_all() {
  for (std::uint32_t step : posted_) await(step);
  posted_.clear();
}

void PartList::add(const PartStep& step) {
  using Kind = PartStep::Kind;
  if (step.kind == Kind::send || step.kind == Kind::receive || step.kind == Kind::meet || step.kind == Kind::send_bits || step.kind == Kind::receive_bits)
    posted_.push_back(static_cast<std::uint32_t>(steps.size()));
  steps.push_back(step);
}

void PartList::name(PartStep& step, std::span<const std::uint32_t> named, bool busy) {
  for (const std::uint32_t place : named) await(busy_places_[place]);
  step.first = static_cast<std::uint32_t>(operands.size());
  step.count = static_cast<std::uint32_t>(named.size());
  operands.insert(operands.end(), named.begin(), named.end());
  const auto index = static_cast<std::uint32_t>(steps.size());
  for (const std::uint32_t place : named) busy_places_[place] = busy ? index : none;
  if (step.whatever && step.kind == PartStep::Kind::receive) arrival_ = index;
}

void PartList::name_bits(std::uint32_t first, std::uint32_t count, bool busy) {
  bits = std::max(bits, first + count);
  busy_bits_.resize(bits, none);
  for (std::uint32_t bit = first; bit < first + count; ++bit) await(busy_bits_[bit]);
  const auto index = static_cast<std::uint32_t>(steps.size());
  std::fill_n(busy_bits_.begin() + first, count, busy ? index : none);
}

// --- in the arena ----------------------------------------------------------------------------------------------------------------

struct Parts::State {
  std::atomic<bool> running;
  std::atomic<std::int32_t> outstanding;  // steps that are posted and not over
  std::atomic<bool> failing;
  std::atomic<Failure> failure;           // the first; from then on it only winds up
  std::atomic<std::int64_t> refused;      // 1 + the other side's count of the first step that was refused; all else goes on
  bool wound_up, silent;
  std::atomic<std::uint32_t> next;        // step
  Offset arrival;
  std::uint32_t step_count, place_count;
  Offset steps, places, operands, numbers, matrices, text, bits;
  std::uint32_t text_size, bit_count;
  char why[2 * line_length];
};

Posting& Parts::create(const PartList& list, std::span<const QubitId> ids, std::uint32_t context, std::uint64_t operation, Patience& patience) {
  std::uint64_t size = sizeof(State);
  const auto room = [&](std::size_t bytes) {
    const std::uint64_t begin = (size + 15) / 16 * 16;
    size = begin + bytes;
    return begin;
  };
  const std::uint64_t steps = room(list.steps.size() * sizeof(PartStep)), places = room(ids.size_bytes()),
                      operands = room(list.operands.size() * sizeof(std::uint32_t)), numbers = room(list.numbers.size() * sizeof(double)),
                      matrices = room(list.matrices.size() * sizeof(Coefficient)), text = room(list.text.size()), bits = room(list.bits);
  Posting& part = boxes_.create(Verb::part, size, 0, patience);
  part.phase = Phase::pending;
  part.context = context;
  part.operation = operation;
  State& state = *new (boxes_.bytes(part).data()) State{};
  const Offset base = arena_->offset_of(&state);
  const auto place = [&]<class T>(Offset& at, std::uint64_t begin, std::span<const T> values) {
    at = base + begin;
    std::copy(values.begin(), values.end(), arena_->at<T>(at));
  };
  place(state.steps, steps, std::span<const PartStep>(list.steps));
  place(state.places, places, ids);
  place(state.operands, operands, std::span<const std::uint32_t>(list.operands));
  place(state.numbers, numbers, std::span<const double>(list.numbers));
  place(state.matrices, matrices, std::span<const Coefficient>(list.matrices));
  place(state.text, text, std::span<const char>(list.text));
  state.bits = base + bits;
  std::fill_n(arena_->at<std::uint8_t>(state.bits), list.bits, std::uint8_t{0});
  state.step_count = static_cast<std::uint32_t>(list.steps.size());
  state.place_count = static_cast<std::uint32_t>(ids.size());
  state.text_size = static_cast<std::uint32_t>(list.text.size());
  state.bit_count = list.bits;
  return part;
}

std::span<QubitId> Parts::places(Posting& part) const {
  State& s = state(part);
  return {arena_->at<QubitId>(s.places), s.place_count};
}

std::span<const std::uint8_t> Parts::bits(Posting& part) const {
  State& s = state(part);
  return {arena_->at<std::uint8_t>(s.bits), s.bit_count};
}

Posting* Parts::arrival(Posting& part) const {
  const Offset arrival = state(part).arrival;
  return arrival ? arena_->at<Posting>(arrival) : nullptr;
}

std::string_view Parts::why(Posting& part) const { return state(part).why; }

bool Parts::untouched(Posting& part) const {
  State& s = state(part);
  const PartStep* steps = arena_->at<PartStep>(s.steps);
  return std::none_of(steps, steps + s.next, [&](const PartStep& step) { return step.posting != 0 && Mailboxes::over(*arena_->at<Posting>(step.posting)); });
}

// --- running ---------------------------------------------------------------------------------------------------------------------

void Parts::begin(Posting& part, Patience& patience) { run(part, patience); }

void Parts::give_up(Posting& part, bool silently, Patience& patience) {
  State& s = state(part);
  s.silent = silently;
  fail(s, part, Failure::abandoned, "its rank gave it up");
  run(part, patience);
}

void Parts::fail(State& s, Posting& part, Failure failure, std::string_view why) {
  if (s.failing.exchange(true)) return;
  write_line(s.why, why);
  part.failure = failure;
  s.failure = failure;
}

void Parts::advance(Patience& patience) {
  while (!ready_.empty()) {
    Posting& part = *ready_.back();
    ready_.pop_back();
    run(part, patience);
    boxes_.discard(part, patience);  // which the step that is over had held
  }
}

// One at a time runs a part. Who finds it running leaves: the runner looks again when it has stopped.
void Parts::run(Posting& part, Patience& patience) {
  State& s = state(part);
  for (;;) {
    if (s.running.exchange(true)) return;
    bool over = false;
    try {
      over = Mailboxes::finished(part) || proceed(part, s, patience);
    } catch (const Error&) {
      s.running = false;
      throw;
    }
    s.running = false;
    if (over || !could_go_on(s)) return;
  }
}

// What a runner that has stopped looks at again: a step may have ended meanwhile.
bool Parts::could_go_on(State& s) const {
  if (s.outstanding == 0 || (s.failure != Failure::none && !s.wound_up)) return true;
  if (s.next >= s.step_count || s.failure != Failure::none) return false;
  const PartStep* steps = arena_->at<PartStep>(s.steps);
  return is_over(steps[steps[s.next].awaited]);
}

// True once the part is over, false if it has to wait for steps.
bool Parts::proceed(Posting& part, State& s, Patience& patience) {
  const PartStep* steps = arena_->at<PartStep>(s.steps);
  try {
    for (; s.next < s.step_count && s.failure == Failure::none; ++s.next) {
      if (steps[s.next].kind == PartStep::Kind::fence && !is_over(steps[steps[s.next].awaited])) {
        store_.complete(patience);  // somebody else may go on
        return false;
      }
      perform(part, s, s.next, patience);
    }
    store_.complete(patience);
  } catch (const Error& error) {
    if (std::string_view(error.kind()) != "StateTooLarge") throw;
    store_.complete(patience);  // what came before has happened
    fail(s, part, Failure::memory, error.what());
  }
  return wind_up(part, s, patience);
}

// Tells the other side of a step that will not be done: who waits for its message, or who sends what waits for its receive.
void Parts::tell(Posting& part, State& s, const PartStep& step, Patience& patience) {
  const bool message = leaves(step.kind);
  if (s.silent || (!message && !(step.exact && step.kind == PartStep::Kind::receive))) return;
  Posting& note = boxes_.create(Verb::note, step.peer, part.context, step.tag, static_cast<std::uint32_t>(std::strlen(s.why)), patience);
  std::copy_n(s.why, note.count, boxes_.bytes(note).data());
  note.owner = part.owner;
  note.operation = part.operation;
  message ? void(boxes_.send(note, patience)) : boxes_.decline(note, patience);
}

// The end of a part: what still runs is waited for or, after a failure, taken back; then its owner is told.
bool Parts::wind_up(Posting& part, State& s, Patience& patience) {
  PartStep* steps = arena_->at<PartStep>(s.steps);
  if (s.failure != Failure::none && !s.wound_up) {
    s.wound_up = true;
    for (std::uint32_t k = 0; k < s.step_count; ++k) {
      PartStep& step = steps[k];
      if (step.posting == 0) {
        if (k >= s.next) tell(part, s, step, patience);
        continue;
      }
      Posting& posting = *arena_->at<Posting>(step.posting);
      if (boxes_.withdraw(posting, patience)) {
        s.outstanding -= 1;
        part.holders -= 1;
        boxes_.discard(posting, patience);
        step.posting = 0;
        tell(part, s, step, patience);
      } else if (posting.verb == Verb::copy && step.kind == PartStep::Kind::send && boxes_.retract(posting, patience)) {
        protocol_.take_back(posting, patience);
        tell(part, s, step, patience);
      }
    }
  }
  if (s.outstanding > 0) return false;
  for (std::uint32_t k = 0; k < s.step_count; ++k)
    if (steps[k].posting != 0) boxes_.discard(*arena_->at<Posting>(std::exchange(steps[k].posting, 0)), patience);
  if (s.refused) fail(s, part, Failure::counts, std::to_string(s.refused - 1));
  boxes_.finish_part(part, s.failure == Failure::none ? Phase::done : Phase::failed);
  return true;
}

// Whether a step that was refused names the first place of this one.
bool Parts::names_refused(State& s, const PartStep& step) const {
  const PartStep* steps = arena_->at<PartStep>(s.steps);
  const std::uint32_t* operands = arena_->at<std::uint32_t>(s.operands);
  return std::any_of(steps, steps + s.next, [&](const PartStep& other) {
    return other.refused && other.count > 0 && step.count > 0 && operands[other.first] == operands[step.first];
  });
}

void Parts::post(Posting& part, State& s, std::uint32_t index, Posting& posting, Patience& patience) {
  PartStep& step = arena_->at<PartStep>(s.steps)[index];
  posting.owner = part.owner;
  posting.operation = part.operation;
  posting.number = step.number;
  posting.part = arena_->offset_of(&part);
  posting.step = index;
  if (step.kind == PartStep::Kind::send && step.whatever) {
    std::ranges::copy(boxes_.cargo(*arrival(part)), boxes_.qubits(posting).begin());
  } else if (step.kind == PartStep::Kind::send || step.kind == PartStep::Kind::receive || step.kind == PartStep::Kind::meet) {
    const QubitId* places = arena_->at<QubitId>(s.places);
    const std::uint32_t* operands = arena_->at<std::uint32_t>(s.operands) + step.first;
    for (std::uint32_t k = 0; k < posting.count; ++k) boxes_.qubits(posting)[k] = places[operands[k]];
  }
  const bool message = leaves(step.kind);
  if (message) posting.holders += 1;  // the part, besides the mailbox
  step.posting = arena_->offset_of(&posting);
  s.outstanding += 1;
  part.holders += 1;
  try {
    if (message) {
      if (boxes_.send(posting, patience)) step_over(posting, patience);
    } else if (step.kind == PartStep::Kind::meet) {
      boxes_.meet(posting, patience);
    } else {
      boxes_.receive(posting, patience);
    }
  } catch (const Error&) {
    s.outstanding -= 1;
    part.holders -= 1;
    step.posting = 0;
    posting.holders = 1;
    boxes_.discard(posting, patience);
    throw;
  }
}

void Parts::perform(Posting& part, State& s, std::uint32_t index, Patience& patience) {
  PartStep& step = arena_->at<PartStep>(s.steps)[index];
  QubitId* places = arena_->at<QubitId>(s.places);
  const std::uint32_t* operands = arena_->at<std::uint32_t>(s.operands) + step.first;
  std::uint8_t* bits = arena_->at<std::uint8_t>(s.bits) + step.bits;
  if (step.kind != PartStep::Kind::gate) store_.complete(patience);
  switch (step.kind) {
    case PartStep::Kind::fence:
      break;
    case PartStep::Kind::send: {
      Posting& posting = boxes_.create(step.verb, step.peer, part.context, step.tag, step.whatever ? arrival(part)->count : step.count, patience);
      posting.exact = step.exact;
      posting.mode = step.exact ? Mode::synchronous : Mode::standard;
      post(part, s, index, posting, patience);
      break;
    }
    case PartStep::Kind::receive: {
      Posting& posting = boxes_.create(step.verb, step.peer, part.context, step.tag, step.count, patience);
      posting.capacity_is_free = step.whatever;
      post(part, s, index, posting, patience);
      break;
    }
    case PartStep::Kind::meet:
      if (step.condition >= 0 && !arena_->at<std::uint8_t>(s.bits)[step.condition]) {
        step.over = true;
        break;
      }
      post(part, s, index, boxes_.create(Verb::epr, step.peer, part.context, step.tag, step.count, patience), patience);
      break;
    case PartStep::Kind::send_bits: {
      Posting& posting = boxes_.create(Verb::bytes, step.peer, part.context, step.tag, step.count, patience);
      std::copy_n(bits, step.count, boxes_.bytes(posting).data());
      posting.charges.bits_sent += step.count;
      post(part, s, index, posting, patience);
      break;
    }
    case PartStep::Kind::receive_bits: {
      Posting& posting = boxes_.create(Verb::bytes, step.peer, part.context, step.tag, 0, patience);
      posting.capacity_is_free = true;
      post(part, s, index, posting, patience);
      break;
    }
    case PartStep::Kind::gate: {
      const std::uint32_t count = step.gate.controls + step.gate.targets;
      ids_.resize(count);
      for (std::uint32_t k = 0; k < count; ++k) ids_[k] = places[operands[k]];
      Coefficient matrix[16];
      store_.apply(operation_of(step.gate, ids_.data(), arena_->at<double>(s.numbers), arena_->at<Coefficient>(s.matrices),
                                {arena_->at<char>(s.text), s.text_size}, matrix),
                   patience);
      break;
    }
    case PartStep::Kind::measure:
      for (std::uint32_t k = 0; k < step.count; ++k) {
        const QubitId qubit = places[operands[k]];
        bits[k] = static_cast<std::uint8_t>(protocol_.measure(qubit, {part.owner, Stream::protocol, step.number, k}, patience));
        store_.set_zero(qubit);
      }
      charge(part.charges, {.measurements = step.count});
      break;
    case PartStep::Kind::parity:
      for (std::uint32_t k = 0; k < step.count / 2; ++k) {
        const QubitId qubit = places[operands[k]], target = places[operands[k + step.count / 2]];
        bits[k] = static_cast<std::uint8_t>(protocol_.measure_parity(qubit, target, {part.owner, Stream::protocol, step.number, k}, patience));
        store_.set_zero(target);
      }
      charge(part.charges, {.measurements = step.count / 2});
      break;
    case PartStep::Kind::flip:
    case PartStep::Kind::negate:
      for (std::uint32_t k = 0; k < step.count; ++k)
        if (bits[k]) step.kind == PartStep::Kind::flip ? store_.flip(places[operands[k]], patience) : store_.negate(places[operands[k]], patience);
      break;
    case PartStep::Kind::exchange:
      if (s.refused && names_refused(s, step)) break;  // what should change places has not arrived
      for (std::uint32_t k = 0; k < step.count / 2; ++k) std::swap(places[operands[k]], places[operands[k + step.count / 2]]);
      break;
    case PartStep::Kind::add:
      for (std::uint32_t k = 0; k < step.count; ++k) bits[k] ^= bits[k + step.distance];
      break;
    case PartStep::Kind::set:
      std::fill_n(bits, step.count, std::uint8_t{1});
      break;
  }
}

void Parts::step_over(Posting& posting, Patience& patience) {
  Posting& part = *arena_->at<Posting>(posting.part);
  State& s = state(part);
  PartStep& step = arena_->at<PartStep>(s.steps)[posting.step];
  QubitId* places = arena_->at<QubitId>(s.places);
  const std::uint32_t* operands = arena_->at<std::uint32_t>(s.operands) + step.first;
  charge(part.charges, posting.charges);
  if (posting.failure == Failure::counts && step.exact) {
    std::int64_t none = 0;
    s.refused.compare_exchange_strong(none, posting.failed_count + 1);
    step.refused = true;
  } else if (posting.failure != Failure::none) {
    Posting* note = posting.match ? arena_->at<Posting>(posting.match) : nullptr;
    fail(s, part, posting.failure, note ? std::string_view(boxes_.bytes(*note).data(), note->count) : std::to_string(posting.failed_count));
    if (note) boxes_.discard(*note, patience);
  } else if (step.kind == PartStep::Kind::send) {
    const auto left = boxes_.qubits(posting);
    for (std::uint32_t k = 0; !step.whatever && k < step.count; ++k) places[operands[k]] = left[k];
  } else if (posting.match) {
    Posting& message = *arena_->at<Posting>(posting.match);
    if (!step.whatever && message.count != step.count)
      fail(s, part, Failure::counts, std::to_string(message.count));
    if (message.verb == Verb::bytes) {
      std::copy_n(boxes_.bytes(message).data(), std::min(message.count, step.count), arena_->at<std::uint8_t>(s.bits) + step.bits);
      charge(part.charges, {.bits_received = step.count});
    } else if (step.whatever) {
      s.arrival = posting.match;
    } else if (message.verb != Verb::uncopy) {  // the |0> that stood there is given up
      const auto cargo = boxes_.cargo(message);
      for (std::uint32_t k = 0; k < message.count; ++k) store_.release(std::exchange(places[operands[k]], cargo[k]), patience);
    }
    if (s.arrival != posting.match) boxes_.discard(message, patience);
  }
  ready_.push_back(&part);
  std::atomic_ref(step.over).store(true);
  s.outstanding -= 1;
}

}  // namespace qmpi
