#include "runtime/protocol.h"

namespace qmpi {
namespace {

constexpr double certain_one = 0;             // a draw that gives 1 wherever 1 is possible
constexpr double certain_zero = 1 - 0x1p-53;  // and one that gives 0

}  // namespace

double Protocol::draw(Arena& arena, const Measurement& measurement) {
  RankRecord& record = arena.rank(measurement.rank);
  if (record.forced_left > 0) {
    --record.forced_left;
    const bool one = record.forced_bits & 1;
    record.forced_bits >>= 1;
    return one ? certain_one : certain_zero;
  }
  const auto rank = static_cast<std::uint32_t>(measurement.rank);
  return uniform_draw(arena.settings().seed, measurement.stream, rank, measurement.number, measurement.position);
}

void Protocol::pack(Posting& message, Patience& patience) {
  if (message.verb == Verb::bytes || message.verb == Verb::note) return;
  std::size_t k = 0;
  try {
    for (; k < message.count; ++k) {
      if (message.verb == Verb::uncopy)
        measure_out(message, k, patience);
      else if (message.verb == Verb::copy)
        copy_out(message, k, patience);
      else
        move_out(message, k, patience);
    }
  } catch (const Error&) {
    while (k-- > 0) take_back(message, k, patience);
    throw;
  }
  if (message.verb != Verb::uncopy && !store_.arena().settings().faithful) charge_shortcut(message);
}

// What the protocol would have been charged, event by event.
void Protocol::charge_shortcut(Posting& message) {
  const std::int64_t count = message.count, bits = message.verb == Verb::copy ? count : 2 * count;
  message.charges.epr_pairs += count;
  message.charges.epr_halves += count;
  message.charges.measurements += bits;
  message.charges.bits_sent += bits;
}

template <class Measure>
void Protocol::enter_bit(Posting& message, std::size_t position, Patience& patience, Measure&& measure) {
  const Measurement measurement{message.owner, Stream::protocol, message.number, position};
  const int bit = order_.at_its_turn(measurement, patience, [&] { return measure(draw(store_.arena(), measurement)); });
  boxes_.bits(message)[position] = static_cast<std::uint8_t>(bit);
  message.charges.measurements += 1;
  message.charges.bits_sent += 1;
}

// A fresh EPR pair; CX from the qubit onto the near half, which is measured and released; the far half is the copy up to X^bit.
void Protocol::copy_out(Posting& message, std::size_t k, Patience& patience) {
  const QubitId qubit = boxes_.qubits(message)[k], far = store_.allocate(patience);
  try {
    if (store_.arena().settings().faithful) {
      const QubitId near = store_.allocate(patience);
      try {
        store_.hadamard(near, patience);
        store_.copy(near, far, patience);
        message.charges.epr_pairs += 1;
        message.charges.epr_halves += 1;
        enter_bit(message, 2 * k, patience, [&](double draw) { return store_.measure_parity(qubit, near, draw, patience); });
      } catch (const Error&) {  // the pair is measured away
        store_.measure(near, certain_zero, patience);
        store_.release(near, patience);
        throw;
      }
      store_.release(near, patience);
    } else {
      store_.copy(qubit, far, patience);
    }
  } catch (const Error&) {
    store_.measure(far, certain_zero, patience);
    store_.release(far, patience);
    throw;
  }
  boxes_.cargo(message)[k] = far;
}

// A copy, then its undoing at the sender; the qubit stays behind in |0>. Or, as a shortcut, a change of names.
void Protocol::move_out(Posting& message, std::size_t k, Patience& patience) {
  QubitId& qubit = boxes_.qubits(message)[k];
  if (!store_.arena().settings().faithful) {
    boxes_.cargo(message)[k] = qubit;
    qubit = store_.allocate(patience);
    return;
  }
  copy_out(message, k, patience);
  store_.hadamard(qubit, patience);
  enter_bit(message, 2 * k + 1, patience, [&](double draw) { return store_.measure(qubit, draw, patience); });
  store_.set_zero(qubit);
}

// The undoing of a copy by its holder: H, measure; the bit goes to the owner of the original.
void Protocol::measure_out(Posting& message, std::size_t k, Patience& patience) {
  const QubitId copy = boxes_.qubits(message)[k];
  store_.hadamard(copy, patience);
  enter_bit(message, 2 * k, patience, [&](double draw) { return store_.measure(copy, draw, patience); });
  store_.set_zero(copy);
}

// Undoes qubit k of a message that could not be packed whole.
void Protocol::take_back(Posting& message, std::size_t k, Patience& patience) {
  QubitId& qubit = boxes_.qubits(message)[k];
  const QubitId far = boxes_.cargo(message)[k];
  const bool faithful = store_.arena().settings().faithful;
  const std::uint8_t* bits = &boxes_.bits(message)[2 * k];
  if (message.verb == Verb::copy) {
    store_.hadamard(far, patience);
    if (store_.measure(far, certain_zero, patience)) store_.negate(qubit, patience);
    store_.release(far, patience);
  } else if (faithful) {
    if (bits[0]) store_.flip(far, patience);
    if (bits[1]) store_.negate(far, patience);
    store_.apply({Kind::swap, {}, std::array<QubitId, 2>{qubit, far}}, patience);
    store_.release(far, patience);
  } else {
    store_.release(qubit, patience);
    qubit = far;
  }
}

void Protocol::take_back(Posting& message, Patience& patience) {
  for (std::size_t k = message.count; k-- > 0;) take_back(message, k, patience);
}

int Protocol::measure(QubitId qubit, const Measurement& measurement, Patience& patience) {
  return order_.at_its_turn(measurement, patience, [&] { return store_.measure(qubit, draw(store_.arena(), measurement), patience); });
}

int Protocol::measure_parity(QubitId control, QubitId target, const Measurement& measurement, Patience& patience) {
  return order_.at_its_turn(measurement, patience,
                            [&] { return store_.measure_parity(control, target, draw(store_.arena(), measurement), patience); });
}

void Protocol::deliver(Posting& message, Posting& receive, Patience& patience) {
  if (message.verb == Verb::bytes) return;
  const bool moved = message.verb == Verb::move || message.verb == Verb::unmove;
  auto bit = [&](std::size_t position) {
    receive.charges.bits_received += 1;
    return boxes_.bits(message)[position] != 0;
  };
  if (message.verb != Verb::uncopy && !store_.arena().settings().faithful) {
    receive.charges.epr_halves += message.count;
    receive.charges.bits_received += moved ? 2 * message.count : message.count;
    return;
  }
  for (std::size_t k = 0; k < message.count; ++k) {
    if (message.verb == Verb::uncopy) {
      if (bit(2 * k)) store_.negate(boxes_.qubits(receive)[k], patience);
      continue;
    }
    const QubitId arrived = boxes_.cargo(message)[k];
    receive.charges.epr_halves += 1;
    if (bit(2 * k)) store_.flip(arrived, patience);
    if (moved && bit(2 * k + 1)) store_.negate(arrived, patience);
  }
}

void Protocol::meet(Posting& first, Posting& second, Patience& patience) {
  const auto ours = boxes_.qubits(first), theirs = boxes_.qubits(second);
  std::size_t k = 0;
  try {
    for (; k < first.count; ++k) {
      store_.hadamard(ours[k], patience);
      store_.copy(ours[k], theirs[k], patience);
    }
  } catch (const Error&) {  // back to |0>
    for (std::size_t j = 0; j <= k; ++j)
      for (const QubitId half : {ours[j], theirs[j]}) store_.measure(half, certain_zero, patience);
    throw;
  }
  const std::int64_t count = first.count;
  first.charges.epr_pairs += count;
  first.charges.epr_halves += count;
  second.charges.epr_halves += count;
}

}  // namespace qmpi
