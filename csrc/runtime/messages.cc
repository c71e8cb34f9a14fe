// What a session sends and receives: from handles to postings, and from what a match has done back to handles.
#include <utility>

#include "runtime/session.h"

namespace qmpi {

// A posting that names these qubits, after all gates have been applied.
Posting& Session::prepare(Verb verb, std::span<const HandleName> names, int peer, std::uint32_t context, int tag, Patience& patience) {
  require_usable();
  for (const HandleName name : names) check(name);
  flush(patience);
  Posting& posting = boxes_.create(verb, peer, context, tag, static_cast<std::uint32_t>(names.size()), patience);
  const auto qubits = boxes_.qubits(posting);
  for (std::size_t k = 0; k < names.size(); ++k) qubits[k] = check(names[k]).id;
  posting.operation = next_operation();
  posting.number = operations_;
  return posting;
}

// Freezes the qubits and starts; start() says whether the posting is finished already. If it fails, nothing has happened.
template <class Start>
Ticket Session::issue(Posting& posting, std::span<const HandleName> names, bool receives, Patience& patience, Start&& start) {
  Ticket ticket;
  ticket.posting = &posting;
  ticket.receives = receives;
  ticket.named.assign(names.begin(), names.end());
  ticket.operation = posting.operation;
  ticket.frozen = true;
  for (const HandleName name : names) handles_[name.slot].frozen += 1;
  patience_ = &patience;
  try {
    if (start()) finish(ticket, patience);
  } catch (const Error&) {
    settle(ticket, patience);
    posting.holders = 1;
    boxes_.discard(posting, patience);
    throw;
  }
  advance(patience);
  return ticket;
}

// Goes on with the parts of collectives, whosever they are, that what was just done has made possible.
void Session::advance(Patience& patience) {
  Steadfast steadfast(patience);
  parts_.advance(steadfast);
}

Ticket Session::send(Verb verb, std::span<const HandleName> names, int dest, std::uint32_t context, int tag,
                     std::uint64_t operation, Mode mode, Patience& patience) {
  doing(Doing::send);
  Posting& message = prepare(verb, names, dest, context, tag, patience);
  if (operation) message.operation = operation;
  message.mode = mode;
  message.holders += 1;  // ours, until the results are read
  return issue(message, names, false, patience, [&] { return boxes_.send(message, patience); });
}

Ticket Session::receive(Verb verb, std::span<const HandleName> names, bool allocate, int source, std::uint32_t context, int tag,
                        std::uint64_t operation, Offset wanted, Patience& patience) {
  doing(Doing::receive);
  Posting& posting = prepare(verb, names, source, context, tag, patience);
  posting.capacity_is_free = allocate;
  posting.wanted = wanted;
  posting.operation = operation;
  return issue(posting, names, true, patience, [&] {
    boxes_.receive(posting, patience);
    return Mailboxes::finished(posting);
  });
}

Ticket Session::meet(std::span<const HandleName> names, int peer, std::uint32_t context, int tag, Patience& patience) {
  doing(Doing::meet);
  Posting& posting = prepare(Verb::epr, names, peer, context, tag, patience);
  posting.operation = 0;  // matched by tag only
  return issue(posting, names, false, patience, [&] {
    boxes_.meet(posting, patience);
    return Mailboxes::finished(posting);
  });
}

Ticket Session::post_bytes(Verb verb, std::string_view data, int dest, std::uint32_t context, int tag, std::uint64_t operation,
                           Patience& patience) {
  require_usable();
  Posting& message = boxes_.create(verb, dest, context, tag, static_cast<std::uint32_t>(data.size()), patience);
  std::copy(data.begin(), data.end(), boxes_.bytes(message).begin());
  message.operation = operation;
  message.holders += 1;  // the ticket
  patience_ = &patience;
  boxes_.send(message, patience);  // bytes always find room
  advance(patience);
  Ticket ticket;
  ticket.posting = &message;
  return ticket;
}

void Session::send_bytes(Verb verb, std::string_view data, int dest, std::uint32_t context, int tag, std::uint64_t operation,
                         Patience& patience) {
  Ticket ticket = post_bytes(verb, data, dest, context, tag, operation, patience);
  finish(ticket, patience);
}

void Session::disclaim(int peer, std::uint32_t context, std::uint64_t operation, Patience& patience) {
  require_usable();
  Posting& posting = boxes_.create(Verb::uncopy, peer, context, any_tag, 0, patience);
  posting.capacity_is_free = true;
  posting.unclaimed = true;
  posting.operation = operation;
  patience_ = &patience;
  boxes_.receive(posting, patience);
  advance(patience);
}

Ticket Session::probe(int source, std::uint32_t context, int tag, bool claims, Patience& patience) {
  require_usable();
  Posting& posting = boxes_.create(Verb::probe, source, context, tag, 0, patience);
  posting.claims = claims;
  return issue(posting, {}, true, patience, [&] {
    boxes_.probe(posting, patience);
    return Mailboxes::finished(posting);
  });
}

Ticket Session::receive_bytes(int source, std::uint32_t context, int tag, Patience& patience) {
  require_usable();
  Posting& posting = boxes_.create(Verb::bytes, source, context, tag, 0, patience);
  posting.capacity_is_free = true;
  return issue(posting, {}, true, patience, [&] {
    boxes_.receive(posting, patience);
    return Mailboxes::finished(posting);
  });
}

// Reads the results out of a finished posting, rebinds handles and gives the posting up.
void Session::finish(Ticket& ticket, Patience& patience) {
  Posting& posting = *ticket.posting;
  ticket.posting = nullptr;
  ticket.charges = posting.charges;
  measurements += posting.charges.measurements;
  ticket.failure = posting.failure;
  ticket.count = posting.failed_count;
  if (posting.verb == Verb::part) {
    finish_part(ticket, posting, patience);
  } else if (posting.verb == Verb::probe) {
    ticket.source = posting.peer;
    ticket.tag = posting.tag;
    ticket.count = posting.count;
    ticket.found = posting.match;
  } else if (!ticket.receives) {
    const bool moved = posting.verb == Verb::move || posting.verb == Verb::unmove;
    for (std::size_t k = 0; moved && k < ticket.named.size(); ++k) handles_[ticket.named[k].slot].id = boxes_.qubits(posting)[k];
    if (posting.phase == Phase::packed && (posting.verb == Verb::copy || posting.verb == Verb::move)) {
      ticket.sent = &posting;
      return;
    }
  } else if (posting.match != 0) {
    finish_message(ticket, posting, patience);
  }
  boxes_.discard(posting, patience);
}

void Session::finish_message(Ticket& ticket, Posting& posting, Patience& patience) {
  Posting& message = *store_.arena().at<Posting>(posting.match);
  ticket.source = message.owner;
  ticket.tag = message.tag;
  ticket.count = message.count;
  ticket.operation = message.operation;
  if (message.verb == Verb::bytes || message.verb == Verb::note) {
    ticket.bytes.assign(boxes_.bytes(message).begin(), boxes_.bytes(message).end());
  } else if (message.verb != Verb::uncopy) {
    for (std::size_t k = 0; k < message.count; ++k) {
      const QubitId arrived = boxes_.cargo(message)[k];
      if (posting.capacity_is_free) {
        ticket.arrived.push_back(adopt(arrived));
      } else {  // the |0> that stood there is given up
        Handle& handle = handles_[ticket.named[k].slot];
        store_.release(handle.id, patience);
        handle.id = arrived;
        ticket.arrived.push_back(ticket.named[k]);
      }
    }
  }
  boxes_.discard(message, patience);
}

void Session::finish_part(Ticket& ticket, Posting& part, Patience& patience) {
  const auto places = parts_.places(part);
  for (std::size_t k = 0; k < ticket.named.size(); ++k) handles_[ticket.named[k].slot].id = places[k];
  if (Posting* arrival = parts_.arrival(part)) {
    for (const QubitId id : boxes_.cargo(*arrival)) ticket.arrived.push_back(adopt(id));
    boxes_.discard(*arrival, patience);
  }
  ticket.bytes = parts_.why(part);
  const auto bits = parts_.bits(part);
  ticket.bits.assign(bits.begin(), bits.end());
}

bool Session::wait(Ticket& ticket, std::int64_t microseconds, Patience& patience) {
  require_usable();
  if (!ticket.posting) return true;
  if (!boxes_.wait(*ticket.posting, microseconds, patience)) return false;
  watch_.unpublish(patience);
  finish(ticket, patience);
  return true;
}

bool Session::wait_any(std::span<Ticket* const> tickets, std::int64_t microseconds, Patience& patience) {
  require_usable();
  std::vector<const Posting*> postings;
  for (const Ticket* ticket : tickets) {
    if (!ticket->posting) return true;
    postings.push_back(ticket->posting);
  }
  if (!boxes_.wait_any(postings, microseconds, patience)) return false;
  watch_.unpublish(patience);
  for (Ticket* ticket : tickets)
    if (Mailboxes::over(*ticket->posting)) finish(*ticket, patience);
  return true;
}

void Session::settle(Ticket& ticket, Patience& patience) {
  if (ticket.sent) boxes_.discard(*std::exchange(ticket.sent, nullptr), patience);
  if (!std::exchange(ticket.frozen, false)) return;
  for (const HandleName name : ticket.named) handles_[name.slot].frozen -= 1;
}

bool Session::take_back(Ticket& ticket, Patience& patience) {
  require_usable();
  if (!ticket.sent || !boxes_.retract(*ticket.sent, patience)) return false;
  Posting& message = *ticket.sent;
  Steadfast steadfast(patience);
  protocol_.take_back(message, steadfast);
  for (std::size_t k = 0; k < ticket.named.size(); ++k) handles_[ticket.named[k].slot].id = boxes_.qubits(message)[k];
  settle(ticket, patience);
  return true;
}

bool Session::reserve(std::int32_t qubits, Patience& patience) {
  require_usable();
  return boxes_.reserve(rank_, qubits, patience);
}

void Session::give_back(std::int32_t qubits, Patience& patience) {
  require_usable();
  patience_ = &patience;
  boxes_.give_back(rank_, qubits, patience);
  advance(patience);
}

// --- parts of collectives ----------------------------------------------------------------------------------------------------------

std::uint32_t Session::place(PartList& list, HandleName name) {
  check(name);
  return list.place_of(name.serial, name.slot);
}

void Session::record(Patience& patience) {
  flush(patience);
  recording_ = true;
}

void Session::refuse_while_recording() const {
  if (recording_) throw Error("InvalidArgument", "an operator is a circuit: it applies gates to the registers it is given and does nothing else");
}

void Session::drop_recorded() {
  recording_ = false;
  discard_pending();
}

// The gates called since `record`, as steps. They may use these qubits only.
void Session::recorded(PartList& list, std::span<const HandleName> names) {
  recording_ = false;
  std::unordered_map<QubitId, std::uint32_t> place_of;
  for (const HandleName name : names) place_of[check(name).id] = place(list, name);
  std::vector<std::uint32_t> places;
  for (const QubitId id : buffered_ids_) {
    const auto found = place_of.find(id);
    if (found == place_of.end()) {
      discard_pending();
      throw Error("InvalidArgument", "an operator may only use the registers it is given");
    }
    places.push_back(found->second);
  }
  const auto at = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
  for (const Buffered& gate : buffer_) {
    PartStep step;
    step.kind = PartStep::Kind::gate;
    step.gate = gate.call;
    list.name(step, std::span(places).subspan(gate.call.ids, gate.call.controls + gate.call.targets), false);
    step.gate.ids = 0;
    step.gate.numbers += at(list.numbers);
    step.gate.matrix += at(list.matrices);
    step.gate.text += at(list.text);
    list.add(step);
  }
  list.numbers.insert(list.numbers.end(), buffered_numbers_.begin(), buffered_numbers_.end());
  list.matrices.insert(list.matrices.end(), buffered_matrices_.begin(), buffered_matrices_.end());
  list.text += buffered_text_;
  clear_buffer();
}

Ticket Session::post(PartList& list, std::uint32_t context, std::uint64_t operation, Patience& patience) {
  doing(Doing::send);
  require_usable();
  flush(patience);
  std::vector<HandleName> names;
  std::vector<QubitId> ids;
  for (const std::uint32_t slot : list.slots) {
    names.push_back({slot, handles_[slot].serial});
    ids.push_back(check(names.back()).id);
  }
  for (PartStep& step : list.steps) step.number = ++operations_;
  Posting& part = parts_.create(list, ids, context, operation, patience);
  return issue(part, names, true, patience, [&] {
    Steadfast steadfast(patience);
    parts_.begin(part, steadfast);
    parts_.advance(steadfast);
    return Mailboxes::finished(part);
  });
}

bool Session::withdraw(Ticket& ticket, Patience& patience) {
  require_usable();
  if (!ticket.posting) return false;
  Posting& posting = *ticket.posting;
  if (posting.verb == Verb::part) {
    if (Mailboxes::finished(posting)) return false;
    ticket.untouched = parts_.untouched(posting);
    patience_ = &patience;
    Steadfast steadfast(patience);
    parts_.give_up(posting, ticket.untouched, steadfast);
    if (!Mailboxes::finished(posting)) return false;
    finish(ticket, patience);
    settle(ticket, patience);
    return true;
  }
  if (!boxes_.withdraw(posting, patience)) return false;
  settle(ticket, patience);
  boxes_.discard(posting, patience);
  ticket.posting = nullptr;
  return true;
}

void Session::look(std::span<Ticket* const> given_up, Patience& patience) {
  if (!watch_.look(patience)) return;
  for (Ticket* ticket : given_up) withdraw(*ticket, patience);
  watch_.accept(patience);
}

void Session::publish(std::span<const Ticket* const> tickets, std::span<const std::int32_t> members, std::string_view line, Patience& patience) {
  std::vector<Offset> postings;
  std::vector<std::int32_t> wakers;
  for (const Ticket* ticket : tickets) {
    if (!ticket->posting) return;
    postings.push_back(store_.arena().offset_of(ticket->posting));
    const std::int32_t peer = ticket->posting->peer;
    const auto more = peer == any_source ? members : std::span(&peer, 1);
    wakers.insert(wakers.end(), more.begin(), more.end());
  }
  watch_.publish(postings, wakers, line, patience);
}

}  // namespace qmpi
