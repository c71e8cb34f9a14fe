// What the parts of the store (apply.cc, component.cc, measure.cc) share: locking the components of some qubits, and visiting the
// amplitudes of one in its precision. Included by them only.
#pragma once

#include <algorithm>

#include "store/store.h"

namespace qmpi {

constexpr int long_kernel = 12;   // qubits from which a kernel may take longer than 20 us
constexpr int shared_from = 18;   // qubits from which this rank's threads help
constexpr double most_deferred = 0x1p33;  // amplitudes: a second or so of work, then an interrupt is heard again

// Locks the components of some qubits, in ascending order; recycles the emptied ones when they are unlocked.
class Store::Locked {
 public:
  Locked(Store& store, std::span<const QubitId> ids, Patience& patience) : store_(store), patience_(patience) {
    try {
      while (!try_all(ids)) release();
    } catch (const Error&) {  // interrupted, or an owner died
      release();
      throw;
    }
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
        component->mutex.lock_long(patience_);
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

}  // namespace qmpi
