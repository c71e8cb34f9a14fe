// Python's face of circuits and state vectors. It parses lists of gates, refuses what is wrong with them before anything is touched,
// and releases the GIL for what takes long.
#include "store/vector.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/complex.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "bindings/handles.h"
#include "plan/segments.h"
#include "runtime/philox.h"

using namespace nb::literals;

namespace qmpi {
namespace {

constexpr int largest_unitary = 10;

[[noreturn]] void refuse(const std::string& what) { throw Error("InvalidArgument", what); }

// A list of gates on qubits 0 … n-1, checked, independent of where the qubits are.
struct Gates {
  struct Row {
    int code, controls, qubits;
    std::size_t qubit, number, entry;
    std::string paulis;
  };
  int n;
  std::vector<Row> rows;
  std::vector<int> qubits;
  std::vector<double> numbers;
  std::vector<Coefficient> entries;

  void add_to(Circuit& circuit) const {
    for (const Row& row : rows) {
      const int* first = qubits.data() + row.qubit;
      circuit.add_row(row.code, {numbers.data() + row.number, numbers.size() - row.number}, {first, static_cast<std::size_t>(row.controls)},
                      {first + row.controls, static_cast<std::size_t>(row.qubits - row.controls)}, entries.data() + row.entry, row.paulis);
    }
  }

  void add_qubit(const std::string& name, nb::handle item) {
    if (!PyIndex_Check(item.ptr())) refuse(name + ": qubits are whole numbers, not " + nb::cast<std::string>(nb::repr(item)));
    const Py_ssize_t qubit = PyNumber_AsSsize_t(item.ptr(), nullptr);  // what is beyond 64 bits becomes the nearest that is not
    if (qubit == -1 && PyErr_Occurred()) throw nb::python_error();
    if (qubit < 0 || qubit >= n)
      refuse(name + ": qubit " + nb::cast<std::string>(nb::repr(item)) + " is outside 0 to " + std::to_string(n - 1));
    qubits.push_back(static_cast<int>(qubit));
  }

  // Of all that was given: equal lists have equal ones, in every process of this version.
  std::uint64_t digest() const {
    std::uint64_t sum = rows.size();
    const auto mix = [&](const auto& value) {
      static_assert(sizeof(value) <= sizeof sum);
      std::uint64_t word = 0;
      std::memcpy(&word, &value, sizeof value);
      sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
      sum ^= sum >> 29;
    };
    for (const Row& row : rows) {
      mix(row.code);
      mix(row.qubits);
      for (const char letter : row.paulis) mix(letter);
    }
    for (const int qubit : qubits) mix(qubit);
    for (const double number : numbers) mix(number);
    for (const Coefficient& entry : entries) mix(entry.real()), mix(entry.imag());
    return sum;
  }

  void add(const std::string& name, nb::handle operands, nb::handle parameters) {
    const int code = gate_code(name);
    if (code < 0) refuse("no gate is called '" + name + "'; qmpi.gates.TABLE has them all");
    const Gate& gate = gate_table()[code];
    Row row{code, 0, 0, qubits.size(), numbers.size(), entries.size(), {}};
    for (const nb::handle item : operands) add_qubit(name, item);
    row.qubits = static_cast<int>(qubits.size() - row.qubit);
    const bool own_count = gate.controls == any || gate.targets == any;
    if (own_count ? row.qubits < 1 : row.qubits != gate.controls + gate.targets)
      refuse(name + " acts on " + (own_count ? "at least 1 qubit" : std::to_string(gate.controls + gate.targets) + " qubits") + ", not " + std::to_string(row.qubits));
    row.controls = gate.controls == any ? row.qubits - 1 : gate.controls;
    for (auto a = qubits.begin() + static_cast<std::ptrdiff_t>(row.qubit); a != qubits.end(); ++a)
      if (std::find(a + 1, qubits.end(), *a) != qubits.end()) refuse(name + " needs different qubits, " + std::to_string(*a) + " is given twice");
    std::vector<nb::object> given;
    for (const nb::handle item : parameters) given.push_back(nb::borrow(item));
    const bool brings = gate.targets == any;
    const std::size_t expected = static_cast<std::size_t>(gate.parameters) + (brings ? 1 : 0);
    if (given.size() != expected) refuse(name + " takes " + std::to_string(expected) + " parameters, not " + std::to_string(given.size()));
    for (int k = 0; k < gate.parameters; ++k) {
      double angle;
      if (!nb::try_cast(given[k], angle) || !std::isfinite(angle))
        refuse(name + ": an angle is a finite number, not " + nb::cast<std::string>(nb::repr(given[k])));
      numbers.push_back(angle);
    }
    if (brings && gate.kind == Kind::pauli) {
      if (!nb::try_cast(given.back(), row.paulis) || row.paulis.size() != static_cast<std::size_t>(row.qubits) ||
          row.paulis.find_first_not_of("IXYZ") != std::string::npos)
        refuse(name + " takes one letter of IXYZ per qubit");
    } else if (brings) {
      add_matrix(name, row.qubits, given.back());
    }
    rows.push_back(std::move(row));
  }

