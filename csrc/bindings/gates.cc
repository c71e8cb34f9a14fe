// The gate table as Python reads it: its rows, and the matrix of each row on its targets. It applies no gate.
#include "gates/gates.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

namespace qmpi {
namespace {

using Matrix = nb::ndarray<nb::numpy, Coefficient, nb::ndim<2>>;
using Row = std::tuple<std::string, int, int, int, std::string, std::string>;

std::string word(Kind kind) {
  switch (kind) {
    case Kind::single: return "single";
    case Kind::swap: return "swap";
    case Kind::block: return "block";
    case Kind::pauli: return "pauli";
  }
  throw std::logic_error("gate table: a kind without a name");
}

std::vector<Row> gate_rows() {
  std::vector<Row> rows;
  for (const Gate& g : gate_table())
    rows.emplace_back(g.name, g.parameters, g.controls, g.targets, word(g.kind), g.paulis);
  return rows;
}

// exp(-i theta/2 P) = cos(theta/2) - i sin(theta/2) P, where P|j> = i^(number of Y) (-1)^(parity of j & z) |j ^ x>.
void fill_pauli(std::string_view paulis, double theta, Coefficient* out) {
  const std::size_t dimension = std::size_t{1} << paulis.size();
  std::size_t x = 0, z = 0;
  for (std::size_t k = 0; k < paulis.size(); ++k) {
    if (paulis[k] == 'X' || paulis[k] == 'Y') x |= std::size_t{1} << k;
    if (paulis[k] == 'Z' || paulis[k] == 'Y') z |= std::size_t{1} << k;
  }
  constexpr Coefficient powers_of_i[] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  const Coefficient flip = Coefficient(0, -std::sin(theta / 2)) * powers_of_i[std::popcount(x & z) % 4];
  for (std::size_t column = 0; column < dimension; ++column) {
    const double sign = std::popcount(column & z) % 2 ? -1 : 1;
    out[column * dimension + column] += std::cos(theta / 2);
    out[(column ^ x) * dimension + column] += sign * flip;
  }
}

void fill_swap(Coefficient* out) {
  for (int row = 0; row < 4; ++row) out[4 * row + ((row & 1) << 1 | row >> 1)] = 1;
}

const Gate& checked_row(int code, const std::vector<double>& parameters) {
  const auto table = gate_table();
  if (code < 0 || static_cast<std::size_t>(code) >= table.size())
    throw std::invalid_argument("no gate has the code " + std::to_string(code) + "; gate_rows() lists " +
                                std::to_string(table.size()));
  const Gate& g = table[static_cast<std::size_t>(code)];
  const std::string name(g.name);
  if (g.targets == any) throw std::invalid_argument(name + " has no matrix of its own: each call brings it");
  if (parameters.size() != static_cast<std::size_t>(g.parameters))
    throw std::invalid_argument(name + " takes " + std::to_string(g.parameters) + " parameters, not " +
                                std::to_string(parameters.size()));
  for (double value : parameters)
    if (!std::isfinite(value)) throw std::invalid_argument(name + " takes finite angles, not " + std::to_string(value));
  return g;
}

Matrix gate_matrix(int code, const std::vector<double>& parameters) {
  const Gate& g = checked_row(code, parameters);
  const std::size_t dimension = std::size_t{1} << g.targets;
  auto entries = std::make_unique<Coefficient[]>(dimension * dimension);
  if (g.kind == Kind::swap)
    fill_swap(entries.get());
  else if (g.kind == Kind::pauli)
    fill_pauli(g.paulis, parameters[0], entries.get());
  else
    g.matrix(parameters.data(), entries.get());
  Coefficient* data = entries.get();
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<Coefficient*>(p); });
  entries.release();
  return Matrix(data, {dimension, dimension}, owner);
}

}  // namespace

void bind_gates(nb::module_& m) {
  m.def("gate_rows", gate_rows,
        "Rows of the gate table in the order of their codes: (name, parameters, controls, targets, kind, paulis); -1 stands for\n"
        "as many as the call gives.");
  m.def("gate_matrix", gate_matrix, nb::arg("code"), nb::arg("parameters"),
        "Matrix of a gate on its targets, controls left out: complex128, the first target is the least significant bit.");
}

}  // namespace qmpi
