// The store: the quantum state of a node as a set of components. It applies gates to qubit ids, merges components where a gate
// entangles them, and drops qubits that were measured. It knows neither ranks' handles nor messages. One Store object per rank
// (it owns scratch memory); all share one arena and lock only the components an operation touches.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "plan/circuit.h"
#include "store/arena.h"
#include "store/board.h"

namespace qmpi {

// One gate on ids, ready to be applied.
struct Operation {
  Kind kind;
  std::span<const QubitId> controls, targets;
  const Coefficient* matrix = nullptr;  // single, block
  std::string_view paulis = {};         // pauli: one letter per target
  double theta = 0;                     // pauli
};

// The amplitudes of one component, copied out; bit k of an index belongs to ids[k].
struct Snapshot {
  std::vector<QubitId> ids;
  std::vector<Coefficient> amplitudes;
};

class Store {
 public:
  explicit Store(std::shared_ptr<Arena> arena);
  Arena& arena() const { return *arena_; }

  QubitId allocate(Patience& patience);              // in |0>
  void release(QubitId id, Patience& patience);      // measures nothing: the qubit must be a product qubit
  // Gates on large components wait, to be planned together, until `complete`; they go on waiting if it is interrupted.
  void apply(const Operation& operation, Patience& patience);
  void complete(Patience& patience);
  bool has_waiting() const { return !deferred_ids_.empty(); }
  void flip(QubitId id, Patience& patience);         // X
  void negate(QubitId id, Patience& patience);       // Z
  void hadamard(QubitId id, Patience& patience);     // H
  void copy(QubitId from, QubitId onto, Patience& patience);  // CX

  // `draw` in [0, 1): the outcome is 1 where draw < P(1). The qubit leaves its component as |outcome>.
  int measure(QubitId id, double draw, Patience& patience);
  // CX(control, target), measure target, as one step: components of a and b qubits never occupy more than 2^(a+b-1) amplitudes.
  int measure_parity(QubitId control, QubitId target, double draw, Patience& patience);
  // Puts a qubit that is in a basis state up to `tolerance` into it exactly and returns 0 or 1, else returns -1 and touches nothing.
  int settle(QubitId id, Patience& patience);
  void set_zero(QubitId id);  // a measured qubit becomes |0>

  // How many threads of this process, the caller among them, work on large components and vectors.
  void set_threads(int threads) { threads_ = threads; }
  // Gates on components of at least so many qubits are planned together.
  void set_planned_from(int qubits) { planned_from_ = qubits; }
  int hire();  // sees to it that they are there; how many

  double probability(QubitId id, Patience& patience);  // P(1)
  double expectation(std::span<const QubitId> ids, std::string_view paulis, Patience& patience);
  // Every component that holds one of the ids, each once, read under all their locks.
  std::vector<Snapshot> snapshot(std::span<const QubitId> ids, Patience& patience);
  // Largest P(wrong) with which a qubit still counts as being in a basis state.
  double tolerance() const { return single_ ? 1e-6 : 1e-12; }

 private:
  class Locked;
  QubitRecord& record(QubitId id) const { return arena_->qubit(qmpi::slot_of(id)); }
  Component& component_of(const QubitRecord& record) const {
    return arena_->component(record.component.load(std::memory_order_relaxed));
  }
  template <class F>
  auto on(Component& component, F&& visit) const;
  template <class Real>
  std::complex<Real>* amplitudes(const Component& component) const {
    return arena_->at<std::complex<Real>>(component.block.offset);
  }

  // What a gate does to the qubits it names, once they are in one component.
  struct Effect {
    Kind kind;
    const Coefficient* matrix = nullptr;
    std::string_view letters = {};
    double theta = 0;
  };

  void dispatch(const Operation& operation, Patience& patience);
  bool is_product(QubitId id, Patience& patience);
  // Controls that are exactly |0> or |1> are resolved: false if the gate does nothing; what remains stands in controls_.
  bool resolve_controls(std::span<const QubitId> controls, Patience& patience);
  void apply_single(QubitId target, const Coefficient* matrix, Patience& patience);
  void apply_block(std::span<const QubitId> targets, const Coefficient* matrix, Patience& patience);
  void apply_pauli(const Operation& operation, Patience& patience);
  bool block_on_basis(std::span<const QubitId> targets, const Coefficient* matrix, Patience& patience);
  void exchange(QubitId a, QubitId b, Patience& patience);
  bool merge_and(std::span<const QubitId> targets, const Effect& effect, Patience& patience);
  void defer(const Component& component, std::span<const QubitId> targets, const Effect& effect);
  int deferred_number(QubitId id);

  Component& merge(Locked& locked, std::span<const QubitId> ids, Patience& patience);
  Component& start_component(const QubitRecord& first, std::uint32_t slot, int qubits, Patience& patience);
  void append(Component& component, QubitRecord& record, std::uint32_t slot);
  void absorb(Component& component, Component& other);
  void adopt(Component& component, Component& other, int except);
  void note_merge(int qubits);
  void leave(QubitRecord& qubit, int value);
  int parity_within(const QubitRecord& kept, const QubitRecord& dropped, double draw, Patience& patience);
  int parity_across(QubitId control, const QubitRecord& dropped, double draw, Patience& patience);
  void reserve(Component& component, int qubits, Patience& patience);
  void remove_bit(Component& component, int bit, Patience& patience);
  void shrink(Component& component, Patience& patience);
  void move(Component& component, std::uint64_t bytes, std::uint64_t preferred, Patience& patience);
  void recycle(Component& component, Patience& patience);
  double negligible() const { return single_ ? 1e-12 : 1e-24; }  // weight that only rounding can have left
  std::uint64_t amplitude_bytes(int qubits) const { return (single_ ? 8ull : 16ull) << qubits; }

  std::shared_ptr<Arena> arena_;
  bool single_;
  const Kernels<double>& double_kernels_;
  const Kernels<float>& float_kernels_;
  // Scratch, so that nothing is allocated per gate.
  std::vector<QubitId> controls_, gathered_;
  std::vector<int> bits_;
  std::vector<Component*> locked_, wanted_;
  std::vector<std::uint32_t> emptied_;
  // Gates that wait, all on qubits of one component: qubit number k of the circuit is deferred_ids_[k].
  bool deferring_ = false;
  Circuit deferred_{max_component_qubits};
  std::vector<QubitId> deferred_ids_;
  double deferred_work_ = 0;  // amplitudes that single passes would touch
  std::unique_ptr<Crew> crew_;
  int threads_ = 1;
  int planned_from_ = 13;  // a plan costs as much as a few gates on so many qubits
};

}  // namespace qmpi