  void add_matrix(const std::string& name, int width, nb::handle object) {
    if (width > largest_unitary) refuse(name + ": " + std::to_string(width) + " qubits; give 1 to " + std::to_string(largest_unitary));
    const nb::object unitary_array = nb::module_::import_("qmpi.gates.shapes").attr("unitary_array");
    const nb::object array = unitary_array(object, width);
    const auto matrix = nb::cast<nb::ndarray<const Coefficient, nb::c_contig, nb::device::cpu>>(array);
    entries.insert(entries.end(), matrix.data(), matrix.data() + matrix.size());
  }
};

std::shared_ptr<Gates> parse(int n, nb::handle list) {
  auto gates = std::make_shared<Gates>();
  gates->n = n;
  for (const nb::handle item : list) {
    const nb::object triple = nb::borrow(item);
    if (!PySequence_Check(triple.ptr()) || nb::len(triple) != 3)
      refuse("a gate is (name, qubits, parameters), not " + nb::cast<std::string>(nb::repr(triple)));
    std::string name;
    if (!nb::try_cast(triple[0], name)) refuse("a gate's name is a string, not " + nb::cast<std::string>(nb::repr(nb::object(triple[0]))));
    gates->add(name, nb::object(triple[1]), nb::object(triple[2]));
  }
  return gates;
}

template <class Value>
using Numbers = nb::ndarray<nb::numpy, Value, nb::ndim<1>, nb::c_contig>;

template <class Value>
Numbers<Value> as_array(std::vector<Value>&& values) {
  auto* kept = new std::vector<Value>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<Value>*>(p); });
  return Numbers<Value>(kept->data(), {kept->size()}, owner);
}

template <class Real>
nb::object view(Vector& vector, nb::handle owner) {
  using Amplitude = std::complex<Real>;
  return nb::cast(nb::ndarray<nb::numpy, Amplitude, nb::ndim<1>, nb::c_contig>(static_cast<Amplitude*>(vector.amplitudes()),
                                                                             {std::size_t{1} << vector.bits()}, owner));
}

}  // namespace

