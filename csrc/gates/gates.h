// The gate table: one row per gate, the single source of what a gate is. A gate = controls, then targets, and what happens to
// the targets when all controls are 1. The Python functions, the documentation and the proofs read this table.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"

namespace qmpi {

enum class Kind {
  single,  // a 2x2 matrix on one target
  swap,    // exchange of two targets
  block,   // a 2^k x 2^k matrix on k >= 2 targets
  pauli,   // exp(-i theta/2 P) on k >= 1 targets
};

constexpr int any = -1;  // as many as the call gives

struct Gate {
  std::string_view name;  // Qiskit's
  int parameters;         // real parameters, angles in radians
  int controls;           // `any` for mcx, mcp
  int targets;            // `any` for unitary, pauli_rotation
  Kind kind;
  // Fills the row-major matrix on the targets (4 or 16 entries); null where the caller brings it (unitary, pauli_rotation) and
  // for kind swap.
  void (*matrix)(const double* parameters, Coefficient* out);
  // For fixed Pauli rotations ("ZZ" for rzz): character k acts on target k. Empty otherwise.
  std::string_view paulis;
};

// All rows; a gate's code is its index here.
std::span<const Gate> gate_table();
// Code of a gate by name; -1 if there is none.
int gate_code(std::string_view name);

}  // namespace qmpi
