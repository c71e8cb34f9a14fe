// Writes tile programs. Each dense 2x2 matrix is diag(l0, l1) R diag(1, r) with R = [[1, -t], [t, 1]] or [[-t, 1], [1, t]] and t in
// [0, 1]: R costs one fused multiplication and addition per real number, and the diagonals join what is diagonal anyway. Actions are
// sorted into stages of matrices on different bits; before a stage, whatever diagonal must come first is applied as one factor per
// amplitude, and the rest waits, also beyond the end of the pass.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "kernels/bits.h"
#include "plan/plan.h"

namespace qmpi {
namespace {

constexpr int most_table_bits = 8;

Index ones(int count) { return bit(count) - 1; }
bool single_bit(Index mask) { return (mask & (mask - 1)) == 0; }

// U = diag(l0, l1) R diag(1, r).
struct Rotation {
  int position;
  bool swapped;
  double t;
};

Rotation normalised(const Coefficient* u, Coefficient& l0, Coefficient& l1, Coefficient& r) {
  const auto phase = [](Coefficient value, double size) { return size == 0 ? Coefficient(1) : value / size; };
  const double a = std::abs(u[0]), b = std::abs(u[1]), c = std::abs(u[2]), d = std::abs(u[3]);
  if (a >= b) {
    r = -phase(u[1], b) / phase(u[0], a);
    if (b == 0) r = 1;
    l0 = u[0];
    l1 = u[3] / r;
    return {0, false, b / a};
  }
  r = phase(u[3], d) / phase(u[2], c);
  l0 = u[1] / r;
  l1 = u[2];
  return {0, true, d / c};
}

// A factor as a tile sees it: on positions below and above the table, and on bits outside.
struct Item {
  Index low, high;
  bool parity;
  Outer outer;
  Coefficient factor;
  bool is_static() const { return outer.mask == 0; }
};

struct Stage {
  std::vector<Term> before;
  std::vector<Rotation> rotations;
  std::vector<int> others;
  Index dense = 0;  // bits
};

template <class Real>
class TileWriter {
 public:
  TileWriter(const Circuit& circuit, Index tile_mask, const TileShape& shape, const Tiling& tiling, bool in_place = false)
      : circuit_(circuit), n_(circuit.n()), mask_(tile_mask), shape_(shape), chunk_bits_(tiling.chunk_bits), near_bits_(tiling.near_bits) {
    Program& program = text_.program();
    program.tiled = true;
    program.in_place = in_place;
    program.n = n_;
    program.tile_mask = tile_mask;
    program.tile_bits = tile_bits_ = __builtin_popcountll(static_cast<unsigned long long>(tile_mask));
    program.run_bits = std::min(tiling.run_bits, tile_bits_);
    program.chunks = bit(n_ - tile_bits_);
    chunk_bits_ = std::min(chunk_bits_, tile_bits_);
    near_bits_ = std::min(near_bits_, chunk_bits_);
    table_bits_ = std::min(most_table_bits, near_bits_);
    low_chunk_ = outside(ones(chunk_bits_));
    int inside = 0;
    for (int b = 0; b < n_; ++b)
      if (tile_mask & bit(b)) position_[b] = inside < shape.lane_bits ? shape.lane_of[inside] : in_place ? b : inside, ++inside;
  }

  ProgramText write_alone(const Action& action) {
    matrix(action, circuit_.matrix(action), 0);
    return finish();
  }

  ProgramText write(std::span<const int> actions, Pending& pending, bool last) {
    stages_.emplace_back();
    for (const Term& term : pending.terms) add(term);
    pending.terms.clear();
    for (const int action : actions) add(action);
    std::vector<Term> waiting;
    for (Stage& stage : stages_) {
      bool due = false;
      waiting.insert(waiting.end(), stage.before.begin(), stage.before.end());
      for (const Term& term : waiting) due = due || (term.mask & stage.dense);
      if (due)
        diagonal(std::exchange(waiting, {}), 1.0, stage.rotations);
      else
        lanes_only(stage.rotations);
      matrices(stage);
    }
    if (last)
      diagonal(std::exchange(waiting, {}), std::exchange(pending.scalar, 1.0), {});
    else
      pending.terms = std::move(waiting);
    place_diagonals();
    return finish();
  }

