// The protocols: what a matched message does to qubits, step by step, for both sides. A copy is a fan-out over an EPR pair, a move is
// teleportation. In fast mode the forward direction is a shortcut (one CX, or a change of names) with the same charges; inverses are
// the same code in both modes. Protocols act on ids and know neither handles nor matching.
#pragma once

#include "runtime/mailbox.h"
#include "runtime/order.h"

namespace qmpi {

class Protocol {
 public:
  Protocol(Store& store, const Mailboxes& boxes, Order& order) : store_(store), boxes_(boxes), order_(order) {}

  // The sender's half. Afterwards message.cargo are the ids that travel and message.qubits those the sender keeps. If memory runs
  // out, what was done is undone before the error goes on.
  void pack(Posting& message, Patience& patience);
  // The receiver's half: fix-ups on what arrived.
  void deliver(Posting& message, Posting& receive, Patience& patience);
  // EPR pairs between the qubits of two postings.
  void meet(Posting& first, Posting& second, Patience& patience);
  // Undoes `pack`: for a message that nobody has received. What it was charged stays charged.
  void take_back(Posting& message, Patience& patience);
  // Measurements of a part's own.
  int measure(QubitId qubit, const Measurement& measurement, Patience& patience);
  int measure_parity(QubitId control, QubitId target, const Measurement& measurement, Patience& patience);

  // The draw of a measurement; a test may force the outcomes of a rank's measurements (Session::force).
  static double draw(Arena& arena, const Measurement& measurement);

 private:
  // Measurement `position` of a message's protocol: measure(draw) does it, the outcome enters the message.
  template <class Measure>
  void enter_bit(Posting& message, std::size_t position, Patience& patience, Measure&& measure);
  static void charge_shortcut(Posting& message);
  void copy_out(Posting& message, std::size_t k, Patience& patience);
  void move_out(Posting& message, std::size_t k, Patience& patience);
  void measure_out(Posting& message, std::size_t k, Patience& patience);
  void take_back(Posting& message, std::size_t k, Patience& patience);

  Store& store_;
  const Mailboxes& boxes_;
  Order& order_;
};

}  // namespace qmpi
