// The order in which the store executes measurements: recorded, or forced to be a recorded one. Two ranks that race to measure
// entangled qubits then do so again as they did, and the race can be looked at. Costs nothing when neither is asked for.
#pragma once

#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "runtime/philox.h"
#include "runtime/watch.h"

namespace qmpi {

// What a measurement is known by in every run: its draw.
struct Measurement {
  std::int32_t rank;
  Stream stream;
  std::uint64_t number, position;
  bool operator==(const Measurement&) const = default;
};

class Order {
 public:
  Order(std::shared_ptr<Arena> arena, Watch& watch) : arena_(std::move(arena)), watch_(watch) {}
  ~Order();
  Order(const Order&) = delete;
  Order& operator=(const Order&) = delete;

  void record(int descriptor);  // takes it over; open for appending
  void replay(std::span<const Measurement> recorded);

  // execute(): the measurement; returns what it returns.
  template <class Execute>
  int at_its_turn(const Measurement& measurement, Patience& patience, Execute&& execute) {
    if (descriptor_ < 0 && turns_.empty()) return execute();
    return in_order(measurement, patience, execute);
  }

 private:
  struct Hash {
    std::size_t operator()(const Measurement& m) const;
  };
  int in_order(const Measurement& measurement, Patience& patience, const std::function<int()>& execute);
  void await(std::uint64_t turn, const Measurement& measurement, Patience& patience);

  std::shared_ptr<Arena> arena_;
  Watch& watch_;
  int descriptor_ = -1;
  std::vector<Measurement> recorded_;
  std::unordered_map<Measurement, std::uint64_t, Hash> turns_;
};

}  // namespace qmpi