 private:
  using Vector = std::vector<Real>;
  ProgramText finish() {
    Program& program = text_.program();
    program.step_count = static_cast<std::int32_t>(steps_.size());
    program.scratch = scratch_;
    const std::int64_t steps = text_.append(steps_.data(), steps_.size());
    text_.program().steps = steps;
    return std::move(text_);
  }

  int lanes() const { return 1 << shape_.lane_bits; }
  bool in_lane(int position) const { return position < shape_.lane_bits; }
  Index block_bit(int position) const { return bit(position - shape_.lane_bits); }
  Index positions(Index bits) const {
    Index result = 0;
    for (Index left = bits & mask_; left; left &= left - 1) result |= bit(position_[trailing_zeros(left)]);
    return result;
  }

  // --- stages ----------------------------------------------------------------------------------------------------------------------

  Stage& stage(int number) {
    while (static_cast<int>(stages_.size()) <= number) stages_.emplace_back();
    return stages_[number];
  }
  int reached(Index bits) const {
    int most = 0;
    for (Index left = bits & mask_; left; left &= left - 1) most = std::max(most, stage_of_[trailing_zeros(left)]);
    return most;
  }
  void reach(Index bits, int number) {
    for (Index left = bits & mask_; left; left &= left - 1) stage_of_[trailing_zeros(left)] = number;
  }

  void add(const Term& term) {
    if (term.factor == 1.0) return;
    const int at = reached(term.mask);
    stage(at).before.push_back(term);
    reach(term.mask, at);
  }

  void add(int number) {
    const Action& action = circuit_.actions()[number];
    if (action.kind == Action::Kind::diagonal) {
      for (const Term& term : circuit_.terms(action)) add(term);
      return;
    }
    const Index bits = action.dense | action.diagonal;
    const int at = reached(bits);
    stage(at).dense |= action.dense;
    if (action.kind != Action::Kind::single) {
      stage(at).others.push_back(number);
      return reach(bits, at + 1);
    }
    Coefficient l0, l1, r;
    Rotation rotation = normalised(circuit_.matrix(action), l0, l1, r);
    const int target = action.target[0];
    rotation.position = position_[target];
    // What the program does where blocks are swapped is [[-t, 1], [1, t]], too.
    stage(at).rotations.push_back(rotation);
    if (r != 1.0) stage(at).before.push_back({bit(target), false, r});
    reach(bits, at + 1);
    stage(at + 1).before.push_back({0, false, l0});
    if (l1 != l0) stage(at + 1).before.push_back({bit(target), false, l1 / l0});
  }

  // --- steps -----------------------------------------------------------------------------------------------------------------------

  Step& step(StepKind kind, Index outside) {
    steps_.emplace_back();
    steps_.back().kind = kind;
    steps_.back().outside = outside;
    return steps_.back();
  }

  // Of block numbers, those without these positions; 0 if that is none.
  Index outside(Index chunk) const { return (ones(tile_bits_) & ~chunk) >> shape_.lane_bits; }

  // What is diagonal can be done in any chunks: in those of the steps after it, else of those before.
  void place_diagonals() {
    Index chunks = 0;
    const auto place = [&](Step& step) {
      if (step.kind != StepKind::diagonal || step.outside)
        chunks = step.outside;
      else
        step.outside = chunks;
    };
    std::for_each(steps_.rbegin(), steps_.rend(), place);
    chunks = low_chunk_;
    std::for_each(steps_.begin(), steps_.end(), place);
  }

