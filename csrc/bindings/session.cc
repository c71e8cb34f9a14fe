// Python's face of arena, session, qubits and tickets.
#include "runtime/session.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <chrono>
#include <mutex>
#include <unordered_map>

namespace nb = nanobind;
using namespace nb::literals;

namespace qmpi {
namespace {

// Gives up the GIL when the core is about to take long or to sleep, and takes it back when the call ends.
class Gil : public Patience {
 public:
  void give_way() override {
    if (!saved_) saved_ = PyEval_SaveThread();
  }
  ~Gil() override {
    if (saved_) PyEval_RestoreThread(saved_);
  }

 private:
  PyThreadState* saved_ = nullptr;
};

// A session with what only Python knows: whom to tell when a qubit with an obligation was measured or reset.
class PySession : public Session {
 public:
  using Session::Session;
  nb::object on_discharge;
};

struct Qubit {
  std::shared_ptr<PySession> session;
  HandleName name;
};

PyTypeObject* qubit_type = nullptr;

// --- where a gate stands in the user's program ----------------------------------------------------------------------------------

// What is known of a code object: its file, and whether it belongs to this package. Each is kept alive, so that its address stays its
// name. Guarded, because a flush may describe a gate while the GIL is with someone else.
struct CodeFile {
  std::uint32_t file;
  bool ours;
};
std::vector<std::string> file_names;
std::mutex file_names_mutex;

CodeFile file_of(PyCodeObject* code) {
  static std::unordered_map<PyCodeObject*, CodeFile> known;
  static std::unordered_map<std::string, std::uint32_t> numbers;
  if (const auto entry = known.find(code); entry != known.end()) return entry->second;
  static const std::string package = nb::cast<std::string>(nb::module_::import_("os.path").attr("dirname")(
      nb::module_::import_("qmpi.errors").attr("__file__")));
  const auto name = nb::cast<std::string>(nb::handle(code->co_filename));
  const auto [number, fresh] = numbers.try_emplace(name, static_cast<std::uint32_t>(numbers.size()));
  if (fresh) {
    const std::lock_guard guard(file_names_mutex);
    file_names.push_back(name);
  }
  Py_INCREF(code);
  return known[code] = {number->second, name.starts_with(package + "/")};
}

// The innermost line of the user's program: the first frame outside this package.
Source caller() {
  auto* frame = PyEval_GetFrame();
  Py_XINCREF(frame);
  Source source;
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    const CodeFile known = file_of(code);
    Py_DECREF(code);
    if (!known.ours) source = {known.file + 1, static_cast<std::uint32_t>(PyFrame_GetLineNumber(frame))};
    PyFrameObject* outer = known.ours ? PyFrame_GetBack(frame) : nullptr;
    Py_DECREF(frame);
    frame = outer;
  }
  return source;
}

std::string describe(Source source) {
  if (source.file == 0) return "an unknown line";
  const std::lock_guard guard(file_names_mutex);
  return file_names[source.file - 1] + ":" + std::to_string(source.line);
}

// --- operands -------------------------------------------------------------------------------------------------------------------

Qubit* as_qubit(nb::handle object) { return Py_TYPE(object.ptr()) == qubit_type ? nb::inst_ptr<Qubit>(object) : nullptr; }

// The qubits of a Qubit or a Register, appended to `out`.
void collect(nb::handle operand, std::vector<Qubit*>& out) {
  if (Qubit* qubit = as_qubit(operand)) return out.push_back(qubit);
  static PyObject* attribute = PyUnicode_InternFromString("_qubits");
  nb::object qubits = PyTuple_Check(operand.ptr()) ? nb::borrow(operand) : nb::steal(PyObject_GetAttr(operand.ptr(), attribute));
  PyErr_Clear();
  if (!qubits || !PyTuple_Check(qubits.ptr())) throw nb::type_error("expected a Qubit or a Register");
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(qubits.ptr()); ++k) {
    Qubit* qubit = as_qubit(PyTuple_GET_ITEM(qubits.ptr(), k));
    if (!qubit) throw nb::type_error("expected a Qubit or a Register");
    out.push_back(qubit);
  }
}

