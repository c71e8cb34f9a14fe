#include "store/vector.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>

#include "kernels/bits.h"

namespace qmpi {
namespace {

constexpr int most_chunk_bits = 16;
constexpr int sampled_run_bits = 6;  // a draw looks at so many amplitudes

}  // namespace

template <class F>
auto Vector::with(F&& visit) const {
  if (single_) return visit(reinterpret_cast<std::complex<float>*>(amplitudes()), kernels<float>(isa_));
  return visit(reinterpret_cast<std::complex<double>*>(amplitudes()), kernels<double>(isa_));
}

Vector::Vector(std::shared_ptr<Arena> arena, int bits, bool single_precision, int workers, Patience& patience)
    : arena_(std::move(arena)), bits_(bits), workers_(workers), single_(single_precision), isa_(best_isa()),
      bytes_(std::max<std::uint64_t>((single_precision ? 8ull : 16ull) << bits, 64)) {
  arena_->charge(bytes_, bits);
  try {
    block_ = arena_->take(bytes_, 0, patience);
  } catch (const Error&) {
    arena_->refund(bytes_);
    throw;
  }
}

Vector::~Vector() {
  if (arena_->forked()) return;
  Patience patience;
  arena_->give(block_, bytes_, patience);
  arena_->refund(bytes_);
}

int Vector::chunk_bits() const { return std::min(bits_, most_chunk_bits); }

Task Vector::task(Task::Kind kind) const {
  Task task = task_on(here(), kind);
  task.chunk_bits = chunk_bits();
  task.chunks = Index{1} << (bits_ - task.chunk_bits);
  return task;
}

void Vector::clear(bool first_is_one, Patience& patience) {
  next_ = 0;
  run_together(*arena_, task(Task::Kind::clear), patience);
  if (first_is_one) with([](auto* psi, const auto&) { psi[0] = 1; });
}

Plan Vector::plan(const Circuit& circuit, Tiling wanted) const {
  return {plan_for(here(), circuit, workers_, wanted), circuit.layout()};
}

void Vector::run(const Plan& plan, Patience& patience) {
  while (next_ < plan.programs.size()) {
    run_program(*arena_, here(), plan.programs[next_++], patience);
    if (patience.gave_way()) patience.look_up();
  }
  next_ = 0;
}

// What each chunk found, task.width numbers each, added up in the order of the chunks.
std::vector<double> Vector::collect(Task task, Patience& patience) {
  const std::size_t width = static_cast<std::size_t>(task.width), count = width * static_cast<std::size_t>(task.chunks);
  const Lent lent(*arena_, count * sizeof(double), patience);
  task.results = lent.offset();
  if (task.chunks > 1) patience.give_way();
  run_together(*arena_, task, patience);
  const double* found = arena_->at<double>(lent.offset());
  return {found, found + count};
}

Weights Vector::weights(Index mask, Patience& patience) {
  Task task = this->task(Task::Kind::weights);
  task.mask = mask;
  task.width = 2;
  Weights sum{0, 0};
  const std::vector<double> found = collect(task, patience);
  for (std::size_t k = 0; k < found.size(); k += 2) sum = {sum.zero + found[k], sum.one + found[k + 1]};
  return sum;
}

void Vector::multiply(int bit, double zero, double one, Patience& patience) {
  ProgramText text;
  const Coefficient u[4] = {zero, 0.0, 0.0, one};
  const std::int64_t matrix = text.append(u, 4);
  Program& program = text.program();
  program.tiled = false;
  program.n = bits_;
  program.chunks = Index{1} << (bits_ - chunk_bits());
  program.direct = {};
  program.direct.kind = DirectKind::single;
  program.direct.targets[0] = bit;
  program.direct.matrix = matrix;
  run_program(*arena_, here(), text, patience);
}

std::vector<double> Vector::expectations(std::span<const PauliMasks> products, Patience& patience) {
  std::vector<double> means(products.size());
  std::vector<int> left;
  const auto observations = with([&](auto* psi, const auto& kernel) {
    using Real = typename std::remove_pointer_t<decltype(psi)>::value_type;
    return make_observations<Real>(bits_, products, kernel.tile_shape(), best_tiling<Real>(), workers_, left);
  });
  for (const Observation& observation : observations) {
    const Program& program = observation.text.program();
    const Lent lent(*arena_, static_cast<std::uint64_t>(program.bytes), patience);
    std::memcpy(arena_->at<char>(lent.offset()), &program, static_cast<std::size_t>(program.bytes));
    Task task = this->task(Task::Kind::observe);
    task.program = lent.offset();
    task.chunks = program.chunks;
    task.width = program.step_count;
    const std::vector<double> found = collect(task, patience);
    for (std::size_t k = 0; k < found.size(); ++k) means[observation.products[k % observation.products.size()]] += found[k];
  }
  for (const int k : left)  // more bits than a tile has
    means[k] = with([&](auto* psi, const auto& kernel) { return kernel.expectation(psi, bits_, products[k].x, products[k].z, {}); });
  return means;
}

void Vector::sample(std::span<const double> targets, std::span<std::int64_t> indices, Patience& patience) {
  Task task = this->task(Task::Kind::sums);
  task.run_bits = std::min(sampled_run_bits, task.chunk_bits);
  task.width = bit(task.chunk_bits - task.run_bits);
  const std::vector<double> sums = collect(task, patience);
  const Index size = Index{1} << task.run_bits;
  with([&](auto* psi, const auto&) {
    double before = 0;
    std::size_t next = 0;
    std::int64_t last = 0;  // of weight above 0
    for (std::size_t run = 0; run < sums.size() && next < targets.size(); before += sums[run++]) {
      const double end = before + sums[run];
      if (targets[next] >= end) continue;
      double reached = before;
      const auto* from = psi + static_cast<Index>(run) * size;
      for (Index i = 0; i < size && next < targets.size(); ++i) {
        const double weight = std::norm(std::complex<double>(from[i]));
        if (weight == 0) continue;
        last = static_cast<Index>(run) * size + i;
        for (reached += weight; next < targets.size() && targets[next] < reached; ++next) indices[next] = last;
      }
      // What rounding left over belongs to the last one.
      for (; next < targets.size() && targets[next] < end; ++next) indices[next] = last;
    }
    if (next == targets.size()) return;
    for (Index i = Index{1} << bits_; i-- > last;)  // beyond the total, by rounding
      if (psi[i] != decltype(psi[i] + psi[i])(0)) {
        last = i;
        break;
      }
    for (; next < targets.size(); ++next) indices[next] = last;
  });
}

// Chunks have sums of their own, and are so few that all these take little memory beside the amplitudes, or beside the result.
std::vector<double> Vector::marginal(std::span<const int> bits, Patience& patience) {
  std::vector<int> sorted(bits.begin(), bits.end());
  std::sort(sorted.begin(), sorted.end());
  Task task = this->task(Task::Kind::marginal);
  for (const int b : sorted) task.mask |= bit(b);
  const auto inside = [&] { return static_cast<int>(std::lower_bound(sorted.begin(), sorted.end(), task.chunk_bits) - sorted.begin()); };
  while (bits_ - task.chunk_bits + inside() > std::max(static_cast<int>(bits.size()), bits_ - 6)) ++task.chunk_bits;
  task.chunks = bit(bits_ - task.chunk_bits);
  task.width = bit(inside());
  const std::vector<double> found = collect(task, patience);

  std::vector<double> sums(std::size_t{1} << bits.size());
  std::vector<int> place;  // of each bit among the sorted
  for (const int b : bits) place.push_back(static_cast<int>(std::lower_bound(sorted.begin(), sorted.end(), b) - sorted.begin()));
  for (Index chunk = 0; chunk < task.chunks; ++chunk)
    for (Index value = 0; value < task.width; ++value) {
      Index index = 0;
      for (std::size_t k = 0; k < bits.size(); ++k)
        index |= (bits[k] < task.chunk_bits ? value >> place[k] & 1 : chunk >> (bits[k] - task.chunk_bits) & 1) << k;
      sums[static_cast<std::size_t>(index)] += found[static_cast<std::size_t>(chunk * task.width + value)];
    }
  return sums;
}

}  // namespace qmpi