  // One register of each rotation's own and partner's coefficients, lowest lane bit first; the mask of lane bits.
  int lane_rotations(const std::vector<Rotation>& rotations, std::int64_t& offset) {
    int mask = 0;
    Vector coefficients;
    for (int b = 0; b < shape_.lane_bits; ++b)
      for (const Rotation& rotation : rotations) {
        if (rotation.position != b) continue;
        mask |= 1 << b;
        const double own[2] = {rotation.swapped ? -rotation.t : 1, rotation.swapped ? rotation.t : 1};
        const double partner[2] = {rotation.swapped ? 1 : -rotation.t, rotation.swapped ? 1 : rotation.t};
        for (const double* values : {own, partner})
          for (int l = 0; l < lanes(); ++l) coefficients.push_back(Real(values[l >> b & 1]));
      }
    offset = text_.append(coefficients.data(), coefficients.size());
    return mask;
  }

  void lanes_only(const std::vector<Rotation>& rotations) {
    if (std::none_of(rotations.begin(), rotations.end(), [&](const Rotation& r) { return in_lane(r.position); })) return;
    std::int64_t offset;
    const int mask = lane_rotations(rotations, offset);
    DiagonalStep& diagonal = step(StepKind::diagonal, 0).diagonal;
    diagonal = {};
    diagonal.lanes = mask;
    diagonal.lane_coefficients = offset;
  }

  void diagonal(std::vector<Term> terms, Coefficient scalar, const std::vector<Rotation>& rotations) {
    std::sort(terms.begin(), terms.end(),
              [](const Term& a, const Term& b) { return a.mask != b.mask ? a.mask < b.mask : a.parity < b.parity; });
    std::vector<Item> items;
    for (std::size_t k = 0; k < terms.size();) {
      Term merged = terms[k];
      for (++k; k < terms.size() && terms[k].mask == merged.mask && terms[k].parity == merged.parity; ++k)
        merged.factor *= terms[k].factor;
      add_items(merged, scalar, items);
    }
    if (items.empty() && scalar == 1.0) return lanes_only(rotations);
    for (;;) {
      std::vector<Item> left;
      const bool last = write_diagonal(items, scalar, rotations, left);
      if (last) return;
      items = std::move(left);
      scalar = 1.0;
    }
  }

  void add_items(const Term& term, Coefficient& scalar, std::vector<Item>& items) const {
    if (term.factor == 1.0) return;
    const Index inner = positions(term.mask), outer = term.mask & ~mask_;
    const Index low = inner & ones(table_bits_), high = inner >> table_bits_;
    if (!term.parity || single_bit(term.mask)) {
      if (term.mask == 0)
        scalar *= term.factor;
      else
        items.push_back({low, high, false, {outer, false}, term.factor});
      return;
    }
    const bool alone = single_bit(inner);
    if (inner) items.push_back({low, high, !alone, {0, false}, term.factor});
    if (!outer) return;
    items.push_back({0, 0, false, {outer, true}, term.factor});  // odd outside: even inside is now odd
    if (inner) items.push_back({low, high, !alone, {outer, true}, 1.0 / (term.factor * term.factor)});
  }

