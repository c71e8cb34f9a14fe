// Python's face of qubits: gates, measurement, and where in a program they stand. The only place that looks at Python frames.
#include "bindings/handles.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <mutex>
#include <unordered_map>

using namespace nb::literals;

namespace qmpi {
namespace {

// --- where a gate stands in the user's program ----------------------------------------------------------------------------------

// What is known of a source file's name (all code objects of a file share the object): its number, and whether it is this package's.
// The names are guarded, because a flush may describe a gate while the GIL is with someone else.
struct File {
  std::uint32_t number;
  bool ours;
};
std::vector<std::string> file_names;
std::mutex file_names_mutex;
std::string package;  // its folder

File file_of(PyObject* name) {
  static std::unordered_map<PyObject*, File> known;
  if (const auto entry = known.find(name); entry != known.end()) return entry->second;
  const std::lock_guard guard(file_names_mutex);
  file_names.push_back(nb::cast<std::string>(nb::handle(name)));
  Py_INCREF(name);  // so that the address stays its name
  return known[name] = {static_cast<std::uint32_t>(file_names.size()), file_names.back().starts_with(package + "/")};
}

// The innermost line of the user's program: the first frame outside this package.
Source caller() {
  auto* frame = PyEval_GetFrame();
  Py_XINCREF(frame);
  Source source;
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    const File file = file_of(code->co_filename);
    Py_DECREF(code);
    if (!file.ours) source = {file.number, static_cast<std::uint32_t>(PyFrame_GetLineNumber(frame))};
    PyFrameObject* outer = file.ours ? PyFrame_GetBack(frame) : nullptr;
    Py_DECREF(frame);
    frame = outer;
  }
  return source;
}

}  // namespace

std::string describe(Source source) {
  if (source.file == 0) return "an unknown line";
  const std::lock_guard guard(file_names_mutex);
  return file_names[source.file - 1] + ":" + std::to_string(source.line);
}

namespace {

// --- operands -------------------------------------------------------------------------------------------------------------------

PyTypeObject* qubit_type = nullptr;

}  // namespace

Qubit* as_qubit(nb::handle object) { return Py_TYPE(object.ptr()) == qubit_type ? nb::inst_ptr<Qubit>(object) : nullptr; }

namespace {

bool all_qubits(nb::handle tuple) {
  const auto items = nb::borrow<nb::tuple>(tuple);
  return std::all_of(items.begin(), items.end(), as_qubit);
}

// What a Register keeps its qubits in; null if the object is none.
nb::object tuple_of(nb::handle object) {
  static PyObject* attribute = PyUnicode_InternFromString("_qubits");
  nb::object qubits = nb::steal(PyObject_GetAttr(object.ptr(), attribute));
  PyErr_Clear();
  return qubits && PyTuple_Check(qubits.ptr()) && all_qubits(qubits) ? qubits : nb::object();
}

bool collect_one(nb::handle operand, std::vector<Qubit*>& out) {
  if (Qubit* qubit = as_qubit(operand)) {
    out.push_back(qubit);
    return true;
  }
  const nb::object qubits = tuple_of(operand);
  for (Py_ssize_t k = 0; qubits && k < PyTuple_GET_SIZE(qubits.ptr()); ++k) out.push_back(as_qubit(PyTuple_GET_ITEM(qubits.ptr(), k)));
  return qubits.is_valid();
}

// The qubits of an operand, appended to `out`: the one place that decides what is one.
void collect(nb::handle operand, std::vector<Qubit*>& out) {
  const auto refuse = [](nb::handle object, const char* where) {
    throw nb::type_error((std::string("expected a Qubit, a Register, or a list of these, not ") + Py_TYPE(object.ptr())->tp_name + where).c_str());
  };
  if (!PyList_Check(operand.ptr()) && !PyTuple_Check(operand.ptr())) {
    if (!collect_one(operand, out)) refuse(operand, "");
    return;
  }
  for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(operand.ptr()); ++k) {
    const nb::handle item = PySequence_Fast_GET_ITEM(operand.ptr(), k);
    if (!collect_one(item, out)) refuse(item, " in a list");
  }
}

nb::typed<nb::tuple, Qubit, nb::ellipsis> qubits_of(nb::handle operand) {
  using Qubits = nb::typed<nb::tuple, Qubit, nb::ellipsis>;
  if (as_qubit(operand)) return nb::borrow<Qubits>(nb::make_tuple(operand));
  if (PyTuple_Check(operand.ptr())) {
    if (all_qubits(operand)) return nb::borrow<Qubits>(operand);
  } else if (const nb::object qubits = tuple_of(operand)) {
    return nb::borrow<Qubits>(qubits);
  }
  std::vector<Qubit*> qubits;
  collect(operand, qubits);
  nb::list result;
  for (Qubit* qubit : qubits) result.append(nb::find(*qubit));
  return nb::borrow<Qubits>(nb::tuple(result));
}

