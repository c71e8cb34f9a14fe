#include "runtime/order.h"

#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "store/doorbell.h"

namespace qmpi {
namespace {

constexpr std::int64_t slice_us = 50'000;

// As a recorded line has it.
std::string name_of(const Measurement& m) {
  char line[96];
  std::snprintf(line, sizeof line, "%d %s %llu %llu", m.rank, m.stream == Stream::user ? "user" : "protocol",
                static_cast<unsigned long long>(m.number), static_cast<unsigned long long>(m.position));
  return line;
}

}  // namespace

Order::~Order() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::size_t Order::Hash::operator()(const Measurement& m) const {
  return ((m.number * 4099 + m.position) * 4099 + static_cast<std::uint64_t>(m.rank)) * 2 + static_cast<std::uint64_t>(m.stream);
}

void Order::record(int descriptor) { descriptor_ = descriptor; }

void Order::replay(std::span<const Measurement> recorded) {
  recorded_.assign(recorded.begin(), recorded.end());
  for (std::size_t turn = 0; turn < recorded_.size(); ++turn) turns_[recorded_[turn]] = turn;
}

int Order::in_order(const Measurement& measurement, Patience& patience, const std::function<int()>& execute) {
  Header& shared = arena_->header();
  if (descriptor_ >= 0) {
    Guard guard(shared.order, patience);
    const int outcome = execute();
    const std::string line = name_of(measurement) + "\n";
    if (write(descriptor_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
      throw Error("OrderError", std::string("the order of measurements cannot be recorded: ") + std::strerror(errno));
    return outcome;
  }
  // What was not recorded comes after everything that was.
  const auto found = turns_.find(measurement);
  const bool known = found != turns_.end();
  const std::uint64_t turn = known ? found->second : recorded_.size();
  if (shared.turn < turn) await(turn, measurement, patience);
  const int outcome = execute();
  if (known) {
    shared.turn = turn + 1;
    shared.turn_bell += 1;
    futex_wake(shared.turn_bell, INT_MAX);
  }
  return outcome;
}

void Order::await(std::uint64_t turn, const Measurement& measurement, Patience& patience) {
  Header& shared = arena_->header();
  patience.give_way();
  bool published = false;
  while (shared.turn < turn) {
    const std::uint32_t seen = shared.turn_bell;
    if (shared.turn < turn) futex_wait(shared.turn_bell, seen, slice_us);
    patience.look_up();
    if (shared.turn >= turn) break;
    if (!std::exchange(published, true))
      watch_.publish(turn, "measurement " + name_of(measurement) + ", whose turn has not come: next in the recorded order is " + name_of(recorded_[shared.turn]), patience);
    try {
      if (watch_.look(patience)) watch_.accept(patience);
    } catch (const Error&) {
      watch_.unpublish(patience);
      throw;
    }
  }
  watch_.unpublish(patience);
}

}  // namespace qmpi
