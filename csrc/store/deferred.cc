// Gates that wait for others: on a large component a plan of many gates needs far fewer passes over memory than the gates one by one.
#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>

#include "store/locked.h"
#include "store/run.h"

namespace qmpi {

int Store::deferred_number(QubitId id) {
  const auto found = std::find(deferred_ids_.begin(), deferred_ids_.end(), id);
  if (found == deferred_ids_.end()) {
    deferred_ids_.push_back(id);
    return static_cast<int>(deferred_ids_.size()) - 1;
  }
  return static_cast<int>(found - deferred_ids_.begin());
}

// `merge` has brought all its qubits into one component; what waits already is on qubits of the same, or has been completed there.
void Store::defer(const Component& component, std::span<const QubitId> targets, const Effect& effect) {
  std::vector<int> numbers, controls;
  for (const QubitId id : targets) numbers.push_back(deferred_number(id));
  for (const QubitId id : controls_) controls.push_back(deferred_number(id));
  deferred_.add(effect.kind, controls, numbers, effect.matrix, effect.letters, effect.theta);
  deferred_work_ += std::ldexp(1.0, component.qubits);
}

void Store::complete(Patience& patience) {
  if (!has_waiting()) return;
  Locked locked(*this, deferred_ids_, patience);
  Steadfast steadfast(patience);
  const std::vector<QubitId> ids = std::exchange(deferred_ids_, {});
  const Circuit circuit = std::exchange(deferred_, Circuit(max_component_qubits));
  deferred_work_ = 0;
  std::vector<int> actions(circuit.size()), place(max_component_qubits);
  for (std::size_t k = 0; k < actions.size(); ++k) actions[k] = static_cast<int>(k);
  if (locked.components().empty()) {  // one qubit, since the others of its component were measured
    QubitRecord& last = record(ids[0]);
    const Circuit alone = circuit.localised(actions, place, 1, 0, circuit.scalar());
    const Kernels<double>& kernel = double_kernels_;
    for (const ProgramText& text : make_plan<double>(alone, kernel.tile_shape(), best_tiling<double>(), 1))
      kernel.run(last.amplitude, text.program(), 0, text.program().chunks);
    return;
  }
  Component& component = *locked.components()[0];
  for (std::size_t k = 0; k < ids.size(); ++k) place[k] = record(ids[k]).bit;
  const Circuit circuit_here = circuit.localised(actions, place, component.qubits, 0, circuit.scalar());
  const Amplitudes amplitudes{component.block.offset, component.qubits, single_, best_isa()};
  if (component.qubits >= shared_from) hire();
  if (component.qubits >= long_kernel) patience.give_way();
  const int workers = std::max(threads_, std::min(arena_->settings().ranks, static_cast<int>(std::thread::hardware_concurrency())));
  for (const ProgramText& text : plan_for(amplitudes, circuit_here, workers)) run_program(*arena_, amplitudes, text, steadfast);
}

int Store::hire() {
  if (!crew_ && threads_ > 1) crew_ = std::make_unique<Crew>(arena_, threads_ - 1);
  return threads_;
}

}  // namespace qmpi
