#include "plan/circuit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "kernels/bits.h"

namespace qmpi {
namespace {

constexpr double nothing = 1e-15;  // entries that only rounding has left
constexpr int most_expanded = 6;   // qubits of a diagonal matrix written as terms

// c = a b, 2x2 or 4x4.
template <int dim>
void multiply(const Coefficient* a, const Coefficient* b, Coefficient* c) {
  std::array<Coefficient, dim * dim> product{};
  for (int i = 0; i < dim; ++i)
    for (int k = 0; k < dim; ++k)
      for (int j = 0; j < dim; ++j) product[i * dim + j] += a[i * dim + k] * b[k * dim + j];
  std::copy(product.begin(), product.end(), c);
}

// The 4x4 matrix of u on the first (place 0) or second of two bits.
std::array<Coefficient, 16> on_one_of_two(const Coefficient* u, int place) {
  std::array<Coefficient, 16> whole{};
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      if (((i ^ j) >> (1 - place) & 1) == 0) whole[i * 4 + j] = u[(i >> place & 1) * 2 + (j >> place & 1)];
  return whole;
}

// The same matrix with its two bits in the other order.
std::array<Coefficient, 16> reordered(const Coefficient* u) {
  constexpr int other[4] = {0, 2, 1, 3};
  std::array<Coefficient, 16> result;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) result[i * 4 + j] = u[other[i] * 4 + other[j]];
  return result;
}

bool is(Coefficient value, double real) { return std::abs(value - real) <= nothing; }

}  // namespace

Circuit::Circuit(int n) : Circuit(n, {}) {
  layout_.resize(n);
  std::iota(layout_.begin(), layout_.end(), 0);
}

Circuit::Circuit(int n, std::vector<int> layout) : n_(n), layout_(std::move(layout)), last_(n, -1) {}

void Circuit::clear() {
  actions_.clear();
  terms_.clear();
  entries_.clear();
  block_bits_.clear();
  std::fill(last_.begin(), last_.end(), -1);
  scalar_ = 1.0;
}

void Circuit::add_row(int code, std::span<const double> parameters, std::span<const int> controls, std::span<const int> targets,
                      const Coefficient* matrix, std::string_view paulis) {
  const Gate& row = gate_table()[code];
  Coefficient own[16];
  if (row.matrix) {
    row.matrix(parameters.data(), own);
    matrix = own;
  }
  add(row.kind, controls, targets, matrix, row.paulis.empty() ? paulis : row.paulis, row.kind == Kind::pauli ? parameters[0] : 0);
}

void Circuit::add(Kind kind, std::span<const int> controls, std::span<const int> targets, const Coefficient* matrix,
                  std::string_view paulis, double theta) {
  if (kind == Kind::swap && controls.empty()) return std::swap(layout_[targets[0]], layout_[targets[1]]);
  Index mask = 0;
  for (const int qubit : controls) mask |= bit(layout_[qubit]);
  scratch_.clear();
  for (const int qubit : targets) scratch_.push_back(layout_[qubit]);
  const std::span<const int> bits = scratch_;
  switch (kind) {
    case Kind::single: return mask ? controlled(mask, bits[0], matrix) : single(bits[0], matrix);
    case Kind::swap:
      flip(bit(bits[1]), bits[0]);
      flip(mask | bit(bits[0]), bits[1]);
      return flip(bit(bits[1]), bits[0]);
    case Kind::block:
      if (bits.size() == 1) return mask ? controlled(mask, bits[0], matrix) : single(bits[0], matrix);
      return bits.size() == 2 ? pair(bits[0], bits[1], mask, matrix) : block(bits, mask, matrix);
    case Kind::pauli: return pauli(bits, paulis, theta);
  }
}

Action& Circuit::push(const Action& action) {
  const int number = static_cast<int>(actions_.size());
  for (Index touched = action.dense | action.diagonal; touched; touched &= touched - 1) last_[trailing_zeros(touched)] = number;
  actions_.push_back(action);
  return actions_.back();
}

// What was dropped does nothing; that something stood there only prevents merging across.
void Circuit::drop(int number) {
  Action& action = actions_[number];
  for (Index touched = action.dense | action.diagonal; touched; touched &= touched - 1)
    if (last_[trailing_zeros(touched)] == number) last_[trailing_zeros(touched)] = -1;
  action = {Action::Kind::diagonal};
}

std::uint32_t Circuit::keep(const Coefficient* entries, std::size_t count) {
  const auto first = static_cast<std::uint32_t>(entries_.size());
  entries_.insert(entries_.end(), entries, entries + count);
  return first;
}

void Circuit::diagonal(std::initializer_list<Term> terms) {
  Action action{Action::Kind::diagonal};
  action.first = static_cast<std::uint32_t>(terms_.size());
  for (const Term& term : terms) {
    if (term.factor == 1.0) continue;
    terms_.push_back(term);
    action.diagonal |= term.mask;
    ++action.count;
  }
  if (action.count) push(action);
}

