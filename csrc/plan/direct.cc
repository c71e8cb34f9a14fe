// Programs of one kernel: for states too small for tiles, for a gate on its own, for matrices on many qubits.
#include <cmath>
#include <utility>

#include "kernels/bits.h"
#include "plan/plan.h"

namespace qmpi {
namespace {

constexpr int part_bits = 16;  // amplitudes of a part

ProgramText& start(int n, DirectKind kind, Index controls, std::vector<ProgramText>& programs) {
  ProgramText& text = programs.emplace_back();
  Program& program = text.program();
  program.tiled = false;
  program.n = n;
  program.chunks = n > part_bits ? bit(n - part_bits) : 1;
  program.direct = {};
  program.direct.kind = kind;
  program.direct.controls = controls;
  return text;
}

void single(int n, Index controls, int target, const Coefficient (&u)[4], std::vector<ProgramText>& programs) {
  ProgramText& text = start(n, DirectKind::single, controls, programs);
  const std::int64_t matrix = text.append(u, 4);
  text.program().direct.targets[0] = target;
  text.program().direct.count = 1;
  text.program().direct.matrix = matrix;
}

void block(int n, Index controls, std::span<const int> targets, const Coefficient* u, std::vector<ProgramText>& programs) {
  ProgramText& text = start(n, DirectKind::block, controls, programs);
  const std::int64_t matrix = text.append(u, std::size_t{1} << 2 * targets.size());
  Direct& direct = text.program().direct;
  direct.matrix = matrix;
  direct.count = static_cast<std::int32_t>(targets.size());
  std::copy(targets.begin(), targets.end(), direct.targets);
}

void pauli(int n, Index x, Index z, double theta, std::vector<ProgramText>& programs) {
  Direct& direct = start(n, DirectKind::pauli, 0, programs).program().direct;
  direct.x = x;
  direct.z = z;
  direct.theta = theta;
}

void term(int n, const Term& term, Pending& pending, std::vector<ProgramText>& programs) {
  if (term.mask == 0) {
    pending.scalar *= term.factor;
    return;
  }
  if (!term.parity) {
    const Index target = lowest(term.mask);
    const bool along = term.mask == target;  // a matrix that takes the scalar along
    const Coefficient scalar = along ? pending.scalar : 1.0;
    if (along) pending.scalar = 1.0;
    return single(n, term.mask ^ target, trailing_zeros(target), {scalar, 0, 0, scalar * term.factor}, programs);
  }
  const double theta = std::arg(term.factor);  // exp(-i theta/2) on even parity, exp(i theta/2) on odd
  pending.scalar *= std::polar(1.0, theta / 2);
  pauli(n, 0, term.mask, theta, programs);
}

}  // namespace

void direct_programs(int n, Pending& pending, std::vector<ProgramText>& programs) {
  for (const Term& each : pending.terms) term(n, each, pending, programs);
  pending.terms.clear();
  const Coefficient s = std::exchange(pending.scalar, 1.0);
  if (s != 1.0) single(n, 0, 0, {s, 0, 0, s}, programs);
}

void direct_programs(const Circuit& circuit, const Action& action, Pending& pending, std::vector<ProgramText>& programs) {
  const int n = circuit.n();
  for (const Term& each : pending.terms) term(n, each, pending, programs);
  pending.terms.clear();
  switch (action.kind) {
    case Action::Kind::diagonal:
      for (const Term& each : circuit.terms(action)) term(n, each, pending, programs);
      return;
    case Action::Kind::single: {
      const Coefficient* u = circuit.matrix(action);
      const Coefficient s = std::exchange(pending.scalar, 1.0);
      return single(n, 0, action.target[0], {s * u[0], s * u[1], s * u[2], s * u[3]}, programs);
    }
    case Action::Kind::matrix:
      if (action.targets == 2) return block(n, action.controls, action.target, circuit.matrix(action), programs);
      {
        const Coefficient* u = circuit.matrix(action);
        return single(n, action.controls, action.target[0], {u[0], u[1], u[2], u[3]}, programs);
      }
    case Action::Kind::flip: return single(n, action.controls, action.target[0], {0, 1, 1, 0}, programs);
    case Action::Kind::swap: {
      Direct& direct = start(n, DirectKind::swap, 0, programs).program().direct;
      direct.targets[0] = action.target[0];
      direct.targets[1] = action.target[1];
      return;
    }
    case Action::Kind::pauli: return pauli(n, action.dense, action.z, action.theta, programs);
    case Action::Kind::block: return block(n, action.controls, circuit.bits(action), circuit.matrix(action), programs);
  }
}

double direct_cost(const Action& action) {
  const auto part = [](Index mask) { return std::ldexp(1.0, -__builtin_popcountll(static_cast<unsigned long long>(mask))); };
  switch (action.kind) {
    case Action::Kind::diagonal: return action.count == 1 ? part(action.diagonal) : action.count;
    case Action::Kind::matrix: return part(action.controls);
    case Action::Kind::flip: return part(action.controls);
    case Action::Kind::swap: return 0.5;
    default: return 1.0;
  }
}

}  // namespace qmpi
