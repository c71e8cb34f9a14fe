#include "store/store.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace qmpi {
namespace {

constexpr double root_half = 0.70710678118654752440;
constexpr Coefficient x_matrix[4] = {0, 1, 1, 0};
constexpr Coefficient z_matrix[4] = {1, 0, 0, -1};
constexpr Coefficient h_matrix[4] = {root_half, root_half, root_half, -root_half};

constexpr int long_kernel = 12;                   // qubits from which a kernel may take longer than 20 us
constexpr std::uint64_t smallest_block = 256;     // bytes: a pair grows a little without moving
constexpr std::uint64_t doublings_reserved = 64;  // address range of a large component, in units of its size

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

bool is_diagonal(const Coefficient* matrix) { return matrix[1] == 0.0 && matrix[2] == 0.0; }

}  // namespace

// Locks the components of some qubits, in ascending order; recycles the emptied ones when they are unlocked.
class Store::Locked {
 public:
  Locked(Store& store, std::span<const QubitId> ids, Patience& patience) : store_(store), patience_(patience) {
    while (!try_all(ids)) release();
  }
  ~Locked() {
    release();
    for (const std::uint32_t slot : store_.emptied_) store_.arena_->give_component(slot, patience_);
    store_.emptied_.clear();
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

  std::span<Component* const> components() const { return store_.locked_; }

 private:
  void collect(std::span<const QubitId> ids, std::vector<Component*>& found) const {
    found.clear();
    for (const QubitId id : ids) {
      if (const std::uint32_t slot = store_.record(id).component.load(std::memory_order_acquire)) {
        Component* component = &store_.arena_->component(slot);
        if (std::find(found.begin(), found.end(), component) == found.end()) found.push_back(component);
      }
    }
    std::sort(found.begin(), found.end());
  }

  // False if a qubit changed its component before all were locked.
  bool try_all(std::span<const QubitId> ids) {
    collect(ids, store_.wanted_);
    for (Component* component : store_.wanted_) {
      if (!component->mutex.try_lock()) {
        store_.arena_->header().statistics.waits += 1;
        component->mutex.lock(patience_);
      }
      store_.locked_.push_back(component);
    }
    collect(ids, store_.wanted_);
    return store_.wanted_ == store_.locked_;
  }

  void release() {
    for (Component* component : store_.locked_) component->mutex.unlock();
    store_.locked_.clear();
  }

  Store& store_;
  Patience& patience_;
};

template <class F>
auto Store::on(Component& component, F&& visit) const {
  if (single_) return visit(amplitudes<float>(component), float_kernels_);
  return visit(amplitudes<double>(component), double_kernels_);
}

Store::Store(std::shared_ptr<Arena> arena)
    : arena_(std::move(arena)),
      single_(arena_->settings().single_precision),
      double_kernels_(kernels<double>(best_isa())),
      float_kernels_(kernels<float>(best_isa())) {}

// --- qubits --------------------------------------------------------------------------------------------------------------------

QubitId Store::allocate(Patience& patience) {
  const std::uint32_t slot = arena_->take_qubit(patience);
  QubitRecord& fresh = arena_->qubit(slot);
  fresh.component.store(0, std::memory_order_relaxed);
  fresh.set_basis(0);
  return make_id(slot, fresh.generation);
}

void Store::release(QubitId id, Patience& patience) { arena_->give_qubit(qmpi::slot_of(id), patience); }

void Store::set_zero(QubitId id) { record(id).set_basis(0); }

// --- gates ---------------------------------------------------------------------------------------------------------------------

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
  if (resolve_controls({&from, 1})) apply_single(onto, x_matrix, patience);
}

