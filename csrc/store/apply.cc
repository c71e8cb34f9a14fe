// Gates on the store: what can be resolved on product qubits is resolved there, the rest merges components and runs a kernel.
#include <cmath>
#include <string>

#include "store/locked.h"

namespace qmpi {
namespace {

constexpr double root_half = 0.70710678118654752440;
constexpr Coefficient x_matrix[4] = {0, 1, 1, 0};
constexpr Coefficient z_matrix[4] = {1, 0, 0, -1};
constexpr Coefficient h_matrix[4] = {root_half, root_half, root_half, -root_half};

bool is_diagonal(const Coefficient* matrix) { return matrix[1] == 0.0 && matrix[2] == 0.0; }

}  // namespace

void Store::flip(QubitId id, Patience& patience) {
  controls_.clear();
  apply_single(id, x_matrix, patience);
}

void Store::negate(QubitId id, Patience& patience) {
  controls_.clear();
  apply_single(id, z_matrix, patience);
}

void Store::hadamard(QubitId id, Patience& patience) {
  controls_.clear();
  apply_single(id, h_matrix, patience);
}

void Store::copy(QubitId from, QubitId onto, Patience& patience) {
  if (resolve_controls({&from, 1}, patience)) apply_single(onto, x_matrix, patience);
}

void Store::apply(const Operation& operation, Patience& patience) {
  deferring_ = true;
  try {
    dispatch(operation, patience);
  } catch (const Error&) {
    deferring_ = false;
    throw;
  }
  deferring_ = false;
  if (deferred_work_ > most_deferred) complete(patience);
}

void Store::dispatch(const Operation& operation, Patience& patience) {
  if (!resolve_controls(operation.controls, patience)) return;
  const std::span<const QubitId> targets = operation.targets;
  switch (operation.kind) {
    case Kind::single:
      return apply_single(targets[0], operation.matrix, patience);
    case Kind::swap:
      if (controls_.empty()) return exchange(targets[0], targets[1], patience);
      merge_and(targets, {Kind::swap}, patience);
      return;
    case Kind::block:
      return apply_block(targets, operation.matrix, patience);
    case Kind::pauli:
      return apply_pauli(operation, patience);
  }
}

// Whether a qubit is a product qubit. Gates that wait for it (the others of its component have been measured since) come first.
bool Store::is_product(QubitId id, Patience& patience) {
  if (!record(id).is_product()) return false;
  if (std::find(deferred_ids_.begin(), deferred_ids_.end(), id) != deferred_ids_.end()) complete(patience);
  return true;
}

bool Store::resolve_controls(std::span<const QubitId> controls, Patience& patience) {
  controls_.clear();
  for (const QubitId id : controls) {
    const QubitRecord& control = record(id);
    const int value = is_product(id, patience) ? control.basis() : -1;
    if (value == 0) return false;
    if (value == -1) controls_.push_back(id);
  }
  return true;
}

void Store::apply_single(QubitId target, const Coefficient* u, Patience& patience) {
  QubitRecord& qubit = record(target);
  if (is_product(target, patience)) {
    Coefficient(&a)[2] = qubit.amplitude;
    if (controls_.empty()) {
      const Coefficient zero = u[0] * a[0] + u[1] * a[1];
      a[1] = u[2] * a[0] + u[3] * a[1];
      a[0] = zero;
      return;
    }
    if (const int value = qubit.basis(); value >= 0 && is_diagonal(u)) {  // only a phase on the controls is left
      const Coefficient phase[4] = {1, 0, 0, u[3 * value]};
      if (phase[3] == 1.0) return;
      target = controls_.back();
      controls_.pop_back();
      return apply_single(target, phase, patience);
    }
  }
  if (!merge_and({&target, 1}, {Kind::single, u}, patience)) apply_single(target, u, patience);
}

// Product qubits in basis states need not join where the matrix does not leave their value (diagonal and controlled blocks), or
// where all are and the result is one basis state (permutations). True if nothing is left to do.
bool Store::block_on_basis(std::span<const QubitId> targets, const Coefficient* u, Patience& patience) {
  const int dimension = 1 << targets.size();
  int column = 0;
  for (std::size_t k = 0; k < targets.size(); ++k) {
    const int value = is_product(targets[k], patience) ? record(targets[k]).basis() : -1;
    if (value < 0) return false;
    column |= value << k;
  }
  int row = -1;
  for (int i = 0; i < dimension; ++i) {
    if (u[i * dimension + column] == 0.0) continue;
    if (row >= 0) return false;
    row = i;
  }
  Coefficient phase = u[row * dimension + column];
  for (std::size_t k = 0; k < targets.size(); ++k, phase = 1.0) {
    QubitRecord& qubit = record(targets[k]);
    qubit.set_basis(row >> k & 1, phase * qubit.amplitude[column >> k & 1]);
  }
  return true;
}

void Store::apply_block(std::span<const QubitId> targets, const Coefficient* u, Patience& patience) {
  if (controls_.empty() && block_on_basis(targets, u, patience)) return;
  const int count = static_cast<int>(targets.size()), dimension = 1 << count;
  for (int k = 0; k < count; ++k) {
    const int value = is_product(targets[k], patience) ? record(targets[k]).basis() : -1;
    if (value < 0) continue;
    // Keeps its value if the columns with bit k = value have no entry in rows with the other.
    auto fixed = [&](int i) { return (i >> k & 1) == value; };
    bool keeps = true;
    for (int i = 0; keeps && i < dimension; ++i)
      for (int j = 0; keeps && j < dimension; ++j) keeps = fixed(i) || !fixed(j) || u[i * dimension + j] == 0.0;
    if (!keeps) continue;
    std::vector<Coefficient> reduced;
    for (int i = 0; i < dimension; ++i)
      for (int j = 0; j < dimension; ++j)
        if (fixed(i) && fixed(j)) reduced.push_back(u[i * dimension + j]);
    std::vector<QubitId> rest(targets.begin(), targets.end());
    rest.erase(rest.begin() + k);
    if (count == 2) return apply_single(rest[0], reduced.data(), patience);
    return apply_block(rest, reduced.data(), patience);
  }
  merge_and(targets, {Kind::block, u}, patience);
}

// exp(-i theta/2 P). Letters I fall away, Z on basis states are signs; one letter left is a 2x2 matrix.
void Store::apply_pauli(const Operation& operation, Patience& patience) {
  std::vector<QubitId> ids;
  std::string letters;
  double theta = operation.theta;
  for (std::size_t k = 0; k < operation.targets.size(); ++k) {
    const char letter = operation.paulis[k];
    const int value = letter == 'Z' && is_product(operation.targets[k], patience) ? record(operation.targets[k]).basis() : -1;
    if (value == 1) theta = -theta;
    if (letter == 'I' || value >= 0) continue;
    ids.push_back(operation.targets[k]);
    letters.push_back(letter);
  }
  const double cosine = std::cos(theta / 2), sine = std::sin(theta / 2);
  const Coefficient plus{cosine, -sine}, minus{cosine, sine};  // e^{-i theta/2}, e^{+i theta/2}
  if (ids.empty()) {
    const Coefficient phase[4] = {plus, 0, 0, plus};
    return apply_single(operation.targets[0], phase, patience);
  }
  if (ids.size() == 1) {
    const Coefficient rotations[3][4] = {{cosine, {0, -sine}, {0, -sine}, cosine},  // X
                                         {cosine, -sine, sine, cosine},             // Y
                                         {plus, 0, 0, minus}};                      // Z
    return apply_single(ids[0], rotations[letters[0] - 'X'], patience);
  }
  merge_and(ids, {Kind::pauli, nullptr, letters, theta}, patience);
}

// SWAP is a change of places: the two records trade component, bit and amplitudes.
void Store::exchange(QubitId a, QubitId b, Patience& patience) {
  complete(patience);  // gates that wait name ids
  const QubitId both[2] = {a, b};
  Locked locked(*this, both, patience);
  QubitRecord &first = record(a), &second = record(b);
  const std::uint32_t first_component = first.component.load(std::memory_order_relaxed),
                      second_component = second.component.load(std::memory_order_relaxed);
  if (first_component) arena_->component(first_component).slot_at[first.bit] = qmpi::slot_of(b);
  if (second_component) arena_->component(second_component).slot_at[second.bit] = qmpi::slot_of(a);
  std::swap(first.bit, second.bit);
  std::swap(first.amplitude, second.amplitude);
  first.component.store(second_component, std::memory_order_release);
  second.component.store(first_component, std::memory_order_release);
}

// Joins controls_ and targets into one component and acts on it: at once, or later together with other gates where that pays. False, and
// nothing is done, if the only qubit has left its component since the caller looked: the others in it were measured.
bool Store::merge_and(std::span<const QubitId> targets, const Effect& effect, Patience& patience) {
  gathered_.assign(targets.begin(), targets.end());
  gathered_.insert(gathered_.end(), controls_.begin(), controls_.end());
  for (const QubitId id : gathered_) is_product(id, patience);
  if (has_waiting()) {  // whatever waits must be on the component that comes out
    const std::uint32_t theirs = record(deferred_ids_[0]).component.load(std::memory_order_acquire);
    const auto is_theirs = [&](QubitId id) { return record(id).component.load(std::memory_order_acquire) == theirs; };
    if (theirs == 0 || std::none_of(gathered_.begin(), gathered_.end(), is_theirs)) complete(patience);
  }
  Locked locked(*this, gathered_, patience);
  if (gathered_.size() == 1 && locked.components().empty()) return false;
  Component& component = merge(locked, gathered_, patience);
  if (deferring_ && (component.qubits >= planned_from_ || has_waiting())) {  // it may have shrunk since
    defer(component, targets, effect);
    return true;
  }
  Index controls = 0;
  for (const QubitId id : controls_) controls |= Index{1} << record(id).bit;
  bits_.clear();
  for (const QubitId id : targets) bits_.push_back(record(id).bit);
  const int n = component.qubits;
  if (n >= long_kernel) patience.give_way();
  on(component, [&](auto* psi, const auto& kernel) {
    switch (effect.kind) {
      case Kind::single: return kernel.single(psi, n, bits_[0], controls, effect.matrix, {});
      case Kind::swap: return kernel.swap(psi, n, bits_[0], bits_[1], controls, {});
      case Kind::block: return kernel.block(psi, n, bits_.data(), static_cast<int>(bits_.size()), controls, effect.matrix, {});
      case Kind::pauli: {
        Index x = 0, z = 0;
        for (std::size_t k = 0; k < bits_.size(); ++k) {
          if (effect.letters[k] != 'Z') x |= Index{1} << bits_[k];
          if (effect.letters[k] != 'X') z |= Index{1} << bits_[k];
        }
        return kernel.pauli(psi, n, x, z, effect.theta, {});
      }
    }
  });
  return true;
}

}  // namespace qmpi
