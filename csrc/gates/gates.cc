// The rows of the gate table. It knows the mathematics of each gate and nothing of registers, buffers or amplitudes.
//
// Entries that are 0 or 1 are exact: the kernels tell diagonal, antidiagonal and dense matrices apart by exact zeros.
#include "gates/gates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>

namespace qmpi {
namespace {

using Angles = const double*;

constexpr double sqrt_half = 0.70710678118654752440;
constexpr Coefficient i{0, 1};

void put(Coefficient* out, std::initializer_list<Coefficient> entries) { std::ranges::copy(entries, out); }

Coefficient phase(double angle) { return std::polar(1.0, angle); }

// --- one qubit, fixed ---------------------------------------------------------------------------------------------------------
void identity(Angles, Coefficient* u) { put(u, {1, 0, 0, 1}); }
void x(Angles, Coefficient* u) { put(u, {0, 1, 1, 0}); }
void y(Angles, Coefficient* u) { put(u, {0, -i, i, 0}); }
void z(Angles, Coefficient* u) { put(u, {1, 0, 0, -1}); }
void h(Angles, Coefficient* u) { put(u, {sqrt_half, sqrt_half, sqrt_half, -sqrt_half}); }
void s(Angles, Coefficient* u) { put(u, {1, 0, 0, i}); }
void sdg(Angles, Coefficient* u) { put(u, {1, 0, 0, -i}); }
void t(Angles, Coefficient* u) { put(u, {1, 0, 0, {sqrt_half, sqrt_half}}); }
void tdg(Angles, Coefficient* u) { put(u, {1, 0, 0, {sqrt_half, -sqrt_half}}); }
void sx(Angles, Coefficient* u) { put(u, {{0.5, 0.5}, {0.5, -0.5}, {0.5, -0.5}, {0.5, 0.5}}); }
void sxdg(Angles, Coefficient* u) { put(u, {{0.5, -0.5}, {0.5, 0.5}, {0.5, 0.5}, {0.5, -0.5}}); }

// --- one qubit, by angles -----------------------------------------------------------------------------------------------------
void rx(Angles a, Coefficient* u) {
  const double c = std::cos(a[0] / 2), s = std::sin(a[0] / 2);
  put(u, {c, -i * s, -i * s, c});
}

void ry(Angles a, Coefficient* u) {
  const double c = std::cos(a[0] / 2), s = std::sin(a[0] / 2);
  put(u, {c, -s, s, c});
}

void rz(Angles a, Coefficient* u) { put(u, {phase(-a[0] / 2), 0, 0, phase(a[0] / 2)}); }

void p(Angles a, Coefficient* u) { put(u, {1, 0, 0, phase(a[0])}); }

// Angles theta, phi, lambda.
void u3(Angles a, Coefficient* u) {
  const double c = std::cos(a[0] / 2), s = std::sin(a[0] / 2);
  put(u, {c, -phase(a[2]) * s, phase(a[1]) * s, phase(a[1] + a[2]) * c});
}

// Angles theta, phi, lambda, gamma: u3 with the phase gamma, which matters under a control.
void u4(Angles a, Coefficient* u) {
  u3(a, u);
  for (int k = 0; k < 4; ++k) u[k] *= phase(a[3]);
}

// --- two qubits; the first is the least significant bit of the index ----------------------------------------------------------
void iswap(Angles, Coefficient* u) {
  put(u, {1, 0, 0, 0,  //
          0, 0, i, 0,  //
          0, i, 0, 0,  //
          0, 0, 0, 1});
}

// (X on the first - Y on the first times X on the second) / sqrt(2)
void ecr(Angles, Coefficient* u) {
  const double r = sqrt_half;
  put(u, {0,      r,     0,     i * r,  //
          r,      0,     -i * r, 0,     //
          0,      i * r, 0,     r,      //
          -i * r, 0,     r,     0});
}

constexpr std::array table{
    //   name          parameters, controls, targets, kind, matrix on the targets, paulis
    // one qubit
    Gate{"x",              0, 0,   1,   Kind::single, x,        {}},
    Gate{"y",              0, 0,   1,   Kind::single, y,        {}},
    Gate{"z",              0, 0,   1,   Kind::single, z,        {}},
    Gate{"h",              0, 0,   1,   Kind::single, h,        {}},
    Gate{"s",              0, 0,   1,   Kind::single, s,        {}},
    Gate{"sdg",            0, 0,   1,   Kind::single, sdg,      {}},
    Gate{"t",              0, 0,   1,   Kind::single, t,        {}},
    Gate{"tdg",            0, 0,   1,   Kind::single, tdg,      {}},
    Gate{"sx",             0, 0,   1,   Kind::single, sx,       {}},
    Gate{"sxdg",           0, 0,   1,   Kind::single, sxdg,     {}},
    Gate{"id",             0, 0,   1,   Kind::single, identity, {}},
    Gate{"rx",             1, 0,   1,   Kind::single, rx,       {}},
    Gate{"ry",             1, 0,   1,   Kind::single, ry,       {}},
    Gate{"rz",             1, 0,   1,   Kind::single, rz,       {}},
    Gate{"p",              1, 0,   1,   Kind::single, p,        {}},
    Gate{"u",              3, 0,   1,   Kind::single, u3,       {}},
    // two qubits, one of them a control
    Gate{"cx",             0, 1,   1,   Kind::single, x,        {}},
    Gate{"cy",             0, 1,   1,   Kind::single, y,        {}},
    Gate{"cz",             0, 1,   1,   Kind::single, z,        {}},
    Gate{"ch",             0, 1,   1,   Kind::single, h,        {}},
    Gate{"csx",            0, 1,   1,   Kind::single, sx,       {}},
    Gate{"cp",             1, 1,   1,   Kind::single, p,        {}},
    Gate{"crx",            1, 1,   1,   Kind::single, rx,       {}},
    Gate{"cry",            1, 1,   1,   Kind::single, ry,       {}},
    Gate{"crz",            1, 1,   1,   Kind::single, rz,       {}},
    Gate{"cu",             4, 1,   1,   Kind::single, u4,       {}},
    // two qubits, two targets
    Gate{"swap",           0, 0,   2,   Kind::swap,   nullptr,  {}},
    Gate{"iswap",          0, 0,   2,   Kind::block,  iswap,    {}},
    Gate{"ecr",            0, 0,   2,   Kind::block,  ecr,      {}},
    Gate{"rxx",            1, 0,   2,   Kind::pauli,  nullptr,  "XX"},
    Gate{"ryy",            1, 0,   2,   Kind::pauli,  nullptr,  "YY"},
    Gate{"rzz",            1, 0,   2,   Kind::pauli,  nullptr,  "ZZ"},
    Gate{"rzx",            1, 0,   2,   Kind::pauli,  nullptr,  "ZX"},
    // three qubits
    Gate{"ccx",            0, 2,   1,   Kind::single, x,        {}},
    Gate{"ccz",            0, 2,   1,   Kind::single, z,        {}},
    Gate{"cswap",          0, 1,   2,   Kind::swap,   nullptr,  {}},
    // as many qubits as the call gives
    Gate{"mcx",            0, any, 1,   Kind::single, x,        {}},
    Gate{"mcp",            1, any, 1,   Kind::single, p,        {}},
    Gate{"unitary",        0, 0,   any, Kind::block,  nullptr,  {}},
    Gate{"pauli_rotation", 1, 0,   any, Kind::pauli,  nullptr,  {}},
};

}  // namespace

std::span<const Gate> gate_table() { return table; }

int gate_code(std::string_view name) {
  const auto row = std::ranges::find(table, name, &Gate::name);
  return row == table.end() ? -1 : static_cast<int>(row - table.begin());
}

}  // namespace qmpi
