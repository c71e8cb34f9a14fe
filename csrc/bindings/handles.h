// What Python's face of sessions and of qubits share.
#pragma once

#include <nanobind/nanobind.h>
#include <unistd.h>

#include "runtime/session.h"

namespace nb = nanobind;

namespace qmpi {

// Gives up the GIL when the core is about to take long or to sleep, and takes it back when the call ends.
class Gil : public Patience {
 public:
  void give_way() override {
    if (!saved_) saved_ = PyEval_SaveThread();
  }
  bool gave_way() const override { return saved_ != nullptr; }
  // The Python exception that a signal handler raised stays set while Error("Interrupted") unwinds.
  void look_up() override {
    resume();
    const bool interrupted = PyErr_CheckSignals() != 0;
    give_way();
    if (interrupted) throw Error("Interrupted", "");
  }
  ~Gil() override {
    if (saved_) resume();
  }

 private:
  // While Python ends, whoever asks for the GIL is ended inside of it, which C++ frames do not survive: then rather sleep for ever.
  static bool finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
  }
  void resume() {
    while (finalizing()) pause();
    PyEval_RestoreThread(std::exchange(saved_, nullptr));
  }
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

// The Qubit behind a Python object; null, or a TypeError, if it is none.
Qubit* as_qubit(nb::handle object);
Qubit& one_qubit(nb::handle object);
// The qubits of an operand (a Qubit, a Register, or a list of these), all of them this session's.
std::vector<HandleName> names_of(const PySession& session, nb::handle operand);
// `file:line` of a call site.
std::string describe(Source source);

}  // namespace qmpi
