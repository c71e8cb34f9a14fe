// A gate that has been called and not been applied yet: what it names stands in lists that many gates share.
#pragma once

#include "gates/gates.h"
#include "store/store.h"

namespace qmpi {

struct GateCall {
  std::int32_t code;
  std::uint32_t controls, targets;           // how many
  std::uint32_t ids, numbers, matrix, text;  // where theirs begin
};

// The same gate, ready for the store. `matrix` is room for what its row of the table computes.
inline Operation operation_of(const GateCall& gate, const QubitId* ids, const double* numbers, const Coefficient* matrices, std::string_view text,
                              Coefficient (&matrix)[16]) {
  const Gate& row = gate_table()[gate.code];
  Operation operation{row.kind, {ids + gate.ids, gate.controls}, {ids + gate.ids + gate.controls, gate.targets}};
  if (row.kind == Kind::pauli) {
    operation.paulis = row.paulis.empty() ? text.substr(gate.text, gate.targets) : row.paulis;
    operation.theta = numbers[gate.numbers];
  } else if (row.matrix) {
    row.matrix(numbers + gate.numbers, matrix);
    operation.matrix = matrix;
  } else {
    operation.matrix = matrices + gate.matrix;
    if (row.kind == Kind::block && gate.targets == 1) operation.kind = Kind::single;
  }
  return operation;
}

}  // namespace qmpi
