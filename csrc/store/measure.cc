// Measurement and reading out. A measured qubit leaves its component; a parity is measured without ever building the product state.
#include <cmath>

#include "store/locked.h"

namespace qmpi {
namespace {

// The outcome is 1 where draw < P(1); one that only rounding could produce is never chosen. `scale` renormalises what is left.
struct Outcome {
  Outcome(Weights weights, double draw, double negligible) {
    auto weight = [&] { return value ? weights.one : weights.zero; };
    value = draw * weights.total() < weights.one;
    if (weight() <= negligible * weights.total()) value = 1 - value;
    scale = 1 / std::sqrt(weight());
  }
  int value;
  double scale;
};

Weights weights_of(const QubitRecord& record) { return {std::norm(record.amplitude[0]), std::norm(record.amplitude[1])}; }

}  // namespace

// A qubit whose bit has been projected out of its component; the caller books the bit.
void Store::leave(QubitRecord& qubit, int value) {
  qubit.set_basis(value);
  qubit.component.store(0, std::memory_order_release);
}

int Store::measure(QubitId id, double draw, Patience& patience) {
  QubitRecord& qubit = record(id);
  if (!qubit.is_product()) {
    Locked locked(*this, {&id, 1}, patience);
    if (!qubit.is_product()) {  // else the others were measured meanwhile
      Component& component = component_of(qubit);
      if (component.qubits >= long_kernel) patience.give_way();
      const int bit = qubit.bit;
      const int value = on(component, [&](auto* psi, const auto& kernel) {
        const Outcome outcome(kernel.weights(psi, component.qubits, Index{1} << bit), draw, negligible());
        kernel.project(psi, component.qubits, bit, outcome.value, outcome.scale);
        return outcome.value;
      });
      leave(qubit, value);
      remove_bit(component, bit, patience);
      return value;
    }
  }
  if (const int value = qubit.basis(); value >= 0) return value;
  const Outcome outcome(weights_of(qubit), draw, negligible());
  qubit.set_basis(outcome.value, outcome.scale * qubit.amplitude[outcome.value]);
  return outcome.value;
}

int Store::measure_parity(QubitId control, QubitId target, double draw, Patience& patience) {
  QubitRecord &kept = record(control), &dropped = record(target);
  {
    const QubitId both[2] = {control, target};
    Locked locked(*this, both, patience);
    const bool settled = kept.is_product() && kept.basis() >= 0;
    if (!settled && !dropped.is_product()) {
      const bool together = !kept.is_product() && &component_of(kept) == &component_of(dropped);
      const int value = together ? parity_within(kept, dropped, draw, patience) : parity_across(control, dropped, draw, patience);
      leave(dropped, value);
      return value;
    }
  }
  copy(control, target, patience);
  return measure(target, draw, patience);
}

int Store::parity_within(const QubitRecord& kept, const QubitRecord& dropped, double draw, Patience& patience) {
  Component& component = component_of(dropped);
  if (component.qubits >= long_kernel) patience.give_way();
  const int bit = dropped.bit;
  const int value = on(component, [&](auto* psi, const auto& kernel) {
    const Index both = Index{1} << kept.bit | Index{1} << bit;
    const Outcome outcome(kernel.weights(psi, component.qubits, both), draw, negligible());
    kernel.project_parity(psi, component.qubits, kept.bit, bit, outcome.value, outcome.scale);
    return outcome.value;
  });
  remove_bit(component, bit, patience);
  return value;
}

int Store::parity_across(QubitId control, const QubitRecord& dropped, double draw, Patience& patience) {
  QubitRecord& kept = record(control);
  Component& other = component_of(dropped);
  const int bit = dropped.bit, added = other.qubits - 1;
  if (kept.is_product())
    start_component(kept, qmpi::slot_of(control), 1 + added, patience);
  else
    reserve(component_of(kept), component_of(kept).qubits + added, patience);
  Component& component = component_of(kept);
  const int n = component.qubits;
  if (n + added >= long_kernel) patience.give_way();
  const int value = on(component, [&](auto* psi, const auto& kernel) {
    using Real = typename std::remove_pointer_t<decltype(psi)>::value_type;
    const Weights ours = kernel.weights(psi, n, Index{1} << kept.bit);
    const Weights theirs = kernel.weights(amplitudes<Real>(other), other.qubits, Index{1} << bit);
    const Outcome outcome({ours.zero * theirs.zero + ours.one * theirs.one, ours.zero * theirs.one + ours.one * theirs.zero}, draw,
                          negligible());
    kernel.join_parity(psi, n, kept.bit, amplitudes<Real>(other), other.qubits, bit, outcome.value, outcome.scale);
    return outcome.value;
  });
  adopt(component, other, bit);
  arena_->header().statistics.entangled_qubits -= 1;
  recycle(other, patience);
  note_merge(component.qubits);
  return value;
}

int Store::settle(QubitId id, Patience& patience) {
  QubitRecord& qubit = record(id);
  if (qubit.is_product())
    if (const int value = qubit.basis(); value >= 0) return value;
  const double one = probability(id, patience);
  if (one <= tolerance()) return measure(id, 1, patience);
  if (one >= 1 - tolerance()) return measure(id, 0, patience);
  return -1;
}

// --- reading out ---------------------------------------------------------------------------------------------------------------

double Store::probability(QubitId id, Patience& patience) {
  Locked locked(*this, {&id, 1}, patience);
  const QubitRecord& qubit = record(id);
  Weights weights = weights_of(qubit);
  if (!qubit.is_product()) {
    Component& component = component_of(qubit);
    if (component.qubits >= long_kernel) patience.give_way();
    weights = on(component, [&](auto* psi, const auto& kernel) {
      return kernel.weights(psi, component.qubits, Index{1} << qubit.bit);
    });
  }
  return weights.one / weights.total();
}

// A product over components (and product qubits) of <P restricted to it>.
double Store::expectation(std::span<const QubitId> ids, std::string_view paulis, Patience& patience) {
  Locked locked(*this, ids, patience);
  double result = 1;
  for (Component* component : locked.components()) {
    Index x = 0, z = 0;
    for (std::size_t k = 0; k < ids.size(); ++k) {
      const QubitRecord& qubit = record(ids[k]);
      if (qubit.is_product() || &component_of(qubit) != component) continue;
      if (paulis[k] == 'X' || paulis[k] == 'Y') x |= Index{1} << qubit.bit;
      if (paulis[k] == 'Z' || paulis[k] == 'Y') z |= Index{1} << qubit.bit;
    }
    if (component->qubits >= long_kernel) patience.give_way();
    result *= on(*component, [&](auto* psi, const auto& kernel) {
      return kernel.expectation(psi, component->qubits, x, z, {}) / kernel.weights(psi, component->qubits, 0).total();
    });
  }
  for (std::size_t k = 0; k < ids.size(); ++k) {
    const QubitRecord& qubit = record(ids[k]);
    if (!qubit.is_product() || paulis[k] == 'I') continue;
    const Weights weights = weights_of(qubit);
    const Coefficient cross = 2.0 * std::conj(qubit.amplitude[0]) * qubit.amplitude[1];  // <X> + i <Y>
    const double value = paulis[k] == 'X' ? cross.real() : paulis[k] == 'Y' ? cross.imag() : weights.zero - weights.one;
    result *= value / weights.total();
  }
  return result;
}

std::vector<Snapshot> Store::snapshot(std::span<const QubitId> ids, Patience& patience) {
  Locked locked(*this, ids, patience);
  std::vector<Snapshot> result;
  for (Component* component : locked.components()) {
    patience.give_way();
    Snapshot copy;
    std::vector<int> identity(component->qubits);
    for (int bit = 0; bit < component->qubits; ++bit) {
      identity[bit] = bit;
      const std::uint32_t slot = component->slot_at[bit];
      copy.ids.push_back(make_id(slot, arena_->qubit(slot).generation));
    }
    copy.amplitudes.resize(std::size_t{1} << component->qubits);
    on(*component, [&](auto* psi, const auto& kernel) {
      kernel.gather(psi, component->qubits, identity.data(), 1.0, copy.amplitudes.data());
    });
    result.push_back(std::move(copy));
  }
  for (const QubitId id : ids) {
    const QubitRecord& qubit = record(id);
    if (qubit.is_product()) result.push_back({{id}, {qubit.amplitude[0], qubit.amplitude[1]}});
  }
  return result;
}

}  // namespace qmpi