void bind_vector(nb::module_& m) {
  nb::class_<Gates>(m, "Gates", "A checked list of gates on n qubits.")
      .def_prop_ro("n", [](const Gates& gates) { return gates.n; })
      .def_prop_ro("digest", &Gates::digest, "64 bits that tell lists apart, the same in all processes.")
      .def("__len__", [](const Gates& gates) { return gates.rows.size(); });
  m.def("parse_gates", &parse, "n"_a, "gates"_a, "Checks a list of (name, qubits, parameters).");

  nb::class_<Circuit>(m, "Circuit", "Gates on bits, merged as they come.")
      .def(nb::init<int, std::vector<int>>(), "n"_a, "layout"_a)
      .def("add", [](Circuit& circuit, const Gates& gates) { gates.add_to(circuit); }, "gates"_a)
      .def("restore_order", &Circuit::restore_order)
      .def("segments", [](const Circuit& circuit, Index global, bool free_choice) {
        std::vector<std::pair<Index, std::vector<int>>> result;
        for (Segment& segment : make_segments(circuit, global, free_choice)) result.emplace_back(segment.global, std::move(segment.actions));
        return result;
      }, "global_bits"_a, "free_choice"_a, "Pairs of the bits that are global and the actions that run meanwhile.")
      .def("localised", [](const Circuit& circuit, const std::vector<int>& actions, const std::vector<int>& place, int local_bits, Index node,
                            Coefficient scalar) { return circuit.localised(actions, place, local_bits, node, scalar); },
           "actions"_a, "place"_a, "local_bits"_a, "node"_a, "scalar"_a)
      .def_prop_ro("widest", [](const Circuit& circuit) {
        int most = 0;
        for (const Action& action : circuit.actions()) most = std::max(most, __builtin_popcountll(static_cast<unsigned long long>(action.dense)));
        return most;
      }, "Most bits that one action mixes.")
      .def_prop_ro("scalar", &Circuit::scalar)
      .def_prop_ro("layout", &Circuit::layout)
      .def_prop_ro("empty", &Circuit::empty)
      .def("__len__", &Circuit::size);

  m.def("vector_draws", [](std::uint64_t seed, std::uint32_t context, std::uint64_t vector, std::uint64_t number, std::size_t count) {
    std::vector<double> draws(count);
    for (std::size_t k = 0; k < count; ++k) draws[k] = uniform_draw(seed, Stream::vector, context, number, k, vector);
    return as_array(std::move(draws));
  }, "seed"_a, "context"_a, "vector"_a, "number"_a, "count"_a, "Uniform in [0, 1): a function of these numbers and of the position.");

  nb::class_<Plan>(m, "Plan", "A circuit's programs, each one pass over memory.")
      .def_prop_ro("layout", [](const Plan& plan) { return plan.layout; })
      .def("__len__", [](const Plan& plan) { return plan.programs.size(); })
      .def_prop_ro("bytes", [](const Plan& plan) {
        std::int64_t bytes = 0;
        for (const ProgramText& text : plan.programs) bytes += text.program().bytes;
        return bytes;
      });

  nb::class_<Vector>(m, "Vector", "2^n amplitudes in the arena.")
      .def("__init__", [](Vector* self, std::shared_ptr<Arena> arena, int bits, bool single_precision, int workers) {
        Gil patience;
        new (self) Vector(std::move(arena), bits, single_precision, workers, patience);
      }, "arena"_a, "bits"_a, "single_precision"_a, "workers"_a)
      .def_prop_ro("bits", &Vector::bits)
      .def_prop_ro("offset", &Vector::offset)
      .def_prop_ro("amplitudes", [](nb::handle self) {
        Vector& vector = nb::cast<Vector&>(self);
        return vector.single_precision() ? view<float>(vector, self) : view<double>(vector, self);
      }, nb::for_getter(nb::sig("def amplitudes(self) -> NDArray[numpy.complex128] | NDArray[numpy.complex64]")), "The amplitudes themselves.")
      .def("clear", [](Vector& v, bool first_is_one) {
        Gil patience;
        v.clear(first_is_one, patience);
      }, "first_is_one"_a)
      .def("plan", [](const Vector& v, const Circuit& circuit, int tile_bits, int run_bits, int chunk_bits, int near_bits) {
        const auto [least, most] = std::minmax({tile_bits, run_bits, chunk_bits, near_bits});
        if (least < 0 || most > most_tile_bits)
          refuse("a tiling is made of bits from 0 to " + std::to_string(most_tile_bits));
        Gil patience;
        if (circuit.size() > 512) patience.give_way();
        return v.plan(circuit, {tile_bits, run_bits, chunk_bits, near_bits});
      }, "circuit"_a, "tile_bits"_a = 0, "run_bits"_a = 0, "chunk_bits"_a = 0, "near_bits"_a = 0,
         "Bits that are 0 are chosen for this machine.")
      .def("run", [](Vector& v, Plan& plan) {
        Gil patience;
        v.run(plan, patience);
      }, "plan"_a, "Where an interrupt ends it, it goes on when it is run again.")
      .def("weights", [](Vector& v, Index mask) {
        Gil patience;
        const Weights w = v.weights(mask, patience);
        return std::pair(w.zero, w.one);
      }, "mask"_a)
      .def("multiply", [](Vector& v, int bit, double zero, double one) {
        Gil patience;
        v.multiply(bit, zero, one, patience);
      }, "bit"_a, "zero"_a, "one"_a)
      .def("expectations", [](Vector& v, const std::vector<std::pair<Index, Index>>& masks) {
        std::vector<PauliMasks> products;
        for (const auto& [x, z] : masks) products.push_back({x, z});
        Gil patience;
        return v.expectations(products, patience);
      }, "masks"_a)
      .def("sample", [](Vector& v, Numbers<const double> targets) {
        std::vector<std::int64_t> indices(targets.size());
        {
          Gil patience;
          patience.give_way();
          v.sample({targets.data(), targets.size()}, indices, patience);
        }
        return as_array(std::move(indices));
      }, "targets"_a)
      .def("marginal", [](Vector& v, const std::vector<int>& bits) {
        std::vector<double> sums;
        {
          Gil patience;
          sums = v.marginal(bits, patience);
        }
        return as_array(std::move(sums));
      }, "bits"_a);
}

}  // namespace qmpi