  // False if some items need more functions than one step has; they are in `left`, and the rotations are still to be done.
  bool write_diagonal(const std::vector<Item>& items, Coefficient scalar, const std::vector<Rotation>& rotations, std::vector<Item>& left) {
    DiagonalStep diagonal{};
    diagonal.table_bits = table_bits_;
    diagonal.factors = true;
    std::vector<TableFactor> low_factors, high_factors;
    const Index entries = bit(table_bits_), highs = bit(tile_bits_ - table_bits_);
    std::vector<const Item*> low_static;
    std::vector<Coefficient> high(highs, scalar);
    bool class_0_is_1 = true;
    for (const Item& item : items) {
      if (item.low == 0) {
        if (item.is_static())
          multiply(high.data(), highs, item.high, item.parity, item.factor);
        else
          high_factors.push_back({item.high, item.outer, -1, item.parity, item.factor.real(), item.factor.imag()});
        continue;
      }
      int function = -1;
      if (item.high) {
        for (function = 0; function < diagonal.functions; ++function)
          if (diagonal.function_mask[function] == item.high && diagonal.function_parity[function] == item.parity) break;
        if (function == most_functions) {
          left.push_back(item);
          continue;
        }
        if (function == diagonal.functions) {
          diagonal.function_mask[function] = item.high;
          diagonal.function_parity[function] = item.parity;
          ++diagonal.functions;
        }
      }
      if (function < 0 || item.parity) class_0_is_1 = false;
      low_factors.push_back({item.low, item.outer, function, item.parity, item.factor.real(), item.factor.imag()});
    }
    std::vector<Coefficient> low(entries << diagonal.functions, 1.0);
    std::erase_if(low_factors, [&](const TableFactor& factor) {
      if (factor.outer.mask) return false;
      for (int c = 0; c < 1 << diagonal.functions; ++c) {
        const bool value = factor.function >= 0 && (c >> factor.function & 1);
        Coefficient* table = low.data() + c * entries;
        const Coefficient f(factor.re, factor.im);
        if (!factor.parity) {
          if (factor.function < 0 || value) multiply(table, entries, factor.mask, false, f);
        } else {
          for (Index j = 0; j < entries; ++j)
            if (parity(j & factor.mask) != int(value)) table[j] *= f;
        }
      }
      return true;
    });
    diagonal.ones = class_0_is_1;
    diagonal.low = text_.reserve<Real>(2 * low.size());
    Real* to = text_.at<Real>(diagonal.low);
    for (Index j = 0; j < static_cast<Index>(low.size()); ++j) {
      Real* re = to + j / lanes() * 2 * lanes() + j % lanes();
      re[0] = Real(low[j].real());
      re[lanes()] = Real(low[j].imag());
    }
    Vector high_reals;
    for (const Coefficient c : high) high_reals.push_back(Real(c.real())), high_reals.push_back(Real(c.imag()));
    diagonal.high = text_.append(high_reals.data(), high_reals.size());
    diagonal.low_factors = text_.append(low_factors.data(), low_factors.size());
    diagonal.low_factor_count = static_cast<std::int32_t>(low_factors.size());
    diagonal.high_factors = text_.append(high_factors.data(), high_factors.size());
    diagonal.high_factor_count = static_cast<std::int32_t>(high_factors.size());
    if (diagonal.low_factor_count) scratch_ += static_cast<std::int64_t>(2 * low.size() * sizeof(Real));
    if (diagonal.high_factor_count) scratch_ += static_cast<std::int64_t>((2 * highs + lanes()) * sizeof(Real));
    if (left.empty()) diagonal.lanes = lane_rotations(rotations, diagonal.lane_coefficients);
    step(StepKind::diagonal, 0).diagonal = diagonal;
    return left.empty();
  }

  static void multiply(Coefficient* table, Index entries, Index mask, bool odd, Coefficient factor) {
    if (odd) {
      for (Index j = 0; j < entries; ++j)
        if (parity(j & mask)) table[j] *= factor;
    } else {
      for (Index j = mask; j < entries; j = (j + 1) | mask) table[j] *= factor;
    }
  }

  // All are on different bits, so that their order is free: in one chunk after the other of the first-level cache, as many as it has
  // bits for, and what needs more bits at once in the whole tile.
  void matrices(const Stage& stage) {
    std::vector<Rotation> low, high;
    for (const Rotation& rotation : stage.rotations)
      if (!in_lane(rotation.position)) (rotation.position < chunk_bits_ ? low : high).push_back(rotation);
    std::vector<int> left = stage.others;
    if (!low.empty()) {
      rotate(low, low_chunk_);
      for (const int number : taken(left, ones(chunk_bits_))) other(circuit_.actions()[number], low_chunk_);
    }
    rotate(high, 0);
    while (!left.empty()) {
      const Index chunk = chosen_chunk(left);
      const std::vector<int> now = chunk ? taken(left, chunk) : std::exchange(left, {});
      for (const int number : now) other(circuit_.actions()[number], chunk && now.size() > 1 ? outside(chunk) : 0);
    }
  }

  // Takes those out of `actions` that mix no other positions than these.
  std::vector<int> taken(std::vector<int>& actions, Index positions) const {
    const auto others = [&](int number) { return (mixed(number) & ~positions) != 0; };
    const auto middle = std::stable_partition(actions.begin(), actions.end(), others);
    std::vector<int> result(middle, actions.end());
    actions.erase(middle, actions.end());
    return result;
  }

