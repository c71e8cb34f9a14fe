// The kernels as Python functions on NumPy arrays, for tests and benchmarks: they work in place, and check what the kernels
// themselves take for granted. The engine does not come through here, and which kernel a gate needs is not known here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/complex.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/bits.h"
#include "kernels/kernels.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace qmpi {
namespace {

template <class Value>
using Array = nb::ndarray<nb::numpy, Value, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class Real>
using Psi = Array<std::complex<Real>>;
template <class Real>
using ReadOnlyPsi = Array<const std::complex<Real>>;
using Matrix = nb::ndarray<const Coefficient, nb::c_contig, nb::device::cpu>;
using IsaName = std::optional<std::string>;
using Bits = std::vector<int>;

void require(bool holds, const std::string& message) {
  if (!holds) throw nb::value_error(message.c_str());
}

template <class Real>
const Kernels<Real>& table(const IsaName& name) {
  if (!name) return kernels<Real>(best_isa());
  for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512})
    if (*name == name_of(isa) && available(isa)) return kernels<Real>(isa);
  throw nb::value_error(("isa '" + *name + "' is not available on this machine; see kernels.available()").c_str());
}

// n of an array of 2^n amplitudes.
int qubits(std::size_t length, const std::string& what = "psi") {
  require(length > 0 && (length & (length - 1)) == 0,
          what + " has " + std::to_string(length) + " amplitudes; the number must be a power of two");
  return trailing_zeros(Index(length));
}

Index check_mask(Index mask, int n, const char* what) {
  require(mask >= 0 && mask < bit(n), std::string(what) + " has bits outside 0 ... " + std::to_string(n - 1));
  return mask;
}

// The mask of distinct bits in range.
Index check_bits(const Bits& bits, int n) {
  Index mask = 0;
  for (const int b : bits) {
    require(b >= 0 && b < n, "bit " + std::to_string(b) + " is outside 0 ... " + std::to_string(n - 1));
    require((mask & bit(b)) == 0, "bit " + std::to_string(b) + " is given twice");
    mask |= bit(b);
  }
  return mask;
}

void check_gate(const Bits& targets, Index controls, int n) {
  const Index mask = check_bits(targets, n);
  require((check_mask(controls, n, "controls") & mask) == 0, "a bit is both target and control");
}

void check_matrix(const Matrix& u, std::size_t targets) {
  require(u.size() == std::size_t(1) << 2 * targets, "u has " + std::to_string(u.size()) + " entries; " +
                                                         std::to_string(targets) + " targets need " +
                                                         std::to_string(std::size_t(1) << 2 * targets));
}

void check_outcome(int value) { require(value == 0 || value == 1, "value must be 0 or 1"); }

template <class Real>
void define_gates(nb::module_& m) {
  m.def(
      "single",
      [](Psi<Real> psi, int target, Index controls, Matrix u, const IsaName& isa) {
        const int n = qubits(psi.size());
        check_gate({target}, controls, n);
        check_matrix(u, 1);
        table<Real>(isa).single(psi.data(), n, target, controls, u.data(), {});
      },
      "psi"_a.noconvert(), "target"_a, "controls"_a, "u"_a, nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "swap",
      [](Psi<Real> psi, int a, int b, Index controls, const IsaName& isa) {
        const int n = qubits(psi.size());
        check_gate({a, b}, controls, n);
        table<Real>(isa).swap(psi.data(), n, a, b, controls, {});
      },
      "psi"_a.noconvert(), "a"_a, "b"_a, "controls"_a, nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "block",
      [](Psi<Real> psi, const Bits& targets, Index controls, Matrix u, const IsaName& isa) {
        const int n = qubits(psi.size());
        check_gate(targets, controls, n);
        require(targets.size() >= 2, "block needs at least two targets");
        check_matrix(u, targets.size());
        table<Real>(isa).block(psi.data(), n, targets.data(), int(targets.size()), controls, u.data(), {});
      },
      "psi"_a.noconvert(), "targets"_a, "controls"_a, "u"_a, nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "pauli",
      [](Psi<Real> psi, Index x, Index z, double theta, const IsaName& isa) {
        const int n = qubits(psi.size());
        table<Real>(isa).pauli(psi.data(), n, check_mask(x, n, "x"), check_mask(z, n, "z"), theta, {});
      },
      "psi"_a.noconvert(), "x"_a, "z"_a, "theta"_a, nb::kw_only(), "isa"_a = nb::none());
}