// Multiplied into the matrix that came last on the bit.
bool Circuit::absorbed(int target, const Coefficient* u) {
  if (last(target) < 0) return false;
  Action& before = actions_[last(target)];
  Coefficient* entries = entries_.data() + before.first;
  if (before.kind == Action::Kind::single) {
    multiply<2>(u, entries, entries);
    if (is(entries[1], 0) && is(entries[2], 0)) {  // nothing dense is left
      const Coefficient low = entries[0], high = entries[3];
      drop(last(target));
      if (!is(low, 1)) scalar_ *= low;
      if (!is(high / low, 1)) diagonal({{bit(target), false, high / low}});
    }
    return true;
  }
  if (before.kind == Action::Kind::matrix && before.targets == 2 && before.controls == 0) {
    multiply<4>(on_one_of_two(u, before.target[1] == target).data(), entries, entries);
    return true;
  }
  return false;
}

void Circuit::single(int target, const Coefficient* u) {
  if (absorbed(target, u)) return;
  if (u[1] == 0.0 && u[2] == 0.0) {
    scalar_ *= u[0];
    return diagonal({{bit(target), false, u[3] / u[0]}});
  }
  Action action{Action::Kind::single, 1, {target, -1}};
  action.dense = bit(target);
  action.first = keep(u, 4);
  push(action);
}

void Circuit::controlled(Index controls, int target, const Coefficient* u) {
  if (u[1] == 0.0 && u[2] == 0.0)
    return diagonal({{controls, false, u[0]}, {controls | bit(target), false, u[3] / u[0]}});
  if (u[0] == 0.0 && u[3] == 0.0 && u[1] == 1.0 && u[2] == 1.0) return flip(controls, target);
  Action action{Action::Kind::matrix, 1, {target, -1}, controls};
  action.dense = bit(target);
  action.diagonal = controls;
  action.first = keep(u, 4);
  push(action);
}

void Circuit::flip(Index controls, int target) {
  // Twice the same is nothing.
  const int before = last(target);
  const bool repeated = before >= 0 && actions_[before].kind == Action::Kind::flip && actions_[before].target[0] == target &&
                        actions_[before].controls == controls;
  bool untouched = repeated;
  for (Index left = controls; untouched && left; left &= left - 1) untouched = last(trailing_zeros(left)) == before;
  if (untouched) return drop(before);
  Action action{Action::Kind::flip, 1, {target, -1}, controls};
  action.dense = bit(target);
  action.diagonal = controls;
  push(action);
}

void Circuit::pair(int a, int b, Index controls, const Coefficient* u) {
  const int bits[2] = {a, b};
  if (diagonal_matrix(bits, controls, u)) return;
  if (controls == 0) {
    if (last(a) >= 0 && last(a) == last(b)) {
      const Action& before = actions_[last(a)];
      if (before.kind == Action::Kind::matrix && before.targets == 2 && before.controls == 0) {
        Coefficient* entries = entries_.data() + before.first;
        if (before.target[0] == a)
          multiply<4>(u, entries, entries);
        else
          multiply<4>(reordered(u).data(), entries, entries);
        return;
      }
    }
    std::array<Coefficient, 16> whole;
    std::copy(u, u + 16, whole.begin());
    for (int place = 0; place < 2; ++place) {
      const int before = last(bits[place]);
      if (before < 0 || actions_[before].kind != Action::Kind::single) continue;
      multiply<4>(whole.data(), on_one_of_two(matrix(actions_[before]), place).data(), whole.data());
      drop(before);
    }
    Action action{Action::Kind::matrix, 2, {a, b}};
    action.dense = bit(a) | bit(b);
    action.first = keep(whole.data(), 16);
    push(action);
    return;
  }
  Action action{Action::Kind::matrix, 2, {a, b}, controls};
  action.dense = bit(a) | bit(b);
  action.diagonal = controls;
  action.first = keep(u, 16);
  push(action);
}

// Entry d_S = product over T within S of f_T, hence f_S = product over T within S of d_T^(+-1).
bool Circuit::diagonal_matrix(std::span<const int> bits, Index controls, const Coefficient* u) {
  const Index dim = bit(static_cast<int>(bits.size()));
  if (static_cast<int>(bits.size()) > most_expanded) return false;
  for (Index i = 0; i < dim; ++i)
    for (Index j = 0; j < dim; ++j)
      if (i == j ? std::norm(u[i * dim + j]) < 0.5 : u[i * dim + j] != 0.0) return false;
  std::vector<Coefficient> factor(dim);
  for (Index i = 0; i < dim; ++i) factor[i] = u[i * dim + i];
  for (std::size_t k = 0; k < bits.size(); ++k)
    for (Index i = 0; i < dim; ++i)
      if (i >> k & 1) factor[i] /= factor[i ^ bit(static_cast<int>(k))];
  for (Index i = 0; i < dim; ++i) {
    const Index mask = controls | deposit(i, bits.data(), static_cast<int>(bits.size()));
    if (mask == 0)
      scalar_ *= factor[i];
    else if (!is(factor[i], 1))
      diagonal({{mask, false, factor[i]}});
  }
  return true;
}