PySession& common_session(std::span<Qubit* const> qubits) {
  if (qubits.empty()) throw nb::value_error("a gate needs at least one qubit");
  PySession* session = qubits[0]->session.get();
  for (const Qubit* qubit : qubits)
    if (qubit->session.get() != session) throw Error("ForeignQubit", "the qubit belongs to another rank");
  return *session;
}

}  // namespace

std::vector<HandleName> names_of(const PySession& session, nb::handle operand) {
  std::vector<Qubit*> qubits;
  collect(operand, qubits);
  std::vector<HandleName> names;
  for (const Qubit* qubit : qubits) {
    if (qubit->session.get() != &session) throw Error("ForeignQubit", "the qubit belongs to another rank");
    names.push_back(qubit->name);
  }
  return names;
}

namespace {

// One to n, n to n, n being 0 as well: operand k of application j is operands[k][j], or operands[k][0] where it is a single qubit.
void broadcast(int code, std::span<const double> parameters, std::span<const nb::handle> operands) {
  std::vector<std::vector<Qubit*>> lists(operands.size());
  std::size_t length = 1;
  std::vector<Qubit*> all;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    collect(operands[k], lists[k]);
    all.insert(all.end(), lists[k].begin(), lists[k].end());
    const std::size_t size = lists[k].size();
    if (size != 1 && length != 1 && size != length)
      throw Error("InvalidArgument", std::string(gate_table()[code].name) + ": registers of " + std::to_string(length) + " and " +
                                         std::to_string(size) + " qubits do not broadcast (one to n, or n to n)");
    if (size != 1) length = size;
  }
  if (all.empty()) return;
  PySession& session = common_session(all);
  for (std::size_t k = 0; length == 0 && k < all.size(); ++k) session.check(all[k]->name);
  const Source source = caller();
  const std::size_t controls = static_cast<std::size_t>(gate_table()[code].controls);
  // Every application is checked before the first is buffered.
  std::vector<std::vector<HandleName>> applications(length);
  for (std::size_t j = 0; j < length; ++j) {
    std::vector<HandleName>& names = applications[j];
    for (const auto& list : lists) names.push_back(list[list.size() == 1 ? 0 : j]->name);
    for (std::size_t a = 0; a < names.size(); ++a) {
      session.check(names[a]);
      for (std::size_t b = 0; b < a; ++b)
        if (names[a].slot == names[b].slot)
          throw Error("DuplicateQubit", std::string(gate_table()[code].name) + " needs different qubits, one is given twice");
    }
  }
  for (const auto& names : applications)
    session.gate(code, parameters, std::span(names).first(controls), std::span(names).subspan(controls), source);
  Gil patience;
  session.flush_if_full(patience);
}

void apply_one(int code, nb::handle operand) {
  Qubit* qubit = as_qubit(operand);
  if (!qubit) return broadcast(code, {}, {&operand, 1});
  qubit->session->gate(code, {}, {}, {&qubit->name, 1}, {});
  Gil patience;
  qubit->session->flush_if_full(patience);
}

void rotate_one(int code, double theta, nb::handle operand) {
  Qubit* qubit = as_qubit(operand);
  if (!qubit) return broadcast(code, {&theta, 1}, {&operand, 1});
  qubit->session->gate(code, {&theta, 1}, {}, {&qubit->name, 1}, {});
  Gil patience;
  qubit->session->flush_if_full(patience);
}

void apply_two(int code, nb::handle a, nb::handle b) {
  Qubit *first = as_qubit(a), *second = as_qubit(b);
  if (!first || !second) {
    const nb::handle both[2] = {a, b};
    return broadcast(code, {}, both);
  }
  if (first->session != second->session) throw Error("ForeignQubit", "the qubit belongs to another rank");
  const HandleName names[2] = {first->name, second->name};
  const std::size_t controls = static_cast<std::size_t>(gate_table()[code].controls);
  first->session->gate(code, {}, {names, controls}, {names + controls, 2 - controls}, caller());
  Gil patience;
  first->session->flush_if_full(patience);
}

void apply(int code, const std::vector<double>& parameters, nb::typed<nb::tuple, nb::object, nb::ellipsis> operands) {
  std::vector<nb::handle> handles(operands.begin(), operands.end());
  broadcast(code, parameters, handles);
}

void apply_controlled(int code, const std::vector<double>& parameters, nb::handle controls, nb::handle target) {
  std::vector<Qubit*> qubits;
  collect(controls, qubits);
  const std::size_t count = qubits.size();
  collect(target, qubits);
  if (qubits.size() != count + 1) throw Error("InvalidArgument", std::string(gate_table()[code].name) + " has one target");
  PySession& session = common_session(qubits);
  std::vector<HandleName> names;
  for (const Qubit* qubit : qubits) names.push_back(qubit->name);
  session.gate(code, parameters, std::span(names).first(count), std::span(names).subspan(count), caller());
  Gil patience;
  session.flush_if_full(patience);
}