PySession& common_session(std::span<Qubit* const> qubits) {
  if (qubits.empty()) throw nb::value_error("a gate needs at least one qubit");
  PySession* session = qubits[0]->session.get();
  for (const Qubit* qubit : qubits)
    if (qubit->session.get() != session) throw Error("ForeignQubit", "the qubit belongs to another rank");
  return *session;
}

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

// One to n, n to n: operand k of application j is operands[k][j], or operands[k][0] where it is a single qubit.
void broadcast(int code, std::span<const double> parameters, std::span<const nb::handle> operands) {
  std::vector<std::vector<Qubit*>> lists(operands.size());
  std::size_t length = 1;
  std::vector<Qubit*> all;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    collect(operands[k], lists[k]);
    all.insert(all.end(), lists[k].begin(), lists[k].end());
    const std::size_t size = lists[k].size();
    if (size == 0 || (size != 1 && length != 1 && size != length))
      throw Error("InvalidArgument", std::string(gate_table()[code].name) + ": registers of " + std::to_string(length) + " and " +
                                         std::to_string(size) + " qubits do not broadcast (one to n, or n to n)");
    length = std::max(length, size);
  }
  PySession& session = common_session(all);
  Gil patience;
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
    session.gate(code, parameters, std::span(names).first(controls), std::span(names).subspan(controls), source, patience);
}

void apply_one(int code, nb::handle operand) {
  Qubit* qubit = as_qubit(operand);
  if (!qubit) return broadcast(code, {}, {&operand, 1});
  Gil patience;
  qubit->session->gate(code, {}, {}, {&qubit->name, 1}, {}, patience);
}

void rotate_one(int code, double theta, nb::handle operand) {
  Qubit* qubit = as_qubit(operand);
  if (!qubit) return broadcast(code, {&theta, 1}, {&operand, 1});
  Gil patience;
  qubit->session->gate(code, {&theta, 1}, {}, {&qubit->name, 1}, {}, patience);
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
  Gil patience;
  first->session->gate(code, {}, {names, controls}, {names + controls, 2 - controls}, caller(), patience);
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
  Gil patience;
  session.gate(code, parameters, std::span(names).first(count), std::span(names).subspan(count), caller(), patience);
}

void apply_unitary(nb::ndarray<const Coefficient, nb::ndim<2>, nb::c_contig, nb::device::cpu> matrix, nb::handle operand) {
  std::vector<Qubit*> qubits;
  collect(operand, qubits);
  PySession& session = common_session(qubits);
  std::vector<HandleName> names;
  for (const Qubit* qubit : qubits) names.push_back(qubit->name);
  static const int code = gate_code("unitary");
  Gil patience;
  session.unitary(code, {matrix.data(), matrix.size()}, names, caller(), patience);
}

void apply_pauli(double theta, std::string_view paulis, nb::handle operand) {
  std::vector<Qubit*> qubits;
  collect(operand, qubits);
  PySession& session = common_session(qubits);
  std::vector<HandleName> names;
  for (const Qubit* qubit : qubits) names.push_back(qubit->name);
  static const int code = gate_code("pauli_rotation");
  Gil patience;
  session.pauli_rotation(code, theta, paulis, names, caller(), patience);
}

// --- measurement ----------------------------------------------------------------------------------------------------------------

Qubit& one_qubit(nb::handle object) {
  if (Qubit* qubit = as_qubit(object)) return *qubit;
  throw nb::type_error("expected a Qubit");
}

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

// --- tickets --------------------------------------------------------------------------------------------------------------------

struct PyTicket {
  std::shared_ptr<PySession> session;
  Ticket ticket;
};

nb::typed<nb::tuple, Qubit, nb::ellipsis> qubits_of(const std::shared_ptr<PySession>& session, std::span<const HandleName> names) {
  nb::list result;
  for (const HandleName name : names) result.append(Qubit{session, name});
  return nb::typed<nb::tuple, Qubit, nb::ellipsis>(nb::tuple(result));
}

// Waits in slices so that Ctrl-C works; true once the ticket is finished.
bool wait(PyTicket& ticket, std::optional<double> seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t slice_us = 100'000;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds.value_or(0));
  for (;;) {
    std::int64_t left = slice_us;
    if (seconds)
      left = std::min<std::int64_t>(slice_us, std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()).count());
    {
      Gil patience;
      if (ticket.session->wait(ticket.ticket, std::max<std::int64_t>(left, 0), patience)) return true;
    }
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (seconds && left < slice_us) return false;
  }
}