  // Positions of a chunk, chosen so that actions that need few more come first; 0 if none fits.
  Index chosen_chunk(const std::vector<int>& actions) const {
    const Index near = ones(near_bits_);
    Index chunk = near;
    bool any = false;
    std::vector<int> left = actions;
    const auto wanted = [&](int number) { return count(mixed(number) & ~chunk); };
    while (!left.empty()) {
      const auto best = std::min_element(left.begin(), left.end(), [&](int a, int b) { return wanted(a) < wanted(b); });
      if (count(chunk) + wanted(*best) > chunk_bits_) break;
      chunk |= mixed(*best);
      any = true;
      left.erase(best);
    }
    return any ? chunk : 0;
  }

  static int count(Index mask) { return __builtin_popcountll(static_cast<unsigned long long>(mask)); }
  Index mixed(int number) const { return positions(circuit_.actions()[number].dense); }

  void rotate(std::vector<Rotation>& rotations, Index outside) {
    std::sort(rotations.begin(), rotations.end(), [](const Rotation& a, const Rotation& b) { return a.position < b.position; });
    const int most = shape_.rotations, count = static_cast<int>(rotations.size()), groups = (count + most - 1) / most;
    for (int g = 0, next = 0; g < groups; ++g) {
      const int end = count * (g + 1) / groups;
      RotateStep& rotate = step(StepKind::rotate, outside).rotate;
      rotate = {};
      for (; next < end; ++next) {
        rotate.position[rotate.count] = rotations[next].position;
        rotate.swapped |= rotations[next].swapped << rotate.count;
        rotate.t[rotate.count++] = rotations[next].t;
      }
    }
  }

  void other(const Action& action, Index outside) {
    const bool lanes_involved = (positions(action.dense | action.controls) & ones(shape_.lane_bits)) != 0;
    const Outer outer{action.controls & ~mask_, false};
    switch (action.kind) {
      case Action::Kind::matrix: return matrix(action, circuit_.matrix(action), outside);
      case Action::Kind::flip: {
        constexpr Coefficient x[4] = {0, 1, 1, 0};
        if (lanes_involved) return matrix(action, x, outside);
        step(StepKind::exchange, outside).exchange = {0, block_bit(position_[action.target[0]]),
                                                    positions(action.controls) >> shape_.lane_bits, outer};
        return;
      }
      case Action::Kind::swap: {
        constexpr Coefficient swap[16] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1};
        if (lanes_involved) return matrix(action, swap, outside);
        step(StepKind::exchange, outside).exchange = {block_bit(position_[action.target[0]]), block_bit(position_[action.target[1]]), 0, outer};
        return;
      }
      default: return pauli(action, outside);
    }
  }

  void matrix(const Action& action, const Coefficient* u, Index outside) {
    MatrixStep matrix{};
    const int targets = action.targets, dim = 1 << targets;
    int lane_target[2], block_target[2], lane_count = 0;  // which target
    for (int k = 0; k < targets; ++k) {
      const int position = position_[action.target[k]];
      if (in_lane(position)) {
        matrix.lanes |= 1 << position;
        lane_target[lane_count++] = k;
      } else {
        matrix.position[matrix.blocks] = position;
        block_target[matrix.blocks++] = k;
      }
    }
    // Distances within lanes count lane bits from the lowest.
    if (lane_count == 2 && position_[action.target[lane_target[0]]] > position_[action.target[lane_target[1]]])
      std::swap(lane_target[0], lane_target[1]);
    const Index controls = positions(action.controls);
    const Index lane_controls = controls & ones(shape_.lane_bits);
    matrix.controls = controls >> shape_.lane_bits;
    matrix.outer = {action.controls & ~mask_, false};
    const int rows = 1 << matrix.blocks, exchanges = 1 << lane_count;
    Vector coefficients(static_cast<std::size_t>(rows * rows * exchanges * 2 * lanes()));
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < rows; ++c)
        for (int d = 0; d < exchanges; ++d)
          for (int l = 0; l < lanes(); ++l) {
            int row = 0, column = 0;
            for (int k = 0; k < matrix.blocks; ++k) {
              row |= (r >> k & 1) << block_target[k];
              column |= (c >> k & 1) << block_target[k];
            }
            for (int k = 0; k < lane_count; ++k) {
              const int own = l >> position_[action.target[lane_target[k]]] & 1;
              row |= own << lane_target[k];
              column |= (own ^ (d >> k & 1)) << lane_target[k];
            }
            const bool acts = (l & lane_controls) == lane_controls;
            const Coefficient value = acts ? u[row * dim + column] : Coefficient(row == column);
            Real* to = coefficients.data() + static_cast<std::size_t>((r * rows + c) * exchanges + d) * 2 * lanes() + l;
            to[0] = Real(value.real());
            to[lanes()] = Real(value.imag());
          }
    matrix.coefficients = text_.append(coefficients.data(), coefficients.size());
    step(StepKind::matrix, outside).matrix = matrix;
  }

