// Python's face of arena, session and tickets.
#include "runtime/session.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bindings/handles.h"

using namespace nb::literals;

namespace qmpi {
namespace {

struct PyTicket {
  std::shared_ptr<PySession> session;
  Ticket ticket;
};

nb::typed<nb::tuple, Qubit, nb::ellipsis> qubits_of(const std::shared_ptr<PySession>& session, std::span<const HandleName> names) {
  nb::list result;
  for (const HandleName name : names) result.append(Qubit{session, name});
  return nb::typed<nb::tuple, Qubit, nb::ellipsis>(nb::tuple(result));
}

bool wait(PyTicket& ticket, double seconds) {
  {
    Gil patience;
    if (ticket.session->wait(ticket.ticket, static_cast<std::int64_t>(seconds * 1e6), patience)) return true;
  }
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
  return false;
}

std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t> as_tuple(const Charges& charges) {
  return {charges.epr_pairs, charges.epr_halves, charges.bits_sent, charges.bits_received, charges.measurements};
}

// A part that is being put together.
struct PyPart {
  std::shared_ptr<PySession> session;
  PartList list;

  std::vector<std::uint32_t> places(nb::handle qubits) {
    std::vector<std::uint32_t> result;
    for (const HandleName name : names_of(*session, qubits)) result.push_back(session->place(list, name));
    return result;
  }
  void message(PartStep::Kind kind, Verb verb, nb::handle qubits, int peer, int tag, bool exact = false) {
    PartStep step;
    step.exact = exact;
    step.kind = kind;
    step.verb = verb;
    step.peer = peer;
    step.tag = tag;
    step.whatever = qubits.is_none();
    if (step.whatever && kind == PartStep::Kind::send) list.await_arrival();
    list.name(step, step.whatever ? std::vector<std::uint32_t>() : places(qubits), true);
    list.add(step);
  }
  void bits(PartStep::Kind kind, std::uint32_t first, std::uint32_t count, int peer, int tag) {
    list.name_bits(first, count, kind == PartStep::Kind::receive_bits);
    PartStep step;
    step.kind = kind;
    step.peer = peer;
    step.tag = tag;
    step.count = count;
    step.bits = first;
    list.add(step);
  }
  void local(PartStep::Kind kind, nb::handle qubits, std::uint32_t first_bit) {
    PartStep step;
    step.kind = kind;
    step.bits = first_bit;
    const auto named = places(qubits);
    const auto count = static_cast<std::uint32_t>(kind == PartStep::Kind::parity ? named.size() / 2 : named.size());
    if (kind != PartStep::Kind::exchange) list.name_bits(first_bit, count, false);
    list.name(step, named, false);
    list.add(step);
  }
};

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
      .value("abandoned", Failure::abandoned)
      .value("memory", Failure::memory);
  nb::enum_<Mode>(m, "Mode")
      .value("standard", Mode::standard)
      .value("buffered", Mode::buffered)
      .value("synchronous", Mode::synchronous)
      .value("ready", Mode::ready);
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
      .def("fail", [](Arena& arena, std::string_view why) { arena.end(Ending::failed, why); }, "why"_a,
           "A rank has failed: from now on every call of every rank raises PeerFailed.")
      .def("interrupt", [](Arena& arena) { arena.end(Ending::interrupted, ""); }, "The same with KeyboardInterrupt.")
      .def_prop_ro("forked", &Arena::forked, "Whether this process is a fork of the one that mapped it.")
      .def_prop_ro("ended", [](Arena& arena) { return arena.header().ending != Ending::none; })
      .def("next_contexts", [](Arena& arena, int count) { return arena.header().next_context.fetch_add(count); }, "count"_a)
      .def("leave", &Arena::leave, "rank"_a, "The rank is done; nothing if it has left already. For ranks that never had a session.")
      .def("postings", [](Arena& arena) {
        Gil patience;
        return Mailboxes::listed(arena, patience);
      }, "How many messages and receives are listed in all mailboxes.")
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
        result["messages"] = s.messages.load();
        result["bytes"] = s.bytes.load();
        result["peak_bytes"] = s.peak_bytes.load();
        return result;
      });

  nb::class_<PyTicket>(m, "Ticket", "One operation in flight.")
      .def("wait", &wait, "seconds"_a, "True once it is finished; waits at most `seconds`, and not beyond a signal.")
      .def_prop_ro("finished", [](PyTicket& t) { return t.ticket.posting == nullptr; })
      .def("withdraw", [](PyTicket& t) {
            Gil patience;
            return t.session->withdraw(t.ticket, patience);
          }, "Takes back what nobody has matched, or gives up a part; False if it is too late.")
      .def_prop_ro("untouched", [](PyTicket& t) { return t.ticket.untouched; }, "A part that was given up before anybody had taken notice.")
      .def_prop_ro("awaits", [](PyTicket& t) -> std::optional<std::tuple<std::int32_t, std::int32_t, std::uint32_t>> {
            const Posting* posting = t.ticket.posting;
            if (!posting) return std::nullopt;
            return std::tuple(posting->peer, posting->tag, posting->context);
          }, "Until it is finished: peer (universe rank), tag and context.")
      .def_prop_ro("operation", [](PyTicket& t) { return t.ticket.operation; })
      .def_prop_ro("source", [](PyTicket& t) { return t.ticket.source; })
      .def_prop_ro("tag", [](PyTicket& t) { return t.ticket.tag; })
      .def_prop_ro("count", [](PyTicket& t) { return t.ticket.count; })
      .def("take_back", [](PyTicket& t) {
            Gil patience;
            return t.session->take_back(t.ticket, patience);
          }, "Undoes a message on its way that nobody has received; False if it is too late.")
      .def_prop_ro("bits", [](PyTicket& t) { return nb::bytes(t.ticket.bits.data(), t.ticket.bits.size()); }, "Of a part that is over.")
      .def_prop_ro("found", [](PyTicket& t) { return t.ticket.found; }, "What a probe has claimed, for `receive`.")
      .def("settle", [](PyTicket& t) {
            Gil patience;
            t.session->settle(t.ticket, patience);
            return as_tuple(t.ticket.charges);
          }, "Once it is finished: frees its qubits for use, and tells what it cost.")
      .def_prop_ro("failed", [](PyTicket& t) { return t.ticket.failure != Failure::none; })
      .def_prop_ro("failure", [](PyTicket& t) { return t.ticket.failure; })
      .def_prop_ro("data", [](PyTicket& t) { return nb::bytes(t.ticket.bytes.data(), t.ticket.bytes.size()); })
      .def_prop_ro("arrived", [](PyTicket& t) { return qubits_of(t.session, t.ticket.arrived); });

  using StepKind = PartStep::Kind;
  nb::class_<PyPart>(m, "Part", "One rank's part in a collective, put together step by step and then posted as a whole.")
      .def("__init__", [](PyPart* self, std::shared_ptr<PySession> session) { new (self) PyPart{std::move(session), {}}; }, "session"_a)
      .def("send", [](PyPart& p, Verb verb, nb::handle qubits, int peer, int tag, bool exact) {
        p.message(StepKind::send, verb, qubits, peer, tag, exact);
      }, "verb"_a, "qubits"_a.none(), "peer"_a, "tag"_a, "exact"_a = false,
           "None sends on what a receive into None has brought. `exact`: waits for its receive; nothing happens if that has another count.")
      .def("receive", [](PyPart& p, Verb verb, nb::handle qubits, int peer, int tag, bool exact) {
        p.message(StepKind::receive, verb, qubits, peer, tag, exact);
      }, "verb"_a, "qubits"_a.none(), "peer"_a, "tag"_a, "exact"_a = false, "None takes whatever comes; once in a part.")
      .def("meet", [](PyPart& p, nb::handle qubits, int peer, int tag, int condition, bool exact) {
        if (condition >= 0) p.list.name_bits(static_cast<std::uint32_t>(condition), 1, false);
        p.message(StepKind::meet, Verb::epr, qubits, peer, tag, exact);
        p.list.steps.back().condition = condition;
      }, "qubits"_a, "peer"_a, "tag"_a, "condition"_a = -1, "exact"_a = false, "Left out where bit `condition` is 0.")
      .def("set_bits", [](PyPart& p, std::uint32_t first, std::uint32_t count) { p.bits(StepKind::set, first, count, 0, 0); }, "first"_a, "count"_a)
      .def("send_bits", [](PyPart& p, std::uint32_t first, std::uint32_t count, int peer, int tag) { p.bits(StepKind::send_bits, first, count, peer, tag); },
           "first"_a, "count"_a, "peer"_a, "tag"_a)
      .def("receive_bits", [](PyPart& p, std::uint32_t first, std::uint32_t count, int peer, int tag) { p.bits(StepKind::receive_bits, first, count, peer, tag); },
           "first"_a, "count"_a, "peer"_a, "tag"_a)
      .def("measure", [](PyPart& p, nb::handle qubits, std::uint32_t bit) { p.local(StepKind::measure, qubits, bit); }, "qubits"_a, "bit"_a,
           "Into bits `bit` and following; the qubits become |0>.")
      .def("parity", [](PyPart& p, nb::handle qubits, std::uint32_t bit) { p.local(StepKind::parity, qubits, bit); }, "qubits"_a, "bit"_a,
           "CX from the first half onto the second, which is measured: one step.")
      .def("flip", [](PyPart& p, nb::handle qubits, std::uint32_t bit) { p.local(StepKind::flip, qubits, bit); }, "qubits"_a, "bit"_a,
           "X where the bit is 1.")
      .def("negate", [](PyPart& p, nb::handle qubits, std::uint32_t bit) { p.local(StepKind::negate, qubits, bit); }, "qubits"_a, "bit"_a,
           "Z where the bit is 1.")
      .def("exchange", [](PyPart& p, nb::handle qubits) { p.local(StepKind::exchange, qubits, 0); }, "qubits"_a, "The first half with the second.")
      .def("add", [](PyPart& p, std::uint32_t to, std::uint32_t from, std::uint32_t count) {
        p.list.name_bits(std::min(to, from), std::max(to, from) + count - std::min(to, from), false);
        PartStep step;
        step.kind = StepKind::add;
        step.bits = to;
        step.distance = from - to;
        step.count = count;
        p.list.add(step);
      }, "to"_a, "from_"_a, "count"_a, "bits[to + k] ^= bits[from_ + k].")
      .def("fence", [](PyPart& p) { p.list.await_all(); }, "What follows waits for all that was posted.")
      .def("record", [](PyPart& p) {
        Gil patience;
        p.session->record(patience);
      }, "The gates called from now on belong to the part.")
      .def("recorded", [](PyPart& p, nb::handle qubits) { p.session->recorded(p.list, names_of(*p.session, qubits)); }, "qubits"_a,
           "They may use these qubits only.")
      .def("drop_recorded", [](PyPart& p) { p.session->drop_recorded(); })
      .def("post", [](PyPart& p, std::uint32_t context, std::uint64_t operation) {
        Gil patience;
        return PyTicket{p.session, p.session->post(p.list, context, operation, patience)};
      }, "context"_a, "operation"_a);

  nb::class_<PySession>(m, "Session", "One rank's side of the store.")
      .def("__init__", [](PySession* self, std::shared_ptr<Arena> arena, int rank) {
        new (self) PySession(std::move(arena), rank);
        self->describe = describe;
      }, "arena"_a, "rank"_a)
      .def_prop_ro("rank", [](PySession& s) { return s.rank(); })
      .def("require_usable", [](PySession& s) { s.require_usable(); }, "Raises what every call would: Closed, Forked, SecondThread, RankLost.")
      .def_prop_ro("closed", [](PySession& s) { return s.closed(); })
      .def("close", [](PySession& s) {
        s.on_discharge.reset();  // else operations, their qubits and this session would keep each other
        Gil patience;
        return s.close(patience);
      }, "The rank leaves. The last one learns how many messages were never received, others get 0.")
      .def("record_order", [](PySession& s, int descriptor) { s.order().record(descriptor); }, "descriptor"_a,
           "Writes a line per measurement, in the order in which they are executed; takes the descriptor over.")
      .def("replay_order", [](PySession& s, const std::vector<std::tuple<int, bool, std::uint64_t, std::uint64_t>>& recorded) {
        std::vector<Measurement> measurements;
        for (const auto& [rank, protocol, number, position] : recorded)
          measurements.push_back({rank, protocol ? Stream::protocol : Stream::user, number, position});
        s.order().replay(measurements);
      }, "recorded"_a, "Executes measurements in this order of (rank, of a protocol, number, position).")
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
      .def("send", [](const std::shared_ptr<PySession>& s, Verb verb, nb::handle qubits, int dest, std::uint32_t context, int tag,
                      std::uint64_t operation, Mode mode) {
        const auto names = names_of(*s, qubits);
        Gil patience;
        return PyTicket{s, s->send(verb, names, dest, context, tag, operation, mode, patience)};
      }, "verb"_a, "qubits"_a, "dest"_a, "context"_a, "tag"_a, "operation"_a = 0, "mode"_a = Mode::standard)
      .def("receive", [](const std::shared_ptr<PySession>& s, Verb verb, nb::handle qubits, int source, std::uint32_t context,
                         int tag, std::uint64_t operation, std::uint64_t wanted) {
        const bool allocate = qubits.is_none();
        std::vector<HandleName> names;
        if (!allocate) names = names_of(*s, qubits);
        Gil patience;
        return PyTicket{s, s->receive(verb, names, allocate, source, context, tag, operation, wanted, patience)};
      }, "verb"_a, "qubits"_a.none(), "source"_a, "context"_a, "tag"_a, "operation"_a = 0, "wanted"_a = 0,
           "`wanted`: what a probe has claimed.")
      .def("probe", [](const std::shared_ptr<PySession>& s, int source, std::uint32_t context, int tag, bool claims) {
        Gil patience;
        return PyTicket{s, s->probe(source, context, tag, claims, patience)};
      }, "source"_a, "context"_a, "tag"_a, "claims"_a)
      .def("meet", [](const std::shared_ptr<PySession>& s, nb::handle qubits, int peer, std::uint32_t context, int tag) {
        const auto names = names_of(*s, qubits);
        Gil patience;
        return PyTicket{s, s->meet(names, peer, context, tag, patience)};
      }, "qubits"_a, "peer"_a, "context"_a, "tag"_a)
      .def("send_bytes", [](PySession& s, nb::bytes data, int dest, std::uint32_t context, int tag) {
        Gil patience;
        s.send_bytes(Verb::bytes, {data.c_str(), data.size()}, dest, context, tag, 0, patience);
      }, "data"_a, "dest"_a, "context"_a, "tag"_a)
      .def("post_bytes", [](const std::shared_ptr<PySession>& s, nb::bytes data, int dest, std::uint32_t context, int tag) {
        Gil patience;
        return PyTicket{s, s->post_bytes(Verb::bytes, {data.c_str(), data.size()}, dest, context, tag, 0, patience)};
      }, "data"_a, "dest"_a, "context"_a, "tag"_a, "The same, for who may want to withdraw it; wait for the ticket in the end.")
      .def("disclaim", [](PySession& s, int peer, std::uint32_t context, std::uint64_t operation) {
        Gil patience;
        s.disclaim(peer, context, operation, patience);
      }, "peer"_a, "context"_a, "operation"_a, "What the peer sends for this operation is dropped.")
      .def("send_note", [](PySession& s, std::string_view text, int dest, std::uint32_t context, int tag, std::uint64_t operation) {
        Gil patience;
        s.send_bytes(Verb::note, text, dest, context, tag, operation, patience);
      }, "text"_a, "dest"_a, "context"_a, "tag"_a, "operation"_a)
      .def("reserve", [](PySession& s, int qubits) {
        Gil patience;
        return s.reserve(qubits, patience);
      }, "qubits"_a, "Room in this rank's buffer for EPR halves that stay; False if less than one slot were left for the rest.")
      .def("give_back", [](PySession& s, int qubits) {
        Gil patience;
        s.give_back(qubits, patience);
      }, "qubits"_a)
      .def("wait_any", [](PySession& s, const std::vector<PyTicket*>& tickets, double seconds) {
        std::vector<Ticket*> awaited;
        for (PyTicket* ticket : tickets) awaited.push_back(&ticket->ticket);
        {
          Gil patience;
          if (s.wait_any(awaited, static_cast<std::int64_t>(seconds * 1e6), patience)) return true;
        }
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        return false;
      }, "tickets"_a, "seconds"_a, "True once one of them is finished; waits at most `seconds`, and not beyond a signal.")
      .def("exchange", [](PySession& s, nb::handle a, nb::handle b) {
        const auto ours = names_of(s, a), others = names_of(s, b);
        Gil patience;
        for (std::size_t k = 0; k < ours.size(); ++k) s.exchange(ours[k], others[k], patience);
      }, "a"_a, "b"_a, "The contents of as many qubits change places.")
      .def("publish", [](PySession& s, const std::vector<PyTicket*>& tickets, const std::vector<std::int32_t>& members, std::string_view line) {
        std::vector<const Ticket*> awaited;
        for (const PyTicket* ticket : tickets) awaited.push_back(&ticket->ticket);
        Gil patience;
        s.publish(awaited, members, line, patience);
      }, "tickets"_a, "members"_a, "line"_a,
           "Tells the watch that this rank waits for one of these; `members` are who can answer a receive from anybody.")
      .def("unpublish", [](PySession& s) {
        Gil patience;
        s.unpublish(patience);
      })
      .def("look", [](PySession& s, const std::vector<PyTicket*>& given_up) {
        std::vector<Ticket*> tickets;
        for (PyTicket* ticket : given_up) tickets.push_back(&ticket->ticket);
        Gil patience;
        s.look(tickets, patience);
      }, "given_up"_a, "What a waiting rank does now and then; raises RankLost, PeerFailed, or Deadlock or PeerLeft after these were withdrawn.")
      .def("receive_bytes", [](const std::shared_ptr<PySession>& s, int source, std::uint32_t context, int tag) {
        Gil patience;
        return PyTicket{s, s->receive_bytes(source, context, tag, patience)};
      }, "source"_a, "context"_a, "tag"_a)
      .def("set_threads", [](PySession& s, int threads) { s.store().set_threads(threads); }, "threads"_a,
           "How many threads of this process, the caller among them, work on what is large.")
      .def("set_planned_from", [](PySession& s, int qubits) { s.store().set_planned_from(qubits); }, "qubits"_a,
           "Gates on components of at least so many qubits are planned together.")
      .def("hire", [](PySession& s) { return s.store().hire(); }, "Sees to it that these threads are there; how many they are.")
      .def_prop_ro("gate_counts", [](PySession& s) { return s.gate_counts; })
      .def_prop_ro("measurements", [](PySession& s) { return s.measurements; })
      .def_prop_ro("held", [](PySession& s) { return s.held; })
      .def_prop_ro("peak_held", [](PySession& s) { return s.peak_held; });
}

}  // namespace qmpi