template <class Real>
void define_reductions(nb::module_& m) {
  m.def(
      "weights",
      [](ReadOnlyPsi<Real> psi, Index mask, const IsaName& isa) {
        const int n = qubits(psi.size());
        const Weights w = table<Real>(isa).weights(psi.data(), n, check_mask(mask, n, "mask"));
        return std::pair(w.zero, w.one);
      },
      "psi"_a.noconvert(), "mask"_a, nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "expectation",
      [](ReadOnlyPsi<Real> psi, Index x, Index z, const IsaName& isa) {
        const int n = qubits(psi.size());
        return table<Real>(isa).expectation(psi.data(), n, check_mask(x, n, "x"), check_mask(z, n, "z"), {});
      },
      "psi"_a.noconvert(), "x"_a, "z"_a, nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "gather",
      [](ReadOnlyPsi<Real> psi, const Bits& bits, Coefficient factor, Psi<double> out, const IsaName& isa) {
        const int n = qubits(psi.size());
        check_bits(bits, n);
        require(int(bits.size()) == n, "gather needs every bit of psi once");
        require(out.size() == psi.size(), "out must have as many entries as psi");
        require(static_cast<const void*>(out.data()) != psi.data(), "out must not be psi");
        table<Real>(isa).gather(psi.data(), n, bits.data(), factor, out.data());
      },
      "psi"_a.noconvert(), "bits"_a, "factor"_a, "out"_a.noconvert(), nb::kw_only(), "isa"_a = nb::none());
}

template <class Real>
void define_growing(nb::module_& m) {
  m.def(
      "join",
      [](Psi<Real> psi, ReadOnlyPsi<Real> other, const IsaName& isa) {
        const int total = qubits(psi.size()), n = qubits(other.size(), "other");
        require(n <= total, "psi, the destination, is smaller than other");
        table<Real>(isa).join(psi.data(), total - n, other.data(), n);
      },
      "psi"_a.noconvert(), "other"_a.noconvert(), nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "project",
      [](Psi<Real> psi, int bit, int value, double scale, const IsaName& isa) {
        const int n = qubits(psi.size());
        check_bits({bit}, n);
        check_outcome(value);
        table<Real>(isa).project(psi.data(), n, bit, value, scale);
      },
      "psi"_a.noconvert(), "bit"_a, "value"_a, "scale"_a, nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "project_parity",
      [](Psi<Real> psi, int a, int b, int value, double scale, const IsaName& isa) {
        const int n = qubits(psi.size());
        check_bits({a, b}, n);
        check_outcome(value);
        table<Real>(isa).project_parity(psi.data(), n, a, b, value, scale);
      },
      "psi"_a.noconvert(), "a"_a, "b"_a, "value"_a, "scale"_a, nb::kw_only(), "isa"_a = nb::none());
  m.def(
      "join_parity",
      [](Psi<Real> psi, int a, ReadOnlyPsi<Real> other, int b, int value, double scale, const IsaName& isa) {
        const int m = qubits(other.size(), "other"), n = qubits(psi.size()) + 1 - m;
        check_bits({a}, n);
        check_bits({b}, m);
        check_outcome(value);
        table<Real>(isa).join_parity(psi.data(), n, a, other.data(), m, b, value, scale);
      },
      "psi"_a.noconvert(), "a"_a, "other"_a.noconvert(), "b"_a, "value"_a, "scale"_a, nb::kw_only(),
      "isa"_a = nb::none());
}

}  // namespace

void bind_kernels(nb::module_& parent) {
  nb::module_ m = parent.def_submodule(
      "kernels",
      "The state-vector kernels, in place on writable contiguous arrays of 2^n complex128 or complex64 amplitudes.\n\n"
      "Arguments as in csrc/kernels/kernels.h without n and m, which follow from the lengths; `isa` is 'plain', 'avx2' or 'avx512', by\n"
      "default the best one. For join and join_parity psi is the whole destination, whose first 2^n entries are the state;\n"
      "project and project_parity leave their result in the first half. The twins in NumPy: qmpi.engine.kernels_reference.");
  m.def("available", [] {
    std::vector<std::string> names;
    for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512})
      if (available(isa)) names.emplace_back(name_of(isa));
    return names;
  });
  define_gates<double>(m);
  define_gates<float>(m);
  define_reductions<double>(m);
  define_reductions<float>(m);
  define_growing<double>(m);
  define_growing<float>(m);
}

}  // namespace qmpi