void apply_unitary(nb::ndarray<const Coefficient, nb::ndim<2>, nb::c_contig, nb::device::cpu> matrix, nb::handle operand) {
  std::vector<Qubit*> qubits;
  collect(operand, qubits);
  PySession& session = common_session(qubits);
  std::vector<HandleName> names;
  for (const Qubit* qubit : qubits) names.push_back(qubit->name);
  static const int code = gate_code("unitary");
  session.unitary(code, {matrix.data(), matrix.size()}, names, caller());
  Gil patience;
  session.flush_if_full(patience);
}

void apply_pauli(double theta, std::string_view paulis, nb::handle operand) {
  std::vector<Qubit*> qubits;
  collect(operand, qubits);
  PySession& session = common_session(qubits);
  std::vector<HandleName> names;
  for (const Qubit* qubit : qubits) names.push_back(qubit->name);
  static const int code = gate_code("pauli_rotation");
  session.pauli_rotation(code, theta, paulis, names, caller());
  Gil patience;
  session.flush_if_full(patience);
}

// --- measurement ----------------------------------------------------------------------------------------------------------------

}  // namespace

Qubit& one_qubit(nb::handle object) {
  if (Qubit* qubit = as_qubit(object)) return *qubit;
  throw nb::type_error("expected a Qubit");
}

namespace {

void discharge(Qubit& qubit, nb::handle object, const char* how) {
  if (!qubit.session->obliged(qubit.name)) return;
  qubit.session->oblige(qubit.name, false);
  qubit.session->on_discharge(object, how);
}

int measure(nb::handle object) {
  Qubit& qubit = one_qubit(object);
  int bit;
  {
    Gil patience;
    bit = qubit.session->measure(qubit.name, patience);
  }
  discharge(qubit, object, "measured");
  return bit;
}

void reset(nb::handle object) {
  Qubit& qubit = one_qubit(object);
  {
    Gil patience;
    qubit.session->reset(qubit.name, patience);
  }
  discharge(qubit, object, "reset");
}

}  // namespace

void bind_handles(nb::module_& m) {
  package = nb::cast<std::string>(nb::module_::import_("os.path").attr("dirname")(nb::module_::import_("qmpi.errors").attr("__file__")));
  nb::class_<Qubit>(m, "Qubit", "A place in this rank's quantum memory. It never changes its owner; what it holds may travel.")
      .def_prop_ro("frozen", [](Qubit& q) { return q.session->owned(q.name).frozen > 0; }, "True while a pending request names it.")
      .def_prop_ro("freed", [](Qubit& q) {
            try {
              q.session->owned(q.name);
              return false;
            } catch (const Error&) {
              return true;
            }
          }, "True once it has been freed (or qmpi closed).")
      .def_prop_rw("_obliged", [](Qubit& q) { return q.session->obliged(q.name); },
                   [](Qubit& q, bool obliged) { q.session->oblige(q.name, obliged); })
      .def_prop_ro("_session", [](Qubit& q) { return q.session; })
      .def("__len__", [](Qubit&) { return 1; })
      .def("__eq__", [](const Qubit& a, nb::handle other) {
        const Qubit* b = as_qubit(other);
        return b && a.session == b->session && a.name.serial == b->name.serial;
      }, nb::arg().none())
      .def("__hash__", [](const Qubit& q) { return static_cast<Py_ssize_t>(q.name.serial); })
      .def("__repr__", [](const Qubit& q) {
        return "<Qubit " + std::to_string(q.name.serial) + " of rank " + std::to_string(q.session->rank()) + ">";
      });
  qubit_type = reinterpret_cast<PyTypeObject*>(nb::type<Qubit>().ptr());

  m.def("call_site", [] {
    const Source source = caller();
    return std::uint64_t{source.file} << 32 | source.line;
  }, "The innermost line of the user's program, as a number that `describe_site` reads.");
  m.def("describe_site", [](std::uint64_t site) {
    return describe({static_cast<std::uint32_t>(site >> 32), static_cast<std::uint32_t>(site)});
  }, "site"_a, "`file:line` of a call site.");
  m.def("qubits_of", &qubits_of, "operand"_a.none(),
        "The qubits of an operand: a Qubit, a Register, or a list or tuple of these. A TypeError for anything else.");
  m.def("apply_one", &apply_one, "code"_a, "qubit"_a.none());
  m.def("rotate_one", &rotate_one, "code"_a, "theta"_a, "qubit"_a.none());
  m.def("apply_two", &apply_two, "code"_a, "a"_a.none(), "b"_a.none());
  m.def("apply", &apply, "code"_a, "parameters"_a, "operands"_a);
  m.def("apply_controlled", &apply_controlled, "code"_a, "parameters"_a, "controls"_a.none(), "target"_a.none());
  m.def("apply_unitary", &apply_unitary, "matrix"_a, "qubits"_a.none());
  m.def("apply_pauli", &apply_pauli, "theta"_a, "paulis"_a, "qubits"_a.none());
  m.def("measure", &measure, "qubit"_a);
  m.def("reset", &reset, "qubit"_a);
  m.def("probability", [](nb::handle object) {
    Qubit& qubit = one_qubit(object);
    Gil patience;
    return qubit.session->probability(qubit.name, patience);
  }, "qubit"_a);
}

}  // namespace qmpi
