// Components of the store: how they grow together, take up product qubits, shrink and give their memory back.
#include <cstring>
#include <string>

#include "store/locked.h"

namespace qmpi {
namespace {

constexpr std::uint64_t smallest_block = 256;     // bytes: a pair grows a little without moving
constexpr std::uint64_t doublings_reserved = 64;  // address range of a large component, in units of its size

}  // namespace

Store::Store(std::shared_ptr<Arena> arena)
    : arena_(std::move(arena)),
      single_(arena_->settings().single_precision),
      double_kernels_(kernels<double>(best_isa())),
      float_kernels_(kernels<float>(best_isa())) {}

QubitId Store::allocate(Patience& patience) {
  const std::uint32_t slot = arena_->take_qubit(patience);
  QubitRecord& fresh = arena_->qubit(slot);
  fresh.component.store(0, std::memory_order_relaxed);
  fresh.set_basis(0);
  return make_id(slot, fresh.generation);
}

void Store::release(QubitId id, Patience& patience) { arena_->give_qubit(qmpi::slot_of(id), patience); }

void Store::set_zero(QubitId id) { record(id).set_basis(0); }

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
    try {
      move(component, bytes, bytes >= page ? doublings_reserved * bytes : bytes, patience);
    } catch (const Error&) {
      arena_->refund(bytes - component.charged);
      throw;
    }
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
  if (component.qubits > 1) return shrink(component, patience);
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

// Memory goes back once three quarters are unused, at once where much is at stake. What has become small also gives back its range.
void Store::shrink(Component& component, Patience& patience) {
  constexpr std::uint64_t system_page = 4096;
  const std::uint64_t used = std::max(amplitude_bytes(component.qubits), system_page);
  if (component.block.capacity < page || used >= component.charged) return;
  if (4 * used > component.charged && 16 * component.charged < arena_->settings().memory) return;
  if (used < page)
    move(component, used, used, patience);
  else
    arena_->punch(component.block.offset + used, component.charged - used);
  arena_->refund(component.charged - used);
  component.charged = used;
}

// Into another block, with the amplitudes it has now.
void Store::move(Component& component, std::uint64_t bytes, std::uint64_t preferred, Patience& patience) {
  const Block block = arena_->take(bytes, preferred, patience);
  if (component.block.capacity) {
    std::memcpy(arena_->at<char>(block.offset), arena_->at<char>(component.block.offset), amplitude_bytes(component.qubits));
    arena_->give(component.block, component.charged, patience);
  }
  component.block = block;
}

}  // namespace qmpi