void Store::apply(const Operation& operation, Patience& patience) {
  if (!resolve_controls(operation.controls)) return;
  const std::span<const QubitId> targets = operation.targets;
  switch (operation.kind) {
    case Kind::single:
      return apply_single(targets[0], operation.matrix, patience);
    case Kind::swap:
      if (controls_.empty()) return exchange(targets[0], targets[1], patience);
      return merge_and(targets, patience, [&](auto* psi, const auto& kernel, int n, Index controls) {
        kernel.swap(psi, n, bits_[0], bits_[1], controls);
      });
    case Kind::block:
      return apply_block(targets, operation.matrix, patience);
    case Kind::pauli:
      return apply_pauli(operation, patience);
  }
}

bool Store::resolve_controls(std::span<const QubitId> controls) {
  controls_.clear();
  for (const QubitId id : controls) {
    const QubitRecord& control = record(id);
    const int value = control.is_product() ? control.basis() : -1;
    if (value == 0) return false;
    if (value == -1) controls_.push_back(id);
  }
  return true;
}

void Store::apply_single(QubitId target, const Coefficient* u, Patience& patience) {
  QubitRecord& qubit = record(target);
  if (qubit.is_product()) {
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
  merge_and({&target, 1}, patience, [&](auto* psi, const auto& kernel, int n, Index controls) {
    kernel.single(psi, n, bits_[0], controls, u);
  });
}

// Product qubits in basis states need not join where the matrix does not leave their value (diagonal and controlled blocks), or
// where all are and the result is one basis state (permutations). True if nothing is left to do.
bool Store::block_on_basis(std::span<const QubitId> targets, const Coefficient* u) {
  const int dimension = 1 << targets.size();
  int column = 0;
  for (std::size_t k = 0; k < targets.size(); ++k) {
    const QubitRecord& qubit = record(targets[k]);
    const int value = qubit.is_product() ? qubit.basis() : -1;
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
  if (controls_.empty() && block_on_basis(targets, u)) return;
  const int count = static_cast<int>(targets.size()), dimension = 1 << count;
  for (int k = 0; k < count; ++k) {
    const QubitRecord& qubit = record(targets[k]);
    const int value = qubit.is_product() ? qubit.basis() : -1;
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
  merge_and(targets, patience, [&](auto* psi, const auto& kernel, int n, Index controls) {
    kernel.block(psi, n, bits_.data(), count, controls, u);
  });
}

// exp(-i theta/2 P). Letters I fall away, Z on basis states are signs; one letter left is a 2x2 matrix.
void Store::apply_pauli(const Operation& operation, Patience& patience) {
  std::vector<QubitId> ids;
  std::string letters;
  double theta = operation.theta;
  for (std::size_t k = 0; k < operation.targets.size(); ++k) {
    const QubitRecord& qubit = record(operation.targets[k]);
    const char letter = operation.paulis[k];
    const int value = letter == 'Z' && qubit.is_product() ? qubit.basis() : -1;
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
  merge_and(ids, patience, [&](auto* psi, const auto& kernel, int n, Index) {
    Index x = 0, z = 0;
    for (std::size_t k = 0; k < ids.size(); ++k) {
      if (letters[k] != 'Z') x |= Index{1} << bits_[k];
      if (letters[k] != 'X') z |= Index{1} << bits_[k];
    }
    kernel.pauli(psi, n, x, z, theta);
  });
}

// SWAP is a change of places: the two records trade component, bit and amplitudes.
void Store::exchange(QubitId a, QubitId b, Patience& patience) {
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

// Joins controls_ and targets into one component and runs kernel(psi, kernels, n, control mask) on it; bits_ holds the targets'.
template <class Kernel>
void Store::merge_and(std::span<const QubitId> targets, Patience& patience, Kernel&& kernel) {
  gathered_.assign(targets.begin(), targets.end());
  gathered_.insert(gathered_.end(), controls_.begin(), controls_.end());
  Locked locked(*this, gathered_, patience);
  Component& component = merge(locked, gathered_, patience);
  Index mask = 0;
  for (const QubitId id : controls_) mask |= Index{1} << record(id).bit;
  bits_.clear();
  for (const QubitId id : targets) bits_.push_back(record(id).bit);
  if (component.qubits >= long_kernel) patience.give_way();
  on(component, [&](auto* psi, const auto& table) { kernel(psi, table, component.qubits, mask); });
}

// --- components ----------------------------------------------------------------------------------------------------------------

// All ids in one component: the largest they have grows by the others. Refused before anything is touched.
Component& Store::merge(Locked& locked, std::span<const QubitId> ids, Patience& patience) {
  const auto components = locked.components();
  int total = 0;
  const QubitId* first_product = nullptr;
  for (const QubitId& id : ids) {
    if (!record(id).is_product()) continue;
    ++total;
    if (!first_product) first_product = &id;
  }
  if (total == 0 && components.size() == 1) return *components[0];
  for (const Component* component : components) total += component->qubits;

  Component* base;
  if (components.empty()) {
    // Only qubits of this caller: nobody else can see the new component, so its lock is not needed.
    base = &start_component(record(*first_product), qmpi::slot_of(*first_product), total, patience);
  } else {
    base = *std::max_element(components.begin(), components.end(),
                             [](const Component* a, const Component* b) { return a->qubits < b->qubits; });
    reserve(*base, total, patience);
  }
  if (total >= long_kernel) patience.give_way();
  for (Component* component : components)
    if (component != base) {
      absorb(*base, *component);
      recycle(*component, patience);
    }
  for (const QubitId id : ids)
    if (record(id).is_product()) append(*base, record(id), qmpi::slot_of(id));
  note_merge(total);
  return *base;
}

// A component of one qubit, with room for `qubits`.
Component& Store::start_component(const QubitRecord& first, std::uint32_t slot, int qubits, Patience& patience) {
  const std::uint32_t component_slot = arena_->take_component(patience);
  Component& component = arena_->component(component_slot);
  component.qubits = 0;
  component.block = {};
  component.charged = 0;
  try {
    reserve(component, qubits, patience);
  } catch (const Error&) {
    arena_->give_component(component_slot, patience);
    throw;
  }
  on(component, [&](auto* psi, const auto&) {
    using Amplitude = std::remove_pointer_t<decltype(psi)>;
    psi[0] = Amplitude(first.amplitude[0]);
    psi[1] = Amplitude(first.amplitude[1]);
  });
  component.qubits = 1;
  component.slot_at[0] = slot;
  QubitRecord& record = arena_->qubit(slot);
  record.bit = 0;
  record.component.store(component_slot, std::memory_order_release);
  arena_->header().statistics.entangled_qubits += 1;
  return component;
}

// The product qubit becomes the top bit.
void Store::append(Component& component, QubitRecord& qubit, std::uint32_t slot) {
  on(component, [&](auto* psi, const auto& kernel) {
    using Amplitude = std::remove_pointer_t<decltype(psi)>;
    const Amplitude pair[2] = {Amplitude(qubit.amplitude[0]), Amplitude(qubit.amplitude[1])};
    kernel.join(psi, component.qubits, pair, 1);
  });
  qubit.bit = component.qubits;
  component.slot_at[component.qubits++] = slot;
  qubit.component.store(arena_->slot_of(component), std::memory_order_release);
  arena_->header().statistics.entangled_qubits += 1;
}

// Both are locked; the other's bits land on top.
void Store::absorb(Component& component, Component& other) {
  on(component, [&](auto* psi, const auto& kernel) {
    using Real = typename std::remove_pointer_t<decltype(psi)>::value_type;
    kernel.join(psi, component.qubits, amplitudes<Real>(other), other.qubits);
  });
  adopt(component, other, -1);
}

// Books the other's qubits, but for the one on bit `except`, as the component's top bits.
void Store::adopt(Component& component, Component& other, int except) {
  for (int bit = 0; bit < other.qubits; ++bit) {
    if (bit == except) continue;
    QubitRecord& moved = arena_->qubit(other.slot_at[bit]);
    moved.bit = component.qubits;
    component.slot_at[component.qubits++] = other.slot_at[bit];
    moved.component.store(arena_->slot_of(component), std::memory_order_release);
  }
  other.qubits = 0;
}

void Store::note_merge(int qubits) {
  Statistics& statistics = arena_->header().statistics;
  statistics.merges += 1;
  std::int64_t seen = statistics.peak_component.load(std::memory_order_relaxed);
  while (seen < qubits && !statistics.peak_component.compare_exchange_weak(seen, qubits)) {
  }
}

// Room for `qubits` qubits. Small blocks are paid by capacity, large ones by the bytes they use of their address range.
void Store::reserve(Component& component, int qubits, Patience& patience) {
  if (qubits > max_component_qubits)
    throw Error("StateTooLarge", "an entangled state of " + std::to_string(qubits) + " qubits is beyond the limit of " +
                                     std::to_string(max_component_qubits));
  const std::uint64_t bytes = std::max(amplitude_bytes(qubits), smallest_block);
  if (bytes <= component.charged) return;
  arena_->charge(bytes - component.charged, qubits);
  if (bytes > component.block.capacity) {
    Block block;
    try {
      block = arena_->take(bytes, bytes >= page ? doublings_reserved * bytes : bytes, patience);
    } catch (const Error&) {
      arena_->refund(bytes - component.charged);
      throw;
    }
    if (component.block.capacity) {
      std::memcpy(arena_->at<char>(block.offset), arena_->at<char>(component.block.offset), amplitude_bytes(component.qubits));
      arena_->give(component.block, component.charged, patience);
    }
    component.block = block;
  }
  component.charged = bytes;
}

// An empty component gives back its block now and its slot when it is unlocked.
void Store::recycle(Component& component, Patience& patience) {
  arena_->give(component.block, component.charged, patience);
  arena_->refund(component.charged);
  component.block = {};
  component.charged = 0;
  emptied_.push_back(arena_->slot_of(component));
}

// The amplitudes have been compacted already: book the loss of one bit. A single qubit that is left becomes a product qubit.
void Store::remove_bit(Component& component, int bit, Patience& patience) {
  --component.qubits;
  for (int b = bit; b < component.qubits; ++b) {
    component.slot_at[b] = component.slot_at[b + 1];
    arena_->qubit(component.slot_at[b]).bit = b;
  }
  arena_->header().statistics.entangled_qubits -= 1;
  if (component.qubits > 1) return shrink(component);
  QubitRecord& last = arena_->qubit(component.slot_at[0]);
  on(component, [&](auto* psi, const auto&) {
    last.amplitude[0] = Coefficient(psi[0]);
    last.amplitude[1] = Coefficient(psi[1]);
  });
  arena_->header().statistics.entangled_qubits -= 1;
  component.qubits = 0;
  last.component.store(0, std::memory_order_release);
  recycle(component, patience);
}

// Memory goes back once three quarters are unused, at once where much is at stake.
void Store::shrink(Component& component) {
  constexpr std::uint64_t system_page = 4096;
  const std::uint64_t used = std::max(amplitude_bytes(component.qubits), system_page);
  if (component.block.capacity < page || used >= component.charged) return;
  if (4 * used > component.charged && 16 * component.charged < arena_->settings().memory) return;
  arena_->punch(component.block.offset + used, component.charged - used);
  arena_->refund(component.charged - used);
  component.charged = used;
}

// --- measurement ---------------------------------------------------------------------------------------------------------------

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
      return kernel.expectation(psi, component->qubits, x, z) / kernel.weights(psi, component->qubits, 0).total();
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

int Store::component_size(QubitId id, Patience& patience) {
  Locked locked(*this, {&id, 1}, patience);
  return record(id).is_product() ? 1 : component_of(record(id)).qubits;
}

}  // namespace qmpi