  void pauli(const Action& action, Index outside) {
    PauliStep pauli{};
    const Index x = positions(action.dense), z = positions(action.z), lane_mask = ones(shape_.lane_bits);
    pauli.x = x >> shape_.lane_bits;
    pauli.z = z >> shape_.lane_bits;
    pauli.x_lanes = static_cast<std::int32_t>(x & lane_mask);
    pauli.outer = {action.z & ~mask_, true};
    pauli.c = std::cos(action.theta / 2);
    const double s = std::sin(action.theta / 2);
    const int ys = __builtin_popcountll(static_cast<unsigned long long>(action.dense & action.z)) & 3;
    pauli.imaginary = ys % 2 == 0;
    // -i s i^ys = i (-s), s, i s, -s
    const double value = ys == 0 || ys == 3 ? -s : s;
    Vector coefficients;
    for (int l = 0; l < lanes(); ++l) coefficients.push_back(Real(parity((l ^ pauli.x_lanes) & z & lane_mask) ? -value : value));
    pauli.coefficients = text_.append(coefficients.data(), coefficients.size());
    step(StepKind::pauli, outside).pauli = pauli;
  }

  const Circuit& circuit_;
  int n_;
  Index mask_;
  TileShape shape_;
  int chunk_bits_, near_bits_, tile_bits_, table_bits_;
  Index low_chunk_;  // what is outside of the chunk of the lowest positions
  std::array<int, 64> position_{}, stage_of_{};
  std::vector<Stage> stages_;
  std::vector<Step> steps_;
  std::int64_t scratch_ = 0;
  ProgramText text_;
};

}  // namespace

template <class Real>
ProgramText tile_program(const Circuit& circuit, std::span<const int> actions, Index tile_mask, const TileShape& shape, const Tiling& tiling,
                         Pending& pending, bool last) {
  return TileWriter<Real>(circuit, tile_mask, shape, tiling).write(actions, pending, last);
}

template <class Real>
ProgramText matrix_program(const Circuit& circuit, const Action& action, const TileShape& shape, const Tiling& tiling) {
  Index part = action.dense | ones(shape.lane_bits);
  const int room = tiling.tile_bits - __builtin_popcountll(static_cast<unsigned long long>(part));
  for (int k = 0; k < room; ++k) part |= lowest(~part);
  return TileWriter<Real>(circuit, part, shape, tiling, true).write_alone(action);
}

template ProgramText matrix_program<float>(const Circuit&, const Action&, const TileShape&, const Tiling&);
template ProgramText matrix_program<double>(const Circuit&, const Action&, const TileShape&, const Tiling&);
template ProgramText tile_program<float>(const Circuit&, std::span<const int>, Index, const TileShape&, const Tiling&, Pending&, bool);
template ProgramText tile_program<double>(const Circuit&, std::span<const int>, Index, const TileShape&, const Tiling&, Pending&, bool);

}  // namespace qmpi
