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
    settle(ticket);
    posting.holders = 1;
    boxes_.discard(posting, patience);
    throw;
  }
  return ticket;
}

Ticket Session::send(Verb verb, std::span<const HandleName> names, int dest, std::uint32_t context, int tag,
                     std::uint64_t operation, Patience& patience) {
  doing(Doing::send);
  Posting& message = prepare(verb, names, dest, context, tag, patience);
  if (operation) message.operation = operation;
  message.holders += 1;  // ours, until the results are read
  return issue(message, names, false, patience, [&] { return boxes_.send(message, patience); });
}

Ticket Session::receive(Verb verb, std::span<const HandleName> names, bool allocate, int source, std::uint32_t context, int tag,
                        std::uint64_t operation, Patience& patience) {
  doing(Doing::receive);
  Posting& posting = prepare(verb, names, source, context, tag, patience);
  posting.capacity_is_free = allocate;
  posting.operation = operation;
  return issue(posting, names, true, patience, [&] {
    boxes_.receive(posting, patience);
    return Mailboxes::finished(posting);
  });
}

Ticket Session::meet(std::span<const HandleName> names, int peer, std::uint32_t context, int tag, Patience& patience) {
  doing(Doing::meet);
  Posting& posting = prepare(Verb::epr, names, peer, context, tag, patience);
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
  if (!ticket.receives) {
    const bool moved = posting.verb == Verb::move || posting.verb == Verb::unmove;
    for (std::size_t k = 0; moved && k < ticket.named.size(); ++k) handles_[ticket.named[k].slot].id = boxes_.qubits(posting)[k];
  } else if (posting.match != 0) {
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
  boxes_.discard(posting, patience);
}

bool Session::wait(Ticket& ticket, std::int64_t microseconds, Patience& patience) {
  require_usable();
  if (!ticket.posting) return true;
  if (!boxes_.wait(*ticket.posting, microseconds, patience)) return false;
  watch_.unpublish(patience);
  finish(ticket, patience);
  return true;
}

void Session::settle(Ticket& ticket) {
  if (!std::exchange(ticket.frozen, false)) return;
  for (const HandleName name : ticket.named) handles_[name.slot].frozen -= 1;
}

bool Session::withdraw(Ticket& ticket, Patience& patience) {
  require_usable();
  if (!ticket.posting || !boxes_.withdraw(*ticket.posting, patience)) return false;
  settle(ticket);
  boxes_.discard(*ticket.posting, patience);
  ticket.posting = nullptr;
  return true;
}

void Session::look(std::span<Ticket* const> given_up, Patience& patience) {
  if (!watch_.look(patience)) return;
  for (Ticket* ticket : given_up) withdraw(*ticket, patience);
  watch_.accept(patience);
}

void Session::publish(const Ticket& ticket, std::span<const std::int32_t> members, std::string_view line, Patience& patience) {
  if (!ticket.posting) return;
  const std::int32_t peer = ticket.posting->peer;
  watch_.publish(*ticket.posting, peer == any_source ? members : std::span(&peer, 1), line, patience);
}

}  // namespace qmpi