void Circuit::block(std::span<const int> bits, Index controls, const Coefficient* u) {
  if (diagonal_matrix(bits, controls, u)) return;
  Action action{Action::Kind::block, static_cast<std::uint8_t>(bits.size())};
  action.controls = action.diagonal = controls;
  for (const int target : bits) action.dense |= bit(target);
  action.bits = static_cast<std::uint32_t>(block_bits_.size());
  block_bits_.insert(block_bits_.end(), bits.begin(), bits.end());
  action.first = keep(u, std::size_t{1} << 2 * bits.size());
  push(action);
}

void Circuit::pauli(std::span<const int> bits, std::string_view letters, double theta) {
  Index x = 0, z = 0;
  for (std::size_t k = 0; k < bits.size(); ++k) {
    if (letters[k] == 'X' || letters[k] == 'Y') x |= bit(bits[k]);
    if (letters[k] == 'Z' || letters[k] == 'Y') z |= bit(bits[k]);
  }
  const double cosine = std::cos(theta / 2), sine = std::sin(theta / 2);
  if (x == 0) {
    scalar_ *= Coefficient(cosine, -sine);
    if (z) diagonal({{z, __builtin_popcountll(static_cast<unsigned long long>(z)) > 1, std::polar(1.0, theta)}});
    return;
  }
  if (x == lowest(x) && (z & ~x) == 0) {
    const Coefficient by_x[4] = {cosine, {0, -sine}, {0, -sine}, cosine}, by_y[4] = {cosine, -sine, sine, cosine};
    return single(trailing_zeros(x), z ? by_y : by_x);
  }
  Action action{Action::Kind::pauli};
  action.dense = x;
  action.diagonal = z & ~x;
  action.z = z;
  action.theta = theta;
  push(action);
}

Circuit Circuit::localised(std::span<const int> actions, std::span<const int> place, int local_bits, Index node,
                            Coefficient scalar) const {
  Circuit local(local_bits);
  local.scalar_ = scalar;
  const auto placed = [&](Index bits) {
    Index result = 0;
    for (; bits; bits &= bits - 1) result |= bit(place[trailing_zeros(bits)]);
    return result;
  };
  const Index inside = bit(local_bits) - 1;
  for (const int number : actions) {
    const Action& action = actions_[number];
    if (action.kind == Action::Kind::diagonal) {
      for (const Term& term : terms(action)) {
        const Index mask = placed(term.mask), here = mask & inside, there = mask >> local_bits;
        const bool odd = parity(there & node), all = (there & node) == there;
        if (!term.parity ? !all : here == 0 && !odd) continue;
        if (here == 0)
          local.scalar_ *= term.factor;
        else if (term.parity && odd)
          local.scalar_ *= term.factor, local.diagonal({{here, here != lowest(here), 1.0 / term.factor}});
        else
          local.diagonal({{here, term.parity && here != lowest(here), term.factor}});
      }
      continue;
    }
    const Index controls = placed(action.controls), there = controls >> local_bits;
    if ((there & node) != there) continue;
    Action copy = action;
    copy.controls = controls & inside;
    copy.dense = placed(action.dense);
    copy.diagonal = placed(action.diagonal) & inside;
    for (int k = 0; k < 2; ++k)
      if (action.target[k] >= 0) copy.target[k] = place[action.target[k]];
    if (action.kind == Action::Kind::flip && copy.controls == 0) {
      constexpr Coefficient x[4] = {0, 1, 1, 0};
      local.single(copy.target[0], x);
      continue;
    }
    if (action.kind == Action::Kind::single || action.kind == Action::Kind::matrix)
      copy.first = local.keep(matrix(action), std::size_t{1} << 2 * action.targets);
    if (action.kind == Action::Kind::block) {
      copy.bits = static_cast<std::uint32_t>(local.block_bits_.size());
      for (const int target : bits(action)) local.block_bits_.push_back(place[target]);
      copy.first = local.keep(matrix(action), std::size_t{1} << 2 * action.targets);
    }
    if (action.kind == Action::Kind::pauli) {
      const Index z = placed(action.z);
      copy.z = z & inside;
      if (parity((z >> local_bits) & node)) copy.theta = -action.theta;
    }
    local.push(copy);
  }
  return local;
}

void Circuit::restore_order() {
  for (int qubit = 0; qubit < n_; ++qubit) {
    const int from = layout_[qubit];
    if (from == qubit) continue;
    const auto other = std::find(layout_.begin(), layout_.end(), qubit);
    Action action{Action::Kind::swap, 2, {from, qubit}};
    action.dense = bit(from) | bit(qubit);
    push(action);
    *other = from;
    layout_[qubit] = qubit;
  }
}

}  // namespace qmpi