std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t> as_tuple(const Charges& charges) {
  return {charges.epr_pairs, charges.epr_halves, charges.bits_sent, charges.bits_received, charges.measurements};
}

}  // namespace

void bind_session(nb::module_& m) {
  nb::enum_<Verb>(m, "Verb")
      .value("copy", Verb::copy)
      .value("move", Verb::move)
      .value("uncopy", Verb::uncopy)
      .value("unmove", Verb::unmove)
      .value("note", Verb::note)
      .value("bytes", Verb::bytes);
  nb::enum_<Failure>(m, "Failure")
      .value("none", Failure::none)
      .value("truncated", Failure::truncated)
      .value("other_verb", Failure::other_verb)
      .value("counts", Failure::counts)
      .value("abandoned", Failure::abandoned);
  m.attr("ANY_SOURCE") = any_source;
  m.attr("ANY_TAG") = any_tag;

  nb::class_<Arena>(m, "Arena", "The shared memory of a node.")
      .def_static(
          "create",
          [](int ranks, std::uint64_t seed, bool faithful, bool single_precision, std::uint64_t memory, int epr_buffer,
             std::uint64_t heap) {
            return Arena::create({ranks, seed, faithful, single_precision, memory, epr_buffer, heap});
          },
          "ranks"_a, "seed"_a, "faithful"_a, "single_precision"_a, "memory"_a, "epr_buffer"_a = 64, "heap"_a = 0)
      .def_static("attach", &Arena::attach, "descriptor"_a)
      .def_prop_ro("descriptor", &Arena::descriptor)
      .def_prop_ro("ranks", [](const Arena& arena) { return arena.settings().ranks; })
      .def_prop_ro("seed", [](const Arena& arena) { return arena.settings().seed; })
      .def_prop_ro("faithful", [](const Arena& arena) { return arena.settings().faithful; })
      .def_prop_ro("single_precision", [](const Arena& arena) { return arena.settings().single_precision; })
      .def_prop_ro("memory", [](const Arena& arena) { return arena.settings().memory; })
      .def_prop_ro("epr_buffer", [](const Arena& arena) { return arena.settings().epr_buffer; })
      .def("next_contexts", [](Arena& arena, int count) { return arena.header().next_context.fetch_add(count); }, "count"_a)
      .def("leave", [](Arena& arena) -> std::int64_t {
            if (++arena.header().left < arena.settings().ranks) return 0;
            Gil patience;
            return Mailboxes::unreceived(arena, patience);
          }, "This rank is done; the last one learns how many messages were never received.")
      .def("peak_held", [](Arena& arena, int rank) { return arena.rank(rank).peak_held; }, "rank"_a)
      .def("statistics", [](Arena& arena) -> nb::typed<nb::dict, nb::str, int> {
        const Statistics& s = arena.header().statistics;
        nb::typed<nb::dict, nb::str, int> result;
        result["qubits"] = s.qubits.load();
        result["components"] = s.components.load();
        result["entangled_qubits"] = s.entangled_qubits.load();
        result["peak_component"] = s.peak_component.load();
        result["merges"] = s.merges.load();
        result["waits"] = s.waits.load();
        result["bytes"] = s.bytes.load();
        result["peak_bytes"] = s.peak_bytes.load();
        return result;
      });

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

  nb::class_<PyTicket>(m, "Ticket", "One operation in flight.")
      .def("wait", &wait, "seconds"_a.none(), "True once it is finished; waits at most `seconds` (None: for ever).")
      .def_prop_ro("finished", [](PyTicket& t) { return t.ticket.posting == nullptr; })
      .def("withdraw", [](PyTicket& t) {
            Gil patience;
            return t.session->withdraw(t.ticket, patience);
          }, "Takes back what nobody has matched; False if it is too late.")
      .def_prop_ro("operation", [](PyTicket& t) { return t.ticket.operation; })
      .def_prop_ro("source", [](PyTicket& t) { return t.ticket.source; })
      .def_prop_ro("tag", [](PyTicket& t) { return t.ticket.tag; })
      .def_prop_ro("count", [](PyTicket& t) { return t.ticket.count; })
      .def_prop_ro("charges", [](PyTicket& t) { return as_tuple(t.ticket.charges); })
      .def_prop_ro("failure", [](PyTicket& t) { return t.ticket.failure; })
      .def_prop_ro("data", [](PyTicket& t) { return nb::bytes(t.ticket.bytes.data(), t.ticket.bytes.size()); })
      .def_prop_ro("arrived", [](PyTicket& t) { return qubits_of(t.session, t.ticket.arrived); });

  nb::class_<PySession>(m, "Session", "One rank's side of the store.")
      .def("__init__", [](PySession* self, std::shared_ptr<Arena> arena, int rank) {
        new (self) PySession(std::move(arena), rank);
        self->describe = describe;
      }, "arena"_a, "rank"_a)
      .def_prop_ro("rank", [](PySession& s) { return s.rank(); })
      .def_prop_ro("closed", [](PySession& s) { return s.closed(); })
      .def("close", [](PySession& s) { s.close(); })
      .def_rw("on_discharge", &PySession::on_discharge)
      .def("alloc", [](const std::shared_ptr<PySession>& s, int count) {
        std::vector<HandleName> names;
        {
          Gil patience;
          for (int k = 0; k < count; ++k) names.push_back(s->allocate(patience));
        }
        return qubits_of(s, names);
      }, "count"_a)
      .def("free", [](PySession& s, nb::handle qubits) {
        const auto names = names_of(s, qubits);
        Gil patience;
        s.free(names, patience);
      }, "qubits"_a)
      .def("require_zero", [](PySession& s, nb::handle qubits) {
        const auto names = names_of(s, qubits);
        Gil patience;
        s.require_zero(names, patience);
      }, "qubits"_a)
      .def("flush", [](PySession& s) {
        Gil patience;
        s.flush(patience);
      })
      .def_prop_ro("pending", [](PySession& s) { return s.pending(); })
      .def("discard_pending", [](PySession& s) { return s.discard_pending(); })
      .def("expectation", [](PySession& s, std::string_view paulis, nb::handle qubits) {
        const auto names = names_of(s, qubits);
        Gil patience;
        return s.expectation(names, paulis, patience);
      }, "paulis"_a, "qubits"_a)
      .def("ids", [](PySession& s, nb::handle qubits) { return s.ids(names_of(s, qubits)); }, "qubits"_a)
      .def("snapshot", [](PySession& s, const std::vector<std::uint64_t>& ids) {
        std::vector<Snapshot> snapshots;
        {
          Gil patience;
          snapshots = s.snapshot(ids, patience);
        }
        nb::list result;
        for (Snapshot& snapshot : snapshots) {
          auto* amplitudes = new std::vector<Coefficient>(std::move(snapshot.amplitudes));
          nb::capsule owner(amplitudes, [](void* p) noexcept { delete static_cast<std::vector<Coefficient>*>(p); });
          result.append(nb::make_tuple(
              snapshot.ids, nb::ndarray<nb::numpy, Coefficient, nb::ndim<1>>(amplitudes->data(), {amplitudes->size()}, owner)));
        }
        return result;
      }, "ids"_a,
        nb::sig("def snapshot(self, ids: Sequence[int]) -> list[tuple[list[int], NDArray[numpy.complex128]]]"))
      .def("force", [](PySession& s, std::uint64_t bits, int count) { s.force(bits, count); }, "bits"_a, "count"_a)
      .def("component_size", [](PySession& s, nb::handle q) {
        Gil patience;
        s.flush(patience);
        return s.store().component_size(s.check(one_qubit(q).name).id, patience);
      }, "qubit"_a)
      .def("send", [](const std::shared_ptr<PySession>& s, Verb verb, nb::handle qubits, int dest, std::uint32_t context, int tag,
                      std::uint64_t operation) {
        const auto names = names_of(*s, qubits);
        Gil patience;
        return PyTicket{s, s->send(verb, names, dest, context, tag, operation, patience)};
      }, "verb"_a, "qubits"_a, "dest"_a, "context"_a, "tag"_a, "operation"_a = 0)
      .def("receive", [](const std::shared_ptr<PySession>& s, Verb verb, nb::handle qubits, int source, std::uint32_t context,
                         int tag, std::uint64_t operation) {
        const bool allocate = qubits.is_none();
        std::vector<HandleName> names;
        if (!allocate) names = names_of(*s, qubits);
        Gil patience;
        return PyTicket{s, s->receive(verb, names, allocate, source, context, tag, operation, patience)};
      }, "verb"_a, "qubits"_a.none(), "source"_a, "context"_a, "tag"_a, "operation"_a = 0)
      .def("meet", [](const std::shared_ptr<PySession>& s, nb::handle qubits, int peer, std::uint32_t context, int tag) {
        const auto names = names_of(*s, qubits);
        Gil patience;
        return PyTicket{s, s->meet(names, peer, context, tag, patience)};
      }, "qubits"_a, "peer"_a, "context"_a, "tag"_a)
      .def("send_bytes", [](PySession& s, nb::bytes data, int dest, std::uint32_t context, int tag) {
        Gil patience;
        s.send_bytes(Verb::bytes, {data.c_str(), data.size()}, dest, context, tag, 0, patience);
      }, "data"_a, "dest"_a, "context"_a, "tag"_a)
      .def("send_note", [](PySession& s, std::string_view text, int dest, std::uint32_t context, int tag, std::uint64_t operation) {
        Gil patience;
        s.send_bytes(Verb::note, text, dest, context, tag, operation, patience);
      }, "text"_a, "dest"_a, "context"_a, "tag"_a, "operation"_a)
      .def("receive_bytes", [](const std::shared_ptr<PySession>& s, int source, std::uint32_t context, int tag) {
        Gil patience;
        return PyTicket{s, s->receive_bytes(source, context, tag, patience)};
      }, "source"_a, "context"_a, "tag"_a)
      .def("probe", [](PySession& s, int source, std::uint32_t context, int tag) -> nb::object {
        Gil patience;
        const auto envelope = s.mailboxes().probe(source, context, tag, patience);
        if (!envelope) return nb::none();
        return nb::make_tuple(envelope->source, envelope->tag, envelope->count, envelope->verb);
      }, "source"_a, "context"_a, "tag"_a,
        nb::sig("def probe(self, source: int, context: int, tag: int) -> tuple[int, int, int, Verb] | None"))
      .def_prop_ro("gate_counts", [](PySession& s) { return s.gate_counts; })
      .def_prop_ro("measurements", [](PySession& s) { return s.measurements; })
      .def_prop_ro("held", [](PySession& s) { return s.held; })
      .def_prop_ro("peak_held", [](PySession& s) { return s.peak_held; });

  m.def("call_site", [] {
    const Source source = caller();
    return std::uint64_t{source.file} << 32 | source.line;
  }, "The innermost line of the user's program, as a number that `describe_site` reads.");
  m.def("describe_site", [](std::uint64_t site) {
    return describe({static_cast<std::uint32_t>(site >> 32), static_cast<std::uint32_t>(site)});
  }, "site"_a, "`file:line` of a call site.");
  m.def("apply_one", &apply_one, "code"_a, "qubit"_a);
  m.def("rotate_one", &rotate_one, "code"_a, "theta"_a, "qubit"_a);
  m.def("apply_two", &apply_two, "code"_a, "a"_a, "b"_a);
  m.def("apply", &apply, "code"_a, "parameters"_a, "operands"_a);
  m.def("apply_controlled", &apply_controlled, "code"_a, "parameters"_a, "controls"_a, "target"_a);
  m.def("apply_unitary", &apply_unitary, "matrix"_a, "qubits"_a);
  m.def("apply_pauli", &apply_pauli, "theta"_a, "paulis"_a, "qubits"_a);
  m.def("measure", &measure, "qubit"_a);
  m.def("reset", &reset, "qubit"_a);
  m.def("probability", [](nb::handle object) {
    Qubit& qubit = one_qubit(object);
    Gil patience;
    return qubit.session->probability(qubit.name, patience);
  }, "qubit"_a);
}

}  // namespace qmpi
